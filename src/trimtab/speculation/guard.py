"""Is what learns while serving slower than what it replaced? A sequential test, and a switch that it throws.

Rounds go by in stretches. Each stretch is dealt by chance to the learner or to the static fallback, and brings

    x = tokens - rate * seconds,        rate = the fallback's tokens per second so far.

With the learner's chance p, y = x / p for its stretches and -x / (1 - p) for the fallback's has the mean by which the
learner's stretches are better, whatever the text. Its running interval holds at all times at once
(``maths/sequential.py``), so it may be looked at after every stretch. Where it lies below zero, the learner is switched
off for good.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from trimtab.maths.sequential import half_width
from trimtab.plain import Plain
from trimtab.statistics import Interval

_LEAST_STRETCHES = 30


@dataclass(frozen=True)
class GuardSettings:
    """``control_share`` of the stretches are the fallback's. After ``restart`` stretches the test begins anew, so that
    an early lead cannot hide a later loss; each test errs with chance ``1 - level``."""

    control_share: float = 0.2
    level: float = 0.95
    restart: int = 2000

    def __post_init__(self) -> None:
        if not 0 < self.control_share < 1 or not 0 < self.level < 1 or self.restart < _LEAST_STRETCHES:
            raise ValueError(
                f"{self}: expected control_share and level between 0 and 1, and restart of at least {_LEAST_STRETCHES}"
            )


@dataclass
class Guard:
    """The test under way, as plain numbers: a checkpoint holds them all."""

    settings: GuardSettings
    fallen: bool = False
    stretches: int = 0
    sum: float = 0.0
    squares: float = 0.0
    control_tokens: float = 0.0
    control_seconds: float = 0.0
    learner_tokens: float = 0.0
    learner_seconds: float = 0.0

    @property
    def rate(self) -> float:
        """The fallback's tokens per second so far; 0 before it was measured."""
        return self.control_tokens / self.control_seconds if self.control_seconds > 0 else 0.0

    def measured(self, tokens: float, seconds: float) -> None:
        """Rounds of the fallback outside the test (warming up): they tell its rate."""
        self.control_tokens += tokens
        self.control_seconds += seconds

    def observe(self, learner: bool, tokens: float, seconds: float) -> bool:
        """A stretch. Returns whether it made the guard fall back."""
        share, gained = self.settings.control_share, tokens - self.rate * seconds
        if learner:
            self.learner_tokens += tokens
            self.learner_seconds += seconds
        else:
            self.measured(tokens, seconds)
        if self.fallen:
            return False
        if self.stretches == self.settings.restart:
            self.stretches, self.sum, self.squares = 0, 0.0, 0.0
        weighted = gained / (1 - share) if learner else -gained / share
        self.stretches += 1
        self.sum += weighted
        self.squares += weighted**2
        self.fallen = self.interval().high < 0
        return self.fallen

    def interval(self) -> Interval:
        """Of the tokens by which a learner's stretch is better, at the fallback's rate. Infinite at the beginning."""
        count, level = self.stretches, self.settings.level
        if count < _LEAST_STRETCHES:
            return Interval(self.sum / count if count else 0.0, -math.inf, math.inf, level)
        mean = self.sum / count
        width = half_width(count, max(0.0, self.squares / count - mean**2), level=level)
        return Interval(mean, mean - width, mean + width, level)

    def says(self) -> str:
        """One line for a person."""
        learner = self.learner_tokens / self.learner_seconds if self.learner_seconds else 0.0
        what = "fallen back to the static tree" if self.fallen else "on guard"
        return f"learner {learner:.1f}, static {self.rate:.1f} tokens per second | {self.stretches} stretches | {what}"

    def plain(self) -> dict[str, Plain]:
        return asdict(self)

    @classmethod
    def from_plain(cls, raw: Mapping[str, Any]) -> Guard:
        """The reverse of ``plain``."""
        fields: dict[str, Any] = {**raw, "settings": GuardSettings(**raw["settings"])}
        return cls(**fields)
