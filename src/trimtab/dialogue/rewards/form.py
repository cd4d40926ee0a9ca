"""Is a reply well formed, whatever it says? Its length, its repetitions, and whether it came to an end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from trimtab.dialogue.example import Reply
from trimtab.dialogue.rewards.diversity import ngrams


@dataclass(frozen=True)
class Length:
    """1 from ``least`` to ``most`` words; falling to 0 at no word, and at twice ``most``."""

    least: int = 5
    most: int = 40

    def __post_init__(self) -> None:
        if not 0 < self.least <= self.most:
            raise ValueError(f"a length from {self.least} to {self.most} words: expected 0 < least <= most.")

    def __call__(self, replies: Sequence[Reply]) -> list[float]:
        return [self._band(len(reply.words)) for reply in replies]

    def _band(self, words: int) -> float:
        if words < self.least:
            return words / self.least
        return max(0.0, 1 - max(0, words - self.most) / self.most)


@dataclass(frozen=True)
class Repetition:
    """Minus the share of a reply's n-grams that were in it before, in [-1, 0]: 0 for one that repeats nothing."""

    order: int = 2

    def __call__(self, replies: Sequence[Reply]) -> list[float]:
        return [-self._repeated(reply.text.lower().split()) for reply in replies]

    def _repeated(self, words: Sequence[str]) -> float:
        grams = ngrams(words, self.order)
        return 1 - len(set(grams)) / len(grams) if grams else 0.0


def ended(replies: Sequence[Reply]) -> list[float]:
    """1 for a reply that came to its end by itself and is not empty, else 0."""
    return [float(reply.ended and bool(reply.words)) for reply in replies]
