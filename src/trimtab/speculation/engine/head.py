"""What does an EAGLE head compute? One decoder layer that predicts the target's next features, and tokens from them.

EAGLE-1/2: x = fc(embed(t_{i+1}), f_i), a layer without input norm, the *target's* LM head.
EAGLE-3: g = fc(three taps); queries, keys and values from (norm(embed), norm(g)); an LM head of its own over a draft
vocabulary. The state handed to the next step is the un-normed output in both.

The layer asks its caller to attend, so that the same weights serve drafting (``drafter.py``) and training (``trainer``).
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import LlamaConfig
from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding

from trimtab.speculation.engine.head_config import HeadConfig

Attend = Callable[[Tensor, Tensor, Tensor], Tensor]
"""(q [*, heads, head_dim], k [*, kv_heads, head_dim], v likewise), before rotation -> [*, heads * head_dim]."""


class _Attention(nn.Module):
    def __init__(self, config: HeadConfig, width: int) -> None:
        super().__init__()
        queries, pairs = config.heads * config.head_dim, config.key_value_heads * config.head_dim
        self.q_proj = nn.Linear(width, queries, bias=config.qkv_bias)
        self.k_proj = nn.Linear(width, pairs, bias=config.qkv_bias)
        self.v_proj = nn.Linear(width, pairs, bias=config.qkv_bias)
        self.o_proj = nn.Linear(queries, config.hidden_size, bias=False)


class _MLP(nn.Module):
    def __init__(self, config: HeadConfig) -> None:
        super().__init__()
        self.gate_proj = nn.Linear(config.hidden_size, config.intermediate_size, bias=False)
        self.up_proj = nn.Linear(config.hidden_size, config.intermediate_size, bias=False)
        self.down_proj = nn.Linear(config.intermediate_size, config.hidden_size, bias=False)

    def forward(self, hidden: Tensor) -> Tensor:
        return self.down_proj(F.silu(self.gate_proj(hidden)) * self.up_proj(hidden))


class _Layer(nn.Module):
    """The head's decoder layer, with the published names of its tensors."""

    def __init__(self, config: HeadConfig) -> None:
        super().__init__()
        eagle3 = config.version == 3
        self.self_attn = _Attention(config, config.hidden_size * (2 if eagle3 else 1))
        self.mlp = _MLP(config)
        self.post_attention_layernorm = nn.RMSNorm(config.hidden_size, eps=config.rms_norm_eps)
        if eagle3:
            self.input_layernorm = nn.RMSNorm(config.hidden_size, eps=config.rms_norm_eps)
            self.hidden_norm = nn.RMSNorm(config.hidden_size, eps=config.rms_norm_eps)


class EagleHead(nn.Module):
    """An EAGLE head. ``embedding_weight [V, H]`` and, for EAGLE-1, ``output_weight [V, H]`` are the target's own tensors.

    ``target_ids [D]`` maps a drafted id to the target's id (the identity where both vocabularies are one).
    """

    target_ids: Tensor
    embedding_weight: Tensor
    output_weight: Tensor

    def __init__(self, config: HeadConfig) -> None:
        super().__init__()
        self.config = config
        eagle3 = config.version == 3
        inputs = config.feature_size if eagle3 else 2 * config.hidden_size
        self.fc = nn.Linear(inputs, config.hidden_size, bias=config.fc_bias)
        self.midlayer = _Layer(config)
        if eagle3:
            self.norm = nn.RMSNorm(config.hidden_size, eps=config.rms_norm_eps)
            self.lm_head = nn.Linear(config.hidden_size, config.draft_vocab_size, bias=False)
        self.register_buffer("target_ids", torch.arange(config.draft_vocab_size), persistent=False)
        self.register_buffer("embedding_weight", torch.empty(0), persistent=False)
        self.register_buffer("output_weight", torch.empty(0), persistent=False)

    def fuse(self, features: Tensor) -> Tensor:
        """The target's features [*, feature_size] as the head's state [*, H]."""
        return self.fc(features) if self.config.version == 3 else features

    def layer(self, tokens: Tensor, state: Tensor, attend: Attend) -> Tensor:
        """One step: ``tokens [*]`` follow the positions whose ``state [*, H]`` is given; the next state [*, H]."""
        config, layer = self.config, self.midlayer
        embedded = F.embedding(tokens, self.embedding_weight).to(state.dtype)
        if config.version == 3:
            normed = layer.hidden_norm(state)
            residual = normed if config.norm_before_residual else state
            inputs = torch.cat((layer.input_layernorm(embedded), normed), dim=-1)
        else:
            inputs = residual = self.fc(torch.cat((embedded, state), dim=-1))
        attention = layer.self_attn
        split = (*inputs.shape[:-1], -1, config.head_dim)
        attended = attend(
            attention.q_proj(inputs).view(split),
            attention.k_proj(inputs).view(split),
            attention.v_proj(inputs).view(split),
        )
        hidden = residual + attention.o_proj(attended)
        return hidden + layer.mlp(layer.post_attention_layernorm(hidden))

    def logits(self, state: Tensor) -> Tensor:
        """Scores [*, D] over the draft vocabulary of the token after ``state [*, H]``."""
        if self.config.version == 3:
            return self.lm_head(self.norm(state))
        return F.linear(state, self.output_weight)


def rotary(config: HeadConfig, positions: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Cosines and sines [positions, head_dim] in float32, in transformers' layout (two equal halves)."""
    settings = LlamaConfig(
        hidden_size=config.hidden_size,
        num_attention_heads=config.heads,
        head_dim=config.head_dim,
        max_position_embeddings=config.max_position,
        rope_parameters=dict(config.rope),
    )
    embedding = LlamaRotaryEmbedding(settings).to(device)
    probe = torch.zeros(1, dtype=torch.float32, device=device)
    cos, sin = embedding(probe, torch.arange(positions, device=device)[None])
    return cos[0], sin[0]


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotary embedding of x [*, heads, head_dim] by cos, sin [*, 1, head_dim]."""
    half = x.shape[-1] // 2
    return x * cos + torch.cat((-x[..., half:], x[..., :half]), dim=-1) * sin
