"""How does an EAGLE head draft a tree? One forward over what was committed, then one per level of the beam.

EAGLE-2 (arXiv:2406.16858), section 4, as the published code does it. Projections are fused and the cache is allocated
beforehand; nothing but the pool's scores leaves the device, once per round.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from trimtab.speculation.engine.head import EagleHead, rotary
from trimtab.speculation.engine.tree import Pool

_FIRST_CAPACITY = 1024


@dataclass
class _Beam:
    """The frontier: k states, their tokens, cumulative scores, and who descends from whom among all beams so far."""

    states_kH: Tensor
    tokens_k: Tensor
    scores_k: Tensor
    allowed_kR: Tensor


class Plan(Protocol):
    """Decides while a tree is drafted: after each level, whether to expand another; at the end, how much to keep."""

    @property
    def top_k(self) -> int:
        """The beam's width."""
        ...

    @property
    def depth(self) -> int:
        """At most so many levels."""
        ...

    @property
    def draft_temperature(self) -> float:
        """What the head's logits are divided by."""
        ...

    def expands(self, level: int, beam_scores_k: Tensor, /) -> bool:
        """Whether to expand the beam after ``level`` levels. ``beam_scores_k``: its cumulative log-probabilities, best
        first."""
        ...

    def total_tokens(self, pool: Pool, /) -> int:
        """The nodes to verify, the root included: 2 to the pool's size + 1."""
        ...


def _pooled(top_k: int, depth: int, scores: list[Tensor], tokens: list[Tensor], chosen: list[Tensor]) -> Pool:
    numbers = torch.cat((*tokens, *chosen)).cpu().numpy()  # one copy from the device
    size = top_k + depth * top_k**2
    offsets = top_k + np.arange(max(0, depth - 1))[:, None] * top_k**2
    frontiers = np.concatenate((np.arange(top_k)[None], numbers[size:].reshape(-1, top_k) + offsets))[:depth]
    return Pool(top_k, torch.cat(scores).cpu().numpy(), numbers[:size], frontiers)


