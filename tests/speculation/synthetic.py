"""Tables whose best policy is known: what a learner can be tested on."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from trimtab.speculation.actions import TreeShape
from trimtab.speculation.context import PositionFeatures
from trimtab.speculation.costs import CostModel, Knots
from trimtab.speculation.oracle import Priced, price, shortest
from trimtab.speculation.replay import PromptReplay, ReplayTable

SHAPES = [
    TreeShape(*bins)
    for bins in [(2, 1, 1), (4, 2, 1), (8, 2, 4), (8, 6, 1), (16, 7, 4), (24, 3, 4), (32, 7, 8), (60, 7, 10)]
]


COSTS = CostModel(
    Knots((2, 60), (1, 10)),
    draft=(0.0, 2.5e-4, 2.5e-4, 0.0, 0.0),
    verify=(1e-3, 2.2e-3, 1e-7, 0.0),
    rest=(0.0, 0.0, 0.0, 0.0),
    plain=(1e-3, 1e-7),
    prefill=(1e-3, 1e-5),
)
"""A round costs a base, something per expansion and something per token (seconds)."""


def ranks(rng: np.random.Generator, tokens: int) -> np.ndarray:
    """The head's rank of each next token, from stretches that are easy (1, nearly always) or hard."""
    hard, drawn = False, []
    for _ in range(tokens):
        hard = rng.random() < (0.85 if hard else 0.12)
        drawn.append(int(rng.geometric(0.35 if hard else 0.97)))
    return np.array(drawn)


def accepted_at(ranks_P: np.ndarray, position: int, shape: TreeShape) -> int:
    """A naive tree: a token costs as many nodes as its rank; paths end at depth + 1, beyond top_k, or at the budget."""
    nodes = 0
    accepted = 0
    for rank in ranks_P[position : position + shape.depth + 1]:
        nodes += int(rank)
        if rank > shape.top_k or nodes > shape.drafted:
            break
        accepted += 1
    return accepted


NAMES = PositionFeatures().names


def prompt(rng: np.random.Generator, index: int, tokens: int) -> PromptReplay:
    """A replayed prompt whose features are noise."""
    ranks_P = ranks(rng, tokens - 1)
    accepted = np.array(
        [[accepted_at(ranks_P, p, shape) for shape in SHAPES] for p in range(tokens - 1)], dtype=np.int16
    )
    features = rng.standard_normal((tokens - 1, len(NAMES))).astype(np.float32)
    context = np.arange(20, 20 + tokens - 1, dtype=np.int32)
    return PromptReplay(f"task{index}", "synthetic", tokens, accepted, features, context)


def told(priced: Priced) -> PromptReplay:
    """The same prompt, with features that name the oracle's action at each position."""
    replay = priced.replay
    _, best_P = shortest(priced.seconds_PA, replay.next_PA)
    features = replay.features_PF.copy()
    features[:, : len(SHAPES)] = np.eye(len(SHAPES))[best_P]
    return replace(replay, features_PF=features)


def table(prompts: int = 60, *, telling: bool = True, seed: int = 0) -> ReplayTable:
    """A replay table. Where ``telling``, its features reveal the best action; else they are noise."""
    rng = np.random.default_rng(seed)
    lengths = rng.integers(40, 120, prompts)
    noise = ReplayTable(list(SHAPES), NAMES, [prompt(rng, i, int(length)) for i, length in enumerate(lengths)])
    return replace(noise, prompts=[told(priced) for priced in price(noise, COSTS)]) if telling else noise
