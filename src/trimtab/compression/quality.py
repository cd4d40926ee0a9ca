"""How small may the budget of a prompt be, if its quality is promised? Chosen per prompt, calibrated as a whole.

A prompt takes the smallest budget whose score (a regression of "quality >= 1 - eps there") reaches a threshold; where none
does, the full cache. The threshold is the lowest that conformal risk control (``trimtab.maths.risk``; arXiv:2208.02814)
allows on the calibration prompts: a new prompt's promise is then broken with probability delta at most, whatever the
regression is worth, as long as prompts are exchangeable. What a bad regression costs is budget, never the promise. (A
stricter threshold may break a promise that a laxer one keeps, by a larger budget of lower quality: a prompt counts as
broken at all thresholds below one that breaks it.)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from trimtab.compression.regression import STRENGTHS, solve
from trimtab.maths.risk import conformal
from trimtab.policies.bandit import linear_mlp
from trimtab.policies.mlp import MLP

GRID = 400
"""Thresholds tried: quantiles of the calibration prompts' scores."""


@dataclass(frozen=True, eq=False)
class QualityRule:
    """``scores``: a number for each of B budgets (ascending); ``threshold``: what a score must reach (inf: never)."""

    budgets: tuple[int, ...]
    scores: MLP
    threshold: float
    eps: float
    delta: float

    def choose(self, contexts_PF: np.ndarray) -> np.ndarray:
        """The place [P] of each prompt's budget; ``len(budgets)`` is the full cache."""
        return smallest(self.scores.scores(contexts_PF), self.threshold)


@dataclass(frozen=True)
class Kept:
    """What a rule did: the share of broken promises, and the mean number of tokens kept."""

    violations: float
    mean_budget: float
    full: float


def smallest(scores_PB: np.ndarray, threshold: float) -> np.ndarray:
    """The first budget [P] whose score reaches the threshold; B where none does."""
    enough_PB = scores_PB >= threshold
    return np.where(enough_PB.any(axis=1), enough_PB.argmax(axis=1), scores_PB.shape[1])


def broken(places_P: np.ndarray, quality_PB: np.ndarray, eps: float) -> np.ndarray:
    """Where the quality at the chosen place is below 1 - eps, [P]; the full cache is never."""
    padded = np.concatenate((quality_PB, np.ones((len(quality_PB), 1))), axis=1)
    return padded[np.arange(len(places_P)), places_P] < 1 - eps


def calibrated(scores_PB: np.ndarray, quality_PB: np.ndarray, eps: float, delta: float) -> float:
    """The lowest threshold that conformal risk control allows; inf where even that of no compression is too many.

    Raises ValueError for eps or delta outside 0..1, or too few prompts to promise anything.
    """
    if not 0 < eps < 1 or not 0 < delta < 1:
        raise ValueError(f"eps {eps} and delta {delta}: expected both between 0 and 1")
    if 1 / (len(scores_PB) + 1) > delta:
        needed = int(np.ceil(1 / delta))
        raise ValueError(f"{len(scores_PB)} calibration prompts cannot promise {delta}: expected {needed} or more")
    thresholds = np.unique(np.quantile(scores_PB, np.linspace(0, 1, GRID)))[::-1]
    losses_SN = np.stack([broken(smallest(scores_PB, threshold), quality_PB, eps) for threshold in thresholds])
    place = conformal(losses_SN.astype(np.float64), delta)
    return np.inf if place is None else float(thresholds[place])


Seen = Sequence[np.ndarray]
"""For each budget, the columns of the contexts that its regression sees."""


