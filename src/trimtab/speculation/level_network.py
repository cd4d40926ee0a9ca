"""What decides whether drafting goes on, and how much of the tree is verified? Two small perceptrons in plain numpy.

Each is ``tanh(x W + b_d) v + x u + c_d``, the depth d entering by biases of its own. The first scores stopping; what the
round contributes to it is computed once, so that a decision costs a few microseconds per level. The second scores the
sizes, once, at the end. The features' normalisation is folded into the weights.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cached_property
from math import tanh
from operator import mul

import numpy as np
from numpy.typing import NDArray

from trimtab.speculation.levels import LevelMenu

Floats = np.ndarray
Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Perceptron:
    """Weights: inward [F, H], its biases [D, H], outward [H, O], direct [F, O], its biases [D, O]."""

    inward_FH: Floats
    bias_DH: Floats
    outward_HO: Floats
    direct_FO: Floats
    bias_DO: Floats

    def scores(self, features_BDF: Floats) -> Floats:
        """Scores [B, D, O] at all depths."""
        hidden = np.tanh(features_BDF @ self.inward_FH + self.bias_DH)
        return hidden @ self.outward_HO + features_BDF @ self.direct_FO + self.bias_DO

    def at(self, features_F: Floats, depth: int) -> Floats:
        """Scores [O] at one depth."""
        hidden = np.tanh(features_F @ self.inward_FH + self.bias_DH[depth])
        return hidden @ self.outward_HO + features_F @ self.direct_FO + self.bias_DO[depth]


class StopRule:
    """The stopping perceptron in plain numbers, moment and round apart.

    For a handful of units a call of numpy costs more than their arithmetic, and in a live decode, whose caches the models
    have emptied, several times more.
    """

    def __init__(self, stop: Perceptron, moment_width: int) -> None:
        moment, rest = slice(moment_width), slice(moment_width, None)
        self.moment_HM: list[list[float]] = stop.inward_FH[moment].T.tolist()
        self.round_HR: list[list[float]] = stop.inward_FH[rest].T.tolist()
        self.bias_DH: list[list[float]] = stop.bias_DH.tolist()
        self.outward_H: list[float] = stop.outward_HO[:, 0].tolist()
        self.moment_M: list[float] = stop.direct_FO[moment, 0].tolist()
        self.round_R: list[float] = stop.direct_FO[rest, 0].tolist()
        self.bias_D: list[float] = stop.bias_DO[:, 0].tolist()


class SizeRule:
    """The sizes' perceptron with its two products in one, and impossible sizes ruled out: few calls of numpy."""

    def __init__(self, size: Perceptron, penalty_DT: Floats) -> None:
        self._hidden = size.inward_FH.shape[1]
        self._joined_FX = np.ascontiguousarray(np.concatenate((size.inward_FH, size.direct_FO), axis=1))
        self._bias_DX = np.concatenate((size.bias_DH, size.bias_DO + penalty_DT), axis=1)
        self._outward_HT = size.outward_HO

    def __call__(self, features_F: Floats, depth: int) -> int:
        """The column of the best size after ``depth`` levels."""
        joined_X = features_F @ self._joined_FX + self._bias_DX[depth]
        return int((np.tanh(joined_X[: self._hidden]) @ self._outward_HT + joined_X[self._hidden :]).argmax())


class StopAt:
    """A round's stopping rule: what the round contributes is computed once."""

    def __init__(self, rule: StopRule, round_R: list[float]) -> None:
        self._rule = rule
        self._round_H = [_dot(round_R, weights) for weights in rule.round_HR]
        self._round = _dot(round_R, rule.round_R)

    def __call__(self, moment_M: list[float], depth: int) -> bool:
        """Whether to stop after ``depth`` levels."""
        rule = self._rule
        score = rule.bias_D[depth] + self._round + _dot(moment_M, rule.moment_M)
        units = zip(rule.moment_HM, rule.bias_DH[depth], self._round_H, rule.outward_H, strict=True)
        for weights, bias, constant, outward in units:
            score += outward * tanh(bias + constant + _dot(moment_M, weights))
        return score > 0


def _dot(one: list[float], other: list[float]) -> float:
    return sum(map(mul, one, other))


@dataclass(frozen=True, eq=False)
class LevelNetwork:
    """``stop`` sees the features of moment and round, ``size`` all; the first ``moment_width`` are the moment's."""

    stop: Perceptron
    size: Perceptron
    moment_width: int

    @property
    def stop_width(self) -> int:
        return len(self.stop.inward_FH)

    def scores(self, features_BDF: Floats) -> tuple[Floats, Floats]:
        """Scores of stopping [B, D] and of each size [B, D, T]."""
        return self.stop.scores(features_BDF[..., : self.stop_width])[..., 0], self.size.scores(features_BDF)

    @cached_property
    def rule(self) -> StopRule:
        """The stopping perceptron for live decodes."""
        return StopRule(self.stop, self.moment_width)

    def arrays(self) -> dict[str, np.ndarray]:
        """The weights by name."""
        parts = {"stop": self.stop, "size": self.size}
        return {
            f"{part}.{field.name}": np.ascontiguousarray(getattr(network, field.name))
            for part, network in parts.items()
            for field in fields(Perceptron)
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray], moment_width: int) -> LevelNetwork:
        """The reverse of ``arrays``. Raises ValueError where one is missing."""
        wanted = [f"{part}.{field.name}" for part in ("stop", "size") for field in fields(Perceptron)]
        if missing := sorted(set(wanted) - set(arrays)):
            raise ValueError(f"the policy's weights lack {', '.join(missing)}: train it again")
        stop, size = (
            Perceptron(*(arrays[f"{part}.{field.name}"] for field in fields(Perceptron))) for part in ("stop", "size")
        )
        return cls(stop, size, moment_width)


def choose(stop_BD: Floats, size_BDT: Floats, menu: LevelMenu) -> tuple[Ints, Ints]:
    """Levels [B] and columns of the totals [B] that scores stand for: the first depth that says stop, its best size."""
    stops = stop_BD > 0
    stops[:, -1] = True
    depth = stops.argmax(axis=1)
    sizes = np.where(menu.valid_DT[depth], size_BDT[np.arange(len(depth)), depth], -np.inf)
    return depth, sizes.argmax(axis=1)
