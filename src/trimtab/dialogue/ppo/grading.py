"""What is each reply worth, part by part, and where along its tokens is the reward paid?

A grader judges the replies of an update together (diversity is a property of many). What it gives must add up: the value
of a reply is the sum of its parts times the weights. What a gate or a limit takes from that sum is a part of its own,
``gates``, and a reply that was cut before it ended pays through the part ``unfinished``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from trimtab.maths.tokens import at_last_token
from trimtab.plain import Plain

UNFINISHED = "unfinished"


@dataclass(frozen=True)
class Written:
    """A reply as the policy wrote it: to which prompt, which tokens, and whether it came to an end by itself."""

    prompt: int
    """Index among the grader's prompts."""
    ids: list[int]
    ended: bool


@dataclass(frozen=True)
class Graded:
    """Raw parts ``raw_BP`` of each reply, with the names and weights of the parts. ``texts``: the replies, to be shown."""

    parts: tuple[str, ...]
    raw_BP: np.ndarray
    weights_P: np.ndarray
    texts: list[str] = field(default_factory=list[str])

    @property
    def values_B(self) -> np.ndarray:
        """Sum of parts times weights."""
        return self.raw_BP @ self.weights_P


class Grader(Protocol):
    """Knows the prompts and judges replies to them."""

    @property
    def parts(self) -> tuple[str, ...]:
        """Names of the parts, in the order of ``Graded.raw_BP``."""
        ...

    @property
    def prompts(self) -> Sequence[list[int]]:
        """Token ids of each prompt."""
        ...

    def grade(self, replies: Sequence[Written], progress: float, /) -> Graded:
        """Judge replies; ``progress`` from 0 to 1 is how much of the training is over (schedules depend on it)."""
        ...

    def describe(self, reply: Written, /) -> str:
        """Prompt and reply as text, for messages."""
        ...

    def state(self) -> dict[str, Plain]:
        """What later grades depend on, as plain data: windows, running means."""
        ...

    def restore(self, state: dict[str, Plain], /) -> None:
        """Go on from ``state``."""
        ...


def with_unfinished(graded: Graded, replies: Sequence[Written], penalty: float) -> Graded:
    """The grades, and the part ``unfinished``: -1 for a reply that was cut, times the penalty."""
    cut_B1 = np.array([[0.0 if reply.ended else -1.0] for reply in replies])
    return Graded(
        (*graded.parts, UNFINISHED),
        np.concatenate((graded.raw_BP, cut_B1), axis=1),
        np.append(graded.weights_P, penalty),
        graded.texts,
    )


def check_grades(graded: Graded, replies: Sequence[Written], grader: Grader) -> None:
    """Raises ValueError, with the sample, for a reward that is no finite number."""
    if graded.raw_BP.shape != (len(replies), len(graded.parts)):
        raise ValueError(
            f"grades of shape {graded.raw_BP.shape} for {len(replies)} replies and the parts {graded.parts}: expected a "
            "number for each"
        )
    for row, column in np.argwhere(~np.isfinite(graded.raw_BP)):
        raise ValueError(
            f"the reward {graded.parts[column]!r} of a reply is {graded.raw_BP[row, column]}: expected a finite number. "
            f"Training stops here. The sample: {grader.describe(replies[row])}"
        )


def token_rewards(raw_BP: np.ndarray, log_ratio_BT: np.ndarray, mask_BT: np.ndarray) -> np.ndarray:
    """Rewards [B, T, P + 1]: the parts at each reply's last token, and ``-log_ratio`` at every token as the last part."""
    paid_BTP: Any = at_last_token(raw_BP, mask_BT)
    cost_BT1 = np.where(mask_BT, -log_ratio_BT, 0.0)[:, :, None]
    return np.concatenate((paid_BTP, cost_BT1), axis=2)
