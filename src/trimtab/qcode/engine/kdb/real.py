"""What do the engines of real q share? Options, retries, several programs at a time, remembered verdicts.

A program's own failures are graded; what the plumbing does wrong is tried again, and then raised as InfraError.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Self, TypeVar

from trimtab.qcode.engine import cache
from trimtab.qcode.engine.kdb.link import LinkError
from trimtab.qcode.engine.kdb.messages import BadMessage
from trimtab.qcode.engine.protocol import InfraError, Limits, Program, Test, TestResult, Verdict, checked
from trimtab.qcode.engine.sandbox import levels

T = TypeVar("T")
ATTEMPTS = 3
PAUSES = (0.2, 1.0)
"""Seconds before the second and the third attempt."""


class Real(ABC):
    """An executor of q programs by a real q. Use it as a context, or ``close`` it."""

    name = ""

    def __init__(self, limits: Limits | None, workers: int, isolation: str, cached: bool | Path) -> None:
        self.limits = limits or Limits()
        if workers < 1:
            raise ValueError(f"{workers} workers: at least 1 is needed")
        self.workers, self.isolation = workers, isolation
        self.verdicts = cache.VerdictCache(None if cached is True else cached) if cached else None

    @abstractmethod
    def identity(self) -> str:
        """Which q this is: verdicts of another one do not count. Raises LinkError, BadMessage, TimeoutError."""

    @abstractmethod
    def _graded(self, program: Program, tests: Sequence[Test]) -> list[TestResult]: ...

    def run(self, programs: Sequence[Program], tests: Sequence[Sequence[Test]]) -> list[Verdict]:
        """A verdict for each program. Raises ValueError for what cannot be run or tested, InfraError where none exists."""
        checked(programs, tests)
        if any(program.language != "q" for program in programs):
            raise ValueError(f"the engine {self.name} runs q only")
        if self.verdicts is None or not programs:
            return self._all(programs, tests)
        about = self.attempted(self.identity)
        keys = [
            cache.key(self.name, self.isolation, self.limits, program, some, [about])
            for program, some in zip(programs, tests, strict=True)
        ]
        return cache.remembered(
            self.verdicts, keys, lambda places: self._all([programs[p] for p in places], [tests[p] for p in places])
        )

    def _all(self, programs: Sequence[Program], tests: Sequence[Sequence[Test]]) -> list[Verdict]:
        with ThreadPoolExecutor(min(self.workers, max(1, len(programs)))) as threads:
            return list(threads.map(self._verdict, programs, tests))

    def _verdict(self, program: Program, tests: Sequence[Test]) -> Verdict:
        begun = time.monotonic()
        results = self.attempted(lambda: self._graded(program, tests))
        return Verdict(tuple(results), self.isolation, wall_seconds=time.monotonic() - begun)

    def attempted(self, work: Callable[[], T]) -> T:
        """What ``work`` gives, tried again where the plumbing fails. Raises InfraError."""
        for pause in (*PAUSES, None):
            try:
                return work()
            except (LinkError, BadMessage, TimeoutError) as error:
                if pause is None:
                    raise InfraError(f"{self.name} failed {ATTEMPTS} times: {error}") from error
                time.sleep(pause)
        raise AssertionError

    def close(self) -> None:
        """Forget the verdicts; no process is held between batches."""
        self.verdicts = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def accepted(name: str, wish: str, level: str, implied: bool) -> str:
    """The level of isolation in force. ``implied``: whether ``auto`` may mean this level. Raises levels.Unavailable."""
    if wish == level or (wish == "auto" and implied):
        return level
    levels.candidates(wish)
    say = f"ask for --isolation {level} where you trust the programs" if not implied else "leave --isolation at auto"
    raise levels.Unavailable(
        f"the engine {name} keeps programs apart by {level!r} only, and {wish!r} was asked for: {say}, "
        "or take the engine q-embedded"
    )
