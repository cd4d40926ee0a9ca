"""What if the outcome of every action is known beforehand? One-step tasks as a table, with exact regret.

Policies train and compare by replay in seconds. What the table cannot say is how rewards generalise: split it by task,
choose on one part (``best_fixed`` too), and report on the other.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Generic, TypeVar

import numpy as np
from jaxtyping import Float, Int

from trimtab.types import Grade, Step

A = TypeVar("A", bound=Hashable)


@dataclass(frozen=True)
class LoggedOutcome(Generic[A]):
    """What the table holds for an action taken on a task."""

    task: str
    action: A
    reward: float


@dataclass(frozen=True, eq=False)
class ActionTable(Generic[A]):
    """Rewards of every action on every task, and what a policy may see of each task.

    ``contexts_PK``: features of P tasks; ``rewards_PA``: higher is better. Raises ValueError where shapes disagree,
    tasks or actions repeat, or a number is not finite.
    """

    contexts_PK: Float[np.ndarray, "P K"]
    rewards_PA: Float[np.ndarray, "P A"]
    actions: Sequence[A]
    tasks: Sequence[str]

    def __post_init__(self) -> None:
        expected = (len(self.tasks), len(self.actions))
        if self.rewards_PA.shape != expected or self.contexts_PK.shape[:1] != expected[:1] or 0 in expected:
            raise ValueError(
                f"contexts {self.contexts_PK.shape} and rewards {self.rewards_PA.shape} for {expected[0]} tasks and "
                f"{expected[1]} actions: expected contexts [tasks, K] and rewards [tasks, actions], none of them empty."
            )
        for what, names in (("tasks", self.tasks), ("actions", self.actions)):
            if len(set(names)) < len(names):
                raise ValueError(f"the table's {what} repeat: expected each once.")
        if not (np.isfinite(self.contexts_PK).all() and np.isfinite(self.rewards_PA).all()):
            raise ValueError("the table has numbers that are not finite: leave out the tasks whose measurement failed.")

    @cached_property
    def row_of(self) -> dict[str, int]:
        """Each task's row."""
        return {task: row for row, task in enumerate(self.tasks)}

    @cached_property
    def column_of(self) -> dict[A, int]:
        """Each action's column."""
        return {action: column for column, action in enumerate(self.actions)}

    def episodes(self) -> list[TableEpisode[A]]:
        """An episode of one step for each task."""
        return [TableEpisode(self, row) for row in range(len(self.tasks))]

    def subset(self, rows: Sequence[int]) -> ActionTable[A]:
        """The table of some of the tasks."""
        chosen = list(rows)
        tasks = [self.tasks[row] for row in chosen]
        return ActionTable(self.contexts_PK[chosen], self.rewards_PA[chosen], self.actions, tasks)

    def oracle(self) -> list[A]:
        """The best action of each task (the first of equals): what no policy can beat."""
        return [self.actions[column] for column in self.rewards_PA.argmax(axis=1)]

    def best_fixed(self) -> A:
        """The action with the highest mean reward: what a learned policy has to beat."""
        return self.actions[int(self.rewards_PA.mean(axis=0).argmax())]

    def columns(self, actions: Sequence[A]) -> Int[np.ndarray, " S"]:
        """The columns of ``actions``. Raises ValueError for one that the table does not hold."""
        unknown = [action for action in actions if action not in self.column_of]
        if unknown:
            raise ValueError(
                f"no action {unknown[0]} in the table: expected one of {', '.join(map(str, self.actions))}."
            )
        return np.array([self.column_of[action] for action in actions], dtype=np.int64)

    def regret(self, steps: Sequence[Step[Any, A, Any]]) -> Float[np.ndarray, " S"]:
        """For each step, the reward that the best action of its task would have brought more: 0 or above.

        Raises ValueError for a task or an action that the table does not hold.
        """
        unknown = [step.task for step in steps if step.task not in self.row_of]
        if unknown:
            raise ValueError(f"no task {unknown[0]!r} in the table: expected steps played on this table's episodes.")
        rewards_SA = self.rewards_PA[np.array([self.row_of[step.task] for step in steps], dtype=np.int64)]
        columns_S = self.columns([step.choice.action for step in steps])
        return rewards_SA.max(axis=1) - np.take_along_axis(rewards_SA, columns_S[:, None], axis=1)[:, 0]


class TableEpisode(Generic[A]):
    """One task of a table, played once."""

    def __init__(self, table: ActionTable[A], row: int) -> None:
        self._table = table
        self._row = row
        self._over = False

    @property
    def task(self) -> str:
        return self._table.tasks[self._row]

    def start(self) -> Float[np.ndarray, " K"]:
        """The task's context [K]."""
        return self._table.contexts_PK[self._row]

    def step(self, action: A, /) -> tuple[LoggedOutcome[A], None]:
        """Look the outcome up. Raises ValueError for an unknown action, and where the episode is over."""
        if self._over:
            raise ValueError(f"the episode of task {self.task!r} is over: ask the table for new episodes.")
        column = int(self._table.columns([action])[0])
        self._over = True
        return LoggedOutcome(self.task, action, float(self._table.rewards_PA[self._row, column])), None


def logged_reward(outcomes: Sequence[LoggedOutcome[Any]], /) -> list[Grade]:
    """The reward of a table's outcomes: what the table says."""
    return [Grade(outcome.reward, {"reward": outcome.reward}) for outcome in outcomes]
