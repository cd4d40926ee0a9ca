"""What does a head minimise? Training-time test: the loss of a draft that feeds on its own states (EAGLE-3).

arXiv:2503.01840, section 3.1, as in the published trainer. Step 0 is a causal decoder layer over keys and values k_0,
v_0 of the target's features. At step j the head's own state of step j - 1 takes the features' place (without fc); each
position attends causally to k_0 up to itself, and to its *own* keys of steps 1 .. j, rotated to position p + j. Inputs,
targets and the loss mask are shifted left by one at each step:

    loss = sum_j discount^j / N  sum_i mask_j[i] * (- sum_v p_{i+j}(v) log q_j(v | i))

with p the target's distribution over the draft vocabulary, renormalised; the mask is empty where the target's likeliest
token cannot be drafted. N counts the positions that learn at step 0 (the published trainer divides by all positions,
prompts included: another constant).

Only the positions that learn are computed beyond step 0's keys; they are the rows Q of ``Windows``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from trimtab.speculation.engine.head import EagleHead, rotary, rotate
from trimtab.speculation.training.teacher import Batch, Lesson, causal_bias


@dataclass(frozen=True)
class Outcome:
    """``loss``: what is minimised. ``correct_S``, ``counted_S``: top-1 hits and positions at each step.

    ``accepted``: drafted tokens that a chain of S would have had accepted, over all positions that learn at step 0.
    """

    loss: Tensor
    correct_S: Tensor
    counted_S: Tensor
    accepted: Tensor


def shifted(x_BQ: Tensor, steps: int) -> Tensor:
    """Rows moved left by ``steps``; zeros (False) come in from the right."""
    padding = (0, 0) * (x_BQ.ndim - 2) + (0, steps)
    return F.pad(x_BQ, padding)[:, steps:]


def consecutive(rows_BQ: Tensor, steps: int) -> Tensor:
    """Whether the row ``steps`` further on is the position ``steps`` further on [B, Q] (so: of the same document)."""
    return shifted(rows_BQ, steps) == rows_BQ + steps


def context_pairs(head: EagleHead, tokens_BT: Tensor, state_BTH: Tensor) -> tuple[Tensor, Tensor]:
    """Keys, before rotation, and values of step 0 at every position: each [B, T, kv_heads, head_dim]."""
    layer = head.midlayer
    embedded = F.embedding(tokens_BT, head.embedding_weight).to(state_BTH.dtype)
    inputs = torch.cat((layer.input_layernorm(embedded), layer.hidden_norm(state_BTH)), dim=-1)
    split = (*tokens_BT.shape, -1, head.config.head_dim)
    return layer.self_attn.k_proj(inputs).view(split), layer.self_attn.v_proj(inputs).view(split)


class _Attention:
    """Attention of one unrolled batch: to step 0's keys under the mask, and to each position's own later keys.

    ``cos, sin`` [positions, head_dim]; ``positions_BQ`` of the rows; G query heads share each of K pairs of heads.
    """

    def __init__(self, keys: Tensor, values: Tensor, bias_BQT: Tensor, positions_BQ: Tensor, cos: Tensor, sin: Tensor):
        self._keys, self._values = keys.transpose(1, 2), values.transpose(1, 2)  # [B, K, T, d]
        self._bias = bias_BQT[:, None, None]
        self._positions, self._cos, self._sin = positions_BQ, cos, sin
        self._own_keys: list[Tensor] = []
        self._own_values: list[Tensor] = []
        self.step = 0

    def __call__(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """[B, Q, heads, d] each -> [B, Q, heads * d]. At step 0, k and v are already among the context's."""
        places = self._positions + self.step
        cos, sin = self._cos[places][:, :, None], self._sin[places][:, :, None]
        if self.step > 0:
            self._own_keys.append(rotate(k, cos, sin).transpose(1, 2)[:, :, None])  # [B, K, 1, Q, d]
            self._own_values.append(v.transpose(1, 2)[:, :, None])
        batch, rows, heads, width = q.shape
        pairs = k.shape[2]
        queries = (rotate(q, cos, sin) * width**-0.5).view(batch, rows, pairs, heads // pairs, width)
        attended = self._attend(queries.permute(0, 2, 3, 1, 4))
        return attended.permute(0, 3, 1, 2, 4).reshape(batch, rows, heads * width)

    def _attend(self, queries: Tensor) -> Tensor:
        """Softmax over both kinds of keys at once, without joining them; [B, K, G, Q, d] -> the same."""
        batch, pairs, group, rows, width = queries.shape
        scores = torch.matmul(queries.reshape(batch, pairs, group * rows, width), self._keys.transpose(-1, -2))
        scores = scores.view(batch, pairs, group, rows, -1).float() + self._bias
        own = [(queries * key).sum(-1, dtype=torch.float32) for key in self._own_keys]
        highest = scores.detach().amax(-1)
        for score in own:
            highest = torch.maximum(highest, score.detach())
        weights = torch.exp(scores - highest[..., None])
        total = weights.sum(-1)
        out = torch.matmul(weights.view(batch, pairs, group * rows, -1).to(self._values.dtype), self._values)
        out = out.view(batch, pairs, group, rows, width).float()
        for score, value in zip(own, self._own_values, strict=True):
            weight = torch.exp(score - highest)
            total, out = total + weight, out + weight[..., None] * value
        return (out / total[..., None]).to(queries.dtype)


class UnrolledLoss(nn.Module):
    """The training-time test of ``head`` over ``unroll`` steps, in bf16 autocast unless ``autocast`` is False."""

    cos: Tensor
    sin: Tensor

    def __init__(
        self, head: EagleHead, *, window_tokens: int, unroll: int = 7, discount: float = 0.8, autocast: bool = True
    ) -> None:
        super().__init__()
        self.head, self.unroll, self.discount, self.autocast = head, unroll, discount, autocast
        cos, sin = rotary(head.config, window_tokens + unroll, head.embedding_weight.device)
        self.register_buffer("cos", cos, persistent=False)
        self.register_buffer("sin", sin, persistent=False)

    def forward(
        self,
        tokens_BT: Tensor,
        documents_BT: Tensor,
        positions_BT: Tensor,
        rows_BQ: Tensor,
        learns_BQ: Tensor,
        features_BTF: Tensor,
        targets_BQD: Tensor,
        draftable_BQ: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """The fields of ``Outcome`` (a tuple, so that the whole can be compiled)."""
        batch = Batch(tokens_BT, documents_BT, positions_BT, rows_BQ, learns_BQ)
        with torch.autocast(tokens_BT.device.type, torch.bfloat16, enabled=self.autocast):
            steps = list(self._logits(batch, features_BTF))
        losses, correct, counted = list[Tensor](), list[Tensor](), list[Tensor]()
        chain = learns_BQ
        accepted = torch.zeros((), device=tokens_BT.device)
        likeliest = targets_BQD.argmax(-1)
        for step, logits in enumerate(steps):
            learns = shifted(learns_BQ, step) & consecutive(rows_BQ, step)
            mask = learns & shifted(draftable_BQ, step)
            losses.append(self.discount**step * _cross_entropy(logits, shifted(targets_BQD, step), mask))
            hits = mask & (logits.detach().argmax(-1) == shifted(likeliest, step))
            chain = chain & hits
            accepted = accepted + chain.sum()
            correct.append(hits.sum())
            counted.append(learns.sum())
        loss = torch.stack(losses).sum() / counted[0].clamp(min=1)
        return loss, torch.stack(correct), torch.stack(counted), accepted

    def _logits(self, batch: Batch, features_BTF: Tensor) -> Iterator[Tensor]:
        """The head's scores [B, Q, D] at each step."""
        head, last = self.head, batch.tokens_BT.shape[1] - 1
        state = head.fuse(features_BTF.to(head.fc.weight.dtype)).to(head.fc.weight.dtype)
        keys, values = context_pairs(head, shifted(batch.tokens_BT, 1), state)
        cos, sin = self.cos[batch.positions_BT][:, :, None], self.sin[batch.positions_BT][:, :, None]
        attend = _Attention(
            rotate(keys, cos, sin).to(values.dtype),
            values,
            causal_bias(batch.documents_BT, batch.rows_BQ, torch.float32),
            batch.positions_BT.gather(1, batch.rows_BQ),
            self.cos,
            self.sin,
        )
        state = state.gather(1, batch.rows_BQ[..., None].expand(-1, -1, state.shape[-1]))
        for step in range(self.unroll):
            attend.step = step
            tokens = batch.tokens_BT.gather(1, (batch.rows_BQ + 1 + step).clamp(max=last))
            state = head.layer(tokens, state, attend)
            yield head.logits(state)

    def outcome(self, batch: Batch, lesson: Lesson) -> Outcome:
        """``forward`` on records."""
        return Outcome(*self(*vars(batch).values(), *vars(lesson).values()))


def _cross_entropy(logits_BQD: Tensor, targets_BQD: Tensor, mask_BQ: Tensor) -> Tensor:
    """Sum over the masked positions of - sum_v p(v) log q(v); the targets of the others may be anything."""
    logits = logits_BQD.float()
    surprise = logits.logsumexp(-1) - (targets_BQD * logits).sum(-1)
    return torch.where(mask_BQ, surprise, 0.0).sum()
