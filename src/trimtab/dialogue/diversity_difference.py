"""Do two models differ in variety, and how sure is that? Distinct-n at one budget of words, by half-samples of the prompts.

The bootstrap repeats replies, and distinct-n counts repeats against variety; halves drawn without replacement do not
(delete-half jackknife: Shao & Wu, Annals of Statistics 1989).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from trimtab.dialogue.metrics import Words, distinct_at_budget
from trimtab.statistics import Interval

HALVES = 100


def budget_of(arms: Sequence[Sequence[Sequence[Words]]]) -> int:
    """A budget that a half-sample of every arm and seed can fill: four tenths of the shortest one's words."""
    return int(0.4 * min(sum(map(len, texts)) for arm in arms for texts in arm))


def distinct_difference(
    base: Sequence[Sequence[Words]], arm: Sequence[Sequence[Words]], *, order: int, level: float = 0.95, seed: int = 0
) -> tuple[float, float, Interval, float]:
    """(base, arm, interval of arm - base, two-sided p) of distinct-n: [seeds][prompts] texts, paired by prompt.

    The spread between seeds counts beside that between half-samples. An arm too short for any budget scores 0.
    """
    budget, random = budget_of([base, arm]), np.random.default_rng(seed)
    if budget < 2 * order:
        a, b = (float(sum(map(len, texts[0])) > 0) for texts in (arm, base))
        return b, a, Interval(a - b, a - b, a - b, level), 0.0 if a != b else 1.0
    values = np.array([[distinct_at_budget(texts, order, budget) for texts in one] for one in (base, arm)])
    prompts = len(base[0])
    differences = np.array([_half(base, arm, order, budget // 2, random, prompts) for _ in range(HALVES)])
    by_seed = values[1] - values[0]
    variance = float(differences.var(ddof=1)) + (float(by_seed.var(ddof=1)) / len(by_seed) if len(by_seed) > 1 else 0.0)
    estimate, error = float(by_seed.mean()), math.sqrt(variance)
    reach = 1.96 * error
    p = math.erfc(abs(estimate) / error / math.sqrt(2)) if error else float(estimate == 0)
    return (
        float(values[0].mean()),
        float(values[1].mean()),
        Interval(estimate, estimate - reach, estimate + reach, level),
        p,
    )


def _half(
    base: Sequence[Sequence[Words]],
    arm: Sequence[Sequence[Words]],
    order: int,
    budget: int,
    random: np.random.Generator,
    prompts: int,
) -> float:
    rows = random.permutation(prompts)[: max(1, prompts // 2)]
    means = [
        np.mean(
            [
                distinct_at_budget([texts[i] for i in rows], order, _fitting(texts, rows, budget), draws=1)
                for texts in one
            ]
        )
        for one in (base, arm)
    ]
    return float(means[1] - means[0])


def _fitting(texts: Sequence[Words], rows: np.ndarray, budget: int) -> int:
    """The budget, or all words of a half-sample that happens to be shorter."""
    return max(2, min(budget, sum(len(texts[i]) for i in rows)))