class TreeDrafter:
    """Drafts trees with an EAGLE head. Holds the head's keys and values for ``length`` committed positions."""

    def __init__(self, head: EagleHead) -> None:
        self.head = head
        self.config = head.config
        self.length = 0
        self.forward_seconds = 0.0
        """Host seconds of the forwards (logits included) of the last ``pool``."""
        self.decision_seconds = 0.0
        """Host seconds that a plan took during the last ``pool``."""
        self._temperature = 1.0
        self._fuse_weights(head)
        self._groups = self.config.heads // self.config.key_value_heads
        weight = head.fc.weight
        shape = (2, 1, self.config.key_value_heads, 0, self.config.head_dim)
        self._block = torch.empty(shape, dtype=weight.dtype, device=weight.device)
        self._reserve(_FIRST_CAPACITY)
        self.root_state: Tensor | None = None
        self.root_logprobs: Tensor | None = None

    def _fuse_weights(self, head: EagleHead) -> None:
        """q, k, their rotated halves and v in one matrix; gate and up in another. The products are the same numbers."""
        attention, mlp, config = head.midlayer.self_attn, head.midlayer.mlp, head.config
        half = config.head_dim // 2

        def turned(weight: Tensor) -> Tensor:
            """Rows permuted so that the product is rotate_half of the original's, head by head."""
            split = weight.unflatten(0, (-1, config.head_dim))
            return torch.cat((-split[:, half:], split[:, :half]), dim=1).flatten(0, 1)

        pair = torch.cat((attention.q_proj.weight, attention.k_proj.weight))
        self._qkv = torch.cat((pair, turned(pair), attention.v_proj.weight))
        self._qkv_bias = None
        if config.qkv_bias:
            bias = torch.cat((attention.q_proj.bias, attention.k_proj.bias))
            self._qkv_bias = torch.cat((bias, turned(bias), attention.v_proj.bias))
        self._gate_up = torch.cat((mlp.gate_proj.weight, mlp.up_proj.weight))

    def _reserve(self, positions: int) -> None:
        capacity = self._block.shape[-2]
        if positions <= capacity:
            return
        capacity = max(positions, 2 * capacity)
        shape = (*self._block.shape[:-2], capacity, self._block.shape[-1])
        grown = self._block.new_empty(shape)
        grown[..., : self.length, :] = self._block[..., : self.length, :]
        self._block = grown
        cos, sin = rotary(self.config, capacity, grown.device)
        self._cos, self._sin = cos.to(grown.dtype)[:, None], sin.to(grown.dtype)[:, None]

    @property
    def committed(self) -> tuple[Tensor, Tensor]:
        """Keys and values [1, key_value_heads, length, head_dim] of the committed positions; views, not to be written."""
        return self._block[0, :, :, : self.length], self._block[1, :, :, : self.length]

    def rotation(self, positions: Tensor) -> tuple[Tensor, Tensor]:
        """Cosines and sines [*, 1, head_dim] at ``positions [*]``."""
        self._reserve(int(positions.max()) + 1)
        return self._cos[positions], self._sin[positions]

    def reset(self) -> None:
        """Forget all positions."""
        self.crop(0)

    def crop(self, positions: int) -> None:
        """Forget all but the first ``positions`` committed positions."""
        assert 0 <= positions <= self.length
        self.length = positions
        self.root_state = self.root_logprobs = None

    def _attend(self, inputs_TX: Tensor, start: int, position: int | None, mask_TS: Tensor | None) -> Tensor:
        """Write T rows at ``start`` and attend from them: causally (mask None), or as ``mask_TS`` over start + T rows.

        All rows share ``position``, or (None) follow one another from ``start``. Returns [T, heads * head_dim].
        """
        config, rows = self.config, inputs_TX.shape[0]
        projected = F.linear(inputs_TX, self._qkv, self._qkv_bias).view(rows, -1, config.head_dim)
        rotating = config.heads + config.key_value_heads
        where = slice(start, start + rows) if position is None else slice(position, position + 1)
        turned = torch.addcmul(
            projected[:, :rotating] * self._cos[where], projected[:, rotating : 2 * rotating], self._sin[where]
        )
        stop = start + rows
        keys, values = self._block[0], self._block[1]
        keys[0, :, start:stop] = turned[:, config.heads :].transpose(0, 1)
        values[0, :, start:stop] = projected[:, 2 * rotating :].transpose(0, 1)
        keys, values = keys[:, :, :stop], values[:, :, :stop]
        # query heads of one group share keys: they become further rows of it, instead of repeating the keys
        queries = turned[:, : config.heads].view(rows, config.key_value_heads, self._groups, config.head_dim)
        queries = queries.permute(1, 2, 0, 3).reshape(1, config.key_value_heads, -1, config.head_dim)
        if mask_TS is None:
            mask_TS = (
                torch.ones(rows, stop, dtype=torch.bool, device=inputs_TX.device).tril(start) if rows > 1 else None
            )
        if mask_TS is not None and self._groups > 1:
            mask_TS = mask_TS.repeat(self._groups, 1)
        attended = F.scaled_dot_product_attention(queries, keys, values, attn_mask=mask_TS)
        attended = attended.view(config.key_value_heads, self._groups, rows, config.head_dim)
        return attended.permute(2, 0, 1, 3).reshape(rows, -1)

    def _forward(
        self, tokens_T: Tensor, states_TH: Tensor, start: int, position: int | None, mask: Tensor | None
    ) -> Tensor:
        """The head's layer over T rows: the states [T, H] that follow."""
        head, layer, eps = self.head, self.head.midlayer, self.config.rms_norm_eps
        width = (self.config.hidden_size,)
        embedded = F.embedding(tokens_T, head.embedding_weight)
        if self.config.version == 3:
            normed = F.rms_norm(states_TH, width, layer.hidden_norm.weight, eps)
            residual = normed if self.config.norm_before_residual else states_TH
            embedded = F.rms_norm(embedded, width, layer.input_layernorm.weight, eps)
            inputs = torch.cat((embedded, normed), dim=-1)
        else:
            inputs = residual = head.fc(torch.cat((embedded, states_TH), dim=-1))
        attended = self._attend(inputs, start, position, mask)
        hidden = residual + F.linear(attended, layer.self_attn.o_proj.weight)
        normed = F.rms_norm(hidden, width, layer.post_attention_layernorm.weight, eps)
        gate, up = F.linear(normed, self._gate_up).chunk(2, dim=-1)
        return hidden + F.linear(F.silu(gate) * up, layer.mlp.down_proj.weight)

    def _logprobs(self, states_TH: Tensor, temperature: float = 1.0) -> Tensor:
        logits = self.head.logits(states_TH).float()
        return (logits if temperature == 1.0 else logits.div_(temperature)).log_softmax(dim=-1)

    def extend(self, tokens_T: Tensor, features_TF: Tensor) -> Tensor:
        """Commit T positions: the target's features, and for each the token that follows it (the last: the new root).

        Returns the states [T, H]. Afterwards ``root_logprobs [D]`` and ``root_state [1, H]`` tell what the head expects
        after the root.
        """
        rows = len(tokens_T)
        self._reserve(self.length + rows)
        states = self._forward(tokens_T, self.head.fuse(features_TF), self.length, None, None)
        self.length += rows
        self._look_after(states[-1:])
        return states

    def revisit(self, positions: int, state_H: Tensor) -> None:
        """Go back to the moment when ``positions`` were committed and ``state_H [H]`` was the last state (for replay).

        What was committed behind stays in memory but is overwritten by the next draft.
        """
        self.crop(positions)
        self._look_after(state_H[None])

    def _look_after(self, state_1H: Tensor) -> None:
        self.root_state = state_1H
        self.root_logprobs = self._logprobs(state_1H)[0]

    def _first_beam(self, top_k: int) -> _Beam:
        assert self.root_state is not None, "extend() comes before drafting"
        assert self.root_logprobs is not None
        logprobs = self.root_logprobs
        if self._temperature != 1.0:
            logprobs = (logprobs / self._temperature).log_softmax(dim=-1)
        scores, drafted = logprobs.topk(top_k)
        allowed = torch.eye(top_k, dtype=torch.bool, device=scores.device)
        return _Beam(self.root_state.expand(top_k, -1), self.head.target_ids[drafted], scores, allowed)

    def _expand(self, beam: _Beam, level: int, top_k: int) -> tuple[Tensor, Tensor, Tensor]:
        """Children of a beam: states [k, H], cumulative scores [k * k], tokens [k * k]."""
        start = self.length + level * top_k
        mask = torch.ones((top_k, start + top_k), dtype=torch.bool, device=beam.scores_k.device)
        mask[:, self.length :] = beam.allowed_kR
        started = time.perf_counter()
        states = self._forward(beam.tokens_k, beam.states_kH, start, self.length + level, mask)
        logprobs = self._logprobs(states, self._temperature)
        self.forward_seconds += time.perf_counter() - started
        scores, drafted = logprobs.topk(top_k)
        return states, (scores + beam.scores_k[:, None]).flatten(), self.head.target_ids[drafted].flatten()

    def pool(self, depth: int, top_k: int, plan: Plan | None = None, temperature: float = 1.0) -> Pool:
        """Draft ``depth`` levels with a beam of ``top_k``; with a ``plan``, fewer where it says so.

        ``temperature`` divides the head's logits: below 1 its probabilities come nearer to what greedy verification
        accepts, and trees grow deeper and narrower (1: as published).

        Raises ValueError for a beam wider than the draft vocabulary.
        """
        if top_k > self.config.draft_vocab_size:
            raise ValueError(f"top_k {top_k} exceeds the head's draft vocabulary of {self.config.draft_vocab_size}")
        self._reserve(self.length + depth * top_k)
        self.forward_seconds = self.decision_seconds = 0.0
        self._temperature = temperature
        beam = self._first_beam(top_k)
        scores, tokens, chosen = [beam.scores_k], [beam.tokens_k], list[Tensor]()
        level, grown = 0, None
        while level < depth:
            best = None
            if grown is not None:
                beam, best = self._next_beam(beam, *grown, top_k)
            if plan is not None and not self._expands(plan, level, beam.scores_k):
                break
            if best is not None:
                chosen.append(best)
            grown = self._expand(beam, level, top_k)
            scores.append(grown[1])
            tokens.append(grown[2])
            level += 1
        return _pooled(top_k, level, scores, tokens, chosen)

    def _expands(self, plan: Plan, level: int, beam_scores_k: Tensor) -> bool:
        started = time.perf_counter()
        expands = plan.expands(level, beam_scores_k)
        self.decision_seconds += time.perf_counter() - started
        return expands

    def _next_beam(
        self, beam: _Beam, states_kH: Tensor, scores: Tensor, tokens: Tensor, top_k: int
    ) -> tuple[_Beam, Tensor]:
        best_scores, best = scores.topk(top_k)
        parents = best // top_k
        eye = torch.eye(top_k, dtype=torch.bool, device=scores.device)
        allowed = torch.cat((beam.allowed_kR[parents], eye), dim=1)
        return _Beam(states_kH[parents], tokens[best], best_scores, allowed), best
