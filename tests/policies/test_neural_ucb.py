"""Are NeuralUCB's gradients, covariances and training what the papers say, against torch and naive inverses?"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from trimtab.checkpoints import Bookkeeping, Checkpoints
from trimtab.policies.gradient_covariance import Diagonal, Full
from trimtab.policies.gradient_network import GradientNetwork
from trimtab.policies.mlp import MLP
from trimtab.policies.networks import network_of
from trimtab.policies.neural_ucb import NeuralUCB
from trimtab.policies.ucb1 import UCB1

ARMS, WIDTH, FEATURES = 3, 4, 2


def _network(seed: int, start: str = "usual") -> GradientNetwork:
    return getattr(GradientNetwork, start)(ARMS, FEATURES, WIDTH, np.random.default_rng(seed))


def _written_out(network: GradientNetwork, context: np.ndarray, arm: int) -> np.ndarray:
    """The gradient of f / s by torch, on the context in its block."""
    first, bias, second, last = (torch.tensor(a, requires_grad=True) for a in network.arrays().values())
    block = torch.zeros(ARMS, FEATURES)
    block[arm] = torch.from_numpy(context.astype(np.float32))
    f = torch.relu(torch.einsum("ahf,af->h", first, block) + bias) @ second + last[0]
    f.backward()
    parts = [first.grad, bias.grad, second.grad, last.grad]
    return np.concatenate([part.numpy().ravel() for part in parts if part is not None]).astype(np.float64)


def _all_written_out(network: GradientNetwork, contexts: np.ndarray) -> np.ndarray:
    return np.stack([_written_out(network, context, arm) for context in contexts for arm in range(ARMS)])


@given(st.integers(0, 1000), st.sampled_from(["usual", "mirrored"]))
@settings(max_examples=15, deadline=None)
def test_products_of_gradients_are_those_of_autograd(seed: int, start: str) -> None:
    network, contexts = _network(seed, start), np.random.default_rng(seed).standard_normal((2, FEATURES))
    naive, gradients = _all_written_out(network, contexts), network.gradients(contexts)
    np.testing.assert_allclose(gradients.products(gradients), naive @ naive.T, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(gradients.norms(), (naive**2).sum(1), rtol=1e-4)


@given(st.integers(0, 1000), st.floats(0.01, 2.0))
@settings(max_examples=15, deadline=None)
def test_both_covariances_are_the_naive_ones(seed: int, ridge: float) -> None:
    rng, network = np.random.default_rng(seed), _network(seed)
    played, columns = rng.standard_normal((6, FEATURES)), rng.integers(ARMS, size=6)
    asked = rng.standard_normal((3, FEATURES))
    g, naive = network.gradients(asked), _all_written_out(network, asked)
    rows = np.stack([_written_out(network, c, a) for c, a in zip(played, columns.tolist(), strict=True)])
    z = ridge * np.eye(rows.shape[1]) + rows.T @ rows
    full, diagonal = Full(WIDTH, FEATURES, ridge, 100), Diagonal(ARMS, WIDTH, FEATURES, ridge)
    for part in (slice(0, 1), slice(1, 4), slice(4, 6)):  # one by one and several at once
        for covariance in (full, diagonal):
            covariance.observe(network.gradients_of(played[part], columns[part]))
    expected = ridge * np.einsum("np,pq,nq->n", naive, np.linalg.inv(z), naive)
    np.testing.assert_allclose(full.variances(g), expected, rtol=1e-3, atol=1e-5)
    np.testing.assert_allclose(diagonal.variances(g), ridge * (naive**2 / np.diag(z)).sum(1), rtol=1e-3)


def test_a_full_covariance_forgets_the_oldest_rounds() -> None:
    rng, network = np.random.default_rng(0), _network(0)
    contexts, columns = rng.standard_normal((11, FEATURES)), rng.integers(ARMS, size=11)
    short, last = Full(WIDTH, FEATURES, 0.1, memory=10), Full(WIDTH, FEATURES, 0.1, memory=10)
    short.observe(network.gradients_of(contexts, columns))
    last.observe(network.gradients_of(contexts[-5:], columns[-5:]))
    asked = network.gradients(rng.standard_normal((4, FEATURES)))
    assert len(short.rounds) == 5
    np.testing.assert_allclose(short.variances(asked), last.variances(asked), rtol=1e-6)


def test_the_papers_start_foretells_nothing() -> None:
    network = _network(3, "mirrored")
    np.testing.assert_allclose(network.means(np.ones((2, FEATURES))), 0, atol=1e-6)
    assert network.scale == WIDTH**0.5


@pytest.mark.parametrize("start", ["usual", "mirrored"])
def test_a_step_is_gradient_descent(start: str) -> None:
    network, context = _network(5, start), np.array([0.3, -0.7], dtype=np.float32)
    before = np.concatenate([array.ravel().copy() for array in network.arrays().values()])
    gradient, mean = _written_out(network, context, 1), float(network.means(context[None])[0, 1])
    loss = network.step(context, 1, 2.0, 0.01)
    after = np.concatenate([array.ravel() for array in network.arrays().values()])
    assert loss == pytest.approx((mean - 2.0) ** 2, rel=1e-5)
    np.testing.assert_allclose(after, before - 0.01 * 2 * (mean - 2) * network.scale * gradient, atol=1e-5)


def test_weights_are_pulled_towards_the_first_ones_or_zero() -> None:
    network = _network(1)
    first = {name: array + 1 for name, array in network.arrays().items()}
    before = {name: array.copy() for name, array in network.arrays().items()}
    network.pull(0.25, first)
    for name, array in network.arrays().items():
        np.testing.assert_allclose(array, before[name] + 0.25, atol=1e-6)
    network.pull(1.0, None)
    assert not any(array.any() for array in network.arrays().values())


def test_the_exported_network_says_the_same_also_from_a_file(tmp_path: Path) -> None:
    network, contexts = _network(2, "mirrored"), np.random.default_rng(0).standard_normal((5, FEATURES))
    network.step(contexts[0].astype(np.float32), 2, 1.0, 0.1)
    mlp = network.mlp()
    mlp.save(tmp_path / "policy.safetensors")
    for read in (mlp, MLP.from_arrays(mlp.arrays()), MLP.load(tmp_path / "policy.safetensors")):
        assert read.activation == "relu"
        np.testing.assert_allclose(read.scores(contexts.astype(np.float32)), network.means(contexts), atol=1e-5)
    with pytest.raises(ValueError, match="expected tanh"):
        network_of(mlp)


def _play(bandit: Any, rounds: range) -> list[int]:
    chosen: list[int] = []
    for seed in rounds:
        contexts = np.random.default_rng(seed).standard_normal((4, FEATURES))
        columns = bandit.choose(contexts)
        bandit.observe(contexts, columns, (contexts[:, 0] > 0) * 1.0 * (columns == 1))
        chosen += columns.tolist()
    return chosen


VARIANTS = [
    NeuralUCB(width=8, rule=rule, covariance=covariance, start=start, train_every=8, steps=100, memory=30)
    for rule in ("ucb", "ts")
    for covariance in ("diagonal", "full")
    for start in ("warm", "theta0")
]


@pytest.mark.parametrize("variant", VARIANTS, ids=lambda v: f"{v.rule}-{v.covariance}-{v.start}")
def test_a_run_resumed_from_disk_is_the_uninterrupted_one(tmp_path: Path, variant: NeuralUCB) -> None:
    whole, resumed = variant.build(ARMS_MENU, FEATURES, 1), variant.build(ARMS_MENU, FEATURES, 99)
    _play(whole, range(13))
    Checkpoints(tmp_path, keep=1).write(13, whole.arrays(), whole.state(), Bookkeeping())
    found = Checkpoints(tmp_path, keep=1).latest()
    assert found is not None
    resumed.restore(found.arrays(), found.state)
    assert _play(whole, range(13, 30)) == _play(resumed, range(13, 30))
    expected, given_ = whole.arrays(), resumed.arrays()
    assert {k: v.tobytes() for k, v in expected.items()} == {k: v.tobytes() for k, v in given_.items()}
    assert json.dumps(whole.state()) == json.dumps(resumed.state())


ARMS_MENU = ["a", "b", "c"]


def test_the_deployed_choice_shuns_what_is_uncertain() -> None:
    bandit = NeuralUCB(width=8, ridge=0.01).build(ARMS_MENU, FEATURES, 0)
    contexts = np.ones((1, FEATURES))
    for _ in range(40):
        bandit.observe(contexts, np.array([1]), np.array([0.5]))
    assert bandit.deviations(contexts)[0].argmin() == 1
    bold, careful = bandit.means(contexts), bandit.deployed(contexts, uncertainty_coef=10.0)
    assert bandit.deployed(contexts).tolist() == bold.argmax(axis=1).tolist()
    assert careful.tolist() == [1]
    with pytest.raises(ValueError, match="knows no uncertainty"):
        UCB1().build(ARMS_MENU, FEATURES).deployed(contexts, 1.0)


def test_what_cannot_be_is_refused() -> None:
    for broken in ({"width": 7}, {"ridge": 0.0}, {"steps": 0}, {"exploration": -1.0}):
        with pytest.raises(ValueError, match="expected"):
            replace(NeuralUCB(), **broken)
    for name in ("rule", "covariance", "start"):
        with pytest.raises(ValueError, match=f"{name} 'other': expected one of"):
            replace(NeuralUCB(), **{name: "other"})
