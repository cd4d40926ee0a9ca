"""Are the features what their names say, the same live and in replay, and cheap?"""

from __future__ import annotations

import math
import time

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from trimtab.speculation.context import CLIP, HISTORY_NAMES, FeatureSet, History, PositionFeatures, join


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)


def _named(features: PositionFeatures, values: np.ndarray) -> dict[str, float]:
    return dict(zip(features.names, values.tolist(), strict=True))


def test_position_features_by_hand() -> None:
    probabilities = torch.tensor([0.4, 0.3, 0.1, 0.1, 0.025, 0.025, 0.02, 0.02, 0.01, 0.0])
    draft = probabilities[torch.randperm(10, generator=torch.Generator().manual_seed(0))].log()
    target = torch.tensor([0.5, 0.25, 0.25]).log() + 7.0  # logits are free of a constant
    features = PositionFeatures()
    said = _named(features, features(draft, target, torch.zeros(4), 99))
    assert said["draft_logprob_1"] == pytest.approx(math.log(0.4), abs=1e-5)
    assert said["draft_logprob_2"] == pytest.approx(math.log(0.3), abs=1e-5)
    assert said["draft_prob_1"] == pytest.approx(0.4, abs=1e-6)
    assert [said[f"draft_mass_{k}"] for k in (2, 4, 8)] == pytest.approx([0.7, 0.9, 0.99], abs=1e-5)
    expected = -sum(p * math.log(p) for p in probabilities.tolist() if p > 0)
    assert said["draft_entropy"] == pytest.approx(expected, abs=1e-5)
    assert said["log_context"] == pytest.approx(math.log(100), abs=1e-5)


def test_a_projection_is_seeded_and_free_of_the_states_scale() -> None:
    draft, target, state = torch.randn(50).log_softmax(0), torch.randn(60), torch.randn(32)
    first, again, other = (PositionFeatures.random(32, 5, seed) for seed in (1, 1, 2))
    values = first(draft, target, state, 10)
    assert len(values) == len(first.names)
    assert first.names[-1] == "state_4"
    assert values.dtype == np.float32
    np.testing.assert_array_equal(values, again(draft, target, state, 10))
    np.testing.assert_allclose(values, first(draft, target, 100 * state, 10), rtol=1e-4, atol=1e-5)
    assert not np.allclose(values[-5:], other(draft, target, state, 10)[-5:])
    assert PositionFeatures.random(32, 0).names == PositionFeatures().names


def test_a_state_of_another_width_and_a_tiny_vocabulary_are_refused() -> None:
    features = PositionFeatures.random(32, 5)
    with pytest.raises(ValueError, match="made for width 32"):
        features(torch.randn(50).log_softmax(0), torch.randn(60), torch.randn(31), 10)
    with pytest.raises(ValueError, match="at least 8"):
        features(torch.randn(7).log_softmax(0), torch.randn(60), torch.randn(32), 10)
    with pytest.raises(ValueError, match="expected"):
        PositionFeatures(np.zeros(3, np.float32))


def test_half_precision_inputs_give_nearly_the_same() -> None:
    features = PositionFeatures.random(32, 5)
    draft, target, state = torch.randn(50).log_softmax(0), torch.randn(60), torch.randn(32)
    exact = features(draft, target, state, 10)
    np.testing.assert_allclose(features(draft, target.bfloat16(), state.bfloat16(), 10), exact, atol=0.1)


def test_history_by_hand() -> None:
    history = History()
    assert dict(zip(HISTORY_NAMES, history.features()[0], strict=True))["first"] == 1.0
    history.observe(4, 3)  # four tokens with depth 3: its last level was accepted
    history.observe(2, 3)
    said = dict(zip(HISTORY_NAMES, history.features()[0].tolist(), strict=True))
    assert said["accepted_fast"] == pytest.approx(3.0)  # 4, then half way to 2
    assert said["accepted_slow"] == pytest.approx(3.7)  # 4 + 0.15 * (2 - 4)
    assert (said["accepted_last"], said["accepted_before"]) == (2.0, 4.0)
    assert (said["cut_by_depth"], said["first"]) == (0.0, 0.0)
    assert said["log_rounds"] == pytest.approx(math.log(3))
    history.reset()
    np.testing.assert_array_equal(history.features(), History().features())


@given(st.lists(st.tuples(st.integers(0, 8), st.integers(1, 7)), max_size=12))
def test_many_histories_are_as_many_single_ones(rounds: list[tuple[int, int]]) -> None:
    single, many = History(), History(3)
    for accepted, depth in rounds:
        single.observe(accepted, depth)
        many.observe(np.array([0, accepted, 1]), np.array([1, depth, 2]))
    np.testing.assert_array_equal(many.features()[1], single.features()[0])


def test_normalised_features_have_mean_zero_and_unit_variance() -> None:
    joined = join(
        np.random.default_rng(0).normal(5.0, 3.0, (400, 2)).astype(np.float32),
        np.zeros((400, len(HISTORY_NAMES)), np.float32),
    )
    features = FeatureSet.fit(["a", "b"], joined)
    normal = features.normalise(joined)
    np.testing.assert_allclose(normal[:, :2].mean(axis=0), 0.0, atol=1e-4)
    np.testing.assert_allclose(normal[:, :2].std(axis=0), 1.0, atol=1e-2)
    np.testing.assert_array_equal(normal[:, 2:], 0.0)  # constant: left unscaled
    assert features.normalise(joined + 1e6).max() == CLIP
    restored = FeatureSet.from_arrays(features.names, features.arrays())
    np.testing.assert_array_equal(restored.normalise(joined), normal)
    with pytest.raises(ValueError, match="features"):
        FeatureSet.from_arrays(["a"], features.arrays())
    with pytest.raises(ValueError, match="expected"):
        FeatureSet.fit(["a"], joined)


def test_features_take_microseconds() -> None:
    features = PositionFeatures.random(2048, 16)
    draft, target, state = torch.randn(4096).log_softmax(0), torch.randn(4096), torch.randn(2048)
    seconds = []
    with torch.inference_mode():
        for _ in range(300):
            started = time.perf_counter()
            features(draft, target, state, 100)
            seconds.append(time.perf_counter() - started)
    assert np.quantile(seconds, 0.25) < 500e-6  # about 90 microseconds on an idle core


def test_observing_one_decode_in_plain_numbers_is_the_same() -> None:
    draw = np.random.default_rng(0)
    many, one = History(), History()
    for _ in range(60):
        accepted, depth = int(draw.integers(0, 8)), int(draw.integers(1, 7))
        many.observe(accepted, depth)
        one.observe_one(accepted, depth)
        np.testing.assert_allclose(one.features(), many.features(), rtol=1e-5)
