"""Tiny random targets of the four architectures, and answers to learn from."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from transformers import (
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    PreTrainedModel,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
)

from trimtab.speculation.training.answers import Answered

VOCAB = 40
ARCHITECTURES = {
    "llama": (LlamaConfig, LlamaForCausalLM),
    "qwen2": (Qwen2Config, Qwen2ForCausalLM),
    "qwen3": (Qwen3Config, Qwen3ForCausalLM),
    "mistral": (MistralConfig, MistralForCausalLM),
}
MakeTarget = Callable[..., PreTrainedModel]


@pytest.fixture
def make_target() -> MakeTarget:
    def make(architecture: str = "llama", layers: int = 8, seed: int = 0, **changes: object) -> PreTrainedModel:
        config_class, model_class = ARCHITECTURES[architecture]
        settings = {
            "vocab_size": VOCAB,
            "hidden_size": 32,
            "intermediate_size": 48,
            "num_hidden_layers": layers,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "head_dim": 8,
            "max_position_embeddings": 64,
            "initializer_range": 0.2,
            "tie_word_embeddings": False,
            "bos_token_id": 0,
            "eos_token_id": 1,
            "pad_token_id": 0,
        }
        torch.manual_seed(seed)
        return model_class(config_class(**{**settings, **changes})).eval()

    return make


@pytest.fixture
def answered() -> list[Answered]:
    draw = np.random.default_rng(0)
    lengths = [(int(draw.integers(1, 12)), int(draw.integers(1, 20))) for _ in range(30)]
    return [
        Answered(f"chat {number}", draw.integers(2, VOCAB, prompt + reply).astype(np.int32), prompt)
        for number, (prompt, reply) in enumerate(lengths)
    ]
