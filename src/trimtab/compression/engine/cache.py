"""How does a cache hold a few tokens of many, and still know where it is? All that depends on transformers' cache.

A ``KeptLayer`` holds the kept tokens' keys and values, and the count of all tokens ever seen. It presents itself as a
sliding window does: its rows are the *last* ones of ``seen``. So positions are true, the stock causal mask is right for
continuations of any length, and the stock padding mask is right for left-padded rows, whose kept rows end with their
tokens and begin with padding where they have fewer tokens than the budget.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any, Self

import torch
from torch import Tensor
from transformers import Cache
from transformers.cache_utils import DynamicLayer


class KeptLayer(DynamicLayer):
    """One layer's kept keys and values [B, G, kept, D], of ``seen`` tokens.

    ``behind``: how many rows fewer this layer holds than the fullest one, for which masks are made. ``budget`` and
    ``recent``: to how many rows it goes back while decoding, and how many of the last always stay. ``asked``: queries
    [B, H, Q, D] that came since its last compression, where they are collected. ``fitted``: whether this step's mask
    was cut to the layer's rows (within ``compress``).
    """

    def __init__(self, keys: Tensor, values: Tensor, seen: int) -> None:
        super().__init__()
        self.keys, self.values = keys, values
        self.dtype, self.device = keys.dtype, keys.device
        self.is_initialized = True
        self.seen = seen
        self.behind = 0
        self.fitted = False
        self.appended = 0
        self.budget = self.recent = 0
        self.asked: Tensor | None = None

    @property
    def rows(self) -> int:
        """Tokens held."""
        return 0 if self.keys is None else int(self.keys.shape[-2])

    def update(self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
        if self.behind and key_states.shape[-2] > 1 and not self.fitted:
            raise ValueError(
                "the layers of this cache keep different numbers of tokens, for which transformers makes no mask: go on "
                "within `with compress(...)`, which fits it, or split the budget evenly (Uniform)"
            )
        self.fitted = False
        self.seen += key_states.shape[-2]
        self.appended += key_states.shape[-2]
        return super().update(key_states, value_states, *args, **kwargs)

    def get_seq_length(self) -> int:
        """All tokens seen: the next token's position."""
        return self.seen

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        rows = self.rows + self.behind
        return rows + query_length, self.seen - rows

    def replace(self, keys: Tensor, values: Tensor) -> None:
        """Hold these rows from now on."""
        self.keys, self.values = keys, values
        self.appended = 0

    def reset(self) -> None:
        super().reset()
        self.seen = self.behind = self.appended = 0
        self.asked = None

    def crop(self, tokens_to_remove: int) -> None:
        """Forget the last tokens, at most those that came after the last compression. Raises ValueError beyond."""
        count = abs(tokens_to_remove)
        if count > self.appended:
            raise ValueError(
                f"{count} tokens cannot be taken back: {self.appended} came after the cache was compressed. "
                "Fork the cache before (trimtab.compression.fork), and go on from the fork."
            )
        super().crop(-count)
        self.seen -= count
        self.appended -= count
        if self.asked is not None and count:
            self.asked = self.asked[:, :, :-count]

    # the batch's rows: the queries go with the keys ------------------------------------------------------------------

    def reorder_cache(self, beam_idx: Any) -> None:
        super().reorder_cache(beam_idx)
        if self.asked is not None:
            self.asked = self.asked.index_select(0, beam_idx.to(self.asked.device))

    def batch_repeat_interleave(self, repeats: int) -> None:
        super().batch_repeat_interleave(repeats)
        if self.asked is not None:
            self.asked = self.asked.repeat_interleave(repeats, dim=0)

    def batch_select_indices(self, indices: Tensor) -> None:
        super().batch_select_indices(indices)
        if self.asked is not None:
            self.asked = self.asked[indices]


def kept_layer(layer: Any) -> KeptLayer:
    """``layer`` itself, or a stock layer's rows as a ``KeptLayer``."""
    if isinstance(layer, KeptLayer):
        return layer
    return KeptLayer(layer.keys, layer.values, int(layer.keys.shape[-2]))


def align(layers: Sequence[KeptLayer]) -> None:
    """Let the layers of one cache agree on the mask: it is made for the fullest."""
    fullest = max(layer.rows for layer in layers)
    for layer in layers:
        layer.behind = fullest - layer.rows


def gather(states_BGND: Tensor, indices_BGK: Tensor) -> Tensor:
    """The chosen rows of keys or values, as a tensor of their own."""
    return states_BGND.gather(2, indices_BGK[..., None].expand(-1, -1, -1, states_BGND.shape[-1]))


def cache_bytes(cache: Cache) -> int:
    """Bytes of memory that the cache's keys and values hold on to (a view counts the whole that it is a view of)."""
    storages = {
        tensor.untyped_storage().data_ptr(): tensor.untyped_storage().nbytes()
        for layer in cache.layers
        for tensor in (getattr(layer, "keys", None), getattr(layer, "values", None))
        if isinstance(tensor, Tensor)
    }
    return sum(storages.values())


def fork(cache: Cache) -> Cache:
    """A cache that goes on from the same tokens, for another question; costs no memory until either grows.

    Dynamic layers never write into their tensors: they replace them.
    """
    forked = copy.copy(cache)
    forked.layers = [copy.copy(layer) for layer in cache.layers]
    return forked


class Positions:
    """Where the kept rows were in the text: [B, G, kept] per layer, followed through compressions while decoding."""

    def __init__(self) -> None:
        self.layers: dict[int, Tensor] = {}

    def kept(self, layer: int, indices_BGK: Tensor, seen: int, rows: int) -> Self:
        """Note that of ``rows`` rows (the newest of them the last of ``seen`` tokens) those of ``indices_BGK`` stay."""
        before = self.layers.get(layer)
        device = indices_BGK.device
        if before is None:
            self.layers[layer] = indices_BGK
            return self
        fresh = torch.arange(seen - (rows - before.shape[-1]), seen, device=device)
        whole = torch.cat([before, fresh.expand(*before.shape[:2], -1)], dim=-1)
        self.layers[layer] = whole.gather(2, indices_BGK)
        return self
