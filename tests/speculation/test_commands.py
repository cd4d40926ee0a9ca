"""The room's commands on the embedded pair, in small: what a newcomer types, and what it leaves behind."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from trimtab.cli import run
from trimtab.runs import read_metrics
from trimtab.speculation.costs import CostModel
from trimtab.speculation.level_policy import LevelPolicy
from trimtab.speculation.levels import LevelTable
from trimtab.speculation.saved import load_policy
from trimtab.speculation.tree_policy import TreePolicy


def trimtab(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    status = run(arguments)
    said = capsys.readouterr()
    return status, said.out, said.err


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of the smallest training."""
    out = tmp_path_factory.mktemp("runs")
    command = ["speculation", "train", "--out", str(out), "--prompt-count", "6", "--max-new-tokens", "16"]
    settings = ["--calibration-seconds", "8", "--ppo-updates", "2", "--menu", "small", "--learner", "ppo"]
    assert run([*command, *settings]) == 0
    (folder,) = out.iterdir()
    return folder


@pytest.fixture(scope="module")
def stopping(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of the default learner, in small."""
    out = tmp_path_factory.mktemp("runs")
    command = ["speculation", "train", "--out", str(out), "--prompt-count", "6", "--max-new-tokens", "16"]
    settings = ["--calibration-seconds", "8", "--menu", "small", "--level-beams", "2", "--level-depth", "4"]
    assert run([*command, *settings]) == 0
    (folder,) = out.iterdir()
    return folder


def test_generate_marks_what_was_drafted(capsys: pytest.CaptureFixture[str]) -> None:
    status, said, _ = trimtab(
        capsys,
        "speculation",
        "generate",
        "I want to book a flight.",
        "--max-new-tokens",
        "24",
        "--shape",
        "8",
        "3",
        "2",
    )
    assert status == 0
    assert "drafted by the head" in said
    assert "tau" in said


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["generate", " "], "prompt is empty"),
        (["generate", "hi", "--shape", "60", "1", "2"], "does not exist"),
        (["generate", "hi", "--pair.head", "zoo:chat"], "EAGLE head"),
        (["generate", "hi", "--pair.target", "zoo:chta"], "not in the embedded zoo"),
        (["generate", "hi", "--max-new-tokens", "5000"], "lower max_new_tokens"),
        (["generate", "word " * 3000], "context ends at 1024"),
        (["generate", "hi", "--policy", "nowhere"], "nowhere"),
        (["evaluate", "--run", "nowhere"], "is no run"),
        (["calibrate", "--menu", "sed"], "known menus"),
        (["train", "--resume", "nowhere"], "is no run"),
        (["generatte"], "Did you mean 'generate'"),
    ],
)
def test_bad_input_is_one_clear_line(capsys: pytest.CaptureFixture[str], arguments: list[str], message: str) -> None:
    status, _, error = trimtab(capsys, "speculation", *arguments)
    assert status == 2
    last = error.strip().splitlines()[-1]
    assert last.startswith("error: ")
    assert message in last


def test_a_training_run_explains_itself(trained: Path) -> None:
    names = {path.name for path in trained.iterdir()}
    assert {"recipe.yaml", "run.json", "about.md", "metrics.jsonl", "costs.json", "replay.npz", "policy"} <= names
    assert [row["step"] for row in read_metrics(trained)] == [1, 2]
    assert CostModel.load(trained / "costs.json").residuals
    assert TreePolicy.load(trained / "policy").metadata["seed"] == 0


def test_the_default_learner_leaves_its_tables_and_a_policy(stopping: Path) -> None:
    names = {path.name for path in stopping.iterdir()}
    assert {"costs.json", "replay.npz", "levels-2.npz", "draft_temperature.json", "policy"} <= names
    assert [row["step"] for row in read_metrics(stopping)] == [1, 2, 3, 4, 5, 6]
    policy = load_policy(stopping)
    assert isinstance(policy, LevelPolicy)
    assert policy.menu == LevelTable.load(stopping / "levels-2.npz").menu
    assert policy.models["target"] == "zoo:chat"


def test_a_policy_that_stops_by_itself_is_evaluated_beside_the_sharpened_tree(
    stopping: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = ["--prompt-count", "3", "--max-new-tokens", "16", "--repeats", "1"]
    status, _, _ = trimtab(capsys, "speculation", "evaluate", "--run", str(stopping), *flags)
    assert status == 0
    rows = {row["name"]: row for row in json.loads((stopping / "evaluation.json").read_text())["rows"]}
    assert {"best-static-sharpened", "eagle-policy", "level-oracle"} <= set(rows)
    assert rows["level-oracle"]["share_of_oracle_gain"] == pytest.approx(1.0)
    decoded = [row for row in rows.values() if row["tau"] is not None]
    assert all(row["identical_text_float32"] == 1.0 for row in decoded)
    assert (stopping / "report.html").stat().st_size > 10_000


def test_the_default_learner_refuses_what_only_others_can(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    flags = ["--out", str(tmp_path), "--planned-rounds", "3", "--state", "text"]
    status, _, error = trimtab(capsys, "speculation", "train", *flags)
    assert status == 2
    assert "it has no state text, planned_rounds 3" in error


def test_a_run_of_another_recipe_is_refused(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, _, error = trimtab(capsys, "speculation", "train", "--resume", str(trained), "--seed", "3")
    assert status == 2
    assert "another recipe" in error
    assert "prompt_count is 6 there, given 240" in error


def test_a_finished_run_is_resumed_by_its_own_recipe(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = {path: path.read_bytes() for path in (trained / "policy").iterdir()}
    status, said, _ = trimtab(capsys, "speculation", "train", "--resume", str(trained))
    assert status == 0
    assert "oracle" in said
    assert {path: path.read_bytes() for path in (trained / "policy").iterdir()} == before


def test_evaluation_prints_every_row_and_an_honest_verdict(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "result.json"
    flags = ["--prompt-count", "3", "--max-new-tokens", "16", "--repeats", "1", "--json", str(out)]
    status, _, _ = trimtab(capsys, "speculation", "evaluate", "--run", str(trained), *flags)
    assert status == 0
    result = json.loads(out.read_text())
    rows = {row["name"]: row for row in result["rows"]}
    decoded = ["eagle-default", "eagle-best-static", "cost-model-greedy", "eagle-policy"]
    assert list(rows) == [*decoded, "best-static-per-prompt", "clairvoyant", "oracle"]
    assert all(rows[name]["identical_text_float32"] == 1.0 for name in decoded)
    assert rows["eagle-best-static"]["against_best_static"] == pytest.approx(1.0)
    assert rows["oracle"]["share_of_oracle_gain"] == pytest.approx(1.0)
    assert rows["oracle"]["tokens_per_second"] >= rows["best-static-per-prompt"]["tokens_per_second"]
    assert result["verdict"] in ("better", "worse", "undecided")
    assert ("short" in result["sentence"]) == (result["verdict"] != "better")
    assert np.isfinite([bar["value"] for bar in result["bars"]]).all()
    assert (trained / "report.html").stat().st_size > 10_000


def test_prompt_files_of_the_user(trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "mine.jsonl"
    path.write_text('{"question_id": 1, "turns": ["What is the weather?"]}\n{"question_id": 2}\n')
    status, _, error = trimtab(
        capsys, "speculation", "evaluate", "--run", str(trained), "--prompts", str(path), "--max-new-tokens", "8"
    )
    assert status == 2
    assert "line 2" in error
