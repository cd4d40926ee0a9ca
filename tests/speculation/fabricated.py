"""An evaluation that no model had a part in: replayed decodes with invented, slightly noisy, seconds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from speculation import synthetic
from trimtab.speculation import oracle
from trimtab.speculation.actions import EAGLE_DEFAULT, TreeShape
from trimtab.speculation.costs import CostModel
from trimtab.speculation.engine.generation import Generation, Round, Seconds
from trimtab.speculation.evaluation import Evaluation
from trimtab.speculation.race import Entry, Turn, Written
from trimtab.speculation.replay import ReplayTable
from trimtab.statistics import paired_ratio

PROMPT_TOKENS = 20
"""Of every prompt of ``synthetic``."""

COSTS: CostModel = replace(
    synthetic.COSTS,
    rest=(4e-4, 1e-6, 0.0, 0.0),
    residuals={"median": 0.031, "p90": 0.118, "mean_over_typical": 1.042},
    measured_on={"processor": "A processor of long ago", "threads": 2, "dtype": "bfloat16", "date": "2026-01-31"},
)


Choose = Callable[[oracle.Priced], oracle.Decode]


def table(categories: tuple[str, ...], prompts: int) -> ReplayTable:
    """A replay table whose prompts go round the categories."""
    made = synthetic.table(prompts, telling=False)
    named = [replace(p, category=categories[i % len(categories)]) for i, p in enumerate(made.prompts)]
    return replace(made, prompts=named, metadata={"dtype": "float32", "max_new_tokens": 120})


def written(priced: oracle.Priced, decode: oracle.Decode, rng: np.random.Generator, decision_seconds: float) -> Written:
    """The record that a real decode with these actions would have left."""
    shapes = synthetic.SHAPES
    position, rounds = 0, []
    for action in decode.actions:
        accepted = int(priced.replay.accepted_PA[position, action])
        context = PROMPT_TOKENS + position
        base = {part: COSTS.line_A([shapes[action]], [part]) for part in ("draft", "verify", "rest")}
        parts = {part: float(b[0] + s[0] * context) * rng.gamma(200, 1 / 200) for part, (b, s) in base.items()}
        rounds.append(
            Round(shapes[action], shapes[action].drafted, accepted, Seconds(**parts, policy=decision_seconds))
        )
        position = int(priced.replay.next_PA[position, action])
    seconds = 4e-3 + sum(r.seconds.total for r in rounds)
    tokens = list(range(priced.replay.tokens))
    return Written(tokens, seconds, Generation(tokens, "", rounds, 4e-3, seconds, 0))


def entry(name: str, priced: list[oracle.Priced], choose: Choose, note: str) -> Entry:
    """A contender that made ``choose``'s decodes, twice each."""
    rng, cost = np.random.default_rng(len(name)), 6e-5 if name == "eagle-policy" else 0.0
    decodes = [[written(one, choose(one), rng, cost) for _ in range(2)] for one in priced]
    return Entry(name, lambda _turn: Written([], 0.0), note, decodes)


def wavering(seed: int, static: int, trust: float) -> Choose:
    """The oracle's action with the chance ``trust``, else the static one or one drawn; the same ones for each task."""

    def decode(one: oracle.Priced) -> oracle.Decode:
        rng = np.random.default_rng([seed, *one.replay.task.encode()])
        _, best = oracle.shortest(one.seconds_PA, one.replay.next_PA)
        drawn = rng.integers(len(synthetic.SHAPES), size=len(best))
        others = np.where(rng.random(len(best)) < 0.6, static, drawn)
        return oracle.roll(one, oracle.by_position(np.where(rng.random(len(best)) < trust, best, others)))

    return decode


def evaluation(
    categories: tuple[str, ...] = ("dialogue", "arithmetic", "code"), prompts: int = 18, trust: float = 0.75
) -> Evaluation:
    """An evaluation of a policy that is as good as ``trust`` makes it (0: worse than the best static tree)."""
    replays = table(categories, prompts)
    priced = oracle.price(replays, COSTS)
    best, default = oracle.best_static(priced), replays.actions.index(EAGLE_DEFAULT)
    static: TreeShape = replays.actions[best]
    steered = wavering(1, best, trust)
    entries = [
        entry("eagle-default", priced, lambda one: oracle.static(one, default), str(EAGLE_DEFAULT)),
        entry("eagle-best-static", priced, lambda one: oracle.static(one, best), f"{static}, best on training"),
        entry("cost-model-greedy", priced, wavering(2, best, 0.4), "closed form"),
        entry("eagle-policy", priced, steered, "PPO on replay"),
    ]
    mine, fixed = entries[3], entries[1]
    return Evaluation(
        entries,
        [Turn(p.task, p.category, [0] * PROMPT_TOKENS) for p in replays.prompts],
        oracle.bounds(priced, best),
        oracle.tokens_per_second([steered(one) for one in priced]),
        None,
        {e.name: 1.0 for e in entries},
        paired_ratio(mine.tokens_T, mine.seconds_T, fixed.seconds_T, tokens_b_P=fixed.tokens_T),
        COSTS,
        replays,
        static,
    )
