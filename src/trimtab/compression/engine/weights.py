"""How much does a query count for what the cache keeps, given its distance from the prompt's end?

The sigmoid of A2SF (Dirac-Notation/A2SF; arXiv:2407.20485 for its geometric ancestor): with S tokens and query q,

    w[q] = 1 / (1 + exp(-a (q - (S - b - 0.5)))),   score[k] = sum over queries and grouped heads of w[q] P[h, q, k]

so b is a window's length (w = 1/2 half a token before it) and a its steepness. a = 0 weighs all alike (H2O,
arXiv:2306.14048), a = inf is a window of b queries (SnapKV, arXiv:2404.14469), of one query TOVA (arXiv:2401.06104).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

Value = float | tuple[float, ...] | tuple[tuple[float, ...], ...]
"""One number for all, one per layer, or one per layer and KV head."""

NEGLIGIBLE = 1e-6
"""Queries whose weights add up to less than this share of all are not looked at."""


def _heads_of(value: Value, layer: int, heads: int, what: str) -> list[float]:
    """The numbers of a layer: one, or one per KV head."""
    if not isinstance(value, tuple):
        return [float(value)]
    if layer >= len(value):
        raise ValueError(f"{what} has {len(value)} layers, the model more: expected one number, or one for each layer")
    row = value[layer]
    if not isinstance(row, tuple):
        return [float(row)]
    if len(row) != heads:
        raise ValueError(f"{what} has {len(row)} numbers in layer {layer}: expected one for each of {heads} KV heads")
    return [float(number) for number in row]


def _numbers(value: Any) -> list[float]:
    return [x for part in value for x in _numbers(part)] if isinstance(value, tuple) else [float(value)]


@dataclass(frozen=True)
class Curve:
    """Sigmoid forgetting. ``a`` >= 0 (steepness, ``inf`` for a window), ``b`` >= 1 (window, tokens): scalars, one per
    layer, or one per layer and KV head. Raises ValueError."""

    a: Value
    b: Value

    def __post_init__(self) -> None:
        if not all(a >= 0 for a in _numbers(self.a)):
            raise ValueError(f"the curve's a is {self.a}: expected 0 or more (inf for a window)")
        if not all(1 <= b < math.inf for b in _numbers(self.b)):
            raise ValueError(f"the curve's b is {self.b}: expected 1 token or more, finite")

    def __str__(self) -> str:
        return f"sigmoid({_shown(self.a)},{_shown(self.b)})"

    def weights(self, layer: int, heads: int, distances_Q: Tensor) -> Tensor:
        """Weights [1 or heads, Q] of queries ``distances_Q`` tokens before the last one (0: the last)."""
        a_H = torch.tensor(_heads_of(self.a, layer, heads, "a"), dtype=torch.float64)
        b_H = torch.tensor(_heads_of(self.b, layer, heads, "b"), dtype=torch.float64)
        ahead_HQ = b_H[:, None] - 0.5 - distances_Q.to("cpu", torch.float64)
        # 0 * inf is no number: a window's edge lies between two tokens, where b is whole
        steep_HQ = torch.where(ahead_HQ == 0, 0.0, a_H[:, None] * ahead_HQ)
        return torch.sigmoid(steep_HQ).float()


@dataclass(frozen=True)
class Geometric:
    """A2SF's first form, alpha^distance: 1 is H2O, 0 the last query only. Raises ValueError outside 0..1."""

    alpha: float

    def __post_init__(self) -> None:
        if not 0 <= self.alpha <= 1:
            raise ValueError(f"alpha is {self.alpha}: expected 0 to 1")

    def __str__(self) -> str:
        return f"geometric({_shown(self.alpha)})"

    def weights(self, layer: int, heads: int, distances_Q: Tensor) -> Tensor:
        """Weights [1, Q], as ``Curve.weights``."""
        return (self.alpha ** distances_Q.to("cpu", torch.float64))[None].float()


@dataclass(frozen=True)
class Newest:
    """No attention counts: the newest tokens stay (StreamingLLM, arXiv:2309.17453, where the sinks are protected)."""

    def __str__(self) -> str:
        return "newest"


Weights = Curve | Geometric | Newest


def _shown(value: Value) -> str:
    if isinstance(value, tuple):
        return "[" + ",".join(_shown(part) for part in value) + "]"
    return f"{value:g}"


def reaching(weights: Sequence[Curve | Geometric], layer: int, heads: int, queries: int) -> Tensor:
    """Weights [C, 1 or heads, Q] of the last Q of ``queries`` queries, in their order; what is before weighs nothing.

    Nothing: the weights beyond sum up to less than ``NEGLIGIBLE`` of all, for each curve and head.
    """
    distances_N = torch.arange(queries)
    rows = [w.weights(layer, heads, distances_N) for w in weights]
    per_head = max(row.shape[0] for row in rows)
    stacked_CHN = torch.stack([row.expand(per_head, -1) for row in rows])
    sums_CHN = stacked_CHN.double().cumsum(-1)
    enough_CHN = sums_CHN >= (1 - NEGLIGIBLE) * sums_CHN[..., -1:]
    reach = int(enough_CHN.int().argmax(-1).max()) + 1
    return stacked_CHN[..., :reach].flip(-1)
