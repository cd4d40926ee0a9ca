"""Which few numbers of a wide vector are worth keeping? A projection drawn by chance, or fitted to what is to be foretold.

Fitted: ridge regression of the targets on the vectors, cut down to ``width`` directions (reduced-rank regression, Izenman
1975; its ridge form, Mukherjee and Zhu 2011, equation 3): with B = (X'X + strength n I)^-1 X'Y, the directions V are the
leading eigenvectors of B'X'Y, and X B V are the numbers kept. The strength is chosen by the error on held-out groups.

Vectors are brought to unit root mean square first, so that a projection is free of their scale.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

STRENGTHS = (1e-3, 1e-2, 1e-1, 1.0, 3.0, 10.0, 30.0, 100.0, 1000.0)
"""Strengths of the ridge tried, in units of the vectors' variance."""


@dataclass(frozen=True, eq=False)
class Fitted:
    """A fitted projection ``matrix_DK``, the ridge's ``strength``, and ``explained``: the share of the targets' variance
    that the kept numbers foretold on held-out groups (below 0: worse than the mean)."""

    matrix_DK: np.ndarray
    strength: float
    explained: float


def unit(vectors_ND: np.ndarray) -> np.ndarray:
    """Each vector brought to unit root mean square."""
    size_N = np.sqrt(np.mean(np.square(vectors_ND, dtype=np.float64), axis=-1, keepdims=True))
    floor = 1e-6 / np.sqrt(vectors_ND.shape[-1])  # a norm of 1e-6, as for a single state
    return (vectors_ND / np.maximum(size_N, floor)).astype(np.float32)


def gaussian(inputs: int, width: int, seed: int = 0) -> np.ndarray:
    """A random projection [inputs, width]: outputs of unit variance for vectors of unit root mean square."""
    if min(inputs, width) < 1:
        raise ValueError(f"a projection of {inputs} numbers to {width}: expected at least one of each")
    drawn = np.random.default_rng(seed).standard_normal((inputs, width))
    return (drawn / np.sqrt(inputs)).astype(np.float32)


@dataclass(frozen=True, eq=False)
class _Moments:
    """What ridge regression needs of a sample: its size, means, column scales, X'X and X'Y of the standardised."""

    size: int
    mean_D: np.ndarray
    scale_D: np.ndarray
    target_mean_A: np.ndarray
    gram_DD: np.ndarray
    cross_DA: np.ndarray

    @classmethod
    def of(cls, vectors_ND: np.ndarray, targets_NA: np.ndarray) -> _Moments:
        mean_D, spread_D = vectors_ND.mean(axis=0, dtype=np.float64), vectors_ND.std(axis=0, dtype=np.float64)
        scale_D = np.where(spread_D > 1e-8, spread_D, np.inf)  # a constant column tells nothing
        standard_ND = (vectors_ND - mean_D) / scale_D
        target_mean_A = targets_NA.mean(axis=0)
        cross = standard_ND.T @ (targets_NA - target_mean_A)
        return cls(len(vectors_ND), mean_D, scale_D, target_mean_A, standard_ND.T @ standard_ND, cross)

    def directions(self, width: int, strength: float) -> tuple[np.ndarray, np.ndarray]:
        """The kept numbers as a matrix [D, K] over standardised vectors, and the targets from them [K, A]."""
        ridge = self.gram_DD + strength * self.size * np.eye(len(self.gram_DD))
        coefficients_DA = np.linalg.solve(ridge, self.cross_DA)
        _values, vectors_AA = np.linalg.eigh(coefficients_DA.T @ self.cross_DA)
        leading_AK = vectors_AA[:, ::-1][:, :width]
        leading_AK = leading_AK * np.where(leading_AK.sum(axis=0) < 0, -1.0, 1.0)  # the sign is free: fix it
        return coefficients_DA @ leading_AK, leading_AK.T

    def explained(self, width: int, strength: float, vectors_ND: np.ndarray, targets_NA: np.ndarray) -> float:
        """The share of the variance of other targets that is foretold."""
        kept_DK, back_KA = self.directions(width, strength)
        foretold_NA = (vectors_ND - self.mean_D) / self.scale_D @ kept_DK @ back_KA + self.target_mean_A
        spread = np.square(targets_NA - targets_NA.mean(axis=0)).sum()
        return float(1.0 - np.square(targets_NA - foretold_NA).sum() / max(spread, 1e-12))


def reduced_rank(
    vectors_ND: np.ndarray,
    targets_NA: np.ndarray,
    width: int,
    groups_N: np.ndarray,
    *,
    held_out_share: float = 0.25,
    seed: int = 0,
) -> Fitted:
    """The ``width`` numbers of each vector from which a linear reading foretells the targets best.

    ``groups_N`` (prompts): a group is held out whole when the strength of the ridge is chosen. The matrix returned is
    meant for ``unit`` vectors; its columns are in the order of their worth. Raises ValueError where ``width`` exceeds the
    numbers of targets or vectors' entries, or there are fewer than two groups.
    """
    most = min(vectors_ND.shape[1], targets_NA.shape[1])
    if not 1 <= width <= most:
        raise ValueError(
            f"a learned compression of width {width}: expected 1 to {most}, as the vectors have {vectors_ND.shape[1]} "
            f"entries and the targets {targets_NA.shape[1]} (one per action of the table)"
        )
    known = np.unique(groups_N)
    if len(known) < 2:
        raise ValueError("a learned compression needs vectors of at least two prompts: one of them is held out")
    held = np.random.default_rng(seed).permutation(known)[: max(1, round(held_out_share * len(known)))]
    outside_N = np.isin(groups_N, held)
    vectors_ND, targets_NA = unit(vectors_ND), targets_NA.astype(np.float64)
    inside = _Moments.of(vectors_ND[~outside_N], targets_NA[~outside_N])
    judged = {s: inside.explained(width, s, vectors_ND[outside_N], targets_NA[outside_N]) for s in STRENGTHS}
    best = max(judged, key=lambda strength: judged[strength])
    everything = _Moments.of(vectors_ND, targets_NA)
    kept_DK, _back = everything.directions(width, best)
    return Fitted((kept_DK / everything.scale_D[:, None]).astype(np.float32), best, judged[best])
