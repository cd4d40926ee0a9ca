"""How is real decoding recorded, so that a policy can be judged or trained by it later? JSON lines, one per round.

Three kinds of lines. A ``header`` names a session's features, menu and circumstances; a ``round`` is one decision: what
was known, which tree was chosen with which probability, what it brought and cost; an ``answer`` closes the rounds of one
decode. A decode's lines are appended together and forced to the disk, so a kill loses the decode under way at most.
``collected.py`` reads them.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from trimtab.speculation.actions import TreeShape

FORMAT = 1
PHASES = ("draft", "verify", "policy", "rest")


@dataclass(frozen=True)
class Header:
    """What all rounds of a session share. ``session`` tells sessions apart that are appended to one file."""

    session: str
    features: tuple[str, ...]
    menu: tuple[TreeShape, ...]
    about: Mapping[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True)
class Decision:
    """One round. ``position``: new tokens but one (the root) when it began. ``probabilities``: the logger's, of every
    tree of the menu. ``accepted``: as verified; ``tokens``: committed within the text. ``context_hash``: of the turn's
    prompt. Seconds by phase."""

    session: str
    question: str
    turn: int
    decode: int
    round: int
    position: int
    context_hash: str
    context_tokens: int
    features: list[float]
    action: int
    shape: TreeShape
    probability: float
    probabilities: list[float]
    accepted: int
    tokens: int
    seconds: Mapping[str, float]


@dataclass(frozen=True)
class Answer:
    """The end of one decode: how many ``tokens`` the text has, the first (the prefill's own) included."""

    session: str
    question: str
    turn: int
    decode: int
    category: str
    context_hash: str
    tokens: int
    rounds: int
    temperature: float
    prefill_seconds: float
    seconds: float


class Collector:
    """Appends decodes to a file, each whole and on the disk before the next begins."""

    def __init__(self, path: Path, header: Header) -> None:
        self.path, self.header = path, header
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("ab", buffering=0)
        if self._file.tell() and not _ends_a_line(path):
            self._file.write(b"\n")  # a line that was cut short stays a line of its own, and is refused on reading
        self._append([_header_row(header)])

    def write(self, rounds: Sequence[Decision], answer: Answer) -> None:
        """Append one decode. Raises OSError where the disk is full, the file left as it was."""
        self._append([*({"kind": "round", **_decision_row(r)} for r in rounds), {"kind": "answer", **asdict(answer)}])

    def _append(self, rows: Sequence[Mapping[str, Any]]) -> None:
        before = os.fstat(self._file.fileno()).st_size
        content = b"".join(json.dumps(row, ensure_ascii=False, allow_nan=False).encode() + b"\n" for row in rows)
        try:
            written = self._file.write(content)
            if written != len(content):
                raise OSError(f"only {written} of {len(content)} bytes could be written to {self.path}: make room")
        except OSError:
            self._file.truncate(before)
            raise
        os.fsync(self._file.fileno())

    def close(self) -> None:
        self._file.close()

    def __enter__(self) -> Collector:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _ends_a_line(path: Path) -> bool:
    with path.open("rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read(1) == b"\n"


def _bins(shape: TreeShape) -> list[int]:
    return [shape.total_tokens, shape.depth, shape.top_k]


def _header_row(header: Header) -> dict[str, Any]:
    named = {"session": header.session, "features": list(header.features), "menu": [_bins(s) for s in header.menu]}
    return {"kind": "header", "format": FORMAT, **named, "about": dict(header.about)}


def _decision_row(decision: Decision) -> dict[str, Any]:
    row = {name: getattr(decision, name) for name in Decision.__dataclass_fields__}
    return row | {"shape": _bins(decision.shape), "seconds": dict(decision.seconds)}
