"""What does a generation leave behind? The new tokens, their text, and a record of every round."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from torch import Tensor

from trimtab.speculation.actions import TreeShape
from trimtab.speculation.engine.drafter import Plan
from trimtab.speculation.engine.tree import Tree


@dataclass
class Seconds:
    """Where a round's time went: the head's ``draft``, the target's ``verify``, the ``policy``'s own decision, and the
    ``rest`` (cutting the tree, masks, acceptance, bookkeeping).

    ``select`` is the part of ``draft`` that is not the head's forwards: choosing beams, building masks (on an accelerator
    it overlaps with them, and is 0).
    """

    draft: float = 0.0
    verify: float = 0.0
    policy: float = 0.0
    rest: float = 0.0
    select: float = 0.0

    @property
    def total(self) -> float:
        return self.draft + self.verify + self.policy + self.rest

    @property
    def outside(self) -> float:
        """All but the two models' forwards."""
        return self.select + self.policy + self.rest


@dataclass(frozen=True)
class Trace:
    """One round's tree (its arrays as in ``Tree``) and ``path``, the accepted tokens, root first."""

    tree: Tree
    path: list[int]

    @property
    def tokens_N(self) -> list[int]:
        return [int(token) for token in self.tree.tokens_N]

    @property
    def ancestors_NN(self) -> list[list[bool]]:
        return self.tree.ancestors_NN.tolist()

    @property
    def depths_N(self) -> list[int]:
        return [int(depth) for depth in self.tree.depths_N]


@dataclass(frozen=True)
class Round:
    """One drafting round: ``drafted`` tokens, how many of them were ``accepted`` as verified (before trimming)."""

    shape: TreeShape | None
    drafted: int
    accepted: int
    seconds: Seconds
    trace: Trace | None = None


@dataclass(frozen=True)
class Generation:
    """The new ``tokens`` (trimmed at the end of sequence and at the limit) and their ``text``.

    ``prefill_seconds`` covers the prompt's forward; ``drafted_mask[i]`` says whether token i was drafted and accepted (the
    others are the target's own).
    """

    tokens: list[int]
    text: str
    rounds: list[Round]
    prefill_seconds: float
    seconds: float
    reused_tokens: int
    drafted_mask: list[bool] = field(default_factory=list[bool])

    @property
    def accepted(self) -> float:
        """Mean drafted tokens accepted per round (0 where there was none)."""
        return sum(r.accepted for r in self.rounds) / len(self.rounds) if self.rounds else 0.0

    @property
    def tau(self) -> float:
        """Mean tokens committed per round: accepted + 1."""
        return self.accepted + 1.0


@dataclass(frozen=True)
class RoundState:
    """What is known before a tree is drafted: all that a policy may look at, none of it copied.

    ``root_logprobs_D``: the head's log-probabilities of the token after the root. ``root_state_H``: the head's own state.
    ``target_logits_V``: the row from which the root was chosen. ``context_tokens`` counts committed ones, root excluded;
    they are the first of ``committed`` (one list per generation, which grows). ``fused_H``: the target's features of the
    last of them: three taps side by side for an EAGLE-3 head, the final normed state for EAGLE-1.
    """

    context_tokens: int
    new_tokens: int
    rounds: list[Round]
    root: int
    root_logprobs_D: Tensor
    root_state_H: Tensor
    fused_H: Tensor
    target_logits_V: Tensor
    committed: Sequence[int] = ()


Controller = Callable[[RoundState], TreeShape | Plan | None]
"""Chooses the next tree before drafting: a shape, a plan that decides on the way, or None to decode one token plainly."""
