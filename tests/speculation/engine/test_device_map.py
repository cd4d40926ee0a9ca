"""A model that accelerate has placed by ``device_map`` decodes as one that lies on one device."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM

from speculation import tiny
from trimtab.speculation.actions import TreeShape
from trimtab.speculation.engine.cache import TreeCache
from trimtab.speculation.engine.speculator import Speculator
from trimtab.speculation.recipe import Pair
from trimtab.speculation.stages import load_pair

PROMPT = [5, 9, 2, 41, 17]
SHAPE = TreeShape(12, 4, 3)


def placed(folder: Path, device_map: Any) -> Speculator:
    """The tiny pair, its target read from ``folder`` with a device map."""
    model = AutoModelForCausalLM.from_pretrained(folder, device_map=device_map, dtype=torch.float32)
    device = model.get_input_embeddings().weight.device
    return Speculator(model, tiny.head(tiny.target()).to(device))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    tiny.target().save_pretrained(tmp_path)
    return tmp_path


def halves(one: Any, other: Any) -> dict[str, Any]:
    """The first four layers here, the rest there."""
    layers = {f"model.layers.{layer}": one if layer < 4 else other for layer in range(8)}
    return {"model.embed_tokens": one, "model.rotary_emb": one, **layers, "model.norm": other, "lm_head": other}


@pytest.mark.parametrize("device_map", [{"": "cpu"}, halves("cpu", "cpu")], ids=["whole", "layer by layer"])
def test_a_placed_model_writes_the_same_text(folder: Path, device_map: Any) -> None:
    expected = tiny.speculator().generate(PROMPT, 24, shape=SHAPE)
    made = placed(folder, device_map).generate(PROMPT, 24, shape=SHAPE)
    assert made.tokens == expected.tokens
    assert [r.accepted for r in made.rounds] == [r.accepted for r in expected.rounds]


def test_offloaded_layers_are_refused(folder: Path) -> None:
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    model.model.layers[5].to("meta")
    with pytest.raises(ValueError, match="offloaded"):
        TreeCache(model)


def test_a_device_and_a_device_map_exclude_each_other() -> None:
    with pytest.raises(ValueError, match="expected one of them"):
        load_pair(Pair(device="cpu", device_map="auto"))


def test_the_command_line_splits_the_pair() -> None:
    made = load_pair(Pair(dtype="float32", device_map="cpu"))
    assert (
        made.generate("Hello.", 4, shape=SHAPE).tokens
        == load_pair(Pair(dtype="float32")).generate("Hello.", 4, shape=SHAPE).tokens
    )


@pytest.mark.gpu
@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="needs two GPUs")
def test_a_split_model_writes_the_same_text(folder: Path) -> None:
    whole, split = placed(folder, {"": 0}), placed(folder, halves(0, 1))
    assert split.generate(PROMPT, 24, shape=SHAPE).tokens == whole.generate(PROMPT, 24, shape=SHAPE).tokens
    devices = [keys.device.index for keys, _ in split.target.cache.views]
    assert devices == [0, 0, 0, 0, 1, 1, 1, 1]
