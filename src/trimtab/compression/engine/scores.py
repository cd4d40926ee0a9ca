"""Which keys were looked at? Weighted sums of attention, recomputed in blocks for the queries that count.

No N x N matrix is ever held: a block of queries at a time, and only those that weigh anything.
"""

from __future__ import annotations

import torch
from torch import Tensor

BLOCK = 128
"""Queries at a time, at most."""
BLOCK_NUMBERS = 2**21
"""Attention weights at a time (8 MiB in float32), where that is fewer than ``BLOCK`` queries."""


def _block(batch: int, heads: int, keys: int) -> int:
    return max(4, min(BLOCK, BLOCK_NUMBERS // (batch * heads * keys)))


@torch.no_grad()
def attention_sums(
    queries_BHQD: Tensor,
    keys_BGND: Tensor,
    weights_CGQ: Tensor,
    *,
    scaling: float,
    valid_BN: Tensor | None = None,
) -> Tensor:
    """For C weightings, sum_q w[q] P[h, q, k] over the heads of each of G KV heads: [C, B, G, N] in float32.

    ``queries_BHQD``: the last Q of N queries, rotated; ``keys_BGND``: all keys, rotated. ``weights_CGQ``: G may be 1.
    ``valid_BN``: False for padding, which neither looks nor is looked at.
    """
    batch, heads, count, width = queries_BHQD.shape
    groups, total = keys_BGND.shape[1:3]
    weights_GCQ = weights_CGQ.to(queries_BHQD.device).transpose(0, 1)
    grouped = queries_BHQD.reshape(batch, groups, heads // groups, count, width)
    sums_BGCN = torch.zeros(batch, groups, weights_CGQ.shape[0], total, device=queries_BHQD.device)
    size = _block(batch, heads, total)
    for start in range(0, count, size):
        stop = min(start + size, count)
        seen = total - count + stop
        looks_BGQN = _attention(grouped[:, :, :, start:stop], keys_BGND[:, :, :seen], scaling, valid_BN)
        sums_BGCN[..., :seen] += weights_GCQ[..., start:stop] @ looks_BGQN
    return sums_BGCN.permute(2, 0, 1, 3)


def _attention(queries_BGRQD: Tensor, keys_BGND: Tensor, scaling: float, valid_BN: Tensor | None) -> Tensor:
    """Attention [B, G, Q, N] of the last Q of N positions, summed over the R heads of each group."""
    batch, groups, repeats, count, width = queries_BGRQD.shape
    total = keys_BGND.shape[2]
    rows = queries_BGRQD.reshape(batch, groups, repeats * count, width)
    logits = (rows @ keys_BGND.transpose(-1, -2)).float().mul_(scaling)
    logits = logits.view(batch, groups, repeats, count, total)
    future = torch.ones(count, count, dtype=torch.bool, device=rows.device).triu_(1)
    logits[..., total - count :].masked_fill_(future, -torch.inf)
    if valid_BN is None:
        return logits.softmax(-1).sum(2)
    valid_BN = valid_BN[:, :total]
    # the smallest number, not -inf: a padding query sees nothing, and must not become NaN
    logits.masked_fill_(~valid_BN[:, None, None, None], torch.finfo(torch.float32).min)
    return logits.softmax(-1).sum(2) * valid_BN[:, None, total - count :, None]
