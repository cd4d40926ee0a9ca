"""Does the draft vocabulary hold the most frequent tokens, and survive the published maps?"""

from __future__ import annotations

import numpy as np
import pytest
import torch

from trimtab.speculation.training.vocabulary import most_frequent


def test_the_most_frequent_by_hand() -> None:
    chosen = most_frequent([np.array([5, 5, 5, 2]), np.array([2, 7, 0, 5])], vocab_size=9, size=3)
    assert chosen.target_ids.tolist() == [0, 2, 5]  # 0 and 7 are seen once: the tie goes to the lower id
    assert chosen.coverage == 7 / 8


def test_maps_go_there_and_back() -> None:
    chosen = most_frequent([np.random.default_rng(0).integers(0, 50, 300)], vocab_size=50, size=20)
    assert torch.equal(torch.arange(20) + chosen.d2t, chosen.target_ids)
    assert torch.equal(chosen.t2d.nonzero().flatten(), chosen.target_ids)


def test_a_size_beyond_the_vocabulary_keeps_all() -> None:
    chosen = most_frequent([np.array([1])], vocab_size=4, size=32_000)
    assert chosen.target_ids.tolist() == [0, 1, 2, 3]
    assert not chosen.d2t.any()


def test_nothing_to_count() -> None:
    with pytest.raises(ValueError, match="no answer tokens"):
        most_frequent([], vocab_size=4, size=2)
    with pytest.raises(ValueError, match="draft_vocab_size is 0"):
        most_frequent([np.array([1])], vocab_size=4, size=0)
