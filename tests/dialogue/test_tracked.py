"""Do a dialogue run's numbers reach Weights & Biases (offline) and Trackio, the parts of the reward by name?"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from trimtab.cli import run
from trimtab.runs import read_metrics
from wandb_files import wandb_records

TINY = ["--rl-max-steps", "2", "--critic-replies", "16", "--rl-batch-size", "8", "--minibatch-size", "8"]
REWARD = ["--empathy-weight", "0", "--bleu-weight", "linear(0, 1)", "--gate"]


def arguments(folder: Path, *more: str) -> list[str]:
    asked = ["dialogue", "train", "tiny", *TINY, *REWARD, "--data", "moods:train:40", "--save-dir", str(folder)]
    return [*asked, "--name", "run", *more]


def test_wandb_offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_SILENT", "true")
    assert run(arguments(tmp_path, "--use-wandb", "--wandb-mode", "offline", "--track")) == 0
    path = tmp_path / "run"
    (kept,) = path.rglob("*.wandb")
    logged = {item.key or "/".join(item.nested_key) for record in wandb_records(kept) for item in record.history.item}
    row = read_metrics(path)[-1]
    assert {name for name in row if name.startswith("reward")} <= logged
    assert "reward_weight/bleu" in logged


def test_trackio(tmp_path: Path) -> None:
    pytest.importorskip("trackio")
    store = tmp_path / "trackio"
    asked = arguments(tmp_path, "--track", "trackio", "--trackio-project", "dialogue")
    # a process of its own, for trackio reads where to write when it is imported
    command = [sys.executable, "-m", "trimtab", *asked]
    subprocess.run(command, check=True, capture_output=True, env={**os.environ, "TRACKIO_DIR": str(store)})
    row = read_metrics(tmp_path / "run")[-1]
    assert row["reward_weight/bleu"] == 0.5  # at the second of two steps, half is done
    assert any(store.rglob("*.db")), list(store.rglob("*"))
