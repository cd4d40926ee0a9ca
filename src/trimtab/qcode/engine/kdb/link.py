"""How does one talk to a q process? Over a socket after kdb+'s handshake, or over pipes; every wait has a deadline."""

from __future__ import annotations

import os
import select
import socket
import time
from collections.abc import Callable

from trimtab.qcode.engine.kdb import messages
from trimtab.qcode.engine.kdb.messages import Kind
from trimtab.qcode.q.values import Q

CAPABILITY = 3
"""Compression, timestamps, timespans and guids."""
_PIECE = 1 << 16


class LinkError(RuntimeError):
    """The link could not be made, or broke: nothing is known about the program."""


class Asked(RuntimeError):
    """The process asks back where it should answer: no q process does so but for a program that makes it."""


class Link:
    """Asks a q process over two file descriptors. After an error it must be closed: an answer may still be on its way."""

    def __init__(self, reading: int, writing: int, close: Callable[[], None], most_bytes: int = messages.MOST_BYTES):
        self._reading, self._writing, self._close, self._most_bytes = reading, writing, close, most_bytes
        os.set_blocking(reading, False)
        os.set_blocking(writing, False)

    def ask(self, value: Q, seconds: float, most_bytes: int | None = None) -> Q:
        """The answer to a synchronous request, which has at most ``most_bytes``.

        Raises QError, TimeoutError, LinkError, BadMessage, TooLong, Asked, Unsupported.
        """
        end = time.monotonic() + seconds
        most = self._most_bytes if most_bytes is None else min(most_bytes, self._most_bytes)
        self.write(messages.framed(value), end)
        while True:
            head = self.read(messages.HEADER, end)
            kind, size = messages.header(head, most)
            body = self.read(size - messages.HEADER, end)
            if kind == Kind.RESPONSE:
                return messages.value(head + body, most)
            if kind == Kind.SYNC:
                raise Asked("a request where an answer was expected")

    def read(self, n: int, end: float) -> bytes:
        """Exactly ``n`` bytes, before ``end`` (of time.monotonic)."""
        out = bytearray()
        while len(out) < n:
            _wait(self._reading, select.POLLIN, end)
            try:
                piece = os.read(self._reading, min(n - len(out), _PIECE))
            except BlockingIOError:
                continue
            except OSError as error:
                raise LinkError(f"the q process broke the link ({error.strerror})") from None
            if not piece:
                raise LinkError(f"the q process closed the link after {len(out)} of {n} bytes")
            out += piece
        return bytes(out)

    def write(self, data: bytes, end: float) -> None:
        """All of ``data``, before ``end``."""
        rest = memoryview(data)
        while rest:
            _wait(self._writing, select.POLLOUT, end)
            try:
                rest = rest[os.write(self._writing, rest[:_PIECE]) :]
            except BlockingIOError:
                continue
            except OSError as error:
                raise LinkError(f"the q process broke the link ({error.strerror})") from None

    def close(self) -> None:
        """Let go of the process."""
        self._close()


def _wait(descriptor: int, event: int, end: float) -> None:
    left = end - time.monotonic()
    poll = select.poll()
    poll.register(descriptor, event)
    if left <= 0 or not poll.poll(left * 1000):
        raise TimeoutError("the q process did not answer in time")


def connect(host: str, port: int, credentials: str = "", seconds: float = 5.0) -> Link:
    """A link to a q process that listens. ``credentials``: ``user:password``. Raises LinkError, TimeoutError."""
    if "\0" in credentials:
        raise ValueError("credentials hold a zero byte: expected user:password")
    end = time.monotonic() + seconds
    try:
        sock = socket.create_connection((host, port), timeout=seconds)
    except TimeoutError:
        raise TimeoutError(f"no answer from {host}:{port} in {seconds:g} s") from None
    except OSError as error:
        raise LinkError(f"no q process at {host}:{port} ({error.strerror}): start one with q -p {port}") from None
    link = Link(sock.fileno(), sock.fileno(), sock.close)
    try:
        _greet(link, f"{host}:{port}", credentials, end)
    except BaseException:
        link.close()
        raise
    return link


def _greet(link: Link, where: str, credentials: str, end: float) -> None:
    """The handshake: credentials, capability, zero; the process answers with one byte, or closes."""
    link.write(credentials.encode() + bytes([CAPABILITY, 0]), end)
    try:
        answer = link.read(1, end)
    except LinkError:
        raise LinkError(f"{where} refused access: check the user and the password") from None
    if answer[0] > 6:
        raise LinkError(f"{where} is no q process: it answered the handshake with 0x{answer.hex()}")