def fit_scores(
    contexts_PF: np.ndarray,
    quality_PB: np.ndarray,
    eps: float,
    seen: Seen | None = None,
    *,
    folds: int = 5,
    seed: int = 0,
) -> MLP:
    """Ridge regressions of "quality >= 1 - eps" at each budget, on the columns ``seen`` there (None: all); their strength
    by cross-validated squared error."""
    reached_PB = (quality_PB >= 1 - eps).astype(np.float64)
    fold_P = np.random.default_rng(seed).permutation(len(contexts_PF)) % folds
    columns = seen or [np.arange(contexts_PF.shape[1])] * quality_PB.shape[1]

    def error(strength: float) -> float:
        total = 0.0
        for fold in range(folds):
            inside, outside = fold_P != fold, fold_P == fold
            mlp = _solved(contexts_PF[inside], reached_PB[inside], columns, strength)
            total += float(np.square(mlp.scores(contexts_PF[outside]) - reached_PB[outside]).sum())
        return total

    return _solved(contexts_PF, reached_PB, columns, min(STRENGTHS, key=error))


def _solved(contexts_PF: np.ndarray, reached_PB: np.ndarray, columns: Seen, strength: float) -> MLP:
    """One ridge regression for each budget, as a network of one layer."""
    budgets = reached_PB.shape[1]
    weights_FB, bias_B = np.zeros((contexts_PF.shape[1], budgets)), np.zeros(budgets)
    for budget, own in enumerate(columns):
        weight, bias = solve(contexts_PF[:, own], reached_PB[:, [budget]], strength).layers[0]
        weights_FB[own, budget], bias_B[budget] = weight[:, 0], bias[0]
    return linear_mlp(weights_FB, bias_B)


def rule(
    budgets: tuple[int, ...],
    train: tuple[np.ndarray, np.ndarray],
    calibration: tuple[np.ndarray, np.ndarray],
    eps: float,
    delta: float,
    seen: Seen | None = None,
) -> QualityRule:
    """Fit on ``train``, calibrate on ``calibration``: each contexts [P, F] and quality [P, B], the quality being that of
    the action taken at each budget."""
    if list(budgets) != sorted(budgets):
        raise ValueError(f"budgets {budgets}: expected them in ascending order")
    scores = fit_scores(*train, eps, seen)
    contexts_PF, quality_PB = calibration
    return QualityRule(budgets, scores, calibrated(scores.scores(contexts_PF), quality_PB, eps, delta), eps, delta)


def kept(
    places_P: np.ndarray, quality_PB: np.ndarray, budgets: tuple[int, ...], tokens_P: np.ndarray, eps: float
) -> Kept:
    """What the places chosen did on prompts of ``tokens_P`` tokens."""
    of_budget = np.minimum(np.array(budgets)[None], tokens_P[:, None])
    padded = np.concatenate((of_budget, tokens_P[:, None]), axis=1)
    taken = padded[np.arange(len(places_P)), places_P]
    full = places_P == len(budgets)
    return Kept(float(broken(places_P, quality_PB, eps).mean()), float(taken.mean()), float(full.mean()))


def fixed_budget(violations_B: np.ndarray, budgets: tuple[int, ...], tokens_P: np.ndarray, rate: float) -> float:
    """The smallest fixed budget with a violation rate of at most ``rate``; the mean prompt's length where none has."""
    enough = np.flatnonzero(violations_B <= rate)
    return float(budgets[enough[0]]) if len(enough) else float(tokens_P.mean())


def mixed_budget(violations_B: np.ndarray, budgets: tuple[int, ...], tokens_P: np.ndarray, rate: float) -> float:
    """Mean tokens of fixed budgets drawn by lot, blindly, with a violation rate of ``rate``: no finer grid of budgets is
    needed to be fair to them. The best lot over two budgets, or over one and the full cache."""
    means = [*(float(np.minimum(budget, tokens_P).mean()) for budget in budgets), float(tokens_P.mean())]
    rates = [*violations_B.tolist(), 0.0]
    enough = [(m, r) for m, r in zip(means, rates, strict=True) if r <= rate]
    fewer = [(m, r) for m, r in zip(means, rates, strict=True) if r > rate]
    lots = [m + (rate - r) / (more - r) * (less - m) for m, r in enough for less, more in fewer]
    return min([m for m, _ in enough] + lots)
