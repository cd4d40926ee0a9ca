"""What would trees that were not drafted have accepted, judging by those that were? A model of logged decodes.

At temperature 0 every decode of a prompt writes the same text, so decodes tell of one another: a token that other
decodes' trees missed is hard for this one too. Each round is a chain of trials: from its root, token after token is
accepted until one is missed, or the tree ends. The chance of each is a logistic regression on

    the tree and the level | the head's confidence at the root (logged features) | how hard this token, its neighbours
    and the whole prompt were for the other decodes, beyond what the tree and the confidence explain (score residuals).

Where the very tree was drafted at the very position, its outcome is known, and used as it is. Where no round began,
the head's confidence is unknown: a second regression does without it, and the features that a policy would see there
are borrowed from a position whose next token is as easy.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from trimtab.speculation.logged_rounds import Log

_RIDGE = 0.3
_PASSES = 6
_CHUNK = 20_000
_PRIOR_TRIALS = 0.3
"""Weight of "no harder than expected", in units of information (p (1 - p) of a trial)."""
_PROMPT_PRIOR = 3.0
_CONFIDENT_LEVELS = 3
_DONORS = 50


@dataclass(frozen=True, eq=False)
class Grid:
    """All positions of all prompts as R rows, prompt after prompt; each prompt has one token more than positions."""

    positions_Q: np.ndarray
    context_Q: np.ndarray

    @cached_property
    def start_Q(self) -> np.ndarray:
        return np.cumsum(self.positions_Q) - self.positions_Q

    @cached_property
    def prompt_R(self) -> np.ndarray:
        return np.repeat(np.arange(len(self.positions_Q)), self.positions_Q)

    @cached_property
    def position_R(self) -> np.ndarray:
        return np.arange(self.rows) - self.start_Q[self.prompt_R]

    @cached_property
    def remaining_R(self) -> np.ndarray:
        """Tokens from each row to the text's end."""
        return self.positions_Q[self.prompt_R] - self.position_R

    @cached_property
    def context_R(self) -> np.ndarray:
        return self.context_Q[self.prompt_R] + self.position_R

    @property
    def rows(self) -> int:
        return int(self.positions_Q.sum())

    def row(self, log: Log) -> np.ndarray:
        """The row [N] of each logged round."""
        return self.start_Q[log.prompt_N] + log.position_N


class _Trials(NamedTuple):
    """M trials: the round, its level (0 first), the token (as a slot of its decode), and whether it was accepted."""

    round_M: np.ndarray
    level_M: np.ndarray
    decode_M: np.ndarray
    token_M: np.ndarray
    success_M: np.ndarray


def _trials(log: Log, levels: int) -> _Trials:
    level = np.arange(levels)
    tested = (level <= log.accepted_N[:, None]) & (level <= log.depth_A[log.action_N][:, None])
    inside = log.position_N[:, None] + level + 1 <= log.positions_Q[log.prompt_N][:, None]
    rounds, levels_M = np.nonzero(tested & inside)
    success = levels_M < log.accepted_N[rounds]
    return _Trials(rounds, levels_M, log.decode_N[rounds], log.position_N[rounds] + levels_M + 1, success)


def _sigmoid(x: np.ndarray) -> np.ndarray:
    return 1.0 / (1.0 + np.exp(-np.clip(x, -30, 30)))


@dataclass(frozen=True)
class _Regression:
    """Logistic: a cell per tree and level, and terms (what is known of the round, what other decodes say) that weigh
    differently at the first levels."""

    cells_AL: np.ndarray
    groups_GK: np.ndarray

    def chances(self, level: int, known_XK: np.ndarray) -> np.ndarray:
        """Of accepting one token more, [X, A], where ``level`` tokens were."""
        common_X = known_XK @ self.groups_GK[min(level, _CONFIDENT_LEVELS - 1)]
        return _sigmoid(self.cells_AL[:, level] + common_X[:, None])


def _terms(shape: tuple[int, int], action_M: np.ndarray, level_M: np.ndarray, known_MK: np.ndarray) -> np.ndarray:
    """The regression's terms [M, columns], for (trees, levels) = ``shape``."""
    rows, cells, width = np.arange(len(action_M)), shape[0] * shape[1], known_MK.shape[1]
    made = np.zeros((len(rows), cells + width * _CONFIDENT_LEVELS))
    made[rows, action_M * shape[1] + level_M] = 1.0
    for group in range(_CONFIDENT_LEVELS):
        mine = np.minimum(level_M, _CONFIDENT_LEVELS - 1) == group
        made[mine, cells + group * width : cells + (group + 1) * width] = known_MK[mine]
    return made


