"""What is kept of a run, and how does it go on after it was killed, to the same numbers?

A run is a directory. What is written is written whole or not at all; a checkpoint remembers how many rows the run had
recorded, and resuming drops the rows beyond it, so that an interrupted run ends with the rows of an uninterrupted one.
"""

from __future__ import annotations

import json
import shlex
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

import numpy as np
import yaml

from trimtab import machine
from trimtab.checkpoints import Bookkeeping, Checkpoint, Checkpoints, replace_file
from trimtab.plain import Arrays, Plain, differences, restore_arrays, to_plain
from trimtab.reading import read_object, refusing
from trimtab.trackers import Remembering, Tracked, TrackSettings, trackers
from trimtab.trackers import check as check_trackers
from trimtab.tracking import Histogram, Jsonl, Sink, Value, read_jsonl
from trimtab.types import Step

ABOUT = """# A run of trimtab

| file | what it holds |
|---|---|
| `recipe.yaml` | the resolved recipe: every setting, `class` naming the recipe it was |
| `run.json` | room, seed, command, start (UTC), versions, hardware, commit; the same for each time the run was resumed |
| `outcome.json` | what an evaluation found: learned, best fixed, ceiling, interval, verdict; `report.html` shows it |
| `metrics.jsonl` | one line per update: `step`, `elapsed_seconds` (over all resumptions), the metrics |
| `steps.jsonl` | one line per decision: `task`, `context`, `choice`, `outcome`, `grade` |
| `steps/` | the arrays of those decisions, `{"array": NAME}` in the line; NNNNNNNN.npz begins at row NNNNNNNN |
| `checkpoints/` | `NNNNNNNN.safetensors` after step NNNNNNNN: arrays, and the state as JSON in the file's metadata |
| `tensorboard/` | the metrics again, for `tensorboard --logdir` |
| `wandb/` | the metrics again, where they went to Weights & Biases; `wandb sync` sends what was kept offline |
| `trackers/` | under which identity other trackers know the run |

A run that was stopped goes on from its newest checkpoint: `Run.resume(directory)`.
"""
KEPT_CHECKPOINTS = 3
TIMING_FIELDS = ("elapsed_seconds",)
"""Fields of a metrics row that trimtab adds and that differ between two runs of the same numbers."""


def _write_text(path: Path, text: str) -> None:
    replace_file(path, lambda scratch: scratch.write_text(text, encoding="utf-8"))


def _circumstances() -> dict[str, Any]:
    return {
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": shlex.join(sys.argv),
        "versions": machine.versions(),
        "hardware": machine.hardware(),
        "commit": machine.commit(),
    }


def _room(recipe: object) -> str | None:
    """The room whose recipe this is, None for a recipe from elsewhere."""
    package, _, inner = type(recipe).__module__.partition(".")
    return inner.partition(".")[0] if package == "trimtab" and "." in inner else None


def _new_directory(root: Path, recipe: object, name: str | None) -> Path:
    """Make the run's directory: ``name``, or one named after the recipe and the time."""
    base = name or f"{type(recipe).__name__.lower()}-{datetime.now().astimezone():%Y%m%d-%H%M%S}"
    root.mkdir(parents=True, exist_ok=True)
    for attempt in range(1, 1000):
        path = root / (base if attempt == 1 else f"{base}-{attempt}")
        try:
            path.mkdir()
        except FileExistsError:
            if name is not None:
                raise ValueError(
                    f"there is a run in {path} already. Go on with it by Run.resume, or choose another name."
                ) from None
        else:
            return path
    raise ValueError(f"too many runs named {base} in {root}: give a name.")


def _recipe(path: Path) -> dict[str, Any]:
    """The recipe that a run was begun with: plain YAML, which builds no objects. Raises ValueError where it is none."""
    with refusing(path, "recipe", "begin the run anew"):
        try:
            found = yaml.safe_load(path.read_text(encoding="utf-8"))
        except yaml.YAMLError as error:
            raise TypeError(str(error)) from error
        if not isinstance(found, dict):
            raise TypeError(f"a {type(found).__name__}, not a mapping")
        return found


def _refuse_other_recipe(path: Path, expected: Plain, given: Plain) -> None:
    found = differences(expected, given)
    if found:
        shown = "; ".join(f"{field} is {old!r} there, given {new!r}" for field, old, new in found[:5])
        more = f"; and {len(found) - 5} more" if len(found) > 5 else ""
        raise ValueError(
            f"the run in {path} was begun with another recipe: {shown}{more}. "
            f"Give the recipe of {path / 'recipe.yaml'}, or begin a new run."
        )


