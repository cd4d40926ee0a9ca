"""What is one decode to ``play``? A prompt of a replay table: contexts in, trees out, until the text is complete."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from trimtab.speculation.actions import TreeShape
from trimtab.speculation.context import History, join
from trimtab.speculation.costs import CostModel
from trimtab.speculation.replay import PromptReplay, ReplayTable


@dataclass(frozen=True)
class RoundOutcome:
    """What a round brought: ``tokens`` committed within the text, ``accepted`` drafted ones as verified, seconds."""

    task: str
    shape: TreeShape
    tokens: int
    accepted: int
    seconds: float


class SpeculationEpisode:
    """One prompt, decoded once. A context is the joined features [F] of position and history (not normalised).

    ``decision_seconds`` is the policy's own time, charged to every round.
    """

    def __init__(
        self, table: ReplayTable, prompt: PromptReplay, costs: CostModel, *, decision_seconds: float = 0.0
    ) -> None:
        if prompt.tokens < 2:
            raise ValueError(
                f"the text of {prompt.task!r} has {prompt.tokens} token: it is complete before the first round"
            )
        self._table, self._prompt, self._costs = table, prompt, costs
        self._decision_seconds = decision_seconds
        self._history = History()
        self._position = 0

    @property
    def task(self) -> str:
        return self._prompt.task

    def start(self) -> np.ndarray:
        """The context before the first round."""
        return join(self._prompt.features_PF[self._position][None], self._history.features())[0]

    def step(self, action: TreeShape, /) -> tuple[RoundOutcome, np.ndarray | None]:
        """A round with the tree ``action``. Raises ValueError for a tree outside the table, or after the end."""
        if self._position >= self._prompt.positions:
            raise ValueError(f"the text of {self.task!r} is complete: make a new episode")
        if action not in self._table.actions:
            raise ValueError(f"the table does not hold {action}; it holds {', '.join(map(str, self._table.actions))}")
        column, position = self._table.actions.index(action), self._position
        accepted = int(self._prompt.accepted_PA[position, column])
        self._position = int(self._prompt.next_PA[position, column])
        self._history.observe(accepted, action.depth)
        seconds = float(self._costs.seconds_A([action], int(self._prompt.context_P[position]))[0])
        outcome = RoundOutcome(self.task, action, self._position - position, accepted, seconds + self._decision_seconds)
        return outcome, (self.start() if self._position < self._prompt.positions else None)


def episodes(table: ReplayTable, costs: CostModel, *, decision_seconds: float = 0.0) -> list[SpeculationEpisode]:
    """An episode for each prompt of the table that has a round to play."""
    playable = [prompt for prompt in table.prompts if prompt.positions]
    return [SpeculationEpisode(table, prompt, costs, decision_seconds=decision_seconds) for prompt in playable]
