"""Does the demo run each room's own in a process of its own, and tell of those that fail?"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.test_survey import run_in

from trimtab import cli, demonstration


@pytest.fixture
def spawned(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Stands in for the rooms' processes: compression fails, the others leave an evaluated run."""
    asked: list[str] = []

    def spawn(room: str, out: Path) -> int:
        asked.append(room)
        if room == "compression":
            return 3
        run_in(out, "only", evaluated=True)
        return 0

    monkeypatch.setattr(demonstration, "_spawn", spawn)
    return asked


def test_all_rooms_with_a_demo_run_and_a_failure_is_told(
    spawned: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run(["demo", "--out", str(tmp_path), "--json", str(tmp_path / "rows.json")]) == 1
    known = demonstration.rooms_with_demo()
    assert {"speculation", "compression"} <= set(known)
    assert spawned == known
    assert "`trimtab compression demo` ended with exit status 3" in capsys.readouterr().err
    assert len(json.loads((tmp_path / "rows.json").read_text())["rows"]) == len(known) - 1
    assert len(list(tmp_path.glob("*/report.html"))) == 1


def test_one_room(spawned: list[str], tmp_path: Path) -> None:
    assert cli.run(["demo", "speculation", "--out", str(tmp_path)]) == 0
    assert spawned == ["speculation"]


def test_an_unknown_room_lists_the_known(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["demo", "speculaton"]) == 2
    assert "no demo of speculaton: expected some of speculation, compression" in capsys.readouterr().err
