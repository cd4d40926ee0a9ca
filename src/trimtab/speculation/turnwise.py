"""What happened in each turn of an evaluation, and how far from the oracle? Its rounds laid along the text, and priced.

Decodes are brought into the replay's currency: each round that was really made costs what the cost model says of its
tree and context, so that a busy moment of the machine is not taken for a bad choice. The policy's own decisions are
charged as they were timed. The prompt's forward is the same for all, and left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from trimtab.speculation import level_replay, oracle
from trimtab.speculation.actions import TreeShape
from trimtab.speculation.costs import CostModel
from trimtab.speculation.engine.generation import Round
from trimtab.speculation.level_replay import FlatLevels
from trimtab.speculation.race import Turn, Written
from trimtab.speculation.replay import PromptReplay

if TYPE_CHECKING:
    from trimtab.speculation.evaluation import Evaluation

POLICY, STATIC = "eagle-policy", "eagle-best-static"
HOLD_ROUNDS = (1, 2, 5, 10, 30)
"""For so many rounds the oracle's decisions are held."""


@dataclass(frozen=True)
class Span:
    """One round in the text: where it began, its tree (None: no drafting), and the tokens it committed."""

    position: int
    shape: TreeShape | None
    tokens: int


@dataclass(frozen=True)
class TurnView:
    """One turn: the policy's rounds and the oracle's, and the time per token over the oracle's (1 is the oracle's).

    The oracle is the one that decides as often as the policy: once a round, or after every level.
    """

    turn: Turn
    policy: list[Span]
    oracle: list[Span]
    policy_over_oracle: float
    static_over_oracle: float


def spans(rounds: Iterable[Round], tokens: int) -> list[Span]:
    """Rounds laid along a text of ``tokens`` tokens, the first of which came from the prompt's forward."""
    laid: list[Span] = []
    position = 0
    for made in rounds:
        committed = min(made.accepted + 1, tokens - 1 - position)
        if committed < 1:
            break
        laid.append(Span(position, made.shape, committed))
        position += committed
    return laid


class Prices:
    """What rounds cost by the cost model, each tree looked up once."""

    def __init__(self, costs: CostModel) -> None:
        self._costs = costs
        self._lines: dict[TreeShape, tuple[float, float]] = {}

    def seconds(self, shape: TreeShape | None, context_tokens: int) -> float:
        """Seconds of one round. Raises ValueError (``Knots.check``)."""
        if shape is None:
            return self._costs.plain_seconds(context_tokens)
        if shape not in self._lines:
            base, slope = self._costs.line_A([shape])
            self._lines[shape] = float(base[0]), float(slope[0])
        base, slope = self._lines[shape]
        return base + slope * context_tokens

    def of(self, laid: Sequence[Span], prompt_tokens: int) -> float:
        """Seconds of all rounds of a decode."""
        return sum(self.seconds(span.shape, prompt_tokens + span.position) for span in laid)


def rounds_of(written: Written) -> list[Round]:
    """The rounds of one decode by this engine."""
    return written.generation.rounds if written.generation else []


@dataclass(frozen=True)
class Fastest:
    """The oracle's decode of one turn."""

    laid: list[Span]
    seconds: float

    @property
    def seconds_per_token(self) -> float:
        return self.seconds / sum(span.tokens for span in self.laid)


def _oracle(priced: oracle.Priced, shapes: Sequence[TreeShape]) -> Fastest:
    """The fastest trees of the menu, one each round."""
    best = oracle.oracle(priced)
    return Fastest(_replayed(priced.replay, best, shapes), best.seconds)


def _level_oracles(levels: FlatLevels) -> dict[str, Fastest]:
    """Task -> the fastest decode that may stop after any level."""
    rounds, menu = level_replay.oracle(levels), levels.menu
    made: dict[str, Fastest] = {}
    for prompt, task in enumerate(levels.tasks):
        mine = np.flatnonzero(rounds.prompt_T == prompt)
        laid = [
            Span(
                int(rounds.row_T[t] - levels.start_R[prompt]),
                TreeShape(menu.totals[rounds.total_T[t]], int(rounds.depth_T[t]), menu.top_k),
                int(rounds.tokens_T[t]),
            )
            for t in mine
        ]
        made[task] = Fastest(laid, float(rounds.seconds_T[mine].sum()))
    return made


