"""How uncertain is a network's estimate, by its gradients? lambda g' Z^-1 g, with Z = lambda I + sum g g' over the rounds.

``Diagonal`` keeps Z's diagonal alone, as the published experiments do. ``Full`` keeps all of Z, by its dual: with K the
products of the n rounds' gradients and k those with g, Woodbury's identity gives

    lambda g' Z^-1 g = g'g - k' (lambda I + K)^-1 k

so that n x n numbers stand for the (width x actions x features)^2 ones of Z, exactly.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import numpy as np

from trimtab.policies.gradient_network import Gradients


class Covariance(Protocol):
    """What both do. ``variances``: lambda g' Z^-1 g of N gradients; ``observe``: rounds that were played."""

    @property
    def ridge(self) -> float: ...
    def variances(self, gradients: Gradients) -> np.ndarray: ...
    def observe(self, gradients: Gradients) -> None: ...
    def arrays(self) -> dict[str, np.ndarray]: ...
    def restore(self, arrays: Mapping[str, np.ndarray]) -> None: ...


class Diagonal:
    """lambda + the sum of squared gradients, one number for each parameter."""

    def __init__(self, actions: int, width: int, features: int, ridge: float) -> None:
        self.ridge = ridge
        self.first_AHF = np.full((actions, width, features), ridge, dtype=np.float32)
        self.first_bias_H, self.second_H = np.full(width, ridge), np.full(width, ridge)
        self.second_bias = np.full(1, ridge)

    def variances(self, gradients: Gradients) -> np.ndarray:
        gates, units = np.square(gradients.gates_NH), np.square(gradients.units_NH)
        squares = np.square(gradients.contexts_NF)
        blocks = np.empty(len(gradients))
        inverse = self._inverse()
        for column in np.unique(gradients.columns_N).tolist():
            rows = gradients.columns_N == column
            blocks[rows] = np.einsum("nh,nh->n", gates[rows], squares[rows] @ inverse[column].T)
        rest = gates @ (1 / self.first_bias_H) + units @ (1 / self.second_H) + 1 / self.second_bias
        return self.ridge * (blocks + rest)

    def _inverse(self) -> np.ndarray:
        return 1 / self.first_AHF

    def observe(self, gradients: Gradients) -> None:
        gates, units = np.square(gradients.gates_NH), np.square(gradients.units_NH)
        squares = np.square(gradients.contexts_NF)
        for row, column in enumerate(gradients.columns_N.tolist()):
            self.first_AHF[column] += gates[row][:, None] * squares[row]
        self.first_bias_H += gates.sum(0)
        self.second_H += units.sum(0)
        self.second_bias += len(gradients)

    def arrays(self) -> dict[str, np.ndarray]:
        named = ("first_AHF", "first_bias_H", "second_H", "second_bias")
        return {name: getattr(self, name) for name in named}

    def restore(self, arrays: Mapping[str, np.ndarray]) -> None:
        for name in self.arrays():
            setattr(self, name, arrays[name].copy())


class Full:
    """The gradients of the last rounds (``memory`` at most, half of them at least) and the inverse of lambda I + K."""

    def __init__(self, width: int, features: int, ridge: float, memory: int) -> None:
        self.ridge, self.memory = ridge, memory
        empty = np.empty((0, width))
        self.rounds = Gradients(empty, empty, np.empty((0, features)), np.empty(0, dtype=np.int64))
        self.inverse_NN = np.empty((0, 0))

    def variances(self, gradients: Gradients) -> np.ndarray:
        products = _precise(gradients).products(self.rounds)
        explained = np.einsum("nr,nr->n", products @ self.inverse_NN, products)
        return np.maximum(_precise(gradients).norms() - explained, 0.0)

    def observe(self, gradients: Gradients) -> None:
        """Block inversion: (lambda I + K)^-1 grows by as many rows as there are rounds."""
        added = _precise(gradients)
        across = self.inverse_NN @ self.rounds.products(added)
        own = added.products(added) + self.ridge * np.eye(len(added))
        corner = np.linalg.inv(own - self.rounds.products(added).T @ across)
        side = -across @ corner
        self.inverse_NN = np.block([[self.inverse_NN - side @ across.T, side], [side.T, corner]])
        self.rounds = _joined(self.rounds, added)
        if len(self.rounds) > self.memory:
            self._forget()

    def _forget(self) -> None:
        keep = slice(-(self.memory // 2), None)
        kept = Gradients(*(array[keep] for array in vars(self.rounds).values()))
        self.rounds = kept
        self.inverse_NN = np.linalg.inv(kept.products(kept) + self.ridge * np.eye(len(kept)))

    def arrays(self) -> dict[str, np.ndarray]:
        return {"inverse_NN": self.inverse_NN, **vars(self.rounds)}

    def restore(self, arrays: Mapping[str, np.ndarray]) -> None:
        copies = {name: array.copy() for name, array in arrays.items()}
        self.inverse_NN = copies.pop("inverse_NN")
        self.rounds = Gradients(**copies)


def _precise(gradients: Gradients) -> Gradients:
    """In float64."""
    return Gradients(
        gradients.gates_NH.astype(np.float64),
        gradients.units_NH.astype(np.float64),
        gradients.contexts_NF.astype(np.float64),
        gradients.columns_N,
    )


def _joined(first: Gradients, second: Gradients) -> Gradients:
    pairs = zip(vars(first).values(), vars(second).values(), strict=True)
    return Gradients(*(np.concatenate(pair) for pair in pairs))
