"""What did a policy do in these rounds, and where did their time go? Metrics of replayed or real rounds, by name.

Pure functions: rounds in, named numbers and histograms out. ``docs/metrics.md`` explains each. Totals are divided by
totals; no ratio is averaged.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from trimtab.maths.distributions import entropy
from trimtab.rewards import Rubric
from trimtab.speculation.actions import TreeShape
from trimtab.speculation.costs import CostModel
from trimtab.speculation.engine.generation import Round
from trimtab.speculation.episode import RoundOutcome
from trimtab.speculation.flat_replay import FlatReplay, Rounds
from trimtab.tracking import Histogram, Value

PHASES = ("draft", "verify", "policy", "rest")
"""Where a round's seconds go."""
NO_TREE = "none"
"""How a round without drafting is called among the actions."""

Log = Callable[[int, Mapping[str, Value]], None]
"""(step, its metrics), histograms among them: as ``Run.log`` takes them."""


@dataclass(frozen=True, eq=False)
class Played:
    """T rounds, replayed or real: what was chosen, what that brought, and the seconds of each phase.

    ``labels`` are those of the actions (A), ``action_T`` points to them. ``tokens`` were committed in all, ``accepted_T``
    in each round as verified. ``decisions``: how often the policy decided; in the other rounds an action was held.
    """

    labels: list[str]
    action_T: np.ndarray
    accepted_T: np.ndarray
    tokens: int
    decisions: int
    seconds_T: Mapping[str, np.ndarray]

    @property
    def rounds(self) -> int:
        return len(self.action_T)

    @property
    def seconds(self) -> float:
        """Of all rounds and phases."""
        return float(sum(seconds.sum() for seconds in self.seconds_T.values()))


# -- where rounds come from --------------------------------------------------------------------------------------------


def played_replay(
    rounds: Rounds, replay: FlatReplay, costs: CostModel, *, decision_seconds: float = 0.0, held_seconds: float = 0.0
) -> Played:
    """Rounds of a replay. Its phases are the cost model's; the policy is charged as given, for a decision or a held
    round."""
    context_T, seconds_T = replay.context_N[rounds.row_T], dict[str, np.ndarray]()
    for phase in ("draft", "verify", "rest"):
        base_A, slope_A = costs.line_A(replay.actions, [phase])
        seconds_T[phase] = base_A[rounds.action_T] + context_T * slope_A[rounds.action_T]
    seconds_T["policy"] = np.where(rounds.decided_T, decision_seconds, held_seconds)
    labels = [str(action) for action in replay.actions]
    return Played(labels, rounds.action_T, rounds.accepted_T, int(rounds.tokens_T.sum()), rounds.decisions, seconds_T)


def played_decodes(
    rounds: Sequence[Round], actions: Sequence[TreeShape], *, tokens: int, decisions: int | None = None
) -> Played:
    """Rounds of real decodes that committed ``tokens``. ``decisions``: where actions were held (default: every round).

    Raises ValueError where a round drafted a tree that is not among ``actions``, or where there are more decisions than
    rounds.
    """
    labels = [*map(str, actions), NO_TREE]
    chosen = [NO_TREE if played.shape is None else str(played.shape) for played in rounds]
    foreign = sorted(set(chosen) - set(labels))
    if foreign:
        raise ValueError(f"a round drafted {foreign[0]}, which is not among {', '.join(labels[:-1])}: name all trees")
    if decisions is not None and not 0 <= decisions <= len(rounds):
        raise ValueError(f"{decisions} decisions in {len(rounds)} rounds: expected at most one for each")
    if NO_TREE not in chosen:
        labels.pop()
    return Played(
        labels,
        np.array([labels.index(label) for label in chosen], dtype=np.int64),
        np.array([played.accepted for played in rounds], dtype=np.int64),
        tokens,
        len(rounds) if decisions is None else decisions,
        {phase: np.array([getattr(played.seconds, phase) for played in rounds], dtype=float) for phase in PHASES},
    )


# -- what they tell ----------------------------------------------------------------------------------------------------


