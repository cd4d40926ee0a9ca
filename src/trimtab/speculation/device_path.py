"""How does a tree policy look at its features on an accelerator without making it wait?

What a decision needs from the host (the context's length, the history: eight numbers) goes there in one copy that nobody
waits for; projection, normalisation and network run behind it on the device, and features and scores come back together:
one small copy, the only time that a decision waits. That one cannot be spared, since the host builds the tree.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from trimtab.policies.mlp import MLP
from trimtab.speculation.context import CLIP, HISTORY_NAMES, FeatureSet, statistics_on_device
from trimtab.speculation.engine.generation import RoundState
from trimtab.speculation.states import Features

_ACTIVATIONS = {"tanh": torch.tanh, "relu": torch.relu}


class DevicePath:
    """From a ``RoundState`` to normalised features [F] and the network's outputs, on ``device``."""

    def __init__(self, position: Features, features: FeatureSet, mlp: MLP, device: torch.device) -> None:
        self.device, self._position = device, position
        self._mean_F, self._scale_F = (torch.from_numpy(a).to(device) for a in (features.mean_F, features.scale_F))
        self._layers = [tuple(torch.from_numpy(array).to(device) for array in layer) for layer in mlp.layers]
        self._between, self._width = _ACTIVATIONS[mlp.activation], features.width
        self._sent = torch.zeros(1 + len(HISTORY_NAMES), pin_memory=device.type == "cuda")

    def __call__(self, state: RoundState, history_F: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Normalised features [F] and scores, float32, on the host."""
        both = self.queued(state, history_F).cpu().numpy()
        return both[: self._width], both[self._width :]

    def queued(self, state: RoundState, history_F: np.ndarray) -> Tensor:
        """Features and scores side by side, still on the device: everything is queued, nothing waited for.

        Read it before the next call, which writes to the same page-locked memory.
        """
        self._sent[0] = math.log1p(state.context_tokens)
        self._sent[1:] = torch.from_numpy(history_F)
        known = self._sent.to(self.device, non_blocking=True)
        tensors = [one.to(self.device, torch.float32) for one in self._position.tensors(state)]
        if self._position.with_statistics:
            tensors[0] = statistics_on_device(tensors[0], known[:1])
        joined_F = torch.cat((*tensors, known[1:]))
        features_F = ((joined_F - self._mean_F) / self._scale_F).clamp(-CLIP, CLIP)
        return torch.cat((features_F, self._scores(features_F)))

    def _scores(self, features_F: Tensor) -> Tensor:
        hidden = features_F
        for index, (weight, bias) in enumerate(self._layers):
            hidden = torch.addmv(bias, weight.T, self._between(hidden) if index else hidden)
        return hidden
