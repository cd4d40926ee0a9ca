"""How do answers of all lengths become batches of one shape? Whole documents, packed into windows, blind to each other.

A window holds several documents (prompt and answer); masks and positions are per document, so that what is packed
together does not matter and features are those of the document alone. Only some positions learn: those that predict a
token of an answer, now or at a later unrolled step. They are listed per window, and the loss computes nothing else.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from trimtab.speculation.training.answers import Answered

_OPEN_WINDOWS = 256
_PADDING = -1


@dataclass(frozen=True)
class Piece:
    """Consecutive tokens of one document; those from index ``first`` (>= 2) on are predicted."""

    ids: np.ndarray
    first: int

    def rows(self, unroll: int) -> range:
        """Head positions that learn. Position i has seen token i + 1 and predicts token i + 2 + j at step j."""
        return range(max(0, self.first - 1 - unroll), len(self.ids) - 2)


def pieces(answered: Answered, window_tokens: int, window_rows: int, unroll: int) -> Iterator[Piece]:
    """The document cut, from its end, into pieces that fit a window; each token of the answer is predicted in one."""
    stop, begin = len(answered.ids), max(answered.prompt_tokens, 2)
    while stop > begin:
        start = max(0, stop - window_tokens)
        first = max(begin - start, 2)
        if len(Piece(answered.ids[start:stop], first).rows(unroll)) > window_rows:
            first = stop - start - 1 - window_rows + unroll
        yield Piece(answered.ids[start:stop], first)
        stop = start + first


@dataclass(frozen=True)
class Windows:
    """W windows of T tokens, Q learning positions each.

    ``documents_WT`` numbers the documents (-1: padding), ``positions_WT`` counts within each. ``rows_WQ``: the learning
    positions, ascending; ``learns_WQ``: whether the position's own prediction (step 0) counts (False: padding, or a
    position that reaches the answer only at a later step).
    """

    tokens_WT: np.ndarray
    documents_WT: np.ndarray
    positions_WT: np.ndarray
    rows_WQ: np.ndarray
    learns_WQ: np.ndarray

    def __len__(self) -> int:
        return len(self.tokens_WT)

    @property
    def answer_tokens(self) -> int:
        """Tokens that are predicted in one epoch."""
        return int(self.learns_WQ.sum())

    def take(self, indices: np.ndarray) -> Windows:
        """The windows ``indices``."""
        return Windows(
            self.tokens_WT[indices],
            self.documents_WT[indices],
            self.positions_WT[indices],
            self.rows_WQ[indices],
            self.learns_WQ[indices],
        )


@dataclass
class _Bin:
    tokens: int
    rows: int
    held: list[Piece] = field(default_factory=list)


def _bins(parts: Iterable[Piece], window_tokens: int, window_rows: int, unroll: int) -> list[list[Piece]]:
    """Best fit: each piece into the fullest open window that still has room for its tokens and its rows."""
    closed: list[list[Piece]] = []
    opened: list[_Bin] = []
    for part in parts:
        tokens, rows = len(part.ids), len(part.rows(unroll))
        fitting = [entry for entry in opened if entry.tokens >= tokens and entry.rows >= rows]
        if fitting:
            chosen = min(fitting, key=lambda entry: entry.tokens)
        else:
            if len(opened) == _OPEN_WINDOWS:
                fullest = min(range(len(opened)), key=lambda index: opened[index].tokens)
                closed.append(opened.pop(fullest).held)
            chosen = _Bin(window_tokens, window_rows)
            opened.append(chosen)
        chosen.tokens, chosen.rows = chosen.tokens - tokens, chosen.rows - rows
        chosen.held.append(part)
    return closed + [entry.held for entry in opened]


def suggested_rows(answers: Sequence[Answered], window_tokens: int, unroll: int) -> int:
    """Learning positions per window such that tokens and rows run out together, in multiples of 16."""
    parts = [part for item in answers for part in pieces(item, window_tokens, window_tokens, unroll)]
    share = sum(len(part.rows(unroll)) for part in parts) / max(1, sum(len(part.ids) for part in parts))
    return min(window_tokens, max(16 * math.ceil(1.05 * share * window_tokens / 16), unroll + 2))


def pack(answers: Sequence[Answered], *, window_tokens: int, window_rows: int, unroll: int) -> Windows:
    """All answers as windows. Raises ValueError where none has two tokens to learn from."""
    if window_rows <= unroll:
        raise ValueError(f"window_rows is {window_rows}: expected more than unroll, {unroll}")
    parts = (part for item in answers for part in pieces(item, window_tokens, window_rows, unroll))
    bins = _bins(parts, window_tokens, window_rows, unroll)
    if not bins:
        raise ValueError("the answers hold no tokens to learn from")
    count = len(bins)
    tokens_WT = np.zeros((count, window_tokens), dtype=np.int32)
    documents_WT = np.full((count, window_tokens), _PADDING, dtype=np.int32)
    positions_WT = np.zeros((count, window_tokens), dtype=np.int32)
    rows_WQ = np.zeros((count, window_rows), dtype=np.int32)
    learns_WQ = np.zeros((count, window_rows), dtype=bool)
    for window, held in enumerate(bins):
        start = row = 0
        for number, part in enumerate(held):
            span = slice(start, start + len(part.ids))
            tokens_WT[window, span] = part.ids
            documents_WT[window, span] = number
            positions_WT[window, span] = np.arange(len(part.ids))
            rows = np.asarray(part.rows(unroll))
            rows_WQ[window, row : row + len(rows)] = rows + start
            learns_WQ[window, row : row + len(rows)] = rows >= part.first - 2
            start, row = span.stop, row + len(rows)
    return Windows(tokens_WT, documents_WT, positions_WT, rows_WQ, learns_WQ)