def _fitted(
    shape: tuple[int, int], action_M: np.ndarray, trials: _Trials, known_MK: np.ndarray
) -> tuple[_Regression, np.ndarray]:
    """The regression (Newton's method, ridge), and the fitted chance [M] of each trial."""
    columns, cells = shape[0] * shape[1] + known_MK.shape[1] * _CONFIDENT_LEVELS, shape[0] * shape[1]
    weights, chance_M = np.zeros(columns), np.full(len(action_M), 0.5)
    for _ in range(_PASSES):
        gradient, hessian = -_RIDGE * weights, _RIDGE * np.eye(columns)
        for first in range(0, len(chance_M), _CHUNK):
            part = slice(first, first + _CHUNK)
            terms = _terms(shape, action_M[part], trials.level_M[part], known_MK[part])
            chance_M[part] = chance = _sigmoid(terms @ weights)
            gradient += terms.T @ (trials.success_M[part] - chance)
            hessian += (terms * (chance * (1 - chance))[:, None]).T @ terms
        weights = weights + np.linalg.solve(hessian, gradient)
    return _Regression(weights[:cells].reshape(shape), weights[cells:].reshape(_CONFIDENT_LEVELS, -1)), chance_M


class _Evidence:
    """Score residuals of each token: how much oftener it was accepted than the tree and the confidence explain.

    ``[Q, S]`` over slots (token + 1, so that neighbours exist on both sides); a decode tests each token at most once.
    """

    def __init__(self, log: Log, trials: _Trials, chance_M: np.ndarray) -> None:
        slots = int(log.positions_Q.max()) + 3
        at = trials.decode_M, trials.token_M + 1
        self.own_residual_ES = np.zeros((log.decodes, slots))
        self.own_information_ES = np.zeros((log.decodes, slots))
        self.own_residual_ES[at] = trials.success_M - chance_M
        self.own_information_ES[at] = chance_M * (1 - chance_M)
        self.residual_QS = np.zeros((len(log.prompts), slots))
        self.information_QS = np.zeros((len(log.prompts), slots))
        np.add.at(self.residual_QS, log.prompt_E, self.own_residual_ES)
        np.add.at(self.information_QS, log.prompt_E, self.own_information_ES)

    def told(self, residual_XS: np.ndarray, information_XS: np.ndarray) -> np.ndarray:
        """[X, S, 4]: of the token, the one before, the one after, and the prompt."""
        ease_XS = residual_XS / (information_XS + _PRIOR_TRIALS)
        whole_X = residual_XS.sum(axis=1) / (information_XS.sum(axis=1) + _PROMPT_PRIOR)
        before, after = np.roll(ease_XS, 1, axis=1), np.roll(ease_XS, -1, axis=1)
        return np.stack((ease_XS, before, after, np.broadcast_to(whole_X[:, None], ease_XS.shape)), axis=2)

    def by_others(self, log: Log) -> np.ndarray:
        """For each decode, what the other decodes of its prompt say: [E, S, 4]."""
        residual = self.residual_QS[log.prompt_E] - self.own_residual_ES
        return self.told(residual, self.information_QS[log.prompt_E] - self.own_information_ES)

    def by_all(self) -> np.ndarray:
        """[Q, S, 4]."""
        return self.told(self.residual_QS, self.information_QS)


@dataclass(frozen=True, eq=False)
class AcceptanceModel:
    """For every row: features (R; borrowed where no round began), and chances of accepting 0, 1, ... tokens (L).

    ``seconds_RA`` are those of a round. Fitted on some decodes, it covers the grid of all prompts.
    """

    grid: Grid
    depth_A: np.ndarray
    features_RP: np.ndarray
    accepted_RAL: np.ndarray
    seconds_RA: np.ndarray

    @classmethod
    def fit(cls, log: Log, grid: Grid, rows_N: np.ndarray, *, seed: int = 0) -> AcceptanceModel:
        """From the rounds of ``log``, whose prompts are numbered as the grid's; ``rows_N`` are their rows."""
        shape = len(log.actions), int(log.depth_A.max()) + 1
        trials = _trials(log, shape[1])
        action_M = log.action_N[trials.round_M]
        confidence_NF, standard = _standardised(log)
        _, chance_M = _fitted(shape, action_M, trials, confidence_NF[trials.round_M])
        evidence = _Evidence(log, trials, chance_M)
        told_M4 = evidence.by_others(log)[trials.decode_M, trials.token_M + 1]
        begun_R = np.bincount(rows_N, minlength=grid.rows)
        alone_M1 = (begun_R[rows_N] == 1).astype(float)[trials.round_M, None]
        blind, _ = _fitted(shape, action_M, trials, np.concatenate((alone_M1, told_M4), axis=1))
        seeing_MK = np.concatenate((confidence_NF[trials.round_M], told_M4), axis=1)
        seeing, _ = _fitted(shape, action_M, trials, seeing_MK)
        told_QS4 = evidence.by_all()
        features = _completed(log, grid, rows_N, told_QS4[..., 0], seed)
        accepted = _counts(seeing, grid, log.depth_A, standard(features), told_QS4)
        unseen = begun_R == 0
        accepted[unseen] = _counts(blind, grid, log.depth_A, np.ones((grid.rows, 1)), told_QS4)[unseen]
        accepted[rows_N, log.action_N] = np.eye(shape[1] + 1)[np.minimum(log.accepted_N, shape[1])]
        return cls(grid, log.depth_A, features, accepted, _seconds(log, grid))

    @cached_property
    def cumulative_RAL(self) -> np.ndarray:
        return self.accepted_RAL.cumsum(axis=2)


