"""Where else do a run's metrics go? To TensorBoard, Weights & Biases, Trackio: each the same rows as ``metrics.jsonl``.

A run that was killed and goes on logs the rows beyond its checkpoint again. ``metrics.jsonl`` drops the old ones and
TensorBoard hides them. Weights & Biases and Trackio can forget nothing, and take steps only in rising order; so a run
goes on there under the same identity, sends no step that they have, and first sends those that were lost on the way when
it was killed. As a resumed run repeats its numbers, what they show is the same; only rows of timings can differ.
"""

from __future__ import annotations

import contextlib
import difflib
import importlib
import importlib.metadata
import json
import sys
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal, Self

from trimtab.checkpoints import replace_file
from trimtab.plain import Plain
from trimtab.tracking import Histogram, Sink, Value, split_values


@dataclass(frozen=True)
class TrackSettings:
    """How the trackers name things."""

    wandb_project: str = "trimtab"
    """The project in Weights & Biases."""
    wandb_entity: str | None = None
    """The user or team there; None: your default."""
    wandb_name: str | None = None
    """The run's name there; None: that of its directory."""
    wandb_mode: Literal["online", "offline"] | None = None
    """offline keeps all below the run's directory, for `wandb sync`; None: as WANDB_MODE says, else online."""
    trackio_project: str = "trimtab"
    """The project in Trackio's dashboard."""

    def unused(self, track: Sequence[str]) -> list[str]:
        """The settings that were changed for a tracker that is not in ``track``."""
        changed = [field.name for field in fields(self) if getattr(self, field.name) != field.default]
        return [name for name in changed if name.partition("_")[0] not in track]


@dataclass(frozen=True)
class Tracked:
    """The run that is tracked: its directory, its recipe (plain), the settings.

    ``from_step``: the first step that a resumed run will log (0: from the start); None for a new run.
    """

    path: Path
    recipe: Plain = None
    from_step: int | None = None
    settings: TrackSettings = TrackSettings()


# -- TensorBoard -------------------------------------------------------------------------------------------------------


class TensorBoard:
    """Event files in ``tensorboard/``. Opened at the first metric; earlier events from ``from_step`` on are hidden."""

    def __init__(self, tracked: Tracked) -> None:
        self._path = tracked.path / "tensorboard"
        self._from_step = tracked.from_step
        self._writer: Any = None
        self._explained: set[str] = set()

    def log(self, step: int, metrics: Mapping[str, Value], /) -> None:
        if self._writer is None:
            from torch.utils.tensorboard import SummaryWriter

            self._await_another_second()
            self._writer = SummaryWriter(str(self._path), purge_step=self._from_step)
        numbers, histograms = split_values(metrics)
        for name, value in numbers.items():
            self._writer.add_scalar(name, value, step)
        for name, histogram in histograms.items():
            self._add_histogram(name, histogram, step)
        self._writer.flush()  # else a kill loses two minutes

    def _await_another_second(self) -> None:
        """Event files are read in the order of their names, which begin with the second of their making."""
        newest = max((path.name.split(".")[3] for path in self._path.glob("events.out.tfevents.*")), default="")
        while newest == f"{int(time.time()):010d}":
            time.sleep(0.02)

    def _add_histogram(self, name: str, histogram: Histogram, step: int) -> None:
        indices = [index for index, count in enumerate(histogram.counts) if count]
        self._writer.add_histogram_raw(
            name,
            min=min(indices, default=0),
            max=max(indices, default=0),
            num=histogram.total,
            sum=sum(index * histogram.counts[index] for index in indices),
            sum_squares=sum(index**2 * histogram.counts[index] for index in indices),
            bucket_limits=histogram.edges[1:],
            bucket_counts=list(histogram.counts),
            global_step=step,
        )
        if name not in self._explained:
            self._explained.add(name)
            self._writer.add_text(f"{name}.labels", histogram.legend(), step)

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()


# -- trackers that forget nothing --------------------------------------------------------------------------------------


