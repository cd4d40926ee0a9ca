"""``trimtab speculation evaluate``: judge a run's policy; print, and write the record, the answers and the report."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from trimtab.console import say
from trimtab.parallel import quietly, workers
from trimtab.records import write_json
from trimtab.runs import read_metrics
from trimtab.speculation.claim import outcome_of
from trimtab.speculation.evaluation import as_json, evaluate
from trimtab.speculation.mtbench import model_prefix, write_answers
from trimtab.speculation.report import write_report
from trimtab.speculation.stages import prompts_of
from trimtab.speculation.trained import prepared_of, recipe_of

if TYPE_CHECKING:
    from trimtab.speculation.recipe import Evaluate


def evaluate_run(command: Evaluate) -> None:
    """``trimtab speculation evaluate``."""
    started = time.perf_counter()
    recipe = recipe_of(command.run_directory)
    prepared = prepared_of(command.run_directory)
    tasks = prompts_of(command.prompts, command.prompt_count)
    team = workers()
    with quietly(team), team.meeting(command.run_directory) as folder:
        made = evaluate(
            recipe.pair,
            prepared,
            tasks,
            max_new_tokens=command.max_new_tokens,
            table_dtype=recipe.table_dtype,
            repeats=command.repeats,
            float32_texts=command.float32_texts,
            team=team,
            folder=folder,
        )
    if not team.main:
        return
    made.table_of_rows().print()
    say(*made.notes())
    result = as_json(made)
    write_json(command.run_directory / "evaluation.json", result)
    learning = sum(row["elapsed_seconds"] for row in read_metrics(command.run_directory)[-1:])
    outcome_of(made, learning + time.perf_counter() - started).write(command.run_directory)
    if command.json:
        write_json(command.json, result)
    if command.answers:
        paths = write_answers(command.answers, made.entries, made.turns, model_prefix(recipe.pair.target))
        say(f"answers are in {', '.join(map(str, paths))}")
    page = write_report(command.run_directory, made)
    say(f"the report is in {page}")
