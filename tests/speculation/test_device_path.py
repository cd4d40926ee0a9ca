"""Is a decision on the device the one that numpy makes, and does nothing in it wait?"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from trimtab.policies.mlp import MLP
from trimtab.speculation.actions import TreeShape
from trimtab.speculation.context import HISTORY_NAMES, FeatureSet, PositionFeatures
from trimtab.speculation.device_path import DevicePath
from trimtab.speculation.engine.generation import RoundState
from trimtab.speculation.state_parts import Fused
from trimtab.speculation.states import Features, StateFeatures, StateSpec
from trimtab.speculation.tree_policy import TreePolicy

ACTIONS = [TreeShape(4, 2, 2), TreeShape(8, 3, 2), TreeShape(16, 5, 4)]
STATE, FUSED = 32, 96
POSITIONS: dict[str, Features] = {
    "statistics": PositionFeatures(),
    "statistics and the head's state": PositionFeatures.random(STATE, 4),
    "fused": StateFeatures(StateSpec.parse("fused"), {"fused": Fused(FUSED)}, {}),
    "statistics+fused": StateFeatures(StateSpec.parse("statistics+fused"), {"fused": Fused(FUSED)}, {}),
}


def _state(seed: int, device: str = "cpu") -> RoundState:
    generator = torch.Generator().manual_seed(seed)
    draft = (3 * torch.randn(64, generator=generator)).log_softmax(0)
    if seed == 0:
        draft = torch.where(torch.arange(64) == 5, 0.0, -torch.inf)  # a head that is certain
    state, fused = torch.randn(STATE, generator=generator), torch.randn(FUSED, generator=generator)
    parts = (part.to(device) for part in (draft, state, fused, torch.zeros(64)))
    return RoundState(40 + 7 * seed, 1, [], 3, *parts)


def _parts(position: Features, activation: Any = "tanh") -> tuple[FeatureSet, MLP]:
    rng = np.random.default_rng(1)
    names = [*position.names, *HISTORY_NAMES]
    layers = tuple(
        (rng.standard_normal((a, b)).astype(np.float32) / np.float32(a**0.5), rng.standard_normal(b).astype(np.float32))
        for a, b in pairwise([len(names), 16, len(ACTIONS)])
    )
    mean, scale = rng.standard_normal(len(names)), rng.uniform(0.2, 3, len(names))
    scale[-1] = np.inf  # a column that the network does not see
    return FeatureSet(names, mean.astype(np.float32), scale.astype(np.float32)), MLP(layers, activation)


@pytest.mark.parametrize("activation", ["tanh", "relu"])
@pytest.mark.parametrize("position", POSITIONS.values(), ids=POSITIONS)
def test_features_and_scores_are_those_of_numpy(position: Features, activation: str) -> None:
    features, mlp = _parts(position, activation)
    path = DevicePath(position, features, mlp, torch.device("cpu"))
    for seed in range(8):
        state = _state(seed)
        history_F = np.random.default_rng(seed).uniform(0, 5, len(HISTORY_NAMES)).astype(np.float32)
        expected_F = features.normalise(np.concatenate((position.read(state), history_F)))
        found_F, scores = path(state, history_F)
        np.testing.assert_allclose(found_F, expected_F, rtol=1e-4, atol=2e-5)
        np.testing.assert_allclose(scores, mlp.scores(expected_F), rtol=1e-4, atol=1e-4)
        assert np.abs(found_F).max() <= 6.0


class _Watch(TorchDispatchMode):
    """Notes every operation that reads a value on the host, or whose shape depends on values."""

    def __init__(self) -> None:
        super().__init__()
        self.waited: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func.overloadpacket.__name__ in ("_local_scalar_dense", "nonzero", "masked_select", "equal"):
            self.waited.append(str(func))
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("position", POSITIONS.values(), ids=POSITIONS)
def test_nothing_is_read_on_the_host_on_the_way(position: Features) -> None:
    path = DevicePath(position, *_parts(position), torch.device("cpu"))
    with _Watch() as watch:
        both = path.queued(_state(3), np.ones(len(HISTORY_NAMES), np.float32))
    assert watch.waited == []
    with watch:
        both.sum().item()
    assert watch.waited == ["aten._local_scalar_dense.default"]  # it would have been noticed


@pytest.mark.gpu
@pytest.mark.parametrize("position", POSITIONS.values(), ids=POSITIONS)
def test_on_a_gpu_it_neither_waits_nor_decides_otherwise(position: Features) -> None:
    if not torch.cuda.is_available():
        pytest.skip("needs a GPU")
    features, mlp = _parts(position)
    policy = TreePolicy(ACTIONS, mlp, features, position)
    path = DevicePath(position, features, mlp, torch.device("cuda"))
    history_F = np.zeros(len(HISTORY_NAMES), np.float32)
    path(_state(1, "cuda"), history_F)
    for seed in range(8):
        there = _state(seed, "cuda")
        torch.cuda.synchronize()
        torch.cuda.set_sync_debug_mode("error")
        try:
            both = path.queued(there, history_F)
        finally:
            torch.cuda.set_sync_debug_mode("default")
        here = policy.features.normalise(np.concatenate((position.read(_state(seed)), history_F)))
        np.testing.assert_allclose(both.cpu().numpy()[: features.width], here, rtol=1e-3, atol=1e-4)
        assert policy(there) == policy.actions[int(mlp.scores(here).argmax())]
