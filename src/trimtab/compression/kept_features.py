"""What would each action keep of what will be needed? Numbers of every action, before any of them is taken.

A policy that only sees the prompt must learn for each action apart when it is right. What an action keeps is known, though,
as soon as the prompt is read, and means the same for all actions; so one regression serves all (``regression.Shared``):

- how much of the attention of the last 1, 16 and 64 queries goes to tokens that the action keeps, by depth of the layer
- of the tokens that the last 1 and 16 queries look at, whether what followed their *earlier occurrences* is kept. A model
  looks things up by such repetitions (induction; arXiv:2209.11895): a key in the question, its value after the same key.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from trimtab.compression.actions import Action
from trimtab.compression.engine.kept_sets import KeptSets, distinct_sets
from trimtab.compression.engine.method import Method
from trimtab.compression.engine.prefill import Prefilled
from trimtab.compression.engine.weights import Weights
from trimtab.compression.features import SINKS, looks
from trimtab.compression.prompts import Prompt

DEPTHS = 4
"""Layers are taken together in so many groups, from the first to the last."""
TOP = 24
"""Looked-at tokens whose earlier occurrences are sought."""
ASKING = 2
"""Of the looks, the first so many say what is asked for."""


@dataclass(frozen=True)
class KeptFeatures:
    """The extra features of ``actions`` at ``budgets``, for ``features.PromptFeatures``."""

    actions: tuple[Action, ...]
    budgets: tuple[int, ...]

    @property
    def weights(self) -> tuple[Weights, ...]:
        """The curves that must be scored for them."""
        return tuple(dict.fromkeys(action.method.weights for action in self.actions))

    @property
    def name(self) -> str:
        """Tells these settings from others."""
        told = repr([(action.name, action.method) for action in self.actions])
        return f"kept{','.join(map(str, self.budgets))}-{hashlib.sha256(told.encode()).hexdigest()[:12]}"

    def __call__(self, read: Prefilled, prompt: Prompt) -> dict[str, np.ndarray]:
        """Named vectors of a prompt that was read."""
        return kept_features(read, [action.method for action in self.actions], self.budgets)


def name_of(budget: int) -> str:
    """The feature's name at a budget."""
    return f"kept@{budget}"


def depth_groups(layers: int) -> list[list[int]]:
    """Layer numbers in at most ``DEPTHS`` groups of nearly the same size."""
    return [part.tolist() for part in np.array_split(np.arange(layers), min(DEPTHS, layers))]


def kept_features(read: Prefilled, methods: Sequence[Method], budgets: Sequence[int]) -> dict[str, np.ndarray]:
    """For each budget a vector [actions * K], the actions one after the other. The looks must have been scored."""
    sets = distinct_sets(read, methods, budgets)
    looked = [torch.stack([_asked(scores) for scores in layers]) for layers in looks(read)]
    rows_SK = np.concatenate((retained(looked, sets), followed(looked, sets, read.token_ids)), axis=1)
    rows_ABK = rows_SK[sets.of_row].reshape(len(methods), len(budgets), -1).astype(np.float32)
    return {name_of(budget): rows_ABK[:, place].reshape(-1) for place, budget in enumerate(budgets)}


def _asked(scores_GN: torch.Tensor) -> torch.Tensor:
    """Shares [G, N] of a look's attention, without the first tokens, which get it for nothing."""
    scores = scores_GN.clone()
    scores[:, :SINKS] = 0
    return scores / scores.sum(1, keepdim=True).clamp_min(1e-12)


def retained(looked: Sequence[torch.Tensor], sets: KeptSets) -> np.ndarray:
    """Of each look (shares [L, G, N]) what each set keeps, mean over heads and groups of layers [S, looks * groups]."""
    columns: list[torch.Tensor] = []
    for shares_LGN in looked:
        for group in depth_groups(len(shares_LGN)):
            kept = [(sets.kept_LSGN[layer].cpu() * shares_LGN[layer]).sum(-1).mean(-1) for layer in group]
            columns.append(torch.stack(kept).mean(0))
    return torch.stack(columns, dim=1).numpy()


def _held(sets: KeptSets) -> np.ndarray:
    """The share of heads that keep each token in each set [S, N], layers counting by the tokens that they keep."""
    total, weights = None, None
    for kept_SGN in sets.kept_LSGN:
        mean_SN = kept_SGN.float().mean(1).cpu()
        rows_S1 = mean_SN.sum(1, keepdim=True)
        total = rows_S1 * mean_SN if total is None else total + rows_S1 * mean_SN
        weights = rows_S1 if weights is None else weights + rows_S1
    assert total is not None
    assert weights is not None
    return (total / weights.clamp_min(1e-12)).numpy()


def earlier_occurrences(token_ids: Sequence[int]) -> list[list[int]]:
    """Where each token was said before."""
    seen: dict[int, list[int]] = {}
    earlier: list[list[int]] = []
    for place, token in enumerate(token_ids):
        earlier.append(list(seen.get(token, ())))
        seen.setdefault(token, []).append(place)
    return earlier


def followed(looked: Sequence[torch.Tensor], sets: KeptSets, token_ids: Sequence[int]) -> np.ndarray:
    """Whether sets keep what followed earlier occurrences of looked-at tokens: best and mean of the occurrences, for the
    asking looks and each group of layers [S, looks * groups * 2]. Rare tokens count for more."""
    held_SN = _held(sets)
    after_SN = np.concatenate((held_SN[:, 1:], np.zeros((len(held_SN), 1), held_SN.dtype)), axis=1)
    earlier = earlier_occurrences(token_ids)
    rarity_N = 1 / np.sqrt(np.array([1 + len(places) for places in earlier]))
    known: dict[int, np.ndarray] = {}
    columns: list[np.ndarray] = []
    for shares_LGN in looked[:ASKING]:
        for group in depth_groups(len(shares_LGN)):
            weight_N = shares_LGN[group].mean((0, 1)).numpy() * rarity_N
            weight_N[-1] = 0  # the last token stays in any case, and asks for what is predicted already
            columns.append(_covered(weight_N, after_SN, earlier, known))
    return np.concatenate(columns, axis=1)


def _covered(
    weight_N: np.ndarray, after_SN: np.ndarray, earlier: list[list[int]], known: dict[int, np.ndarray]
) -> np.ndarray:
    """Best and mean share kept of what followed, weighted over the most looked-at tokens [S, 2]."""
    top = [int(place) for place in np.argsort(-weight_N)[:TOP] if earlier[place]]
    total = np.zeros((len(after_SN), 2), np.float32)
    weights = weight_N[top] / max(float(weight_N[top].sum()), 1e-12)
    for place, weight in zip(top, weights.tolist(), strict=True):
        if place not in known:
            values_SO = after_SN[:, earlier[place]]
            known[place] = np.stack([values_SO.max(axis=1), values_SO.mean(axis=1)], axis=1)
        total += weight * known[place]
    return total
