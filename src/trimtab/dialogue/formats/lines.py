"""What becomes of a line that cannot be read? It is named, kept aside with its reason, and the others are read."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar

from trimtab.checkpoints import replace_file

T = TypeVar("T")
Row = Mapping[str, Any]


@dataclass(frozen=True)
class Broken:
    """A line that could not be read: its number (from 1), why, and the line itself."""

    line: int
    reason: str
    text: str


@dataclass
class Read(Generic[T]):
    """What was read, and what was not."""

    good: list[T] = field(default_factory=list[T])
    broken: list[Broken] = field(default_factory=list[Broken])

    def summary(self, path: Path | str) -> str:
        """One line: how many, and which lines are aside."""
        if not self.broken:
            return f"{path}: {len(self.good)} read"
        shown = "; ".join(f"line {one.line}: {one.reason}" for one in self.broken[:3])
        more = f"; and {len(self.broken) - 3} more" if len(self.broken) > 3 else ""
        return f"{path}: {len(self.good)} read, {len(self.broken)} lines kept aside ({shown}{more})"

    def keep_aside(self, path: Path) -> None:
        """Write the broken lines to ``path`` as JSON Lines (nothing where there are none)."""
        if self.broken:
            write_jsonl(path, [{"line": one.line, "reason": one.reason, "text": one.text} for one in self.broken])


def text_lines(path: Path) -> list[str]:
    """The lines of a text file, gzipped where its name ends in .gz; bytes that are no UTF-8 are shown as such."""
    data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    return data.decode("utf-8", errors="backslashreplace").splitlines()


def read_lines(lines: Iterable[str], make: Callable[[Row], Sequence[T] | T]) -> Read[T]:
    """Make one thing (or several) of the JSON object in each line; blank lines are passed over."""
    found, good = Read[T](), list[Any]()
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            if not isinstance(row, dict):
                raise ValueError(f"a JSON {type(row).__name__}, expected an object")
            made = make(row)
        except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
            found.broken.append(Broken(number, reason(error), line))
            continue
        good += made if isinstance(made, list) else [made]
    found.good = good
    return found


def reason(error: Exception) -> str:
    """Why a line could not be read, for a person."""
    if isinstance(error, KeyError):
        return f"lacks the field {error}"
    if isinstance(error, json.JSONDecodeError):
        return f"no JSON ({error})"
    return str(error) or type(error).__name__


def write_jsonl(path: Path, rows: Iterable[Row]) -> None:
    """Write rows as JSON Lines, whole or not at all."""
    text = "".join(json.dumps(dict(row), ensure_ascii=False) + "\n" for row in rows)
    path.parent.mkdir(parents=True, exist_ok=True)
    replace_file(path, lambda scratch: scratch.write_text(text, encoding="utf-8"))


def strings(value: Any, what: str) -> list[str]:
    """``value`` as a list of strings. Raises ValueError where it is none."""
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise ValueError(f"{what} is {value!r}, expected a list of strings")
    return list(value)


def text_of(row: Row, name: str) -> str:
    """A field that must be a string."""
    value = row[name]
    if not isinstance(value, str):
        raise ValueError(f"{name} is {value!r}, expected a string")
    return value
