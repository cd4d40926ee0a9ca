"""Do the contract checks find each broken contract? (That kept ones pass is tested beside what keeps them.)"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

from trimtab.testing import check_episode, check_policy, check_reward
from trimtab.types import Choice, Grade


class Good:
    """Two steps; may not be stepped after its end."""

    task = "good"

    def __init__(self) -> None:
        self.left = 2

    def start(self) -> Any:
        return "context"

    def step(self, action: int, /) -> Any:
        if self.left == 0:
            raise ValueError("over")
        self.left -= 1
        return action, "context" if self.left else None


class Nameless(Good):
    task = ""


class NoStart(Good):
    def start(self) -> Any:
        return None


class NoPair(Good):
    def step(self, action: int, /) -> Any:
        return action


class Endless(Good):
    def step(self, action: int, /) -> Any:
        return action, "context"


class Reusable(Good):
    def step(self, action: int, /) -> Any:
        self.left -= 1
        return action, "context" if self.left == 1 else None


def test_a_good_episode_passes() -> None:
    assert check_episode(Good, lambda _: 3) == [3, 3]


@pytest.mark.parametrize(
    ("episode", "message"),
    [
        (Nameless, "Name the task"),
        (NoStart, r"start\(\) returned None"),
        (NoPair, r"step\(\) returned int"),
        (Endless, "no end after 50 steps"),
        (Reusable, "after the end was accepted"),
    ],
)
def test_broken_episodes(episode: type[Good], message: str) -> None:
    with pytest.raises(AssertionError, match=message):
        check_episode(episode, lambda _: 3, max_steps=50)


def test_an_episode_made_twice_must_be_new() -> None:
    one = Good()
    with pytest.raises(AssertionError, match="same episode twice"):
        check_episode(lambda: one, lambda _: 3)


class Acts:
    def __init__(self, act: Callable[[Sequence[Any]], Any], metrics: Any = None) -> None:
        self.act = act
        self.metrics = metrics

    def update(self, episodes: Any, /) -> Any:
        return self.metrics


def _spoil(contexts: Sequence[np.ndarray]) -> list[Choice[int]]:
    for context in contexts:
        context += 1
    return [Choice(1) for _ in contexts]


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (lambda contexts: [Choice(1)], "act\\(\\) of 2 contexts"),
        (lambda contexts: [1 for _ in contexts], "Wrap each action"),
        (lambda contexts: [Choice(9) for _ in contexts], "9 is not among the actions"),
        (lambda contexts: [Choice(1, 0.5) for _ in contexts], "log-probability is 0.5"),
        (lambda contexts: [Choice(1, math.nan) for _ in contexts], "log-probability is nan"),
        (_spoil, "changed its contexts"),
    ],
)
def test_broken_policies(act: Callable[[Sequence[Any]], Any], message: str) -> None:
    with pytest.raises(AssertionError, match=message):
        check_policy(Acts(act), [np.zeros(2), np.ones(2)], actions=[1, 2])


def test_broken_updates() -> None:
    policy = Acts(lambda contexts: [Choice(1) for _ in contexts], {"loss": math.nan})
    check_policy(policy, [np.zeros(1)])
    with pytest.raises(AssertionError, match="finite numbers"):
        check_policy(policy, [np.zeros(1)], episodes=[])


def length(outcomes: Sequence[str]) -> list[Grade]:
    return [Grade(float(len(outcome)), {"length": float(len(outcome))}) for outcome in outcomes]


@pytest.mark.parametrize(
    ("reward", "message"),
    [
        (lambda outcomes: [], "Return one Grade for each"),
        (lambda outcomes: [1.0 for _ in outcomes], "Return Grade"),
        (lambda outcomes: [Grade(math.inf, {"length": 1.0}) for _ in outcomes], "value of a grade is not finite"),
        (lambda outcomes: [Grade(1.0, {"other": 1.0}) for _ in outcomes], r"Give \['length'\]"),
        (lambda outcomes: [Grade(1.0, {"length": 2.0}) for _ in outcomes], "parts x weights is 2"),
        (
            lambda outcomes: [Grade(float(n), {"length": float(n)}) for n, _ in enumerate(outcomes)],
            "depends on the rest of its batch",
        ),
    ],
)
def test_broken_rewards(reward: Callable[[Sequence[str]], list[Grade]], message: str) -> None:
    with pytest.raises(AssertionError, match=message):
        check_reward(reward, ["a", "bc"], weights={"length": 1.0})


def test_the_judge_is_checked() -> None:
    check_reward(length, ["a", "bc"], weights={"length": 1.0}, gold="a", empty="")
    with pytest.raises(AssertionError, match="gold outcome is worth 2"):
        check_reward(length, ["a"], gold="ab")
    with pytest.raises(AssertionError, match="empty outcome is worth 1"):
        check_reward(length, ["a"], empty="a")
