"""Which commands are about engines? ``trimtab qcode doctor | crosscheck``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import tyro

from trimtab.qcode.engine.engines import QName


@dataclass(frozen=True)
class Doctor:
    """Say which engines and levels of isolation are to be had here, why not the others, and what to do.

    Ends with 0 where programs can be graded (q-embedded and python at isolation auto, and the process of --q-ipc where it
    is given), else with 1.
    """

    q_ipc: str | None = None
    """HOST:PORT of a running q process to try (user:password: the variable TRIMTAB_Q_CREDENTIALS)."""
    json: Path | None = None
    """Also write what was found here."""

    def run(self) -> int:
        from trimtab.qcode import engine_verbs

        return engine_verbs.doctor(self)


@dataclass(frozen=True)
class Crosscheck:
    """Run a file's references, mutants and the empty program by two engines of q, and list where they disagree.

    Ends with 0 where no test is passed by one engine alone, else with 1.
    """

    file: tyro.conf.Positional[Path] = Path("shipped")
    """Problems as JSON Lines, or `shipped` (the set of the package), or `onelines` (the generated set)."""
    engines: tuple[QName, QName] = ("q-embedded", "q-ipc")
    """The two to compare. Real ones run the file's programs with little isolation: take files that you trust."""
    q_ipc: str | None = None
    """HOST:PORT of a running q process, for q-ipc (user:password: the variable TRIMTAB_Q_CREDENTIALS)."""
    mutants: int = 5
    """At most so many mutants of each reference, besides the constant answers."""
    seed: int = 0
    """Which mutants are drawn."""
    cpu_seconds: float = 2.0
    """Processor time of each program, all its tests together."""
    limit: int | None = None
    """At most so many problems, the first ones."""
    json: Path | None = None
    """Also write the table and every difference here."""

    def run(self) -> int:
        from trimtab.qcode import engine_verbs

        return engine_verbs.crosscheck(self)


VERBS: dict[str, type] = {"doctor": Doctor, "crosscheck": Crosscheck}
