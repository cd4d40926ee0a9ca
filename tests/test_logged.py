"""Are oracle, best fixed action and regret of a table what a hand computes?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from trimtab.logged import ActionTable, logged_reward
from trimtab.play import play
from trimtab.testing import check_episode, check_policy, check_reward
from trimtab.types import Choice, Metrics, Step

REWARDS = np.array([[1.0, 0.0, 0.6], [0.0, 1.0, 0.6], [0.2, 0.1, 0.6]])


def table() -> ActionTable[str]:
    return ActionTable(np.eye(3), REWARDS, ["a", "b", "c"], ["x", "y", "z"])


class Always:
    def __init__(self, action: str) -> None:
        self.action = action

    def act(self, contexts: Sequence[np.ndarray], /) -> list[Choice[str]]:
        return [Choice(self.action, 0.0) for _ in contexts]

    def update(self, episodes: Sequence[Sequence[Step[np.ndarray, str, Any]]], /) -> Metrics:
        return {"episodes": float(len(episodes))}


def test_oracle_best_fixed_and_regret_by_hand() -> None:
    assert table().oracle() == ["a", "b", "c"]
    assert table().best_fixed() == "c"
    played = play(table().episodes(), Always("b"), logged_reward)
    steps = [step for (step,) in played]
    assert [step.grade.value for step in steps] == [0.0, 1.0, 0.1]
    np.testing.assert_allclose(table().regret(steps), [1.0, 0.0, 0.5])
    assert table().regret([]).shape == (0,)


def test_the_oracle_has_no_regret() -> None:
    best = dict(zip(table().tasks, table().oracle(), strict=True))
    steps = [Step(task, None, Choice(action), None, logged_reward([])) for task, action in best.items()]  # type: ignore[arg-type]
    np.testing.assert_array_equal(table().regret(steps), np.zeros(3))


def test_a_subset_keeps_rows_together() -> None:
    part = table().subset([2, 0])
    assert part.tasks == ["z", "x"]
    assert part.oracle() == ["c", "a"]
    np.testing.assert_array_equal(part.contexts_PK, np.eye(3)[[2, 0]])


def test_the_contracts_are_kept() -> None:
    taken = check_episode(lambda: table().episodes()[1], lambda context: "abc"[int(context.argmax())])
    assert taken == ["b"]
    outcomes = [episode.step("a")[0] for episode in table().episodes()]
    check_reward(logged_reward, outcomes, weights={"reward": 1.0})
    played = play(table().episodes(), Always("a"), logged_reward)
    check_policy(Always("a"), list(np.eye(3)), actions=table().actions, episodes=played)


def test_what_a_table_refuses() -> None:
    with pytest.raises(ValueError, match=r"expected contexts \[tasks, K\]"):
        ActionTable(np.eye(3), REWARDS, ["a", "b"], ["x", "y", "z"])
    with pytest.raises(ValueError, match="tasks repeat"):
        ActionTable(np.eye(3), REWARDS, ["a", "b", "c"], ["x", "x", "z"])
    with pytest.raises(ValueError, match="not finite"):
        ActionTable(np.eye(3), np.where(REWARDS == 1, np.nan, REWARDS), ["a", "b", "c"], ["x", "y", "z"])
    with pytest.raises(ValueError, match="no action d in the table"):
        table().episodes()[0].step("d")
    with pytest.raises(ValueError, match="no task 'w' in the table"):
        table().regret([Step("w", None, Choice("a"), None, logged_reward([]))])  # type: ignore[arg-type]
