"""Shares are dealt by index and joined in the same order; one process needs no files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from trimtab.parallel import ALONE, Workers, quietly, workers


def test_shares_are_disjoint_and_complete() -> None:
    shares = [Workers(rank, 3).share("abcdefg") for rank in range(3)]
    assert shares == [["a", "d", "g"], ["b", "e"], ["c", "f"]]


def test_alone_there_is_nothing_to_wait_for(tmp_path: Path) -> None:
    assert workers() == ALONE
    assert ALONE.gather([1, 2], None, "x") == [1, 2]
    assert ALONE.shared([1, 2], sum) == 3
    with ALONE.meeting(tmp_path) as folder:
        assert folder is None
    assert not list(tmp_path.iterdir())


def test_results_are_gathered_in_the_order_of_the_items(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Workers, "wait", lambda self: None)
    items = list(range(7))
    for rank in (1, 2):
        (tmp_path / f"x-{rank}.json").write_text(json.dumps(Workers(rank, 3).share(items)))
    assert Workers(0, 3).gather(Workers(0, 3).share(items), tmp_path, "x") == items


def test_only_the_main_process_prints(capsys: pytest.CaptureFixture[str]) -> None:
    for team in (Workers(0, 2), Workers(1, 2)):
        with quietly(team):
            print(f"number {team.rank}")
    assert capsys.readouterr().out == "number 0\n"
