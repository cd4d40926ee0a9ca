"""How are tests that are statements run? In a confined process of their own, with a stand-in for the program's function.

The stand-in passes arguments and values through the grader, in plain form; what the program raised is raised again, as the
builtin exception of that name. Where arguments have no plain form, the grader is told, and decides.
"""

from __future__ import annotations

import builtins
import json
import sys
from collections.abc import Callable
from typing import Any

from trimtab.qcode.engine.protocol import Status
from trimtab.qcode.engine.sandbox import answers, plainvalues
from trimtab.qcode.engine.sandbox.confine import CHANNEL
from trimtab.qcode.engine.sandbox.frames import receive, send


class ProgramError(Exception):
    """The program raised something that is no builtin exception."""


class _NotPlain(BaseException):
    """Arguments have no plain form. No test catches it by ``except Exception``."""


def _raised(failure: answers.Failure) -> Exception:
    found = getattr(builtins, failure.kind, None)
    plain = isinstance(found, type) and issubclass(found, Exception) and found is not AssertionError
    try:
        if plain and found is not None:
            return found(failure.detail.removeprefix(f"{failure.kind}: "))
    except TypeError:  # UnicodeDecodeError and its kin want more arguments
        pass
    return ProgramError(failure.detail)


def stand_in(*arguments: Any, **named: Any) -> Any:
    """Call the program's function, by value."""
    try:
        if named:
            raise plainvalues.NotPlain("named arguments")
        data = plainvalues.encode(list(arguments))
    except (plainvalues.NotPlain, RecursionError) as error:
        raise _NotPlain(str(error)) from None
    send(CHANNEL, answers.CALL + data)
    answer = receive(CHANNEL)
    if answer[:1] == answers.VALUE:
        return plainvalues.decode(answer[1:])
    raise _raised(answers.read_failure(answer[1:]))


def _run(test: dict[str, Any], name: str, function: Callable[..., Any]) -> None:
    names: dict[str, Any] = {"__name__": "tests", "__builtins__": builtins}
    exec(compile(test["prelude"], "<prelude>", "exec"), names)
    names["candidate"] = function
    if name.isidentifier():
        names[name] = function
    exec(compile(test["code"], "<test>", "exec"), names)
    if test["call"] is not None:
        names[test["call"]](function)


def _line(error: AssertionError) -> str:
    """Which line of the test failed, and what the assertion says."""
    place = error.__traceback__
    line = 0
    while place is not None:
        if place.tb_frame.f_code.co_filename == "<test>":
            line = place.tb_lineno
        place = place.tb_next
    return f"line {line} of the test: {str(error)[:200] or 'assertion failed'}"


def outcome(test: dict[str, Any], name: str, function: Callable[..., Any]) -> bytes:
    """Run one test; the answer for it."""
    from trimtab.qcode.engine.sandbox.run_python import failure

    try:
        _run(test, name, function)
    except _NotPlain as error:
        return answers.NOT_PLAIN + json.dumps(str(error)[: answers.MOST_TEXT]).encode()
    except AssertionError as error:
        return answers.failed(Status.WRONG, _line(error), "AssertionError")
    except BaseException as error:  # noqa: BLE001
        return failure(error)
    return answers.PASSED


def main(request: dict[str, Any]) -> None:
    """Run the tests of a request in order, with the stand-in."""
    sys.setrecursionlimit(max(1000, request["recursion"]))
    for test in request["tests"]:
        send(CHANNEL, outcome(test, request["entry"], stand_in))
