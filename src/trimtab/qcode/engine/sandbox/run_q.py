"""What does a confined process do with a q program? Runs it in the embedded interpreter, then calls its function.

Arguments are evaluated before, in another session, so that nothing the program defines can change them.
"""

from __future__ import annotations

import gc
import importlib
import json
import pkgutil
from typing import Any

from trimtab.qcode import q
from trimtab.qcode.engine.protocol import Status
from trimtab.qcode.engine.sandbox import answers, qvalues
from trimtab.qcode.engine.sandbox.confine import CHANNEL
from trimtab.qcode.engine.sandbox.frames import framed, receive, send
from trimtab.qcode.q.errors import Defect, LimitError, Limits, QError, Unsupported
from trimtab.qcode.q.session import Session

LIMITS = Limits(steps=1 << 62, memory_bytes=1 << 40, seconds=None, depth=1000)
"""The process has limits of its own, of which the grader can tell one from the other."""
DENIED = ("file", "handle", "connection", "system command", "process", "exit", "environment", "getenv", "setenv")
"""What the interpreter refuses for safety, by words of its messages; the rest that it refuses it does not have yet."""
_LATE = ("numpy.ma",)
"""What numpy itself loads only when it is needed (by ``med``, say): confined processes can load nothing."""
_SESSIONS: list[Session] = []
_ROUNDS = 30
"""So often is the sample run that python's specialised instructions are in place: later processes need not write them."""
_SAMPLE = (
    "f:{[x] a:sum 2*x; $[a>3;a;neg a]}",
    "t:([]a:1 2 3;b:`x`y`z)",
    "g:{x+y}/[0;1 2 3]; h:{[x;y] if[x>y;:x-y]; y}; i:0; while[i<3;i+:1]",
    'd:`a`b!1 2; r:select sum a by b from t; s:string 1.5; u:"a" vs "bab"; k:asc 3 1 2; v:@[{\'x};`e;::]',
    "m:count each (1 2;3 4 5); w:where 0=til[10] mod 2; y:1 2 3; e:y except 2; l:first reverse y; n:raze (1 2;enlist 3)",
    "(f 1 2;k)",
)
_VALUES = '(1 2f;`a;"x";"text";1.5;0b;([]a:1 2);`a`b!1 2;2020.01.01;til 5;enlist 7;`a`b)'


def _drop(text: str) -> None:
    """What a program prints is not looked at."""


def warm(extra: list[str]) -> None:
    """Make the sessions that the process will use, and run enough q that nothing is left to be loaded."""
    for name in (*(f"{q.__name__}.{module.name}" for module in pkgutil.iter_modules(q.__path__)), *_LATE):
        importlib.import_module(name)
    for _ in range(_ROUNDS):
        clean, session = Session(LIMITS, _drop), Session(LIMITS, _drop)
        asked = _arguments(clean, [["1 2 3"], ["enlist 4"]])
        for text in _SAMPLE:
            session.value(text)
        for one in asked:
            framed(_answer(session, "f", one, 1000))
        qvalues.encode(session.value(_VALUES))
    _SESSIONS[:] = [Session(LIMITS, _drop), Session(LIMITS, _drop)]


def failure(error: Exception, load: bool = False) -> bytes:
    """The answer for an error of q, or a gap of the interpreter."""
    if isinstance(error, Unsupported):
        denied = any(mark in str(error) for mark in DENIED) and not isinstance(error, Defect)
        return answers.failed(Status.FORBIDDEN if denied else Status.UNSUPPORTED, str(error), load=load)
    if isinstance(error, MemoryError) or (isinstance(error, LimitError) and error.text == "wsfull"):
        return answers.failed(Status.MEMORY, "'wsfull", load=load)
    return answers.failed(Status.ERROR, f"'{error}", load=load)


def _arguments(clean: Session, calls: list[list[str] | str]) -> list[list[Any] | bytes | str]:
    """For each call its arguments' values, or the answer that says what is wrong with them, or its expression as it is."""
    found: list[list[Any] | bytes | str] = []
    for call in calls:
        try:
            found.append(call if isinstance(call, str) else [clean.value(text) for text in call])
        except (QError, Unsupported) as error:
            answer = failure(error)
            bad = not isinstance(error, Unsupported)
            found.append(answers.failed(Status.ERROR, f"'{error}", answers.BAD_TEST) if bad else answer)
    return found


def _answer(session: Session, entry: str, asked: list[Any] | bytes | str, most_bytes: int) -> bytes:
    if isinstance(asked, bytes):
        return asked
    try:
        value = session.value(asked) if isinstance(asked, str) else session.apply(session.value(entry), asked)
        data = qvalues.encode(value)
    except (QError, Unsupported, ValueError, MemoryError) as error:
        return failure(error)
    if len(data) > most_bytes:
        return answers.failed(Status.ERROR, f"returned {len(data)} bytes, encoded: at most {most_bytes} are taken")
    return answers.VALUE + data


def main() -> None:
    """Read a request, do it."""
    clean, session = _SESSIONS
    request: dict[str, Any] = json.loads(receive(CHANNEL))
    gc.enable()
    asked = _arguments(clean, request["calls"])
    try:
        session.value(request["code"])
    except (QError, Unsupported, MemoryError) as error:
        send(CHANNEL, failure(error, load=True))
        return
    for one in asked:
        send(CHANNEL, _answer(session, request["entry"], one, request["most_bytes"]))
