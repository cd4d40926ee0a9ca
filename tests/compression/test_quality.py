"""The promise by hand, by chance, and against naive loops."""

from __future__ import annotations

import numpy as np
import pytest

from trimtab.compression.quality import broken, calibrated, fixed_budget, kept, mixed_budget, rule, smallest


def test_the_smallest_budget_that_reaches_the_threshold() -> None:
    scores = np.array([[0.2, 0.9, 0.8], [0.1, 0.2, 0.3], [0.9, 0.1, 0.1]])
    assert smallest(scores, 0.8).tolist() == [1, 3, 0]
    assert smallest(scores, np.inf).tolist() == [3, 3, 3]


def test_broken_promises_and_what_was_kept() -> None:
    quality = np.array([[0.5, 0.99], [0.96, 1.0], [0.2, 0.3]])
    places = np.array([0, 0, 2])
    assert broken(places, quality, 0.05).tolist() == [True, False, False]
    did = kept(places, quality, (10, 20), np.array([100, 15, 100]), 0.05)
    assert did.violations == pytest.approx(1 / 3)
    assert did.mean_budget == pytest.approx((10 + 10 + 100) / 3)
    assert did.full == pytest.approx(1 / 3)


def test_the_smallest_fixed_budget() -> None:
    rates, tokens = np.array([0.5, 0.2, 0.05]), np.array([100, 300])
    assert fixed_budget(rates, (10, 20, 40), tokens, 0.2) == 20
    assert fixed_budget(rates, (10, 20, 40), tokens, 0.01) == 200


def test_fixed_budgets_by_lot() -> None:
    rates, tokens = np.array([0.5, 0.2, 0.05]), np.array([100, 100])
    assert mixed_budget(rates, (10, 20, 40), tokens, 0.2) == 20
    assert mixed_budget(rates, (10, 20, 40), tokens, 0.35) == pytest.approx(15)  # one half of 10 and of 20
    assert mixed_budget(rates, (10, 20, 40), tokens, 0.01) == pytest.approx(40 + 0.8 * 60)  # one fifth of 40, else all
    assert mixed_budget(np.array([0.5, 0.4, 0.1]), (10, 20, 30), tokens, 0.3) == pytest.approx(20)  # 10 and 30: no 20


def _made(random: np.random.Generator, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Quality rises with the budget, and reaches 1 at a budget that the context tells to some noise."""
    need = random.uniform(0, 4, count)
    contexts = np.stack([need + 0.3 * random.standard_normal(count), random.standard_normal(count)], axis=1)
    return contexts, np.clip(1 - (need[:, None] - np.arange(1, 5)) * 0.5, 0, 1)


def test_the_promise_holds_on_average_and_saves() -> None:
    """Over many calibrations the share of broken promises is at most delta, and the mean budget below the full one."""
    rates: list[float] = []
    for seed in range(60):
        random = np.random.default_rng(seed)
        made = rule((1, 2, 3, 4), _made(random, 150), _made(random, 120), 0.1, 0.1)
        contexts, quality = _made(random, 400)
        did = kept(made.choose(contexts), quality, (1, 2, 3, 4), np.full(400, 5), 0.1)
        rates.append(did.violations)
        assert did.mean_budget < 4.5
    assert np.mean(rates) <= 0.1 + 2 * np.std(rates) / np.sqrt(len(rates))
    assert np.mean(rates) > 0.03  # it is not merely careful


def test_useless_scores_cost_budget_not_the_promise() -> None:
    random = np.random.default_rng(0)
    _, quality = _made(random, 300)
    scores = random.standard_normal(quality.shape)
    threshold = calibrated(scores[:150], quality[:150], 0.1, 0.1)
    assert broken(smallest(scores[150:], threshold), quality[150:], 0.1).mean() < 0.2


def test_bad_input() -> None:
    scores, quality = np.zeros((5, 2)), np.ones((5, 2))
    with pytest.raises(ValueError, match=r"5 calibration prompts cannot promise 0.1: expected 10 or more"):
        calibrated(scores, quality, 0.1, 0.1)
    with pytest.raises(ValueError, match="expected both between 0 and 1"):
        calibrated(scores, quality, 1.5, 0.1)
    with pytest.raises(ValueError, match="ascending"):
        rule((4, 2), (scores, quality), (scores, quality), 0.1, 0.1)
