"""Do a dialogue run's numbers reach Weights & Biases (offline) and Trackio, the parts of the reward by name?"""

from __future__ import annotations

from pathlib import Path

import pytest

from trimtab.cli import run
from trimtab.runs import read_metrics

TINY = ["--rl-max-steps", "2", "--critic-replies", "16", "--rl-batch-size", "8", "--minibatch-size", "8"]
REWARD = ["--empathy-weight", "0", "--bleu-weight", "linear(0, 1)", "--gate"]


def train(folder: Path, *more: str) -> Path:
    asked = ["dialogue", "train", "tiny", *TINY, *REWARD, "--data", "moods:train:40", "--save-dir", str(folder)]
    assert run([*asked, "--name", "run", *more]) == 0
    return folder / "run"


def test_wandb_offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("wandb")
    from wandb.proto import wandb_internal_pb2
    from wandb.sdk.internal.datastore import DataStore

    monkeypatch.setenv("WANDB_SILENT", "true")
    path = train(tmp_path, "--use-wandb", "--wandb-mode", "offline", "--track")
    (kept,) = path.rglob("*.wandb")
    store, logged = DataStore(), set[str]()
    store.open_for_scan(str(kept))
    while (data := store.scan_data()) is not None:
        record = wandb_internal_pb2.Record()
        record.ParseFromString(data)
        logged |= {item.key or "/".join(item.nested_key) for item in record.history.item}
    row = read_metrics(path)[-1]
    assert {name for name in row if name.startswith("reward")} <= logged
    assert "reward_weight/bleu" in logged


def test_trackio(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("trackio")
    monkeypatch.setenv("TRACKIO_DIR", str(tmp_path / "trackio"))
    path = train(tmp_path, "--track", "trackio", "--trackio-project", "dialogue")
    assert read_metrics(path)[-1]["reward_weight/bleu"] == 1.0
    assert any((tmp_path / "trackio").rglob("*"))
