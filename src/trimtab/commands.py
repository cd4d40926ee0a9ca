"""Which commands stand above the rooms? ``trimtab runs | report | demo | completion``, as recipes.

Light to import: whatever needs torch or matplotlib is imported by ``run``.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import tyro


@dataclass(frozen=True)
class Runs:
    """List the runs below a folder with their newest numbers and their verdicts."""

    root: tyro.conf.Positional[Path] = Path("runs")
    """The folder."""
    json: Path | None = None
    """Also write the rows here."""

    def run(self) -> None:
        from trimtab.surveying import list_runs

        list_runs(self)


@dataclass(frozen=True)
class Report:
    """Put runs of any rooms side by side: one table, one page that explains each number and links to them."""

    runs: tyro.conf.Positional[tuple[Path, ...]]
    """Directories of runs, or folders that hold some."""
    out: Path = Path("runs/report.html")
    """The page to write."""
    json: Path | None = None
    """Also write the rows here."""

    def run(self) -> None:
        from trimtab.surveying import report_runs

        report_runs(self)


@dataclass(frozen=True)
class Demo:
    """Run the main job of each room on the embedded models; end in one table and one page."""

    rooms: tyro.conf.Positional[tuple[str, ...]] = ()
    """The rooms; none: all of them."""
    out: Path = Path("runs/demo")
    """Where the runs and the page are kept; a folder of this moment is made below."""
    json: Path | None = None
    """Also write the rows here."""

    def run(self) -> int:
        from trimtab.demonstration import demonstrate

        return demonstrate(self)


@dataclass(frozen=True)
class Completion:
    """Print what completes commands and flags in a shell: `source <(trimtab completion bash)`."""

    shell: tyro.conf.Positional[Literal["bash", "zsh", "fish"]]
    """The shell."""

    def run(self) -> None:
        from trimtab.completion import SHELLS, words

        print(SHELLS[self.shell](words()), end="")


COMMANDS: dict[str, type] = {"demo": Demo, "runs": Runs, "report": Report, "completion": Completion}
