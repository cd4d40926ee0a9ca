"""What does a person see of a run? One line per update, progress bars, and a table at the end.

The same in all rooms: ``update 120 | reward 0.61 +-0.03 | kl 0.012 | 41 s``. Results go to standard output, progress to
standard error, so that output can be redirected.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from rich.table import Table as RichTable

    from trimtab.statistics import Interval

PIPE_COLUMNS = 120
T = TypeVar("T")
Cell = str | float | int | bool | None


def number(value: float, digits: int = 3) -> str:
    """A number to ``digits`` significant digits at least: all digits before the point, no zeros at the end."""
    if not math.isfinite(value):
        return str(value)
    if value == int(value):
        return str(int(value))
    magnitude = math.floor(math.log10(abs(value)))
    if magnitude < -4:
        return f"{value:.{digits - 1}e}"
    decimals = max(0, digits - 1 - magnitude)
    text = f"{value:.{decimals}f}"
    return text.rstrip("0").rstrip(".") if decimals else text


def duration(seconds: float) -> str:
    """Seconds for a person: ``0.42 s``, ``41 s``, ``12 min 5 s``, ``3 h 20 min``."""
    if seconds < 10:
        return f"{number(seconds, 2)} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def update_line(update: int, metrics: Mapping[str, float | Interval], seconds: float) -> str:
    """The line of an update: metrics in their order, intervals as ``estimate +-half_width``, then the seconds."""

    def shown(value: float | Interval) -> str:
        if isinstance(value, (int, float)):
            return number(value)
        return f"{number(value.estimate)} +-{number(value.half_width, 1)}"

    parts = [f"{name} {shown(value)}" for name, value in metrics.items()]
    return " | ".join([f"update {update}", *parts, duration(seconds)])


def print_update(update: int, metrics: Mapping[str, float | Interval], seconds: float) -> None:
    """Print ``update_line`` at once, also where the output is a file."""
    print(update_line(update, metrics, seconds), flush=True)


def progress(items: Iterable[T], description: str, *, total: int | None = None) -> Iterator[T]:
    """``items``, with a bar on standard error where that is a terminal."""
    from rich.console import Console
    from rich.progress import track

    console = Console(stderr=True)
    yield from track(items, description, total=total, console=console, transient=True, disable=not console.is_terminal)


@contextmanager
def progress_bar(description: str) -> Generator[Callable[[float], None]]:
    """A bar on standard error, where that is a terminal, for work that reports the fraction done (0 to 1)."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task(description, total=1.0)
        yield lambda fraction: progress.update(task, completed=fraction)


def say(*lines: str) -> None:
    """Print lines for a person to standard error: what is going on, not what came out."""
    from rich.console import Console

    for line in lines:
        Console(stderr=True).print(line, markup=False, highlight=False, soft_wrap=True)


@dataclass
class Table:
    """A table of results: read by people through ``print``, by programs through ``plain_rows``.

    ``columns``: names as in the JSON (``tokens_per_second``); rows hold a cell for each. ``note`` is printed below:
    what was measured, on what, whether simulated.
    """

    title: str
    columns: Sequence[str]
    rows: list[Sequence[Cell]] = field(default_factory=list[Sequence[Cell]])
    note: str = ""

    def add(self, *cells: Cell) -> None:
        """Append a row. Raises ValueError where it has not a cell for each column."""
        if len(cells) != len(self.columns):
            raise ValueError(f"{len(cells)} cells for the columns {', '.join(self.columns)}: give one for each.")
        self.rows.append(cells)

    def plain_rows(self) -> list[dict[str, Cell]]:
        """The rows as mappings from column to unrounded cell, for JSON."""
        return [dict(zip(self.columns, row, strict=True)) for row in self.rows]

    def _rich(self) -> RichTable:
        from rich import box
        from rich.table import Table as RichTable

        table = RichTable(title=self.title, caption=self.note or None, box=box.SIMPLE_HEAD, title_justify="left")
        for index, column in enumerate(self.columns):
            words = any(isinstance(row[index], str) for row in self.rows)
            table.add_column(column.replace("_", " "), justify="left" if words else "right")
        for row in self.rows:
            table.add_row(*(_cell(cell) for cell in row))
        return table

    def print(self, console: Any = None) -> None:
        """Print the table to ``console`` (default: standard output)."""
        from rich.console import Console

        own = Console()
        if not own.is_terminal:  # a file or a pipe has no width of its own; tables should not be folded into 80
            own = Console(width=PIPE_COLUMNS)
        (console or own).print(self._rich())


def _cell(cell: Cell) -> Any:
    from rich.text import Text

    if isinstance(cell, bool):
        return Text("yes" if cell else "no")
    if cell is None:
        return Text("-")
    return Text(cell if isinstance(cell, str) else number(cell))
