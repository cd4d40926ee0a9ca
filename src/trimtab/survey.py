"""Which runs are there, of which rooms, and what came of them? Read from their directories alone; a broken one is named."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from trimtab.console import Table, duration, number
from trimtab.outcomes import Outcome, read_outcome
from trimtab.runs import read_metrics

DEEPEST = 3
"""How far below a folder runs are looked for."""
NOT_EVALUATED, BROKEN = "not evaluated", "broken"


@dataclass(frozen=True)
class Surveyed:
    """A run's directory, read. ``problem``: why it could not be; the rest is then as far as it went."""

    path: Path
    room: str = "?"
    recipe: str = "?"
    started: str = ""
    metrics: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    outcome: Outcome | None = None
    problem: str = ""

    @property
    def seconds(self) -> float | None:
        """Time spent on updates, None where there was none."""
        return float(self.metrics[-1]["elapsed_seconds"]) if self.metrics else None

    @property
    def verdict(self) -> str:
        """The outcome's verdict, ``not evaluated`` or ``broken``."""
        return BROKEN if self.problem else self.outcome.verdict if self.outcome else NOT_EVALUATED


def survey(path: Path) -> Surveyed:
    """Read one run. Raises FileNotFoundError where ``path`` is no run; what is broken inside becomes ``problem``."""
    if not (path / "recipe.yaml").is_file():
        raise FileNotFoundError(f"{path} is no run: expected a directory with recipe.yaml, as each run leaves it.")
    try:
        recipe, about = _mapping(path / "recipe.yaml"), _mapping(path / "run.json")
        metrics = [_row(path, row) for row in read_metrics(path)]
        room, kind, started = (
            str(of.get(name) or "?") for of, name in ((about, "room"), (recipe, "class"), (about, "started"))
        )
        return Surveyed(path, room, kind, started, metrics, read_outcome(path))
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        return Surveyed(path, problem=" ".join(str(error).split()))


def _mapping(path: Path) -> Mapping[str, Any]:
    """A small file of JSON or YAML. Raises ValueError naming it where it holds no mapping."""
    text = path.read_text(encoding="utf-8")
    try:
        read = json.loads(text) if path.suffix == ".json" else yaml.safe_load(text)
    except ValueError as error:
        raise ValueError(f"{path} cannot be read: {error}") from error
    if not isinstance(read, dict):
        raise ValueError(f"{path} holds {type(read).__name__}, expected a mapping")
    return read


def _row(path: Path, row: Any) -> dict[str, Any]:
    if not isinstance(row, dict) or not isinstance(row.get("elapsed_seconds"), (int, float)):
        raise ValueError(f"{path / 'metrics.jsonl'} holds a line that is no row of metrics: {row!r:.80}")
    return row


def runs_below(root: Path) -> list[Path]:
    """Directories of runs at most ``DEEPEST`` levels below ``root``, itself included, the oldest first by name."""
    found: list[Path] = []

    def look(folder: Path, depth: int) -> None:
        if (folder / "recipe.yaml").is_file() and (folder / "run.json").is_file():
            found.append(folder)
        elif depth < DEEPEST:
            for inner in sorted(child for child in folder.iterdir() if child.is_dir() and not child.is_symlink()):
                look(inner, depth + 1)

    look(root, 0)
    return found


def listing(runs: Iterable[Surveyed], root: Path) -> Table:
    """A row per run: where below ``root``, of which room, when, how long, its newest numbers and its verdict."""
    made = Table(f"runs in {root}", ("run", "room", "recipe", "started", "updates", "time", "newest", "verdict"))
    for run in runs:
        time = None if run.seconds is None else duration(run.seconds)
        newest = run.problem or _newest(run.metrics)
        made.add(
            str(run.path.relative_to(root)),
            run.room,
            run.recipe,
            run.started[:16].replace("T", " "),
            len(run.metrics),
            time,
            newest,
            run.verdict,
        )
    return made


def _newest(metrics: list[dict[str, Any]]) -> str:
    """The first two numbers of the last row."""
    if not metrics:
        return ""
    skipped = ("step", "elapsed_seconds")
    numbers = {
        name: value for name, value in metrics[-1].items() if name not in skipped and isinstance(value, (int, float))
    }
    return ", ".join(f"{name} {number(value)}" for name, value in list(numbers.items())[:2])
