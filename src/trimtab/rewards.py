"""What is an outcome worth, and why? A rubric: named, weighted parts, whose breakdown travels with the value."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from trimtab.types import Grade

O = TypeVar("O")

Measure = Callable[[Sequence[O]], Sequence[float]]
"""One aspect of each outcome of a batch, as a number."""


@dataclass(frozen=True)
class Part(Generic[O]):
    """An aspect of an outcome: what it is called, what it counts, how it is measured."""

    name: str
    weight: float
    measure: Measure[O]


@dataclass(frozen=True)
class Rubric(Generic[O]):
    """A reward made of parts. ``grade.parts`` holds the raw parts; ``grade.value`` is their sum times the weights."""

    parts: tuple[Part[O], ...]

    def __post_init__(self) -> None:
        names = [part.name for part in self.parts]
        if not names or len(set(names)) < len(names):
            raise ValueError(f"a rubric of the parts {names}: expected at least one, and a name for each of its own.")
        unusable = [part.name for part in self.parts if not math.isfinite(part.weight)]
        if unusable:
            raise ValueError(f"the weights of {', '.join(unusable)} are not finite: expected numbers.")

    @property
    def weights(self) -> dict[str, float]:
        """The weight of each part."""
        return {part.name: part.weight for part in self.parts}

    def __call__(self, outcomes: Sequence[O], /) -> list[Grade]:
        """Grade a batch. Raises ValueError naming the part that is not a finite number for each outcome."""
        columns = {part.name: _measured(part, outcomes) for part in self.parts}
        raw = [{name: column[index] for name, column in columns.items()} for index in range(len(outcomes))]
        return [Grade(sum(self.weighted(parts).values()), parts) for parts in raw]

    def weighted(self, parts: Mapping[str, float]) -> dict[str, float]:
        """What each raw part contributes to the value."""
        return {name: weight * parts[name] for name, weight in self.weights.items()}


def _measured(part: Part[O], outcomes: Sequence[O]) -> list[float]:
    values = [float(value) for value in part.measure(outcomes)]
    if len(values) != len(outcomes):
        raise ValueError(
            f"part {part.name!r} measured {len(values)} of {len(outcomes)} outcomes: expected all, in order."
        )
    unusable = [index for index, value in enumerate(values) if not math.isfinite(value)]
    if unusable:
        raise ValueError(
            f"part {part.name!r} is {values[unusable[0]]} for outcome {unusable[0]}: expected a finite number. "
            "A measurement that failed must raise, not stand for a value."
        )
    return values
