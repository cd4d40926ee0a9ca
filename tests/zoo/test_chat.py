"""The recipe of the embedded model, in small: tokenizer, stream, training, resumption; and the weights that are shipped."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from trimtab.lm.load import load_model
from trimtab.lm.training import Fit
from trimtab.zoo.chat import ChatRecipe, Stream, build, encode
from trimtab.zoo.corpus import Conversation
from trimtab.zoo.tokenizer import train_tokenizer

TALK = [
    Conversation(f"talk/{n}", "dialogue", (("user", f"say {n} twice"), ("assistant", f"{n} and {n}\n    done")))
    for n in range(120)
]
TINY = ChatRecipe(
    vocab_size=320,
    hidden_size=32,
    intermediate_size=48,
    layers=2,
    context_tokens=64,
    batch_tokens=256,
    windows=((0.5, 32), (0.5, 64)),
    compile=False,
    fit=Fit(steps=12, warmup=2, log_every=4, checkpoint_every=5),
)


def test_the_tokenizer_reads_everything_back() -> None:
    tokenizer = train_tokenizer((text for c in TALK for _, text in c.messages), vocab_size=320, max_length=64)
    for text in ("I paid $12.50 twice\n\n    return x", "naïve ☕ — 漢字", "\t tabs  and   spaces "):
        assert tokenizer.decode(tokenizer(text, add_special_tokens=False)["input_ids"]) == text
    assert len(tokenizer("1234", add_special_tokens=False)["input_ids"]) == 4
    ids = encode(tokenizer, TALK[0])
    assert tokenizer.decode(ids) == "<|begin|><|user|>say 0 twice<|end|><|assistant|>0 and 0\n    done<|end|>"


def test_the_stream_is_stateless_and_every_epoch_holds_everything() -> None:
    documents = [[n] * (n + 1) for n in range(9)]
    stream = Stream(documents, seed=3)
    forwards = np.concatenate([stream.read(start, 5) for start in range(0, 90, 5)])
    again = Stream(documents, seed=3)
    backwards = [again.read(start, 5) for start in reversed(range(0, 90, 5))]
    assert np.array_equal(forwards, np.concatenate(backwards[::-1]))
    for epoch in range(2):
        part = forwards[epoch * 45 : (epoch + 1) * 45]
        assert np.array_equal(np.bincount(part), np.arange(1, 10))
    assert not np.array_equal(forwards[:45], forwards[45:])


def test_training_learns_and_resumes_exactly(tmp_path: Path) -> None:
    losses: dict[int, float] = {}
    whole, _ = build(TINY, TALK, tmp_path / "whole", log=lambda s, m: losses.update({s: m["loss"]}))
    assert losses[12] < losses[4]

    class Stop(Exception):
        pass

    def stopping(step: int, _metrics: object) -> None:
        if step == 8:
            raise Stop

    with pytest.raises(Stop):
        build(TINY, TALK, tmp_path / "stopped", log=stopping)
    resumed, _ = build(TINY, TALK, tmp_path / "stopped", log=lambda _s, _m: None)
    for one, other in zip(whole.parameters(), resumed.parameters(), strict=True):
        assert torch.equal(one, other)
    saved, tokenizer = load_model(tmp_path / "whole" / "model")
    assert saved.dtype == torch.bfloat16
    assert len(tokenizer) <= 320


def test_windows_follow_the_recipe() -> None:
    recipe = replace(TINY, fit=Fit(steps=10))
    assert [recipe.window_tokens(step) for step in (0, 4, 5, 9)] == [32, 32, 64, 64]


def test_the_shipped_model_writes_fluent_replies() -> None:
    model, tokenizer = load_model("zoo:chat", dtype="float32")
    chat = [{"role": "user", "content": "I want to find a restaurant in San Jose."}]
    ids = tokenizer.apply_chat_template(chat, add_generation_prompt=True, return_tensors="pt", return_dict=False)
    reply = model.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=60, do_sample=False)[
        0, ids.shape[1] :
    ]
    text = tokenizer.decode(reply)
    assert text.endswith("<|end|>")
    assert len(set(text.split())) > 4
