"""How are q programs graded in this very process? By the embedded interpreter, which reaches no file, network or system.

For verification of problems, whose programs are ours. Each program has a session of its own; arguments and expected values
are evaluated in another, so that nothing the program defines can change them.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

from trimtab.qcode.engine.protocol import (
    CallTest,
    Executor,
    Language,
    Program,
    Status,
    Test,
    TestResult,
    TextTest,
    Verdict,
    checked,
)
from trimtab.qcode.problems.alike import alike
from trimtab.qcode.q import display
from trimtab.qcode.q.errors import LimitError, Limits, QError, Unsupported
from trimtab.qcode.q.session import Session

LIMITS = Limits(steps=200_000, memory_bytes=256 << 20, depth=400)


@cache
def _clean(text: str) -> Any:
    """The value of an expression of a test, apart from any program."""
    return Session(LIMITS).value(text)


def _failed(error: QError | Unsupported) -> TestResult:
    if isinstance(error, Unsupported):
        return TestResult(Status.UNSUPPORTED, str(error))
    if isinstance(error, LimitError):
        return TestResult(Status.MEMORY if error.text == "wsfull" else Status.TIMEOUT, f"'{error.text}")
    return TestResult(Status.ERROR, f"'{error}")


def _value(session: Session, program: Program, test: CallTest | TextTest) -> Any:
    if test.arguments is None:
        assert isinstance(test, TextTest)
        assert test.expression is not None
        return session.value(test.expression)
    return session.apply(session.value(program.entry_point), [_clean(text) for text in test.arguments])


def _shown(text: str) -> str:
    return "\n".join(line.rstrip() for line in text.rstrip().split("\n"))


def _result(session: Session, program: Program, test: Test) -> TestResult:
    if not isinstance(test, (CallTest, TextTest)):
        raise ValueError("an assertion test is for python programs, not for q")
    try:
        value = _value(session, program, test)
        if isinstance(test, TextTest):
            passed, got = _shown(display.show(value)) == _shown(test.expected), _shown(display.show(value))
        else:
            passed, got = alike(value, _clean(test.expected)), display.one_line(value)
    except (QError, Unsupported) as error:
        return _failed(error)
    if passed:
        return TestResult(Status.PASSED)
    asked = "; ".join(test.arguments or ())
    return TestResult(Status.WRONG, f"[{asked}] gave {got[:120]}, expected {test.expected[:120]}")


def _verdict(program: Program, tests: Sequence[Test]) -> Verdict:
    session = Session(LIMITS, write=lambda _: None)
    try:
        session.value(program.code)
    except (QError, Unsupported) as error:
        return Verdict(tuple(_failed(error) for _ in tests), "inprocess")
    return Verdict(tuple(_result(session, program, test) for test in tests), "inprocess")


class InProcess:
    """An executor of q programs without isolation; nothing it runs can reach the machine, but it shares the process."""

    name = "q-inprocess"

    def run(self, programs: Sequence[Program], tests: Sequence[Sequence[Test]]) -> list[Verdict]:
        """A verdict for each program. Raises ValueError for programs that are not in q."""
        checked(programs, tests)
        other = next((program for program in programs if program.language != "q"), None)
        if other is not None:
            raise ValueError(f"a program in {other.language}: this executor runs q only")
        return [_verdict(program, some) for program, some in zip(programs, tests, strict=True)]

    def close(self) -> None:
        """Nothing is held."""


def executor(language: Language) -> Executor:
    """What verifies problems of a language. Raises ValueError where there is nothing."""
    if language == "q":
        return InProcess()
    raise ValueError("python programs are not run in this process: verify them with the sandbox's python executor")
