"""How far has a policy gone from its reference, judged by its own samples, and what should going further cost?

With ``log_ratio = log pi(a) - log ref(a)`` of actions drawn from pi, three estimators of KL(pi || ref) (Schulman 2020,
"Approximating KL divergence"). k1 is unbiased and may be negative; k2 is biased, never negative, and of low variance where
the two are near; k3 is unbiased and never negative. In numpy, all in nats.

The controller of the coefficient: Ziegler et al. 2019 (arXiv:1909.08593), section 2.2.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float


def k1(log_ratio: Float[np.ndarray, "*batch"]) -> Float[np.ndarray, "*batch"]:
    """``log pi - log ref``."""
    return log_ratio


def k2(log_ratio: Float[np.ndarray, "*batch"]) -> Float[np.ndarray, "*batch"]:
    """``(log pi - log ref)^2 / 2``."""
    return np.asarray(0.5 * log_ratio**2)


def k3(log_ratio: Float[np.ndarray, "*batch"]) -> Float[np.ndarray, "*batch"]:
    """``ref / pi - 1 + log pi - log ref``."""
    return np.asarray(np.expm1(-log_ratio) + log_ratio)


def adapted_coefficient(
    coefficient: float, kl: float, *, target: float, samples: int, horizon: float, limit: float = 0.2
) -> float:
    """``coefficient * (1 + clip(kl / target - 1, -limit, limit) * samples / horizon)``.

    ``samples``: sequences that ``kl`` (nats per sequence) is the mean of; ``horizon``: over how many of them a change by
    the factor ``limit`` is spread. Raises ValueError for a target or horizon that is not positive.
    """
    if target <= 0 or horizon <= 0:
        raise ValueError(f"a KL target of {target} and a horizon of {horizon}: expected both above 0")
    error = float(np.clip(kl / target - 1.0, -limit, limit))
    return coefficient * (1.0 + error * samples / horizon)
