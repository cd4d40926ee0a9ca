"""Small random models of the five architectures, prompts, and a naive compressor to compare with."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from transformers import (
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    OPTConfig,
    OPTForCausalLM,
    PreTrainedModel,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
)

from trimtab.compression.engine.weights import Curve, Geometric

ARCHITECTURES: dict[str, tuple[type[Any], type[Any]]] = {
    "llama": (LlamaConfig, LlamaForCausalLM),
    "qwen2": (Qwen2Config, Qwen2ForCausalLM),
    "qwen3": (Qwen3Config, Qwen3ForCausalLM),
    "mistral": (MistralConfig, MistralForCausalLM),
    "opt": (OPTConfig, OPTForCausalLM),
}
VOCABULARY = 96
LAYERS = 3


def model(architecture: str = "llama", *, dtype: torch.dtype = torch.float32, **settings: Any) -> PreTrainedModel:
    """A random model of 3 layers, 4 heads, 2 KV heads (OPT: 4), sharp enough that its choices are no ties."""
    config_class, model_class = ARCHITECTURES[architecture]
    options: dict[str, Any] = {
        "vocab_size": VOCABULARY,
        "hidden_size": 32,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": 4,
        "max_position_embeddings": 512,
        "bos_token_id": None,
        "eos_token_id": None,
        "pad_token_id": None,
    }
    if architecture == "opt":
        options |= {"ffn_dim": 48, "word_embed_proj_dim": 32, "init_std": 0.3}
    else:
        options |= {"intermediate_size": 48, "num_key_value_heads": 2, "head_dim": 8, "initializer_range": 0.3}
        options |= {"sliding_window": None, "tie_word_embeddings": False}
    torch.manual_seed(0)
    made = model_class(config_class(**(options | settings)))
    for name, parameter in made.named_parameters():
        if name.endswith("bias"):  # biases are zero where they are made: they would hide a forgotten one
            torch.nn.init.normal_(parameter, std=0.2)
    made.generation_config.pad_token_id = 0
    return made.to(dtype).eval()


def tokens(count: int, *, batch: int = 1, seed: int = 1) -> Tensor:
    """Random token ids [batch, count]."""
    return torch.randint(1, VOCABULARY, (batch, count), generator=torch.Generator().manual_seed(seed))


def eager_attentions(of: PreTrainedModel, ids_BN: Tensor, mask_BN: Tensor | None = None) -> list[Tensor]:
    """Attention [B, H, N, N] of each layer, as transformers' eager code gives it."""
    before = of.config._attn_implementation
    of.set_attn_implementation("eager")
    try:
        with torch.no_grad():
            return list(of(ids_BN, attention_mask=mask_BN, output_attentions=True, use_cache=False).attentions)
    finally:
        of.set_attn_implementation(before)


def naive_scores(attention_HNN: Tensor, groups: int, weights: Curve | Geometric, layer: int) -> Tensor:
    """Scores [G, N], a query and a head at a time."""
    heads, total, _ = attention_HNN.shape
    scores = torch.zeros(groups, total, dtype=torch.float64)
    for head in range(heads):
        group = head // (heads // groups)
        for query in range(total):
            row = weights.weights(layer, groups, torch.tensor([total - 1 - query]))[:, 0]
            weight = float(row[group if len(row) > 1 else 0])
            scores[group] += weight * attention_HNN[head, query].double()
    return scores


def naive_kept(scores_GN: Tensor, budget: int, sinks: int, recent: int) -> list[list[int]]:
    """Indices kept in each KV head, by sorting."""
    total = scores_GN.shape[1]
    kept: list[list[int]] = []
    for row in scores_GN.tolist():
        protected = set(range(sinks)) | set(range(total - recent, total))
        rest = sorted((k for k in range(total) if k not in protected), key=lambda k: -row[k])
        kept.append(sorted(protected | set(rest[: budget - len(protected)])))
    return kept
