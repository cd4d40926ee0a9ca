"""The language of recall: what is known is known, documents depend on seed and step alone, shipped models recall."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from trimtab.compression.tasks.recall import Recall, needle
from trimtab.lm.load import load_model
from trimtab.lm.training import Fit
from trimtab.zoo.recall import RecallRecipe, batches, build, documents
from trimtab.zoo.recall_text import IDS, VOCABULARY, Kind, Writer, repeated, training_document

TINY = RecallRecipe(
    hidden_size=16,
    intermediate_size=32,
    layers=1,
    heads=2,
    key_value_heads=1,
    batch_tokens=1024,
    warmup_steps=2,
    warmup_tokens=32,
    fit=Fit(steps=6, log_every=2, checkpoint_every=3),
)


def test_answers_follow_from_what_was_said() -> None:
    writer = Writer(np.random.default_rng(0))
    writer.facts(3)
    writer.let()
    keys = tuple(writer.bound)
    writer.task(keys)
    writer.do()
    said = writer.words[writer.words.index("do") + 1 : -1]
    assert said == [word for key in keys for word in (key, writer.bound[key][0])]
    alias = keys[3]
    source = writer.words[writer.words.index("let") + 2]
    assert writer.bound[alias][0] == writer.bound[source][0]


def test_known_words_are_marked_and_documents_have_their_length() -> None:
    for tokens in (128, 1024):
        ids, kinds = training_document(np.random.default_rng(1), tokens + 1)
        assert len(ids) == len(kinds) == tokens + 1
        assert ids.max() < len(VOCABULARY)
        assert (kinds != Kind.RANDOM).any()
        assert all(VOCABULARY[word].isdigit() for word in ids[kinds == Kind.FACT])


def test_repetitions_are_known_after_their_first_time() -> None:
    ids, known = repeated(np.random.default_rng(0), 64)
    period = int(known.argmax()) - 1
    assert (ids[period + 1 :] == ids[1:-period]).all()


def test_documents_depend_on_seed_and_step_alone() -> None:
    made = list(batches(TINY, 3, 0))
    assert len(made) == 3
    assert (made[0][0] == documents(TINY, 3)[0]).all()
    assert not torch.equal(documents(TINY, 4)[0], documents(replace(TINY, seed=1), 4)[0])


def test_training_goes_on_to_the_same_weights(tmp_path: Path) -> None:
    build(TINY, tmp_path / "whole", log=lambda _step, _metrics: None)

    def stop(step: int, _metrics: dict[str, float]) -> None:
        if step == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build(TINY, tmp_path / "cut", log=stop)
    build(TINY, tmp_path / "cut", log=lambda _step, _metrics: None)
    name = "model/model.safetensors"
    assert (tmp_path / "whole" / name).read_bytes() == (tmp_path / "cut" / name).read_bytes()


def test_prompts_differ_in_where_the_question_is() -> None:
    task = IDS["task"]
    places = {p.group: [i for i, t in enumerate(p.token_ids) if t == task] for p in Recall().prompts(3, 3)}
    assert places["recall/early"][0] < 500
    assert len(places["recall/early"]) == 1
    assert places["recall/late"][-1] > 850
    assert len(places["recall/repeated"]) == 2


def test_a_needle_lies_where_it_was_asked_for() -> None:
    start, end = (needle(400, depth, 0) for depth in (0.0, 1.0))
    assert len(start.token_ids) <= 400
    key = start.answer_ids[0]
    assert start.token_ids.index(key) < 30
    assert end.token_ids.index(end.answer_ids[0]) > 350
    with pytest.raises(ValueError, match="depth 2"):
        needle(400, 2, 0)


@pytest.mark.parametrize("name", ["zoo:recall", "zoo:recall-1", "zoo:recall-2"])
def test_the_shipped_models_recall(name: str) -> None:
    model, tokenizer = load_model(name, dtype="float32")
    assert len(tokenizer) == len(VOCABULARY)
    for prompt in Recall().prompts(2**31 - 1, 3):
        ids = torch.tensor([[*prompt.token_ids, *prompt.answer_ids]])
        with torch.no_grad():
            guesses = model(ids).logits[0].argmax(-1)
        start = len(prompt.token_ids)
        assert (guesses[start - 1 : -1] == ids[0, start:]).float().mean() >= 0.8, json.dumps(prompt.group)
