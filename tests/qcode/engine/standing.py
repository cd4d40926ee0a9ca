"""A stand-in for a q process: it speaks the protocol, and evaluates with the embedded interpreter.

Run as a script it is a stand-in for the program q (``-q -p PORT -u FILE``).
"""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Callable
from pathlib import Path

from trimtab.qcode.engine.kdb import messages
from trimtab.qcode.q.errors import Exit, Limits, QError
from trimtab.qcode.q.session import Session
from trimtab.qcode.q.values import Q, Vec, text_of


def evaluated(session: Session, asked: Q) -> Q:
    """What q makes of a request: text, or a function's text and its arguments."""
    if isinstance(asked, Vec) and asked.t == 0:
        return session.apply(session.value(text_of(asked.a[0])), list(asked.a[1:]))
    return session.value(text_of(asked))


def received(sock: socket.socket) -> bytes:
    """One whole message; empty where the other side has closed."""
    data = b""
    while len(data) < 8 or len(data) < int.from_bytes(data[4:8], "little"):
        piece = sock.recv(1 << 16)
        if not piece:
            return b""
        data += piece
    return data


def answered(session: Session, sock: socket.socket) -> None:
    """Answer requests until the other side closes."""
    while data := received(sock):
        try:
            answer = messages.framed(evaluated(session, messages.value(data)), messages.Kind.RESPONSE)
        except QError as error:
            answer = messages.framed_error(error.text)
        sock.sendall(answer)


def greeted(sock: socket.socket) -> str:
    """The credentials of a handshake."""
    data = b""
    while not data.endswith(b"\0"):
        data += sock.recv(100)
    return data[:-2].decode()


def serve(server: socket.socket, session: Session, allowed: Callable[[str], bool] = lambda _: True) -> None:
    """Links, one after another, until the server is closed."""
    while True:
        try:
            sock = server.accept()[0]
        except OSError:
            return
        with sock:
            if allowed(greeted(sock)):
                sock.sendall(b"\x03")
                try:
                    answered(session, sock)
                except Exit as left:
                    os._exit(left.status)
                except ConnectionError:
                    continue


def main(arguments: list[str]) -> None:
    """``q -q -p PORT -u FILE``."""
    options = dict(zip(arguments[1::2], arguments[2::2], strict=True))
    users = Path(options["-u"]).read_text(encoding="ascii").split()
    with socket.create_server(("127.0.0.1", int(options["-p"]))) as server:
        serve(server, Session(Limits(steps=10**12, seconds=None)), users.__contains__)


if __name__ == "__main__":
    main(sys.argv[1:])
