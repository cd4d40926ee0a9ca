"""Is what a python program returned what its test expects? Compared as JSON: nothing of the program's is asked."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from trimtab.qcode.engine.protocol import AssertionTest, CallTest, Program, Status, Test, TestResult, TextTest
from trimtab.qcode.engine.sandbox import plainvalues, same
from trimtab.qcode.engine.sandbox.jobs import AssertionJob, CallJob, Job, Setting, WeakJob
from trimtab.qcode.engine.sandbox.station import BadTest

_SHOWN = 120


def _read(test: CallTest) -> same.Plain:
    """The expected value as it is compared."""
    try:
        return same.read(plainvalues.encode(test.expected))
    except plainvalues.NotPlain as error:
        raise BadTest(f"a test's expected value {test.expected!r:.{_SHOWN}} cannot be compared: {error}") from None


def judge(test: CallTest, answer: bytes) -> TestResult:
    """The result of a test, from what the program returned."""
    try:
        got = same.read(answer)
    except ValueError as error:
        return TestResult(Status.ERROR, f"returned what is no value ({error})")
    if same.same(got, _read(test), test.comparison):
        return TestResult(Status.PASSED)
    asked = ", ".join(map(repr, test.arguments))[:_SHOWN]
    gave = answer[:_SHOWN].decode(errors="replace")
    return TestResult(Status.WRONG, f"({asked}) gave {gave}, expected {test.expected!r:.{_SHOWN}}")


def _arguments(test: CallTest) -> object:
    try:
        return [plainvalues.plain(argument) for argument in test.arguments]
    except plainvalues.NotPlain as error:
        raise BadTest(f"a test's arguments {test.arguments!r:.{_SHOWN}} cannot be passed on: {error}") from None


def _call_job(setting: Setting, program: Program, tests: Sequence[CallTest]) -> Callable[[bool], Job]:
    calls = [_arguments(test) for test in tests]
    request = setting.request("calls", program.code, program.entry_point, calls=calls)
    judges = [partial(judge, test) for test in tests]
    return lambda _: CallJob(setting, request, judges)


def _assertion_job(setting: Setting, program: Program, tests: Sequence[AssertionTest]) -> Callable[[bool], Job]:
    plain = [{"code": test.code, "prelude": test.prelude, "call": test.call} for test in tests]
    code, entry = program.code, program.entry_point

    def make(weak: bool) -> Job:
        if weak:
            return WeakJob(setting, setting.request("weak", code, entry, tests=plain), len(tests))
        serve = setting.request("serve", code, entry)
        assertions = setting.request("assertions", "", entry, tests=plain)
        return AssertionJob(setting, serve, assertions, len(tests))

    return make


def jobs(setting: Setting, program: Program, tests: Sequence[Test]) -> list[tuple[list[int], Callable[[bool], Job]]]:
    """The jobs of a program: positions of their tests, and a maker. Raises ValueError for tests that are not for python."""
    if any(isinstance(test, TextTest) for test in tests):
        raise ValueError("a test of console text is for q programs, not for python")
    calls = {place: test for place, test in enumerate(tests) if isinstance(test, CallTest)}
    assertions = {place: test for place, test in enumerate(tests) if isinstance(test, AssertionTest)}
    found: list[tuple[list[int], Callable[[bool], Job]]] = []
    if calls:
        found.append((list(calls), _call_job(setting, program, list(calls.values()))))
    if assertions:
        found.append((list(assertions), _assertion_job(setting, program, list(assertions.values()))))
    return found
