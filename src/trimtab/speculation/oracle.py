"""How fast could any policy be? Exact bounds and baselines on a replay table with measured costs.

Over a table, decoding is a shortest path from position 0 to the text's end: ``T*(p) = min_a [ seconds(p, a) +
T*(next(p, a)) ]`` with T* = 0 at the end. The oracle knows the text, and so where the draft will fail; policies know
features only. Between it and the best static tree stand the best static tree per prompt, the clairvoyant that looks one
round ahead, and the oracle whose every decision is held for N rounds. Seconds are those of the rounds; the prompt's
forward is the same for all.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trimtab.speculation.actions import TreeShape
from trimtab.speculation.costs import CostModel
from trimtab.speculation.replay import Chooser, PromptReplay, ReplayTable

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Priced:
    """A prompt's replay with the seconds of every action at every position."""

    replay: PromptReplay
    seconds_PA: Floats

    @property
    def tokens(self) -> int:
        """Tokens that rounds commit: all of the text but its first, which comes from the prompt's forward."""
        return self.replay.positions


@dataclass(frozen=True)
class Decode:
    """A replayed decode: tokens committed by its rounds, their seconds, and the index of each round's action."""

    task: str
    tokens: int
    seconds: float
    actions: list[int]

    @property
    def tau(self) -> float:
        """Mean tokens committed per round (those beyond the end not counted)."""
        return self.tokens / len(self.actions) if self.actions else 1.0


def price(table: ReplayTable, costs: CostModel) -> list[Priced]:
    """Every prompt of the table with its costs."""
    return [Priced(prompt, costs.seconds_A(table.actions, prompt.context_P)) for prompt in table.prompts]


def roll(priced: Priced, choose: Chooser, decision_seconds: float = 0.0) -> Decode:
    """The decode in which ``choose`` names each action; ``decision_seconds`` are charged for each choice."""
    rounds = priced.replay.rounds(choose)
    seconds = sum(float(priced.seconds_PA[r.position, r.action]) + decision_seconds for r in rounds)
    return Decode(priced.replay.task, priced.tokens, seconds, [r.action for r in rounds])


def by_position(actions_P: Ints) -> Chooser:
    """A chooser that looks its action up."""
    return lambda position, _history: int(actions_P[position])


def tokens_per_second(decodes: Sequence[Decode]) -> float:
    """Tokens over seconds, each summed over the decodes (never a mean of ratios). Raises ValueError without a round."""
    seconds = sum(decode.seconds for decode in decodes)
    if not seconds:
        raise ValueError(f"{len(decodes)} decodes without a round have no speed: expected texts of at least 2 tokens")
    return sum(decode.tokens for decode in decodes) / seconds


# -- the oracle ------------------------------------------------------------------------------------------------------


def shortest(seconds_PA: Floats, next_PA: Ints) -> tuple[Floats, Ints]:
    """Dynamic programming: the least seconds [P + 1] from each position to the end, and the actions [P] that reach it."""
    positions = len(seconds_PA)
    remaining, best = np.zeros(positions + 1), np.zeros(positions, dtype=np.int64)
    for position in reversed(range(positions)):
        through = seconds_PA[position] + remaining[next_PA[position]]
        best[position] = through.argmin()
        remaining[position] = through[best[position]]
    return remaining, best


def oracle(priced: Priced) -> Decode:
    """The fastest decode there is."""
    _, best = shortest(priced.seconds_PA, priced.replay.next_PA)
    return roll(priced, by_position(best))


def regret_seconds(decode: Decode, priced: Priced) -> float:
    """Seconds that the decode lost against the oracle: exact, and never negative."""
    remaining, _ = shortest(priced.seconds_PA, priced.replay.next_PA)
    return decode.seconds - float(remaining[0])


def clairvoyant(priced: Priced) -> Decode:
    """Each round with the action of most tokens per second in that round, acceptance known beforehand (myopic)."""
    return roll(priced, by_position((priced.replay.tokens_PA / priced.seconds_PA).argmax(axis=1)))


