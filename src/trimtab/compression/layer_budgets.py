"""How much of the budget does each layer need? Learned: from where attention is spread, then from the answers' fidelity.

Some layers look up what the answer needs, others look at little but the last tokens. ``by_attention`` deals the budget as
if all layers' tokens stood in one queue, by their share of attention (in the spirit of DynamicKV, arXiv:2412.14838);
``by_fidelity`` climbs: from the best of that, of even shares and of shares that favour one depth, it multiplies one layer's
share at a time, keeps what makes the compressed answers nearer to the full cache's, and takes smaller steps when nothing
does. Prompts that are judged later must not be given.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from transformers import PreTrainedModel

from trimtab.compression.actions import Action
from trimtab.compression.engine.layers import Shares
from trimtab.compression.engine.method import Method, Pool
from trimtab.compression.engine.prefill import prefill
from trimtab.compression.engine.weights import Curve, Newest
from trimtab.compression.prompts import Prompt
from trimtab.compression.scoring import ScoreSettings, score
from trimtab.console import progress_bar

BASES: tuple[Method, ...] = tuple(Method(Curve(10.0, b), 1, 2, Pool(7)) for b in (16, 64))
"""Whose answers are judged: a short window and a long one."""
LEAST = 0.02
"""No layer's share of the mean falls below this."""


@dataclass(frozen=True)
class Climb:
    """``steps``: factors by which one share is multiplied or divided, from coarse to fine; ``rounds``: at most so many."""

    steps: tuple[float, ...] = (3.0, 1.7)
    rounds: int = 8

    def __post_init__(self) -> None:
        if self.rounds < 1 or not self.steps or min(self.steps) <= 1:
            raise ValueError(f"{self}: expected factors above 1, and a round at least")


def rounded(values: Sequence[float]) -> Shares:
    """Shares of mean 1, to three digits: a name holds them exactly. None below ``LEAST``."""
    mean = sum(values) / len(values)
    return Shares(tuple(float(f"{max(LEAST, value / mean):.3g}") for value in values))


@torch.no_grad()
def by_attention(model: PreTrainedModel, prompts: Sequence[Prompt], budget: int, method: Method = BASES[0]) -> Shares:
    """Shares by which all layers' tokens, in one queue by their share of attention, would fill the budget.

    Mean over ``prompts``. Raises ValueError for no prompts, or a method that looks at no attention.
    """
    if not prompts or isinstance(method.weights, Newest):
        raise ValueError(
            f"{len(prompts)} prompts, weights {method.weights}: expected a prompt, and weights of attention"
        )
    counts = [_queue(model, prompt, budget, method) for prompt in prompts]
    return rounded(np.mean(counts, axis=0).tolist())


def _queue(model: PreTrainedModel, prompt: Prompt, budget: int, method: Method) -> np.ndarray:
    """Tokens of each layer among the best of all layers [L], of which there are ``budget`` per layer and KV head."""
    read = prefill(model, prompt.token_ids, [method.weights])
    middle = slice(method.sinks, max(method.sinks + 1, read.tokens - method.recent_tokens(budget)))
    shares = [scores_CGN[0][:, middle].float() for scores_CGN in read.scores_LCGN]
    whole_LX = torch.stack([(scores / scores.sum()).flatten() for scores in shares])
    best = whole_LX.flatten().topk(min(whole_LX.numel(), budget * whole_LX.shape[0] * shares[0].shape[0])).indices
    return torch.bincount(best // whole_LX.shape[1], minlength=whole_LX.shape[0]).double().cpu().numpy()


def by_fidelity(
    model: PreTrainedModel,
    prompts: Sequence[Prompt],
    budget: int,
    *,
    start: Shares | None = None,
    bases: Sequence[Method] = BASES,
    settings: ScoreSettings | None = None,
    climb: Climb | None = None,
) -> Shares:
    """The shares that a climb from ``start`` (None: the best of ``starts``) ends at, by mean fidelity over ``prompts``.

    Raises ValueError for no prompts.
    """
    if not prompts:
        raise ValueError("no prompts to learn the layers' budgets from: expected one at least")
    settings, climb = settings or ScoreSettings(scored_tokens=4), climb or Climb()
    first = [start] if start else starts(by_attention(model, prompts[: max(1, len(prompts) // 4)], budget))
    judged = dict(zip(first, _fidelity(model, prompts, budget, first, bases, settings), strict=True))
    best = max(judged, key=lambda shares: judged[shares])
    steps = list(climb.steps)
    with progress_bar("learning the layers' budgets") as at:
        for turn in range(climb.rounds):
            fresh = [shares for shares in _neighbours(best, steps[0]) if shares not in judged]
            judged.update(zip(fresh, _fidelity(model, prompts, budget, fresh, bases, settings), strict=True))
            at((turn + 1) / climb.rounds)
            found = max(judged, key=lambda shares: judged[shares])
            steps = steps if judged[found] > judged[best] else steps[1:]
            best = found
            if not steps:
                break
    return best


def starts(attention: Shares) -> list[Shares]:
    """Where a climb may begin: even shares, attention's, and ten times as much in each quarter of the depth."""
    layers = len(attention.values)
    depths = [set(part.tolist()) for part in np.array_split(np.arange(layers), min(4, layers))]
    favoured = [rounded([10.0 if layer in depth else 1.0 for layer in range(layers)]) for depth in depths]
    return list(dict.fromkeys((rounded([1.0] * layers), attention, *favoured)))


def _neighbours(shares: Shares, factor: float) -> list[Shares]:
    """One layer's share multiplied or divided by ``factor``, each in turn, without repetitions."""
    made: dict[Shares, None] = {}
    for layer in range(len(shares.values)):
        for change in (factor, 1 / factor):
            values = [value * (change if at == layer else 1) for at, value in enumerate(shares.values)]
            made[rounded(values)] = None
    return list(made)


def _fidelity(
    model: PreTrainedModel,
    prompts: Sequence[Prompt],
    budget: int,
    candidates: Sequence[Shares],
    bases: Sequence[Method],
    settings: ScoreSettings,
) -> list[float]:
    """Mean fidelity of each candidate over prompts and bases."""
    if not candidates:
        return []
    methods = [replace(base, layers=shares) for shares in candidates for base in bases]
    actions = [Action(str(row), method) for row, method in enumerate(methods)]
    totals = np.zeros(len(candidates))
    for prompt in prompts:
        values = score(model, prompt, actions, [budget], settings).parts["fidelity"][:, 0]
        totals += values.reshape(len(candidates), len(bases)).mean(axis=1)
    return [float(total) / len(prompts) for total in totals]
