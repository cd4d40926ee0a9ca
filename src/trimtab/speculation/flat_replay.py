"""How are many prompts replayed at once? All their positions in one long table, and rounds as jumps within it.

Position p of a prompt is row ``start + p``. A round with action a commits ``tokens_NA`` tokens, takes ``seconds_NA``
seconds, and lands that many rows further on; where nothing ``remaining_N`` is left, the decode is over.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from trimtab.policies.held import Hold, Plans
from trimtab.speculation.actions import TreeShape
from trimtab.speculation.context import History, join
from trimtab.speculation.costs import CostModel
from trimtab.speculation.replay import ReplayTable


@dataclass(frozen=True, eq=False)
class FlatReplay:
    """The positions of R prompts as N rows; A actions. ``seconds_NA`` are the models', without a policy's own;
    ``context_N``: tokens committed before."""

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
    context_N: np.ndarray

    @property
    def prompts(self) -> int:
        return len(self.start_R)

    @property
    def rows(self) -> int:
        return len(self.remaining_N)

    def seeing(self, names: Sequence[str]) -> FlatReplay:
        """The same replay with these features of the position alone, in this order. Raises ValueError naming both where
        it lacks one."""
        if list(names) == self.feature_names:
            return self
        missing = [name for name in names if name not in self.feature_names]
        if missing:
            raise ValueError(
                f"the features {', '.join(names)} are needed; the table holds {', '.join(self.feature_names)}, without "
                f"{', '.join(missing)}: build the table with them, or train a policy for those that it holds"
            )
        columns = [self.feature_names.index(name) for name in names]
        return replace(self, feature_names=list(names), features_NF=self.features_NF[:, columns])


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
    context = np.concatenate([prompt.context_P for prompt in prompts])
    return FlatReplay(
        menu,
        list(table.feature_names),
        accepted,
        np.minimum(accepted + 1, remaining[:, None]),
        costs.seconds_A(menu, context),
        np.concatenate([prompt.features_PF for prompt in prompts]).astype(np.float32),
        remaining,
        np.cumsum(positions) - positions,
        positions,
        np.array([action.depth for action in menu]),
        context,
    )


@dataclass(frozen=True, eq=False)
class Rounds:
    """Rounds of all prompts, in order of play: the row, what was known there, the action, what it brought.

    ``decided_T``: whether the action was decided then and there; elsewhere it was held, or planned before.
    """

    prompt_T: np.ndarray
    row_T: np.ndarray
    features_TF: np.ndarray
    action_T: np.ndarray
    tokens_T: np.ndarray
    seconds_T: np.ndarray
    accepted_T: np.ndarray
    decided_T: np.ndarray

    @property
    def decisions(self) -> int:
        return int(self.decided_T.sum())

    @property
    def decisions_per_token(self) -> float:
        return self.decisions / float(self.tokens_T.sum())

    @property
    def hit_rate(self) -> float:
        """The share of rounds whose action was held or planned before."""
        return float(1.0 - self.decided_T.mean())

    def charged_T(self, decision_seconds: float, held_seconds: float = 0.0) -> np.ndarray:
        """Seconds of each round with the policy's own: of a decision, or of a round that is held."""
        return self.seconds_T + np.where(self.decided_T, decision_seconds, held_seconds)


Chooser = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""Joined features [B, F] and rows [B] -> columns of the actions [B], or of plans for the next M rounds [B, M]."""


def roll(
    replay: FlatReplay,
    choose: Chooser,
    hold: int | Hold = 1,
    *,
    normalise: Callable[[np.ndarray], np.ndarray] | None = None,
    expected_A: np.ndarray | None = None,
) -> Rounds:
    """Decode every prompt once, all side by side.

    What ``choose`` decides is kept for ``hold`` rounds; it sees only the decodes that must decide. To end a hold by
    drift, features are compared as ``normalise`` makes them; by surprise, with ``expected_A``, the acceptance expected
    of each action. Raises ValueError where the one that is needed is missing.
    """
    rule = hold if isinstance(hold, Hold) else Hold(hold)
    if rule.drift is not None and normalise is None:
        raise ValueError("to end a hold by drift, the features' normalisation must be given")
    alive = np.arange(replay.prompts)
    row, history = replay.start_R.copy(), History(replay.prompts)
    plans = Plans(rule, replay.prompts, expected_A)
    rounds: list[tuple[np.ndarray, ...]] = []
    while len(alive):
        features = join(replay.features_NF[row], history.features())
        seen = normalise(features) if rule.drift is not None and normalise is not None else None
        due = plans.due(seen)
        if due.any():
            plans.make(due, choose(features[due], row[due]), seen)
        action = plans.take()
        tokens, accepted = replay.tokens_NA[row, action], replay.accepted_NA[row, action]
        rounds.append((alive, row, features, action, tokens, replay.seconds_NA[row, action], accepted, due))
        history.observe(accepted, replay.depth_A[action])
        plans.observe(action, accepted)
        going = replay.remaining_N[row] > tokens
        alive, row = alive[going], (row + tokens)[going]
        history.state_BS = history.state_BS[going]
        plans.keep(going)
    return Rounds(*(np.concatenate(column) for column in zip(*rounds, strict=True)))


def fixed(column: int) -> Chooser:
    """Always the same action."""
    return lambda features_BF, _row_B: np.full(len(features_BF), column)


def rate(rounds: Rounds, decision_seconds: float = 0.0, held_seconds: float = 0.0) -> float:
    """Tokens per second over all rounds, each decision charged ``decision_seconds``, each held round
    ``held_seconds``."""
    return float(rounds.tokens_T.sum() / rounds.charged_T(decision_seconds, held_seconds).sum())


def held_jumps(replay: FlatReplay, rounds: int) -> tuple[FlatReplay, np.ndarray]:
    """The replay whose every round is ``rounds`` rounds with the same action, to the text's end at most: tokens, seconds
    and acceptances summed (never averaged as ratios). With it, how many rounds that were, [N, A]."""
    tokens, seconds = replay.tokens_NA.copy(), replay.seconds_NA.copy()
    accepted, columns = replay.accepted_NA.astype(np.int64), np.arange(len(replay.actions))
    played = np.ones_like(accepted)
    for _ in range(rounds - 1):
        going = tokens < replay.remaining_N[:, None]
        at = np.where(going, np.arange(replay.rows)[:, None] + tokens, 0)
        accepted += np.where(going, replay.accepted_NA[at, columns], 0)
        seconds += np.where(going, replay.seconds_NA[at, columns], 0.0)
        tokens += np.where(going, replay.tokens_NA[at, columns], 0)
        played += going
    return replace(replay, accepted_NA=accepted, tokens_NA=tokens, seconds_NA=seconds), played
