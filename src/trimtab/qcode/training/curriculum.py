"""Which problems teach something now? Those whose completions neither all pass nor all fail.

A problem whose last group was uniform rests for some generations and then is tried again; optionally problems are drawn
in proportion to p(1 - p), the variance of their reward. What is drawn for a generation depends on the seed and on what was
known two generations earlier (a data loader looks ahead), so a resumed run draws what an uninterrupted one draws.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

from trimtab.plain import Plain

LAG = 2
"""Generations between learning something and drawing by it."""


@dataclass(frozen=True)
class CurriculumSettings:
    """How problems are chosen."""

    filter: bool = False
    """Let problems rest that always or never pass."""
    resample: bool = False
    """Draw problems in proportion to the variance of their reward."""
    rest: int = 20
    """Generations for which a uniform problem rests."""
    refresh: int = 5
    """Generations between two choices of who rests."""
    least_weight: float = 0.1
    """Of a problem that is drawn by variance but had none."""

    def __post_init__(self) -> None:
        if self.rest < 1 or self.refresh < 1 or not 0 < self.least_weight <= 1:
            raise ValueError(f"{self}: expected rest and refresh of at least 1, least_weight above 0 and at most 1")

    @property
    def active(self) -> bool:
        return self.filter or self.resample


@dataclass
class Curriculum:
    """The pass rates seen last, and the weights that follow from them."""

    names: Sequence[str]
    settings: CurriculumSettings
    seed: int = 0
    rates: dict[str, float] = field(default_factory=dict[str, float])
    seen: dict[str, int] = field(default_factory=dict[str, int])
    chosen: list[tuple[int, dict[str, float]]] = field(default_factory=list[tuple[int, dict[str, float]]])
    """(from which generation on, the weights of problems that differ from 1), oldest first."""

    def learn(self, generation: int, passes: Mapping[str, Sequence[bool]]) -> dict[str, float]:
        """Take in which completions of a generation passed; what to log."""
        for name, passed in passes.items():
            self.rates[name] = sum(passed) / len(passed)
            self.seen[name] = generation
        if (generation + 1) % self.settings.refresh == 0:
            self._choose(generation + LAG)
        groups = list(passes.values())
        return {
            "groups/all_pass": sum(all(group) for group in groups) / max(1, len(groups)),
            "groups/none_pass": sum(not any(group) for group in groups) / max(1, len(groups)),
            "curriculum/resting": float(len(self.resting(generation))),
        }

    def resting(self, generation: int) -> list[str]:
        """The problems that rest at a generation."""
        return [name for name, weight in self._weights(generation).items() if weight == 0.0]

    def _choose(self, start: int) -> None:
        weights: dict[str, float] = {}
        for name, rate in self.rates.items():
            uniform = rate in (0.0, 1.0)
            if self.settings.filter and uniform and start - self.seen[name] <= self.settings.rest:
                weights[name] = 0.0
            elif self.settings.resample:
                weights[name] = max(self.settings.least_weight, 4 * rate * (1 - rate))
        self.chosen = [*self.chosen[-3:], (start, weights)]

    def _weights(self, generation: int) -> Mapping[str, float]:
        known = [weights for start, weights in self.chosen if start <= generation]
        return known[-1] if known else {}

    def draw(self, generation: int, count: int) -> list[int]:
        """Places of ``count`` different problems; where too few are awake, resting ones are woken.

        Weighted sampling without replacement by keys u ** (1 / weight) (Efraimidis & Spirakis 2006).
        """
        weights = self._weights(generation)
        rng = Random(f"{self.seed} {generation} curriculum")
        keys: list[tuple[float, float]] = []
        for name in self.names:
            weight, u = weights.get(name, 1.0), rng.random()
            keys.append((u ** (1 / weight), u) if weight else (-1.0, u))
        order = sorted(range(len(keys)), key=lambda place: keys[place], reverse=True)
        return order[:count]

    def state(self) -> dict[str, Plain]:
        """What a resumed run needs."""
        return {"rates": dict(self.rates), "seen": dict(self.seen), "chosen": [[s, dict(w)] for s, w in self.chosen]}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Put back what ``state`` gave."""
        self.rates, self.seen = dict(state["rates"]), dict(state["seen"])
        self.chosen = [(int(start), dict(weights)) for start, weights in state["chosen"]]


class CurriculumSampler:
    """Places of the data set in TRL's order: each prompt ``group`` times, each generation's batch ``repeats`` times."""

    def __init__(self, curriculum: Curriculum, *, prompts: int, group: int, repeats: int, generations: int) -> None:
        self.curriculum, self.prompts, self.group = curriculum, prompts, group
        self.repeats, self.generations = repeats, generations

    def __iter__(self) -> Iterator[int]:
        for generation in range(self.generations):
            places = self.curriculum.draw(generation, self.prompts)
            for _ in range(self.repeats):
                for place in places:
                    yield from [place] * self.group

    def __len__(self) -> int:
        return self.generations * self.repeats * self.prompts * self.group
