"""How do many compressed caches of one prompt answer together? All share the prompt's keys; each sees those it kept.

A batch row is a compressed cache. Its prompt part is not copied: the attention of all rows is one product with the shared
keys, masked by what each row kept; only the answer's own keys are per row. Equal rows are the caller's to merge.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import AttentionInterface, DynamicCache, PreTrainedModel

from trimtab.compression.engine.prefill import Prefilled

_NAME = "trimtab_shared_prompt"


@dataclass(frozen=True, eq=False)
class SharedPrompt:
    """A prompt's keys and values [G, N, D] per layer, and what each of A rows kept: ``kept_LAGN``, booleans."""

    keys: list[Tensor]
    values: list[Tensor]
    kept_LAGN: list[Tensor]


def _shared_attention(
    module: Any,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float,
    dropout: float = 0.0,
    *,
    shared: SharedPrompt,
    **_: Any,
) -> tuple[Tensor, None]:
    """``query`` [A, H, T, D] over the prompt's shared keys and over ``key`` [A, G, S, D], the answers' own so far."""
    rows, heads, count, width = query.shape
    layer = int(module.layer_idx)
    keys_GND, values_GND, kept_AGN = shared.keys[layer], shared.values[layer], shared.kept_LAGN[layer]
    groups, total = keys_GND.shape[:2]
    repeats, fresh = heads // groups, key.shape[2]
    query = (query * scaling).reshape(rows, groups, repeats * count, width)
    by_group = query.transpose(0, 1).reshape(groups, rows * repeats * count, width)
    logits = torch.empty(groups, rows, repeats * count, total + fresh, dtype=query.dtype, device=query.device)
    old = (by_group @ keys_GND.transpose(1, 2)).view(groups, rows, repeats * count, total)
    logits[..., :total] = old.masked_fill_(~kept_AGN.transpose(0, 1)[:, :, None], -torch.inf)
    new = (query @ key.transpose(2, 3)).view(rows, groups, repeats, count, fresh)
    future = torch.ones(count, count, dtype=torch.bool, device=query.device).triu_(1)
    new[..., fresh - count :].masked_fill_(future, -torch.inf)
    logits[..., total:] = new.view(rows, groups, repeats * count, fresh).transpose(0, 1)
    weights = logits.softmax(-1, dtype=torch.float32).to(query.dtype)
    seen = weights[..., :total].reshape(groups, rows * repeats * count, total) @ values_GND
    mixed = seen.view(groups, rows, repeats * count, width).transpose(0, 1)
    mixed = mixed + weights[..., total:].transpose(0, 1) @ value
    return mixed.reshape(rows, heads, count, width).transpose(1, 2), None


AttentionInterface.register(_NAME, _shared_attention)


@contextmanager
def _attending(model: PreTrainedModel) -> Any:
    """The model attends over the shared prompt within. Its config may be shared with others: it is put back."""
    config: Any = model.config.get_text_config()
    before = config._attn_implementation
    config._attn_implementation = _NAME
    try:
        yield
    finally:
        config._attn_implementation = before


class Answers:
    """A answers to one prompt, each over its own compressed cache, continued together."""

    def __init__(self, model: PreTrainedModel, prompt: Prefilled, kept_LAGN: list[Tensor]) -> None:
        self._model = model
        self._shared = SharedPrompt(prompt.keys, prompt.values, kept_LAGN)
        self._cache = DynamicCache()
        self._position = prompt.tokens
        self.rows = int(kept_LAGN[0].shape[0])

    @torch.no_grad()
    def read(self, token_ids_AT: Tensor) -> Tensor:
        """Logits [A, T, V] after each of the next tokens of each answer."""
        count = token_ids_AT.shape[1]
        positions = torch.arange(self._position, self._position + count, device=token_ids_AT.device)
        with _attending(self._model):
            output = self._model(
                token_ids_AT,
                position_ids=positions[None].expand(self.rows, -1),
                past_key_values=self._cache,
                use_cache=True,
                shared=self._shared,
            )
        self._position += count
        return output.logits


def masks(indices: Sequence[list[Tensor]], tokens: int) -> list[Tensor]:
    """What A rows kept, from their indices [G, k] per layer, as booleans [A, G, N] per layer."""
    layers = len(indices[0])
    kept_LAGN: list[Tensor] = []
    for layer in range(layers):
        first = indices[0][layer]
        kept_AGN = torch.zeros(len(indices), first.shape[0], tokens, dtype=torch.bool, device=first.device)
        for row, chosen in enumerate(indices):
            kept_AGN[row].scatter_(1, chosen[layer], True)
        kept_LAGN.append(kept_AGN)
    return kept_LAGN
