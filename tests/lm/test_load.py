"""Models are found by hub id, path or zoo name; what does not fit is refused by name."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from speculation import tiny
from trimtab.lm.load import load_model, resolve


def test_zoo_names() -> None:
    assert resolve("some/hub-id") == "some/hub-id"
    assert Path(resolve("zoo:chat")).name == "chat"
    with pytest.raises(ValueError, match="zoo:chat"):
        resolve("zoo:chta")


def test_the_embedded_model_loads_in_its_own_dtype_and_in_others() -> None:
    model, tokenizer = load_model("zoo:chat")
    assert model.dtype == torch.bfloat16
    assert not model.training
    assert tokenizer.chat_template
    assert load_model("zoo:chat", dtype="float32")[0].dtype == torch.float32


def test_a_tokenizer_with_more_tokens_than_the_model_is_refused(tmp_path: Path) -> None:
    _, tokenizer = load_model("zoo:chat")
    tiny.target().save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    with pytest.raises(ValueError, match="do not belong together"):
        load_model(tmp_path)
