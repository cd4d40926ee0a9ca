"""How much does a reply add to the variety of all replies? Distinct-n over a window, credited to the replies in it.

Distinct-n within one reply says nothing: it is 1 for nearly every human one. Over a window it is the number of
different n-grams divided by that of all n-grams (Li et al., NAACL 2016). An n-gram that occurs c times in the window gives
each of its occurrences 1/c, so that the mean over all occurrences is exactly the window's distinct-n.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Sequence

from trimtab.dialogue.example import Reply
from trimtab.plain import Plain

Gram = tuple[str, ...]


def ngrams(words: Sequence[str], order: int) -> list[Gram]:
    """The n-grams of ``order`` words, in order."""
    return [tuple(words[at : at + order]) for at in range(len(words) - order + 1)]


class DistinctWindow:
    """Of each reply: its share in the variety of the last ``size`` replies, its own batch included, in [0, 1].

    The mean over ``orders``, of those that the reply is long enough for; 0 for a reply without any n-gram. It
    remembers the window: a grade depends on what was said before it, by intent.
    """

    def __init__(self, size: int = 512, orders: tuple[int, ...] = (1, 2)) -> None:
        if size < 1 or not orders or min(orders) < 1:
            raise ValueError(f"a window of {size} replies and orders {orders}: expected at least 1 of each.")
        self._size, self._orders = size, orders
        self._window: deque[list[str]] = deque()
        self._counts: Counter[Gram] = Counter()

    def _grams(self, words: Sequence[str]) -> list[Gram]:
        return [gram for order in self._orders for gram in ngrams(words, order)]

    def _remember(self, words: list[str]) -> None:
        self._window.append(words)
        self._counts.update(self._grams(words))
        if len(self._window) > self._size:
            self._counts.subtract(self._grams(self._window.popleft()))

    def __call__(self, replies: Sequence[Reply]) -> list[float]:
        said = [reply.text.lower().split() for reply in replies]
        own: Counter[Gram] = Counter()
        for words in said:
            self._remember(words)
            own.update(self._grams(words))
        return [self._credit(words, own) for words in said]

    def _credit(self, words: list[str], own: Counter[Gram]) -> float:
        """``own``: counts of this batch, which may be larger than the window."""
        means: list[float] = []
        for order in self._orders:
            grams = ngrams(words, order)
            if grams:
                means.append(sum(1 / max(self._counts[gram], own[gram]) for gram in grams) / len(grams))
        return sum(means) / len(means) if means else 0.0

    def state(self) -> Plain:
        """The window's replies."""
        return [" ".join(words) for words in self._window]

    def restore(self, state: Plain, /) -> None:
        """Put the window back."""
        self._window, self._counts = deque(), Counter()
        for text in state:
            self._remember(text.split())
