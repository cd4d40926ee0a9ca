"""What does a confined process do with a python program?

Runs it, then answers calls of its function, until the grader ends it.

Everything here shares its process with the program, which may change any of it: only values that the grader compares with
its own leave, and no expected value ever comes here. The exception are assertions whose arguments cannot be passed by value
(``weak``).
"""

from __future__ import annotations

import builtins
import errno
import gc
import json
import sys
from collections.abc import Callable
from typing import Any

from trimtab.qcode.engine.protocol import Status
from trimtab.qcode.engine.sandbox import answers, plainvalues
from trimtab.qcode.engine.sandbox.confine import CHANNEL
from trimtab.qcode.engine.sandbox.frames import framed, receive, send

DENIED = frozenset((errno.EPERM, errno.EACCES, errno.EROFS, errno.EAGAIN, errno.ENETUNREACH, errno.EFBIG, errno.EMFILE))
"""What the system says where isolation refuses: not allowed, read-only, no process, no network, no writing, no files."""


def _text(error: BaseException) -> str:
    try:
        return f"{type(error).__name__}: {str(error)[: answers.MOST_TEXT]}"
    except BaseException:  # noqa: BLE001
        return type(error).__name__


def _status(error: BaseException) -> Status:
    if isinstance(error, MemoryError):
        return Status.MEMORY
    if isinstance(error, OSError) and error.errno in DENIED:
        return Status.FORBIDDEN
    return Status.ERROR


def failure(error: BaseException, load: bool = False) -> bytes:
    """The answer for an exception of the program."""
    status = _status(error)
    kind = type(error).__name__
    error.__traceback__ = error.__context__ = error.__cause__ = None  # lets go of what the frames held
    return answers.failed(status, _text(error), kind, load)


def load(code: str, name: str = "program") -> dict[str, Any]:
    """Run a text as a module; its names. Raises what it raises."""
    names: dict[str, Any] = {"__name__": name, "__builtins__": builtins, "__doc__": None}
    exec(compile(code, f"<{name}>", "exec"), names)
    return names


def entry(names: dict[str, Any], point: str) -> Callable[..., Any]:
    """The function that tests call: a name, or an expression such as ``Solution().solve``."""
    if point.isidentifier() and point not in names:
        raise NameError(f"the program does not define {point}")
    return eval(point, names)


def _encoded(value: Any, most_bytes: int) -> bytes:
    data = plainvalues.encode(value)
    if len(data) > most_bytes:
        raise ValueError(f"returned {len(data)} bytes, encoded: at most {most_bytes} are taken")
    return answers.VALUE + data


def _answer(function: Callable[..., Any], arguments: Any, most_bytes: int) -> bytes:
    try:
        return _encoded(function(*plainvalues.revived(arguments)), most_bytes)
    except BaseException as error:  # noqa: BLE001
        return failure(error)


def _calls(function: Callable[..., Any], request: dict[str, Any]) -> None:
    """Answer each call that the request lists, in order."""
    for arguments in request["calls"]:
        send(CHANNEL, _answer(function, arguments, request["most_bytes"]))


def _serve(function: Callable[..., Any], request: dict[str, Any]) -> None:
    """Answer calls as they come."""
    while True:
        send(CHANNEL, _answer(function, json.loads(receive(CHANNEL)), request["most_bytes"]))


def _weak(function: Callable[..., Any], request: dict[str, Any]) -> None:
    """Run assertions beside the program."""
    from trimtab.qcode.engine.sandbox import assertions

    for test in request["tests"]:
        send(CHANNEL, assertions.outcome(test, request["entry"], function))


_MODES = {"calls": _calls, "serve": _serve, "weak": _weak}


def main() -> None:
    """Read a request, do it."""
    request: dict[str, Any] = json.loads(receive(CHANNEL))
    sys.setrecursionlimit(request["recursion"])
    gc.enable()
    if request["mode"] == "assertions":
        from trimtab.qcode.engine.sandbox import assertions

        assertions.main(request)
        return
    try:
        function = entry(load(request["code"]), request["entry"])
    except BaseException as error:  # noqa: BLE001
        send(CHANNEL, failure(error, load=True))
        return
    _MODES[request["mode"]](function, request)


WARM = " ".join(
    (
        "abc array ast base64 binascii bisect builtins calendar cmath codecs collections collections.abc contextlib copy",
        "ctypes dataclasses datetime decimal enum errno fractions functools gc hashlib heapq inspect io itertools json",
        "keyword math numbers operator os queue random re secrets select signal socket statistics string struct subprocess",
        "sys textwrap threading time traceback types typing unicodedata uuid warnings weakref zlib _strptime",
        "encodings.latin_1 encodings.ascii encodings.idna trimtab.qcode.engine.sandbox.assertions",
    )
).split()
"""Modules that programs may import: those that are loaded before isolation, since no file is read after it.

The fewer, the cheaper is each process. ``Sandboxed(modules=...)`` adds to them.
"""
_ROUNDS = 30
"""So often is a sample run that python's specialised instructions are in place: later processes need not write them."""
_SAMPLE = {
    "mode": "calls",
    "code": "import math\n\ndef f(x):\n    return [y * 2 for y in sorted(x)], {'a': (1.5, None)}",
    "entry": "f",
    "calls": [[[1, 2, 3]], [[]], [["a", "b"]]],
    "most_bytes": 1000,
}


def _rehearse() -> None:
    """Do what a process does, in this one."""
    request = json.loads(json.dumps(_SAMPLE))
    names = load(request["code"])
    for arguments in request["calls"]:
        framed(_answer(entry(names, request["entry"]), arguments, request["most_bytes"]))


def warm(extra: list[str]) -> None:
    """Load what programs may import. Raises ImportError where a module is missing."""
    import importlib

    for name in (*WARM, *extra):
        importlib.import_module(name)
    for _ in range(_ROUNDS):
        _rehearse()
