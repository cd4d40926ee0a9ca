"""Two processes leave what one leaves, but for times: the commands as ``accelerate launch`` starts them, on the CPU."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from speculation import synthetic
from trimtab.runs import Run
from trimtab.speculation.collected import Decode, read_collected
from trimtab.speculation.levels import LevelTable
from trimtab.speculation.recipe import Train
from trimtab.speculation.replay import ReplayTable

LAUNCH = ["-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2", "--num_machines", "1"]
LAUNCH += ["--mixed_precision", "no", "--dynamo_backend", "no", "--main_process_port", "0"]
PROCESSES = {"one": [], "two": LAUNCH}
LOG = ["--prompt-count", "3", "--decodes", "2", "--max-new-tokens", "12", "--menu-size", "4", "--pair.dtype", "float32"]


def trimtab(launcher: list[str], *arguments: str) -> str:
    """What a command says, started by itself or by a launcher. Fails where the command does."""
    environment = os.environ | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    command = [sys.executable, *launcher, "-m", "trimtab", "speculation", *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == 0, done.stderr
    return done.stderr + done.stdout


def decided(decode: Decode) -> list[Any]:
    """Of a collected decode, all that is no time, and does not name the session."""
    rounds = [
        (r.position, r.context_hash, r.features, r.action, r.probabilities, r.accepted, r.tokens) for r in decode.rounds
    ]
    answer = decode.answer
    return [answer.question, answer.turn, answer.decode, answer.category, answer.context_hash, answer.tokens, rounds]


@pytest.fixture(scope="module")
def questions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three questions, the second of two turns."""
    turns = [["Please book a table."], ["What is 3 plus 4?", "And twice that?"], ["Any trains on Monday?"]]
    rows = [{"question_id": 7 - n, "category": "x", "turns": texts} for n, texts in enumerate(turns)]
    path = tmp_path_factory.mktemp("questions") / "questions.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.mark.slow
def test_two_processes_collect_what_one_collects(questions: Path, tmp_path: Path) -> None:
    made = {}
    for name, launcher in PROCESSES.items():
        out = tmp_path / f"{name}.jsonl"
        trimtab(launcher, "collect", "--out", str(out), "--prompts", str(questions), *LOG)
        made[name] = read_collected([out])
    assert not made["two"].refused
    assert made["one"].header.features == made["two"].header.features
    assert list(map(decided, made["one"].decodes)) == list(map(decided, made["two"].decodes))
    assert [decode.answer.question for decode in made["two"].decodes] == ["7", "6", "6", "5"] * 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one.jsonl", "two.jsonl"]  # the parts are gone


@pytest.mark.slow
def test_two_processes_train_and_evaluate_as_one(questions: Path, tmp_path: Path) -> None:
    runs, results = {}, {}
    recipe = Train(
        learner="levels",
        menu="small",
        level_beams=(3,),
        level_depth=4,
        max_new_tokens=10,
        prompts=str(questions),
        prompt_count=3,
        draft_temperature=0.8,
        track=(),
    )
    for name, launcher in PROCESSES.items():
        with Run.begin(tmp_path, recipe, name=name, track=()) as run:
            synthetic.COSTS.save(run.path / "costs.json")  # as if calibrated
            runs[name] = run.path
        said = trimtab(launcher, "train", "--resume", str(run.path))
        assert said.count("judge it by") == 1
    for name in ("replay.npz", "levels-3.npz"):
        load = ReplayTable.load if name == "replay.npz" else LevelTable.load
        load(runs["two"] / name)
        one, two = (np.load(run / name, allow_pickle=False) for run in runs.values())
        assert one.files == two.files
        for key in one.files:
            np.testing.assert_array_equal(one[key], two[key], err_msg=f"{name}: {key}")
    for name, launcher in PROCESSES.items():
        flags = ["--prompts", str(questions), "--max-new-tokens", "8", "--repeats", "1"]
        trimtab(launcher, "evaluate", "--run", str(runs["one"]), *flags, "--json", str(tmp_path / f"{name}.json"))
        results[name] = json.loads((tmp_path / f"{name}.json").read_text())
    assert results["one"]["turns"] == results["two"]["turns"] == 4
    for one, two in zip(results["one"]["rows"], results["two"]["rows"], strict=True):
        for field in ("name", "tau", "identical_text_float32", "note"):
            assert one[field] == two[field]
    assert not list(runs["one"].glob(".parts-*"))
