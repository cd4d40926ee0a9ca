"""How does a real q process grade a program? It gets statements and arguments, and returns values; the rest is done here.

Arguments and expected values are evaluated by the embedded interpreter, apart from the program; expected ones never leave.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence

from trimtab.qcode.engine.kdb.link import Asked, Link, LinkError
from trimtab.qcode.engine.kdb.messages import TooLong
from trimtab.qcode.engine.protocol import CallTest, Limits, Program, Status, Test, TestResult, TextTest
from trimtab.qcode.engine.sandbox import judge_q, qvalues
from trimtab.qcode.engine.sandbox.station import BadTest
from trimtab.qcode.q.errors import QError, Unsupported
from trimtab.qcode.q.scripts import statements
from trimtab.qcode.q.session import Session
from trimtab.qcode.q.values import Q, Vec, chars

_ERRORS = {"stop": Status.TIMEOUT, "wsfull": Status.MEMORY, "noupdate": Status.FORBIDDEN, "access": Status.FORBIDDEN}
_RUN = chars("{value x;}")
"""Runs a statement and gives nothing back: what a program assigns may be long."""
_EMBEDDED = threading.Lock()
"""The embedded interpreter runs in one thread at a time."""
Broken = Callable[[LinkError], TestResult]


def grade(
    link: Link, program: Program, tests: Sequence[Test], limits: Limits, broken: Broken | None = None
) -> list[TestResult]:
    """A result for each test. ``broken``: what a broken link says of the program; None: nothing, LinkError is raised.

    Raises BadTest, ValueError, LinkError, BadMessage.
    """
    requests = [_request(program, test) for test in tests]
    asking = _Asking(link, limits, broken)
    try:
        script = statements(program.code)
    except QError as error:
        return [TestResult(Status.ERROR, f"'{error}")] * len(tests)
    for statement in script:
        text = f"system {_quoted(statement[1:])}" if statement.startswith("\\") else statement
        failed = asking.value(Vec(0, [_RUN, chars(text)]))
        if isinstance(failed, TestResult):
            return [failed] * len(tests)
    return [_result(asking, test, request) for test, request in zip(tests, requests, strict=True)]


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _request(program: Program, test: Test) -> Q | TestResult:
    """What to ask for a test; a result where the embedded interpreter cannot evaluate its arguments."""
    if not isinstance(test, (CallTest, TextTest)):
        raise ValueError("an assertion test is for python programs, not for q")
    if test.arguments is None:
        return chars(str(getattr(test, "expression", "")))
    if not test.arguments:
        return chars(program.entry_point + "[]")
    try:
        with _EMBEDDED:
            values = [Session().value(text) for text in test.arguments]
    except QError as error:
        raise BadTest(f"the arguments {test.arguments} of a test are an error in q: '{error}") from None
    except Unsupported as error:
        return TestResult(Status.UNSUPPORTED, str(error))
    return Vec(0, [chars(program.entry_point), *values])


class _Asking:
    """Asks on behalf of one program, within its limits; what ends the talk is the answer to all that follows."""

    def __init__(self, link: Link, limits: Limits, broken: Broken | None) -> None:
        self._link, self._broken, self._most_bytes = link, broken, limits.result_bytes
        self._end = time.monotonic() + limits.wall_seconds
        self._ended: TestResult | None = None

    def value(self, request: Q) -> Q | TestResult:
        """The value of a request, or why there is none."""
        if self._ended is not None:
            return self._ended
        try:
            return self._link.ask(request, max(0.0, self._end - time.monotonic()), self._most_bytes)
        except QError as error:
            return TestResult(_ERRORS.get(error.text, Status.ERROR), f"'{error}")
        except Unsupported as error:
            return TestResult(Status.UNSUPPORTED, str(error))
        except TimeoutError as error:
            self._ended = TestResult(Status.TIMEOUT, str(error))
        except TooLong as error:
            self._ended = TestResult(Status.ERROR, f"returned too much: {error}")
        except Asked:
            self._ended = TestResult(Status.FORBIDDEN, "it asked its grader for something")
        except LinkError as error:
            if self._broken is None:
                raise
            self._ended = self._broken(error)
        return self._ended


def _result(asking: _Asking, test: Test, request: Q | TestResult) -> TestResult:
    assert isinstance(test, (CallTest, TextTest))
    value = request if isinstance(request, TestResult) else asking.value(request)
    if isinstance(value, TestResult):
        return value
    try:
        with _EMBEDDED:
            return judge_q.judge(test, qvalues.encode(value))
    except BadTest:
        raise
    except Unsupported as error:
        return TestResult(Status.UNSUPPORTED, str(error))
    except (QError, ValueError) as error:
        return TestResult(Status.ERROR, f"returned what cannot be compared ({error})")
