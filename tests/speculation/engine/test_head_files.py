"""Published heads in their dialects are read; whatever does not fit is refused by name."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from speculation import tiny
from trimtab.speculation.actions import TreeShape
from trimtab.speculation.engine.head_files import default_taps, load_head, save_head
from trimtab.speculation.engine.speculator import Speculator

SHAPE = TreeShape(12, 3, 3)


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    """A published folder of an EAGLE-3 head with a reduced vocabulary."""
    save_head(tiny.head(tiny.target(), drafted=30), tmp_path / "head")
    return tmp_path / "head"


def rewrite(folder: Path, change: dict[str, object] | None = None, **tensors: torch.Tensor | None) -> None:
    """Change entries of config.json, and replace, add or (None) remove tensors."""
    if change:
        config = json.loads((folder / "config.json").read_text())
        config = {key: value for key, value in (config | change).items() if value is not None}
        (folder / "config.json").write_text(json.dumps(config))
    if tensors:
        kept = load_file(folder / "model.safetensors")
        for name, tensor in tensors.items():
            kept.pop(name.replace("__", "."), None)
            if tensor is not None:
                kept[name.replace("__", ".")] = tensor
        save_file(kept, folder / "model.safetensors")


def drafts(folder: Path) -> list[list[int]]:
    """The trees that a head drafts over a short text: its fingerprint."""
    model = tiny.target()
    made = Speculator(model, load_head(folder, model)).generate([4, 9, 2], 10, shape=SHAPE, trace=True)
    return [r.trace.tokens_N for r in made.rounds if r.trace]


def test_a_saved_head_comes_back(saved: Path) -> None:
    first, again = tiny.head(tiny.target(), drafted=30), load_head(saved, tiny.target())
    assert torch.equal(first.target_ids, again.target_ids)
    for (name, one), (_, other) in zip(first.state_dict().items(), again.state_dict().items(), strict=True):
        assert torch.equal(one.bfloat16(), other.bfloat16()), name


def test_dialects_are_the_same_head(saved: Path) -> None:
    expected = drafts(saved)
    tensors = load_file(saved / "model.safetensors")
    renamed = {name.replace("midlayer.", "layers.0."): tensor for name, tensor in tensors.items()}
    save_file(renamed, saved / "model.safetensors")
    assert drafts(saved) == expected
    (saved / "model.safetensors").unlink()
    torch.save(tensors, saved / "pytorch_model.bin")
    assert drafts(saved) == expected


def test_nested_configs_of_speculators_are_read(saved: Path) -> None:
    expected = drafts(saved)
    flat = json.loads((saved / "config.json").read_text())
    outer = {
        key: flat.pop(key) for key in ("draft_vocab_size", "eagle_aux_hidden_state_layer_ids", "target_hidden_size")
    }
    nested = {"speculators_model_type": "eagle3", "transformer_layer_config": flat, **outer}
    (saved / "config.json").write_text(json.dumps(nested))
    assert drafts(saved) == expected


def test_eagle1_reads_its_bias_from_the_config(tmp_path: Path) -> None:
    model = tiny.target()
    head = tiny.head(model, 1)
    tensors = {name.replace("midlayer.", "layers.0."): t.clone() for name, t in head.state_dict().items()}
    save_file(tensors, tmp_path / "model.safetensors")
    config = {
        "hidden_size": tiny.WIDTH,
        "intermediate_size": 48,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "vocab_size": tiny.VOCABULARY,
        "rms_norm_eps": 1e-5,
    }
    (tmp_path / "config.json").write_text(json.dumps(config))
    read = load_head(tmp_path, model)
    assert read.config.version == 1
    assert torch.equal(read.fc.bias, head.fc.bias)  # absent key: there is a bias
    (tmp_path / "config.json").write_text(json.dumps(config | {"bias": False}))
    with pytest.raises(ValueError, match=r"not expected fc\.bias"):
        load_head(tmp_path, model)


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        ({"norm__weight": None}, r"missing norm\.weight"),
        ({"extra__weight": torch.zeros(2)}, r"not expected extra\.weight"),
        ({"fc__weight": torch.zeros(4, 4)}, r"fc\.weight of shape \[4, 4\]"),
        ({"d2t": None}, "has no d2t"),
        ({"d2t": torch.zeros(7, dtype=torch.int64)}, "d2t"),
        ({"d2t": torch.full((30,), 500)}, "vocab_size 96"),
        ({"t2d": torch.zeros(tiny.VOCABULARY, dtype=torch.bool)}, "t2d and d2t"),
    ],
)
def test_tensors_that_do_not_fit_are_named(saved: Path, tensors: dict[str, torch.Tensor], message: str) -> None:
    rewrite(saved, **tensors)
    with pytest.raises(ValueError, match=message):
        load_head(saved, tiny.target())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"target_hidden_size": 64}, "hidden size 64"),
        ({"vocab_size": 100}, "vocabulary of 100"),
        ({"eagle_aux_hidden_state_layer_ids": [2, 4, 40]}, r"taps layers \[40\]"),
        ({"num_hidden_layers": 32}, "num_hidden_layers 32"),
        ({"hidden_act": "gelu"}, "gelu"),
        ({"hidden_size": None}, "lacks hidden_size"),
    ],
)
def test_configs_that_do_not_fit_are_named(saved: Path, change: dict[str, object], message: str) -> None:
    rewrite(saved, change)
    with pytest.raises(ValueError, match=message):
        load_head(saved, tiny.target())


def test_missing_files_are_named(tmp_path: Path, saved: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no config\.json"):
        load_head(tmp_path, tiny.target())
    (saved / "model.safetensors").unlink()
    with pytest.raises(FileNotFoundError, match="no weights"):
        load_head(saved, tiny.target())


def test_default_taps_need_seven_layers() -> None:
    assert default_taps(32) == (2, 16, 29)
    with pytest.raises(ValueError, match="at least 7"):
        default_taps(6)


def test_a_head_of_another_target_is_noticed() -> None:
    model = tiny.target()
    speculator = Speculator(model, tiny.head(model))
    with pytest.warns(UserWarning, match=r"tau is 1\.0\d after \d+ rounds"):
        made = speculator.generate([1, 2, 3], 250, shape=TreeShape(2, 1, 1))
    assert made.tau < 1.05


@pytest.mark.parametrize(
    ("prompt", "settings", "message"),
    [
        ([], {}, "prompt is empty"),
        ([500], {}, "token id 500"),
        ([1] * 600, {}, "context ends at 512"),
        ([1], {"max_new_tokens": 0}, "at least 1"),
        ([1] * 400, {"max_new_tokens": 200}, "at most 112"),
        ([1], {"shape": TreeShape(60, 7, 97)}, "draft vocabulary of 96"),
        ("text", {}, "no tokenizer"),
    ],
)
def test_impossible_requests_are_refused(prompt: object, settings: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        tiny.speculator().generate(prompt, **settings)  # type: ignore[arg-type]


def test_attention_that_takes_no_mask_is_refused() -> None:
    model = tiny.target()
    model.config._attn_implementation = "flash_attention_2"
    with pytest.raises(ValueError, match="sdpa"):
        Speculator(model, tiny.head(model))
