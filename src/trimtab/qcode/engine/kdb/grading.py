"""How does a real q process grade a program? It gets statements and arguments, and returns values; the rest is done here.

Arguments and expected values are evaluated by the embedded interpreter, apart from the program; expected ones never leave.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

from trimtab.qcode.engine.kdb.link import Link
from trimtab.qcode.engine.protocol import CallTest, Limits, Program, Status, Test, TestResult, TextTest
from trimtab.qcode.engine.sandbox import judge_q, qvalues
from trimtab.qcode.engine.sandbox.station import BadTest
from trimtab.qcode.q.errors import QError, Unsupported
from trimtab.qcode.q.scripts import statements
from trimtab.qcode.q.session import Session
from trimtab.qcode.q.values import Q, Vec, chars

_ERRORS = {"stop": Status.TIMEOUT, "wsfull": Status.MEMORY, "noupdate": Status.FORBIDDEN, "access": Status.FORBIDDEN}


def grade(link: Link, program: Program, tests: Sequence[Test], limits: Limits) -> list[TestResult]:
    """A result for each test. Raises BadTest, ValueError, LinkError, BadMessage."""
    asked = [_request(program, test) for test in tests]
    end = time.monotonic() + limits.wall_seconds
    for statement in statements(program.code):
        text = f"system {_quoted(statement[1:])}" if statement.startswith("\\") else statement
        failed = _value(link, chars(text), end)
        if isinstance(failed, TestResult) and failed.status != Status.UNSUPPORTED:
            return [failed] * len(tests)
    return [_result(link, test, one, end) for test, one in zip(tests, asked, strict=True)]


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
        values = [Session().value(text) for text in test.arguments]
    except QError as error:
        raise BadTest(f"the arguments {test.arguments} of a test are an error in q: '{error}") from None
    except Unsupported as error:
        return TestResult(Status.UNSUPPORTED, str(error))
    return Vec(0, [chars(program.entry_point), *values])


def _value(link: Link, request: Q, end: float) -> Q | TestResult:
    try:
        return link.ask(request, max(0.0, end - time.monotonic()))
    except QError as error:
        return TestResult(_ERRORS.get(error.text, Status.ERROR), f"'{error}")
    except Unsupported as error:
        return TestResult(Status.UNSUPPORTED, str(error))
    except TimeoutError as error:
        return TestResult(Status.TIMEOUT, str(error))


def _result(link: Link, test: Test, request: Q | TestResult, end: float) -> TestResult:
    assert isinstance(test, (CallTest, TextTest))
    value = request if isinstance(request, TestResult) else _value(link, request, end)
    if isinstance(value, TestResult):
        return value
    try:
        return judge_q.judge(test, qvalues.encode(value))
    except BadTest:
        raise
    except Unsupported as error:
        return TestResult(Status.UNSUPPORTED, str(error))
    except (QError, ValueError) as error:
        return TestResult(Status.ERROR, f"returned what cannot be compared ({error})")
