"""What can be had without learning a network? A table of what each tree is worth, and measured costs, in closed form.

Two things are known before drafting: how sure the head is of the token after the root, and how many drafted tokens the
last two rounds accepted. Both are cut into a few bins, and the training table, which knows what *every* tree accepts
everywhere, gives each tree's mean worth in each bin. The tree chosen is

    argmax_a  E[worth | confidence, recent, a] - seconds(a, context)

The tokens that a tree commits are worth the seconds that the best static tree would have taken over them,
S(p) - S(next), with S(p) its seconds from position p to the end. This is one step of policy improvement over the best
static tree (rollout; Bertsekas, Tsitsiklis and Wu 1997). Worth counted in tokens, E[tokens] / seconds as in OPT-Tree
(arXiv:2406.17276) and SmartSpec (arXiv:2406.14066), is slower: rounds end where drafting fails, so where a tree lands
matters, not only how far.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from trimtab.speculation.actions import TreeShape
from trimtab.speculation.costs import CostModel
from trimtab.speculation.engine.generation import Controller, RoundState
from trimtab.speculation.oracle import Priced, best_static, price, roll
from trimtab.speculation.replay import Chooser, PromptReplay, ReplayRound, ReplayTable

Floats = NDArray[np.float64]

CONFIDENCE = "draft_prob_1"
_BINS = ((1, 1), (4, 1), (2, 3), (4, 3), (8, 4))
_FOLDS = 4
_RECENT_ROUNDS = 2
_PRIOR_STATES = 20.0
_PASSES = 2
_EXPLORERS = 5


class Extractor(Protocol):
    """Features of a decoding state (see ``replay_builder.Extractor``)."""

    @property
    def names(self) -> Sequence[str]: ...

    def __call__(
        self, root_logprobs_D: Tensor, target_logits_V: Tensor, state_H: Tensor, context_tokens: int
    ) -> NDArray[np.float32]: ...


def recent(accepted: Sequence[int]) -> float:
    """Mean accepted tokens of the last two rounds; -1 before the first."""
    last = accepted[-_RECENT_ROUNDS:]
    return sum(last) / len(last) if last else -1.0


@dataclass(frozen=True, eq=False)
class GreedyPolicy:
    """Expected worth ``worth_CRA`` (seconds) per bin of confidence (C), of recent acceptance (R) and action (A).

    ``base_A`` and ``slope_A``: seconds of a round at an empty context, and more per token of it.
    """

    actions: list[TreeShape]
    feature: str
    confidence_edges: Floats
    recent_edges: Floats
    worth_CRA: Floats
    base_A: Floats
    slope_A: Floats

    def decide(self, confidence: float, recently: float, context_tokens: int) -> int:
        """The index of the chosen action."""
        row = np.searchsorted(self.confidence_edges, confidence, side="right")
        column = np.searchsorted(self.recent_edges, recently, side="right")
        return int((self.worth_CRA[row, column] - self.base_A - self.slope_A * context_tokens).argmax())

    def chooser(self, table: ReplayTable, prompt: PromptReplay) -> Chooser:
        """For replay. The table must have the policy's actions. Raises ValueError where it lacks the feature."""
        column = table.feature(self.feature)

        def choose(position: int, history: Sequence[ReplayRound]) -> int:
            recently = recent([r.accepted for r in history[-_RECENT_ROUNDS:]])
            return self.decide(prompt.features_PF[position, column], recently, int(prompt.context_P[position]))

        return choose

    def controller(self, extractor: Extractor) -> Controller:
        """For real decoding, with the extractor that the table was built with."""
        if self.feature not in extractor.names:
            raise ValueError(f"the extractor gives no {self.feature!r}; it gives {', '.join(extractor.names)}")
        column = list(extractor.names).index(self.feature)

        def control(state: RoundState) -> TreeShape:
            features = extractor(state.root_logprobs_D, state.target_logits_V, state.root_state_H, state.context_tokens)
            recently = recent([r.accepted for r in state.rounds[-_RECENT_ROUNDS:]])
            return self.actions[self.decide(float(features[column]), recently, state.context_tokens)]

        return control


@dataclass(frozen=True, eq=False)
class _States:
    """Decoding states met in roll-outs: confidence and recent acceptance, and the worth of every action there."""

    confidence_S: Floats
    recent_S: Floats
    worth_SA: Floats

    def __add__(self, other: _States) -> _States:
        mine, others = (vars(states).values() for states in (self, other))
        confidence, history, worth = (np.concatenate(pair) for pair in zip(mine, others, strict=True))
        return _States(confidence, history, worth)


def _edges(values_S: Floats, bins: int) -> Floats:
    """Inner edges of bins that hold about as many states each."""
    return np.unique(np.quantile(values_S, np.linspace(0, 1, bins + 1)[1:-1]))


def _recent_edges(recent_S: Floats, bins: int) -> Floats:
    """Edges that keep the first round apart, and quantiles of the later ones; none where there is to be one bin."""
    later = recent_S[recent_S >= 0]
    if bins == 1 or not len(later):
        return np.empty(0)
    return np.unique(np.concatenate(([-0.5], _edges(later, bins - 1))))


