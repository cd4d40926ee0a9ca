"""Which parts of a transformers decoder does head training touch? Five, each with its type."""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel


def embedding(target: PreTrainedModel) -> Tensor:
    """The input embedding's weight [V, H]."""
    return cast(nn.Embedding, target.get_input_embeddings()).weight


def output(target: PreTrainedModel) -> nn.Linear:
    """The output embedding, hidden state to logits."""
    return cast(nn.Linear, target.get_output_embeddings())


def layers(target: PreTrainedModel) -> nn.ModuleList:
    """The decoder layers, first to last."""
    return cast(nn.ModuleList, target.get_decoder().layers)


def final_norm(target: PreTrainedModel) -> Tensor:
    """The weight [H] of the norm before the output embedding."""
    decoder: Any = target.get_decoder()
    return decoder.norm.weight


def device(target: PreTrainedModel) -> torch.device:
    """Where tokens go in."""
    return embedding(target).device
