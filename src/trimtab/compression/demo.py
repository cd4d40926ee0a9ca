"""What does ``trimtab compression demo`` do? Tabulate a few prompts, learn, judge on held-out ones, report: minutes."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING

from trimtab.compression.claim import outcome_of
from trimtab.compression.evaluation import evaluate_run
from trimtab.compression.train_recipe import Evaluate
from trimtab.compression.training import train
from trimtab.console import duration, say

if TYPE_CHECKING:
    from trimtab.compression.use_recipe import Demo


def demo(command: Demo) -> None:
    """``trimtab compression demo``."""
    started = time.perf_counter()
    name = command.train.name or f"demo-{datetime.now().astimezone():%Y%m%d-%H%M%S}"
    recipe = replace(command.train, save_dir=command.out or command.train.save_dir, name=name, resume=None)
    train(recipe, announced=False)
    run = recipe.save_dir / name
    found = evaluate_run(Evaluate(run, needle=False))
    seconds = time.perf_counter() - started
    outcome_of(found, seconds).write(run)
    say(f"the run is in {run}; all in {duration(seconds)}")
