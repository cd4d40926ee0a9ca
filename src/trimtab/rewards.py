"""What is an outcome worth, and why? A rubric: named, weighted parts, whose breakdown travels with the value.

Weights may follow a schedule over training, parts and totals may be clipped, and gates cut a value off (a reply that is
unsafe is worth the gate's value, whatever else it is). Raw and weighted numbers are kept for every outcome.
"""

from __future__ import annotations

import importlib
import math
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar, runtime_checkable

from trimtab.plain import Plain
from trimtab.schedules import Schedule
from trimtab.types import Grade

O = TypeVar("O")

Measure = Callable[[Sequence[O]], Sequence[float]]
"""One aspect of each outcome of a batch, as a number."""

Bounds = tuple[float, float]


@runtime_checkable
class Stateful(Protocol):
    """A measure that remembers outcomes (a window of replies): what it remembers is part of a checkpoint."""

    def state(self) -> Plain: ...
    def restore(self, state: Plain, /) -> None: ...


@dataclass(frozen=True)
class Part(Generic[O]):
    """An aspect of an outcome: what it is called, what it counts (a number or a schedule), how it is measured.

    ``clip``: bounds that the raw number is brought into before it is weighted; the breakdown keeps it unclipped.
    """

    name: str
    weight: float | Schedule
    measure: Measure[O]
    clip: Bounds | None = None

    def weight_at(self, progress: float) -> float:
        """The weight when the share ``progress`` of the training is done."""
        return float(self.weight) if isinstance(self.weight, (int, float)) else self.weight.at(progress)


@dataclass(frozen=True)
class Gate(Generic[O]):
    """An outcome whose ``measure`` is below ``least`` is worth ``value``, whatever its parts say."""

    name: str
    measure: Measure[O]
    least: float = 0.5
    value: float = -1.0


@dataclass(frozen=True)
class Breakdown:
    """A graded batch. In every row the weighted numbers add up to the value.

    ``raw``: what parts and gates measured; ``weighted``: what they contribute (a closed gate: its value, the parts 0).
    ``weights``: of the parts, at the ``progress`` graded for. ``gated``: for each outcome the gate that closed, or None.
    """

    values: list[float]
    raw: dict[str, list[float]]
    weighted: dict[str, list[float]]
    weights: dict[str, float]
    gated: list[str | None]

    def row(self, index: int) -> dict[str, dict[str, float]]:
        """Raw and weighted numbers of one outcome."""
        columns = {"raw": self.raw, "weighted": self.weighted}
        return {kind: {name: column[index] for name, column in of.items()} for kind, of in columns.items()}

    def means(self, prefix: str = "reward") -> dict[str, float]:
        """What a run logs: the mean value, raw parts unweighted, weights, and the share of gated outcomes."""
        if not self.values:
            raise ValueError("no outcomes were graded: there is no mean of nothing.")
        count = len(self.values)
        return {
            prefix: sum(self.values) / count,
            **{f"{prefix}/{name}": sum(column) / count for name, column in self.raw.items()},
            **{f"{prefix}_weight/{name}": weight for name, weight in self.weights.items()},
            f"{prefix}/gated": sum(name is not None for name in self.gated) / count,
        }


TOTAL = "clip"
"""The name under which ``weighted`` keeps what clipping the total took away or added."""


