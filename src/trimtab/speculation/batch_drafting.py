"""How are trees drafted at many positions of one text at once? One forward per level for all of them.

What ``TreeDrafter.pool`` does at one position, for B positions side by side: all look back on the same committed keys and
values (each on those before its own position), and each beam on its own branch. On a text of a hundred tokens this makes
a replay table several times faster than drafting position after position; the numbers are the same up to rounding.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from trimtab.speculation.engine.drafter import TreeDrafter

Ints = NDArray[np.int64]
_IMPOSSIBLE = -1


@dataclass
class Pools:
    """The candidates of B draftings with one beam width, as they grow level by level (see ``tree.Pool``).

    ``scores_BC``, ``tokens_BC``: C = k + d * k * k after d levels; ``frontiers_dBk``: the beam expanded at each level.
    """

    top_k: int
    scores_BC: NDArray[np.float32]
    tokens_BC: Ints
    frontiers_dBk: list[Ints] = field(default_factory=list[Ints])

    @property
    def depth(self) -> int:
        """Levels expanded so far."""
        return len(self.frontiers_dBk)

    def size(self, depth: int) -> int:
        """Candidates after ``depth`` levels."""
        return self.top_k + depth * self.top_k**2

    def beam_scores_Bk(self) -> NDArray[np.float32]:
        """Cumulative log-probabilities of the beam that the next level would expand, best first."""
        start = 0 if self.depth == 0 else self.size(self.depth - 1)
        return -np.sort(-self.scores_BC[:, start:], axis=1)[:, : self.top_k]


@dataclass
class _Beams:
    """B beams of k: states [B, k, H], tokens and scores [B, k], and who descends from whom [B, k, R]."""

    states: Tensor
    tokens: Tensor
    scores: Tensor
    allowed: Tensor


class BatchDrafter:
    """Drafts at many positions of the text that ``drafter`` has committed. Its cache stays as it is.

    ``temperature`` divides the head's logits (1: as published).
    """

    def __init__(self, drafter: TreeDrafter, temperature: float = 1.0) -> None:
        self._drafter = drafter
        self._temperature = temperature

    def _logprobs(self, states: Tensor) -> Tensor:
        return (self._drafter.head.logits(states).float() / self._temperature).log_softmax(dim=-1)

    @torch.inference_mode()
    def grow(self, states_BH: Tensor, committed_B: Ints, depth: int, top_k: int) -> Iterator[Pools]:
        """Pools after 0, 1, ... ``depth`` levels (the same object, grown).

        ``states_BH``: the head's state from which the token after each root is expected; ``committed_B``: positions
        committed before each root. Raises ValueError for a beam wider than the draft vocabulary.
        """
        drafter = self._drafter
        if top_k > drafter.config.draft_vocab_size:
            raise ValueError(f"top_k {top_k} exceeds the head's draft vocabulary of {drafter.config.draft_vocab_size}")
        beams, pools = self._first(states_BH, top_k)
        yield pools
        if not depth:
            return
        rows, config = depth * top_k, drafter.config
        keys = states_BH.new_empty((2, config.key_value_heads, len(states_BH), rows, config.head_dim))
        committed = torch.from_numpy(committed_B).to(states_BH.device)
        slots = np.tile(np.arange(top_k), (len(committed_B), 1))
        for level in range(depth):
            pools.frontiers_dBk.append(slots)
            states = self._forward(beams, keys, committed, level)
            logprobs = self._logprobs(states)
            best, drafted = logprobs.topk(top_k)
            scores = (best + beams.scores[..., None]).flatten(1)
            tokens = drafter.head.target_ids[drafted].flatten(1)
            pools.scores_BC = np.concatenate((pools.scores_BC, scores.cpu().numpy()), axis=1)
            pools.tokens_BC = np.concatenate((pools.tokens_BC, tokens.cpu().numpy()), axis=1)
            beams, chosen = _next(beams, states, scores, tokens, top_k)
            slots = pools.size(level) + chosen.cpu().numpy()
            yield pools

    def pools(self, states_BH: Tensor, committed_B: Ints, depth: int, top_k: int) -> Pools:
        """The pools after all ``depth`` levels."""
        *_, grown = self.grow(states_BH, committed_B, depth, top_k)
        return grown

    def _first(self, states_BH: Tensor, top_k: int) -> tuple[_Beams, Pools]:
        scores, drafted = self._logprobs(states_BH).topk(top_k)
        tokens = self._drafter.head.target_ids[drafted]
        allowed = torch.eye(top_k, dtype=torch.bool, device=scores.device).expand(len(scores), -1, -1)
        states = states_BH[:, None].expand(-1, top_k, -1)
        return _Beams(states, tokens, scores, allowed), Pools(top_k, scores.cpu().numpy(), tokens.cpu().numpy())

    def _forward(self, beams: _Beams, keys: Tensor, committed_B: Tensor, level: int) -> Tensor:
        """The head's layer over all beams: states [B, k, H]. ``keys``: the branches' own keys and values, filled here."""
        drafter = self._drafter
        width = beams.tokens.shape[1]

        def attend(queries: Tensor, new_keys: Tensor, values: Tensor) -> Tensor:
            where = committed_B + level
            cos, sin = drafter.rotation(where)
            rotated = [_rotate(part, cos[:, None], sin[:, None]) for part in (queries, new_keys)]
            stop = (level + 1) * width
            keys[0, :, :, stop - width : stop] = rotated[1].permute(2, 0, 1, 3)
            keys[1, :, :, stop - width : stop] = values.permute(2, 0, 1, 3)
            return self._attend(rotated[0], keys[:, :, :, :stop], beams.allowed, committed_B)

        return drafter.head.layer(beams.tokens, beams.states, attend)

    def _attend(self, queries: Tensor, branch: Tensor, allowed: Tensor, committed_B: Tensor) -> Tensor:
        """Queries [B, k, heads, d] over the committed rows before each position and the own branch: [B, k, heads * d]."""
        config = self._drafter.config
        batch, width, heads, size = queries.shape
        length = int(committed_B.max())
        groups = heads // config.key_value_heads
        split = queries.view(batch, width, config.key_value_heads, groups, size).permute(2, 0, 1, 3, 4)
        flat = split.reshape(config.key_value_heads, -1, size)
        prefix_keys, prefix_values = (part[0, :, :length] for part in self._drafter.committed)
        known = (flat @ prefix_keys.transpose(1, 2)).view(config.key_value_heads, batch, width * groups, length)
        ahead = torch.arange(length, device=queries.device)[None] >= committed_B[:, None]
        known = known.masked_fill(ahead[None, :, None], float("-inf"))
        own_queries = split.reshape(config.key_value_heads, batch, width * groups, size)
        own = own_queries @ branch[0].transpose(2, 3)
        mask = allowed[:, :, None].expand(-1, -1, groups, -1).reshape(batch, width * groups, -1)
        own = own.masked_fill(~mask[None], float("-inf"))
        weights = (torch.cat((known, own), dim=-1).float() * size**-0.5).softmax(dim=-1).to(queries.dtype)
        from_known = weights[..., :length].reshape(config.key_value_heads, -1, length) @ prefix_values
        mixed = from_known.view(own_queries.shape) + weights[..., length:] @ branch[1]
        mixed = mixed.view(config.key_value_heads, batch, width, groups, size)
        return mixed.permute(1, 2, 0, 3, 4).reshape(batch, width, heads * size)


def _rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    half = x.shape[-1] // 2
    return x * cos + torch.cat((-x[..., half:], x[..., :half]), dim=-1) * sin


def _next(beams: _Beams, states: Tensor, scores: Tensor, tokens: Tensor, top_k: int) -> tuple[_Beams, Tensor]:
    best_scores, best = scores.topk(top_k, dim=1)
    parents = best // top_k
    inherited = beams.allowed.gather(1, parents[..., None].expand(-1, -1, beams.allowed.shape[-1]))
    eye = torch.eye(top_k, dtype=torch.bool, device=scores.device).expand(len(scores), -1, -1)
    chosen_states = states.gather(1, parents[..., None].expand(-1, -1, states.shape[-1]))
    return _Beams(chosen_states, tokens.gather(1, best), best_scores, torch.cat((inherited, eye), dim=2)), best


def true_paths(pools: Pools, truth_BL: Ints) -> Ints:
    """Pool indices [B, depth + 1] of the candidates that continue each root as ``truth_BL`` does; -1 where none does.

    ``truth_BL``: the tokens after each root, at least depth + 1 of them.
    """
    batch, top_k = len(truth_BL), pools.top_k
    path = np.full((batch, pools.depth + 1), _IMPOSSIBLE, dtype=np.int64)
    first_child = np.zeros(batch, dtype=np.int64)
    alive = np.ones(batch, dtype=bool)
    rows = np.arange(batch)
    for level in range(pools.depth + 1):
        children = first_child[:, None] + np.arange(top_k)
        hits = pools.tokens_BC[rows[:, None], children] == truth_BL[:, level, None]
        alive &= hits.any(axis=1)
        path[alive, level] = (first_child + hits.argmax(axis=1))[alive]
        if level == pools.depth:
            break
        slots = pools.frontiers_dBk[level] == path[:, level, None]
        alive &= slots.any(axis=1)
        first_child = np.where(alive, pools.size(level) + slots.argmax(axis=1) * top_k, 0)
    return path


def needed_totals(pools: Pools, truth_BL: Ints) -> NDArray[np.int16]:
    """The smallest total_tokens [B, d + 1, d + 1] (by depth 0 to d of the drafting, and tokens accepted less 1) with which
    a tree accepts so many tokens of ``truth_BL``; 32767 where none does.

    A tree is the top of its pool, of equal scores the earlier candidate first (``tree.best``); hence the node's rank in
    the pool as it was after that many levels, and 2 (the root, and the node itself).
    """
    path_BL = true_paths(pools, truth_BL)
    depths, never = pools.depth + 1, np.int16(np.iinfo(np.int16).max)
    index_BL1 = np.maximum(path_BL, 0)[..., None]
    own = np.take_along_axis(pools.scores_BC, index_BL1[..., 0], axis=1)[..., None]
    scores = pools.scores_BC[:, None]
    before = (scores > own) | ((scores == own) & (np.arange(scores.shape[-1]) < index_BL1))
    ranks = np.cumsum(before, axis=-1)[..., [pools.size(depth) - 1 for depth in range(depths)]]
    exists = (path_BL[..., None] >= 0) & (path_BL[..., None] < np.array([pools.size(d) for d in range(depths)]))
    return np.where(exists, ranks + 2, never).astype(np.int16).transpose(0, 2, 1)
