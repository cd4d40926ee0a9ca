"""Is a running mean above or below zero, asked after every sample? Intervals that hold at all times at once.

An interval of fixed-sample statistics, looked at again and again, is certain to miss the truth some time. The normal
mixture's does not: Robbins 1970; asymptotic, for any distribution with a variance: Waudby-Smith et al. 2024
(arXiv:2103.06476), theorem 2.2.
"""

from __future__ import annotations

import math


def half_width(count: int, variance: float, *, level: float = 0.95, tightest_at: int = 200) -> float:
    """Half the width of the interval of a mean of ``count`` samples, such that all intervals ever looked at cover the
    truth together with chance ``level``. ``tightest_at``: the count for which it is made nearly as tight as can be.

    ``sqrt(variance * 2 (n r + 1) / (n^2 r) * log(sqrt(n r + 1) / (1 - level)))``, r chosen by ``tightest_at``
    (equation 9 there).
    """
    if count < 1:
        return math.inf
    alpha = 1 - level
    rho = (-2 * math.log(alpha) + math.log(-2 * math.log(alpha) + 1)) / tightest_at
    grown = count * rho + 1
    return math.sqrt(variance * 2 * grown / (count**2 * rho) * math.log(math.sqrt(grown) / alpha))