def held_oracles(evaluation: Evaluation) -> dict[int, float]:
    """Rounds that a decision is held -> the speed of the fastest such decode over the best static tree's (replayed)."""
    priced = [one for one in oracle.price(evaluation.table, evaluation.costs) if one.tokens]
    return {
        rounds: oracle.tokens_per_second([oracle.held(one, rounds) for one in priced]) / evaluation.bounds.best_static
        for rounds in HOLD_ROUNDS
    }


def _replayed(replay: PromptReplay, decode: oracle.Decode, shapes: Sequence[TreeShape]) -> list[Span]:
    """A replayed decode, laid along its text."""
    laid: list[Span] = []
    position = 0
    for action in decode.actions:
        onward = int(replay.next_PA[position, action])
        laid.append(Span(position, shapes[action], onward - position))
        position = onward
    return laid


def views(evaluation: Evaluation) -> list[TurnView]:
    """Every turn whose text has a round in it, in the order of the evaluation.

    Raises ValueError where a turn is not in the evaluation's replay table.
    """
    table, prices = evaluation.table, Prices(evaluation.costs)
    replays = {priced.replay.task: priced for priced in oracle.price(table, evaluation.costs)}
    missing = [turn.task for turn in evaluation.turns if turn.task not in replays]
    if missing:
        raise ValueError(f"the replay table lacks {', '.join(missing)}: build it from the prompts that were decoded")
    static = table.actions.index(evaluation.best_static)
    finer = _level_oracles(evaluation.levels) if evaluation.levels else {}
    made: list[TurnView] = []
    for turn, written in zip(evaluation.turns, evaluation.entry(POLICY).first_T, strict=True):
        priced, rounds, tokens = replays[turn.task], rounds_of(written), len(written.tokens)
        if priced.tokens < 1 or tokens < 2:
            continue
        laid, best = spans(rounds, tokens), finer.get(turn.task) or _oracle(priced, table.actions)
        seconds = prices.of(laid, len(turn.ids)) + sum(r.seconds.policy for r in rounds[: len(laid)])
        floor, fixed = best.seconds_per_token, oracle.static(priced, static)
        over = seconds / (tokens - 1) / floor, fixed.seconds / fixed.tokens / floor
        made.append(TurnView(turn, laid, best.laid, *over))
    return made


def predicted_over_measured(evaluation: Evaluation, name: str) -> float:
    """The cost model's seconds for a contender's rounds over those that were timed, decisions left out of both."""
    prices, predicted, measured = Prices(evaluation.costs), 0.0, 0.0
    for turn, written in zip(evaluation.turns, evaluation.entry(name).first_T, strict=True):
        rounds = rounds_of(written)
        laid = spans(rounds, len(written.tokens))
        predicted += prices.of(laid, len(turn.ids))
        measured += sum(made.seconds.total - made.seconds.policy for made in rounds[: len(laid)])
    return predicted / measured


def differing_turns(evaluation: Evaluation) -> int:
    """Turns in which not all contenders wrote the same tokens (near-ties flip in bfloat16)."""
    texts_T = zip(*([tuple(w.tokens) for w in entry.first_T] for entry in evaluation.entries), strict=True)
    return sum(len(set(texts)) > 1 for texts in texts_T)


def chosen(evaluation: Evaluation, name: str) -> dict[TreeShape | None, tuple[int, float]]:
    """The trees of a contender: how many rounds had each, and the mean drafted tokens accepted; most frequent first."""
    accepted: dict[TreeShape | None, list[int]] = {}
    for made in evaluation.entry(name).rounds:
        accepted.setdefault(made.shape, []).append(made.accepted)
    ordered = sorted(accepted.items(), key=lambda item: -len(item[1]))
    return {shape: (len(counts), sum(counts) / len(counts)) for shape, counts in ordered}
