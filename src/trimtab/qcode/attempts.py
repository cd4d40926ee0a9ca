"""What did a model's answers do when they were run? Answers become attempts: text, program, verdict.

The engine's own failure is an InfraError and stops whoever asked; no attempt is ever made of it.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any, Literal, Self

from trimtab.qcode.engine.engines import QName, chosen, engine
from trimtab.qcode.engine.protocol import Executor, InfraError, Limits, Program, Status, Test, Verdict
from trimtab.qcode.extraction import Extraction, extract
from trimtab.qcode.problems.format import Problem
from trimtab.qcode.prompts import Format

ENGINES: dict[str, str] = {"q": "q-embedded", "python": "python"}
Isolation = Literal["auto", "seccomp", "bubblewrap", "bubblewrap+seccomp", "rlimits"]


@dataclass(frozen=True)
class Answer:
    """What a model wrote to a problem. ``ended``: it stopped by itself, and was not cut."""

    problem: Problem
    text: str
    ended: bool = True
    tokens: int = 0


@dataclass(frozen=True)
class Attempt:
    """An answer that was run: the outcome that rewards are measured of."""

    problem: Problem
    text: str
    extraction: Extraction
    verdict: Verdict
    ended: bool = True
    tokens: int = 0

    @property
    def status(self) -> Status:
        return self.verdict.status

    @property
    def scored(self) -> bool:
        """Whether the verdict says something about the program: a gap of the interpreter does not."""
        return all(test.status != Status.UNSUPPORTED for test in self.verdict.tests)


@dataclass(frozen=True)
class EngineSettings:
    """What runs the programs."""

    q: QName = "q-embedded"
    """The engine of q programs (docs/engines.md: the others keep programs apart less, or not at all)."""
    q_ipc: str | None = None
    """HOST:PORT of a running q process; chooses the engine q-ipc."""
    python: str = "python"
    """The engine of Python programs."""
    cpu_seconds: float = 2.0
    """Processor time of a program, all its tests together."""
    memory_mib: int = 256
    workers: int | None = None
    """Programs at a time; None: one for each core."""
    isolation: Isolation = "auto"
    cache: Path | None = None
    """A file in which verdicts are remembered; None: in memory."""

    def open(self, language: str) -> Executor:
        """The executor of a language. Raises ValueError for an engine that is not known."""
        limits = Limits(cpu_seconds=self.cpu_seconds, wall_seconds=3 * self.cpu_seconds, memory_mib=self.memory_mib)
        options: dict[str, Any] = {"limits": limits, "workers": self.workers, "isolation": self.isolation}
        name, more = (
            chosen(None if self.q == "q-embedded" else self.q, self.q_ipc) if language == "q" else (self.python, {})
        )
        return engine(name, **options, **more, cached=self.cache or True)


class Grader:
    """Runs answers, those of several languages at the same time. Counts the seconds it took."""

    def __init__(self, settings: EngineSettings, form: Format) -> None:
        self.settings = settings
        self.form: Format = form
        self.seconds = 0.0
        self._executors: dict[str, Executor] = {}

    def _executor(self, language: str) -> Executor:
        if language not in self._executors:
            self._executors[language] = self.settings.open(language)
        return self._executors[language]

    def run(self, answers: Sequence[Answer], tests: Sequence[Sequence[Test]]) -> list[Attempt]:
        """An attempt of each answer, run against its ``tests``. Raises InfraError, saying what to do."""
        begun = time.perf_counter()
        taken = [
            extract(a.text, self.form, language=a.problem.language, entry_point=a.problem.entry_point) for a in answers
        ]
        verdicts = self._verdicts([a.problem.program(e.code) for a, e in zip(answers, taken, strict=True)], tests)
        self.seconds += time.perf_counter() - begun
        return [
            Attempt(a.problem, a.text, e, v, a.ended, a.tokens)
            for a, e, v in zip(answers, taken, verdicts, strict=True)
        ]

    def _verdicts(self, programs: Sequence[Program], tests: Sequence[Sequence[Test]]) -> list[Verdict]:
        places: dict[str, list[int]] = {}
        for place, program in enumerate(programs):
            places.setdefault(program.language, []).append(place)
        executors = {language: self._executor(language) for language in places}

        def graded(language: str) -> Mapping[int, Verdict]:
            mine = places[language]
            found = executors[language].run([programs[p] for p in mine], [tests[p] for p in mine])
            return dict(zip(mine, found, strict=True))

        if not places:
            return []
        try:
            with ThreadPoolExecutor(len(places)) as threads:
                found = {place: v for part in threads.map(graded, places) for place, v in part.items()}
        except InfraError as error:
            raise InfraError(
                f"{error}. No reward was given for it. Look whether memory or processes ran out (fewer --engine.workers, "
                "more --engine.memory-mib), then go on from the last checkpoint by --resume"
            ) from error
        return [found[place] for place in range(len(programs))]

    def close(self) -> None:
        """End the engines' workers."""
        for executor in self._executors.values():
            executor.close()
        self._executors.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def grading_tests(problem: Problem) -> tuple[Test, ...]:
    """The tests that grade: the hidden ones, or all where none is hidden."""
    return problem.hidden or problem.tests


def drawn_tests(problem: Problem, most: int | None, seed: str) -> tuple[Test, ...]:
    """At most ``most`` of the grading tests, which ones depends on ``seed`` and the problem alone; None: all."""
    tests = grading_tests(problem)
    if most is None or len(tests) <= most:
        return tests
    places = sorted(Random(f"{seed} {problem.id}").sample(range(len(tests)), most))
    return tuple(tests[place] for place in places)
