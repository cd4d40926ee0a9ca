"""What is asked of an executor, and what does it answer? ``run(programs, tests) -> verdicts``.

A zero is a statement about the program, never about the plumbing: what the sandbox itself did wrong is ``infra``, which
is retried and then raised as ``InfraError``; it never reaches a caller as a verdict.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Literal, Protocol

Language = Literal["q", "python"]
Comparison = Literal["loose", "exact", "unordered"]


class Status(StrEnum):
    """How a program, or one of its tests, ended."""

    PASSED = "passed"
    WRONG = "wrong"  # another value than expected, or a failed assertion
    ERROR = "error"  # it raised, exited, crashed, or gave nothing that can be passed on
    TIMEOUT = "timeout"
    MEMORY = "memory"
    FORBIDDEN = "forbidden"  # it tried what isolation denies
    UNSUPPORTED = "unsupported"  # a gap of the embedded interpreter: says nothing about the program
    INFRA = "infra"  # the sandbox's own failure: retried, then raised


class InfraError(RuntimeError):
    """The sandbox failed, not the program: no grade exists."""


@dataclass(frozen=True)
class Limits:
    """What one program may use, all its tests together."""

    cpu_seconds: float = 2.0
    """Processor time; also bounds waiting, see ``wall_seconds``."""
    wall_seconds: float = 6.0
    """Time on the wall, less the time for which the machine had no processor free for the program."""
    memory_mib: int = 256
    """Address space beyond what the warm worker has already."""
    result_bytes: int = 1 << 20
    """All the values a program returns, encoded."""
    recursion: int = 1000
    """Depth of calls in python programs (sys.setrecursionlimit)."""

    def __post_init__(self) -> None:
        if min(self.cpu_seconds, self.wall_seconds, self.memory_mib, self.result_bytes, self.recursion) <= 0:
            raise ValueError(f"{self}: every limit must be above 0")


@dataclass(frozen=True)
class Program:
    """Source text, and the function of it that tests call."""

    code: str
    entry_point: str
    language: Language = "q"


@dataclass(frozen=True)
class CallTest:
    """Call the program with ``arguments``; the value must be ``expected``.

    python: arguments and expected are values (None, bool, int, float, str, bytes, list, tuple, dict, set). q: each is
    text of a q expression, evaluated apart from the program, so that nothing it defines can change them.
    """

    arguments: tuple[Any, ...]
    expected: Any
    comparison: Comparison = "loose"
    hidden: bool = True


@dataclass(frozen=True)
class TextTest:
    """A q program's value must print as ``expected`` on a console. For data that is published that way; q only.

    The value is printed by the grader, never by the program. Either ``arguments`` (texts of q) for its entry point, or an
    ``expression`` evaluated after the program, where tests are more than a call.
    """

    expected: str
    arguments: tuple[str, ...] | None = None
    expression: str | None = None
    hidden: bool = True

    def __post_init__(self) -> None:
        if (self.arguments is None) == (self.expression is None):
            raise ValueError("a TextTest takes either arguments or an expression")


@dataclass(frozen=True)
class AssertionTest:
    """Python statements that raise unless the program is right (HumanEval, MBPP).

    They run in a process of their own and call the program's function by value. ``prelude`` runs before ``code``; then,
    where ``call`` is given, ``call(<the program's function>)``.
    """

    code: str
    prelude: str = ""
    call: str | None = None
    hidden: bool = True


Test = CallTest | TextTest | AssertionTest


@dataclass(frozen=True)
class TestResult:
    """One test's end, with a line for a person."""

    status: Status
    detail: str = ""

    __test__ = False  # no class of tests, whatever its name


@dataclass(frozen=True)
class Verdict:
    """A program's grade. ``status`` is that of its first test that did not pass."""

    tests: tuple[TestResult, ...]
    isolation: str = ""
    """The level in force when it ran."""
    weak: bool = False
    """Its tests shared a process with it (their arguments could not be passed by value): it may have cheated."""
    cpu_seconds: float = field(default=0.0, compare=False)
    wall_seconds: float = field(default=0.0, compare=False)

    @property
    def status(self) -> Status:
        """PASSED where all tests passed."""
        return next((test.status for test in self.tests if test.status != Status.PASSED), Status.PASSED)

    @property
    def detail(self) -> str:
        """The line of the first test that did not pass."""
        return next((test.detail for test in self.tests if test.status != Status.PASSED), "")

    @property
    def passed(self) -> bool:
        return bool(self.tests) and self.status == Status.PASSED

    @property
    def fraction(self) -> float:
        """Of tests passed."""
        return sum(test.status == Status.PASSED for test in self.tests) / max(1, len(self.tests))


class Executor(Protocol):
    """Runs programs, each against its own tests. Raises InfraError where that failed for reasons of the sandbox."""

    name: str

    def run(self, programs: Sequence[Program], tests: Sequence[Sequence[Test]]) -> list[Verdict]: ...
    def close(self) -> None: ...


def checked(programs: Sequence[Program], tests: Sequence[Sequence[Test]]) -> None:
    """Raise ValueError where there is not a list of tests, and at least one test, for each program."""
    if len(programs) != len(tests):
        raise ValueError(f"{len(programs)} programs with {len(tests)} lists of tests: give one list for each program")
    empty = [position for position, some in enumerate(tests) if not some]
    if empty:
        raise ValueError(f"program {empty[0]} has no tests: a program without tests cannot be graded")
