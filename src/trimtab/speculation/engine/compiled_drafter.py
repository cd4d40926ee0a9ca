"""How is drafting freed from Python? The head's layer, compiled as one graph for all widths of beams and all contexts.

The tree, its scores and its selection stay as ``drafter`` has them: what is compiled computes the same states.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from trimtab.speculation.engine.compiled import COMMITTED, MOST_ROWS, ROWS, compiled, compiling, symbolic
from trimtab.speculation.engine.drafter import TreeDrafter
from trimtab.speculation.engine.head import EagleHead, rotate


class _HeadStep(nn.Module):
    """What the graph computes: the states [T, H] after T rows, whose keys and values are written at ``rows_T``."""

    def __init__(self, head: EagleHead) -> None:
        super().__init__()
        self.head = head
        self._groups = head.config.heads // head.config.key_value_heads

    def forward(
        self,
        tokens_T: Tensor,
        states_TH: Tensor,
        positions_T: Tensor,
        mask_TS: Tensor,
        rows_T: Tensor,
        memory: tuple[Tensor, Tensor, Tensor, Tensor],
    ) -> Tensor:
        (count, stop), width = mask_TS.shape, self.head.config.head_dim
        keys, values, cosines, sines = memory
        cos, sin = cosines[positions_T], sines[positions_T]

        def attend(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
            keys.index_copy_(2, rows_T, rotate(k, cos, sin).transpose(0, 1)[None])
            values.index_copy_(2, rows_T, v.transpose(0, 1)[None])
            # query heads of one group share keys: they become further rows of it
            queries = rotate(q, cos, sin).view(count, -1, self._groups, width).permute(1, 2, 0, 3)
            queries = queries.reshape(1, -1, self._groups * count, width)
            attended = F.scaled_dot_product_attention(
                queries, keys[:, :, :stop], values[:, :, :stop], attn_mask=mask_TS.repeat(self._groups, 1)
            )
            return attended.view(-1, self._groups, count, width).permute(2, 0, 1, 3).reshape(count, -1)

        return self.head.layer(tokens_T, states_TH, attend)


class CompiledDrafter(TreeDrafter):
    """A drafter whose layer is compiled, at its first use. Long extensions (a prompt) stay eager."""

    def __init__(self, head: EagleHead) -> None:
        super().__init__(head)
        self._step: Any = compiled(_HeadStep(head), dynamic=True)
        self._ready = False

    def _reserve(self, positions: int) -> None:
        before = self._block
        with torch.inference_mode():  # compiled graphs tell inference tensors from others
            super()._reserve(positions + 2)  # a row for padding; and never quite full: that would take another graph
            if self._block is not before:
                self._places = torch.arange(self._block.shape[-2], device=self._block.device)
                # storages of their own: a compiler copies what shares its storage with another written input
                keys, values = torch.from_dlpack(self._block[0]), torch.from_dlpack(self._block[1])
                self._memory = keys, values, self._cos, self._sin

    def _forward(
        self, tokens_T: Tensor, states_TH: Tensor, start: int, position: int | None, mask: Tensor | None
    ) -> Tensor:
        count = len(tokens_T)
        if count > MOST_ROWS:
            return super()._forward(tokens_T, states_TH, start, position, mask)
        if not self._ready:
            self._compile(states_TH)
        if mask is None:
            mask = torch.ones((count, start + count), dtype=torch.bool, device=tokens_T.device).tril(start)
        rows = max(2, count)
        if rows > count:  # a length of one would take a graph of its own; two rows cost as much as one
            tokens_T, states_TH = tokens_T.repeat(2), states_TH.repeat(2, 1)
            mask = F.pad(mask.repeat(2, 1), (0, 1))
        places = self._places[start : start + rows]
        positions = places if position is None else torch.full_like(places, position)
        states = self._step(tokens_T, states_TH.contiguous(), positions, mask, places, self._memory)
        return states[:count]

    def _compile(self, states_TH: Tensor) -> None:
        """Build the graph, on inputs whose lengths the compiler takes for symbols, and on a memory of their own."""
        self._ready = True
        with torch.inference_mode(), compiling(states_TH.device):
            keys, values, cosines, sines = (torch.zeros_like(part) for part in self._memory)
            steps = torch.arange(ROWS, device=states_TH.device)
            mask = torch.ones((ROWS, COMMITTED + ROWS), dtype=torch.bool, device=states_TH.device)
            self._step(
                symbolic(torch.zeros_like(steps), 0),
                symbolic(states_TH.new_zeros(ROWS, states_TH.shape[1]), 0),
                symbolic(steps + COMMITTED, 0),
                symbolic(mask, 0, 1),
                symbolic(steps + COMMITTED, 0),
                (symbolic(keys, 2), symbolic(values, 2), symbolic(cosines, 0), symbolic(sines, 0)),
            )
