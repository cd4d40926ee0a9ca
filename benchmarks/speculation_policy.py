"""Does the learned policy beat the best static tree on held-out prompts? Trains (or takes a run), evaluates, says so.

python benchmarks/speculation_policy.py [--run RUN] [--json OUT]
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from trimtab.runs import Run
from trimtab.speculation.evaluate_verb import evaluate_run
from trimtab.speculation.recipe import RECIPES, Evaluate
from trimtab.speculation.stages import prepare


@dataclass(frozen=True)
class Policy:
    """Train by the `default` recipe unless a run is given; then decode all held-out prompts."""

    run_directory: Annotated[Path | None, tyro.conf.arg(name="run")] = None
    """A finished run of `trimtab speculation train`."""
    prompt_count: int | None = None
    """Use the first so many held-out prompts; None: all."""
    repeats: int = 2
    """Times that each prompt is decoded by each contender."""
    json: Path | None = None
    """Where to write rows and bars."""


def main(command: Policy) -> None:
    """Train if needed, and evaluate."""
    folder = command.run_directory
    if folder is None:
        recipe = RECIPES["train"]["default"]
        with Run.begin(recipe.out, recipe) as run:
            prepare(recipe, run)
            folder = run.path
    evaluate_run(Evaluate(folder, prompt_count=command.prompt_count, repeats=command.repeats, json=command.json))


if __name__ == "__main__":
    main(tyro.cli(Policy, description=__doc__))
