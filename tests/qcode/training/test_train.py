"""Does a run of GRPO record what it should, survive a kill exactly, and refuse what is wrong before it begins?"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from trimtab.qcode import prompts, small_model, sources
from trimtab.qcode.attempts import EngineSettings
from trimtab.qcode.training import layout
from trimtab.qcode.training.curriculum import CurriculumSettings
from trimtab.qcode.training.exporting import export
from trimtab.qcode.training.running import train
from trimtab.qcode.training_recipe import TINY, Export, LoraSettings, Train
from trimtab.runs import read_metrics, read_steps
from trimtab.trackers import TrackSettings

TIMING = ("elapsed", "time/", "runtime", "per_second", "step_time")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A model of the smallest size that knows its format, taught for a moment."""
    lines = sources.of_split(sources.load("onelines"), "train", "onelines")
    recipe = small_model.SmallRecipe(hidden_size=32, intermediate_size=64, layers=1, vocab_size=420)
    recipe = replace(recipe, fit=replace(recipe.fit, steps=60, learning_rate=1e-2), batch_size=16)
    out = tmp_path_factory.mktemp("base")
    small_model.build(recipe, lines[:40], lines[:200], out, log=lambda step, metrics: None)
    return str(out / "model")


@pytest.fixture
def tiny(model: str, tmp_path: Path) -> Train:
    return replace(
        TINY,
        model=model,
        output_dir=tmp_path,
        name="run",
        max_steps=4,
        prompts_per_step=2,
        per_device_train_batch_size=8,
        max_completion_length=12,
        eval_steps=2,
        simple_eval_problems=2,
        repeat_eval_problems=2,
        save_steps=2,
        track=(),
        custom_reward=("qcode.custom_reward:shortness=5",),
        engine=EngineSettings(workers=1),
    )


def comparable(run: Path) -> list[dict[str, float]]:
    """The rows of a run without times."""
    rows = read_metrics(run)
    return [{n: v for n, v in row.items() if not any(part in n for part in TIMING)} for row in rows]


def test_a_run_and_its_exact_resumption(tiny: Train, tmp_path: Path) -> None:
    tiny = replace(tiny, curriculum=CurriculumSettings(filter=True, refresh=1), max_steps=6)
    train(replace(tiny, name="whole"))
    whole = tmp_path / "whole"
    where = layout.of_command(whole, tiny)
    assert [path.name for path in layout.complete(where.checkpoints)] == ["checkpoint-4", "checkpoint-6"]
    assert (where.outputs / "config.yaml").read_text() == (whole / "recipe.yaml").read_text()
    logged = [row for row in comparable(whole) if "loss" in row]
    assert all(row["grad_norm"] > 0 for row in logged)
    assert [row["step"] for row in logged] == [1, 2, 3, 4, 5, 6]
    assert {"reward", "entropy", "frac_reward_zero_std", "status/wrong", "alarm/zero_variance"} <= set(logged[0])
    shares = [row for row in read_metrics(whole) if "time/update" in row]
    assert all(0 <= row[f"time/{name}"] <= 1 for row in shares for name in ("generation", "execution", "update"))
    evaluations = json.loads(where.evaluations.read_text())
    assert [row["step"] for row in evaluations] == [0, 2, 4, 6]
    assert all(0 <= row["eval_pass@1"] <= row["eval_pass@2"] <= 1 for row in evaluations)
    step = next(read_steps(whole))
    assert {"code", "status", "tests"} <= set(step["outcome"])
    _resumed_equals(whole, tmp_path / "again", where)


def _resumed_equals(whole: Path, again: Path, where: layout.Layout) -> None:
    """From checkpoint 4, with the rest gone, the run ends with the very rows of the whole one."""
    shutil.copytree(whole, again)
    folder = again / where.checkpoints.relative_to(whole)
    (folder / "checkpoint-6" / layout.MARK).unlink()  # as if killed while it was written
    train(replace(Train(), resume=again))
    assert comparable(again) == comparable(whole)
    logs = [(run / where.log.relative_to(whole)).read_text() for run in (whole, again)]
    assert [json.loads(line)["step"] for line in logs[0].splitlines()] == [
        json.loads(line)["step"] for line in logs[1].splitlines()
    ]


