"""The tokens that NVIDIA's kvpress keeps, where it is installed: it needs transformers below 5.3, another environment.

pip install kvpress && pytest tests/compression/engine/test_kvpress.py
"""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from compression import tiny_models as tiny
from trimtab.compression.engine.compressor import compress
from trimtab.compression.engine.method import Method, Pool
from trimtab.compression.engine.weights import Curve

kvpress: Any = pytest.importorskip(
    "kvpress", reason="kvpress is not installed: it needs transformers below 5.3, an environment of its own"
)

TOKENS, KEPT, WINDOW = 80, 24, 8


def _kept_by_kvpress(model: Any, ids: torch.Tensor, press: Any) -> list[list[list[int]]]:
    """Positions kept in each layer and KV head: found by their keys, which no two tokens share."""
    with torch.no_grad():
        whole = model(ids).past_key_values
        with press(model):
            kept = model(ids).past_key_values
    found: list[list[list[int]]] = []
    for full, few in zip(whole.layers, kept.layers, strict=True):
        same_GKN = (few.keys[0][:, :, None] == full.keys[0][:, None]).all(-1)
        assert (same_GKN.sum(-1) == 1).all()
        found.append(same_GKN.int().argmax(-1).sort(-1).values.tolist())
    return found


def _kept_here(model: Any, ids: torch.Tensor, method: Method) -> list[list[list[int]]]:
    with torch.no_grad(), compress(model, method, budget_tokens=KEPT, positions=True) as made:
        model(ids)
    return [layer[0].tolist() for layer in made.positions]


@pytest.mark.parametrize("architecture", ["llama", "qwen2", "qwen3", "mistral"])
@pytest.mark.parametrize("kernel", [1, 5])
def test_snapkv(architecture: str, kernel: int) -> None:
    model, ids = tiny.model(architecture), tiny.tokens(TOKENS)
    press = kvpress.SnapKVPress(compression_ratio=1 - KEPT / TOKENS, window_size=WINDOW, kernel_size=kernel)
    method = Method(Curve(math.inf, WINDOW), sinks=0, recent=WINDOW, pool=Pool(kernel, "average"))
    assert _kept_here(model, ids, method) == _kept_by_kvpress(model, ids, press)


@pytest.mark.parametrize("architecture", ["llama", "qwen2", "qwen3", "mistral"])
def test_tova(architecture: str) -> None:
    model, ids = tiny.model(architecture), tiny.tokens(TOKENS)
    method = Method(Curve(math.inf, 1), sinks=0, recent=1, share_heads=True)
    press = kvpress.TOVAPress(compression_ratio=1 - KEPT / TOKENS)
    assert _kept_here(model, ids, method) == _kept_by_kvpress(model, ids, press)
