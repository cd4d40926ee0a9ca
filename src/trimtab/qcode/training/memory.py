"""How much memory will a training take? An estimate from the model's shape, by part, on each device.

Weights, gradients and Adam's moments in mixed precision take 2 + 2 + 12 bytes a parameter, sharded by ZeRO's stage
(Rajbhandari et al. 2020, arXiv:1910.02054, section 3); activations with checkpointing keep each layer's input and
recompute one layer (Korthikanti et al. 2022, arXiv:2205.05198, section 4); logits are what a large vocabulary costs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

GIB = 2**30
Sharding = Literal["none", "zero2", "zero3", "fsdp"]


@dataclass(frozen=True)
class Shape:
    """A decoder's sizes."""

    layers: int
    hidden: int
    intermediate: int
    heads: int
    key_value_heads: int
    vocabulary: int
    tied: bool

    @property
    def layer_parameters(self) -> int:
        """Of one layer: attention and gated MLP."""
        attention = 2 * self.hidden * self.hidden * (1 + self.key_value_heads / self.heads)
        return int(attention + 3 * self.hidden * self.intermediate)

    @property
    def parameters(self) -> int:
        return self.layers * self.layer_parameters + self.vocabulary * self.hidden * (1 if self.tied else 2)

    @property
    def key_value_bytes(self) -> int:
        """Of one token's cache, in bf16."""
        return 2 * 2 * self.layers * self.hidden * self.key_value_heads // self.heads


QWEN25: dict[str, Shape] = {
    "1.5b": Shape(28, 1536, 8960, 12, 2, 151_936, True),
    "3b": Shape(36, 2048, 11_008, 16, 2, 151_936, True),
    "7b": Shape(28, 3584, 18_944, 28, 4, 152_064, False),
    "14b": Shape(48, 5120, 13_824, 40, 8, 152_064, False),
    "32b": Shape(64, 5120, 27_648, 40, 8, 152_064, False),
}
"""Sizes of the Qwen2.5 models that the recipes start from, for machines that cannot reach the hub."""


@dataclass(frozen=True)
class Plan:
    """What is trained, and how it is shared."""

    per_device: int
    sequence_tokens: int
    completion_tokens: int
    processes: int
    sharding: Sharding
    trained_parameters: int | None = None
    """Of an adapter; None: all."""
    reference: bool = False
    """A second, frozen copy (beta above 0 without an adapter)."""
    checkpointing: bool = True
    colocated_share: float = 0.0
    """Of the device's memory, given to vLLM on the same device."""
    generating: bool = True
    """Completions are written by transformers on this device (no vLLM)."""


def of_config(config: object) -> Shape:
    """The shape of a transformers configuration."""

    def size(name: str, default: int | None = None) -> int:
        value = getattr(config, name, default)
        if value is None:
            raise ValueError(f"the model's configuration has no {name}: its memory cannot be estimated")
        return int(value)

    heads = size("num_attention_heads")
    return Shape(
        size("num_hidden_layers"),
        size("hidden_size"),
        size("intermediate_size"),
        heads,
        size("num_key_value_heads", heads),
        size("vocab_size"),
        bool(getattr(config, "tie_word_embeddings", False)),
    )


def estimate(shape: Shape, plan: Plan, gpu_gib: float = 80.0) -> dict[str, float]:
    """GiB on each device, by part."""
    whole = shape.parameters
    trained = whole if plan.trained_parameters is None else plan.trained_parameters
    over = plan.processes
    states = {"none": 1, "zero2": over, "zero3": over, "fsdp": over}[plan.sharding]
    weights = {"none": 1, "zero2": 1, "zero3": over, "fsdp": over}[plan.sharding]
    tokens = plan.per_device * plan.sequence_tokens
    kept = tokens * shape.hidden * 2 * (shape.layers if plan.checkpointing else 16 * shape.layers)
    layer = tokens * 2 * (16 * shape.hidden + 3 * shape.intermediate)
    gathered = 2 * 2 * shape.layer_parameters if weights > 1 else 0
    parts = {
        "weights": 2 * whole / weights,
        "reference": 2 * whole / weights if plan.reference else 0.0,
        "gradients": 2 * trained / states,
        "optimizer": 12 * trained / states,
        "activations": kept + layer,
        "logits": plan.per_device * plan.completion_tokens * shape.vocabulary * (2 + 4 + 4),
        "gathered_layers": gathered,
        "cache_of_generation": tokens * shape.key_value_bytes if plan.generating else 0.0,
        "vllm": plan.colocated_share * gpu_gib * GIB,
    }
    return {name: size / GIB for name, size in parts.items() if size}
