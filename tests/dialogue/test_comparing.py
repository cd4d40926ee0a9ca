"""Are differences and verdicts what a hand and a simulation say?"""

from __future__ import annotations

import numpy as np
import pytest

from trimtab.dialogue.comparing import crossed_difference, distinct_within, holm, judge
from trimtab.dialogue.example import Example, Reply


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.9, 0.9]) == [1.0, 1.0]
    assert holm([]) == []


def test_an_interval_covers_the_truth_as_often_as_it_says() -> None:
    random = np.random.default_rng(0)
    covered = 0
    for trial in range(60):
        a = random.normal(size=(1, 80))
        interval, _ = crossed_difference(a, a + 0.3 + random.normal(size=(1, 80)), seed=trial)
        covered += interval.contains(0.3)
    assert covered >= 50


def test_seeds_that_disagree_widen_the_interval() -> None:
    a = np.zeros((3, 100))
    agreeing, disagreeing = a + 0.5, a + np.array([[0.0], [0.5], [1.0]])
    assert crossed_difference(a, agreeing)[0].half_width == pytest.approx(0.0)
    assert crossed_difference(a, disagreeing)[0].half_width > 0.3


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="the same of both"):
        crossed_difference(np.zeros((1, 2)), np.zeros((1, 3)))
    with pytest.raises(ValueError, match="not finite"):
        crossed_difference(np.full((1, 2), np.nan), np.zeros((1, 2)))


def columns(reward: float, gold: float, grammatical: float) -> dict[str, np.ndarray]:
    random = np.random.default_rng(1)
    return {
        "reward": reward + 0.1 * random.normal(size=(1, 200)),
        "gold_empathy": gold + 0.1 * random.normal(size=(1, 200)),
        "grammatical": (random.random((1, 200)) < grammatical).astype(float),
    }


BASE = columns(1.0, 0.4, 0.95)


def test_verdicts() -> None:
    assert judge(BASE, columns(2.0, 0.8, 0.94), [0.5], [0.47]).verdict == "improved"
    assert judge(BASE, BASE, [0.5], [0.5]).verdict == "not shown"
    hacked = judge(BASE, columns(3.0, 0.8, 0.2), [0.5], [0.5])
    assert hacked.verdict == "hacked"
    assert "grammatical fell from" in hacked.reasons[0]
    assert judge(BASE, columns(3.0, 0.2, 0.95), [0.5], [0.5]).verdict == "hacked"
    assert "diversity fell by 40%" in judge(BASE, columns(3.0, 0.8, 0.95), [0.5], [0.3]).reasons
    # worse all over is no hack: the reward did not rise
    assert judge(BASE, columns(0.5, 0.2, 0.2), [0.5], [0.5]).verdict == "not shown"


def test_variety_is_compared_on_as_many_words() -> None:
    example = Example("k", (), "", "")
    replies = [Reply(example, "a b a b"), Reply(example, "a b c d")]
    # of the first six words: ab ba ab, ab
    assert distinct_within(replies, 6) == pytest.approx(2 / 4)
    with pytest.raises(ValueError, match="8 words"):
        distinct_within(replies, 9)
