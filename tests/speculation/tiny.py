"""Small random models and heads, made on the spot: four architectures, two generations of heads."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

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

from trimtab.speculation.engine.head import EagleHead
from trimtab.speculation.engine.head_config import HeadConfig
from trimtab.speculation.engine.head_files import share_target
from trimtab.speculation.engine.speculator import Speculator

ARCHITECTURES: dict[str, tuple[type[Any], type[Any]]] = {
    "llama": (LlamaConfig, LlamaForCausalLM),
    "qwen2": (Qwen2Config, Qwen2ForCausalLM),
    "qwen3": (Qwen3Config, Qwen3ForCausalLM),
    "mistral": (MistralConfig, MistralForCausalLM),
}
VOCABULARY = 96
WIDTH = 32


def target(
    architecture: str = "llama", *, seed: int = 0, vocabulary: int = VOCABULARY, **settings: Any
) -> PreTrainedModel:
    """A random model of 8 layers, sharp enough that its choices are no ties."""
    config_class, model_class = ARCHITECTURES[architecture]
    torch.manual_seed(seed)
    options = {
        "vocab_size": vocabulary,
        "hidden_size": WIDTH,
        "intermediate_size": 48,
        "num_hidden_layers": 8,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 8,
        "max_position_embeddings": 512,
        "tie_word_embeddings": False,
        "bos_token_id": None,
        "eos_token_id": None,
        "pad_token_id": None,
        "sliding_window": None,
        "initializer_range": 0.2,
    }
    model = model_class(config_class(**(options | settings))).eval()
    model.generation_config.eos_token_id = settings.get("eos_token_id")
    return model


def config(version: int = 3, *, vocabulary: int = VOCABULARY, drafted: int | None = None) -> HeadConfig:
    """A head's configuration for ``target``."""
    return HeadConfig(
        version=version,
        hidden_size=WIDTH,
        intermediate_size=48,
        heads=4,
        key_value_heads=2,
        vocab_size=vocabulary,
        draft_vocab_size=drafted or vocabulary,
        rms_norm_eps=1e-5,
        rope={"rope_type": "default", "rope_theta": 10_000.0},
        max_position=512,
        fc_bias=version == 1,
        qkv_bias=False,
        taps=(2, 4, 5) if version == 3 else None,
        target_hidden_size=WIDTH,
    )


def head(model: PreTrainedModel, version: int = 3, *, drafted: int | None = None, seed: int = 1) -> EagleHead:
    """A random head bound to ``model``; where ``drafted`` is smaller than the vocabulary, it drafts every third token."""
    vocabulary = model.get_input_embeddings().weight.shape[0]
    torch.manual_seed(seed)
    made = EagleHead(replace(config(version, vocabulary=vocabulary), draft_vocab_size=drafted or vocabulary))
    for parameter in made.parameters():
        if parameter.ndim == 2:
            torch.nn.init.normal_(parameter, std=0.3)
    if drafted and drafted < vocabulary:
        made.target_ids = torch.randperm(vocabulary)[:drafted].sort().values
    share_target(made.eval().requires_grad_(False), model)
    return made.to(model.dtype)


def echo(model: PreTrainedModel) -> EagleHead:
    """An EAGLE-1 head whose guess is often right: it hands on the target's own last state, so drafts repeat its choice."""
    made = head(model, 1)
    with torch.no_grad():
        made.fc.weight.zero_()
        made.fc.weight[:, WIDTH:] = torch.eye(WIDTH)
        made.fc.bias.zero_()
        made.midlayer.self_attn.o_proj.weight.zero_()
        made.midlayer.mlp.down_proj.weight.zero_()
    return made


def speculator(
    architecture: str = "llama", version: int = 3, *, drafted: int | None = None, **settings: Any
) -> Speculator:
    """A tiny pair ready to generate from token ids."""
    model = target(architecture, **settings)
    return Speculator(model, head(model, version, drafted=drafted))
