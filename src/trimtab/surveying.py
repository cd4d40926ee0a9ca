"""What do ``trimtab runs`` and ``trimtab report`` do? Find the runs, print one table, write one page."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from trimtab.console import say
from trimtab.overview import Found, console_table, rows, write_overview
from trimtab.records import write_json
from trimtab.survey import Surveyed, listing, runs_below, survey

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trimtab.commands import Report, Runs


def list_runs(command: Runs) -> None:
    """``trimtab runs``. Raises FileNotFoundError where the folder is not there."""
    if not command.root.is_dir():
        raise FileNotFoundError(f"{command.root} is no folder: give the one that holds runs, or begin a run.")
    table = listing([survey(path) for path in runs_below(command.root)], command.root)
    if not table.rows:
        table.note = f"no run in {command.root} yet"
    table.print()
    if command.json:
        write_json(command.json, {"rows": table.plain_rows()})


def report_runs(command: Report) -> None:
    """``trimtab report``. Raises ValueError where no run is given, or none of them was evaluated."""
    runs = [survey(path) for path in _directories(command.runs)]
    found = [Found(run.path, run.outcome) for run in runs if run.outcome]
    _tell_missing(runs)
    if not found:
        raise ValueError("none of these runs has an outcome yet: evaluate them by `trimtab ROOM evaluate`.")
    publish(found, command.out, command.json)


def publish(found: Sequence[Found], page: Path, json: Path | None) -> None:
    """Print the table, write the page, and the rows where asked."""
    console_table(found).print()
    write_overview(page, found)
    if json:
        write_json(json, {"rows": rows(found)})
    say(f"the report is in {page}")


def _directories(given: Sequence[Path]) -> list[Path]:
    """The runs themselves, and those below folders that are none; each once."""
    if not given:
        raise ValueError("no run was given: name directories of runs, or folders that hold some.")
    found: dict[Path, None] = {}
    for path in given:
        if not path.is_dir():
            raise FileNotFoundError(f"{path} is no directory: expected a run, or a folder that holds runs.")
        below = runs_below(path)
        if not below:
            raise ValueError(f"{path} holds no run: expected a directory with recipe.yaml and run.json.")
        found |= dict.fromkeys(below)
    return list(found)


def _tell_missing(runs: Sequence[Surveyed]) -> None:
    for run in runs:
        if run.problem:
            say(f"left out: {run.path}: {run.problem}")
        elif run.outcome is None:
            say(f"left out: {run.path} was not evaluated; `trimtab {run.room} evaluate` does so")
