"""Messages byte by byte against the published format; links against servers that behave, refuse, hang and lie."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from trimtab.qcode.engine.kdb import link, messages
from trimtab.qcode.q import squeeze
from trimtab.qcode.q.comparison import match
from trimtab.qcode.q.errors import QError
from trimtab.qcode.q.session import Session
from trimtab.qcode.q.values import chars, text_of

PUBLISHED = {  # KX, "Serialization examples" (code.kx.com, CC-BY-4.0)
    "1i": "010000000d000000fa01000000",
    "enlist 1i": "010000001200000006000100000001000000",
    "`byte$til 5": "01000000130000000400050000000001020304",
    "`byte$enlist til 5": "01000000190000000000010000000400050000000001020304",
    "`a`b!2 3i": "0100000021000000630b0002000000610062000600020000000200000003000000",
    "`s#`a`b!2 3i": "01000000210000007f0b0102000000610062000600020000000200000003000000",
    "`a`b!enlist each 2 3i": (
        "010000002d000000630b0002000000610062000000020000000600010000000200000006000100000003000000"
    ),
    "([]a:enlist 2i;b:enlist 3i)": (
        "010000002f0000006200630b0002000000610062000000020000000600010000000200000006000100000003000000"
    ),
    "`s#([]a:enlist 2i;b:enlist 3i)": (
        "010000002f0000006201630b0002000000610062000000020000000603010000000200000006000100000003000000"
    ),
    "([a:enlist 2i]b:enlist 3i)": (
        "010000003f000000636200630b00010000006100000001000000060001000000020000006200630b0001000000620000000100000006"
        "000100000003000000"
    ),
    "`s#([a:enlist 2i]b:enlist 3i)": (
        "010000003f0000007f6201630b00010000006100000001000000060001000000020000006200630b0001000000620000000100000006"
        "000100000003000000"
    ),
    "{x+y}": "010000001500000064000a00050000007b782b797d",
}


@pytest.mark.parametrize("text", PUBLISHED)
def test_published_bytes(text: str) -> None:
    message = messages.framed(Session().value(text), messages.Kind.ASYNC)
    assert message.hex() == PUBLISHED[text]
    assert messages.framed(Session().value(text)).hex() == "0101" + PUBLISHED[text][4:]
    assert match(messages.value(message), Session().value(text))


def test_an_error_is_raised() -> None:
    assert messages.framed_error("type").hex() == "010200000e000000807479706500"
    with pytest.raises(QError, match=r"^type$"):
        messages.value(messages.framed_error("type"))


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"HTTP/1.1", "no kdb"),
        (struct.pack(">BBBBi", 0, 2, 0, 0, 13), "big-endian"),
        (struct.pack("<BBBBi", 1, 2, 0, 0, 3), "no kdb"),
    ],
)
def test_headers_that_are_refused(data: bytes, said: str) -> None:
    with pytest.raises(messages.BadMessage, match=said):
        messages.header(data)


def test_messages_that_are_too_long() -> None:
    with pytest.raises(messages.TooLong, match="at most 100"):
        messages.header(struct.pack("<BBBBi", 1, 2, 0, 0, 101), 100)
    assert messages.header(struct.pack("<BBBBi", 1, 2, 0, 0, 100), 100) == (messages.Kind.RESPONSE, 100)


def test_compressed_messages() -> None:
    value = Session().value("5000#1 2 3")
    packed = squeeze.compressed(messages.framed(value, messages.Kind.RESPONSE))
    assert packed[2] == 1
    assert match(messages.value(packed), value)
    with pytest.raises(messages.TooLong, match="at most 1000"):
        messages.value(packed, 1000)


@contextmanager
def served(behave: Callable[[socket.socket], None]) -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def once() -> None:
            with server.accept()[0] as sock:
                behave(sock)

        thread = threading.Thread(target=once, daemon=True)
        thread.start()
        yield server.getsockname()[1]
        thread.join(5)


def _evaluating(sock: socket.socket) -> None:
    assert sock.recv(100) == b"me:secret\x03\0"
    sock.sendall(b"\x03")
    while data := sock.recv(1 << 16):
        assert data[1] == messages.Kind.SYNC
        try:
            value = Session().value(text_of(messages.value(data)))
            sock.sendall(messages.framed(chars("news"), messages.Kind.ASYNC))
            sock.sendall(squeeze.compressed(messages.framed(value, messages.Kind.RESPONSE)))
        except QError as error:
            sock.sendall(messages.framed_error(error.text))


def test_questions_and_answers() -> None:
    with served(_evaluating) as port:
        found = link.connect("127.0.0.1", port, "me:secret")
        assert found.ask(chars("1+1"), 5) == 2
        with pytest.raises(QError, match=r"^type$"):
            found.ask(chars("1+`a"), 5)
        assert len(found.ask(chars("til 50000"), 5)) == 50000
        found.close()


def test_a_server_that_closes_refuses_access() -> None:
    with served(lambda sock: None) as port, pytest.raises(link.LinkError, match="refused access"):
        link.connect("127.0.0.1", port, "me:wrong")


def test_a_server_that_hangs_or_is_no_q() -> None:
    with served(lambda sock: sock.recv(100) and sock.recv(100)) as port, pytest.raises(TimeoutError, match="in time"):
        link.connect("127.0.0.1", port, seconds=0.2)
    with (
        served(lambda sock: sock.sendall(b"HTTP/1.1 400")) as port,
        pytest.raises(link.LinkError, match="no q process"),
    ):
        link.connect("127.0.0.1", port)


def test_a_closed_port() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(link.LinkError, match=f"no q process at 127.0.0.1:{port}"):
        link.connect("127.0.0.1", port)
