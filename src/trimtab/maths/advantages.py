"""How much better than expected was an action? Returns and advantages of one episode, in numpy.

Generalised advantage estimation: Schulman et al. 2016 (arXiv:1506.02438), equations 11 and 16.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float


def discounted_sums(terms_T: Float[np.ndarray, " T"], discount: float) -> Float[np.ndarray, " T"]:
    """``y_t = x_t + discount * y_{t+1}`` with ``y_T = 0``."""
    sums_T = np.empty(len(terms_T))
    following = 0.0
    for index in range(len(terms_T) - 1, -1, -1):
        following = float(terms_T[index]) + discount * following
        sums_T[index] = following
    return sums_T


def discounted_returns(rewards_T: Float[np.ndarray, " T"], discount: float) -> Float[np.ndarray, " T"]:
    """The discounted sum of the rewards from each step to the episode's end."""
    return discounted_sums(rewards_T, discount)


def temporal_differences(
    rewards_T: Float[np.ndarray, " T"], values_T: Float[np.ndarray, " T"], discount: float, *, last_value: float = 0.0
) -> Float[np.ndarray, " T"]:
    """``delta_t = r_t + discount * V_{t+1} - V_t`` (eq. 11's TD residual); ``last_value`` follows the last step."""
    return rewards_T + discount * np.append(values_T[1:], last_value) - values_T


def gae(
    rewards_T: Float[np.ndarray, " T"],
    values_T: Float[np.ndarray, " T"],
    *,
    discount: float,
    decay: float,
    last_value: float = 0.0,
) -> Float[np.ndarray, " T"]:
    """Advantages of an episode: ``A_t = sum_l (discount * decay)^l delta_{t+l}`` (eq. 16; ``decay`` is its lambda).

    ``last_value`` is the value of the state after the last step: 0 where the episode ended there.
    """
    deltas_T = temporal_differences(rewards_T, values_T, discount, last_value=last_value)
    return discounted_sums(deltas_T, discount * decay)
