"""What does a published EAGLE head say of itself? Its ``config.json``, in the dialects found on the hub, as one record.

EAGLE-1/2 (arXiv:2401.15077, 2406.16858) and EAGLE-3 (arXiv:2503.01840), as written by the original project, SpecForge,
and vLLM's ``speculators`` (whose layer settings are nested).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trimtab.reading import refusing

_NESTED = ("transformer_layer_config", "text_config")


@dataclass(frozen=True)
class HeadConfig:
    """An EAGLE head's architecture.

    ``version`` is 1 (EAGLE-1 and -2 share weights) or 3. ``taps`` are the target's decoder layers whose *inputs* are the
    features; None where the file does not say and the published default (2, L//2, L-3) holds.
    """

    version: int
    hidden_size: int
    intermediate_size: int
    heads: int
    key_value_heads: int
    vocab_size: int
    draft_vocab_size: int
    rms_norm_eps: float
    rope: Mapping[str, Any]
    max_position: int
    fc_bias: bool
    qkv_bias: bool
    taps: tuple[int, ...] | None
    target_hidden_size: int
    norm_before_residual: bool = False

    @property
    def head_dim(self) -> int:
        return self.hidden_size // self.heads

    @property
    def feature_size(self) -> int:
        """Width of the target's features for one token: three taps (EAGLE-3), or the last hidden state (EAGLE-1)."""
        return self.target_hidden_size * (len(self.taps or (0, 0, 0)) if self.version == 3 else 1)

    def to_json(self) -> dict[str, Any]:
        """The published EAGLE-3 ``config.json`` of this head."""
        return {
            "architectures": ["LlamaForCausalLMEagle3"],
            "model_type": "llama",
            "hidden_size": self.hidden_size,
            "intermediate_size": self.intermediate_size,
            "num_attention_heads": self.heads,
            "num_key_value_heads": self.key_value_heads,
            "num_hidden_layers": 1,
            "rms_norm_eps": self.rms_norm_eps,
            "vocab_size": self.vocab_size,
            "draft_vocab_size": self.draft_vocab_size,
            "max_position_embeddings": self.max_position,
            "rope_theta": self.rope["rope_theta"],
            "hidden_act": "silu",
            "tie_word_embeddings": False,
            "bias": self.fc_bias,
            "target_hidden_size": self.target_hidden_size,
            "eagle_aux_hidden_state_layer_ids": list(self.taps or ()),
            "torch_dtype": "bfloat16",
        }


def _flattened(raw: Mapping[str, Any]) -> dict[str, Any]:
    """Nested dialects laid flat: the layer's settings first, the outer ones win."""
    flat: dict[str, Any] = {}
    for name in _NESTED:
        flat |= raw.get(name) or {}
    flat |= {key: value for key, value in raw.items() if key not in _NESTED and value is not None}
    return flat | dict(flat.get("eagle_config") or {})


def _rope(flat: Mapping[str, Any]) -> dict[str, Any]:
    """Rotary settings in transformers' form. The head's own theta, or 10000: never the target's (research notes 1.2)."""
    scaling = dict(flat.get("rope_scaling") or {})
    settings = {"rope_type": "default", **scaling, **dict(flat.get("rope_parameters") or {})}
    settings["rope_type"] = settings.pop("type", settings["rope_type"])
    theta = flat.get("rope_theta", settings.get("rope_theta", 10_000.0))
    return {**settings, "rope_theta": float(theta)}


def _version(flat: Mapping[str, Any]) -> int:
    named = " ".join(map(str, [*(flat.get("architectures") or []), flat.get("speculators_model_type", "")])).lower()
    return 3 if "draft_vocab_size" in flat or "eagle3" in named else 1


def read_config(path: Path) -> HeadConfig:
    """Read ``path/config.json``.

    Raises FileNotFoundError where there is none, ValueError where it lacks what an EAGLE head needs, names more than one
    layer, or a hidden activation other than SiLU.
    """
    file = path / "config.json"
    if not file.is_file():
        raise FileNotFoundError(f"{path} holds no config.json: expected an EAGLE head's folder")
    with refusing(file, "config of an EAGLE head", "take the folder of a published head"):
        return _config(file)


def _config(file: Path) -> HeadConfig:
    flat = _flattened(json.loads(file.read_text(encoding="utf-8")))
    needed = ("hidden_size", "intermediate_size", "num_attention_heads", "vocab_size")
    missing = [name for name in needed if name not in flat]
    if missing:
        raise ValueError(f"{file} lacks {', '.join(missing)}: is it the config of an EAGLE head?")
    if flat.get("num_hidden_layers", 1) != 1:
        raise ValueError(
            f"{file} says num_hidden_layers {flat['num_hidden_layers']}; a published EAGLE head has 1. "
            "Was the target's folder given in place of the head's?"
        )
    if flat.get("hidden_act", "silu") != "silu":
        raise ValueError(f"{file} says hidden_act {flat['hidden_act']!r}; EAGLE heads of this format use silu")
    taps = flat.get("eagle_aux_hidden_state_layer_ids")
    version = _version(flat)
    return HeadConfig(
        version=version,
        hidden_size=flat["hidden_size"],
        intermediate_size=flat["intermediate_size"],
        heads=flat["num_attention_heads"],
        key_value_heads=flat.get("num_key_value_heads", flat["num_attention_heads"]),
        vocab_size=flat["vocab_size"],
        draft_vocab_size=flat.get("draft_vocab_size", flat["vocab_size"]),
        rms_norm_eps=flat.get("rms_norm_eps", 1e-6),
        rope=_rope(flat),
        max_position=flat.get("max_position_embeddings", 2048),
        # EAGLE-1's fc has a bias unless the config says no; EAGLE-3's never has
        fc_bias=bool(flat.get("bias", True)) if version == 1 else False,
        qkv_bias=bool(flat.get("qkv_bias", flat.get("attention_bias", False))),
        taps=tuple(taps) if taps else None,
        target_hidden_size=flat.get("target_hidden_size") or flat["hidden_size"],
        norm_before_residual=bool(flat.get("norm_before_residual", False)),
    )
