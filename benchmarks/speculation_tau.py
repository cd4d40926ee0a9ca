"""How many tokens does a round of the embedded head commit, on held-out prompts? Bar: tau >= 3.5 at (60, 7, 10).

python benchmarks/speculation_tau.py [--json OUT]
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tyro

from trimtab import machine
from trimtab.console import Table, progress
from trimtab.records import bar, write_json
from trimtab.speculation.actions import EAGLE_DEFAULT, TreeShape
from trimtab.speculation.race import turns
from trimtab.speculation.recipe import Pair
from trimtab.speculation.stages import load_pair, prompts_of
from trimtab.statistics import mean_interval

BOUND = 3.5
SHAPES = (EAGLE_DEFAULT, TreeShape(24, 4, 4), TreeShape(8, 3, 2))


@dataclass(frozen=True)
class Tau:
    """Decode prompts greedily with three trees and count."""

    pair: Pair = Pair()
    prompts: str = "held_out"
    """held_out, train, or a JSON Lines file in MT-bench's format."""
    prompt_count: int | None = None
    """Use the first so many prompts; None: all."""
    max_new_tokens: int = 128
    """Tokens per answer."""
    json: Path | None = None
    """Where to write rows and bars."""


def main(command: Tau) -> None:
    """Measure, print, write."""
    speculator = load_pair(command.pair)
    prompts = turns(speculator, prompts_of(command.prompts, command.prompt_count), command.max_new_tokens)
    table = Table("tokens committed per round", ("shape", "category", "tau", "turns", "rounds"))
    overall: dict[TreeShape, float] = {}
    for shape in SHAPES:
        accepted: dict[str, list[list[int]]] = defaultdict(list)
        for turn in progress(prompts, str(shape)):
            made = speculator.generate(turn.ids, command.max_new_tokens, shape=shape)
            rounds = [r.accepted for r in made.rounds]
            if rounds:
                accepted[turn.category].append(rounds)
                accepted["all"].append(rounds)
        for category, texts in accepted.items():
            flat = [count for text in texts for count in text]
            table.add(str(shape), category, 1 + float(np.mean(flat)), len(texts), len(flat))
        overall[shape] = 1 + float(np.mean([count for text in accepted["all"] for count in text]))
        spread = mean_interval(np.array([1 + np.mean(text) for text in accepted["all"]]))
        table.note = f"mean over turns at {shape}: {spread.estimate:.2f} [{spread.low:.2f}, {spread.high:.2f}]"
    table.print()
    result = {
        "rows": table.plain_rows(),
        "bars": [bar("tau at (60, 7, 10) on held-out prompts", overall[EAGLE_DEFAULT], BOUND, above=True, equal=True)],
        "hardware": machine.hardware(),
        "date": machine.today(),
    }
    if command.json:
        write_json(command.json, result)


if __name__ == "__main__":
    main(tyro.cli(Tau, description=__doc__))
