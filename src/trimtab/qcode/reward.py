"""What is an attempt worth? The tests it passed, a bonus for all of them, its form and its length, as parts of a rubric.

The original's reward is ``base * passed / total + perfect * (passed == total)`` with both weights 1. A timeout fails its
test and is counted apart; a feature that the interpreter lacks gives no reward at all (TRL leaves such a completion out of
its group), since it says nothing about the program.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from trimtab.qcode.attempts import Answer, Attempt, Grader, drawn_tests
from trimtab.qcode.engine.protocol import Status
from trimtab.qcode.problems.format import Problem
from trimtab.qcode.prompts import PromptSettings, answer
from trimtab.rewards import Measure, Part, Rubric, measure_from

Mode = Literal["fraction", "binary"]
GOLD, EMPTY = 1.0, 0.0


@dataclass(frozen=True)
class RewardSettings:
    """The parts and their weights. ``custom``: ``module:function=weight`` each, measures of attempts."""

    mode: Mode = "fraction"
    """fraction: the share of tests passed counts; binary: only all of them."""
    base_weight: float = 1.0
    """Of the share of tests passed."""
    perfect_weight: float = 1.0
    """Of passing all tests."""
    max_tests: int | None = 3
    """Hidden tests drawn for each problem at each step; None: all."""
    format_weight: float = 0.0
    """Of holding to the format that the prompt asks for."""
    length_weight: float = 0.0
    """Of being cut, or longer than ``soft_tokens``: from 0 down to -1."""
    soft_tokens: int = 400
    hard_tokens: int = 512
    custom: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.max_tests is not None and self.max_tests < 1:
            raise ValueError(f"max_tests {self.max_tests}: expected at least 1, or none for all")
        if not 0 <= self.soft_tokens < self.hard_tokens:
            raise ValueError(
                f"soft_tokens {self.soft_tokens}, hard_tokens {self.hard_tokens}: expected soft below hard"
            )


def fraction(attempts: Sequence[Attempt]) -> list[float]:
    """The share of tests passed."""
    return [attempt.verdict.fraction for attempt in attempts]


def perfect(attempts: Sequence[Attempt]) -> list[float]:
    """1 where all tests passed."""
    return [float(attempt.verdict.passed) for attempt in attempts]


def form(attempts: Sequence[Attempt]) -> list[float]:
    """1 where the answer has the form that was asked for."""
    return [float(attempt.extraction.well_formed) for attempt in attempts]


def overlong(soft: int, hard: int) -> Callable[[Sequence[Attempt]], list[float]]:
    """0 up to ``soft`` tokens, falling to -1 at ``hard``; -1 where it was cut (DAPO, arXiv:2503.14476, eq. 13)."""

    def measure(attempts: Sequence[Attempt]) -> list[float]:
        return [-min(1.0, max(0.0, (a.tokens - soft) / (hard - soft))) if a.ended else -1.0 for a in attempts]

    return measure


def custom_part(named: str) -> Part[Attempt]:
    """The part that ``module:function=weight`` names. Raises ValueError where it is not found, or has no weight."""
    name, equals, weight = named.partition("=")
    try:
        number = float(weight) if equals else 1.0
    except ValueError:
        raise ValueError(f"{named!r}: {weight!r} is no weight; expected module:function=0.5") from None
    return Part(name, number, measure_from(name))


def rubric_of(settings: RewardSettings) -> Rubric[Attempt]:
    """The reward as a rubric; parts of weight 0 are left out, so that all that is computed counts."""
    base = 0.0 if settings.mode == "binary" else settings.base_weight
    known: list[tuple[str, float, Measure[Attempt]]] = [
        ("tests", base, fraction),
        ("perfect", settings.perfect_weight, perfect),
        ("format", settings.format_weight, form),
        ("length", settings.length_weight, overlong(settings.soft_tokens, settings.hard_tokens)),
    ]
    parts = [Part(name, weight, measure) for name, weight, measure in known if weight]
    parts += [custom_part(named) for named in settings.custom]
    if not parts:
        raise ValueError("all weights of the reward are 0: nothing would be rewarded; give one at least")
    return Rubric(tuple(parts))


def check(problems: Sequence[Problem], prompt: PromptSettings, grader: Grader) -> None:
    """The judge before the contestant: every reference passes all tests (1.0), the empty answer fails (0.0).

    Raises ValueError naming the problems that cannot be trusted. What the engine lacks is named too.
    """
    referenced = [problem for problem in problems if problem.references]
    gold = [Answer(p, answer(p.references[0], p, prompt)) for p in referenced]
    found = grader.run(gold, [p.tests for p in referenced])
    wrong = [(a, "its reference gets " + _told(a)) for a in found if perfect([a])[0] != GOLD]
    empty = grader.run([Answer(p, "") for p in problems], [p.tests for p in problems])
    wrong += [
        (a, f"the empty answer passes {a.verdict.fraction:.0%} of its tests")
        for a in empty
        if fraction([a])[0] != EMPTY
    ]
    if wrong:
        shown = "; ".join(f"{a.problem.id}: {why}" for a, why in wrong[:5])
        more = f" (and {len(wrong) - 5} more)" if len(wrong) > 5 else ""
        raise ValueError(
            f"the reward cannot be trusted on {len(wrong)} of {len(problems)} problems. {shown}{more}. Mend or remove "
            "them; `trimtab qcode verify FILE` tells all of it"
        )


def _told(attempt: Attempt) -> str:
    return f"{attempt.verdict.fraction:.2f}, {attempt.status}: {attempt.verdict.detail}"[:160]


def status_shares(attempts: Sequence[Attempt]) -> dict[str, float]:
    """For every status the share of attempts that ended so: timeouts and gaps are not among the wrong ones."""
    counts = Counter(attempt.status for attempt in attempts)
    return {f"status/{status}": counts[status] / max(1, len(attempts)) for status in Status if status != Status.INFRA}


class CodeReward:
    """The rubric as TRL calls it: asynchronous, one number per completion, None for what cannot be judged.

    Completions run in the engine's workers; the measures of custom parts run at the same time as one another. ``heard``
    is told of every graded batch. Which tests are drawn depends on the seed, the step and the problem, so that all
    completions of a group meet the same.
    """

    __name__ = "code"

    def __init__(
        self,
        problems: Mapping[str, Mapping[str, Problem]],
        grader: Grader,
        settings: RewardSettings,
        *,
        ends: frozenset[int],
        seed: int = 0,
        heard: Callable[[list[Attempt], list[float | None], str], object] = lambda attempts, values, split: None,
    ) -> None:
        self.problems, self.grader, self.settings, self.seed = problems, grader, settings, seed
        self.rubric = rubric_of(settings)
        self._ends, self._heard = ends, heard

    def answers(
        self, completions: Sequence[Any], ids: Sequence[Sequence[int]], names: Sequence[str], split: str
    ) -> list[Answer]:
        """What TRL has, as answers to the problems of ``split``."""
        texts = [c if isinstance(c, str) else c[-1]["content"] for c in completions]
        problems = self.problems[split]
        rows = zip(names, texts, ids, strict=True)
        return [Answer(problems[name], text, bool(i) and i[-1] in self._ends, len(i)) for name, text, i in rows]

    async def __call__(
        self,
        prompts: Sequence[Any],
        completions: Sequence[Any],
        completion_ids: Sequence[Sequence[int]],
        problem: Sequence[str],
        split: Sequence[str],
        trainer_state: Any = None,
        log_extra: Any = None,
        log_metric: Any = None,
        **_: Any,
    ) -> list[float | None]:
        """Values of the completions. Raises InfraError where the engine failed: the training stops."""
        answers = self.answers(completions, completion_ids, problem, split[0])
        step = getattr(trainer_state, "global_step", 0)
        evaluating = split[0] != "train"
        most, seed = (None, "") if evaluating else (self.settings.max_tests, f"{self.seed} {step}")
        tests = [drawn_tests(a.problem, most, seed) for a in answers]
        attempts = await asyncio.to_thread(self.grader.run, answers, tests)
        values = await self.values(attempts, trainer_state, log_metric)
        if log_extra is not None:
            log_extra("status", [str(attempt.status) for attempt in attempts])
            log_extra("code", [attempt.extraction.code for attempt in attempts])
        self._heard(attempts, values, split[0])
        return values

    async def values(self, attempts: list[Attempt], state: Any, log_metric: Any) -> list[float | None]:
        """The rubric's values; parts are measured at the same time, in threads."""
        scored = [attempt for attempt in attempts if attempt.scored]
        columns = await asyncio.gather(*(asyncio.to_thread(part.measure, scored) for part in self.rubric.parts))
        measured = [
            Part(part.name, part.weight, _constant(list(column)))
            for part, column in zip(self.rubric.parts, columns, strict=True)
        ]
        share = 1.0 if state is None or not state.max_steps else min(1.0, state.global_step / state.max_steps)
        graded = Rubric(tuple(measured)).breakdown(scored, progress=share)
        if log_metric is not None:
            told = graded.means() if scored else {}
            for name, value in {**told, **status_shares(attempts)}.items():
                if name != "reward" and not name.endswith("/gated"):
                    log_metric(name, value)
        found = iter(graded.values)
        return [next(found) if attempt.scored else None for attempt in attempts]


def _constant(column: list[float]) -> Measure[Attempt]:
    return lambda attempts: column


class RandomReward(CodeReward):
    """The control: programs are run and told as always, but the values are random numbers of the seed, step and place."""

    async def values(self, attempts: list[Attempt], state: Any, log_metric: Any) -> list[float | None]:
        from random import Random

        told = await super().values(attempts, state, log_metric)
        step = getattr(state, "global_step", 0)
        rng = Random(json.dumps([self.seed, step, "random"]))
        return [None if value is None else float(rng.random() < 0.5) for value in told]
