"""How are sequences of unequal length averaged, whitened and credited, in one padded array? In numpy.

B sequences of at most T tokens, padded on the right; ``mask_BT`` says which tokens are real. A reward is made of P parts,
each with a value estimate of its own. The estimator of the advantage is linear in rewards and values, so that the
advantage of a weighted sum of parts is the weighted sum of their advantages: weights may change from one update to the
next, and no value estimate is stale. Advantages: Schulman et al. 2016 (arXiv:1506.02438), equation 16.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float


def lengths_mask(lengths_B: np.ndarray, width: int) -> Bool[np.ndarray, "B T"]:
    """True for the first so many of ``width`` tokens of each row."""
    return np.arange(width) < np.asarray(lengths_B)[:, None]


def masked_mean(values_BT: Float[np.ndarray, "B T"], mask_BT: Bool[np.ndarray, "B T"]) -> float:
    """The mean over real tokens. Raises ValueError where there is none."""
    if not mask_BT.any():
        raise ValueError(f"a mask of shape {mask_BT.shape} without a real token: expected one at least")
    return float(values_BT[mask_BT].mean())


def whiten(
    values_BT: Float[np.ndarray, "B T"],
    mask_BT: Bool[np.ndarray, "B T"],
    *,
    shift_mean: bool = True,
    smallest: float = 1e-8,
) -> Float[np.ndarray, "B T"]:
    """Values brought to mean 0 and deviation 1 over the real tokens; padding is 0. ``shift_mean`` False keeps the mean.

    Values that do not differ stay where they are (their deviation is held at ``smallest`` at least).
    """
    mean = masked_mean(values_BT, mask_BT)
    deviation = max(float(values_BT[mask_BT].std()), smallest)
    white_BT = (values_BT - mean) / deviation + (0.0 if shift_mean else mean)
    return np.where(mask_BT, white_BT, 0.0)


def token_gae(
    rewards_BTP: Float[np.ndarray, "B T P"],
    values_BTP: Float[np.ndarray, "B T P"],
    mask_BT: Bool[np.ndarray, "B T"],
    *,
    discount: float,
    decay: float,
) -> Float[np.ndarray, "B T P"]:
    """``A_t = delta_t + discount * decay * A_{t+1}``, ``delta_t = r_t + discount * V_{t+1} - V_t``, part by part.

    ``values_BTP[b, t]`` is that of the state *before* token t. After the last real token the value is 0: the reply is
    over, whether it ended or was cut. Padding is 0, whatever rewards and values say there.
    """
    real_BT1 = mask_BT[:, :, None]
    values_BTP = np.where(real_BT1, values_BTP, 0.0)
    following_BTP = np.concatenate((values_BTP[:, 1:], np.zeros_like(values_BTP[:, :1])), axis=1)
    deltas_BTP = np.where(real_BT1, rewards_BTP + discount * following_BTP - values_BTP, 0.0)
    return backward_sums(deltas_BTP, discount * decay)


def backward_sums(terms_BTP: Float[np.ndarray, "B T P"], discount: float) -> Float[np.ndarray, "B T P"]:
    """``y_t = x_t + discount * y_{t+1}`` along T; with rewards, the discounted returns."""
    sums_BTP = np.array(terms_BTP)
    for index in range(terms_BTP.shape[1] - 2, -1, -1):
        sums_BTP[:, index] += discount * sums_BTP[:, index + 1]
    return sums_BTP


def at_last_token(scores_BP: Float[np.ndarray, "B P"], mask_BT: Bool[np.ndarray, "B T"]) -> Float[np.ndarray, "B T P"]:
    """Each sequence's scores as rewards of its last real token, 0 elsewhere. Raises ValueError for an empty sequence."""
    lengths_B = mask_BT.sum(axis=1)
    if (lengths_B == 0).any():
        row = int(np.flatnonzero(lengths_B == 0)[0])
        raise ValueError(f"sequence {row} has no token, so none that its score could go to: expected one at least")
    rewards_BTP = np.zeros((*mask_BT.shape, scores_BP.shape[1]))
    rewards_BTP[np.arange(len(lengths_B)), lengths_B - 1] = scores_BP
    return rewards_BTP


def explained_variance(values_N: Float[np.ndarray, " N"], returns_N: Float[np.ndarray, " N"]) -> float:
    """``1 - Var(returns - values) / Var(returns)``: 1 is perfect, 0 is a constant, below 0 is worse than one.

    nan where the returns do not vary: there is nothing to explain.
    """
    variance = float(returns_N.var())
    return float("nan") if variance < 1e-12 else 1.0 - float((returns_N - values_N).var()) / variance
