"""Does the demo run each room's own in a process of its own, and tell of those that fail?"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from tests.test_survey import run_in

from trimtab import cli, demonstration


@pytest.fixture
def spawned(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Stands in for the rooms' processes: compression fails, the others leave an evaluated run."""
    asked: list[list[str]] = []

    def run(words: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        asked.append(words[2:])
        if words[3] == "compression":
            return subprocess.CompletedProcess(words, 3)
        run_in(Path(words[-1]), "only", evaluated=True)
        return subprocess.CompletedProcess(words, 0)

    monkeypatch.setattr(demonstration.subprocess, "run", run)
    return asked


def test_all_rooms_with_a_demo_run_and_a_failure_is_told(
    spawned: list[list[str]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run(["demo", "--out", str(tmp_path), "--json", str(tmp_path / "rows.json")]) == 1
    known = demonstration.rooms_with_demo()
    assert {"speculation", "compression"} <= set(known)
    assert [words[:3] for words in spawned] == [["trimtab", room, "demo"] for room in known]
    assert "`trimtab compression demo` ended with exit status 3" in capsys.readouterr().err
    assert len(json.loads((tmp_path / "rows.json").read_text())["rows"]) == len(known) - 1
    assert len(list(tmp_path.glob("*/report.html"))) == 1


def test_one_room(spawned: list[list[str]], tmp_path: Path) -> None:
    assert cli.run(["demo", "speculation", "--out", str(tmp_path)]) == 0
    assert [words[1] for words in spawned] == ["speculation"]


def test_an_unknown_room_lists_the_known(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["demo", "speculaton"]) == 2
    assert "no demo of speculaton: expected some of speculation, compression" in capsys.readouterr().err
