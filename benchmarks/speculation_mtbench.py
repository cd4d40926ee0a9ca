"""How fast on text that the pair was not made for? MT-bench's conversations of two turns, reported apart, by category.

python benchmarks/speculation_mtbench.py --run RUN [--prompts FILE] [--json OUT] [--answers PATH]

A run of the embedded pair has never seen such text, neither target nor head nor policy: its answers are no good, and its
numbers say how much of the speed is left outside of what it was made for. Turns that may exceed the target's context are
left out, counted, and named.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro

from trimtab.console import Table, say
from trimtab.records import write_json
from trimtab.speculation.evaluation import Evaluation, as_json, evaluate
from trimtab.speculation.mtbench import LeftOut, category_rows, deepest, fitting, model_prefix, write_answers
from trimtab.speculation.recipe import Pair
from trimtab.speculation.stages import load_pair, prompts_of
from trimtab.speculation.trained import prepared_of, recipe_of

UNSEEN = (
    "The embedded pair never saw such text, in the training of target, head or policy: nothing here is about the quality "
    "of answers."
)


@dataclass(frozen=True)
class MtBench:
    """Decode MT-bench's questions with every contender of a run."""

    run_directory: Annotated[Path, tyro.conf.arg(name="run")]
    """A finished run of `trimtab speculation train`."""
    prompts: Path = Path("../shared/data/prompts/mt_bench.jsonl")
    """The questions, a JSON Lines file (question_id, category, turns)."""
    prompt_count: int | None = None
    """Use the first so many; None: all."""
    max_new_tokens: int = 96
    """Tokens per answer."""
    repeats: int = 1
    """Times that each turn is decoded by each contender; the median counts."""
    float32_texts: int = 8
    """Compare texts in float32 on the first so many questions."""
    answers: Path | None = None
    """Write answers too: the policy's to a .jsonl file, or to a folder every contender's."""
    json: Path | None = None
    """Where to write the rows."""


def categories_table(rows: Sequence[dict[str, Any]]) -> Table:
    """The rows of all categories as people read them."""
    columns = ("category", "turns", "decoding", "tokens/s", "tau", "ratio", "95%_interval")
    table = Table("by category", columns, note="few turns each, and not corrected for being several")
    for row in rows:
        span = f"{row['low']:.3f} to {row['high']:.3f}"
        values = (row["tokens_per_second"], row["tau"], row["against_best_static"])
        table.add(row["category"], row["turns"], row["name"], *values, span)
    return table


def result_of(made: Evaluation, left: Sequence[LeftOut], pair: Pair, questions: int) -> dict[str, Any]:
    """Rows, categories, and what was left out."""
    return as_json(made) | {
        "prompts": "MT-bench",
        "note": UNSEEN if pair.target.startswith("zoo:") else "",
        "categories": category_rows(made),
        "questions": questions,
        "left_out_turns": len(left),
        "left_out": [vars(one) for one in left],
    }


def main(command: MtBench) -> None:
    """Measure, print, write."""
    recipe, prepared = recipe_of(command.run_directory), prepared_of(command.run_directory)
    questions = prompts_of(str(command.prompts), command.prompt_count)
    tasks, left = fitting(load_pair(recipe.pair), questions, command.max_new_tokens, deepest(prepared) + 1)
    if not tasks:
        raise ValueError(f"none of the {len(questions)} questions fits the context: lower --max-new-tokens")
    say(f"{len(left)} turns do not fit the context and are left out: {'; '.join(map(str, left)) or 'none'}")
    made = evaluate(
        recipe.pair,
        prepared,
        tasks,
        max_new_tokens=command.max_new_tokens,
        table_dtype=recipe.table_dtype,
        repeats=command.repeats,
        float32_texts=command.float32_texts,
    )
    result = result_of(made, left, recipe.pair, len(questions))
    made.table_of_rows().print()
    categories_table(result["categories"]).print()
    say(*made.notes(), result["note"])
    if command.answers:
        write_answers(command.answers, made.entries, made.turns, model_prefix(recipe.pair.target))
    if command.json:
        write_json(command.json, result)
        say(f"written to {command.json}")


if __name__ == "__main__":
    main(tyro.cli(MtBench, description=__doc__))
