"""How likely is it that one of k samples is right? The unbiased estimator of Chen et al. 2021 (arXiv:2107.03374, eq. 1)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from trimtab.statistics import Interval, mean_interval


def pass_at_k(samples: int, right: int, k: int) -> float:
    """1 - C(n - c, k) / C(n, k) for ``samples`` n of which ``right`` c are right, as a product that does not overflow.

    Raises ValueError unless 1 <= k <= n and 0 <= c <= n.
    """
    if not (1 <= k <= samples and 0 <= right <= samples):
        raise ValueError(f"pass@{k} of {samples} samples with {right} right: expected 1 <= k <= samples >= right >= 0")
    if samples - right < k:
        return 1.0
    return 1.0 - float(np.prod(1.0 - k / np.arange(samples - right + 1, samples + 1)))


def pass_rates(passed_PN: Sequence[Sequence[bool]], k: int) -> np.ndarray:
    """pass@k of each problem [P]; problems may have different numbers of samples."""
    return np.array([pass_at_k(len(row), sum(row), k) for row in passed_PN])


def pass_interval(passed_PN: Sequence[Sequence[bool]], k: int, *, seed: int = 0) -> Interval:
    """pass@k with its bootstrap interval over problems."""
    return mean_interval(pass_rates(passed_PN, k), seed=seed)


def usable(counts: Sequence[int], wanted: Sequence[int]) -> list[int]:
    """Those k of ``wanted`` that every problem has samples for."""
    return [k for k in wanted if k <= min(counts, default=0)]
