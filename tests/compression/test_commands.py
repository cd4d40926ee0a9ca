"""The commands as a newcomer runs them, on few prompts of zoo:recall."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from trimtab import cli
from trimtab.compression.features import PromptFeatures, chosen, distance_bins, tail
from trimtab.compression.prompt_sets import named, rows_by_part
from trimtab.compression.router import Router
from trimtab.compression.table import RewardTable
from trimtab.lm.load import load_tokenizer
from trimtab.tracking import read_jsonl


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("table")
    line = ["compression", "tabulate", "--prompt-count", "24", "--budgets", "64", "128", "--menu", "u5b"]
    assert cli.run([*line, "--out", str(folder)]) == 0
    return folder / "table.npz"


def test_train_and_evaluate(table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    line = [
        "compression",
        "train",
        "--table",
        str(table),
        "--menu",
        "u5b",
        "--save-dir",
        str(tmp_path),
        "--name",
        "run",
    ]
    assert cli.run([*line, "--track"]) == 0
    assert "exported to" in capsys.readouterr().err
    assert cli.run(["compression", "evaluate", "--run", str(tmp_path / "run"), "--no-needle"]) == 0
    record = json.loads((tmp_path / "run" / "evaluation.json").read_text())
    assert {row["budget"] for row in record["rows"]} == {64, 128}
    assert [bar["holds"] for bar in record["bars"]] == [record["bars"][0]["value"] > 0]
    names = {row["name"] for row in record["rows"]}
    assert {"best fixed", "lookup", "learned", "shuffled features", "oracle"} <= names
    page = (tmp_path / "run" / "report.html").read_text()
    for part in ("The comparison", "Controls", "Over the budgets", "Kept tokens", "How it was measured"):
        assert part in page
    assert "http" not in page.replace("http-equiv", "")
    router = Router.load(tmp_path / "run" / "policy")
    assert router.about["fingerprint"] == RewardTable.load(table).about["fingerprint"]


def test_online_training_logs_live_rewards(tmp_path: Path) -> None:
    line = ["compression", "train", "--online", "--learner", "lin-ts", "--prompt-count", "16", "--menu", "u5b"]
    line += ["--iterations", "2", "--episodes-per-update", "3", "--eval-frequency", "1", "--eval-samples", "2"]
    assert cli.run([*line, "--save-dir", str(tmp_path), "--name", "live", "--track"]) == 0
    rows = list(read_jsonl(tmp_path / "live" / "progress.jsonl"))
    assert [row["iteration"] for row in rows] == [1, 2]
    assert all(0 <= row["avg_reward"] <= 1 and sum(row["actions"].values()) == 3 for row in rows)
    assert (tmp_path / "live" / "policy_2" / "policy.safetensors").is_file()


def test_a_table_of_another_model_is_refused(table: Path, tmp_path: Path) -> None:
    line = [
        "compression",
        "train",
        "--table",
        str(table),
        "--menu",
        "u5b",
        "--save-dir",
        str(tmp_path),
        "--name",
        "run",
    ]
    assert cli.run([*line, "--track"]) == 0
    about = tmp_path / "run" / "policy" / "policy.json"
    about.write_text(about.read_text().replace(str(RewardTable.load(table).about["fingerprint"]), "f" * 16))
    assert cli.run(["compression", "evaluate", "--run", str(tmp_path / "run"), "--no-needle"]) != 0


def test_features_by_hand() -> None:
    assert distance_bins(8).tolist() == [3, 2, 2, 2, 2, 1, 1, 0]
    numbers = tail([5, 6, 7, 5])
    assert numbers[0] == pytest.approx(np.log(5))
    assert numbers[1] == pytest.approx(3 / 4)  # distinct of the last 8, which are all
    assert numbers[9] == pytest.approx(np.log(4))  # the last token occurred three before
    named_vectors = {"tail": np.ones((2, 3)), "hidden": np.zeros((2, 1))}
    assert chosen(named_vectors, "tail+hidden").shape == (2, 4)
    assert chosen(named_vectors, "tail+hidden+tail").shape == (2, 4)
    with pytest.raises(ValueError, match="no features 'echo, look_back, focus, reach'"):
        chosen(named_vectors, "structural")
    assert PromptFeatures(8).name != PromptFeatures(16).name


def test_prompt_sets_and_parts(tmp_path: Path) -> None:
    recall, chat = load_tokenizer("zoo:recall"), load_tokenizer("zoo:chat")
    assert [prompt.name for prompt in named("recall", recall, 3, 1000)] == ["recall/0/0", "recall/0/1", "recall/0/2"]
    assert {prompt.group for prompt in named("ruler", chat, 8, 600)} >= {"ruler/qa", "ruler/niah_single"}
    with pytest.raises(ValueError, match="language of zoo:recall"):
        named("recall", chat, 3, 1000)
    with pytest.raises(ValueError, match="its own language only"):
        named("ruler", recall, 3, 1000)
    with pytest.raises(FileNotFoundError, match="is no file"):
        named(str(tmp_path / "none.jsonl"), chat, 3, 1000)
    joined = [prompt.group for prompt in named("ruler/qa+ruler/niah_single", chat, 5, 600)]
    assert joined == ["ruler/qa"] * 3 + ["ruler/niah_single"] * 2
    with pytest.raises(ValueError, match="name a set twice"):
        named("ruler/qa+ruler/qa", chat, 4, 600)
    with pytest.raises(ValueError, match="the same tokens"):
        named("ruler+ruler/niah_single", chat, 2, 600)
    with pytest.raises(ValueError, match="0 prompts: expected 1 or more"):
        named("ruler", chat, 0, 600)
    rows = rows_by_part([f"p/{n}" for n in range(100)], calibration=0.2, held_out=0.3)
    assert sorted(row for part in rows.values() for row in part) == list(range(100))
    with pytest.raises(ValueError, match="leave nothing for"):
        rows_by_part(["one"], calibration=0.2, held_out=0.3)