class Remembering:
    """A tracker that keeps what it was sent, under an identity of its own, and knows what it has.

    ``log`` leaves out the steps that it had when it was opened.
    """

    first: int
    """The first step that it lacks."""


@dataclass
class Ledger:
    """What a run remembers of such a tracker, in a file below ``trackers/``: under which ``identity`` it is known there,
    the last step ``sent`` when it was last closed, and the folder (``part``) that is being written since."""

    path: Path
    identity: str
    sent: int = -1
    part: str | None = None

    @classmethod
    def open(cls, path: Path) -> Self:
        """Read the file, or begin it."""
        if path.exists():
            return cls(path, **json.loads(path.read_text(encoding="utf-8")))
        path.parent.mkdir(exist_ok=True)
        ledger = cls(path, uuid.uuid4().hex[:8])
        ledger.save()
        return ledger

    def save(self) -> None:
        """Write the file, atomically."""
        text = json.dumps({"identity": self.identity, "sent": self.sent, "part": self.part}) + "\n"
        replace_file(self.path, lambda scratch: scratch.write_text(text, encoding="utf-8"))


class WandB(Remembering):
    """A run in Weights & Biases, its files in ``wandb/`` of the run. Resumed under the same id.

    Online the service is asked what it has. Offline each begin and each resumption writes a folder, which is whole
    only once it is closed: what a killed run was writing is set aside (``wandb/killed/``), and its rows written again.
    Raises ValueError where Weights & Biases refuses it (no key, no network, another's project), with what it said.
    """

    def __init__(self, tracked: Tracked) -> None:
        wandb = _package("wandb")
        settings = tracked.settings
        mode = settings.wandb_mode or wandb.setup().settings.mode
        if mode == "disabled":
            raise ValueError("WANDB_MODE=disabled keeps nothing: unset it, or leave wandb out of the trackers.")
        self._histogram = wandb.Histogram
        self._ledger = ledger = Ledger.open(tracked.path / "trackers" / "wandb.json")
        self._set_aside(tracked)
        try:
            self._run = wandb.init(
                project=settings.wandb_project,
                entity=settings.wandb_entity,
                name=settings.wandb_name or tracked.path.resolve().name,
                id=ledger.identity,
                resume="allow" if mode == "online" else None,  # offline there is nobody to ask
                mode=mode,
                dir=str(tracked.path),
                config=tracked.recipe,
                reinit="create_new",  # a run of the caller's own goes on undisturbed
                settings=wandb.Settings(console="off"),  # the terminal stays ours
            )
        except wandb.errors.Error as error:
            raise ValueError(
                f"Weights & Biases refuses the run: {error} Log in by `wandb login`, or keep the run here by "
                "WANDB_MODE=offline (and send it later by `wandb sync`), or leave wandb out of the trackers."
            ) from error
        self.first = self._run.step if mode == "online" else ledger.sent + 1
        ledger.part = None if mode == "online" else Path(self._run.dir).parent.name
        ledger.save()

    def _set_aside(self, tracked: Tracked) -> None:
        """Put away what was being written by a run that was killed. Where it was sent by hand meanwhile, it stays, and
        counts as whole."""
        folder, part = tracked.path / "wandb", self._ledger.part
        if part is None or not (folder / part).exists():
            return
        if any((folder / part).glob("*.wandb.synced")):
            self._ledger.sent = max(self._ledger.sent, (tracked.from_step or 0) - 1)
            return
        (folder / "killed").mkdir(exist_ok=True)
        (folder / part).rename(folder / "killed" / part)

    def log(self, step: int, metrics: Mapping[str, Value], /) -> None:
        if step < self.first:
            return
        row, histograms = split_values(metrics)
        drawn = {name: self._histogram(np_histogram=(h.counts, h.edges)) for name, h in histograms.items()}
        new = {name: h for name, h in histograms.items() if f"{name}.labels" not in self._run.config}
        if new:
            self._run.config.update({f"{name}.labels": list(h.labels) for name, h in new.items()})
        self._run.log(row | drawn, step=step)
        self._ledger.sent = max(self._ledger.sent, step)

    def close(self) -> None:
        self._run.finish()
        self._ledger.part = None
        self._ledger.save()


