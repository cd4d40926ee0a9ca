"""Do metrics reach their trackers, and do lines stay whole?"""

from __future__ import annotations

from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from trimtab.runs import Run
from trimtab.tracking import Jsonl, read_jsonl, tracker


def test_tensorboard_shows_a_resumed_run_once(tmp_path: Path) -> None:
    with Run.begin(tmp_path, {"seed": 0}, name="run") as run:
        run.log(1, {"reward": 1.0})
        run.checkpoint(1, {}, {})
        run.log(2, {"reward": 2.0})
    with Run.resume(run.path) as again:
        again.log(2, {"reward": 2.5})
    events = EventAccumulator(str(run.path / "tensorboard"))
    events.Reload()
    assert [(event.step, event.value) for event in events.Scalars("reward")] == [(1, 1.0), (2, 2.5)]


def test_no_event_file_without_metrics(tmp_path: Path) -> None:
    Run.begin(tmp_path, {}, name="run").close()
    assert not (tmp_path / "run" / "tensorboard").exists()


def test_an_unknown_tracker_is_an_error_with_a_suggestion(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"'tensorbord'. Did you mean 'tensorboard'.*Run\.attach"):
        tracker("tensorbord", tmp_path)


def test_lines_are_appended_truncated_and_reopened_whole(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    lines = Jsonl(path)
    for number in range(4):
        lines.append({"é": number})
    lines.truncate(3)
    lines.append({"é": 9})
    lines.close()
    path.write_bytes(path.read_bytes() + b'{"half": ')
    assert Jsonl(path).rows == 4
    assert [row["é"] for row in read_jsonl(path)] == [0, 1, 2, 9]
    with pytest.raises(ValueError, match="holds 4 rows: expected at least 5"):
        Jsonl(path).truncate(5)
