"""How are many prompts replayed at once? All their positions in one long table, and rounds as jumps within it.

Position p of a prompt is row ``start + p``. A round with action a commits ``tokens_NA`` tokens, takes ``seconds_NA``
seconds, and lands that many rows further on; where nothing ``remaining_N`` is left, the decode is over.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from trimtab.speculation.actions import TreeShape
from trimtab.speculation.context import History, join
from trimtab.speculation.costs import CostModel
from trimtab.speculation.replay import ReplayTable


@dataclass(frozen=True, eq=False)
class FlatReplay:
    """The positions of R prompts as N rows; A actions. ``seconds_NA`` are the models', without a policy's own."""

    actions: list[TreeShape]
    feature_names: list[str]
    accepted_NA: np.ndarray
    tokens_NA: np.ndarray
    seconds_NA: np.ndarray
    features_NF: np.ndarray
    remaining_N: np.ndarray
    start_R: np.ndarray
    positions_R: np.ndarray
    depth_A: np.ndarray

    @property
    def prompts(self) -> int:
        return len(self.start_R)

    @property
    def rows(self) -> int:
        return len(self.remaining_N)


def flatten(table: ReplayTable, costs: CostModel, actions: Sequence[TreeShape] | None = None) -> FlatReplay:
    """The table as rows, restricted to ``actions`` (default: all). Prompts with no round to play are left out.

    Raises ValueError where an action is not in the table, or no prompt has a round.
    """
    menu = list(table.actions if actions is None else actions)
    missing = [str(action) for action in menu if action not in table.actions]
    if missing:
        raise ValueError(f"the table does not hold {', '.join(missing)}: it holds {', '.join(map(str, table.actions))}")
    prompts = [prompt for prompt in table.prompts if prompt.positions]
    if not prompts:
        raise ValueError("no prompt of the table has a round to play: expected replies of at least 2 tokens")
    columns = [table.actions.index(action) for action in menu]
    accepted = np.concatenate([prompt.accepted_PA[:, columns] for prompt in prompts])
    remaining = np.concatenate([np.arange(prompt.positions, 0, -1) for prompt in prompts])
    positions = np.array([prompt.positions for prompt in prompts])
    return FlatReplay(
        menu,
        list(table.feature_names),
        accepted,
        np.minimum(accepted + 1, remaining[:, None]),
        costs.seconds_A(menu, np.concatenate([prompt.context_P for prompt in prompts])),
        np.concatenate([prompt.features_PF for prompt in prompts]).astype(np.float32),
        remaining,
        np.cumsum(positions) - positions,
        positions,
        np.array([action.depth for action in menu]),
    )


@dataclass(frozen=True, eq=False)
class Rounds:
    """Rounds of all prompts, in order of play: the row, what was known there, the action, what it brought."""

    prompt_T: np.ndarray
    row_T: np.ndarray
    features_TF: np.ndarray
    action_T: np.ndarray
    tokens_T: np.ndarray
    seconds_T: np.ndarray
    accepted_T: np.ndarray


Chooser = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""Joined features [B, F] and rows [B] -> columns of the actions [B]."""


def roll(replay: FlatReplay, choose: Chooser) -> Rounds:
    """Decode every prompt once, all side by side."""
    alive = np.arange(replay.prompts)
    row, history = replay.start_R.copy(), History(replay.prompts)
    rounds: list[tuple[np.ndarray, ...]] = []
    while len(alive):
        features = join(replay.features_NF[row], history.features())
        action = choose(features, row)
        tokens, accepted = replay.tokens_NA[row, action], replay.accepted_NA[row, action]
        rounds.append((alive, row, features, action, tokens, replay.seconds_NA[row, action], accepted))
        history.observe(accepted, replay.depth_A[action])
        going = replay.remaining_N[row] > tokens
        alive, row = alive[going], (row + tokens)[going]
        history.state_BS = history.state_BS[going]
    return Rounds(*(np.concatenate(column) for column in zip(*rounds, strict=True)))


def fixed(column: int) -> Chooser:
    """Always the same action."""
    return lambda features_BF, _row_B: np.full(len(features_BF), column)


def rate(rounds: Rounds, decision_seconds: float = 0.0) -> float:
    """Tokens per second over all rounds; ``decision_seconds`` are added to each."""
    return float(rounds.tokens_T.sum() / (rounds.seconds_T + decision_seconds).sum())