def _completed(log: Log, grid: Grid, rows_N: np.ndarray, ease_QS: np.ndarray, seed: int) -> np.ndarray:
    """The position's features [R, P] of every row; where no round began, those of a row whose next token is as easy."""
    features = np.zeros((grid.rows, log.position_width), dtype=np.float32)
    features[rows_N] = log.features_NF[:, : log.position_width]
    ease_R = ease_QS[grid.prompt_R, grid.position_R + 2]
    seen = np.zeros(grid.rows, dtype=bool)
    seen[rows_N] = True
    missing, donors = np.flatnonzero(~seen), np.flatnonzero(seen)
    donors = donors[np.argsort(ease_R[donors], kind="stable")]
    place = np.searchsorted(ease_R[donors], ease_R[missing])
    jitter = np.random.default_rng(seed).integers(-_DONORS, _DONORS + 1, len(missing))
    features[missing] = features[donors[np.clip(place + jitter, 0, len(donors) - 1)]]
    if "log_context" in log.feature_names:
        features[missing, log.feature_names.index("log_context")] = np.log1p(grid.context_R[missing])
    return features


def _standardised(log: Log) -> tuple[np.ndarray, Callable[[np.ndarray], np.ndarray]]:
    """The position's features [N, P] of logged rounds, of mean 0 and deviation 1, and the function that made them so."""
    seen = log.features_NF[:, : log.position_width].astype(np.float64)
    mean, deviation = seen.mean(axis=0), seen.std(axis=0)
    scale = np.where(deviation > 1e-9, deviation, 1.0)
    return (seen - mean) / scale, lambda features_XP: (features_XP - mean) / scale


def _counts(
    regression: _Regression, grid: Grid, depth_A: np.ndarray, known_RK: np.ndarray, told_QS4: np.ndarray
) -> np.ndarray:
    """Chances [R, A, L + 1] of accepting exactly 0 to L tokens."""
    levels = regression.cells_AL.shape[1]
    reached = np.ones((grid.rows, len(depth_A), levels + 1))
    for level in range(levels):
        slot = np.minimum(grid.position_R + level + 2, told_QS4.shape[1] - 1)
        chances = regression.chances(level, np.concatenate((known_RK, told_QS4[grid.prompt_R, slot]), axis=1))
        reached[:, :, level + 1] = reached[:, :, level] * np.where(level <= depth_A, chances, 0.0)
    reached[:, :, :-1] -= reached[:, :, 1:]
    return reached


def _seconds(log: Log, grid: Grid) -> np.ndarray:
    """Mean seconds [R, A] of a round: a line in the context for each tree, and what a first round takes beyond it."""
    own = np.eye(len(log.actions))
    contexts = (log.context_Q[log.prompt_N] + log.position_N) / 100.0

    def terms(action: np.ndarray, context: np.ndarray, first: np.ndarray) -> np.ndarray:
        extra = np.column_stack((first, first * context))
        return np.concatenate((own[action], own[action] * context[:, None], extra), axis=1)

    measured = terms(log.action_N, contexts, (log.position_N == 0).astype(float))
    ridge = 1e-3 * np.eye(measured.shape[1])
    coefficients = np.linalg.solve(measured.T @ measured + ridge, measured.T @ log.seconds_N)
    rows, first = grid.context_R / 100.0, (grid.position_R == 0).astype(float)
    made = [terms(np.full(grid.rows, a), rows, first) @ coefficients for a in range(len(log.actions))]
    return np.maximum(np.stack(made, axis=1), 1e-9)
