"""How is a stock transformers model asked about many continuations at once, and for its inner features?

One forward over a tree's tokens, with the tree's own mask and positions; features are tapped by hooks. No model code is
vendored or patched, so every decoder with transformers' usual interface works: Llama, Qwen2, Qwen3, Mistral and kin.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel
from transformers import PreTrainedModel

from trimtab.lm.load import embedding_weight
from trimtab.speculation.engine.cache import TreeCache
from trimtab.speculation.engine.compiled import MOST_ROWS, CompiledForward, check_mode

_PREFILL_TOKENS = 1024
_KERNELS = [SDPBackend.FLASH_ATTENTION, SDPBackend.EFFICIENT_ATTENTION, SDPBackend.MATH]
"""Attention without cuDNN's kernel, which makes a plan (tens of milliseconds) for every new number of rows and keys: in
decoding, for every round of a text. On an H200 a round took 180 ms with it where it takes 25 ms."""


def context_tokens(model: PreTrainedModel) -> int:
    """The longest sequence that the model can attend over in full (its sliding window, where it has one)."""
    config: Any = model.config.get_text_config()
    limit = int(config.max_position_embeddings)
    window: Any = getattr(config, "sliding_window", None)
    if window is None or not getattr(config, "use_sliding_window", True):
        return limit
    return min(limit, int(window))


class Target:
    """A causal language model as the engine sees it: batch 1, a cache of committed tokens, and features per token.

    ``taps``: decoder layers whose inputs are concatenated into a feature [F]; None: the final normed state (EAGLE-1).
    ``compile``: whether and how verification is compiled (see ``compiled``): off, dynamic or buckets.
    """

    def __init__(self, model: PreTrainedModel, taps: tuple[int, ...] | None, compile: str = "off") -> None:  # noqa: A002
        check_mode(compile)
        implementation = getattr(model.config, "_attn_implementation", None)
        if implementation not in ("sdpa", "eager"):
            raise ValueError(
                f"tree verification needs a mask of its own, which attention {implementation!r} does not take; "
                "load the model with attn_implementation='sdpa' (fast) or 'eager'"
            )
        self.model = model
        self._compiled = None if compile == "off" else CompiledForward(model, self._features, compile)
        self.cache = TreeCache(model, separate=compile != "off")
        self._taps = taps
        self._additive = implementation == "eager"
        self._captured: dict[int, Tensor] = {}

    @property
    def device(self) -> torch.device:
        """Where tokens go in."""
        return embedding_weight(self.model).device

    def reset(self) -> None:
        """Forget all tokens."""
        self.cache.crop(0)

    @contextmanager
    def tapped(self) -> Generator[None]:
        """Within, forward passes record features, and no attention is planned anew for every length; outside, the model is
        as it was."""
        decoder: Any = self.model.get_decoder()
        if self._taps is None:
            handles = [decoder.register_forward_hook(self._capture_final)]
        else:
            handles = [
                decoder.layers[tap].register_forward_pre_hook(self._capture_tap(slot), with_kwargs=True)
                for slot, tap in enumerate(self._taps)
            ]
        try:
            with sdpa_kernel(_KERNELS):
                yield
        finally:
            for handle in handles:
                handle.remove()

    def _capture_tap(self, slot: int) -> Any:
        def hook(_module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            self._captured[slot] = args[0] if args else kwargs["hidden_states"]

        return hook

    def _capture_final(self, _module: Any, _args: Any, output: Any) -> None:
        self._captured[0] = output.last_hidden_state

    def _features(self, device: torch.device | None = None) -> Tensor:
        parts = [self._captured.pop(slot)[0].to(device) for slot in range(len(self._taps or (0,)))]
        return parts[0] if len(parts) == 1 else torch.cat(parts, dim=-1)

    def _mask(self, allowed_TT: Tensor, rows: int, columns: int) -> Tensor:
        """[1, 1, rows, columns]: all n committed tokens, and among the T new ones those that ``allowed_TT`` marks.

        Rows beyond the T pad: they see the committed tokens and row 0 (a row that sees nothing would not be a number).
        """
        new, before = allowed_TT.shape[0], self.cache.length
        mask = torch.zeros((1, 1, rows, columns), dtype=torch.bool, device=allowed_TT.device)
        mask[..., :before] = True
        mask[0, 0, :new, before : before + new] = allowed_TT
        mask[0, 0, new:, before] = True
        if self._additive:  # eager attention adds its mask: a boolean one would be silently wrong
            dtype = self.model.dtype
            mask = torch.zeros_like(mask, dtype=dtype).masked_fill_(~mask, torch.finfo(dtype).min)
        return mask

    def forward(self, tokens_T: Tensor, depths_T: Tensor, allowed_TT: Tensor, keep: int = 0) -> tuple[Tensor, Tensor]:
        """One pass over T tokens behind the committed ones; their rows stay uncommitted (see ``TreeCache.keep``).

        ``depths_T``: positions relative to the first; ``allowed_TT``: which of the T each may attend to (itself too).
        Returns logits [T, V] (the last ``keep`` rows alone where keep > 0) and features [T, F].
        """
        if self._compiled is not None and keep == 0 and len(tokens_T) <= MOST_ROWS:
            return self._forward_compiled(self._compiled, tokens_T, depths_T, allowed_TT)
        rows = len(tokens_T)
        self.cache.reserve(self.cache.length + rows)
        output = self.model(
            input_ids=tokens_T[None],
            attention_mask=self._mask(allowed_TT, rows, self.cache.length + rows),
            position_ids=(depths_T + self.cache.length)[None],
            past_key_values=self.cache,
            use_cache=True,
            logits_to_keep=keep,
        )
        return output.logits[0], self._features(tokens_T.device)

    def _forward_compiled(
        self, compiled: CompiledForward, tokens_T: Tensor, depths_T: Tensor, allowed_TT: Tensor
    ) -> tuple[Tensor, Tensor]:
        """``forward`` through a compiled graph: padded on the way in, cut on the way out."""
        count, before, device = len(tokens_T), self.cache.length, tokens_T.device
        rows = compiled.rows(count)
        self.cache.reserve(before + rows + 1)  # never quite full: that case would take a graph of its own
        mask = self._mask(allowed_TT, rows, compiled.columns(self.cache, rows))
        padding = (0, rows - count)
        tokens, depths = functional.pad(tokens_T, padding), functional.pad(depths_T, padding)
        places = torch.arange(before, before + rows, device=device)
        logits, features = compiled((tokens[None], (depths + before)[None], mask, places), self.cache)
        return logits[:count], features[:count]

    def prefill(self, tokens_T: Tensor) -> tuple[Tensor, Tensor]:
        """Commit T tokens, in chunks. Returns the logits [V] after the last one, and features [T, F] of all."""
        logits, features = None, list[Tensor]()
        for chunk in tokens_T.split(_PREFILL_TOKENS):
            steps = torch.arange(len(chunk), device=chunk.device)
            causal = steps[:, None] >= steps[None, :]
            logits, part = self.forward(chunk, steps, causal, keep=1)
            features.append(part)
            self.cache.length += len(chunk)
        assert logits is not None, "prefill needs a token"
        return logits[-1], torch.cat(features)
