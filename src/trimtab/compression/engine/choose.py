"""Which tokens stay, given their scores? Sinks, recent tokens, and the best of the rest, in their order."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from trimtab.compression.engine.method import Method, Pool


def pooled(scores_BGN: Tensor, pool: Pool) -> Tensor:
    """Scores smoothed along the tokens; nothing lies beyond the ends (average: zeros do, as in SnapKV's code)."""
    flat = scores_BGN.flatten(0, 1)
    if pool.kind == "max":
        flat = functional.max_pool1d(flat, pool.kernel, stride=1, padding=pool.kernel // 2)
    else:
        flat = functional.avg_pool1d(flat, pool.kernel, stride=1, padding=pool.kernel // 2)
    return flat.view_as(scores_BGN)


def prepared(scores_BGN: Tensor, method: Method, recent: int, valid_BN: Tensor | None = None) -> Tensor:
    """Scores in which protected tokens are +inf and padding -inf: the largest are what stays."""
    scores = scores_BGN.clone()
    total = scores.shape[-1]
    if method.share_heads:
        scores[:] = scores.mean(1, keepdim=True)
    if method.pool is not None and total > recent:
        scores[..., : total - recent] = pooled(scores[..., : total - recent], method.pool)
    if recent:
        scores[..., total - recent :] = torch.inf
    if valid_BN is None:
        scores[..., : method.sinks] = torch.inf
        return scores
    sinks_BN = valid_BN & (valid_BN.cumsum(-1) <= method.sinks)
    scores.masked_fill_(sinks_BN[:, None], torch.inf)
    return scores.masked_fill_(~valid_BN[:, None], -torch.inf)


def choose(
    scores_BGN: Tensor, method: Method, budget_tokens: int, *, recent: int, valid_BN: Tensor | None = None
) -> Tensor:
    """Indices [B, G, budget_tokens] of the tokens that stay, ascending.

    A row with fewer tokens than the budget keeps all of them, and padding before them.
    """
    ready = prepared(scores_BGN, method, recent, valid_BN)
    return ready.topk(budget_tokens, dim=-1, sorted=False).indices.sort(-1).values


def newest_scores(batch: int, groups: int, total: int, device: torch.device) -> Tensor:
    """Scores [B, G, N] by which the newest tokens stay."""
    return torch.arange(total, dtype=torch.float32, device=device).expand(batch, groups, total)
