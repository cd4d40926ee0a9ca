"""Are padded sequences averaged, whitened and credited as a hand and a naive loop over ragged lists would?"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trimtab.maths.advantages import discounted_returns, gae
from trimtab.maths.tokens import (
    at_last_token,
    backward_sums,
    explained_variance,
    lengths_mask,
    masked_mean,
    token_gae,
    whiten,
)


def test_masks_and_means_by_hand() -> None:
    mask = lengths_mask(np.array([1, 3]), 3)
    np.testing.assert_array_equal(mask, [[True, False, False], [True, True, True]])
    assert masked_mean(np.array([[1.0, 9.0, 9.0], [2.0, 3.0, 6.0]]), mask) == pytest.approx(3.0)
    with pytest.raises(ValueError, match="without a real token"):
        masked_mean(np.zeros((1, 2)), np.zeros((1, 2), dtype=bool))


def test_whitening_by_hand() -> None:
    values, mask = np.array([[1.0, 3.0], [5.0, 100.0]]), np.array([[True, True], [True, False]])
    deviation = np.sqrt(8 / 3)
    np.testing.assert_allclose(whiten(values, mask), [[-2 / deviation, 0.0], [2 / deviation, 0.0]])
    kept = whiten(values, mask, shift_mean=False)
    np.testing.assert_allclose(kept, [[3 - 2 / deviation, 3.0], [3 + 2 / deviation, 0.0]])
    np.testing.assert_allclose(whiten(np.full((1, 2), 4.0), np.ones((1, 2), dtype=bool)), [[0.0, 0.0]])


def test_gae_of_two_parts_by_hand() -> None:
    # one sequence of two tokens: part 0 pays 1 at the end and is valued 0.5, 0.25; part 1 costs 1 at each token, valued 0
    rewards = np.array([[[0.0, -1.0], [1.0, -1.0], [7.0, 7.0]]])
    values = np.array([[[0.5, 0.0], [0.25, 0.0], [9.0, 9.0]]])
    mask = np.array([[True, True, False]])
    got = token_gae(rewards, values, mask, discount=1.0, decay=0.5)
    # part 0: deltas 0.25 - 0.5 = -0.25 and 1 - 0.25 = 0.75; A_0 = -0.25 + 0.5 * 0.75
    np.testing.assert_allclose(got[0, :, 0], [0.125, 0.75, 0.0])
    np.testing.assert_allclose(got[0, :, 1], [-1.5, -1.0, 0.0])


ragged = st.lists(st.integers(1, 6), min_size=1, max_size=4).flatmap(
    lambda lengths: st.tuples(st.just(lengths), st.integers(0, 2**32 - 1))
)


@given(ragged, st.floats(0, 1), st.floats(0, 1))
def test_gae_equals_that_of_each_sequence_alone(drawn: tuple[list[int], int], discount: float, decay: float) -> None:
    lengths, seed = drawn
    random = np.random.default_rng(seed)
    rewards, values = random.normal(size=(2, len(lengths), 6, 3))
    got = token_gae(rewards, values, lengths_mask(np.array(lengths), 6), discount=discount, decay=decay)
    for row, length in enumerate(lengths):
        for part in range(3):
            alone = gae(rewards[row, :length, part], values[row, :length, part], discount=discount, decay=decay)
            np.testing.assert_allclose(got[row, :length, part], alone, atol=1e-12)
        assert not got[row, length:].any()


@given(ragged, st.lists(st.floats(-3, 3), min_size=3, max_size=3))
def test_weights_and_parts_commute(drawn: tuple[list[int], int], weights: list[float]) -> None:
    """The advantage of the weighted sum is the weighted sum of the advantages: weights may change, values stay right."""
    lengths, seed = drawn
    rewards, values = np.random.default_rng(seed).normal(size=(2, len(lengths), 6, 3))
    mask, w = lengths_mask(np.array(lengths), 6), np.array(weights)
    by_part = token_gae(rewards, values, mask, discount=0.9, decay=0.8) @ w
    summed = token_gae((rewards @ w)[..., None], (values @ w)[..., None], mask, discount=0.9, decay=0.8)[..., 0]
    np.testing.assert_allclose(by_part, summed, atol=1e-10)


def test_returns_are_discounted_sums() -> None:
    rewards = np.random.default_rng(0).normal(size=(1, 5, 1))
    np.testing.assert_allclose(backward_sums(rewards, 0.5)[0, :, 0], discounted_returns(rewards[0, :, 0], 0.5))


def test_scores_go_to_the_last_real_token() -> None:
    paid = at_last_token(np.array([[2.0], [3.0]]), lengths_mask(np.array([1, 3]), 3))
    np.testing.assert_array_equal(paid[:, :, 0], [[2, 0, 0], [0, 0, 3]])
    with pytest.raises(ValueError, match="sequence 0 has no token"):
        at_last_token(np.ones((1, 1)), np.zeros((1, 2), dtype=bool))


def test_explained_variance_by_hand() -> None:
    returns = np.array([0.0, 1.0, 2.0])
    assert explained_variance(returns, returns) == pytest.approx(1.0)
    assert explained_variance(np.full(3, 5.0), returns) == pytest.approx(0.0)
    assert explained_variance(-returns, returns) == pytest.approx(-3.0)
    assert np.isnan(explained_variance(returns, np.ones(3)))
