"""What does a newcomer see first? Real answers in colour, then the whole road: calibrate, train, evaluate, report."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING

from rich.console import Console

from trimtab.console import duration, say
from trimtab.records import write_json
from trimtab.runs import Run
from trimtab.speculation.actions import EAGLE_DEFAULT
from trimtab.speculation.answering import LEGEND, show
from trimtab.speculation.claim import outcome_of
from trimtab.speculation.evaluation import as_json, evaluate
from trimtab.speculation.report import write_report
from trimtab.speculation.stages import check, load_pair, prepare, prompts_of

if TYPE_CHECKING:
    from trimtab.speculation.recipe import Demo


def demo(command: Demo) -> None:
    """``trimtab speculation demo``, and ``make demo``."""
    started = time.perf_counter()
    console, recipe = Console(), replace(command.train, resume=None, out=command.out or command.train.out)
    check(recipe)
    tasks = prompts_of(command.prompts, command.prompt_count)
    speculator = load_pair(recipe.pair)
    console.print(f"\nAnswers of {recipe.pair.target}, drafted by {recipe.pair.head} with the tree {EAGLE_DEFAULT}.")
    console.print(f"{LEGEND}\n", highlight=False)
    for task in tasks[: command.answers]:
        show(speculator, task.turns[0], 96, shape=EAGLE_DEFAULT, console=console)
        console.print()
    settings = replace(command, train=recipe)
    with Run.begin(recipe.out, settings, track=recipe.track, tracking=recipe.tracking) as run:
        prepared = prepare(recipe, run)
        made = evaluate(
            recipe.pair,
            prepared,
            tasks,
            max_new_tokens=recipe.max_new_tokens,
            table_dtype=recipe.table_dtype,
            float32_texts=command.float32_texts,
        )
        write_json(run.path / "evaluation.json", as_json(made))
        outcome_of(made, time.perf_counter() - started).write(run.path)
        page = write_report(run.path, made)
        made.table_of_rows().print()
        say(*made.notes())
        say(f"the run is in {run.path}, its report in {page}; all in {duration(time.perf_counter() - started)}")
