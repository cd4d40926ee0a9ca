"""What did a layer ask? Its rotated queries, computed again from its input, for the architectures that we know."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from trimtab.lm.load import decoder_layers

KNOWN = ("llama", "mistral", "qwen2", "qwen3", "opt")
"""Model types whose attention is plain: softmax over scaled products, no soft-capping, no sink logits."""


def attention_modules(model: PreTrainedModel) -> list[nn.Module]:
    """The attention of each decoder layer. Raises ValueError for an architecture that we do not know."""
    if not hasattr(getattr(model, "config", None), "get_text_config"):
        raise ValueError(
            f"the model is {type(model).__name__}: expected a causal language model of transformers, loaded"
        )
    config = model.config.get_text_config()
    if config.model_type not in KNOWN:
        raise ValueError(f"no compressor for model type {config.model_type!r}: expected one of {', '.join(KNOWN)}")
    modules = [getattr(layer, "self_attn") for layer in decoder_layers(model)]  # noqa: B009 (not typed)
    if all(slides(config, index) for index in range(len(modules))):
        raise ValueError(
            f"all layers attend through a sliding window ({config.sliding_window} tokens), which bounds the cache already: "
            "expected a model with full attention (sliding_window=None where it was trained so)"
        )
    return modules


def slides(config: Any, layer: int) -> bool:
    """Whether ``layer`` attends through a sliding window; such layers are left alone."""
    kinds = getattr(config, "layer_types", None)
    if kinds is not None:
        return kinds[layer] != "full_attention"
    return getattr(config, "sliding_window", None) is not None


def scaling(module: Any) -> float:
    """What the layer's query-key products are multiplied by."""
    return float(module.scaling)


def key_heads(model: PreTrainedModel) -> int:
    """KV heads per layer."""
    config = model.config.get_text_config()
    return int(getattr(config, "num_key_value_heads", None) or config.num_attention_heads)


def last_queries(module: Any, kwargs: Mapping[str, Any], hidden_BSH: Tensor, count: int) -> Tensor:
    """Rotated queries [B, heads, count, D] of the last ``count`` positions, before scaling.

    ``kwargs``: what the layer was called with (``position_embeddings``, except OPT).
    """
    hidden_BSH = hidden_BSH[:, -count:]
    shape = (*hidden_BSH.shape[:-1], -1, module.head_dim)
    queries = module.q_proj(hidden_BSH).view(shape)
    if hasattr(module, "q_norm"):
        queries = module.q_norm(queries)
    queries = queries.transpose(1, 2)
    embeddings = kwargs.get("position_embeddings")
    if embeddings is None:
        return queries
    cos, sin = (part[:, -count:].unsqueeze(1).to(queries.device) for part in embeddings)
    first, second = queries.chunk(2, dim=-1)
    return queries * cos + torch.cat([-second, first], dim=-1) * sin


def valid_rows(mask: Tensor | None, rows: int) -> Tensor | None:
    """Which of ``rows`` keys are tokens, not padding [B, N], from the mask that the layer was called with.

    None where all are. Raises ValueError for padding anywhere but on the left.
    """
    if mask is None:
        return None
    last = mask[:, -rows:] if mask.ndim == 2 else mask[:, 0, -1, -rows:]
    valid_BN = last if last.dtype == torch.bool else last > 0 if mask.ndim == 2 else last == 0
    if bool(valid_BN.all()):
        return None
    if not bool((valid_BN[:, 1:] >= valid_BN[:, :-1]).all()) or not bool(valid_BN[:, -1].all()):
        raise ValueError(
            "the batch is padded on the right or within: expected padding on the left only, as by "
            "tokenizer.padding_side = 'left'"
        )
    return valid_BN
