"""A table made in pieces is the table made at once: after an interruption, and by two processes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from compression import tiny_models as tiny
from trimtab.compression import tabulating, training
from trimtab.compression.actions import menu
from trimtab.compression.features import PromptFeatures
from trimtab.compression.prompts import Prompt
from trimtab.compression.scoring import ScoreSettings
from trimtab.compression.table import RewardTable
from trimtab.compression.tabulating import CHUNK, tabulate
from trimtab.compression.train_recipe import Train
from trimtab.parallel import Workers

LAUNCH = ["-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2", "--num_machines", "1"]
LAUNCH += ["--mixed_precision", "no", "--dynamo_backend", "no", "--main_process_port", "0"]


def _prompts(count: int) -> list[Prompt]:
    return [
        Prompt(f"made/{n}", tuple(tiny.tokens(70, seed=n)[0].tolist()), tuple(tiny.tokens(4, seed=99 + n)[0].tolist()))
        for n in range(count)
    ]


def _tabulate(folder: Path, count: int = 3 * CHUNK - 2) -> RewardTable:
    return tabulate(
        tiny.model(),
        _prompts(count),
        menu("u5b"),
        (24, 40),
        folder,
        settings=ScoreSettings(scored_tokens=3),
        features=PromptFeatures(),
    )


def test_an_interrupted_table_is_gone_on_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = _tabulate(tmp_path / "whole")
    outcomes, made = tabulating._Job._outcomes, []

    def dying(self: tabulating._Job, chunk: tuple[Prompt, ...]) -> dict:
        if len(made) == 2:
            raise KeyboardInterrupt
        made.append(chunk)
        return outcomes(self, chunk)

    monkeypatch.setattr(tabulating._Job, "_outcomes", dying)
    with pytest.raises(KeyboardInterrupt):
        _tabulate(tmp_path / "cut")
    assert not (tmp_path / "cut" / "table.npz").exists()
    assert len(list((tmp_path / "cut" / "chunks").iterdir())) == 2

    def counted(self: tabulating._Job, chunk: tuple[Prompt, ...]) -> dict:
        made.append(chunk)
        return outcomes(self, chunk)

    monkeypatch.setattr(tabulating._Job, "_outcomes", counted)
    again = _tabulate(tmp_path / "cut")
    assert len(made) == 3  # the third chunk alone was left
    assert again.content_hash == whole.content_hash
    for name in ("table.npz", "table.json"):
        assert (tmp_path / "cut" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_more_prompts_make_only_what_is_new(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _tabulate(tmp_path, 2 * CHUNK)
    outcomes, made = tabulating._Job._outcomes, []

    def counted(self: tabulating._Job, chunk: tuple[Prompt, ...]) -> dict:
        made.append(chunk)
        return outcomes(self, chunk)

    monkeypatch.setattr(tabulating._Job, "_outcomes", counted)
    assert len(_tabulate(tmp_path, 2 * CHUNK + 3).prompts) == 2 * CHUNK + 3
    assert [len(chunk) for chunk in made] == [3]


@pytest.mark.slow
def test_two_processes_tabulate_what_one_tabulates(tmp_path: Path) -> None:
    environment = os.environ | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    flags = ["--prompt-count", "20", "--budgets", "64", "128", "--menu", "u5b"]
    for name, launcher in (("one", []), ("two", LAUNCH)):
        line = [sys.executable, *launcher, "-m", "trimtab", "compression", "tabulate", *flags]
        done = subprocess.run(
            [*line, "--out", str(tmp_path / name)],
            env=environment,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert done.stderr.count("20 prompts in") == 1  # only the main process reports
    tables = [RewardTable.load(tmp_path / name / "table") for name in ("one", "two")]
    assert tables[0].content_hash == tables[1].content_hash


def test_training_in_several_processes_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(training, "workers", lambda: Workers(1, 2))
    with pytest.raises(ValueError, match="tabulate` spreads over processes"):
        training.train(Train(save_dir=tmp_path))
