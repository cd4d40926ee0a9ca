"""Is the text the same, and where it is not, was it a tie? Comparison of decodes token by token.

In float32 drafting changes nothing. In bfloat16 a verification over many tokens rounds otherwise than one over a single
token, so that two nearly equal logits may change places. Such a first divergence is a tie when the two tokens' logits
after the common text, computed in one plain forward, differ by less than a stated epsilon.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from transformers import PreTrainedModel

BF16_EPSILON = 0.25
"""Logits of magnitude 16 to 32 are 0.125 apart in bfloat16: a tie is a difference of at most two such steps."""


@dataclass(frozen=True)
class Fidelity:
    """``identical`` of ``texts`` texts agree; ``gaps``: at each other text's first divergence, the two logits' distance."""

    texts: int
    identical: int
    gaps: tuple[float, ...]

    @property
    def share(self) -> float:
        """The share of identical texts."""
        return self.identical / self.texts if self.texts else 1.0

    @property
    def widest(self) -> float:
        """The largest gap at a first divergence (0 where there is none)."""
        return max(self.gaps, default=0.0)


def divergence(one: Sequence[int], other: Sequence[int]) -> int | None:
    """Where two texts first differ (an end counts as a difference), or None."""
    if list(one) == list(other):
        return None
    for index, (a, b) in enumerate(zip(one, other, strict=False)):
        if a != b:
            return index
    return min(len(one), len(other))


@torch.inference_mode()
def gap(model: PreTrainedModel, ids: Sequence[int], one: Sequence[int], other: Sequence[int]) -> float:
    """The distance of the two logits where ``one`` and ``other``, both continuing ``ids``, first differ.

    Infinite where one text merely ends before the other.
    """
    index = divergence(one, other)
    assert index is not None
    if index >= min(len(one), len(other)):
        return float("inf")
    common = torch.tensor([[*ids, *one[:index]]], device=model.device)
    logits = model(common, logits_to_keep=1).logits[0, -1].float()
    return abs(float(logits[one[index]] - logits[other[index]]))


def compare(
    model: PreTrainedModel,
    prompts: Sequence[Sequence[int]],
    texts: Sequence[Sequence[int]],
    truth: Sequence[Sequence[int]],
) -> Fidelity:
    """How ``texts`` agree with ``truth``, both continuing ``prompts``; ``model`` judges the first divergences."""
    differing = [i for i, (a, b) in enumerate(zip(texts, truth, strict=True)) if divergence(a, b) is not None]
    gaps = tuple(gap(model, prompts[i], texts[i], truth[i]) for i in differing)
    return Fidelity(len(texts), len(texts) - len(differing), gaps)