def entropy_of_counts(counts_A: Sequence[int] | np.ndarray) -> float:
    """Entropy (nats) of the empirical distribution of counts [A]. Raises ValueError where nothing was counted."""
    counts = np.asarray(counts_A, dtype=float)
    if not counts.sum() > 0:
        raise ValueError("the entropy of no counts: expected at least one round")
    shares = counts[counts > 0] / counts.sum()
    return float(-(shares * np.log(shares)).sum())


def policy_entropy(scores_BA: np.ndarray, temperature: float = 1.0) -> float:
    """Mean entropy (nats) of the softmax of scores [B, A] over ``temperature``: how undecided the policy is."""
    return float(entropy(np.asarray(scores_BA, dtype=float) / temperature).mean())


def of_actions(played: Played) -> dict[str, Value]:
    """Which actions were played, how evenly, and how often the policy decided."""
    histogram = Histogram.of(played.labels, played.action_T.tolist())
    return {
        "actions": histogram,
        "actions_entropy": entropy_of_counts(histogram.counts),
        "actions_unique": float(np.count_nonzero(histogram.counts)),
        "accepted": float(played.accepted_T.mean()),
        "decisions_per_token": played.decisions / played.tokens,
        "hit_rate": 1.0 - played.decisions / played.rounds,
    }


def of_phases(played: Played) -> dict[str, Value]:
    """Where the rounds' seconds went, per token and as shares; and the speed that follows (the prompt not counted)."""
    total = played.seconds
    per_phase = {phase: float(seconds.sum()) for phase, seconds in played.seconds_T.items()}
    per_token = {f"seconds_per_token/{phase}": seconds / played.tokens for phase, seconds in per_phase.items()}
    shares = {f"share/{phase}": seconds / total for phase, seconds in per_phase.items()}
    return {"tokens_per_second": played.tokens / total, **per_token, **shares}


def of_rewards(rubric: Rubric[RoundOutcome], outcomes: Sequence[RoundOutcome]) -> dict[str, Value]:
    """The mean reward of outcomes, and what each part of the rubric contributes to it (weights included)."""
    grades = rubric(outcomes)
    weighted = [rubric.weighted(grade.parts) for grade in grades]
    parts = {f"reward/{name}": float(np.mean([row[name] for row in weighted])) for name in rubric.weights}
    return {"reward": float(np.mean([grade.value for grade in grades])), **parts}


def outcomes_of(rounds: Rounds, replay: FlatReplay, decision_seconds: float = 0.0) -> list[RoundOutcome]:
    """What each round of a replay brought, a decision charged ``decision_seconds``."""
    columns = (rounds.action_T, rounds.tokens_T, rounds.accepted_T, rounds.charged_T(decision_seconds))
    made = zip(*(column.tolist() for column in columns), rounds.decided_T.tolist(), strict=True)
    return [
        RoundOutcome("replay", replay.actions[action], tokens, accepted, seconds, 1, decision_seconds * decided)
        for action, tokens, accepted, seconds, decided in made
    ]


def measures(played: Played) -> dict[str, Value]:
    """All that rounds tell by themselves: ``of_actions`` and ``of_phases``."""
    return of_actions(played) | of_phases(played)


def named(prefix: str, metrics: Mapping[str, Value]) -> dict[str, Value]:
    """The metrics under a common heading: ``prefix/name``."""
    return {f"{prefix}/{name}": value for name, value in metrics.items()}


# -- beside a training -------------------------------------------------------------------------------------------------


class Watch:
    """A log of updates that adds what the policy judged last did: once, in the first row after it was judged.

    ``see`` is given what makes those metrics; they are made only where a row is logged.
    """

    def __init__(self, log: Log) -> None:
        self._log = log
        self._seen: Callable[[], Mapping[str, Value]] | None = None

    def see(self, make: Callable[[], Mapping[str, Value]]) -> None:
        """A policy was judged; the one before, where it was not logged, is forgotten."""
        self._seen = make

    def __call__(self, update: int, metrics: Mapping[str, Any]) -> None:
        seen, self._seen = self._seen, None
        self._log(update, {**metrics, **(named("judged", seen()) if seen is not None else {})})
