"""Do two engines grade alike? The programs of a file of problems are run by both, and every test's status compared.

Programs are each problem's references, mutants of them and the empty program: right, nearly right and wrong ones.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from trimtab.qcode.engine.protocol import Executor, Status, TestResult
from trimtab.qcode.problems import mutants
from trimtab.qcode.problems.format import Problem

Kind = Literal["passing", "failure"]


@dataclass(frozen=True)
class Difference:
    """A test of a program that two engines end differently."""

    id: str
    code: str
    test: int
    """Its position among the problem's tests."""
    kind: Kind
    """passing: one engine passes it, the other does not. failure: both fail it, not in the same way."""
    statuses: tuple[Status, Status]
    details: tuple[str, str]


@dataclass(frozen=True)
class Compared:
    """A problem's programs by two engines, test by test."""

    id: str
    family: str
    programs: int
    tests: int
    agree: int
    unsupported: int
    """An engine lacks something: nothing to compare."""
    differences: tuple[Difference, ...]

    def count(self, kind: Kind) -> int:
        """The differences of a kind."""
        return sum(difference.kind == kind for difference in self.differences)


def _difference(id_: str, code: str, place: int, pair: tuple[TestResult, TestResult]) -> Difference:
    statuses = (pair[0].status, pair[1].status)
    kind: Kind = "passing" if Status.PASSED in statuses else "failure"
    return Difference(id_, code, place, kind, statuses, (pair[0].detail, pair[1].detail))


def _compared(problem: Problem, executors: Sequence[Executor], most: int, seed: int) -> Compared:
    codes = [*problem.references, *mutants.of_problem(problem, most, seed), ""]
    programs = [problem.program(code) for code in codes]
    first, second = (executor.run(programs, [problem.tests] * len(codes)) for executor in executors)
    agree, unsupported, differences = 0, 0, list[Difference]()
    for code, a, b in zip(codes, first, second, strict=True):
        for place, pair in enumerate(zip(a.tests, b.tests, strict=True)):
            if Status.UNSUPPORTED in (pair[0].status, pair[1].status):
                unsupported += 1
            elif pair[0].status == pair[1].status:
                agree += 1
            else:
                differences.append(_difference(problem.id, code, place, pair))
    family = problem.tags[0] if problem.tags else ""
    total = len(codes) * len(problem.tests)
    return Compared(problem.id, family, len(codes), total, agree, unsupported, tuple(differences))


def crosscheck(
    problems: Sequence[Problem],
    executors: tuple[Executor, Executor],
    mutants_each: int = 5,
    seed: int = 0,
    report: Callable[[Compared], Any] = lambda _: None,
) -> list[Compared]:
    """Compare two engines over ``problems`` (of one language); ``report`` hears of each as it ends. Raises InfraError."""
    found: list[Compared] = []
    for problem in problems:
        found.append(_compared(problem, executors, mutants_each, seed))
        report(found[-1])
    return found


def _row(name: str, some: Sequence[Compared]) -> dict[str, Any]:
    return {
        "family": name,
        "problems": len(some),
        "programs": sum(one.programs for one in some),
        "tests": sum(one.tests for one in some),
        "agree": sum(one.agree for one in some),
        "differ_in_passing": sum(one.count("passing") for one in some),
        "differ_in_failure": sum(one.count("failure") for one in some),
        "unsupported": sum(one.unsupported for one in some),
    }


def rows(found: Sequence[Compared]) -> list[dict[str, Any]]:
    """A row for each family, and one for all."""
    names = list(dict.fromkeys(one.family for one in found))
    return [*(_row(name, [one for one in found if one.family == name]) for name in names), _row("all", found)]


def as_json(found: Sequence[Compared], engines: Sequence[str], levels: Sequence[str]) -> dict[str, Any]:
    """What ``--json`` writes."""
    return {
        "engines": [{"name": name, "isolation": level} for name, level in zip(engines, levels, strict=True)],
        "rows": rows(found),
        "differences": [asdict(difference) for one in found for difference in one.differences],
    }
