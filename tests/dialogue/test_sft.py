"""Does supervised fine-tuning lower the perplexity of held-out replies, log it with samples, and go on where it stopped?"""

from __future__ import annotations

import builtins
import json
import math
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from dialogue.samples import example
from trimtab.cli import run
from trimtab.dialogue.example import Example
from trimtab.dialogue.ppo.building import Lora
from trimtab.dialogue.sft import SftSettings, fine_tune, quantisation, reply_perplexity, token_rows
from trimtab.dialogue.tasks.moods import Moods
from trimtab.dialogue.tasks.moods_tokenizer import moods_tokenizer
from trimtab.runs import read_metrics, read_steps


def strange(split: str, count: int) -> list[Example]:
    """Dialogues whose replies have their words in reverse: something that zoo:dialogue has yet to learn."""
    made = Moods(3).examples(split, count)
    return [replace(one, reference=" ".join(reversed(one.reference.split()))) for one in made]


@pytest.mark.parametrize("rank", [0, 4])
def test_fine_tuning_learns_what_replies_are_like(rank: int, tmp_path: Path) -> None:
    from trimtab.lm.load import load_model

    settings = SftSettings(steps=12, batch_size=16, learning_rate=2e-3, warmup_steps=2, lora=Lora(rank))
    before, tokenizer = load_model("zoo:dialogue", dtype="float32")
    told: list[tuple[int, float]] = []

    def evaluate(step: int, model: Any, tokenizer: Any) -> None:
        told.append((step, reply_perplexity(model, tokenizer, strange("validation", 32))))

    model, _ = fine_tune("zoo:dialogue", strange("train", 192), settings, tmp_path, evaluate=evaluate, evaluate_every=8)
    assert [step for step, _ in told] == [0, 8]
    untrained = reply_perplexity(before, tokenizer, strange("validation", 32))
    assert math.log(told[0][1]) == pytest.approx(math.log(untrained), rel=1e-3)
    assert reply_perplexity(model, tokenizer, strange("validation", 32)) < 0.8 * told[0][1]
    assert hasattr(model, "disable_adapter") is (rank > 0)


def test_perplexity_by_hand() -> None:
    from trimtab.lm.load import load_model

    model, tokenizer = load_model("zoo:dialogue", dtype="float32")
    (made,) = Moods().examples("test", 1)
    prompt, said = (tokenizer(text, add_special_tokens=False)["input_ids"] for text in (made.prompt, made.reference))
    said = [*said, tokenizer.eos_token_id]
    with torch.no_grad():
        logprobs = model(torch.tensor([[*prompt, *said]])).logits[0].log_softmax(-1)
    nats = [-float(logprobs[len(prompt) - 1 + i, token]) for i, token in enumerate(said)]
    assert reply_perplexity(model, tokenizer, [made]) == pytest.approx(torch.tensor(nats).mean().exp().item(), rel=1e-4)


def test_the_loss_is_on_the_reply_alone_its_end_included() -> None:
    tokenizer: Any = moods_tokenizer()
    (made,) = Moods().examples("test", 1)
    (row,) = token_rows(tokenizer, [made], SftSettings(context_max_length=5, reply_max_length=100))
    count = len(made.reference.split()) + 1
    assert row["completion_mask"] == [0] * 5 + [1] * count
    assert row["input_ids"][-1] == tokenizer.eos_token_id
    assert row["input_ids"][:5] == tokenizer(made.prompt, add_special_tokens=False)["input_ids"][-5:]
    with pytest.raises(ValueError, match="example 'one' has no reference to learn from"):
        token_rows(tokenizer, [example(" ")], SftSettings())


def test_four_bits_need_an_adapter_bitsandbytes_and_cuda(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="give a LoRA rank above 0"):
        SftSettings(load_in_4bit=True)
    settings = SftSettings(load_in_4bit=True, lora=Lora(4))
    real = builtins.__import__

    def without(name: str, *rest: Any, **more: Any) -> Any:
        if name == "bitsandbytes":
            raise ModuleNotFoundError(name)
        return real(name, *rest, **more)

    monkeypatch.delitem(sys.modules, "bitsandbytes", raising=False)
    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ValueError, match=r"needs the package bitsandbytes: pip install 'trimtab\[4bit\]'"):
        quantisation(settings)
    assert quantisation(SftSettings()) == {}


def test_the_command_logs_perplexity_and_samples(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asked = [
        "dialogue",
        "sft",
        "--model-name",
        "zoo:dialogue",
        "--data",
        "moods:train:64",
        "--validation",
        "moods:validation:8",
    ]
    more = ["--steps", "4", "--evaluate-every", "2", "--save-dir", str(tmp_path), "--name", "run", "--track"]
    assert run([*asked, *more]) == 0
    path = tmp_path / "run"
    rows = [row for row in read_metrics(path) if "perplexity" in row]
    assert [row["step"] for row in rows] == [0, 2, 5]
    assert json.loads((path / "summary.json").read_text())["perplexity"] == rows[-1]["perplexity"]
    samples = list(read_steps(path))
    assert [sample["outcome"]["after_steps"] for sample in samples] == [0] * 3 + [2] * 3 + [5] * 3
    assert "perplexity" in capsys.readouterr().out
    assert (path / "model" / "model.safetensors").is_file()
