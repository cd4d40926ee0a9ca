"""Is a plan kept as long as it should be, and do one live decode and many replayed ones agree?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from trimtab.policies.held import Adaptive, Counts, Hold, Plan, Plans, distance_B


@dataclass(frozen=True)
class _Round:
    accepted: int


def _ages(plan: Plan[str], rounds: list[_Round], accepted: list[int]) -> list[int]:
    """The age of the plan after each further round."""
    ages: list[int] = []
    for count in accepted:
        rounds.append(_Round(count))
        ages.append(plan.age(rounds))
    return ages


def test_a_plan_lasts_its_trees_times_its_rounds() -> None:
    plan, rounds = Plan[str](Hold(2)), list[_Round]()
    assert plan.age(rounds) == 0  # nothing is planned
    plan.make(["a", "b"], [], rounds)
    assert _ages(plan, rounds, [0, 0, 0, 0]) == [1, 2, 3, 0]
    assert [plan.at(age) for age in range(4)] == ["a", "a", "b", "b"]


def test_another_decode_needs_a_plan_of_its_own() -> None:
    plan, rounds = Plan[str](Hold(5)), [_Round(1)]
    plan.make(["a"], [], rounds)
    assert plan.age(rounds) == 0  # asked again before any round: decide again
    rounds.append(_Round(2))
    assert plan.age(rounds) == 1
    assert plan.age(list(rounds)) == 0


def test_surprise_ends_a_plan_both_ways() -> None:
    expected = {0: 0, 1: 1, 2: 1, 3: 1, 4: 0}  # expected 2, margin 1
    for accepted, age in expected.items():
        plan, rounds = Plan[str](Hold(3, Adaptive(surprise=1.0))), list[_Round]()
        plan.make(["a"], [2.0], rounds)
        assert _ages(plan, rounds, [accepted]) == [age]


def test_surprise_is_measured_by_the_tree_that_was_played() -> None:
    plan, rounds = Plan[str](Hold(1, Adaptive(surprise=0.5))), list[_Round]()
    plan.make(["a", "b", "c"], [1.0, 4.0, 0.0], rounds)
    assert _ages(plan, rounds, [1, 4]) == [1, 2]


@pytest.mark.parametrize("hold", [Hold(), Hold(3), Hold(2, Adaptive(surprise=1.0)), Hold(4, Adaptive(surprise=0.4))])
@pytest.mark.parametrize("planned", [1, 3])
def test_one_decode_and_many_agree(hold: Hold, planned: int) -> None:
    rng = np.random.default_rng(planned)
    expected_A = np.array([1.0, 2.0, 3.0])
    many = Plans(hold, 4, expected_A)
    single = [Plan[int](hold) for _ in range(4)]
    rounds = [list[_Round]() for _ in range(4)]
    for _ in range(30):
        due = many.due()
        ages = [plan.age(seen) for plan, seen in zip(single, rounds, strict=True)]
        assert due.tolist() == [age == 0 for age in ages]
        decided = rng.integers(3, size=(4, planned))
        if due.any():
            many.make(due, decided[due])
        for row in np.flatnonzero(due).tolist():
            single[row].make(decided[row].tolist(), expected_A[decided[row]].tolist(), rounds[row])
        taken = many.take()
        assert taken.tolist() == [plan.at(age) for plan, age in zip(single, ages, strict=True)]
        accepted = rng.integers(5, size=4)
        many.observe(taken, accepted)
        for seen, count in zip(rounds, accepted.tolist(), strict=True):
            seen.append(_Round(count))


def test_drift_is_the_root_mean_square_distance() -> None:
    assert distance_B(np.array([[3.0, 0.0], [1.0, 1.0]]), np.array([[0.0, 4.0], [1.0, 1.0]])).tolist() == pytest.approx(
        [(25 / 2) ** 0.5, 0.0]
    )
    plans = Plans(Hold(9, Adaptive(drift=1.0)), 2)
    first = np.zeros((2, 4))
    assert plans.due(first).all()
    plans.make(np.array([True, True]), np.array([0, 1]), first)
    plans.observe(plans.take(), np.zeros(2))
    assert plans.due(np.array([[0.9] * 4, [1.1] * 4])).tolist() == [False, True]


def test_complete_decodes_are_dropped() -> None:
    plans = Plans(Hold(2), 3)
    plans.make(np.ones(3, dtype=bool), np.array([5, 6, 7]))
    plans.observe(plans.take(), np.zeros(3))
    plans.keep(np.array([True, False, True]))
    assert plans.take().tolist() == [5, 7]
    assert not plans.due().any()


def test_the_hit_rate_is_the_share_of_rounds_without_a_decision() -> None:
    assert Counts().hit_rate == 0
    assert Counts(rounds=8, decisions=2).hit_rate == 0.75


def test_holds_that_cannot_be_are_refused() -> None:
    with pytest.raises(ValueError, match="held for 0 rounds: expected at least 1"):
        Hold(0)
    with pytest.raises(ValueError, match="give drift, surprise, or both"):
        Adaptive()
    with pytest.raises(ValueError, match="thresholds of 0 or more"):
        Adaptive(drift=-1.0)
    with pytest.raises(ValueError, match="what each action is expected to bring"):
        Plans(Hold(2, Adaptive(surprise=1.0)), 3)
