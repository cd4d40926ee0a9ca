"""What actions would keep, against naive loops; and the regression that all actions share."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from compression import tiny_models as tiny
from trimtab.compression.actions import menu
from trimtab.compression.engine.kept_sets import distinct_sets
from trimtab.compression.engine.prefill import prefill
from trimtab.compression.features import LOOKS, echo, focus, look_back, looks, reach
from trimtab.compression.kept_features import (
    KeptFeatures,
    depth_groups,
    earlier_occurrences,
    kept_features,
    name_of,
    retained,
)
from trimtab.compression.regression import Shared, earned


def _read(seed: int = 1):
    actions = menu("u5b")
    ids = (tiny.tokens(80, seed=seed)[0] % 20).tolist()
    return prefill(tiny.model(), ids, [*(action.method.weights for action in actions), *LOOKS]), actions


def test_what_is_kept_is_the_attention_kept() -> None:
    read, actions = _read()
    methods = [action.method for action in actions]
    sets = distinct_sets(read, methods, (24,))
    looked = [torch.stack([scores / scores.sum(1, keepdim=True) for scores in layers]) for layers in looks(read)]
    shares_SK = retained(looked, sets)
    for row, method in enumerate(methods):
        kept = read.kept(method, 24)
        for look in range(3):
            for layer in range(3):
                by_head = [float(looked[look][layer, g, kept[layer][g]].sum()) for g in range(2)]
                assert shares_SK[sets.of_row[row], 3 * look + layer] == pytest.approx(np.mean(by_head), abs=1e-5)


def test_one_vector_per_budget_with_all_actions_in_turn() -> None:
    read, actions = _read()
    made = kept_features(read, [action.method for action in actions], (24, 500))
    assert set(made) == {"kept@24", "kept@500"}
    width = len(made["kept@24"]) // len(actions)
    whole = made["kept@500"].reshape(len(actions), width)
    assert width * len(actions) == len(made["kept@24"])
    assert whole[:, :9] == pytest.approx(np.ones((len(actions), 9)) * whole[0, :9])  # all is kept: all actions alike
    assert (made["kept@24"] <= made["kept@500"] + 1e-6).all()
    extra = KeptFeatures(actions, (24,))
    assert extra.name != KeptFeatures(actions, (32,)).name != KeptFeatures(actions[:2], (24,)).name


def test_earlier_occurrences_and_depths_by_hand() -> None:
    assert earlier_occurrences([5, 6, 5, 5]) == [[], [], [0], [0, 2]]
    assert depth_groups(2) == [[0], [1]]
    assert [len(group) for group in depth_groups(10)] == [3, 3, 2, 2]
    assert name_of(64) == "kept@64"


def test_an_echo_by_hand() -> None:
    # of 1 2 3 9 1 2 3: the last run of two is 2 3 (2 and 6 from the end), of three 1 2 3 (3 and 7); of four none
    numbers = np.expm1(echo([1, 2, 3, 9, 1, 2, 3]))
    assert numbers == pytest.approx([2, 6, 3, 7, 14, 14, 14, 14])


def test_looks_are_shares_and_distances() -> None:
    read, _ = _read()
    looked = looks(read)
    assert np.square(look_back(looked[:2])).reshape(6, 14).sum(1) == pytest.approx(np.ones(6))
    assert focus(looked).shape == (3 * 3 * 6,)
    held = reach(looked)
    assert held.shape == (2 * 3 * 2,)
    assert ((held >= 0) & (held <= 1 + 1e-6)).all()
    with pytest.raises(ValueError, match="did not score"):
        looks(prefill(tiny.model(), [1, 2, 3]))


def _made(random: np.random.Generator, prompts: int, actions: int = 6) -> tuple[np.ndarray, np.ndarray]:
    """Two numbers of each action tell its reward, the same way for all; beside them noise."""
    kept = random.standard_normal((prompts, actions, 2))
    rewards = np.clip(
        0.5 + 0.2 * kept[..., 0] - 0.1 * kept[..., 1] + 0.05 * random.standard_normal(kept.shape[:2]), 0, 1
    )
    return np.concatenate((random.standard_normal((prompts, 5)), kept.reshape(prompts, -1)), axis=1), rewards


def test_one_regression_serves_all_actions() -> None:
    random = np.random.default_rng(0)
    (contexts, rewards), (fresh, judged) = _made(random, 60), _made(random, 300)
    mlp = Shared().fit(contexts, rewards, kept=12)
    assert earned(mlp, fresh, judged) > 0.95 * judged.max(axis=1).mean()


def test_what_remains_is_learned_from_the_context() -> None:
    contexts, rewards = _made(np.random.default_rng(1), 500)
    rewards[:, 0] += 0.5 * np.sign(contexts[:, 0])  # no number of the action tells of this
    mlp = Shared().fit(contexts[:300], rewards[:300], kept=12)
    blind = contexts[300:].copy()
    blind[:, 0] = 0
    assert earned(mlp, contexts[300:], rewards[300:]) > earned(mlp, blind, rewards[300:]) + 0.03


def test_a_block_that_is_none_is_refused() -> None:
    contexts, rewards = _made(np.random.default_rng(0), 20)
    with pytest.raises(ValueError, match="13 columns for 6 actions"):
        Shared().fit(contexts, rewards, kept=13)
