"""Which of many actions and budgets keep the same tokens? Their distinct kept sets, so that each is computed once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch import Tensor

from trimtab.compression.engine.choose import newest_scores, prepared
from trimtab.compression.engine.layers import split
from trimtab.compression.engine.method import Method
from trimtab.compression.engine.prefill import Prefilled
from trimtab.compression.engine.weights import Newest


@dataclass(frozen=True, eq=False)
class KeptSets:
    """S distinct kept sets: ``kept_LSGN`` booleans per layer; ``of_row`` [A * B] the set of each action and budget
    (actions outermost); ``full`` the number of the set that keeps all."""

    kept_LSGN: list[Tensor] = field(repr=False)
    of_row: np.ndarray
    full: int

    @property
    def count(self) -> int:
        return int(self.kept_LSGN[0].shape[0])

    def masks(self, chosen: Sequence[int]) -> list[Tensor]:
        """What the chosen sets keep, [S', G, N] per layer."""
        rows = torch.tensor(chosen, device=self.kept_LSGN[0].device)
        return [kept_SGN[rows] for kept_SGN in self.kept_LSGN]


def distinct_sets(read: Prefilled, methods: Sequence[Method], budgets: Sequence[int]) -> KeptSets:
    """The distinct sets that ``methods`` keep at ``budgets``, and the full one. Raises ValueError as ``Method.check``."""
    for budget in budgets:
        if budget < read.tokens:
            for method in dict.fromkeys(methods):
                method.check(budget)
    layers = [_kept(read, layer, methods, budgets) for layer in range(len(read.keys))]
    rows = len(methods) * len(budgets)
    full_LGN = [torch.ones_like(kept_RGN[:1]) for kept_RGN in layers]
    packed = [torch.cat([kept, full]).flatten(1).cpu().numpy() for kept, full in zip(layers, full_LGN, strict=True)]
    bits_RX = np.packbits(np.concatenate(packed, axis=1), axis=1)
    _, first, of_row = np.unique(bits_RX.view(f"V{bits_RX.shape[1]}")[:, 0], return_index=True, return_inverse=True)
    # in the order of their first row, so that equal inputs give equal batches
    order = np.argsort(first, kind="stable")
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    of_row = rank[of_row.reshape(-1)]
    chosen = torch.from_numpy(first[order]).to(layers[0].device)
    kept_LSGN = [torch.cat([kept, full])[chosen] for kept, full in zip(layers, full_LGN, strict=True)]
    return KeptSets(kept_LSGN, of_row[:rows], int(of_row[rows]))


def _kept(read: Prefilled, layer: int, methods: Sequence[Method], budgets: Sequence[int]) -> Tensor:
    """Booleans [A * B, G, N] of a layer. Methods that differ in their weights only are chosen for together."""
    keys = read.keys[layer]
    shape = (len(methods), len(budgets), keys.shape[0], read.tokens)
    kept_ABGN = torch.ones(shape, dtype=torch.bool, device=keys.device)
    alike: dict[Method, list[int]] = {}
    for row, method in enumerate(methods):
        alike.setdefault(replace(method, weights=Newest()), []).append(row)
    for rows in alike.values():
        scores_RGN = torch.stack([_scores(read, layer, methods[row]) for row in rows])
        for place, budget in enumerate(budgets):
            if budget < read.tokens:
                kept_ABGN[rows, place] = _kept_by(read, layer, methods[rows[0]], budget, scores_RGN)
    return kept_ABGN.flatten(0, 1)


def _scores(read: Prefilled, layer: int, method: Method) -> Tensor:
    """A layer's scores [G, N] under a method's weights."""
    keys = read.keys[layer]
    if isinstance(method.weights, Newest):
        return newest_scores(1, keys.shape[0], read.tokens, keys.device)[0]
    return read.scores_LCGN[layer][read.scores[method.weights]]


def _kept_by(read: Prefilled, layer: int, method: Method, budget: int, scores_RGN: Tensor) -> Tensor:
    """What ``method`` keeps [R, G, N] under R scores."""
    recent = method.recent_tokens(budget)
    protected = method.sinks + recent
    tokens = split(method.layers, budget, len(read.keys), protected=protected, available=read.tokens)[layer]
    ready_RGN = prepared(scores_RGN, method, recent)
    best = ready_RGN.topk(tokens, dim=-1, sorted=False).indices
    return torch.zeros_like(ready_RGN, dtype=torch.bool).scatter_(-1, best, True)
