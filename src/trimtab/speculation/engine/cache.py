"""Where do a target's keys and values live? In one pre-allocated block per device, which grows without a limit.

One block for all layers, so that keeping the accepted rows of a tree is a single gather, whatever the number of layers.
Everything that depends on transformers' cache interface is in this file.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from transformers import Cache, PreTrainedModel
from transformers.cache_utils import CacheLayerMixin

from trimtab.lm.load import decoder_layers

_FIRST_CAPACITY = 512


class _LayerView(CacheLayerMixin):
    """One layer's share of the block. Rows beyond ``committed`` belong to the tree under verification."""

    is_sliding = False
    is_croppable = False

    def __init__(self, owner: TreeCache, index: int) -> None:
        super().__init__()
        self._owner, self._index = owner, index
        self.is_initialized = True

    def lazy_initialization(self, key_states: Tensor, value_states: Tensor) -> None:
        """Nothing to do: the block is allocated when the cache is made."""

    def update(self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
        keys, values = self._owner.views[self._index]
        start = self._owner.length
        stop = start + key_states.shape[-2]
        keys[:, :, start:stop] = key_states
        values[:, :, start:stop] = value_states
        return keys[:, :, :stop], values[:, :, :stop]

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        return self._owner.length + query_length, 0

    def get_seq_length(self) -> int:
        return self._owner.length

    def get_max_length(self) -> int:
        return -1

    def get_max_cache_shape(self) -> int:
        return -1


class TreeCache(Cache):
    """Keys and values of ``length`` committed tokens, with room for a tree behind them. Batch size 1."""

    def __init__(self, model: PreTrainedModel, *, separate: bool = False) -> None:
        """``separate``: the views of ``views`` own their storage each, as compiled graphs that write into them want it."""
        config = model.config.get_text_config()
        layers = decoder_layers(model)
        self._devices = [next(layer.parameters()).device for layer in layers]
        if torch.device("meta") in self._devices:
            raise ValueError(
                "some of the model's layers are offloaded to the host or the disk, which decoding would fetch anew in each "
                "round: expected a device_map that keeps all layers on devices; use more of them, or a smaller model"
            )
        self._dtype = model.dtype
        self._separate = separate
        self._heads = config.num_key_value_heads
        self._head_dim = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
        self.length = 0
        self.capacity = 0
        self._blocks: dict[torch.device, Tensor] = {}
        self.views: list[tuple[Tensor, Tensor]] = []
        super().__init__(layers=[_LayerView(self, index) for index in range(len(layers))])
        self.reserve(_FIRST_CAPACITY)

    def reserve(self, tokens: int) -> None:
        """Make room for ``tokens`` rows in all, doubling the block and keeping what is committed."""
        if tokens <= self.capacity:
            return
        # compiled graphs tell inference tensors from others: theirs are inference tensors, wherever they are made
        with torch.inference_mode(self._separate or torch.is_inference_mode_enabled()):
            self._grow(max(tokens, 2 * self.capacity))

    def _grow(self, capacity: int) -> None:
        self.capacity = capacity
        grown: dict[torch.device, Tensor] = {}
        for device in dict.fromkeys(self._devices):
            layers = self._devices.count(device)
            shape = (layers, 2, 1, self._heads, self.capacity, self._head_dim)
            grown[device] = torch.zeros(shape, dtype=self._dtype, device=device)
            if device in self._blocks:
                grown[device][..., : self.length, :] = self._blocks[device][..., : self.length, :]
        self._blocks = grown
        position = dict.fromkeys(grown, 0)
        self.views = []
        for device in self._devices:
            layer = grown[device][position[device]]
            self.views.append((self._view(layer[0]), self._view(layer[1])))
            position[device] += 1

    def _view(self, part: Tensor) -> Tensor:
        """``part`` of the block; where separate, the same memory under a storage of its own.

        A compiler that sees two written inputs with one storage copies all of it for each write; parts never overlap.
        """
        return torch.from_dlpack(part) if self._separate else part

    def keep(self, rows: list[int]) -> None:
        """Commit the tree rows ``rows`` (ascending, 0 = the first behind the committed ones); drop all others."""
        if rows != list(range(len(rows))):
            for device, block in self._blocks.items():
                source = torch.tensor(rows, device=device) + self.length
                block[..., self.length : self.length + len(rows), :] = block.index_select(-2, source)
        self.length += len(rows)

    def crop(self, tokens: int) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Forget all but the first ``tokens`` committed tokens."""
        assert 0 <= tokens <= self.length
        self.length = tokens
