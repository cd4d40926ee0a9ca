"""What is the network of NeuralUCB, and what are its gradients? One hidden ReLU layer over contexts in one block per arm.

The context of arm a is x in block a of an otherwise empty vector (Zhou, Li and Gu 2020, arXiv:1911.04462, section 7), so

    f_a(x) = s (w2 . relu(W_a x + b1) + b2)

with s = sqrt(width) and f = 0 at the start (the paper: half of the units mirror the other half), or s = 1 and torch's
usual start (the authors' code). Gradients g are those of f / s: for arm a, the block u x' of W_a, u of b1, relu(.) of w2
and 1 of b2, where u = w2 where the unit is on. They are never written out: norms and products follow from u, relu and x.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from trimtab.policies.mlp import MLP


@dataclass(frozen=True, eq=False)
class Gradients:
    """Gradients of N (context, arm) pairs, by their factors: ``gates_NH`` (u), ``units_NH`` (relu), ``contexts_NF``."""

    gates_NH: np.ndarray
    units_NH: np.ndarray
    contexts_NF: np.ndarray
    columns_N: np.ndarray

    def __len__(self) -> int:
        return len(self.columns_N)

    def products(self, others: Gradients) -> np.ndarray:
        """g . g' for all pairs [N, M]."""
        gates = self.gates_NH @ others.gates_NH.T
        same = self.columns_N[:, None] == others.columns_N[None]
        blocks = np.where(same, self.contexts_NF @ others.contexts_NF.T, 0.0)
        return gates * (blocks + 1.0) + self.units_NH @ others.units_NH.T + 1.0

    def norms(self) -> np.ndarray:
        """g . g, [N]."""
        gates, units = np.square(self.gates_NH).sum(1), np.square(self.units_NH).sum(1)
        return gates * (np.square(self.contexts_NF).sum(1) + 1.0) + units + 1.0


class GradientNetwork:
    """Parameters: ``first_AHF`` (W), ``first_bias_H``, ``second_H``, ``second_bias`` [1]; ``scale`` is s."""

    def __init__(self, first_AHF: np.ndarray, first_bias_H: np.ndarray, second_H: np.ndarray, scale: float) -> None:
        self.first_AHF, self.first_bias_H = first_AHF, first_bias_H
        self.second_H, self.second_bias = second_H, np.zeros(1, dtype=np.float32)
        self.scale = scale

    @classmethod
    def usual(cls, actions: int, features: int, width: int, generator: np.random.Generator) -> GradientNetwork:
        """Uniform within 1 / sqrt(inputs), as torch's layers start."""
        reach = 1 / np.sqrt(actions * features)
        first = generator.uniform(-reach, reach, (actions, width, features)).astype(np.float32)
        bias = generator.uniform(-reach, reach, width).astype(np.float32)
        second = generator.uniform(-1, 1, width).astype(np.float32) / np.float32(np.sqrt(width))
        return cls(first, bias, second, 1.0)

    @classmethod
    def mirrored(cls, actions: int, features: int, width: int, generator: np.random.Generator) -> GradientNetwork:
        """The paper's start: weights N(0, 4/width) and N(0, 2/width); the halves cancel, so that f = 0."""
        half = width // 2
        first = generator.normal(0, np.sqrt(4 / width), (actions, half, features)).astype(np.float32)
        second = generator.normal(0, np.sqrt(2 / width), half).astype(np.float32)
        bias = np.zeros(2 * half, dtype=np.float32)
        return cls(np.concatenate((first, first), axis=1), bias, np.concatenate((second, -second)), width**0.5)

    def _units(self, contexts_BF: np.ndarray) -> np.ndarray:
        """relu(W_a x + b1), [B, A, H]."""
        actions, width, features = self.first_AHF.shape
        flat = contexts_BF.astype(np.float32) @ self.first_AHF.reshape(actions * width, features).T
        return np.maximum(flat.reshape(-1, actions, width) + self.first_bias_H, 0)

    def means(self, contexts_BF: np.ndarray) -> np.ndarray:
        """f, [B, A]."""
        return self.scale * (self._units(contexts_BF) @ self.second_H + self.second_bias)

    def gradients(self, contexts_BF: np.ndarray) -> Gradients:
        """Of every context and arm: B A pairs, the arms of a context side by side."""
        units = self._units(contexts_BF)
        actions, width = units.shape[1:]
        flat = units.reshape(-1, width)
        columns = np.tile(np.arange(actions), len(contexts_BF))
        return Gradients(
            np.where(flat > 0, self.second_H, np.float32(0)),
            flat,
            np.repeat(contexts_BF.astype(np.float32), actions, axis=0),
            columns,
        )

    def gradients_of(self, contexts_NF: np.ndarray, columns_N: np.ndarray) -> Gradients:
        """Of one arm for each context."""
        contexts = contexts_NF.astype(np.float32)
        units = np.maximum(np.einsum("nhf,nf->nh", self.first_AHF[columns_N], contexts) + self.first_bias_H, 0)
        return Gradients(np.where(units > 0, self.second_H, np.float32(0)), units, contexts, columns_N)

    def step(self, context_F: np.ndarray, column: int, reward: float, rate: float) -> float:
        """One step of gradient descent on (f - r)^2 for one round; the squared error before it."""
        first, second = self.first_AHF[column], self.second_H
        units = np.maximum(first @ context_F + self.first_bias_H, 0)
        error = self.scale * (float(units @ second) + float(self.second_bias[0])) - reward
        push = np.float32(2 * rate * self.scale * error)
        gate = np.where(units > 0, push * second, np.float32(0))
        first -= gate[:, None] * context_F
        self.first_bias_H -= gate
        second -= push * units
        self.second_bias -= push
        return error * error

    def pull(self, share: float, towards: Mapping[str, np.ndarray] | None) -> None:
        """Move all parameters by ``share`` towards others, or towards 0."""
        for name, array in self.arrays().items():
            array *= np.float32(1 - share)
            if towards is not None:
                array += np.float32(share) * towards[name]

    def arrays(self) -> dict[str, np.ndarray]:
        """The parameters themselves (no copies)."""
        named = ("first_AHF", "first_bias_H", "second_H", "second_bias")
        return {name: getattr(self, name) for name in named}

    def load(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Take over copies of parameters."""
        for name in self.arrays():
            setattr(self, name, arrays[name].copy())

    def mlp(self) -> MLP:
        """All arms' units side by side, and each arm's output from its own: inputs F, outputs A."""
        actions, width, features = self.first_AHF.shape
        first = self.first_AHF.reshape(actions * width, features).T.copy()
        second = np.kron(np.eye(actions, dtype=np.float32), self.second_H[:, None]) * np.float32(self.scale)
        bias = np.full(actions, self.scale * self.second_bias[0], dtype=np.float32)
        return MLP(((first, np.tile(self.first_bias_H, actions)), (second, bias)), "relu")