def test_a_checkpoint_of_another_recipe_is_refused(tiny: Train, tmp_path: Path) -> None:
    train(replace(tiny, name="one", max_steps=2, eval_steps=0))
    mark = next((tmp_path / "one").glob("final_outputs/*/*/checkpoints/checkpoint-2/trimtab.json"))
    mark.write_text(json.dumps({**json.loads(mark.read_text()), "recipe": "other"}))
    with pytest.raises(ValueError, match="belongs to another recipe"):
        train(replace(Train(), resume=tmp_path / "one"))


def test_an_adapter_is_trained_and_exported_merged(tiny: Train, tmp_path: Path) -> None:
    train(replace(tiny, lora=LoraSettings(rank=4), max_steps=2, eval_steps=0, beta=0.05))
    export(Export(tmp_path / "run", tmp_path / "out"))
    assert (tmp_path / "out" / "model.safetensors").is_file()
    assert (tmp_path / "out" / "tokenizer.json").is_file()
    rows = [row for row in comparable(tmp_path / "run") if "loss" in row]
    assert "kl" in rows[0]
    with pytest.raises(ValueError, match="no checkpoint of step 7"):
        export(Export(tmp_path / "run", tmp_path / "other", 7))


@pytest.mark.parametrize("loss", ["grpo", "dapo", "bnpo", "cispo", "sapo", "luspo", "vespo"])
@pytest.mark.slow
def test_every_loss_of_trl(tiny: Train, loss: str) -> None:
    more = ("importance_sampling_level=sequence",) if loss == "luspo" else ()
    train(replace(tiny, loss_type=loss, max_steps=2, eval_steps=0, grpo=tiny.grpo + more))


