"""How does a trained policy act? Greedily or by chance, each round, for N rounds, or as a plan for the next ones.

The mode is part of the policy and saved with it. Max-entropy inference (the second mode of Re-SpS, arXiv 2601.12212)
draws from the softmax of scores over a temperature; argmax is the limit of temperature 0.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from trimtab.plain import Plain
from trimtab.policies.held import Adaptive, Hold

MODES = ("argmax", "sample")


@dataclass(frozen=True)
class Inference:
    """``mode``: argmax or sample, with ``temperature``. A decision plans ``planned_rounds`` rounds, each action of the
    plan is held for ``hold_rounds``; ``adaptive`` ends a plan early. ``seed`` is that of the sampling.

    Raises ValueError where a setting is out of its range.
    """

    mode: str = "argmax"
    temperature: float = 1.0
    hold_rounds: int = 1
    adaptive: Adaptive | None = None
    planned_rounds: int = 1
    seed: int = 0

    def __post_init__(self) -> None:
        if self.mode not in MODES:
            raise ValueError(f"no inference mode {self.mode!r}; known modes: {', '.join(MODES)}")
        if not self.temperature > 0:
            raise ValueError(f"a temperature of {self.temperature}: expected above 0 (for none, use argmax)")
        if self.hold_rounds < 1 or self.planned_rounds < 1:
            raise ValueError(f"{self}: expected hold_rounds and planned_rounds of at least 1")
        if self.adaptive is not None and self.decided_rounds == 1:
            raise ValueError(
                f"{self.adaptive} ends a hold early, but every round is decided anew: expected hold_rounds or "
                "planned_rounds of at least 2, the longest that a decision may last"
            )

    @property
    def decided_rounds(self) -> int:
        """The rounds that a decision lasts, at most."""
        return self.hold_rounds * self.planned_rounds

    @property
    def hold(self) -> Hold:
        return Hold(self.hold_rounds, self.adaptive)

    def __str__(self) -> str:
        how = "argmax" if self.mode == "argmax" else f"sampled at temperature {self.temperature:g}"
        plan = "" if self.planned_rounds == 1 else f", {self.planned_rounds} rounds planned"
        held = "" if self.hold_rounds == 1 else f", held for {self.hold_rounds} rounds"
        ends = "" if self.adaptive is None else f", less by {self.adaptive}"
        return how + plan + held + ends

    def plain(self) -> dict[str, Plain]:
        """As JSON holds it."""
        return asdict(self)

    @classmethod
    def from_plain(cls, raw: Mapping[str, Any]) -> Inference:
        """The reverse of ``plain``. Raises TypeError or ValueError for anything else."""
        adaptive: Any = raw.get("adaptive")
        settings: dict[str, Any] = {**raw, "adaptive": None if adaptive is None else Adaptive(**adaptive)}
        return cls(**settings)


def softmax(scores_XA: np.ndarray, temperature: float = 1.0) -> np.ndarray:
    """Probabilities over the last axis, of scores divided by ``temperature``."""
    exponentials = np.exp((scores_XA - scores_XA.max(axis=-1, keepdims=True)) / temperature)
    return exponentials / exponentials.sum(axis=-1, keepdims=True)


def drawn(probabilities_XA: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """An index for each distribution over the last axis [X], by inverting its cumulative sum."""
    cumulative = probabilities_XA.cumsum(axis=-1)
    points = generator.random((*probabilities_XA.shape[:-1], 1)) * cumulative[..., -1:]
    return (cumulative <= points).sum(axis=-1)
