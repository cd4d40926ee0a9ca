"""The weights of queries: hand-worked numbers, limits, and where they may be cut."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from trimtab.compression.engine.weights import NEGLIGIBLE, Curve, Geometric, reaching


def test_the_sigmoid_is_the_published_one() -> None:
    total, a, b = 10, 0.7, 3
    queries = torch.arange(total, dtype=torch.float64)
    published = 1 / (1 + torch.exp(-a * (queries - (total - b - 0.5))))
    ours = Curve(a, b).weights(0, 2, total - 1 - torch.arange(total))[0]
    assert torch.allclose(ours.double(), published, atol=1e-7)


def test_hand_worked() -> None:
    # distance 0 with a = 2, b = 1: 1 / (1 + exp(-2 * 0.5)) = 0.731059; distance 1: 1 / (1 + exp(1)) = 0.268941
    assert Curve(2.0, 1).weights(0, 1, torch.tensor([0, 1]))[0].tolist() == pytest.approx([0.7310586, 0.2689414])
    assert Geometric(0.5).weights(0, 1, torch.tensor([0, 1, 3]))[0].tolist() == [1.0, 0.5, 0.125]


def test_limits() -> None:
    distances = torch.arange(6)
    assert Curve(0.0, 7).weights(0, 1, distances)[0].tolist() == [0.5] * 6
    assert Curve(math.inf, 1).weights(0, 1, distances)[0].tolist() == [1, 0, 0, 0, 0, 0]
    assert Curve(math.inf, 4).weights(0, 1, distances)[0].tolist() == [1, 1, 1, 1, 0, 0]
    assert Curve(math.inf, 2.5).weights(0, 1, distances)[0].tolist() == [1, 1, 0.5, 0, 0, 0]
    assert Geometric(0.0).weights(0, 1, distances)[0].tolist() == [1, 0, 0, 0, 0, 0]
    assert Geometric(1.0).weights(0, 1, distances)[0].tolist() == [1] * 6


def test_per_layer_and_per_head() -> None:
    curve = Curve((1.0, 2.0), ((1.0, 2.0), (3.0, 4.0)))
    assert curve.weights(1, 2, torch.tensor([2])).tolist() == Curve(2.0, (3.0, 3.0)).weights(
        1, 2, torch.tensor([2])
    ).tolist() + (Curve(2.0, 4.0).weights(0, 1, torch.tensor([2])).tolist())
    with pytest.raises(ValueError, match="2 layers, the model more"):
        curve.weights(2, 2, torch.tensor([0]))
    with pytest.raises(ValueError, match="for each of 4 KV heads"):
        curve.weights(0, 4, torch.tensor([0]))


@given(a=st.floats(0, 20), b=st.floats(1, 400), queries=st.integers(1, 300))
def test_what_is_cut_weighs_nothing(a: float, b: float, queries: int) -> None:
    whole = Curve(a, b).weights(0, 1, torch.arange(queries))[0].double()
    kept = reaching([Curve(a, b)], 0, 1, queries)[0, 0].double()
    assert float(kept.sum()) >= (1 - 2 * NEGLIGIBLE) * float(whole.sum())
    assert torch.equal(kept, whole[: len(kept)].flip(0))


def test_steep_curves_reach_a_little_beyond_their_window() -> None:
    assert reaching([Curve(10.0, 16)], 0, 2, 1000).shape == (1, 1, 17)
    assert reaching([Curve(math.inf, 16)], 0, 2, 1000).shape == (1, 1, 16)
    assert reaching([Curve(0.0, 1)], 0, 2, 1000).shape == (1, 1, 1000)


@pytest.mark.parametrize(
    "make", [lambda: Curve(-1.0, 2), lambda: Curve(math.nan, 2), lambda: Curve(1.0, 0.5), lambda: Geometric(1.5)]
)
def test_out_of_range(make) -> None:
    with pytest.raises(ValueError, match="expected"):
        make()
