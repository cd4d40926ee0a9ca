"""What runs in the process of a program under PyKX? Requests are read from one pipe and answered on another.

Started as a script, by its path: ``python pykx_child.py READING WRITING BYTES``. It needs nothing of trimtab.
"""

from __future__ import annotations

import os
import struct
import sys
from collections.abc import Callable
from typing import Any

READY, UNLICENSED, FAILED = "ready", "unlicensed", "failed"
EVALUATE = '{{@[{{m:-8!value -9!"X"$2 cut x;$[{most}<count m;"l",string count m;"v",raze string m]}};x;{{"e",x}}]}}'
"""A message as hexadecimal text gives its answer: v and a message as hexadecimal text, l and its length where that is
too long, or e and the error."""
HEADER = 8


def _read(descriptor: int, n: int) -> bytes:
    out = b""
    while len(out) < n:
        piece = os.read(descriptor, n - len(out))
        if not piece:
            os._exit(0)
        out += piece
    return out


def _write(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]


def _answer(evaluate: Callable[[bytes], Any], message: bytes) -> bytes:
    """The response to a request."""
    try:
        found: bytes = evaluate(message.hex().encode()).py()
    except BaseException as error:  # noqa: BLE001
        found = b"e" + str(error).lstrip("'").encode()
    if found[:1] == b"v":
        out = bytearray.fromhex(found[1:].decode())
        out[1] = 2
        return bytes(out)
    if found[:1] == b"l":
        return struct.pack("<BBBBI", 1, 2, 0, 0, min(int(found[1:]), 2**32 - 1))
    body = b"\x80" + found[1:].replace(b"\0", b"") + b"\0"
    return struct.pack("<BBBBi", 1, 2, 0, 0, HEADER + len(body)) + body


def _evaluator(most: int) -> tuple[str, Any]:
    try:
        import pykx  # pyright: ignore
    except BaseException as error:  # noqa: BLE001
        word = UNLICENSED if "licen" in str(error).lower() else FAILED
        return f"{word} {type(error).__name__}: {' '.join(str(error).split())[:300]}", None
    if not getattr(pykx, "licensed", False):  # pyright: ignore
        return f"{UNLICENSED} pykx.licensed is False", None
    try:
        return READY, pykx.q(EVALUATE.format(most=most))  # pyright: ignore
    except BaseException as error:  # noqa: BLE001
        word = UNLICENSED if "licen" in str(error).lower() else FAILED
        return f"{word} {type(error).__name__}: {' '.join(str(error).split())[:300]}", None


def main(reading: int, writing: int, most: int) -> None:
    """Say how the import went, then answer until the pipe ends, by messages of at most ``most`` bytes."""
    word, evaluate = _evaluator(most)
    _write(writing, word.encode() + b"\n")
    while evaluate is not None:
        head = _read(reading, HEADER)
        size = struct.unpack_from("<I", head, 4)[0]
        _write(writing, _answer(evaluate, head + _read(reading, size - HEADER)))


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
