"""Reward tables on disk: what comes back, and what is refused."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from compression.made_tables import ACTIONS, BUDGETS, made_table
from trimtab import cli
from trimtab.compression.table import RewardTable


def test_a_table_comes_back_from_its_files(tmp_path: Path) -> None:
    table = made_table(20)
    table.save(tmp_path / "table")
    again = RewardTable.load(tmp_path / "table.npz", fingerprint="0" * 16, actions=ACTIONS)
    assert again.content_hash == table.content_hash
    assert (again.prompts, again.actions, again.budgets) == (table.prompts, table.actions, table.budgets)
    for name, vector in table.features.items():
        np.testing.assert_array_equal(again.features[name], vector)
    assert RewardTable.load(tmp_path / "table").content_hash == table.content_hash


def test_a_table_of_other_actions_or_another_model_is_refused(tmp_path: Path) -> None:
    made_table(20).save(tmp_path / "table")
    with pytest.raises(ValueError, match=r"table of other actions: action 1 is 'tova' there, given 'streaming'"):
        RewardTable.load(tmp_path / "table", actions=("h2o", "streaming", "snapkv"))
    with pytest.raises(ValueError, match="other actions"):
        RewardTable.load(tmp_path / "table", actions=ACTIONS[:2])
    with pytest.raises(ValueError, match=r"made with model 0{16}, this is model 1{16}: tabulate anew"):
        RewardTable.load(tmp_path / "table", fingerprint="1" * 16)


def test_a_table_that_was_changed_is_refused(tmp_path: Path) -> None:
    table = made_table(20)
    table.save(tmp_path / "table")
    replace(table, prompt_tokens_P=table.prompt_tokens_P + 1).save(tmp_path / "other")
    (tmp_path / "other.npz").replace(tmp_path / "table.npz")
    with pytest.raises(ValueError, match="do not belong together, or were changed"):
        RewardTable.load(tmp_path / "table")
    meaning = json.loads((tmp_path / "table.json").read_text())
    (tmp_path / "table.json").write_text(json.dumps({**meaning, "format": 99}))
    with pytest.raises(ValueError, match="has format 99"):
        RewardTable.load(tmp_path / "table")
    with pytest.raises(FileNotFoundError):
        RewardTable.load(tmp_path / "none")


def test_unknown_parts_and_budgets_list_the_known() -> None:
    table = made_table(20)
    with pytest.raises(ValueError, match="no part 'metric' in the table: expected one of fidelity"):
        table.rewards("metric", BUDGETS[0])
    with pytest.raises(ValueError, match="no budget 48 in the table"):
        table.rewards("fidelity", 48)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["tabulate", "--menu", "sed"], "Did you mean 'seed'"),
        (["tabulate", "--prompts", "ruler/niah_singel"], "its own language only"),
        (["tabulate", "--context-encoder-model", "minlm"], "no context encoder 'minlm'"),
        (["tabulate", "--cosine-model", "hidden"], "no text encoder 'hidden'"),
        (["tabulate", "--budgets", "3"], "expected 5 or more"),
        (["tabulate", "--gpus", "0", "1"], "one process each"),
        (["tabulate", "--new-tokens", "1"], "expected 2 or more"),
        (["train", "--learner", "ridgy"], "Did you mean 'ridge'"),
        (["train", "--reward", "metric"], "let the caches answer freely (--new-tokens 16)"),
        (["train", "--reward", "cosine", "--new-tokens", "4"], "--cosine-model minilm"),
        (["evaluate", "--run", "nowhere"], "nowhere is no run"),
        (["bench", "--menu", "all"], "no menu 'all'"),
    ],
)
def test_mistakes_on_the_command_line_are_one_line(
    flags: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    few = ["--prompt-count", "12"] if flags[0] in ("tabulate", "train") else []
    more = ["--menu", "u5b"] if few and "--menu" not in flags else []
    assert cli.run(["compression", *flags, *few, *more]) == 2
    shown = capsys.readouterr().err
    assert message in shown
    assert "Traceback" not in shown