class Run:
    """The directory of a run. Make one by ``Run.begin`` or ``Run.resume``; use it as a context manager or close it.

    ``path``: the directory. ``recipe``: the resolved recipe, as plain data.
    """

    def __init__(self, path: Path, recipe: Plain, kept: Bookkeeping, sinks: Sequence[Sink]) -> None:
        self.path = path
        self.recipe = recipe
        self._checkpoints = Checkpoints(path / "checkpoints", keep=KEPT_CHECKPOINTS)
        self._metrics = Jsonl(path / "metrics.jsonl")
        self._steps = Jsonl(path / "steps.jsonl")
        self._metrics.truncate(kept.metrics_rows)
        self._steps.truncate(kept.steps_rows)
        self._drop_sidecars(from_row=kept.steps_rows)
        self._started = time.monotonic() - kept.elapsed_seconds
        self._sinks = list(sinks)

    @classmethod
    def begin(
        cls,
        root: Path | str,
        recipe: object,
        *,
        name: str | None = None,
        track: Sequence[str] = ("tensorboard",),
        tracking: TrackSettings | None = None,
    ) -> Self:
        """Begin a run in a new directory below ``root``.

        ``recipe``: a dataclass; its ``seed``, where it has one, is noted. ``name``: the directory's name (default:
        the recipe's class and the time). ``track``: trackers beside ``metrics.jsonl``, named as ``tracking`` says.
        Raises ValueError where ``name`` exists already, where the recipe holds more than plain settings, or where a
        tracker is unknown, not installed, or refuses the run.
        """
        plain = to_plain(recipe)
        settings = tracking or TrackSettings()
        check_trackers(track, settings)
        path = _new_directory(Path(root), recipe, name)
        _write_text(path / "about.md", ABOUT)
        about = {"room": _room(recipe), "seed": getattr(recipe, "seed", None), **_circumstances(), "resumed": []}
        _write_text(path / "run.json", json.dumps(about, indent=2) + "\n")
        _write_text(path / "recipe.yaml", yaml.safe_dump(plain, sort_keys=False, allow_unicode=True))
        return cls(path, plain, Bookkeeping(), trackers(track, Tracked(path, plain, None, settings)))

    @classmethod
    def resume(
        cls,
        path: Path | str,
        recipe: object | None = None,
        *,
        track: Sequence[str] = ("tensorboard",),
        tracking: TrackSettings | None = None,
    ) -> Self:
        """Go on with the run in ``path`` from its newest checkpoint; rows recorded after that checkpoint are dropped.

        Without a checkpoint the run starts over, in the same directory. Raises FileNotFoundError where ``path`` is no
        run, ValueError where ``recipe`` is given and is not the one that the run was begun with (naming the fields), or
        as ``begin`` for the trackers, which may be others than before.
        """
        path = Path(path)
        if not (path / "recipe.yaml").is_file():
            raise FileNotFoundError(f"{path} is no run: expected a directory with recipe.yaml, made by Run.begin.")
        plain = _recipe(path / "recipe.yaml")
        if recipe is not None:
            _refuse_other_recipe(path, plain, to_plain(recipe))
        newest = Checkpoints(path / "checkpoints", keep=KEPT_CHECKPOINTS).latest()
        about: dict[str, Any] = read_object(path / "run.json", "description of a run", "begin the run anew")
        with refusing(path / "run.json", "description of a run", "begin the run anew"):
            about["resumed"].append({"from_step": newest.step if newest else None, **_circumstances()})
        settings = tracking or TrackSettings()
        check_trackers(track, settings)
        kept, from_step = (newest.bookkeeping, newest.step + 1) if newest else (Bookkeeping(), 0)
        run = cls(path, plain, kept, trackers(track, Tracked(path, plain, from_step, settings)))
        _write_text(path / "run.json", json.dumps(about, indent=2) + "\n")
        run._catch_up()
        return run

    def _catch_up(self) -> None:
        """Send those trackers that know what they have the rows that they lack: lost on the way, or from before them."""
        rows = [(row["step"], logged_values(row)) for row in read_metrics(self.path)]
        for sink in self._sinks:
            if isinstance(sink, Remembering):
                for step, values in rows:
                    sink.log(step, values)

    @property
    def elapsed_seconds(self) -> float:
        """Seconds since the run was begun, without those between a kill and the resumption."""
        return time.monotonic() - self._started

    def attach(self, sink: Sink) -> None:
        """Send the metrics from now on to ``sink`` as well."""
        self._sinks.append(sink)

    def log(self, step: int, metrics: Mapping[str, Value]) -> None:
        """Append one row of metrics, and hand it to the trackers. Raises ValueError for a reserved name.

        A ``Histogram`` is kept as a mapping from label to count.
        """
        reserved = {"step", *TIMING_FIELDS} & set(metrics)
        if reserved:
            raise ValueError(f"the metrics hold {', '.join(sorted(reserved))}, which trimtab writes: rename them.")
        values = {name: v if isinstance(v, Histogram) else float(v) for name, v in metrics.items()}
        plain = {name: v.plain() if isinstance(v, Histogram) else v for name, v in values.items()}
        self._metrics.append({"step": step, "elapsed_seconds": round(self.elapsed_seconds, 3), **plain})
        for sink in self._sinks:
            sink.log(step, values)

    def record(self, steps: Sequence[Step[Any, Any, Any]]) -> None:
        """Append decisions to ``steps.jsonl``, their arrays to one sidecar file.

        Raises ValueError, naming the field, where a step holds more than plain data and arrays.
        """
        arrays: Arrays = {}
        first = self._steps.rows
        rows = [to_plain(step, arrays=arrays, where=str(first + index)) for index, step in enumerate(steps)]
        if arrays:
            self._write_sidecar(first, arrays)
        for row in rows:
            del row["class"]
            self._steps.append(row)

    def _write_sidecar(self, first: int, arrays: Arrays) -> None:
        def write(scratch: Path) -> None:
            with scratch.open("wb") as file:
                np.savez(file, allow_pickle=False, **arrays)

        folder = self.path / "steps"
        folder.mkdir(exist_ok=True)
        replace_file(folder / f"{first:08d}.npz", write)

    def _drop_sidecars(self, *, from_row: int) -> None:
        for path in (self.path / "steps").glob("*.npz"):
            if int(path.stem) >= from_row:
                path.unlink()

    def checkpoint(self, step: int, arrays: Mapping[str, Any], state: Mapping[str, Plain]) -> Path:
        """Keep what the run needs to go on after ``step``: numpy arrays or torch tensors, and a JSON state.

        Atomic; the newest few are kept. Raises OSError where the disk is full (all earlier checkpoints are intact),
        ValueError where ``step`` is older than the newest checkpoint or ``state`` is no JSON.
        """
        self._metrics.sync()
        self._steps.sync()
        return self._checkpoints.write(
            step, arrays, state, Bookkeeping(self._metrics.rows, self._steps.rows, self.elapsed_seconds)
        )

    def latest_checkpoint(self) -> Checkpoint | None:
        """The newest checkpoint, None where there is none yet."""
        return self._checkpoints.latest()

    def close(self) -> None:
        """Close the run's files and trackers."""
        for closing in (self._metrics, self._steps, *self._sinks):
            closing.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def logged_values(row: Mapping[str, Any]) -> dict[str, Value]:
    """What was logged, from a row of ``metrics.jsonl``: without the fields that trimtab added, histograms as such."""
    own = {name: value for name, value in row.items() if name not in ("step", *TIMING_FIELDS)}
    return {name: Histogram.from_plain(v) if isinstance(v, dict) else v for name, v in own.items()}


def read_metrics(path: Path | str) -> list[dict[str, Any]]:
    """The metrics of the run in ``path``, a mapping per row."""
    return list(read_jsonl(Path(path) / "metrics.jsonl"))


def read_steps(path: Path | str) -> Iterator[dict[str, Any]]:
    """The decisions of the run in ``path`` as plain data, each with its arrays in place."""
    path = Path(path)
    starts = {int(sidecar.stem): sidecar for sidecar in (path / "steps").glob("*.npz")}
    arrays: Arrays = {}
    for number, row in enumerate(read_jsonl(path / "steps.jsonl")):
        if number in starts:
            with np.load(starts[number], allow_pickle=False) as file:
                arrays = dict(file)
        yield restore_arrays(row, arrays)
