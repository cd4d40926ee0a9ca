"""What is a decision worth? Named rubrics over its outcome, each also as arithmetic on whole tables for training.

``time``: tokens - rate * seconds. Tokens and seconds are summed apart over all rounds of a decision, so that a long
window is never an average of ratios; summed over decodes it is positive exactly where they were faster than ``rate``
(Dinkelbach 1967; see ``environment``).
``reference``: the formula of Re-SpS (``calculate_reward`` in wmd3i/ReSpS, eagle/evaluation/rl_tree_policy.py), for
comparison: 2 ln(speed + 1) + 3 acceptance - 0.01 (total_tokens + depth + top_k) + 2 where acceptance > 0.8 and
speed > 10, speed in new tokens per second, acceptance in accepted tokens over ``total_tokens`` (root included). Here
its seconds are those of the tree that the action shaped; there they are those of the tree before. Each round earns
some, so that a sum over rounds pays for more of them: like there, a round is judged by itself (``myopic``).
A rubric of your own is named by its entry point, ``module:attribute``, or by a plugin's (group ``trimtab.rewards``).
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import entry_points
from typing import Any, Protocol

import numpy as np

from trimtab.rewards import Part, Rubric
from trimtab.speculation.actions import TreeShape
from trimtab.speculation.episode import RoundOutcome
from trimtab.speculation.flat_replay import FlatReplay

GROUP = "trimtab.rewards"
BONUS_ACCEPTANCE, BONUS_SPEED = 0.8, 10.0


class RewardArray(Protocol):
    """Tokens, accepted tokens and seconds [N, A] of the A actions, each held for so many rounds -> rewards [N, A]."""

    def __call__(
        self,
        tokens_NA: np.ndarray,
        accepted_NA: np.ndarray,
        seconds_NA: np.ndarray,
        actions: Sequence[TreeShape],
        rounds_NA: np.ndarray | int = 1,
        /,
    ) -> np.ndarray: ...


@dataclass(frozen=True)
class RoundReward:
    """A reward by name: ``rubric`` grades outcomes one by one, ``rewards_NA`` a whole table of them, to the same.

    ``myopic``: it compares actions at a position, and means nothing when summed over a decode; a learner must not look
    beyond the decision (a discount of 0).
    """

    name: str
    rubric: Rubric[RoundOutcome]
    rewards_NA: RewardArray
    myopic: bool = False

    def of(self, replay: FlatReplay, rounds_NA: np.ndarray | int = 1, *, decision_seconds: float = 0.0) -> np.ndarray:
        """What every action is worth at every row [N, A], the policy's own time charged to it."""
        seconds_NA = replay.seconds_NA + decision_seconds
        return self.rewards_NA(replay.tokens_NA, replay.accepted_NA, seconds_NA, replay.actions, rounds_NA)


def time_rubric(rate: float, scale: float = 1.0) -> Rubric[RoundOutcome]:
    """(tokens - rate * seconds) / scale. ``rate``: tokens per second to beat; the parts keep tokens and seconds apart.

    Raises ValueError unless both are above 0.
    """
    if not (rate > 0 and scale > 0):
        raise ValueError(f"rate {rate} and scale {scale}: expected both above 0")
    return Rubric(
        (
            Part("tokens", 1.0 / scale, lambda outcomes: [float(outcome.tokens) for outcome in outcomes]),
            Part("seconds", -rate / scale, lambda outcomes: [outcome.seconds for outcome in outcomes]),
        )
    )


def _speed(outcome: RoundOutcome) -> float:
    return outcome.tokens / outcome.seconds


def _acceptance(outcome: RoundOutcome) -> float:
    return outcome.accepted / (outcome.rounds * outcome.shape.total_tokens)


def _size(shape: TreeShape) -> int:
    return shape.total_tokens + shape.depth + shape.top_k


def _bonus(outcome: RoundOutcome) -> float:
    return float(_acceptance(outcome) > BONUS_ACCEPTANCE and _speed(outcome) > BONUS_SPEED)


def reference_rubric() -> Rubric[RoundOutcome]:
    """The reference's formula, its parts apart."""
    return Rubric(
        (
            Part("log_speed", 2.0, lambda outcomes: [float(np.log(_speed(outcome) + 1)) for outcome in outcomes]),
            Part("acceptance", 3.0, lambda outcomes: [_acceptance(outcome) for outcome in outcomes]),
            Part("size", -0.01, lambda outcomes: [float(_size(outcome.shape)) for outcome in outcomes]),
            Part("bonus", 2.0, lambda outcomes: [_bonus(outcome) for outcome in outcomes]),
        )
    )


