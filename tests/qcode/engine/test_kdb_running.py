"""The engine q-ipc against a stand-in: a server that speaks the protocol and evaluates with the embedded interpreter."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator

import pytest

from trimtab.qcode.engine import engines
from trimtab.qcode.engine.kdb import messages
from trimtab.qcode.engine.protocol import CallTest, InfraError, Program, Status, TextTest
from trimtab.qcode.q.errors import QError
from trimtab.qcode.q.session import Session
from trimtab.qcode.q.values import Q, Vec, text_of


def _evaluated(session: Session, asked: Q) -> Q:
    if isinstance(asked, Vec) and asked.t == 0:
        return session.apply(session.value(text_of(asked.a[0])), list(asked.a[1:]))
    return session.value(text_of(asked))


def _serve(server: socket.socket, session: Session) -> None:
    while True:
        try:
            sock = server.accept()[0]
        except OSError:
            return
        with sock:
            sock.recv(100)
            sock.sendall(b"\x03")
            while data := sock.recv(1 << 16):
                try:
                    sock.sendall(messages.framed(_evaluated(session, messages.value(data)), messages.Kind.RESPONSE))
                except QError as error:
                    sock.sendall(messages.framed_error(error.text))


@pytest.fixture
def standing() -> Iterator[tuple[int, Session]]:
    session = Session()
    session.value("kept:1")
    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=_serve, args=(server, session), daemon=True).start()
        yield server.getsockname()[1], session
        server.shutdown(socket.SHUT_RDWR)


def test_verdicts(standing: tuple[int, Session]) -> None:
    codes = ["f:{x+y}", "f:{x-y}", "f:{x+`a}", "f:{'`stop}", "f:{'`wsfull}", "f:{'`noupdate}", "f:{"]
    tests = [CallTest(("1 2", "3"), "4 5"), TextTest("4 5", arguments=("1 2", "3"))]
    engine = engines.engine("q-ipc", port=standing[0])
    verdicts = engine.run([Program(code, "f") for code in codes], [tests] * len(codes))
    wanted = [Status.PASSED, Status.WRONG, Status.ERROR, Status.TIMEOUT, Status.MEMORY, Status.FORBIDDEN, Status.ERROR]
    assert [verdict.status for verdict in verdicts] == wanted
    assert {verdict.isolation for verdict in verdicts} == {"none"}
    assert standing[1].value("kept") == 1
    with pytest.raises(QError):
        standing[1].value("f")


def test_no_process_is_no_verdict() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(InfraError, match="no q process"):
        engines.engine("q-ipc", port=port).run([Program("f:{x}", "f")], [[CallTest(("1",), "1")]])
