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
    """What a decision brought: ``tokens`` committed within the text, ``accepted`` drafted ones as verified, and all the
    ``seconds`` that it caused: drafting and verifying its own tree, in each of the ``rounds`` that it was held for, and
    the ``policy_seconds`` of deciding (which they include). Sums, never averages of rates.
    """

    task: str
    shape: TreeShape
    tokens: int
    accepted: int
    seconds: float
    rounds: int = 1
    policy_seconds: float = 0.0


class SpeculationEpisode:
    """One prompt, decoded once. A context is the joined features [F] of position and history (not normalised).

    An action is held for ``hold_rounds`` rounds (fewer at the text's end). ``decision_seconds`` is the policy's own
    time, charged to every decision.
    """

    def __init__(
        self,
        table: ReplayTable,
        prompt: PromptReplay,
        costs: CostModel,
        *,
        decision_seconds: float = 0.0,
        hold_rounds: int = 1,
    ) -> None:
        if prompt.tokens < 2:
            raise ValueError(
                f"the text of {prompt.task!r} has {prompt.tokens} token: it is complete before the first round"
            )
        if hold_rounds < 1:
            raise ValueError(f"an action held for {hold_rounds} rounds: expected at least 1")
        self._table, self._prompt, self._costs = table, prompt, costs
        self._decision_seconds, self._hold_rounds = decision_seconds, hold_rounds
        self._history = History()
        self._position = 0

    @property
    def task(self) -> str:
        return self._prompt.task

    @property
    def _complete(self) -> bool:
        return self._position >= self._prompt.positions

    def start(self) -> np.ndarray:
        """The context before the first round."""
        return join(self._prompt.features_PF[self._position][None], self._history.features())[0]

    def step(self, action: TreeShape, /) -> tuple[RoundOutcome, np.ndarray | None]:
        """A round (or as many as an action is held for) with the tree ``action``. Raises ValueError for a tree outside
        the table, or after the end."""
        if self._complete:
            raise ValueError(f"the text of {self.task!r} is complete: make a new episode")
        if action not in self._table.actions:
            raise ValueError(f"the table does not hold {action}; it holds {', '.join(map(str, self._table.actions))}")
        column, began, rounds, accepted, seconds = self._table.actions.index(action), self._position, 0, 0, 0.0
        while rounds < self._hold_rounds and not self._complete:
            seconds += float(self._costs.seconds_A([action], int(self._prompt.context_P[self._position]))[0])
            accepted += self._round(column, action.depth)
            rounds += 1
        own = self._decision_seconds
        tokens = self._position - began
        outcome = RoundOutcome(self.task, action, tokens, accepted, seconds + own, rounds, own)
        return outcome, (None if self._complete else self.start())

    def _round(self, column: int, depth: int) -> int:
        """Move on by a round; the tokens accepted in it."""
        accepted = int(self._prompt.accepted_PA[self._position, column])
        self._position = int(self._prompt.next_PA[self._position, column])
        self._history.observe(accepted, depth)
        return accepted


def episodes(
    table: ReplayTable, costs: CostModel, *, decision_seconds: float = 0.0, hold_rounds: int = 1
) -> list[SpeculationEpisode]:
    """An episode for each prompt of the table that has a round to play."""
    playable = [prompt for prompt in table.prompts if prompt.positions]
    return [
        SpeculationEpisode(table, prompt, costs, decision_seconds=decision_seconds, hold_rounds=hold_rounds)
        for prompt in playable
    ]
