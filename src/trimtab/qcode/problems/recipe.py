"""Which commands are about problems? ``trimtab qcode verify | problems | convert``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import tyro

from trimtab.qcode.engine.engines import QName

Layout = Literal["sft", "hub", "q-humaneval", "humaneval", "mbpp"]


@dataclass(frozen=True)
class Verify:
    """Check a file of problems as a judge: references pass, repeats agree, mutants and the empty program fail."""

    file: tyro.conf.Positional[Path] = Path("shipped")
    """Problems as JSON Lines, or `shipped` (the set of the package), or `onelines` (the generated set)."""
    mutants: int = 20
    """At most so many mutants of each reference, besides the constant answers."""
    seed: int = 0
    """Which mutants are drawn."""
    engine: QName | None = None
    """What runs q programs; q-embedded unless --q-ipc is given. q-binary and pykx need --isolation rlimits."""
    q_ipc: str | None = None
    """HOST:PORT of a running q process; chooses the engine q-ipc (user:password: the variable TRIMTAB_Q_CREDENTIALS)."""
    isolation: Literal["auto", "seccomp", "bubblewrap", "bubblewrap+seccomp", "docker", "rlimits"] = "auto"
    """How strongly the programs are kept apart from this machine; what is not to be had here is an error."""
    cpu_seconds: float = 2.0
    """Processor time of each program, all its tests together."""
    survivors: bool = False
    """Print the mutants that pass all hidden tests."""
    json: Path | None = None
    """Also write the table and every problem's figures here."""

    def run(self) -> int:
        from trimtab.qcode.problems import verbs

        return verbs.verify(self)


@dataclass(frozen=True)
class Problems:
    """Write a set of problems that comes with the package: the shipped one (built anew), or the generated one-liners."""

    out: tyro.conf.Positional[Path]
    """The file to write."""
    which: Literal["shipped", "onelines"] = "shipped"
    """The shipped set, built from its sources to the same bytes; or one-liners generated from a seed."""
    seed: int = 0
    """Of the one-liners."""
    use: Literal["reward", "evaluation"] = "reward"
    """Of the one-liners: the inputs for the reward of training, or those for evaluation."""

    def run(self) -> None:
        from trimtab.qcode.problems import verbs

        verbs.write(self)


@dataclass(frozen=True)
class Convert:
    """Read published problems (the q LeetCode data, Q-HumanEval, HumanEval, MBPP) and write them in our format."""

    source: tyro.conf.Positional[Path]
    """The file, or for `sft` the folder that holds train and test."""
    layout: Layout
    """How the source is laid out."""
    out: Path
    """The file to write."""

    def run(self) -> None:
        from trimtab.qcode.problems import verbs

        verbs.convert(self)


VERBS: dict[str, type] = {"verify": Verify, "problems": Problems, "convert": Convert}