class Trackio(Remembering):
    """A run in Trackio's own store (``TRACKIO_DIR``; see it by ``trackio show``). Resumed under the same name."""

    def __init__(self, tracked: Tracked) -> None:
        self._trackio = _package("trackio")
        ledger = Ledger.open(tracked.path / "trackers" / "trackio.json")
        self._explained: set[str] = set()
        with contextlib.redirect_stdout(sys.stderr):
            self._run = self._trackio.init(
                project=tracked.settings.trackio_project,
                name=f"{tracked.path.resolve().name}-{ledger.identity}",
                config=tracked.recipe,
                resume="allow",
                embed=False,
                auto_log_cpu=False,  # no thread beside what is timed
                auto_log_gpu=False,
            )
        self.first: int = self._run._next_step  # it tells nobody else what it has, be it here or on a server

    def log(self, step: int, metrics: Mapping[str, Value], /) -> None:
        if step < self.first:
            return
        row, histograms = split_values(metrics)
        drawn = {name: self._trackio.Histogram(np_histogram=(h.counts, h.edges)) for name, h in histograms.items()}
        new = {name: h for name, h in histograms.items() if name not in self._explained}
        self._explained |= set(new)
        legends = {f"{name}.labels": self._trackio.Markdown(h.legend()) for name, h in new.items()}
        self._run.log(row | drawn | legends, step=step)

    def close(self) -> None:
        with contextlib.redirect_stdout(sys.stderr):
            if self._trackio.context_vars.current_run.get() is self._run:
                self._trackio.finish()  # else it would be finished once more at exit
            else:
                self._run.finish()


# -- by name -----------------------------------------------------------------------------------------------------------

TRACKERS: dict[str, Callable[[Tracked], Sink]] = {"tensorboard": TensorBoard, "wandb": WandB, "trackio": Trackio}
EXTRAS = ("wandb", "trackio")
"""Trackers whose packages do not come with trimtab."""


def _require(name: str) -> None:
    """Raises ValueError, with the line that installs it, where the package of an extra is missing."""
    try:
        importlib.metadata.version(name)  # a mere folder of that name could be imported too
    except importlib.metadata.PackageNotFoundError:
        raise ValueError(
            f"tracking by {name} needs the package {name}, which is not installed: pip install 'trimtab[{name}]'"
        ) from None


def _package(name: str) -> Any:
    """The module of an extra."""
    _require(name)
    return importlib.import_module(name)


def check(track: Sequence[str], settings: TrackSettings) -> None:
    """Raises ValueError for an unknown tracker, one whose package is missing, or settings of one that is not used."""
    for name in track:
        if name not in TRACKERS:
            close = difflib.get_close_matches(name, TRACKERS, 1)
            hint = f"Did you mean {close[0]!r}? " if close else ""
            known = ", ".join(TRACKERS)
            raise ValueError(f"no tracker {name!r}. {hint}Known: {known}; others join by Run.attach(sink).")
        if name in EXTRAS:
            _require(name)
    unused = settings.unused(track)
    if unused:
        tracker_name = unused[0].partition("_")[0]
        raise ValueError(
            f"{', '.join(unused)} given, but the run is tracked by {', '.join(track) or 'nothing'}: "
            f"name {tracker_name} among the trackers too, or leave the setting out."
        )


def trackers(track: Sequence[str], tracked: Tracked) -> list[Sink]:
    """The trackers named, opened for a run. Raises ValueError as ``check`` does, or where one cannot be opened."""
    check(track, tracked.settings)
    opened: list[Sink] = []
    with contextlib.ExitStack() as undo:
        for name in dict.fromkeys(track):
            sink = TRACKERS[name](tracked)
            undo.callback(sink.close)
            opened.append(sink)
        undo.pop_all()
    return opened
