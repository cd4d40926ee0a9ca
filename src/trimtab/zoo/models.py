"""How is an embedded model born, and how is it written? Its initial weights, and its files in the published layout."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast


def initialise(model: nn.Module, seed: int, *, embedding: float = 0.02, residual: float = 0.0) -> None:
    """Normal: ``embedding`` for the embedding, 1/sqrt(fan-in) for matrices, ``residual`` times that for those that
    write to the residual stream."""
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in model.named_parameters():
        if parameter.ndim < 2:
            continue
        fan_in = parameter.shape[1] ** -0.5
        writes = name.endswith(("o_proj.weight", "down_proj.weight"))
        scale = embedding if "embed" in name else residual * fan_in if writes else fan_in
        parameter.data.normal_(generator=generator).mul_(scale)


def save(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, out: Path) -> None:
    """Write the model in bf16 and its tokenizer, in transformers' published layout."""
    half: Any = LlamaForCausalLM(model.config)
    half = half.to(torch.bfloat16)
    half.load_state_dict(model.state_dict())
    half.generation_config.max_length = None
    half.save_pretrained(out)
    tokenizer.save_pretrained(out)
