"""Has this very program been graded before?

Verdicts by program, tests, limits, isolation and engine, kept in memory or a file.

Late in training most completions repeat. The key is a digest of all that a verdict depends on, the engine's own source text
among it. The file is a SQLite database: several processes may share it, and a kill leaves it whole.
"""

from __future__ import annotations

import hashlib
import json
import platform
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from dataclasses import asdict
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from trimtab.qcode.engine.protocol import Limits, Program, Status, Test, TestResult, Verdict

KEPT = frozenset((Status.PASSED, Status.WRONG, Status.ERROR, Status.MEMORY, Status.FORBIDDEN, Status.UNSUPPORTED))
"""A timeout depends on the machine's load, and is not kept."""


@cache
def engine_digest(language: str) -> str:
    """Of the source that grades a language: another text of it, another python or numpy, and no old verdict counts."""
    root = Path(__file__).parents[1]
    folders = [root / "engine", *([root / "q"] if language == "q" else [])]
    digest = hashlib.sha256(f"{platform.python_version()} {platform.machine()} numpy {version('numpy')}".encode())
    for path in sorted(path for folder in folders for path in folder.rglob("*.py")):
        digest.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    digest.update((root / "problems" / "alike.py").read_bytes())
    return digest.hexdigest()


def _plain(value: Any) -> Any:
    """What JSON cannot write, with its type."""
    if isinstance(value, (set, frozenset)):
        return {type(value).__name__: sorted(map(repr, value))}
    return {type(value).__name__: repr(value)}


def _typed(value: Any) -> Any:
    """JSON writes tuples as lists, and keys as texts: here they differ."""
    if isinstance(value, tuple):
        return {"tuple": [_typed(item) for item in value]}
    if isinstance(value, list):
        return [_typed(item) for item in value]
    if isinstance(value, dict):
        return {"dict": [[_typed(key), _typed(item)] for key, item in value.items()]}
    return value


def key(
    engine: str, level: str, limits: Limits, program: Program, tests: Sequence[Test], more: Iterable[str] = ()
) -> str:
    """The digest of everything that a verdict depends on."""
    asked = [[type(test).__name__, {name: _typed(item) for name, item in vars(test).items()}] for test in tests]
    about = [engine, engine_digest(program.language), level, asdict(limits), sorted(more), asdict(program), asked]
    return hashlib.sha256(json.dumps(about, sort_keys=True, default=_plain).encode()).hexdigest()


def _written(verdict: Verdict) -> str:
    tests = [[test.status.value, test.detail] for test in verdict.tests]
    return json.dumps([tests, verdict.isolation, verdict.weak, verdict.cpu_seconds, verdict.wall_seconds])


def _read(text: str) -> Verdict:
    tests, isolation, weak, cpu_seconds, wall_seconds = json.loads(text)
    results = tuple(TestResult(Status(status), detail) for status, detail in tests)
    return Verdict(results, isolation, weak, cpu_seconds, wall_seconds)


class VerdictCache:
    """Verdicts by key; ``path`` None keeps them in memory only. Raises ValueError where the file is no such database."""

    def __init__(self, path: Path | None = None, most: int = 1_000_000) -> None:
        self.path, self.most = path, most
        self.hits = self.misses = 0
        self._found: dict[str, str] = {}
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                with closing(self._open()) as database, database:
                    database.execute(
                        "CREATE TABLE IF NOT EXISTS verdicts (key TEXT PRIMARY KEY, verdict TEXT NOT NULL)"
                    )
            except sqlite3.DatabaseError as error:
                raise ValueError(
                    f"{path}: no cache of verdicts ({error}); expected a new file, or one made here"
                ) from None

    def _open(self) -> sqlite3.Connection:
        assert self.path is not None
        return sqlite3.connect(self.path, timeout=60)

    def find(self, keys: Sequence[str]) -> dict[str, Verdict]:
        """The verdicts that are known, by key."""
        wanted = set(keys)
        found = {name: self._found[name] for name in wanted if name in self._found}
        missing = list(wanted - found.keys())
        if self.path is not None and missing:
            with closing(self._open()) as database:
                for start in range(0, len(missing), 500):
                    some = missing[start : start + 500]
                    marks = ",".join("?" * len(some))
                    rows = database.execute(f"SELECT key, verdict FROM verdicts WHERE key IN ({marks})", some)
                    found |= dict(rows.fetchall())
        self.hits += sum(name in found for name in keys)
        self.misses += sum(name not in found for name in keys)
        return {name: _read(text) for name, text in found.items()}

    def keep(self, verdicts: dict[str, Verdict]) -> None:
        """Remember verdicts, but for those that may be another on a quieter machine."""
        kept = {
            name: _written(verdict)
            for name, verdict in verdicts.items()
            if all(test.status in KEPT for test in verdict.tests)
        }
        if self.path is None:
            self._found |= kept
            while len(self._found) > self.most:
                del self._found[next(iter(self._found))]
        elif kept:
            with closing(self._open()) as database, database:
                database.executemany("INSERT OR REPLACE INTO verdicts VALUES (?, ?)", kept.items())


def remembered(
    kept: VerdictCache, keys: Sequence[str], grade: Callable[[Sequence[int]], Sequence[Verdict]]
) -> list[Verdict]:
    """A verdict for each key: programs that are the same are graded once, those of an earlier batch not at all.

    ``grade``: verdicts of the programs at some places.
    """
    found = kept.find(keys)
    new = {name: place for place, name in reversed(list(enumerate(keys))) if name not in found}
    places = sorted(new.values())
    fresh = {keys[place]: verdict for place, verdict in zip(places, grade(places), strict=True)}
    kept.keep(fresh)
    found |= fresh
    return [found[name] for name in keys]
