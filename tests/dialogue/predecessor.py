"""Rewards that a predecessor trained on, by their published formulas: the audit has to see through them."""

from __future__ import annotations

from collections.abc import Sequence

from trimtab.dialogue.example import Reply
from trimtab.dialogue.rewards.diversity import ngrams

KEYWORDS = ("understand", "feel", "sorry", "hope", "help", "support")


def distinct(replies: Sequence[Reply]) -> list[float]:
    """min(1, different n-grams of the orders 1 to 4 over the number of words)."""
    found: list[float] = []
    for reply in replies:
        words = reply.text.lower().split()
        grams = {gram for order in (1, 2, 3, 4) for gram in ngrams(words, order)}
        found.append(min(1.0, len(grams) / len(words)) if words else 0.0)
    return found


def empathy(replies: Sequence[Reply]) -> list[float]:
    """Without labels of emotion, which its evaluation never gave: one half."""
    return [0.5 for _ in replies]


def simple(replies: Sequence[Reply]) -> list[float]:
    """0.2 [10 <= words <= 50] + 0.3 [words > 5] + 0.2 [one of the context's first five words] + 0.3 [a keyword]."""
    found: list[float] = []
    for reply in replies:
        words = reply.text.lower().split()
        context = " ".join(turn.text for turn in reply.example.turns).lower().split()[:5]
        score = 0.2 * (10 <= len(words) <= 50) + 0.3 * (len(words) > 5)
        score += 0.2 * any(word in words for word in context)
        found.append(score + 0.3 * any(word in words for word in KEYWORDS))
    return found
