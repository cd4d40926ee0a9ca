"""Where do a run's metrics go? To JSON lines always, and to any tracker that can log a step.

A tracker is a ``Sink``: two methods. TensorBoard comes with the package; another joins by ``Run.attach(sink)``.
"""

from __future__ import annotations

import difflib
import errno
import json
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol


class Sink(Protocol):
    """Takes metrics, step by step."""

    def log(self, step: int, metrics: Mapping[str, float], /) -> None: ...
    def close(self) -> None: ...


class Jsonl:
    """An append-only file of JSON lines, each whole: a line that could not be written is not there at all.

    A line half written when the process died is dropped on opening.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = path.open("ab", buffering=0)
        content = path.read_bytes()
        self.rows = content.count(b"\n")
        self._bytes = content.rfind(b"\n") + 1
        self._file.truncate(self._bytes)

    def append(self, row: Mapping[str, Any]) -> None:
        """Write one line. Raises OSError where the disk is full, leaving the file as it was."""
        line = json.dumps(row, ensure_ascii=False).encode() + b"\n"
        try:
            if self._file.write(line) != len(line):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self.path))
        except OSError:
            self._file.truncate(self._bytes)
            raise
        self.rows += 1
        self._bytes += len(line)

    def truncate(self, rows: int) -> None:
        """Keep the first ``rows`` lines. Raises ValueError where the file holds fewer."""
        if rows > self.rows:
            raise ValueError(f"{self.path} holds {self.rows} rows: expected at least {rows}. Restore it from a copy.")
        lines = self.path.read_bytes().splitlines(keepends=True)[:rows]
        self.rows, self._bytes = rows, sum(map(len, lines))
        self._file.truncate(self._bytes)

    def sync(self) -> None:
        """Return when all lines are on the disk itself."""
        os.fsync(self._file.fileno())

    def close(self) -> None:
        self._file.close()


def read_jsonl(path: Path) -> Iterator[dict[str, Any]]:
    """The rows of a JSON lines file; a last line without its end (half written) is left out.

    Raises ValueError naming the line that is no JSON.
    """
    with path.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            if not line.endswith("\n"):
                return
            try:
                yield json.loads(line)
            except json.JSONDecodeError as error:
                raise ValueError(f"{path}, line {number} is no JSON ({error}): mend or remove that line.") from error


class TensorBoard:
    """Event files for TensorBoard. Opened at the first metric; earlier events from ``from_step`` on are hidden."""

    def __init__(self, path: Path, from_step: int = 0) -> None:
        self._path = path
        self._from_step = from_step
        self._writer: Any = None

    def log(self, step: int, metrics: Mapping[str, float], /) -> None:
        if self._writer is None:
            from torch.utils.tensorboard import SummaryWriter

            self._writer = SummaryWriter(str(self._path), purge_step=self._from_step or None)
        for name, value in metrics.items():
            self._writer.add_scalar(name, value, step)

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()


TRACKERS: dict[str, Callable[[Path, int], Sink]] = {"tensorboard": TensorBoard}


def tracker(name: str, run: Path, from_step: int = 0) -> Sink:
    """The tracker ``name``, writing below the run directory ``run``. Raises ValueError for an unknown name."""
    if name not in TRACKERS:
        close = difflib.get_close_matches(name, TRACKERS, 1)
        hint = f"Did you mean {close[0]!r}? " if close else ""
        raise ValueError(f"no tracker {name!r}. {hint}Known: {', '.join(TRACKERS)}; others join by Run.attach(sink).")
    return TRACKERS[name](run / name, from_step)
