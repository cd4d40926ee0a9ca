"""Is the plain network the same as the one that was trained, fast, and safe to load?"""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest
import torch
from gymnasium import spaces
from stable_baselines3.common.policies import ActorCriticPolicy
from torch import nn

from trimtab.policies.fixed import Fixed
from trimtab.policies.mlp import MLP
from trimtab.policies.sb3 import export_mlp, import_mlp


def _actor(inputs: int = 24, actions: int = 12, seed: int = 0) -> ActorCriticPolicy:
    torch.manual_seed(seed)
    box = spaces.Box(-np.inf, np.inf, (inputs,), np.float32)
    arch = {"pi": [64, 64], "vf": [64, 64]}
    return ActorCriticPolicy(
        box, spaces.Discrete(actions), lambda _: 3e-4, net_arch=arch, activation_fn=nn.Tanh, ortho_init=False
    )


def test_hand_worked_scores() -> None:
    first = (np.array([[1.0], [2.0]], np.float32), np.array([-3.0], np.float32))
    second = (np.array([[1.0, -1.0]], np.float32), np.array([0.0, 0.5], np.float32))
    mlp = MLP((first, second))
    np.testing.assert_allclose(mlp.scores(np.array([1.0, 1.0], np.float32)), [0.0, 0.5])  # tanh(1 + 2 - 3) = 0
    assert mlp.choose(np.array([1.0, 1.0], np.float32)) == 1
    assert mlp.choose(np.array([5.0, 1.0], np.float32)) == 0  # tanh(4) > 0.5 - tanh(4)


def test_export_decides_as_the_trained_network() -> None:
    actor = _actor()
    observations = np.random.default_rng(0).standard_normal((500, 24)).astype(np.float32)
    mlp = export_mlp(actor)
    with torch.no_grad():
        logits = actor.get_distribution(torch.from_numpy(observations)).distribution.logits.numpy()
    scores = mlp.scores(observations)
    np.testing.assert_allclose(
        scores - scores.mean(1, keepdims=True), logits - logits.mean(1, keepdims=True), atol=1e-5
    )
    predicted, _ = actor.predict(observations, deterministic=True)
    np.testing.assert_array_equal(scores.argmax(axis=1), predicted)


def test_import_is_the_reverse_of_export() -> None:
    trained, other = _actor(seed=1), _actor(seed=2)
    import_mlp(other, export_mlp(trained))
    for (weight, bias), (copied, copied_bias) in zip(export_mlp(trained).layers, export_mlp(other).layers, strict=True):
        np.testing.assert_array_equal(weight, copied)
        np.testing.assert_array_equal(bias, copied_bias)
    with pytest.raises(ValueError, match="the actor has layers of"):
        import_mlp(_actor(inputs=5), export_mlp(trained))


def test_file_round_trip(tmp_path: Path) -> None:
    mlp = export_mlp(_actor())
    mlp.save(tmp_path / "mlp.safetensors")
    loaded = MLP.load(tmp_path / "mlp.safetensors")
    features = np.random.default_rng(1).standard_normal((7, 24)).astype(np.float32)
    np.testing.assert_array_equal(loaded.scores(features), mlp.scores(features))


@pytest.mark.parametrize("content", [b"", b"not a perceptron at all", b"\x80\x04\x95pickled"])
def test_a_foreign_file_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "mlp.safetensors"
    path.write_bytes(content)
    with pytest.raises(ValueError, match="no saved perceptron"):
        MLP.load(path)


def test_layers_that_do_not_fit_are_refused() -> None:
    good = (np.zeros((3, 2), np.float32), np.zeros(2, np.float32))
    with pytest.raises(ValueError, match="layer 1 has weight"):
        MLP((good, good))
    with pytest.raises(ValueError, match="not finite"):
        MLP(((np.full((3, 2), np.nan, np.float32), good[1]),))
    with pytest.raises(ValueError, match="at least one"):
        MLP(())
    with pytest.raises(ValueError, match="no perceptron"):
        MLP.from_arrays({"0.weight": good[0], "1.bias": good[1]})


def test_a_decision_takes_microseconds() -> None:
    mlp = export_mlp(_actor())
    features = np.zeros(24, np.float32)
    seconds = []
    for _ in range(300):
        started = time.perf_counter()
        mlp.choose(features)
        seconds.append(time.perf_counter() - started)
    assert np.median(seconds) < 100e-6


def test_fixed_always_does_the_same() -> None:
    policy = Fixed("tree")
    assert policy(object()) == "tree"
    assert [choice.action for choice in policy.act([1, 2, 3])] == ["tree"] * 3
    assert policy.update([]) == {}
