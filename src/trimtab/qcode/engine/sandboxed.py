"""How are programs graded that nobody has read?

Each in a fresh confined process, many at a time; engines q-embedded, python.

with Sandboxed("q-embedded") as engine:
    verdicts = engine.run([Program("solve:{sum x}", "solve")], [[CallTest(("1 2 3",), "6")]])
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal, Self

from trimtab.qcode.engine import cache
from trimtab.qcode.engine.protocol import Language, Limits, Program, Test, TestResult, Verdict, checked
from trimtab.qcode.engine.sandbox import levels
from trimtab.qcode.engine.sandbox.jobs import Job, Setting
from trimtab.qcode.engine.sandbox.pool import Pool

Name = Literal["q-embedded", "python"]
LANGUAGES: dict[str, Language] = {"q-embedded": "q", "python": "python"}
Parts = list[tuple[list[int], Callable[[bool], Job]]]


class Sandboxed:
    """An executor of confined processes. Use it as a context, or ``close`` it."""

    def __init__(
        self,
        name: Name,
        limits: Limits | None = None,
        workers: int | None = None,
        isolation: levels.Isolation = "auto",
        modules: Sequence[str] = (),
        cached: bool | Path = False,
    ) -> None:
        """``workers``: processes at a time, one for each core where None. ``modules``: what python programs may import
        besides the standard library. ``cached``: whether verdicts are remembered, or the file to remember them in.

        Raises ValueError for names that are not known. That ``isolation`` is to be had shows at the first use:
        ``levels.Unavailable``, a ValueError.
        """
        if name not in LANGUAGES:
            raise ValueError(f"engine {name!r} is not run in the sandbox: expected one of {', '.join(LANGUAGES)}")
        if modules and name != "python":
            raise ValueError(f"modules {list(modules)}: only python programs import any")
        from trimtab.machine import cores

        self.name: str = name
        self.language: Language = LANGUAGES[name]
        self.limits = limits or Limits()
        self.pool = Pool(self.language, isolation, modules, cores() if workers is None else workers, self.limits)
        self.verdicts = cache.VerdictCache(None if cached is True else cached) if cached else None

    @property
    def isolation(self) -> str:
        """The level in force. Raises levels.Unavailable where what was asked for is not to be had."""
        return self.pool.level

    def run(self, programs: Sequence[Program], tests: Sequence[Sequence[Test]]) -> list[Verdict]:
        """A verdict for each program. Raises ValueError for what cannot be run or tested, InfraError where none exists."""
        checked(programs, tests)
        other = next((program for program in programs if program.language != self.language), None)
        if other is not None:
            raise ValueError(f"a program in {other.language}: the engine {self.name} runs {self.language} only")
        if not programs:
            return []
        if self.verdicts is None:
            return self._graded(programs, tests)
        return self._remembered(self.verdicts, programs, tests)

    def _remembered(
        self, kept: cache.VerdictCache, programs: Sequence[Program], tests: Sequence[Sequence[Test]]
    ) -> list[Verdict]:
        """Only what is not in the cache is run."""
        level, more = self.isolation, self.pool.modules
        keys = [
            cache.key(self.name, level, self.limits, program, some, more)
            for program, some in zip(programs, tests, strict=True)
        ]
        return cache.remembered(
            kept, keys, lambda places: self._graded([programs[p] for p in places], [tests[p] for p in places])
        )

    def _graded(self, programs: Sequence[Program], tests: Sequence[Sequence[Test]]) -> list[Verdict]:
        if not programs:
            return []
        from trimtab.qcode.engine.sandbox import judge_python, judge_q

        level = self.isolation
        setting = Setting(self.limits, levels.filtered(level))
        split = judge_q.jobs if self.language == "q" else judge_python.jobs
        parts = [split(setting, program, some) for program, some in zip(programs, tests, strict=True)]
        begun = time.monotonic()
        done = iter(self.pool.run([make for part in parts for _, make in part]))
        wall_seconds = (time.monotonic() - begun) / len(programs)
        return [
            _verdict([(places, next(done)) for places, _ in part], len(some), level, wall_seconds)
            for part, some in zip(parts, tests, strict=True)
        ]

    def close(self) -> None:
        """End the workers."""
        self.pool.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _verdict(jobs: Sequence[tuple[list[int], Job]], count: int, level: str, wall_seconds: float) -> Verdict:
    """One verdict from a program's jobs."""
    results: list[TestResult | None] = [None] * count
    for places, job in jobs:
        for place, result in zip(places, job.results, strict=True):
            results[place] = result
    assert None not in results
    return Verdict(
        tuple(result for result in results if result is not None),
        level,
        any(job.weak for _, job in jobs),
        sum(job.cpu_seconds for _, job in jobs),
        wall_seconds,
    )
