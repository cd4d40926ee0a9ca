"""How does the model write replies to many prompts at once, fast, and the same whatever else is in the batch?

Plain ancestral sampling (no top-k, no top-p: a truncated distribution has another log-probability than the one that is
trained, and its KL to the reference can be negative). A token is where the cumulated probability passes a uniform number
that was drawn beforehand, one per row and column: a row's reply depends on its own numbers only, not on the batch, the
process, or what was sampled before. Rows that have ended leave the batch, and the cache is cut to those that go on.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import DynamicCache

from trimtab.dialogue.ppo.batches import Tokens, left_padded

_COMPACT_BELOW = 0.75


@dataclass(frozen=True)
class Sampled:
    """Replies as written: ``tokens``, the log-probability of each token when it was drawn, and whether a reply ended."""

    tokens: Tokens
    logprobs_BT: Tensor
    ended_B: Tensor


def uniform_noise(seed: int, update: int, rows: int, width: int) -> Tensor:
    """Uniform numbers [rows, width], float64, told by ``seed`` and ``update`` alone."""
    generator = torch.Generator().manual_seed((seed * 1_000_003 + update) % 2**63)
    return torch.rand(rows, width, generator=generator, dtype=torch.float64)


def draw(logprobs_BV: Tensor, uniform_B: Tensor | None) -> Tensor:
    """The index at which the cumulated probability passes the uniform number; the likeliest where there is none."""
    if uniform_B is None:
        return logprobs_BV.argmax(dim=-1)
    cumulated_BV = logprobs_BV.double().exp().cumsum(dim=-1)
    wanted_B1 = (uniform_B * cumulated_BV[:, -1])[:, None]
    return torch.searchsorted(cumulated_BV, wanted_B1, right=True)[:, 0].clamp(max=logprobs_BV.shape[1] - 1)


@torch.no_grad()
def sample(
    model: Any,
    prompts: list[list[int]],
    *,
    noise_BT: Tensor | None,
    width: int,
    ends: Collection[int],
    context: int,
    temperature: float = 1.0,
    lockstep: bool = False,
) -> Sampled:
    """Replies of at most ``width`` tokens, each until one of the tokens ``ends``, which is part of it.

    ``noise_BT``: see ``uniform_noise``; None is greedy. ``context``: columns that prompts are padded to, their last tokens
    kept. ``lockstep``: always make ``width`` calls of the model, with all rows: for models that are spread over processes,
    which must call together. The result lies on the CPU.
    """
    ids_BL, mask_BL = left_padded(prompts, context)
    state = _Writing(model, ids_BL, mask_BL, width, set(ends), temperature, compact=not lockstep)
    for column in range(width):
        if not state.step(column, noise_BT) and not lockstep:
            break
    return state.result()


class _Writing:
    """Replies under way: what has been written, and the cache of those rows that go on."""

    def __init__(
        self,
        model: Any,
        ids_BL: Tensor,
        mask_BL: Tensor,
        width: int,
        ends: set[int],
        temperature: float,
        *,
        compact: bool,
    ) -> None:
        self._model, self._temperature, self._compact = model, temperature, compact
        self._device = next(model.parameters()).device
        self._prompt = ids_BL, mask_BL
        used = int(mask_BL.any(dim=0).int().argmax())
        self._input = ids_BL[:, used:].to(self._device)
        self._mask = mask_BL[:, used:].to(self._device)
        self._cache: Any = DynamicCache(config=model.config)
        self._ends = torch.tensor(sorted(ends), device=self._device)
        count = len(ids_BL)
        self.ids_BT = torch.zeros(count, width, dtype=torch.long)
        self.mask_BT = torch.zeros(count, width, dtype=torch.bool)
        self.logprobs_BT = torch.zeros(count, width)
        self.ended_B = torch.zeros(count, dtype=torch.bool)
        self._rows = torch.arange(count)
        """Which rows are in the cache."""

    def step(self, column: int, noise_BT: Tensor | None) -> bool:
        """Write one token of every row that goes on; whether any does after it."""
        logprobs_BV = self._next_logprobs()
        uniform_B = None if noise_BT is None else noise_BT[self._rows, column].to(self._device)
        tokens_B = draw(logprobs_BV, uniform_B)
        chosen_B = logprobs_BV.gather(1, tokens_B[:, None])[:, 0].float().cpu()
        open_B = ~self.ended_B[self._rows]
        rows = self._rows[open_B]
        self.ids_BT[rows, column] = tokens_B.cpu()[open_B]
        self.logprobs_BT[rows, column] = chosen_B[open_B]
        self.mask_BT[rows, column] = True
        self.ended_B[rows] |= torch.isin(tokens_B, self._ends).cpu()[open_B]
        self._extend(tokens_B)
        return not bool(self.ended_B.all())

    def _next_logprobs(self) -> Tensor:
        positions = (self._mask.cumsum(dim=1) - 1).clamp(min=0)[:, -self._input.shape[1] :]
        output = self._model(
            input_ids=self._input,
            attention_mask=self._mask.long(),
            position_ids=positions,
            past_key_values=self._cache,
            use_cache=True,
            logits_to_keep=1,
        )
        return torch.log_softmax(output.logits[:, -1].float() / self._temperature, dim=-1)

    def _extend(self, tokens_B: Tensor) -> None:
        """The next call's input: the tokens just written, of the rows that stay."""
        self._input = tokens_B[:, None]
        self._mask = torch.cat((self._mask, self._mask.new_ones(len(self._mask), 1)), dim=1)
        open_B = ~self.ended_B[self._rows]
        share = float(open_B.float().mean())
        if self._compact and 0 < share < _COMPACT_BELOW:
            kept = open_B.nonzero()[:, 0]
            self._cache.batch_select_indices(kept.to(self._device))
            self._input, self._mask = self._input[kept.to(self._device)], self._mask[kept.to(self._device)]
            self._rows = self._rows[kept]

    def result(self) -> Sampled:
        ids_BL, mask_BL = self._prompt
        tokens = Tokens(
            torch.cat((ids_BL, self.ids_BT), dim=1), torch.cat((mask_BL, self.mask_BT), dim=1), self.ids_BT.shape[1]
        )
        return Sampled(tokens, self.logprobs_BT, self.ended_B)
