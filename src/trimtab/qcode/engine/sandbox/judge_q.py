"""Is what a q program returned what its test expects? Expected values are evaluated here, apart from every program."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from trimtab.qcode.engine.protocol import CallTest, Comparison, Program, Status, Test, TestResult, TextTest
from trimtab.qcode.engine.sandbox import qvalues
from trimtab.qcode.engine.sandbox.answers import Failure
from trimtab.qcode.engine.sandbox.jobs import CallJob, Job, Setting
from trimtab.qcode.engine.sandbox.station import BadTest
from trimtab.qcode.problems.alike import alike
from trimtab.qcode.q import display
from trimtab.qcode.q.comparison import match
from trimtab.qcode.q.errors import QError, Unsupported
from trimtab.qcode.q.lists import items
from trimtab.qcode.q.session import Session
from trimtab.qcode.q.values import Q, Vec

_SHOWN = 120
Call = CallTest | TextTest


_values: dict[str, Q] = {}
_MOST_VALUES = 20_000


def expected_value(text: str) -> Q:
    """The value of an expected expression. Raises BadTest where it has none, Unsupported for a gap of the interpreter."""
    if text not in _values:
        if len(_values) >= _MOST_VALUES:
            _values.clear()
        try:
            _values[text] = Session().value(text)
        except QError as error:
            raise BadTest(f"a test's expected value {text[:_SHOWN]!r} is an error in q: '{error}") from None
    return _values[text]


def _key(x: Q) -> tuple[int, float, str]:
    """By what unordered items are sorted: numbers by size, the rest by their text."""
    if isinstance(x, (bool, int, float)) and x == x:
        return 0, float(x), ""
    return 1, 0.0, display.one_line(x)


def _unordered(x: Q, y: Q) -> bool:
    if not (isinstance(x, Vec) and isinstance(y, Vec)) or len(x) != len(y):
        return alike(x, y)
    pairs = zip(sorted(items(x), key=_key), sorted(items(y), key=_key), strict=True)
    return all(alike(a, b) for a, b in pairs)


def equal(x: Q, y: Q, comparison: Comparison) -> bool:
    """``exact``: as q's ``~``, types too. ``loose``: see ``alike``. ``unordered``: loose, the order of items aside."""
    if comparison == "exact":
        return bool(match(x, y))
    return _unordered(x, y) if comparison == "unordered" else alike(x, y)


def shown(text: str) -> str:
    """Console text without blanks at the ends of lines, nor empty lines at the end."""
    return "\n".join(line.rstrip() for line in text.rstrip().split("\n"))


def _asked(test: Call) -> str:
    if test.arguments is None:
        return str(getattr(test, "expression", ""))[:_SHOWN]
    return f"[{'; '.join(test.arguments)}]"[:_SHOWN]


def _compared(test: Call, value: Q) -> tuple[bool, str]:
    """Whether a value is right, and how it reads."""
    if isinstance(test, TextTest):
        text = shown(display.show(value))
        return text == shown(test.expected), text
    return equal(value, expected_value(test.expected), test.comparison), display.one_line(value)


def judge(test: Call, answer: bytes) -> TestResult:
    """The result of a test, from what the program returned."""
    if isinstance(test, TextTest) and qvalues.enumerated(answer):
        return TestResult(Status.UNSUPPORTED, "the console text of an enumeration")
    try:
        passed, got = _compared(test, qvalues.decode(answer))
    except BadTest:
        raise
    except Unsupported as error:
        return TestResult(Status.UNSUPPORTED, str(error))
    except (QError, ValueError, TypeError, AttributeError, KeyError, IndexError) as error:
        return TestResult(Status.ERROR, f"returned what cannot be compared ({error})")
    if passed:
        return TestResult(Status.PASSED)
    return TestResult(Status.WRONG, f"{_asked(test)} gave {got[:_SHOWN]}, expected {str(test.expected)[:_SHOWN]}")


def _call(test: Call) -> Any:
    return list(test.arguments) if test.arguments is not None else getattr(test, "expression", "")


def _complain(tests: Sequence[Call], index: int, found: Failure) -> None:
    raise BadTest(f"the arguments {_asked(tests[index])} of a test are an error in q: {found.detail}")


def jobs(setting: Setting, program: Program, tests: Sequence[Test]) -> list[tuple[list[int], Callable[[bool], Job]]]:
    """The jobs of a program: positions of their tests, and a maker. Raises ValueError for tests that are not for q."""
    calls = [test for test in tests if isinstance(test, (CallTest, TextTest))]
    if len(calls) < len(tests):
        raise ValueError("an assertion test is for python programs, not for q")
    request = setting.request("calls", program.code, program.entry_point, calls=[_call(test) for test in calls])
    judges = [partial(judge, test) for test in calls]
    complain = partial(_complain, calls)
    return [(list(range(len(calls))), lambda _: CallJob(setting, request, judges, complain))]
