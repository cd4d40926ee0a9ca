"""What does ``trimtab demo`` do? Each room's ``demo`` verb in a process of its own; then one table and one page.

A room that fails is named, and the others are shown nevertheless; the exit status tells.
"""

from __future__ import annotations

import importlib
import subprocess
import sys
import time
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from trimtab.cli import ROOMS
from trimtab.console import duration, say
from trimtab.overview import Found
from trimtab.survey import runs_below, survey
from trimtab.surveying import publish

if TYPE_CHECKING:
    from trimtab.commands import Demo


def rooms_with_demo() -> list[str]:
    """The rooms that have a ``demo`` verb, in the order of the command line's help."""
    return [room for room, (module, _) in ROOMS.items() if "demo" in importlib.import_module(module).VERBS]


def demonstrate(command: Demo) -> int:
    """``trimtab demo``; returns 1 where a room failed. Raises ValueError for an unknown room."""
    known = rooms_with_demo()
    asked = list(command.rooms) or known
    if unknown := [room for room in asked if room not in known]:
        raise ValueError(f"no demo of {', '.join(unknown)}: expected some of {', '.join(known)}.")
    folder = command.out / f"{datetime.now().astimezone():%Y%m%d-%H%M%S}"
    started = time.perf_counter()
    found, failed = _run_all(asked, folder)
    if found:
        publish(found, folder / "report.html", command.json)
    say(f"{len(found)} of {len(asked)} rooms in {duration(time.perf_counter() - started)}")
    for room, why in failed:
        say(f"failed: {room}: {why}")
    return 1 if failed else 0


def _run_all(rooms: Sequence[str], folder: Path) -> tuple[list[Found], list[tuple[str, str]]]:
    """The outcomes of the rooms' demos, and (room, why) of those that failed."""
    found: list[Found] = []
    failed: list[tuple[str, str]] = []
    for number, room in enumerate(rooms, 1):
        say("", f"== {number} of {len(rooms)}: {room}, {ROOMS[room][1]}")
        status = _spawn(room, folder / room)
        runs = [survey(path) for path in runs_below(folder / room)] if (folder / room).is_dir() else []
        outcomes = [Found(run.path, run.outcome) for run in runs if run.outcome]
        found += outcomes
        if status:
            failed.append((room, f"`trimtab {room} demo` ended with exit status {status}"))
        elif not outcomes:
            failed.append((room, f"`trimtab {room} demo` left no outcome in {folder / room}"))
    return found, failed


def _spawn(room: str, out: Path) -> int:
    """The exit status of the room's own demo."""
    words = [sys.executable, "-m", "trimtab", room, "demo", "--out", str(out)]
    return subprocess.run(words, check=False).returncode