@pytest.mark.slow
def test_trackers(tiny: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("TRACKIO_DIR", str(tmp_path / "trackio"))
    settings = TrackSettings(wandb_project="q-language-training", wandb_name="n")
    train(replace(tiny, use_wandb=True, track=("trackio",), tracking=settings, max_steps=2, eval_steps=0))
    assert list((tmp_path / "run" / "wandb").glob("offline-run-*/*.wandb"))
    assert list((tmp_path / "trackio").rglob("*.db"))


@pytest.mark.slow
def test_python_problems_by_the_same_recipe(tiny: Train, tmp_path: Path) -> None:
    row = {"id": "p", "description": "Add.", "entry_point": "solve", "language": "python", "split": "train"}
    test = {"kind": "assertion", "code": "assert solve(1, 2) == 3", "hidden": True}
    problems = [
        {**row, "id": f"p{n}", "split": split, "tests": [test], "references": ["def solve(a, b):\n    return a + b"]}
        for n, split in enumerate(("train", "train", "validation"))
    ]
    file = tmp_path / "python.jsonl"
    file.write_text("".join(json.dumps(problem) + "\n" for problem in problems))
    train(replace(tiny, problems=str(file), eval_problems=None, max_steps=2))
    assert [row["step"] for row in comparable(tmp_path / "run") if "loss" in row] == [1, 2]


class Refused:
    """Settings that must fail before a run is begun, and what is said of them."""

    CASES: tuple[tuple[dict[str, Any], str], ...] = (
        ({"model": "/no/such/model"}, "no model '/no/such/model'"),
        ({"problems": "nothing.jsonl"}, "no such problems"),
        ({"prompts_per_step": 3, "per_device_train_batch_size": 16}, "--prompts-per-step 2 or 4"),
        ({"loss_type": "ppo"}, "expected one of grpo"),
        ({"loss_type": "luspo"}, "importance_sampling_level=sequence"),
        ({"grpo": ("epsilon_hihg=0.3",)}, "did you mean epsilon_high"),
        ({"grpo": ("learning_rate=1",)}, "give --learning-rate"),
        ({"grpo": ("temperature=1",)}, "give --generation-temp"),
        ({"grpo": ("beta",)}, "expected NAME=VALUE"),
        ({"save_total_limit": 1}, "at least 2"),
        ({"generation_temp": 0.0}, "samples that differ"),
        ({"grpo": ("num_iterations=2",), "save_steps": 3}, "give 2 or 4"),
        ({"use_vllm": True, "max_model_len": 12}, "leaves no room"),
        ({"max_steps": -1, "curriculum": CurriculumSettings(filter=True)}, "give --max-steps"),
    )


@pytest.mark.parametrize(("wrong", "told"), Refused.CASES)
def test_bad_settings_are_refused_before_a_run_is_begun(
    tiny: Train, tmp_path: Path, wrong: dict[str, Any], told: str
) -> None:
    with pytest.raises(ValueError, match=told):
        train(replace(tiny, **wrong))
    assert not (tmp_path / "run").exists()


def test_problems_whose_references_fail_are_refused(tiny: Train, tmp_path: Path) -> None:
    line = {
        "id": "bad",
        "description": "d",
        "entry_point": "solve",
        "language": "q",
        "tests": [{"kind": "call", "arguments": ["1 2"], "expected": "3", "hidden": True}],
        "references": ["solve:{first x}"],
    }
    file = tmp_path / "bad.jsonl"
    file.write_text(json.dumps(line) + "\n")
    with pytest.raises(ValueError, match="bad: its reference gets"):
        train(replace(tiny, problems=str(file), eval_steps=0))


def test_benchmarks_are_not_trained_on(tmp_path: Path) -> None:
    row = {
        "task_id": "HumanEval/0",
        "prompt": "def add(a, b):\n    return",
        "entry_point": "add",
        "canonical_solution": " a + b\n",
        "test": "def check(candidate):\n    assert candidate(1, 2) == 3\n",
    }
    file = tmp_path / "HumanEval.jsonl"
    file.write_text(json.dumps(row) + "\n")
    with pytest.raises(ValueError, match=r"for evaluation only.*--force"):
        sources.for_training(f"humaneval:{file}")
    assert len(sources.for_training(f"humaneval:{file}", force=True)) == 1
    assert len(sources.load(f"humaneval:{file}")) == 1


def test_a_tokenizer_without_a_template(tiny: Train, model: str, tmp_path: Path) -> None:
    bare = tmp_path / "bare"
    shutil.copytree(model, bare)
    (bare / "chat_template.jinja").unlink(missing_ok=True)
    with pytest.raises(ValueError, match="has no chat template"):
        train(replace(tiny, model=str(bare)))
    train(replace(tiny, model=str(bare), form="plain", max_steps=2, eval_steps=0))
    assert prompts.PromptSettings(form="plain").form == "plain"


@pytest.fixture
def launched(tiny: Train, model: str, tmp_path: Path) -> list[str]:
    flags = ["--model", model, "--output-dir", str(tmp_path), "--name", "two", "--max-steps", "2", "--eval-steps", "2"]
    flags += ["--per-device-train-batch-size", "8", "--prompts-per-step", "2", "--max-completion-length", "12"]
    return [*flags, "--simple-eval-problems", "2", "--repeat-eval-problems", "2", "--save-steps", "2"]


@pytest.mark.slow
def test_two_processes_reward_as_one(tiny: Train, launched: list[str], tmp_path: Path) -> None:
    env = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    launcher = [sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2"]
    command = [*launcher, "--num_machines", "1", "-m", "trimtab", "qcode", "train", "tiny", *launched]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    rows = [row for row in comparable(tmp_path / "two") if "loss" in row]
    assert [row["step"] for row in rows] == [1, 2]
    samples = list(read_steps(tmp_path / "two"))
    assert samples
    for step in samples:
        share = sum(status == "passed" for status in step["outcome"]["tests"]) / len(step["outcome"]["tests"])
        assert step["grade"]["value"] == pytest.approx(share + (share == 1.0))


@pytest.mark.slow
def test_two_processes_teach_and_the_loss_falls(model: str, tmp_path: Path) -> None:
    env = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    launcher = [sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2"]
    flags = ["--model", model, "--problems", "onelines", "--terse", "--name", "two", "--output-dir", str(tmp_path)]
    flags += ["--steps", "30", "--learning-rate", "3e-3", "--track"]
    command = [*launcher, "--num_machines", "1", "-m", "trimtab", "qcode", "sft", *flags]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    losses = [row["loss"] for row in comparable(tmp_path / "two") if "loss" in row]
    assert len(losses) == 3
    assert losses[-1] < losses[0]
    assert (tmp_path / "two" / "model" / "tokenizer.json").is_file()
