"""What would another policy have returned, judged by what this one did? Off-policy estimators on arrays, in numpy.

N trajectories of at most T steps, padded behind their end: rewards 0, ratios 1, values 0. ``ratios`` are
pi(a_t | s_t) / mu(a_t | s_t) of the action that was logged: the new policy's probability over the logger's.

Per-decision importance sampling: Precup, Sutton and Singh 2000; its weighted form: Thomas 2015 (CWPDIS). Sequential
doubly robust: Jiang and Li 2016 (arXiv:1511.03722), equation 10; Thomas and Brunskill 2016 (arXiv:1604.00923). With
state-visitation ratios in place of products over the past: Kallus and Uehara 2020 (arXiv:1908.08526), the efficient
influence function of a Markov decision process. Undiscounted.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float


def cumulative_ratios(ratios_NT: Float[np.ndarray, "N T"]) -> Float[np.ndarray, "N T"]:
    """``rho_1 * ... * rho_t``: how much likelier the new policy makes the beginning of each trajectory."""
    return np.cumprod(ratios_NT, axis=1)


def importance_sampling(
    rewards_NT: Float[np.ndarray, "N T"], ratios_NT: Float[np.ndarray, "N T"]
) -> Float[np.ndarray, " N"]:
    """Whole-trajectory importance sampling: the return times all its ratios. Unbiased; its variance grows
    exponentially with the length."""
    return rewards_NT.sum(axis=1) * ratios_NT.prod(axis=1)


def per_decision(rewards_NT: Float[np.ndarray, "N T"], ratios_NT: Float[np.ndarray, "N T"]) -> Float[np.ndarray, " N"]:
    """Per-decision importance sampling: each reward times the ratios up to it. Unbiased."""
    return (cumulative_ratios(ratios_NT) * rewards_NT).sum(axis=1)


def weighted_per_decision(
    rewards_NT: Float[np.ndarray, "N T"], ratios_NT: Float[np.ndarray, "N T"]
) -> Float[np.ndarray, " N"]:
    """The same, the weights of each step brought to a mean of 1 over the trajectories. Biased, consistent.

    The mean of the result is the estimate. Raises ValueError where no trajectory has weight at some step.
    """
    weights_NT = cumulative_ratios(ratios_NT)
    mean_T = weights_NT.mean(axis=0)
    if (mean_T <= 0).any():
        raise ValueError(
            f"the new policy never does what was logged for {int((mean_T > 0).sum()) + 1} steps on end: weighted "
            "importance sampling has nothing to weigh. Log more, or use a doubly robust estimate"
        )
    return (weights_NT / mean_T * rewards_NT).sum(axis=1)


def doubly_robust(
    rewards_NT: Float[np.ndarray, "N T"],
    ratios_NT: Float[np.ndarray, "N T"],
    q_NT: Float[np.ndarray, "N T"],
    v_NT: Float[np.ndarray, "N T"],
) -> Float[np.ndarray, " N"]:
    """Sequential doubly robust: ``DR_t = v_t + rho_t (r_t + DR_{t+1} - q_t)`` (Jiang and Li, equation 10).

    ``q_NT``: the model's value of the logged action, ``v_NT`` that of the state under the new policy. Unbiased where
    the ratios are right, whatever the model; without variance where model and transitions are exact.
    """
    estimate_N = np.zeros(len(rewards_NT))
    for step in range(rewards_NT.shape[1] - 1, -1, -1):
        surprise_N = rewards_NT[:, step] + estimate_N - q_NT[:, step]
        estimate_N = v_NT[:, step] + ratios_NT[:, step] * surprise_N
    return estimate_N


def marginal_doubly_robust(
    rewards_NT: Float[np.ndarray, "N T"],
    ratios_NT: Float[np.ndarray, "N T"],
    visits_NT: Float[np.ndarray, "N T"],
    q_NT: Float[np.ndarray, "N T"],
    v_NT: Float[np.ndarray, "N T"],
) -> Float[np.ndarray, " N"]:
    """``v_1 + sum_t visits_t rho_t (r_t + v_{t+1} - q_t)`` (Kallus and Uehara, the estimator for Markov processes).

    ``visits_NT``: how much likelier the new policy is to come to the state than the logger was. Its variance grows
    with the length, not exponentially. Unbiased where the visits and ratios are right, or where the model is.
    """
    next_NT = np.concatenate((v_NT[:, 1:], np.zeros((len(v_NT), 1))), axis=1)
    return v_NT[:, 0] + (visits_NT * ratios_NT * (rewards_NT + next_NT - q_NT)).sum(axis=1)


def looking_back(
    visits_NT: Float[np.ndarray, "N T"], ratios_NT: Float[np.ndarray, "N T"], share: float
) -> Float[np.ndarray, "N T"]:
    """Ratios of visits, a ``share`` of which looks one step back: ``(1 - share) w_t + share w_{t-1} rho_{t-1}``.

    Both parts have the same mean where ``w`` is right. Where ``w`` comes from a model, the second sees what was truly
    done one step ago, and where that truly led: less of the model's error, more variance.
    """
    before_NT = np.concatenate((np.ones((len(visits_NT), 1)), (visits_NT * ratios_NT)[:, :-1]), axis=1)
    return (1 - share) * visits_NT + share * before_NT


def blend_share(correction: float, deviation: float) -> float:
    """How much of a correction of a model to believe: ``max(0, 1 - deviation^2 / correction^2)``.

    The positive-part James and Stein factor: a correction within its own noise is not made, one far beyond it is made
    in full. (Thomas and Brunskill's MAGIC blends model and importance sampling to the same end.)
    """
    return max(0.0, 1.0 - (deviation / correction) ** 2) if correction else 0.0


def effective_size(weights_N: Float[np.ndarray, " N"]) -> float:
    """``(sum w)^2 / sum w^2``: how many equally weighted samples would tell as much (Kish). 0 without any weight."""
    squares = float((weights_N**2).sum())
    return float(weights_N.sum()) ** 2 / squares if squares else 0.0
