"""What can be logged of a run, and what keeps it? Numbers and histograms; JSON lines always, and any ``Sink`` beside them.

The sinks that come with the package are in ``trackers``; another joins by ``Run.attach(sink)``.
"""

from __future__ import annotations

import errno
import json
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, Self


@dataclass(frozen=True)
class Histogram:
    """How often each of some named things occurred (actions, numbers of accepted tokens), those that never did included.

    ``labels`` and ``counts`` go together. Raises ValueError where they do not, where a label occurs twice, or where a
    count is negative.
    """

    labels: tuple[str, ...]
    counts: tuple[int, ...]

    def __post_init__(self) -> None:
        if not self.labels or len(self.labels) != len(self.counts) or len(set(self.labels)) < len(self.labels):
            raise ValueError(
                f"a histogram of the labels {list(self.labels)} and the counts {list(self.counts)}: expected at least "
                "one label, each of its own, and a count for each."
            )
        if min(self.counts) < 0:
            raise ValueError(f"a histogram of the counts {list(self.counts)}: expected none below 0.")

    @classmethod
    def of(cls, labels: Sequence[object], indices: Iterable[int]) -> Self:
        """Counts of ``indices``, which point into ``labels``. Raises ValueError where one points beyond them."""
        counted = Counter(int(index) for index in indices)
        beyond = sorted(index for index in counted if not 0 <= index < len(labels))
        if beyond:
            raise ValueError(f"the index {beyond[0]} points to none of {len(labels)} labels: expected 0 and up.")
        return cls(tuple(map(str, labels)), tuple(counted[index] for index in range(len(labels))))

    @property
    def total(self) -> int:
        return sum(self.counts)

    @property
    def edges(self) -> list[float]:
        """Where the bins of a number axis lie: label i from i - 1/2 to i + 1/2."""
        return [index - 0.5 for index in range(len(self.labels) + 1)]

    def plain(self) -> dict[str, int]:
        """Label -> count, as ``metrics.jsonl`` keeps it."""
        return dict(zip(self.labels, self.counts, strict=True))

    @classmethod
    def from_plain(cls, counts: Mapping[str, int]) -> Self:
        """The reverse of ``plain``."""
        return cls(tuple(counts), tuple(counts.values()))

    def legend(self) -> str:
        """Which number on the axis is which label, a line each (two spaces before its end: a line break in Markdown)."""
        return "  \n".join(f"{index}: {label}" for index, label in enumerate(self.labels))


Value = float | Histogram
"""What a metric can be."""


def split_values(metrics: Mapping[str, Value]) -> tuple[dict[str, float], dict[str, Histogram]]:
    """The numbers and the histograms among the metrics."""
    histograms = {name: value for name, value in metrics.items() if isinstance(value, Histogram)}
    return {name: value for name, value in metrics.items() if not isinstance(value, Histogram)}, histograms


class Sink(Protocol):
    """Takes metrics, step by step: numbers, and ``Histogram`` where histograms are logged."""

    def log(self, step: int, metrics: Mapping[str, Any], /) -> None: ...
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
