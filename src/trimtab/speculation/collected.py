"""What do the files of collected decodes hold? Every complete decode; the lines that are broken are named and kept.

A line that cannot be read is listed with its number and the reason, and copied to a file beside the log; the decode that
it belongs to is left out, all others are read, and the log itself is never changed.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from trimtab.checkpoints import replace_file
from trimtab.speculation.actions import TreeShape
from trimtab.speculation.collect import FORMAT, PHASES, Answer, Decision, Header


@dataclass(frozen=True)
class Decode:
    """A complete decode: its session's header, its rounds in order, its end."""

    header: Header
    rounds: tuple[Decision, ...]
    answer: Answer

    @property
    def prompt(self) -> str:
        """What was decoded: equal where question, turn and context are."""
        return f"{self.answer.question}/turn{self.answer.turn}/{self.answer.context_hash}"


@dataclass(frozen=True)
class Refused:
    """A line that was not read: where, why, and what it says."""

    path: Path
    line: int
    why: str
    text: str


@dataclass(frozen=True)
class Collected:
    """What files hold: the complete decodes, the lines that were refused, and how many decodes lack a part."""

    decodes: list[Decode]
    refused: list[Refused]
    incomplete: int

    @cached_property
    def header(self) -> Header:
        """The features and menu of all decodes. Raises ValueError where there are none, or they differ."""
        if not self.decodes:
            raise ValueError("the files hold no complete decode: expected at least one; collect first")
        first = self.decodes[0].header
        for decode in self.decodes:
            if (decode.header.features, decode.header.menu) != (first.features, first.menu):
                raise ValueError(
                    f"sessions {first.session} and {decode.header.session} were collected with other features or "
                    f"menus ({len(first.features)} and {len(decode.header.features)} features, {len(first.menu)} and "
                    f"{len(decode.header.menu)} trees): use them apart"
                )
        return first

    def notes(self) -> list[str]:
        """What a person should know of it, a line each; the first few refused lines by name."""
        named = [f"{r.path}, line {r.line}: {r.why}" for r in self.refused[:5]]
        more = [f"and {len(self.refused) - 5} more broken lines"] if len(self.refused) > 5 else []
        left = [f"{self.incomplete} decodes lack a part and are left out"] if self.incomplete else []
        return [*named, *more, *left]


def read_collected(paths: Sequence[Path], *, keep_broken: bool = True) -> Collected:
    """Every complete decode of the files. Raises FileNotFoundError for a file that is not there.

    Broken lines are listed in ``refused`` and, where ``keep_broken``, copied to ``NAME.broken.jsonl`` beside the file
    (rewritten each time; the log itself is never changed).
    """
    decodes: list[Decode] = []
    refused: list[Refused] = []
    incomplete = 0
    for path in paths:
        if not path.is_file():
            raise FileNotFoundError(f"{path} is no file: expected one that --collect wrote")
        reader = _Reader(path)
        decodes += reader.decodes()
        refused += reader.refused
        incomplete += reader.incomplete
        if keep_broken:
            _keep(path, reader.refused)
    return Collected(decodes, refused, incomplete)


def broken_path(path: Path) -> Path:
    """Where the broken lines of the log ``path`` are kept."""
    return path.with_name(f"{path.stem}.broken.jsonl")


def _keep(path: Path, refused: Sequence[Refused]) -> None:
    target = broken_path(path)
    if not refused:
        return
    rows = [json.dumps({"line": r.line, "why": r.why, "text": r.text}, ensure_ascii=False) for r in refused]
    replace_file(target, lambda scratch: scratch.write_text("\n".join(rows) + "\n", encoding="utf-8"))


class _Reader:
    """One file, read line by line."""

    def __init__(self, path: Path) -> None:
        self.path, self.incomplete = path, 0
        self.refused: list[Refused] = []
        self._headers: dict[str, Header] = {}
        self._open: dict[tuple[str, str, int, int], list[Decision]] = {}

    def decodes(self) -> Iterator[Decode]:
        for number, raw in enumerate(self.path.read_bytes().split(b"\n"), 1):
            text = raw.decode("utf-8", errors="replace").strip()
            if not text:
                continue
            try:
                done = self._take(json.loads(text))
            except (ValueError, KeyError, TypeError, AttributeError) as error:  # JSONDecodeError is a ValueError
                self.refused.append(Refused(self.path, number, f"{type(error).__name__}: {error}", text))
                continue
            if done is not None:
                yield done
        self.incomplete += len(self._open)

    def _take(self, row: Any) -> Decode | None:
        """Note one line; the decode that it completes, if it does. Raises ValueError and its like where it is broken."""
        if not isinstance(row, dict):
            raise ValueError(f"expected an object, got {type(row).__name__}")
        kind = row.pop("kind", None)
        if kind == "header":
            header = _header(row)
            self._headers[header.session] = header
        elif kind == "round":
            decision = _decision(row, self._header_of(row))
            key = (decision.session, decision.question, decision.turn, decision.decode)
            self._open.setdefault(key, []).append(decision)
        elif kind == "answer":
            return self._close(Answer(**row), self._header_of(row))
        else:
            raise ValueError(f"kind {kind!r}: expected header, round or answer")
        return None

    def _header_of(self, row: Mapping[str, Any]) -> Header:
        if row["session"] not in self._headers:
            raise ValueError(f"session {row['session']!r} has no header above this line that could be read")
        return self._headers[row["session"]]

    def _close(self, answer: Answer, header: Header) -> Decode | None:
        rounds = self._open.pop((answer.session, answer.question, answer.turn, answer.decode), [])
        whole = [r.round for r in rounds] == list(range(answer.rounds))
        if not whole or sum(r.tokens for r in rounds) != answer.tokens - 1:
            self.incomplete += 1
            return None
        return Decode(header, tuple(rounds), answer)


def _header(row: dict[str, Any]) -> Header:
    if row.pop("format") != FORMAT:
        raise ValueError(f"a log of another format: expected {FORMAT}")
    menu = tuple(TreeShape(*bins) for bins in row["menu"])
    return Header(str(row["session"]), tuple(row["features"]), menu, row["about"])


def _decision(row: dict[str, Any], header: Header) -> Decision:
    fields: dict[str, Any] = {**row, "shape": TreeShape(*row["shape"])}
    made = Decision(**fields)
    numbers = [*made.features, *made.probabilities, *made.seconds.values()]
    if not all(isinstance(number, int | float) and math.isfinite(number) for number in numbers):
        raise ValueError("expected finite features, probabilities and seconds")
    if len(made.features) != len(header.features) or len(made.probabilities) != len(header.menu):
        raise ValueError(f"expected {len(header.features)} features and {len(header.menu)} probabilities")
    if not 0 <= made.action < len(header.menu) or header.menu[made.action] != made.shape:
        raise ValueError(f"action {made.action} with tree {made.shape} is not the menu's")
    if not (made.probability > 0 and abs(made.probabilities[made.action] - made.probability) < 1e-6):
        raise ValueError(f"probability {made.probability}: expected that of the chosen tree, above 0")
    if abs(sum(made.probabilities) - 1) > 1e-6 or min(made.probabilities) < 0:
        raise ValueError("the probabilities are no distribution: expected them to sum to 1")
    if set(made.seconds) != set(PHASES) or min(made.accepted, made.tokens - 1, *made.seconds.values()) < 0:
        raise ValueError(f"expected seconds of {', '.join(PHASES)}, and no negative count or time")
    return made