def held(priced: Priced, rounds: int) -> Decode:
    """The fastest decode whose every decision is kept for ``rounds`` rounds. Raises ValueError for less than one."""
    if rounds < 1:
        raise ValueError(f"an action held for {rounds} rounds: expected at least 1")
    positions, actions = priced.seconds_PA.shape
    seconds_PA = np.vstack((priced.seconds_PA, np.zeros(actions)))
    next_PA = np.vstack((priced.replay.next_PA, np.full(actions, positions)))
    columns = np.arange(actions)
    total, reached = seconds_PA.copy(), next_PA.copy()
    for _ in range(rounds - 1):
        total += seconds_PA[reached, columns]
        reached = next_PA[reached, columns]
    _, best = shortest(total[:-1], reached[:-1])

    def choose(position: int, history: Sequence[tuple[int, int, int]]) -> int:
        return history[-1][1] if len(history) % rounds else int(best[position])

    return roll(priced, choose)


# -- static trees ----------------------------------------------------------------------------------------------------


def extended_seconds_A(priced: Priced, chosen: Sequence[int]) -> Floats:
    """The oracle's seconds where its menu is ``chosen`` and one more action: [A], one entry for each that it may be.

    With nothing chosen, the seconds of each static tree.
    """
    seconds_PA, next_PA = priced.seconds_PA, priced.replay.next_PA
    positions, actions = seconds_PA.shape
    columns, kept = np.arange(actions), list(chosen)
    remaining_PA = np.zeros((positions + 1, actions))
    for position in reversed(range(positions)):
        further = next_PA[position]
        through = seconds_PA[position] + remaining_PA[further, columns]
        if kept:
            known = seconds_PA[position, kept, None] + remaining_PA[further[kept]]
            through = np.minimum(through, known.min(axis=0))
        remaining_PA[position] = through
    return remaining_PA[0]


def static_seconds_QA(priced: Sequence[Priced]) -> Floats:
    """Seconds of every prompt (Q) with every tree kept throughout."""
    return np.stack([extended_seconds_A(one, ()) for one in priced])


def best_static(priced: Sequence[Priced]) -> int:
    """The index of the tree that, kept throughout, decodes all prompts in the least time."""
    return int(static_seconds_QA(priced).sum(axis=0).argmin())


def static(priced: Priced, action: int) -> Decode:
    """The decode with one tree throughout."""
    return roll(priced, lambda _position, _history: action)


def best_static_each(priced: Sequence[Priced]) -> list[Decode]:
    """Each prompt with the static tree that is best for it (known afterwards only)."""
    return [static(one, int(row.argmin())) for one, row in zip(priced, static_seconds_QA(priced), strict=True)]


# -- menus -----------------------------------------------------------------------------------------------------------


def prune(table: ReplayTable, costs: CostModel, size: int) -> list[TreeShape]:
    """A menu of ``size`` trees with which the oracle is nearly as fast as with all, in the order of their choice.

    Greedy forward selection: the first is the best static tree, each next one saves the oracle the most time. Shorter
    where no further tree saves any. Raises ValueError where the size is not between 1 and the table's number of
    actions.
    """
    if not 1 <= size <= len(table.actions):
        raise ValueError(
            f"a menu of {size} trees from a table of {len(table.actions)}: expected 1 to {len(table.actions)}"
        )
    priced = price(table, costs)
    chosen: list[int] = []
    before = np.inf
    while len(chosen) < size:
        seconds_A = np.sum([extended_seconds_A(one, chosen) for one in priced], axis=0)
        best = int(seconds_A.argmin())
        if not seconds_A[best] < before * (1 - 1e-9):
            break
        chosen.append(best)
        before = float(seconds_A[best])
    return [table.actions[index] for index in chosen]


@dataclass(frozen=True)
class Bounds:
    """Tokens per second on one table: what any policy is compared with."""

    best_static: float
    best_static_each: float
    clairvoyant: float
    oracle: float

    def share(self, rate: float) -> float:
        """The share of the oracle's gain over the best static tree that ``rate`` tokens per second reach."""
        return (rate - self.best_static) / (self.oracle - self.best_static) if self.oracle > self.best_static else 0.0


def bounds(priced: Sequence[Priced], static_action: int | None = None) -> Bounds:
    """All bounds at once. ``static_action``: the best static tree as chosen elsewhere (on the training split)."""
    action = best_static(priced) if static_action is None else static_action
    decoders: list[Callable[[Priced], Decode]] = [lambda one: static(one, action), clairvoyant, oracle]
    plain, myopic, best = (tokens_per_second([decoder(one) for one in priced]) for decoder in decoders)
    return Bounds(plain, tokens_per_second(best_static_each(priced)), myopic, best)
