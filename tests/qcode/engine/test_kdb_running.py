"""The engine q-ipc against a stand-in: a server that speaks the protocol and evaluates with the embedded interpreter."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from qcode.engine import standing
from trimtab.qcode.engine import engines
from trimtab.qcode.engine.kdb import messages, real, running
from trimtab.qcode.engine.protocol import CallTest, InfraError, Limits, Program, Status, TextTest
from trimtab.qcode.engine.sandbox.levels import Unavailable
from trimtab.qcode.q.errors import QError
from trimtab.qcode.q.session import Session
from trimtab.qcode.q.values import chars

TESTS = [CallTest(("1 2", "3"), "4 5"), TextTest("4 5", arguments=("1 2", "3"))]


@pytest.fixture
def process() -> Iterator[tuple[int, Session]]:
    session = Session()
    session.value("kept:1")
    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=standing.serve, args=(server, session), daemon=True)
        thread.start()
        yield server.getsockname()[1], session
        server.shutdown(socket.SHUT_RDWR)
        thread.join(5)


@contextmanager
def behaving(behave: Callable[[socket.socket, int], None]) -> Iterator[int]:
    """A server whose every link is dealt with by ``behave``, which hears how many links came before."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def each() -> None:
            count = 0
            while True:
                try:
                    sock = server.accept()[0]
                except OSError:
                    return
                with sock:
                    behave(sock, count)
                count += 1

        thread = threading.Thread(target=each, daemon=True)
        thread.start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)
        thread.join(5)


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(real, "PAUSES", (0.01, 0.01))
    monkeypatch.setattr(running, "CONNECT_SECONDS", 0.3)


CODES = {
    "f:{x+y}": Status.PASSED,
    "g:{x+y}\nf:{g[x;y]}\n/ a comment": Status.PASSED,
    "f:{x-y}": Status.WRONG,
    "f:{x+`a}": Status.ERROR,
    "f:{[x;y] '`stop}": Status.TIMEOUT,
    "f:{[x;y] '`wsfull}": Status.MEMORY,
    "f:{[x;y] '`noupdate}": Status.FORBIDDEN,
    "f:{": Status.ERROR,
    'f:"': Status.ERROR,
    "f:{[x;y] til 1000000}": Status.ERROR,
    "f:{[x;y] 1000000#0}": Status.ERROR,
    "big:til 1000000\nf:{x+y}": Status.PASSED,
    "": Status.ERROR,
}


def test_verdicts(process: tuple[int, Session]) -> None:
    engine = engines.engine("q-ipc", port=process[0])
    verdicts = engine.run([Program(code, "f") for code in CODES], [TESTS] * len(CODES))
    assert dict(zip(CODES, [verdict.status for verdict in verdicts], strict=True)) == CODES
    assert {verdict.isolation for verdict in verdicts} == {"none"}
    assert process[1].value("kept") == 1
    for left in ("f", "g", "big"):
        with pytest.raises(QError):
            process[1].value(left)


def test_an_oversized_answer_is_an_error_of_every_later_test(process: tuple[int, Session]) -> None:
    code = "f:{[x;y] $[x~1 2;til 1000;x+y]}"
    verdict = engines.engine("q-ipc", port=process[0], limits=Limits(result_bytes=1000)).run(
        [Program(code, "f")], [[CallTest(("3", "4"), "7"), *TESTS]]
    )[0]
    assert [test.status for test in verdict.tests] == [Status.PASSED, Status.ERROR, Status.ERROR]
    assert "at most 1000" in verdict.detail


def test_verdicts_are_remembered(process: tuple[int, Session]) -> None:
    engine = running.Running(port=process[0], cached=True)
    for _ in range(2):
        assert engine.run([Program("f:{x+y}", "f")] * 3, [TESTS] * 3)[2].passed
    assert engine.verdicts is not None
    assert (engine.verdicts.misses, engine.verdicts.hits) == (3, 3)


def test_no_process_is_no_verdict() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(InfraError, match="no q process"):
        engines.engine("q-ipc", port=port).run([Program("f:{x}", "f")], [[CallTest(("1",), "1")]])


