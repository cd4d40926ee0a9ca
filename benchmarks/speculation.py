"""The bars of learned speculation: policies of three seeds against the static trees, decoded for real on held-out prompts.

python benchmarks/speculation.py [--run RUN] [--json OUT]
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from trimtab.console import say
from trimtab.records import write_json
from trimtab.speculation.proof import Proof, measure


@dataclass(frozen=True)
class Bars:
    """Train by the `default` recipe unless a run is given; then race the policies of several seeds."""

    run_directory: Annotated[Path | None, tyro.conf.arg(name="run")] = None
    """A finished run of `trimtab speculation train` (learner levels)."""
    seeds: int = 3
    """Trainings, each with another validation split."""
    prompts: str = "held_out"
    """held_out, or a JSON Lines file in MT-bench's format."""
    prompt_count: int | None = None
    """Use the first so many prompts; None: all."""
    max_new_tokens: int = 96
    """Tokens per answer."""
    repeats: int = 2
    """Times that each prompt is decoded by each contender; the median counts."""
    float32_texts: int = 36
    """Compare texts in float32 on the first so many prompts."""
    json: Path | None = None
    """Where to write rows and bars."""


def main(command: Bars) -> None:
    """Measure, print, write."""
    settings = {name: value for name, value in vars(command).items() if name != "json"}
    measured = measure(Proof(**settings))
    measured.table().print()
    if command.json:
        write_json(command.json, measured.as_json())
        say(f"written to {command.json}")


if __name__ == "__main__":
    main(tyro.cli(Bars, description=__doc__))
