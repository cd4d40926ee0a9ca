"""Does replay tell the truth? Predicted time against measured time in bf16 (bar: within 10%), rounds exactly in float32.

python benchmarks/speculation_replay.py --run RUN [--json OUT]
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import tyro

from trimtab import machine
from trimtab.console import Table, say
from trimtab.records import bar, write_json
from trimtab.speculation import oracle
from trimtab.speculation.actions import EAGLE_DEFAULT, TreeShape
from trimtab.speculation.calibration import calibrate
from trimtab.speculation.race import Entry, by_engine, race, turns
from trimtab.speculation.replay_builder import build
from trimtab.speculation.stages import load_pair, prompts_of
from trimtab.speculation.trained import prepared_of, recipe_of

BOUND = 0.10


@dataclass(frozen=True)
class Replay:
    """Replay held-out prompts with static trees, and decode them for real."""

    run_directory: Annotated[Path, tyro.conf.arg(name="run")]
    """A finished run of `trimtab speculation train`: its menu and models."""
    prompt_count: int = 24
    """Held-out prompts, the first so many."""
    max_new_tokens: int = 96
    """Tokens per answer."""
    json: Path | None = None
    """Where to write rows and bars."""


def shapes_of(menu: list[TreeShape], best: TreeShape) -> list[TreeShape]:
    """Small, best, default and large trees of the menu."""
    ordered = sorted(menu, key=lambda s: (s.total_tokens, s.depth, s.top_k))
    wanted = [ordered[0], best, ordered[len(ordered) // 2], ordered[-1]]
    return list(dict.fromkeys([*wanted, *([EAGLE_DEFAULT] if EAGLE_DEFAULT in menu else [])]))


def main(command: Replay) -> None:
    """Predict, measure, compare."""
    pair = recipe_of(command.run_directory).pair
    prepared = prepared_of(command.run_directory)
    tasks = prompts_of("held_out", command.prompt_count)
    menu = prepared.table.actions
    shapes = shapes_of(menu, menu[oracle.best_static(oracle.price(prepared.table, prepared.costs))])
    fast, exact = load_pair(pair), load_pair(pair, "float32")
    say("calibrating anew, so that prediction and measurement meet the same state of the machine")
    costs = calibrate(fast, menu, [task.turns[0] for task in prompts_of("train", 60)], budget_seconds=30.0)
    coarse = build(fast, tasks, shapes, command.max_new_tokens, prepared.policy.position)
    precise = build(exact, tasks, shapes, command.max_new_tokens, prepared.policy.position)
    prompts = turns(fast, tasks, command.max_new_tokens)
    entries = [Entry(str(shape), by_engine(fast, command.max_new_tokens, shape=shape)) for shape in shapes]
    race(entries, prompts)
    table = Table(
        "replayed and real", ("shape", "predicted_seconds", "measured_seconds", "off", "equal_rounds_float32")
    )
    priced = oracle.price(coarse, costs)
    for column, (shape, entry) in enumerate(zip(shapes, entries, strict=True)):
        predicted = sum(oracle.static(one, column).seconds for one in priced)
        measured = sum(
            r.seconds.total for w in entry.first_T if w.generation for r in w.generation.rounds[1:]
        ) + sum(  # the first round's extension over the prompt belongs to the prefill
            w.generation.rounds[0].seconds.verify
            + w.generation.rounds[0].seconds.rest
            + float(np.median([r.seconds.draft for r in w.generation.rounds]))
            for w in entry.first_T
            if w.generation and w.generation.rounds
        )
        equal = [
            [r.accepted for r in replay.rounds(lambda _p, _h, column=column: column)]
            == [r.accepted for r in exact.generate(turn.ids, command.max_new_tokens, shape=shape).rounds]
            for replay, turn in zip(precise.prompts, turns(exact, tasks, command.max_new_tokens), strict=True)
        ]
        table.add(str(shape), predicted, measured, predicted / measured - 1, float(np.mean(equal)))
    table.print()
    rows = table.plain_rows()
    result = {
        "rows": rows,
        "bars": [
            bar("largest error of predicted time", max(abs(float(r["off"] or 0)) for r in rows), BOUND, above=False),
            bar(
                "texts replayed round for round in float32",
                min(float(r["equal_rounds_float32"] or 0) for r in rows),
                1.0,
                above=True,
                equal=True,
            ),
        ],
        "hardware": machine.hardware(),
        "date": machine.today(),
    }
    if command.json:
        write_json(command.json, result)


if __name__ == "__main__":
    main(tyro.cli(Replay, description=__doc__))