def reference_NA(
    tokens_NA: np.ndarray,
    accepted_NA: np.ndarray,
    seconds_NA: np.ndarray,
    actions: Sequence[TreeShape],
    rounds_NA: np.ndarray | int = 1,
    /,
) -> np.ndarray:
    """``reference_rubric`` of a table's outcomes, [N, A]."""
    totals_A = np.array([action.total_tokens for action in actions])
    speed_NA, acceptance_NA = tokens_NA / seconds_NA, accepted_NA / (rounds_NA * totals_A)
    bonus_NA = (acceptance_NA > BONUS_ACCEPTANCE) & (speed_NA > BONUS_SPEED)
    size_A = np.array([_size(action) for action in actions])
    return 2.0 * np.log(speed_NA + 1) + 3.0 * acceptance_NA - 0.01 * size_A + 2.0 * bonus_NA


def by_outcomes(rubric: Rubric[RoundOutcome]) -> RewardArray:
    """Any rubric on a table, outcome by outcome: a few microseconds for each."""

    def rewards_NA(
        tokens_NA: np.ndarray,
        accepted_NA: np.ndarray,
        seconds_NA: np.ndarray,
        actions: Sequence[TreeShape],
        rounds_NA: np.ndarray | int = 1,
        /,
    ) -> np.ndarray:
        measured = (tokens_NA, accepted_NA, seconds_NA, np.broadcast_to(rounds_NA, tokens_NA.shape))
        rows = zip(list(actions) * len(tokens_NA), *(array.ravel().tolist() for array in measured), strict=True)
        outcomes = [RoundOutcome("table", *row) for row in rows]
        return np.array([grade.value for grade in rubric(outcomes)]).reshape(tokens_NA.shape)

    return rewards_NA


# -- by name -----------------------------------------------------------------------------------------------------------


def _time(rate: float) -> RoundReward:
    return RoundReward("time", time_rubric(rate), lambda tokens, _accepted, seconds, *_: tokens - rate * seconds)


def _reference(_rate: float) -> RoundReward:
    return RoundReward("reference", reference_rubric(), reference_NA, myopic=True)


REWARDS: dict[str, Callable[[float], RoundReward]] = {"time": _time, "reference": _reference}
"""Name -> the reward, given the rate to beat (tokens per second)."""


def known() -> list[str]:
    """The names that ``named_reward`` knows: the package's own, and those of installed plugins."""
    return [*REWARDS, *sorted(entry_points(group=GROUP).names)]


def named_reward(name: str, rate: float) -> RoundReward:
    """The reward called ``name``, or the one at the entry point ``module:attribute``. ``rate``: tokens per second to beat.

    An entry point is a ``Rubric`` over ``RoundOutcome``, a ``RoundReward``, or a function that makes either from the
    rate. Naming it runs its code, so a reward is named by the user only, never by a file. Raises ValueError for an
    unknown name (listing the known ones), or an entry point that is none of these.
    """
    if name in REWARDS:
        return REWARDS[name](rate)
    return _as_reward(name, _imported(name), rate)


def _imported(name: str) -> Any:
    plugins = entry_points(group=GROUP)
    if name in plugins.names:
        return plugins[name].load()
    module, colon, attribute = name.partition(":")
    if not colon:
        raise ValueError(f"no reward {name!r}; known rewards: {', '.join(known())}, or module:attribute of your own")
    try:
        return getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise ValueError(
            f"no reward at {name!r} ({error}); expected module:attribute that can be imported, or one of "
            f"{', '.join(known())}"
        ) from error


def _of_rate(name: str, function: Callable[..., Any], rate: float) -> Any:
    """What the function makes of the rate; errors of its own are its own."""
    try:
        inspect.signature(function).bind(rate)
    except TypeError as error:
        raise ValueError(f"the reward {name!r} cannot be made from the rate to beat alone ({error})") from error
    return function(rate)


def _as_reward(name: str, found: Any, rate: float) -> RoundReward:
    made: Any = _of_rate(name, found, rate) if callable(found) and not isinstance(found, Rubric) else found
    if isinstance(made, RoundReward):
        return made
    if isinstance(made, Rubric):
        return RoundReward(name, made, by_outcomes(made))
    raise ValueError(
        f"the reward {name!r} is a {type(made).__name__}: expected a Rubric over RoundOutcome, a RoundReward, or a "
        "function of the rate to beat that returns one of them"
    )