@dataclass(frozen=True)
class Rubric(Generic[O]):
    """A reward made of parts. ``grade.parts`` holds the raw parts; ``grade.value`` is their sum times the weights.

    Gates replace the value of the outcomes that they close on (the first that closes counts); ``clip`` bounds the sum.
    """

    parts: tuple[Part[O], ...]
    gates: tuple[Gate[O], ...] = ()
    clip: Bounds | None = None

    def __post_init__(self) -> None:
        names = [named.name for named in (*self.parts, *self.gates)]
        if not self.parts or len(set(names)) < len(names) or TOTAL in names:
            raise ValueError(
                f"a rubric of the parts {names}: expected at least one, and a name for each of its own (not {TOTAL!r})."
            )
        fixed = {part.name: part.weight for part in self.parts if isinstance(part.weight, (int, float))}
        unusable = [name for name, weight in fixed.items() if not math.isfinite(weight)]
        if unusable:
            raise ValueError(f"the weights of {', '.join(unusable)} are not finite: expected numbers.")
        for name, bounds in [(part.name, part.clip) for part in self.parts] + [("the total", self.clip)]:
            if bounds is not None and not bounds[0] < bounds[1]:
                raise ValueError(f"{name} is clipped to {bounds}: expected the lower bound first.")

    @property
    def weights(self) -> dict[str, float]:
        """The weight of each part, at the end of training where it follows a schedule."""
        return self.weights_at(1.0)

    def weights_at(self, progress: float) -> dict[str, float]:
        """The weight of each part when the share ``progress`` of the training is done."""
        return {part.name: part.weight_at(progress) for part in self.parts}

    def __call__(self, outcomes: Sequence[O], /, *, progress: float = 1.0) -> list[Grade]:
        """Grade a batch. Raises ValueError naming the part that is not a finite number for each outcome."""
        graded = self.breakdown(outcomes, progress=progress)
        rows = [{name: column[index] for name, column in graded.raw.items()} for index in range(len(outcomes))]
        return [Grade(value, parts) for value, parts in zip(graded.values, rows, strict=True)]

    def breakdown(self, outcomes: Sequence[O], *, progress: float = 1.0) -> Breakdown:
        """Grade a batch, everything told. Raises ValueError, the outcome printed, where a part is not finite."""
        raw = {named.name: _measured(named, outcomes) for named in (*self.parts, *self.gates)}
        weights = self.weights_at(progress)
        rows = [{name: column[index] for name, column in raw.items()} for index in range(len(outcomes))]
        gated = [self._closed(row) for row in rows]
        told = [self._contributions(row, weights, gate) for row, gate in zip(rows, gated, strict=True)]
        columns = (*raw, TOTAL) if self.clip else tuple(raw)
        weighted = {name: [row[name] for row in told] for name in columns}
        return Breakdown([sum(row.values()) for row in told], raw, weighted, weights, gated)

    def weighted(self, parts: Mapping[str, float], *, progress: float = 1.0) -> dict[str, float]:
        """What each raw part contributes to the value, where no gate closes."""
        weights = self.weights_at(progress)
        return {part.name: weights[part.name] * _clipped(parts[part.name], part.clip) for part in self.parts}

    def _closed(self, row: Mapping[str, float]) -> str | None:
        return next((gate.name for gate in self.gates if row[gate.name] < gate.least), None)

    def _contributions(
        self, row: Mapping[str, float], weights: Mapping[str, float], gate: str | None
    ) -> dict[str, float]:
        none = {named.name: 0.0 for named in (*self.parts, *self.gates)} | ({TOTAL: 0.0} if self.clip else {})
        if gate is not None:
            return none | {gate: next(g.value for g in self.gates if g.name == gate)}
        told = {part.name: weights[part.name] * _clipped(row[part.name], part.clip) for part in self.parts}
        total = sum(told.values())
        return none | told | ({TOTAL: _clipped(total, self.clip) - total} if self.clip else {})

    def state(self) -> dict[str, Plain]:
        """What the measures that remember outcomes remember, for a checkpoint."""
        named = {one.name: one.measure for one in (*self.parts, *self.gates)}
        return {name: measure.state() for name, measure in named.items() if isinstance(measure, Stateful)}

    def restore(self, state: Mapping[str, Plain]) -> None:
        """Put back what ``state`` gave. Raises ValueError where the parts that remember are others."""
        named = {one.name: one.measure for one in (*self.parts, *self.gates) if isinstance(one.measure, Stateful)}
        if set(named) != set(state):
            raise ValueError(
                f"the state holds {sorted(state)}, the rubric remembers {sorted(named)}: resume with the same parts."
            )
        for name, measure in named.items():
            measure.restore(state[name])

    def to_trl(self, outcome_of: Callable[[Any, Any, Mapping[str, Any]], O]) -> TrlReward[O]:
        """This very reward as a function for TRL's ``reward_funcs`` (RLOO, GRPO).

        ``outcome_of(prompt, completion, columns of its row)`` makes an outcome of what TRL has.
        """
        return TrlReward(self, outcome_of)


class TrlReward(Generic[O]):
    """A rubric as TRL calls it: one number per completion, the parts logged, progress taken from the trainer."""

    __name__ = "rubric"

    def __init__(self, rubric: Rubric[O], outcome_of: Callable[[Any, Any, Mapping[str, Any]], O]) -> None:
        self._rubric = rubric
        self._outcome_of = outcome_of

    def __call__(
        self,
        prompts: Sequence[Any],
        completions: Sequence[Any],
        *,
        trainer_state: Any = None,
        log_metric: Callable[[str, float], object] | None = None,
        **columns: Any,
    ) -> list[float]:
        """Values of the completions; ``columns`` are those of the data set, a list each."""
        size = len(prompts)
        listed = {name: values for name, values in columns.items() if isinstance(values, list) and len(values) == size}
        rows = [{name: values[index] for name, values in listed.items()} for index in range(size)]
        outcomes = [self._outcome_of(p, c, row) for p, c, row in zip(prompts, completions, rows, strict=True)]
        graded = self._rubric.breakdown(outcomes, progress=_progress(trainer_state))
        if log_metric is not None:
            for name, value in graded.means().items():
                log_metric(name, value)
        return graded.values


def _progress(trainer_state: Any) -> float:
    """The share of TRL's training that is done; without a trainer, all of it."""
    if trainer_state is None or not trainer_state.max_steps:
        return 1.0
    return min(1.0, trainer_state.global_step / trainer_state.max_steps)


def _clipped(value: float, bounds: Bounds | None) -> float:
    return value if bounds is None else min(bounds[1], max(bounds[0], value))


def _measured(part: Part[O] | Gate[O], outcomes: Sequence[O]) -> list[float]:
    values = [float(value) for value in part.measure(outcomes)]
    if len(values) != len(outcomes):
        raise ValueError(
            f"part {part.name!r} measured {len(values)} of {len(outcomes)} outcomes: expected all, in order."
        )
    unusable = [index for index, value in enumerate(values) if not math.isfinite(value)]
    if unusable:
        shown = repr(outcomes[unusable[0]])
        raise ValueError(
            f"part {part.name!r} is {values[unusable[0]]} for outcome {unusable[0]}: expected a finite number. "
            f"A measurement that failed must raise, not stand for a value. The outcome: {shown[:2000]}"
        )
    return values


def measure_from(name: str) -> Measure[Any]:
    """The measure that ``module:function`` names (the working directory counts as a place of modules).

    The function takes a sequence of outcomes and returns a number for each. Raises ValueError where it is not found.
    """
    module, _, attribute = name.partition(":")
    if not module or not attribute:
        raise ValueError(f"{name!r} names no function: expected module:function, as in mypackage.rewards:politeness.")
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.append(here)
    try:
        found: Any = importlib.import_module(module)
        for step in attribute.split("."):
            found = getattr(found, step)
    except (ImportError, AttributeError) as error:
        raise ValueError(f"{name!r} cannot be imported ({error}): expected module:function.") from error
    if not callable(found):
        raise ValueError(f"{name!r} is a {type(found).__name__}: expected a function of a sequence of outcomes.")
    measure: Any = found
    return measure
