"""What does a decision cost with each state? Real decoding, the same tree each round, whatever is decided.

python benchmarks/speculation_states.py [--json OUT]

A decision is all that a policy does before a round: features, history, normalisation, a perceptron of two layers of 64.
States take turns prompt by prompt, so that a busy machine slows all alike. ``share``: seconds of decisions over those of
everything else in the rounds.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
import tyro

from trimtab import machine
from trimtab.console import say
from trimtab.encoders.hidden import HiddenProjection
from trimtab.policies.mlp import MLP
from trimtab.records import write_json
from trimtab.speculation.actions import TreeShape
from trimtab.speculation.context import HISTORY_NAMES, FeatureSet
from trimtab.speculation.engine.generation import RoundState
from trimtab.speculation.engine.speculator import Speculator
from trimtab.speculation.recipe import Pair
from trimtab.speculation.stages import load_pair, prompts_of
from trimtab.speculation.state_parts import Projected, measures
from trimtab.speculation.state_tables import StateSettings, tabulating
from trimtab.speculation.states import LEARNED, Features, StateFeatures, StateSpec
from trimtab.speculation.tree_policy import TreePolicy

BARS = {"statistics": 0.02, "statistics+head": 0.05, "statistics+fused": 0.05, "statistics+fused-fc": 0.05}
BARS |= {"fused": 0.05, "statistics+fused-learned": 0.05}
STATES = ("none", *BARS, "text", "statistics+text")
MENU = 12


@dataclass(frozen=True)
class States:
    """Measure the cost of decisions with each state on a pair of models."""

    pair: Pair = Pair()
    prompts: str = "held_out"
    """held_out, train, or a JSON Lines file in MT-bench's format."""
    prompt_count: int = 12
    """Use the first so many prompts."""
    max_new_tokens: int = 96
    """Tokens per answer."""
    shape: tuple[int, int, int] = (16, 3, 4)
    """The tree of every round."""
    states: tuple[str, ...] = STATES
    """States to measure; none: the tree alone, no decision."""
    compressed_width: int = 8
    """Numbers that fused-learned and head are compressed to."""
    text_refresh_tokens: int = 16
    """The text is embedded anew every so many tokens."""
    threads: int = 1
    """Threads of a CPU."""
    json: Path | None = None
    """Where to write rows and bars."""


@dataclass
class Timed:
    """A controller that decides, is timed, and always takes the same tree."""

    shape: TreeShape
    policy: TreePolicy | None
    decisions: list[float] = field(default_factory=list[float])
    rounds: list[float] = field(default_factory=list[float])

    def __call__(self, state: RoundState) -> TreeShape:
        if self.policy is not None:
            started = time.perf_counter()
            self.policy(state)
            self.decisions.append(time.perf_counter() - started)
        return self.shape

    def decode(self, speculator: Speculator, prompt: str, tokens: int) -> None:
        """One answer; its rounds' seconds without the decisions are kept."""
        speculator.forget()
        made = speculator.generate(prompt, tokens, policy=self)
        self.rounds += [done.seconds.total - done.seconds.policy for done in made.rounds]


def features_of(spec: StateSpec, speculator: Speculator, settings: StateSettings) -> Features:
    """The state itself; its learned compression is of random numbers, which cost as much as fitted ones."""
    held = tabulating(spec, speculator, settings)
    if not isinstance(held, StateFeatures):
        return held
    width = measures(speculator)["target features"]
    projection = HiddenProjection.random(width, settings.compressed_width)
    return held.with_parts(spec, {LEARNED: Projected(LEARNED, projection)}).bind(speculator)


def policy_of(features: Features, shape: TreeShape) -> TreePolicy:
    """A policy of random weights over a menu of ``MENU`` trees."""
    draw, names = np.random.default_rng(0), [*features.names, *HISTORY_NAMES]
    layers = tuple(
        ((draw.standard_normal((inputs, outputs)) / np.sqrt(inputs)).astype(np.float32), np.zeros(outputs, np.float32))
        for inputs, outputs in pairwise((len(names), 64, 64, MENU))
    )
    menu = [TreeShape(shape.total_tokens - index, shape.depth, shape.top_k) for index in range(MENU)]
    normal = FeatureSet(names, np.zeros(len(names), np.float32), np.ones(len(names), np.float32))
    return TreePolicy(menu, MLP(layers), normal, features)


def measured(command: States, speculator: Speculator) -> dict[str, Timed]:
    """Every state's decisions on every prompt, in turns; the first prompt warms up and is forgotten."""
    shape = TreeShape(*command.shape)
    settings = StateSettings(command.compressed_width, text_refresh_tokens=command.text_refresh_tokens)
    timed: dict[str, Timed] = {}
    for name in command.states:
        made = None if name == "none" else features_of(StateSpec.parse(name), speculator, settings)
        timed[name] = Timed(shape, made and policy_of(made, shape))
    tasks = prompts_of(command.prompts, command.prompt_count)
    for number, task in enumerate([tasks[0], *tasks]):
        for one in _turned(list(timed.values()), number):
            one.decode(speculator, task.turns[0], command.max_new_tokens)
            if number == 0:
                one.decisions.clear()
                one.rounds.clear()
    return timed


def _turned(items: Sequence[Timed], by: int) -> Iterator[Timed]:
    yield from (items[(index + by) % len(items)] for index in range(len(items)))


def rows_of(timed: dict[str, Timed]) -> list[dict[str, Any]]:
    """A row per state: its width, microseconds per decision, share of the rounds' time, and the bar."""
    rounds = float(np.median(np.concatenate([one.rounds for one in timed.values()])))
    rows: list[dict[str, Any]] = []
    for name, one in timed.items():
        micro = 1e6 * np.array(one.decisions or [0.0])
        share = float(sum(one.decisions) / sum(one.rounds))
        rows.append(
            {
                "state": name,
                "width": 0 if one.policy is None else len(one.policy.position.names),
                "decisions": len(one.decisions),
                "median_us": round(float(np.median(micro)), 1),
                "p90_us": round(float(np.quantile(micro, 0.9)), 1),
                "mean_us": round(float(micro.mean()), 1),
                "share": round(share, 4),
                "median_share": round(float(np.median(micro)) / 1e6 / rounds, 4),
                "bar": BARS.get(name),
                "met": None if name not in BARS else share <= BARS[name],
            }
        )
    return rows


def main(command: States) -> None:
    """Measure, print, and write."""
    torch.set_num_threads(command.threads)
    speculator = load_pair(command.pair)
    rows = rows_of(measured(command, speculator))
    for row in rows:
        bar = "" if row["bar"] is None else f" | bar {100 * row['bar']:.0f}%: {'met' if row['met'] else 'missed'}"
        say(
            f"{row['state']:>26} | width {row['width']:>5} | {row['median_us']:8.0f} us median, {row['p90_us']:8.0f} p90, "
            f"{row['mean_us']:8.0f} mean | {100 * row['share']:5.2f}% of decoding{bar}"
        )
    if command.json:
        record = {"date": machine.today(), "hardware": machine.hardware(), "commit": machine.commit(), "rows": rows}
        record |= {"pair": vars(command.pair), "shape": list(command.shape), "threads": command.threads}
        write_json(command.json, record)


if __name__ == "__main__":
    main(tyro.cli(States, description=__doc__))
