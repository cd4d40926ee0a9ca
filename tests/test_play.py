"""Is the one loop right: batches, order, the end?"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from trimtab.play import play
from trimtab.types import Choice, Episode, Grade, Metrics, Policy, Step


class Countdown:
    """Contexts n, n-1, .., 1; the outcome is context + action."""

    def __init__(self, length: int) -> None:
        self.task = f"from {length}"
        self.left = length

    def start(self) -> int:
        return self.left

    def step(self, action: int, /) -> tuple[int, int | None]:
        outcome = self.left + action
        self.left -= 1
        return outcome, self.left or None


class Tenfold:
    def __init__(self) -> None:
        self.batches: list[list[int]] = []

    def act(self, contexts: Sequence[int], /) -> list[Choice[int]]:
        self.batches.append(list(contexts))
        return [Choice(10 * context) for context in contexts]

    def update(self, episodes: Sequence[Sequence[Step[int, int, Any]]], /) -> Metrics:
        return {}


def half(outcomes: Sequence[int], /) -> list[Grade]:
    return [Grade(outcome / 2) for outcome in outcomes]


def naive(lengths: Sequence[int]) -> list[list[Step[int, int, int]]]:
    """One episode after the other."""
    played: list[list[Step[int, int, int]]] = []
    for episode in map(Countdown, lengths):
        steps: list[Step[int, int, int]] = []
        context: int | None = episode.start()
        while context is not None:
            choice = Choice(10 * context)
            outcome, following = episode.step(choice.action)
            steps.append(Step(episode.task, context, choice, outcome, Grade(outcome / 2)))
            context = following
        played.append(steps)
    return played


def test_lockstep_equals_one_after_the_other() -> None:
    policy = Tenfold()
    assert isinstance(policy, Policy)
    assert isinstance(Countdown(1), Episode)
    assert play([Countdown(n) for n in (2, 1, 3)], policy, half) == naive((2, 1, 3))
    assert policy.batches == [[2, 1, 3], [1, 2], [1]]


def test_a_pool_may_step_the_episodes() -> None:
    with ThreadPoolExecutor(4) as pool:
        assert play([Countdown(n) for n in range(1, 9)], Tenfold(), half, map=pool.map) == naive(range(1, 9))


def test_no_episodes_no_steps() -> None:
    assert play([], Tenfold(), half) == []


def test_results_that_do_not_match_are_an_error() -> None:
    with pytest.raises(ValueError, match="the reward returned 0 for 2"):
        play([Countdown(1), Countdown(1)], Tenfold(), lambda _: [])
    policy = Tenfold()
    policy.act = lambda contexts: [Choice(0)]  # type: ignore[method-assign]
    with pytest.raises(ValueError, match="the policy's act returned 1 for 2"):
        play([Countdown(1), Countdown(1)], policy, half)
