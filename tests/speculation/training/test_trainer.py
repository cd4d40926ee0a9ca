"""Does a head learn, for each architecture, in the published format, and to the same weights after a stop?"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from trimtab.lm.training import Fit
from trimtab.speculation.engine.head_files import load_head
from trimtab.speculation.training.data import Prompt
from trimtab.speculation.training.recipe import AnswerSettings, HeadRecipe
from trimtab.speculation.training.trainer import head_config, train_head, train_on, window_order

RECIPE = HeadRecipe(
    "tiny",
    draft_vocab_size=24,
    unroll=3,
    window_tokens=32,
    batch_tokens=128,
    held_out_share=0.2,
    compile=False,
    answers=AnswerSettings(tokens=200, max_new_tokens=16, batch_rows=8, shard_prompts=8),
    fit=Fit(steps=3, warmup=2, log_every=1, checkpoint_every=1),
)
PROMPTS = [Prompt(str(n), tuple((5 * n + 3 * i) % 38 + 2 for i in range(2 + n % 6))) for n in range(40)]


def silent(_step: int, _metrics: dict[str, float]) -> None:
    """No log."""


@pytest.mark.parametrize("architecture", ["llama", "qwen2", "qwen3", "mistral"])
def test_a_head_is_trained_saved_and_loaded_for_each_architecture(make_target, architecture, tmp_path: Path) -> None:
    target, seen = make_target(architecture), dict[int, dict[str, float]]()
    head = train_head(target, PROMPTS, RECIPE, tmp_path, log=lambda step, metrics: seen.update({step: metrics}))
    assert sorted(seen) == [0, 1, 2, 3]
    assert all(np.isfinite(value) for metrics in seen.values() for value in metrics.values())
    assert {"loss", "chain_tau", "acc_0", "acc_2", "held_out/acc_0"} <= seen[3].keys()
    loaded = load_head(tmp_path / "head", target)
    assert torch.equal(loaded.target_ids, head.target_ids)
    assert loaded.config.taps == (2, 4, 5)
    for name, tensor in loaded.state_dict().items():
        assert torch.equal(tensor, head.state_dict()[name].to(torch.bfloat16).to(tensor.dtype)), name


def test_a_stopped_training_ends_with_the_same_weights(make_target, answered, tmp_path: Path) -> None:
    recipe = replace(RECIPE, fit=replace(RECIPE.fit, steps=5))
    train_on(make_target(), answered, recipe, tmp_path / "whole", silent)

    def stop(step: int, _metrics: dict[str, float]) -> None:
        if step == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_on(make_target(), answered, recipe, tmp_path / "stopped", stop)
    train_on(make_target(), answered, recipe, tmp_path / "stopped", silent)
    whole, resumed = (load_file(tmp_path / name / "state.safetensors") for name in ("whole", "stopped"))
    assert whole.keys() == resumed.keys()
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)


def test_a_head_learns_what_its_target_says(make_target, tmp_path: Path) -> None:
    target, seen = make_target(), list[dict[str, float]]()
    recipe = replace(RECIPE, fit=Fit(steps=150, learning_rate=1e-2, warmup=5, log_every=1, checkpoint_every=150))
    train_head(target, PROMPTS, recipe, tmp_path, log=lambda _step, metrics: seen.append(metrics))
    assert seen[1]["acc_0"] < 0.4
    assert seen[-1]["acc_0"] > seen[1]["acc_0"] + 0.4
    assert seen[-1]["acc_2"] > 0.6
    assert seen[-1]["chain_tau"] > 2.5


def test_a_half_trained_head_of_another_recipe_is_refused(make_target, answered, tmp_path: Path) -> None:
    train_on(make_target(), answered, RECIPE, tmp_path, silent)
    train_on(make_target(), answered, replace(RECIPE, target="the same, elsewhere"), tmp_path, silent)
    with pytest.raises(ValueError, match="half-trained head of another recipe"):
        train_on(make_target(), answered, replace(RECIPE, unroll=2), tmp_path, silent)
    with pytest.raises(ValueError, match="half-trained head of another target"):
        train_on(make_target(seed=1), answered, RECIPE, tmp_path, silent)


def test_a_shallow_target_needs_taps(make_target) -> None:
    shallow = make_target(layers=4)
    with pytest.raises(ValueError, match="need at least 7"):
        head_config(shallow, RECIPE)
    assert head_config(shallow, replace(RECIPE, taps=(0, 1, 3))).feature_size == 96
    with pytest.raises(ValueError, match=r"taps are \(0, 9\): expected different layers"):
        head_config(shallow, replace(RECIPE, taps=(0, 9)))


def test_windows_longer_than_the_context_are_refused(make_target, answered, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="window_tokens is 128; the target attends over 64"):
        train_on(make_target(), answered, replace(RECIPE, window_tokens=128), tmp_path, silent)


def test_each_epoch_shows_every_window_once() -> None:
    order = np.concatenate([window_order(7, 3, step, seed=0) for step in range(7)])
    assert sorted(order[:7]) == sorted(order[7:14]) == sorted(order[14:]) == list(range(7))
    assert list(order[:7]) != list(order[7:14])


def test_the_recipe_is_checked_and_told_apart() -> None:
    with pytest.raises(ValueError, match="unroll is 0"):
        replace(RECIPE, unroll=0)
    with pytest.raises(ValueError, match="less than one window"):
        replace(RECIPE, batch_tokens=8)
    assert RECIPE.fingerprint() == replace(RECIPE, compile=True).fingerprint()
    assert RECIPE.fingerprint() != replace(RECIPE, seed=1).fingerprint()


def test_the_verb_trains_from_a_file_and_goes_on(make_target, tmp_path: Path) -> None:
    from trimtab.speculation.training.verb import TrainHead
    from trimtab.zoo.tokenizer import train_tokenizer

    texts = [f"how much is {a} and {b}?" for a in range(4) for b in range(4)]
    data = tmp_path / "chats.jsonl"
    data.write_text("".join(json.dumps({"turns": [text]}) + "\n" for text in texts))
    tokenizer = train_tokenizer(texts, vocab_size=280, max_length=128)
    make_target(vocab_size=len(tokenizer), max_position_embeddings=128).save_pretrained(tmp_path / "target")
    tokenizer.save_pretrained(tmp_path / "target")
    verb = TrainHead(
        str(tmp_path / "target"),
        str(data),
        tmp_path / "out",
        max_new_tokens=16,
        steps=2,
        window_tokens=64,
        batch_tokens=128,
        draft_vocab_size=100,
        compile=False,
    )
    verb.run()
    first = (tmp_path / "out" / "head" / "model.safetensors").read_bytes()
    verb.run()
    assert (tmp_path / "out" / "head" / "model.safetensors").read_bytes() == first
    rows = [json.loads(line) for line in (tmp_path / "out" / "log.jsonl").read_text().splitlines()]
    assert rows[0]["answer_tokens"] > 0
    assert any(row.get("step") == 2 for row in rows)