def _hangs(sock: socket.socket, _: int) -> None:
    while sock.recv(100):
        pass


def _dies(sock: socket.socket, _: int) -> None:
    standing.greeted(sock)
    sock.sendall(b"\x03")
    sock.recv(100)
    sock.sendall(messages.framed(chars("half of it"), messages.Kind.RESPONSE)[:-5])


def _raves(sock: socket.socket, _: int) -> None:
    standing.greeted(sock)
    sock.sendall(b"\x03")
    sock.recv(100)
    sock.sendall(b"\x01\x02\0\0\x0d\0\0\0\x03\0\0\0\0")


@pytest.mark.parametrize(("behave", "said"), [(_hangs, "-T"), (_dies, "closed the link"), (_raves, "damaged")])
def test_a_process_that_hangs_dies_or_raves_is_no_verdict(
    behave: Callable[[socket.socket, int], None], said: str
) -> None:
    with behaving(behave) as port, pytest.raises(InfraError, match=f"failed 3 times.*{said}"):
        running.Running(port=port).run([Program("f:{x}", "f")], [[CallTest(("1",), "1")]])


def test_a_link_that_breaks_once_is_made_again() -> None:
    session = Session()

    def behave(sock: socket.socket, before: int) -> None:
        if before > 1:
            standing.greeted(sock)
            sock.sendall(b"\x03")
            standing.answered(session, sock)

    with behaving(behave) as port:
        assert running.Running(port=port).run([Program("f:{x+y}", "f")], [TESTS])[0].passed


def test_an_endless_program_in_a_process_without_a_time_limit_stops_the_batch() -> None:
    session = Session()

    def behave(sock: socket.socket, _: int) -> None:
        standing.greeted(sock)
        sock.sendall(b"\x03")
        if standing.received(sock)[1:]:
            sock.sendall(messages.framed(session.value("`a`b"), messages.Kind.RESPONSE))
        while sock.recv(100):
            pass

    limits = Limits(wall_seconds=0.2)
    with behaving(behave) as port:
        verdict = running.Running(port=port, limits=limits).run([Program("f:{x}", "f")], [[CallTest(("1",), "1")]])[0]
        assert verdict.status == Status.TIMEOUT


def test_a_program_that_asks_its_grader_is_forbidden() -> None:
    session = Session()

    def behave(sock: socket.socket, _: int) -> None:
        standing.greeted(sock)
        sock.sendall(b"\x03")
        while data := standing.received(sock):
            kind = messages.Kind.SYNC if b"value x" in data else messages.Kind.RESPONSE
            sock.sendall(messages.framed(session.value("`a`b"), kind))

    with behaving(behave) as port:
        verdict = running.Running(port=port).run([Program("f:{x}", "f")], [[CallTest(("1",), "1")]])[0]
        assert verdict.status == Status.FORBIDDEN


def test_what_cannot_be_asked() -> None:
    with pytest.raises(Unavailable, match=r"q-ipc keeps programs apart by 'none' only, and 'seccomp'"):
        engines.engine("q-ipc", isolation="seccomp")
    with pytest.raises(ValueError, match="runs q only"):
        running.Running().run([Program("", "f", "python")], [[CallTest((), 1)]])


@pytest.mark.parametrize("address", ["localhost", "localhost:q", "localhost:0", "localhost:70000", "5000:"])
def test_addresses_that_are_none(address: str) -> None:
    with pytest.raises(ValueError, match="expected HOST:PORT"):
        engines.chosen("q-ipc", address)


def test_the_engine_that_flags_mean(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRIMTAB_Q_CREDENTIALS", "me:secret")
    assert engines.chosen(None, None) == ("q-embedded", {})
    assert engines.chosen(None, "a.b:5000") == ("q-ipc", {"host": "a.b", "port": 5000, "credentials": "me:secret"})
    assert engines.chosen("q-ipc", ":5001")[1]["host"] == "localhost"
    with pytest.raises(ValueError, match="needs the address"):
        engines.chosen("q-ipc", None)
    with pytest.raises(ValueError, match="for q-ipc alone"):
        engines.chosen("q-embedded", "localhost:5000")
