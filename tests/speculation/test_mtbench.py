"""Questions that fit, answers as MT-bench reads them, and the same evaluation for a pair that has nothing of the zoo's."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tests.speculation import fabricated, synthetic, tiny

from trimtab.cli import run
from trimtab.speculation import stages
from trimtab.speculation.engine.generation import Generation, Round, Seconds
from trimtab.speculation.engine.head_files import save_head
from trimtab.speculation.engine.speculator import Speculator
from trimtab.speculation.mtbench import (
    answers,
    category_rows,
    fitting,
    model_prefix,
    tau_of,
    write_answers,
)
from trimtab.speculation.race import Entry, Turn, Written, turns
from trimtab.speculation.tasks import PromptTask, read_prompts
from trimtab.zoo.tokenizer import train_tokenizer

TEXTS = ["Book a table for two.", "Now cancel it, please.", "What is three plus four?", "And twice that?"]
VOCABULARY = 280


def saved_pair(folder: Path, drafted: int | None) -> None:
    """A random pair as a hub would hold it, its tokenizer without a chat template."""
    tokenizer = train_tokenizer(TEXTS, vocab_size=VOCABULARY, max_length=512)
    tokenizer.chat_template = None
    model = tiny.target(vocabulary=len(tokenizer))
    model.save_pretrained(folder / "target")
    tokenizer.save_pretrained(folder / "target")
    save_head(tiny.head(model, drafted=drafted), folder / "head")


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pair")
    saved_pair(folder, 60)
    return folder


@pytest.fixture(scope="module")
def speculator(pair: Path) -> Speculator:
    return Speculator.from_pretrained(pair / "target", pair / "head")


def written(text: str, accepted: list[int], seconds: float) -> Written:
    tokens = list(range(sum(accepted) + len(accepted) + 1))
    rounds = [Round(None, 3, count, Seconds(draft=0.1)) for count in accepted]
    return Written(tokens, seconds, Generation(tokens, text, rounds, 0.1, seconds, 0))


TURNS = [Turn("81/turn1", "writing", [1]), Turn("81/turn2", "writing", [1]), Turn("own-2", "math", [1])]
ENTRY = Entry(
    "eagle-policy",
    lambda _turn: Written([], 0.0),
    decodes_TR=[
        [written(" one ", [2, 1], 0.5), written("one", [2, 1], 0.4)],
        [written("two", [0], 0.3), written("two", [0], 0.2)],
        [written("three", [], 0.1), written("three", [], 0.1)],
    ],
)


def test_a_question_is_a_line_with_a_choice_for_each_repeat() -> None:
    first, second = answers(ENTRY, TURNS, "pair-eagle-policy")
    assert list(first) == ["question_id", "answer_id", "model_id", "choices", "tstamp"]
    assert (first["question_id"], second["question_id"]) == (81, "own-2")
    assert first["choices"][0] == {
        "index": 0,
        "turns": ["one", "two"],
        "idxs": [1, 0],
        "new_tokens": [6, 2],
        "wall_time": [0.5, 0.3],
    }
    assert first["choices"][1]["wall_time"] == [0.4, 0.2]
    assert second["choices"][0]["idxs"] == [-1]
    assert first["answer_id"] != second["answer_id"]


def test_answers_go_to_one_file_or_to_one_for_each_contender(tmp_path: Path) -> None:
    other = replace(ENTRY, name="eagle-default")
    (path,) = write_answers(tmp_path / "mine.jsonl", [other, ENTRY], TURNS, "pair")
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    assert {row["model_id"] for row in rows} == {"pair-eagle-policy"}
    paths = write_answers(tmp_path / "all", [other, ENTRY], TURNS, "pair")
    assert [one.name for one in paths] == ["pair-eagle-default.jsonl", "pair-eagle-policy.jsonl"]
    with pytest.raises(ValueError, match="no contender is called"):
        write_answers(tmp_path / "none.jsonl", [other], TURNS, "pair")


def test_decodes_without_text_have_no_answers() -> None:
    bare = replace(ENTRY, decodes_TR=[[Written([1], 0.1)]])
    with pytest.raises(ValueError, match="hold no text"):
        answers(bare, TURNS[:1], "x")


def test_names_of_models_are_names_of_files() -> None:
    assert [model_prefix(name) for name in ("zoo:chat", "meta/llama-3", "/here/model/")] == [
        "zoo-chat",
        "llama-3",
        "model",
    ]


def test_tau_counts_the_targets_own_token() -> None:
    assert tau_of(ENTRY, np.array([True, False, False])) == pytest.approx(2.5)
    assert tau_of(ENTRY, np.array([False, False, True])) is None


def test_categories_hold_every_contender() -> None:
    evaluation = fabricated.evaluation()
    rows = category_rows(evaluation)
    assert len(rows) == 3 * 4
    assert sum(row["turns"] for row in rows if row["name"] == "eagle-policy") == len(evaluation.turns)
    statics = [row for row in rows if row["name"] == "eagle-best-static"]
    assert all(row["against_best_static"] == pytest.approx(1) for row in statics)
    assert all(row["low"] <= row["against_best_static"] <= row["high"] for row in rows)


def test_turns_that_may_exceed_the_context_are_left_out_and_named(speculator: Speculator) -> None:
    tasks = [
        PromptTask("short", "a", ("hi", "and?")),
        PromptTask("grows", "a", ("hi", "very " * 400)),
        PromptTask("long", "b", ("very " * 400, "and?")),
    ]
    kept, left = fitting(speculator, tasks, 16, 9)
    assert [(task.task, len(task.turns)) for task in kept] == [("short", 2), ("grows", 1)]
    assert [(one.task, one.turn) for one in left] == [("grows", 2), ("long", 1), ("long", 2)]
    assert all(one.tokens > speculator.context_tokens for one in left)
    assert turns(speculator, kept, 16)


def test_without_a_chat_template_a_second_turn_follows_the_first(speculator: Speculator) -> None:
    first, second = turns(speculator, [PromptTask("one", "a", (TEXTS[0], TEXTS[1]))], 8)
    assert speculator.tokenizer is not None
    text = str(speculator.tokenizer.decode(second.ids))
    assert text.startswith(TEXTS[0] + "\n\n")
    assert text.endswith("\n\n" + TEXTS[1])
    assert second.ids[: len(first.ids)] == first.ids


@pytest.mark.parametrize(("drafted", "learner"), [(60, "levels"), (None, "ucb1")])
def test_any_pair_is_trained_evaluated_and_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, drafted: int | None, learner: str
) -> None:
    monkeypatch.setattr(stages, "calibrate", lambda *_given, **_named: synthetic.COSTS)
    saved_pair(tmp_path / "pair", drafted)
    questions = [{"question_id": 90 + n, "category": "abc"[n % 3], "turns": TEXTS[: 1 + n % 2]} for n in range(6)]
    prompts = tmp_path / "questions.jsonl"
    prompts.write_text("".join(json.dumps(question) + "\n" for question in questions))
    names = ["--pair.target", str(tmp_path / "pair" / "target"), "--pair.head", str(tmp_path / "pair" / "head")]
    sizes = ["--prompts", str(prompts), "--max-new-tokens", "10"]
    settings = ["--pair.dtype", "float32", "--learner", learner, "--menu", "small"]
    levels = ["--level-beams", "2", "--level-depth", "3"] if learner == "levels" else []
    out = ["--out", str(tmp_path / "runs")]
    assert run(["speculation", "train", *names, *sizes, *settings, *levels, *out]) == 0
    (folder,) = (tmp_path / "runs").iterdir()
    judged = ["--run", str(folder), *sizes, "--repeats", "1", "--answers", str(tmp_path / "answers.jsonl")]
    assert run(["speculation", "evaluate", *judged]) == 0
    rows = [json.loads(line) for line in (tmp_path / "answers.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [row["question_id"] for row in rows] == [90, 91, 92, 93, 94, 95]
    assert [len(row["choices"][0]["turns"]) for row in rows] == [1, 2] * 3
    assert rows[0]["model_id"] == "target-eagle-policy"
    identical = json.loads((folder / "evaluation.json").read_text())["rows"]
    assert all(row["identical_text_float32"] == 1 for row in identical if row["low"] is not None)
    assert (folder / "report.html").stat().st_size > 10_000


def test_mt_benchs_own_questions_are_read(shared: Path) -> None:
    tasks = read_prompts(shared / "data" / "prompts" / "mt_bench.jsonl")
    assert len(tasks) == 80
    assert all(len(task.turns) == 2 for task in tasks)
    assert len({task.category for task in tasks}) == 8
