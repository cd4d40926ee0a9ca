"""How strict must a rule be for its share of failures to stay in check, on what it has not seen? Two calibrations.

A rule has a setting, and settings stand in order from the strictest, which is always safe, to the laxest. ``losses_SN``:
whether the rule fails (0 or 1, or anything between) under each of S settings on each of N calibration cases.

``conformal``: conformal risk control (Angelopoulos et al. 2022, arXiv:2208.02814, theorem 1): the expected loss of a new
case is at most ``delta``. It asks for losses that never fall as the setting gets laxer; those of a rule that picks among
options need not be so, and are made so case by case (running maximum), which keeps the promise whatever the rule.

``learn_then_test`` (Angelopoulos et al. 2021, arXiv:2110.01052, fixed sequence testing): with probability 1 - ``alpha``
over the calibration cases, the expected loss of what comes is at most ``delta``. Losses of 0 and 1; binomial p-values.
"""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Float, Real


def conformal(losses_SN: Real[np.ndarray, "S N"], delta: float) -> int | None:
    """The laxest setting allowed; None where not even the strictest given is (then nothing can be promised).

    Raises ValueError for delta outside 0..1, losses outside 0..1, or no case.
    """
    _check(losses_SN, delta)
    worst_SN = np.maximum.accumulate(losses_SN, axis=0)
    count = losses_SN.shape[1]
    bounds_S = (worst_SN.sum(axis=1) + 1) / (count + 1)
    allowed = np.flatnonzero(bounds_S <= delta)
    return int(allowed[-1]) if len(allowed) else None


def learn_then_test(losses_SN: Real[np.ndarray, "S N"], delta: float, alpha: float = 0.1) -> int | None:
    """The last setting before the first that could not be shown safe; None where it is the very first.

    Raises ValueError as ``conformal`` does, and for losses other than 0 and 1.
    """
    _check(losses_SN, delta)
    if not 0 < alpha < 1 or not np.isin(losses_SN, (0, 1)).all():
        raise ValueError(f"alpha {alpha}: expected between 0 and 1, and losses of 0 and 1")
    chances_S = binomial_cdf(losses_SN.sum(axis=1).astype(np.int64), losses_SN.shape[1], delta)
    refused = np.flatnonzero(chances_S > alpha)
    safe = int(refused[0]) if len(refused) else len(losses_SN)
    return safe - 1 if safe else None


def binomial_cdf(counts_S: Real[np.ndarray, " S"], trials: int, chance: float) -> Float[np.ndarray, " S"]:
    """P(X <= count) for X ~ Binomial(trials, chance): how likely so few failures were if the risk were ``chance``."""
    k = np.arange(trials + 1)
    logs = np.array([math.lgamma(n + 1) for n in range(trials + 1)])
    log_mass = logs[trials] - logs - logs[::-1] + k * math.log(chance) + (trials - k) * math.log1p(-chance)
    return np.minimum(np.cumsum(np.exp(log_mass)), 1.0)[counts_S]


def _check(losses_SN: np.ndarray, delta: float) -> None:
    if not 0 < delta < 1:
        raise ValueError(f"delta {delta}: expected between 0 and 1")
    if losses_SN.shape[1] == 0 or not ((losses_SN >= 0) & (losses_SN <= 1)).all():
        raise ValueError(f"losses of shape {losses_SN.shape}: expected cases, and every loss from 0 to 1")
