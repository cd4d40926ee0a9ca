"""Do metrics reach their trackers, once and whole, also where a run is killed and goes on?"""

from __future__ import annotations

import importlib.metadata
import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from trimtab.runs import Run, read_metrics
from trimtab.trackers import Ledger, Tracked, TrackSettings, check, trackers
from trimtab.tracking import Histogram, Jsonl, read_jsonl
from wandb_files import wandb_records

TREES = Histogram(("(2, 1, 1)", "(8, 2, 4)", "none"), (3, 0, 2))


# -- what is logged ----------------------------------------------------------------------------------------------------


def test_a_histogram_counts_what_occurred_and_what_did_not() -> None:
    assert Histogram.of(["a", 7, "c"], [2, 0, 2, 2]) == Histogram(("a", "7", "c"), (1, 0, 3))
    assert TREES.plain() == {"(2, 1, 1)": 3, "(8, 2, 4)": 0, "none": 2}
    assert TREES.total == 5
    assert TREES.edges == [-0.5, 0.5, 1.5, 2.5]
    assert TREES.legend() == "0: (2, 1, 1)  \n1: (8, 2, 4)  \n2: none"


@pytest.mark.parametrize(
    ("labels", "counts", "message"),
    [
        ((), (), "at least one label"),
        (("a",), (1, 2), "a count for each"),
        (("a", "a"), (1, 2), "each of its own"),
        (("a",), (-1,), "below 0"),
    ],
)
def test_what_is_no_histogram(labels: tuple[str, ...], counts: tuple[int, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Histogram(labels, counts)
    with pytest.raises(ValueError, match="index 2 points to none of 2 labels"):
        Histogram.of(["a", "b"], [0, 2])


def test_a_row_keeps_a_histogram_as_counts_and_sinks_get_it_whole(tmp_path: Path) -> None:
    got: list[dict[str, Any]] = []

    class Kept:
        def log(self, step: int, metrics: dict[str, Any]) -> None:
            got.append({"step": step, **metrics})

        def close(self) -> None:
            got.append({})

    with Run.begin(tmp_path, {}, name="run", track=()) as run:
        run.attach(Kept())
        run.log(1, {"reward": 1, "actions": TREES})
    (row,) = read_metrics(run.path)
    assert (row["reward"], row["actions"]) == (1.0, {"(2, 1, 1)": 3, "(8, 2, 4)": 0, "none": 2})
    assert got == [{"step": 1, "reward": 1.0, "actions": TREES}, {}]


# -- TensorBoard -------------------------------------------------------------------------------------------------------


def events_of(run: Path) -> EventAccumulator:
    events = EventAccumulator(str(run / "tensorboard"), size_guidance={"tensors": 0, "histograms": 0})
    events.Reload()
    return events


@pytest.mark.parametrize("checkpoint", [True, False])
def test_tensorboard_shows_a_resumed_run_once(tmp_path: Path, checkpoint: bool) -> None:
    with Run.begin(tmp_path, {"seed": 0}, name="run") as run:
        run.log(1, {"reward": 1.0})
        if checkpoint:
            run.checkpoint(1, {}, {})
        run.log(2, {"reward": 2.0})
    with Run.resume(run.path) as again:
        for step in (2,) if checkpoint else (1, 2):
            again.log(step, {"reward": step + 0.5})
    shown = [(event.step, event.value) for event in events_of(run.path).Scalars("reward")]
    assert shown == [(1, 1.0 if checkpoint else 1.5), (2, 2.5)]


def test_tensorboard_draws_histograms_and_says_what_their_bins_are(tmp_path: Path) -> None:
    with Run.begin(tmp_path, {}, name="run") as run:
        run.log(1, {"actions": TREES})
        run.log(2, {"actions": TREES})
    events = events_of(run.path)
    first, second = (event.histogram_value for event in events.Histograms("actions"))
    assert (first.min, first.max, first.num, first.sum, first.sum_squares) == (0, 2, 5, 4, 8)
    assert list(second.bucket) == [3, 0, 2]
    assert list(second.bucket_limit) == [0.5, 1.5, 2.5]
    (legend,) = events.Tensors("actions.labels/text_summary")
    assert b"1: (8, 2, 4)" in legend.tensor_proto.string_val[0]


def test_no_event_file_without_metrics(tmp_path: Path) -> None:
    Run.begin(tmp_path, {}, name="run").close()
    assert not (tmp_path / "run" / "tensorboard").exists()


# -- trackers that forget nothing --------------------------------------------------------------------------------------


TRAINING = """
import os, signal, sys
from pathlib import Path
from trimtab.runs import Run
from trimtab.trackers import TrackSettings
from trimtab.tracking import Histogram

tracked = {"track": (sys.argv[1],), "tracking": TrackSettings(wandb_project="tabs") if sys.argv[1] == "wandb" else None}
killed = sys.argv[2] == "killed"


def log(run, *steps):
    for step in steps:
        run.log(step, {"reward": step / 2, "actions": Histogram(("(2, 1, 1)", "(8, 2, 4)"), (step, 5))})


if killed:
    with Run.begin(Path.cwd(), {"seed": 3}, name="run", **tracked) as run:
        log(run, 1, 2)
        run.checkpoint(2, {}, {})
        log(run, 3, 4)
with Run.resume("run", **tracked) as run:
    if killed:
        log(run, 3, 4, 5)
        run.checkpoint(5, {}, {})
        log(run, 6)
        os.kill(os.getpid(), signal.SIGKILL)
    log(run, 6, 7)
"""
ROWS = [(step, step / 2, [step, 5]) for step in range(1, 8)]


def train(folder: Path, tracker: str, **variables: str) -> str:
    """Steps 1 to 7, interrupted twice: after step 4, closed; after step 6, killed. The last checkpoint was of step 5."""
    in_a_process_of_its_own(TRAINING, folder, tracker, "killed", status=-signal.SIGKILL, **variables)
    return in_a_process_of_its_own(TRAINING, folder, tracker, "goes on", **variables)


def in_a_process_of_its_own(code: str, folder: Path, *arguments: str, status: int = 0, **variables: str) -> str:
    """What ``code`` prints, with nothing of the developer's own settings and accounts."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("WANDB", "TRACKIO", "HF_"))}
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=folder,
        env=kept | {"HOME": str(folder), "OMP_NUM_THREADS": "1"} | variables,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == status, done.stderr
    return done.stdout


def test_wandb_offline_keeps_each_step_once_and_calls_nobody(tmp_path: Path) -> None:
    pytest.importorskip("wandb", reason="needs the extra wandb")
    with socket.create_server(("127.0.0.1", 0)) as anybody:
        address = f"http://127.0.0.1:{anybody.getsockname()[1]}"
        everywhere = {"WANDB_BASE_URL": address, "HTTP_PROXY": address, "HTTPS_PROXY": address, "NO_PROXY": ""}
        said = train(tmp_path, "wandb", WANDB_MODE="offline", **everywhere)
        anybody.setblocking(False)
        with pytest.raises(BlockingIOError):
            anybody.accept()
    assert said == ""
    parts = sorted((tmp_path / "run" / "wandb").glob("*/*.wandb"))  # what `wandb sync` would send
    parts = [part for part in parts if part.parent.name != "latest-run"]
    assert len(parts) == 2
    assert len(list((tmp_path / "run" / "wandb" / "killed").iterdir())) == 1
    assert len({part.stem for part in parts}) == 1  # named after the run's id
    records = [record for part in parts for record in wandb_records(part)]
    runs = [record.run for record in records if record.WhichOneof("record_type") == "run"]
    assert {(run.run_id, run.project, run.display_name) for run in runs} == {(runs[0].run_id, "tabs", "run")}
    assert {item.key: item.value_json for item in runs[0].config.update}["seed"] == "3"
    histories = [record.history for record in records if record.WhichOneof("record_type") == "history"]
    items = [{"/".join(i.nested_key): json.loads(i.value_json) for i in history.item} for history in histories]
    assert [(row["_step"], row["reward"], row["actions/values"]) for row in items] == ROWS
    configs = [item for r in records if r.WhichOneof("record_type") == "config" for item in r.config.update]
    assert {item.value_json for item in configs if item.key == "actions.labels"} == {'["(2, 1, 1)","(8, 2, 4)"]'}


READING = """
import json
import trackio
from trackio.sqlite_storage import SQLiteStorage

(run,) = trackio.Api().runs("trimtab")
print(json.dumps([run.name, run.config["seed"], SQLiteStorage.get_logs("trimtab", run.name, run_id=run.id)]))
"""


def test_a_tracker_that_joins_later_gets_the_rows_before_it(tmp_path: Path) -> None:
    pytest.importorskip("trackio", reason="needs the extra trackio")
    code = """
from trimtab.runs import Run
with Run.begin(".", {"seed": 3}, name="run", track=()) as run:
    run.log(1, {"reward": 0.5})
    run.checkpoint(1, {}, {})
Run.resume("run", track=("trackio",)).close()
"""
    store = {"TRACKIO_DIR": str(tmp_path / "store")}
    in_a_process_of_its_own(code, tmp_path, **store)
    _, _, rows = json.loads(in_a_process_of_its_own(READING, tmp_path, **store))
    assert [(row["step"], row["reward"]) for row in rows] == [(1, 0.5)]


def test_a_ledger_is_found_again(tmp_path: Path) -> None:
    ledger = Ledger.open(tmp_path / "trackers" / "one.json")
    again = Ledger.open(ledger.path)
    assert (again, again.sent, again.part) == (ledger, -1, None)
    again.sent, again.part = 4, "offline-run-1"
    again.save()
    assert Ledger.open(ledger.path) == again
    assert len(again.identity) == 8


def test_trackio_keeps_each_step_once(tmp_path: Path) -> None:
    pytest.importorskip("trackio", reason="needs the extra trackio")
    store = {"TRACKIO_DIR": str(tmp_path / "store")}
    assert train(tmp_path, "trackio", **store) == ""
    name, seed, rows = json.loads(in_a_process_of_its_own(READING, tmp_path, **store))
    assert name == f"run-{Ledger.open(tmp_path / 'run' / 'trackers' / 'trackio.json').identity}"
    assert seed == 3
    assert [(row["step"], row["reward"], row["actions"]["values"]) for row in rows] == ROWS
    assert rows[0]["actions.labels"]["_value"] == "0: (2, 1, 1)  \n1: (8, 2, 4)"


REFUSED = """
from trimtab.runs import Run
from trimtab.trackers import TrackSettings

for settings in (TrackSettings(wandb_mode="online"), TrackSettings()):
    try:
        Run.begin(".", {}, track=("wandb",), tracking=settings)
    except ValueError as error:
        print(error)
"""


def test_a_refusal_of_wandb_says_what_to_do(tmp_path: Path) -> None:
    pytest.importorskip("wandb", reason="needs the extra wandb")
    without_a_key, disabled = in_a_process_of_its_own(REFUSED, tmp_path, WANDB_MODE="disabled").splitlines()
    assert "refuses the run: No API key" in without_a_key
    assert "keep the run here by WANDB_MODE=offline" in without_a_key
    assert "WANDB_MODE=disabled keeps nothing: unset it" in disabled


# -- by name -----------------------------------------------------------------------------------------------------------


def test_an_unknown_tracker_is_an_error_with_a_suggestion(tmp_path: Path) -> None:
    message = r"'tensorbord'. Did you mean 'tensorboard'.*tensorboard, wandb, trackio.*Run\.attach"
    with pytest.raises(ValueError, match=message):
        Run.begin(tmp_path, {}, name="run", track=("tensorbord",))
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("name", ["wandb", "trackio"])
def test_a_missing_package_is_an_error_that_says_how_to_install_it(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(package: str) -> str:
        raise importlib.metadata.PackageNotFoundError(package)

    monkeypatch.setattr(importlib.metadata, "version", missing)
    with pytest.raises(ValueError, match=rf"not installed: pip install 'trimtab\[{name}\]'"):
        Run.begin(tmp_path, {}, name="run", track=("tensorboard", name))
    assert not (tmp_path / "run").exists()


def test_settings_of_a_tracker_that_is_not_used_are_an_error() -> None:
    check(("tensorboard",), TrackSettings())
    with pytest.raises(ValueError, match=r"wandb_project, wandb_mode given.* by tensorboard: name wandb"):
        check(("tensorboard",), TrackSettings(wandb_project="mine", wandb_mode="offline"))
    assert TrackSettings(trackio_project="mine").unused(("trackio",)) == []


def test_a_tracker_named_twice_is_opened_once(tmp_path: Path) -> None:
    assert len(trackers(("tensorboard", "tensorboard"), Tracked(tmp_path))) == 1


# -- lines -------------------------------------------------------------------------------------------------------------


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