def _expected(states: _States, confidence_edges: Floats, recent_edges: Floats) -> Floats:
    """Mean worth [C, R, A] of the states in each bin, drawn to the mean of its confidence bin as if that had been seen
    twenty times, and that likewise to the mean of all: a bin with few states says little."""
    rows = np.searchsorted(confidence_edges, states.confidence_S, side="right")
    columns = np.searchsorted(recent_edges, states.recent_S, side="right")
    overall = states.worth_SA.mean(axis=0)
    expected = np.empty((len(confidence_edges) + 1, len(recent_edges) + 1, states.worth_SA.shape[1]))
    for row in range(len(expected)):
        of_row = _drawn(states.worth_SA[rows == row], overall)
        for column in range(expected.shape[1]):
            expected[row, column] = _drawn(states.worth_SA[(rows == row) & (columns == column)], of_row)
    return expected


def _drawn(worth_SA: Floats, towards_A: Floats) -> Floats:
    return (worth_SA.sum(axis=0) + _PRIOR_STATES * towards_A) / (len(worth_SA) + _PRIOR_STATES)


class _Fitter:
    """Fits rules of any number of bins to one table."""

    def __init__(self, table: ReplayTable, costs: CostModel, feature: str, seed: int) -> None:
        self.table, self.feature, self.column = table, feature, table.feature(feature)
        self.lines = costs.line_A(table.actions)
        priced = price(table, costs)
        first = best_static(priced)
        self.worth_PA = {one.replay.task: _worth(one, first) for one in priced}
        others = np.random.default_rng(seed).integers(len(table.actions), size=_EXPLORERS - 1).tolist()
        static_trees = [self._visited(lambda _prompt, tree=tree: lambda _p, _h: tree) for tree in [first, *others]]
        self.explored = functools.reduce(_States.__add__, static_trees)

    def _visited(self, chooser: Callable[[PromptReplay], Chooser]) -> _States:
        """The states that a chooser meets on the table's prompts."""
        known, worth = list[tuple[float, float]](), list[Floats]()
        for prompt in self.table.prompts:
            accepted: list[int] = []
            for position, _, count in prompt.rounds(chooser(prompt)):
                known.append((float(prompt.features_PF[position, self.column]), recent(accepted)))
                worth.append(self.worth_PA[prompt.task][position])
                accepted.append(count)
        confidence, history = np.array(known).T
        return _States(confidence, history, np.array(worth))

    def fit(self, bins: tuple[int, int]) -> GreedyPolicy:
        """The rule with so many bins of confidence and of recent acceptance.

        Worth is averaged over the states met by some static trees and by the rule itself, found in a few passes.
        """
        edges = _edges(self.explored.confidence_S, bins[0]), _recent_edges(self.explored.recent_S, bins[1])
        worth = _expected(self.explored, *edges)
        policy = GreedyPolicy(self.table.actions, self.feature, *edges, worth, *self.lines)
        for _ in range(_PASSES):
            own = self._visited(lambda prompt, policy=policy: policy.chooser(self.table, prompt))
            policy = replace(policy, worth_CRA=_expected(self.explored + own, *edges))
        return policy


def _worth(priced: Priced, tree: int) -> Floats:
    """Seconds [P, A] that a static tree would take from each position to where each action leads."""
    next_P = priced.replay.next_PA[:, tree]
    left = np.zeros(priced.replay.positions + 1)
    for position in reversed(range(priced.replay.positions)):
        left[position] = priced.seconds_PA[position, tree] + left[next_P[position]]
    return left[:-1, None] - left[priced.replay.next_PA]


def fit(table: ReplayTable, costs: CostModel, *, feature: str = CONFIDENCE, seed: int = 0) -> GreedyPolicy:
    """The rule for the table's actions, from the training split's table. ``feature``: the column that tells confidence.

    How finely to cut the bins depends on how much data there is: cross-validation over prompts decides. Raises
    ValueError where the table lacks the feature, or has fewer than two prompts with a position.
    """
    usable = table.where(lambda prompt: prompt.positions > 0)
    if len(usable) < 2:
        raise ValueError(
            f"the table has {len(usable)} texts of at least 2 tokens: expected at least 2 to fit and validate"
        )
    order = np.random.default_rng(seed).permutation(len(usable))
    fold_of = {usable.prompts[index].task: place % _FOLDS for place, index in enumerate(order)}
    seconds = dict.fromkeys(_BINS, 0.0)
    for fold in range(min(_FOLDS, len(usable))):
        inside = usable.where(lambda prompt, fold=fold: fold_of[prompt.task] != fold)
        outside = usable.where(lambda prompt, fold=fold: fold_of[prompt.task] == fold)
        fitter, priced = _Fitter(inside, costs, feature, seed), price(outside, costs)
        for bins in _BINS:
            policy = fitter.fit(bins)
            seconds[bins] += sum(roll(one, policy.chooser(outside, one.replay)).seconds for one in priced)
    return _Fitter(usable, costs, feature, seed).fit(min(seconds, key=lambda bins: seconds[bins]))
