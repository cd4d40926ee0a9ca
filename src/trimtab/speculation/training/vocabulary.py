"""Which tokens can a head draft? The D that the target's answers use most (EAGLE-3's reduced vocabulary, notes 1.8)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True)
class DraftVocabulary:
    """``target_ids [D]`` ascending: the target's ids that can be drafted. ``coverage``: their share of the answers."""

    target_ids: Tensor
    vocab_size: int
    coverage: float

    @property
    def d2t(self) -> Tensor:
        """Offsets [D] int64, as published: target id = draft id + offset."""
        return self.target_ids - torch.arange(len(self.target_ids))

    @property
    def t2d(self) -> Tensor:
        """Which of the target's ids can be drafted: bool [V]."""
        kept = torch.zeros(self.vocab_size, dtype=torch.bool)
        kept[self.target_ids] = True
        return kept


def most_frequent(answers: Iterable[np.ndarray], vocab_size: int, size: int) -> DraftVocabulary:
    """The ``size`` most frequent tokens of ``answers`` (int arrays of target ids); ties go to the lower id.

    A ``size`` of ``vocab_size`` or more keeps the whole vocabulary.
    """
    if size < 1:
        raise ValueError(f"draft_vocab_size is {size}: expected at least 1")
    counts = np.zeros(vocab_size, dtype=np.int64)
    for tokens in answers:
        counts += np.bincount(tokens, minlength=vocab_size)
    if not counts.any():
        raise ValueError("no answer tokens to choose a draft vocabulary from")
    kept = np.sort(np.argsort(-counts, kind="stable")[:size])
    return DraftVocabulary(torch.from_numpy(kept), vocab_size, float(counts[kept].sum() / counts.sum()))
