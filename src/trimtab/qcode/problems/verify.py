"""Can a file of problems be trusted as a judge? ``trimtab qcode verify FILE``.

For each problem: its references pass, a second run agrees with the first, the empty program fails, and its hidden tests
tell mutants of the reference from the reference (the kill rate).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from trimtab.qcode.engine.protocol import Executor, Program, Status, Test, Verdict
from trimtab.qcode.problems import mutants
from trimtab.qcode.problems.format import Problem

EMPTY = ""


@dataclass(frozen=True)
class Check:
    """What verification found about a problem."""

    id: str
    family: str
    references: int
    passing: int
    agreeing: bool
    """A second run of the references gave the same results."""
    empty_fails: bool
    unsupported: bool
    """The engine lacks something that a reference uses: says nothing about the problem."""
    mutants: int
    killed: int
    survivors: tuple[str, ...]
    detail: str

    @property
    def sound(self) -> bool:
        """Whether the problem may grade programs."""
        return 0 < self.references == self.passing and self.agreeing and self.empty_fails

    @property
    def kill_rate(self) -> float:
        """The share of mutants that the hidden tests fail; 1 where there are no mutants."""
        return self.killed / self.mutants if self.mutants else 1.0


@dataclass(frozen=True)
class Settings:
    """How thoroughly to look."""

    mutants: int = 20
    """At most so many mutants of each reference, besides the constant answers."""
    seed: int = 0
    """Which mutants are drawn."""
    batch: int = 200
    """So many programs are handed to the executor at once."""


def _run(
    executor: Executor, programs: Sequence[Program], tests: Sequence[Sequence[Test]], batch: int
) -> Iterator[Verdict]:
    for start in range(0, len(programs), batch):
        yield from executor.run(programs[start : start + batch], tests[start : start + batch])


def _grading(problem: Problem) -> tuple[Test, ...]:
    return problem.hidden or problem.tests


def _statuses(verdict: Verdict) -> list[Status]:
    return [test.status for test in verdict.tests]


def _check(problem: Problem, wrong: Sequence[str], verdicts: Sequence[Verdict]) -> Check:
    count = len(problem.references)
    first, second, empty, rest = (
        verdicts[:count],
        verdicts[count : 2 * count],
        verdicts[2 * count],
        verdicts[2 * count + 1 :],
    )
    survivors = tuple(code for code, verdict in zip(wrong, rest, strict=True) if verdict.passed)
    failing = next((verdict for verdict in first if not verdict.passed), None)
    return Check(
        id=problem.id,
        family=problem.tags[0] if problem.tags else "",
        references=count,
        passing=sum(verdict.passed for verdict in first),
        agreeing=all(_statuses(a) == _statuses(b) for a, b in zip(first, second, strict=True)),
        empty_fails=not empty.passed,
        unsupported=any(verdict.status == Status.UNSUPPORTED for verdict in first),
        mutants=len(wrong),
        killed=len(wrong) - len(survivors),
        survivors=survivors,
        detail=f"{failing.status}: {failing.detail}" if failing else "" if count else "no reference",
    )


def verify(
    problems: Sequence[Problem], executor: Executor, settings: Settings, report: Callable[[Check], Any] = lambda _: None
) -> list[Check]:
    """Check all ``problems`` (of one language); ``report`` hears of each check as it ends."""
    checks: list[Check] = []
    for problem in problems:
        wrong = mutants.of_problem(problem, settings.mutants, settings.seed)
        codes = [*problem.references, *problem.references, EMPTY, *wrong]
        every, grading = problem.tests, _grading(problem)
        tests = [every] * (2 * len(problem.references)) + [grading] * (1 + len(wrong))
        verdicts = list(_run(executor, [problem.program(code) for code in codes], tests, settings.batch))
        checks.append(_check(problem, wrong, verdicts))
        report(checks[-1])
    return checks


def row(name: str, checks: Sequence[Check]) -> dict[str, Any]:
    """The figures of some checks together."""
    total = sum(check.mutants for check in checks)
    return {
        "family": name,
        "problems": len(checks),
        "references_pass": sum(0 < check.references == check.passing for check in checks),
        "repeats_agree": sum(check.agreeing for check in checks),
        "empty_fails": sum(check.empty_fails for check in checks),
        "unsupported": sum(check.unsupported for check in checks),
        "mutants": total,
        "kill_rate": sum(check.killed for check in checks) / total if total else None,
    }


def rows(checks: Sequence[Check]) -> list[dict[str, Any]]:
    """A row for each family, and one for all."""
    names = list(dict.fromkeys(check.family for check in checks))
    return [*(row(name, [c for c in checks if c.family == name]) for name in names), row("all", checks)]


def as_json(checks: Sequence[Check]) -> dict[str, Any]:
    """What ``--json`` writes."""
    return {
        "rows": rows(checks),
        "problems": [{**asdict(check), "sound": check.sound, "kill_rate": check.kill_rate} for check in checks],
    }
