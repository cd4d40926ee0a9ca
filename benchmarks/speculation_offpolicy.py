"""Can a policy's speed be told before it is run? Estimates from logged decodes against exact replay, for many policies.

python benchmarks/speculation_offpolicy.py --run RUN [--json OUT]

The prompts of a run's replay table are parted: policies are trained on one part; the other is decoded by a logger that
draws trees at random (simulated from the table: measured acceptances, costs of the run's cost model, noisy seconds). The
estimates see that log alone; exact replay of each policy on the same prompts is the truth. Logging is repeated, and the
intervals are judged over all policies and repetitions.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import tyro

from trimtab import machine
from trimtab.console import Table, say
from trimtab.policies.mlp import MLP
from trimtab.policies.networks import perceptron
from trimtab.records import bar, write_json
from trimtab.speculation import greedy, oracle
from trimtab.speculation.chances import Chances, always, collected_by_replay, mixture, of_rule, played, uniform
from trimtab.speculation.context import HISTORY_NAMES, FeatureSet
from trimtab.speculation.costs import CostModel
from trimtab.speculation.environment import Objective
from trimtab.speculation.flat_replay import FlatReplay, fixed, flatten, rate, roll
from trimtab.speculation.full_information import FullInformation, warm_start
from trimtab.speculation.inference import softmax
from trimtab.speculation.offpolicy import METHODS, Estimate, OffPolicy
from trimtab.speculation.replay import ReplayTable

JUDGED = "blend"
ERROR_BOUND, COVERAGE_BOUND = 0.03, 0.90
_TRUTH_DECODES = 60


@dataclass(frozen=True)
class Benchmark:
    """Log, estimate, compare."""

    run_directory: Annotated[Path, tyro.conf.arg(name="run")]
    """A finished run of `trimtab speculation train`: its replay table and costs."""
    decodes: int = 16
    """Times that the logger decodes each prompt."""
    folds: int = 4
    """Into how many parts the decodes are dealt for cross-fitting."""
    logs: int = 3
    """Times that all of it is repeated with new logs."""
    noise: float = 0.1
    """Coefficient of variation of measured seconds."""
    seed: int = 0
    json: Path | None = None
    """Where to write rows and bars."""


def parted(table: ReplayTable, seed: int) -> tuple[ReplayTable, ReplayTable]:
    """A third of the conversations to train policies on, the others to log."""
    names = sorted({prompt.task.split("/turn")[0] for prompt in table.prompts if prompt.positions})
    mine = set(np.random.default_rng(seed).permutation(names)[: len(names) // 3].tolist())
    train = table.where(lambda prompt: prompt.task.split("/turn")[0] in mine)
    return train, table.where(lambda prompt: prompt.task.split("/turn")[0] not in mine)


def networks(replay: FlatReplay, static: int) -> tuple[FeatureSet, dict[str, MLP]]:
    """Policies of several seeds, trained for long and hardly at all."""
    rng = np.random.default_rng(0)
    seen = roll(replay, lambda known, _rows: rng.integers(len(replay.actions), size=len(known))).features_TF
    features = FeatureSet.fit(replay.feature_names, seen)
    rounds = roll(replay, fixed(static))
    scale = float((rounds.tokens_T - rate(rounds) * rounds.seconds_T).std())
    made: dict[str, MLP] = {}
    for seed in range(3):
        start = perceptron(features.width, (64, 64), len(replay.actions), seed)
        for name, iterations in (("weak", 2), ("strong", 25)):
            settings = FullInformation(iterations=iterations)
            objective = Objective(rate(rounds), 0.0, scale)
            made[f"mlp-{name}-{seed}"] = warm_start(start, replay, features, objective, settings, seed=seed)
    return features, made


def candidates(table: ReplayTable, costs: CostModel) -> dict[str, Chances]:
    """Policies that visit different positions, over the table's menu."""
    replay, menu = flatten(table, costs), table.actions
    features, trained = networks(replay, oracle.best_static(oracle.price(table, costs)))

    def scores(mlp: MLP, known: np.ndarray) -> np.ndarray:
        return mlp.scores(features.normalise(known))

    made: dict[str, Chances] = {f"static {tree}": always(i, len(menu)) for i, tree in enumerate(menu[:9])}
    made["cost-model-greedy"] = of_rule(greedy.fit(table, costs), [*table.feature_names, *HISTORY_NAMES])
    for name, mlp in trained.items():
        made[name] = lambda known, mlp=mlp: np.eye(len(menu))[scores(mlp, known).argmax(axis=1)]
    for seed, temperature in enumerate((0.5, 1.0, 3.0)):
        mlp = trained[f"mlp-strong-{seed}"]
        made[f"sampled at {temperature:g}"] = lambda known, m=mlp, t=temperature: softmax(scores(m, known), t)
    for seed, share in enumerate((0.2, 0.5)):
        parts = [(1 - share, made[f"mlp-strong-{seed}"]), (share, uniform(len(menu)))]
        made[f"{share:.0%} at random"] = mixture(parts)
    for seed in range(4):
        chance = perceptron(features.width, (16,), len(menu), seed + 90)
        wild = MLP((*chance.layers[:-1], (chance.layers[-1][0] * 100, chance.layers[-1][1])))
        made[f"random network {seed}"] = lambda known, m=wild: np.eye(len(menu))[scores(m, known).argmax(axis=1)]
    return made


def true_speed(replay: FlatReplay, chances: Chances, seed: int) -> float:
    """Tokens per second by exact replay; of policies that draw, the mean seconds of many replays."""
    generator = np.random.default_rng(seed)
    seconds = [played(replay, chances, generator).seconds for _ in range(_TRUTH_DECODES)]
    return float(replay.positions_R.sum() / np.mean(seconds))


@dataclass(frozen=True)
class Case:
    """One policy judged by one log."""

    policy: str
    log: int
    truth: float
    estimates: Mapping[str, Estimate]

    def error(self, method: str) -> float | None:
        made = self.estimates.get(method)
        return None if made is None else made.tokens_per_second / self.truth - 1


def judged(command: Benchmark) -> tuple[list[Case], float]:
    """All cases, and the seconds that an estimate takes."""
    costs = CostModel.load(command.run_directory / "costs.json")
    whole = ReplayTable.load(command.run_directory / "replay.npz")
    train, rest = parted(whole, command.seed)
    menu = oracle.prune(train, costs, 12)
    policies = candidates(train.subset(menu), costs)
    replay = flatten(rest, costs, menu)
    context_Q = np.array([prompt.context_P[0] for prompt in rest.prompts if prompt.positions])
    truths = {name: true_speed(replay, chances, command.seed) for name, chances in policies.items()}
    cases: list[Case] = []
    spent = 0.0
    for log in range(command.logs):
        seed = command.seed + 1000 * (log + 1)
        logger = uniform(len(menu))
        data = collected_by_replay(replay, context_Q, logger, command.decodes, noise=command.noise, seed=seed)
        say(f"log {log + 1}: {data.rounds} rounds, {data.decodes} decodes of {len(data.prompts)} prompts")
        off = OffPolicy(data, folds=command.folds, seed=seed)
        started = time.perf_counter()
        cases += [Case(name, log, truths[name], off.estimates(chances)) for name, chances in policies.items()]
        spent += (time.perf_counter() - started) / len(policies) / command.logs
    return cases, spent


def by_method(cases: list[Case]) -> list[dict[str, Any]]:
    """Of each method: errors, how often its intervals cover the truth, and how wide they are (median, relative)."""
    rows: list[dict[str, Any]] = []
    for method in METHODS:
        known = [(case.truth, case.estimates[method]) for case in cases if method in case.estimates]
        errors = np.array([abs(made.tokens_per_second / truth - 1) for truth, made in known])
        covers = [made.here.contains(truth) for truth, made in known]
        width = float(np.median([made.here.half_width / truth for truth, made in known]))
        row = {"method": method, "cases": len(known), "without_estimate": len(cases) - len(known)}
        row |= {"mean_error": float(errors.mean()), "largest_error": float(errors.max())}
        row |= {"coverage": float(np.mean(covers)), "half_width": width if np.isfinite(width) else None}
        rows.append(row)
    return rows


def main(command: Benchmark) -> None:
    """Print and write the tables and the bars."""
    cases, spent = judged(command)
    table = Table(
        "policies, by the first log", ("policy", "true_speed", "estimate", "low", "high", "error_dm", "error")
    )
    for case in cases:
        if case.log == 0:
            made = case.estimates[JUDGED]
            numbers = (case.truth, made.tokens_per_second, made.here.low, made.here.high)
            table.add(case.policy, *numbers, case.error("dm"), case.error(JUDGED))
    table.print()
    methods = by_method(cases)
    summary = Table("methods, over all logs", tuple(methods[0]), note="simulated logging from a measured table")
    for row in methods:
        summary.add(*row.values())
    summary.print()
    final = methods[-1]
    errors = [abs(case.error(JUDGED) or 0.0) for case in cases]
    bars = [
        bar("policies judged", float(len({case.policy for case in cases})), 20.0, above=True, equal=True),
        bar("largest error of predicted speed", max(errors), ERROR_BOUND, above=False),
        bar("95% intervals that cover the truth", float(final["coverage"]), COVERAGE_BOUND, above=True, equal=True),
    ]
    say(*(str(one) for one in bars), f"{spent:.2f} s for all estimates of a policy")
    result = {
        "rows": [
            {
                "policy": case.policy,
                "log": case.log,
                "tokens_per_second": case.truth,
                "interval": [case.estimates[JUDGED].here.low, case.estimates[JUDGED].here.high],
                **{method: case.error(method) for method in METHODS},
            }
            for case in cases
        ],
        "methods": methods,
        "bars": bars,
        "settings": {"decodes": command.decodes, "folds": command.folds, "logs": command.logs, "noise": command.noise},
        "seconds_per_policy": spent,
        "hardware": machine.hardware(),
        "date": machine.today(),
    }
    if command.json:
        write_json(command.json, result)


if __name__ == "__main__":
    main(tyro.cli(Benchmark, description=__doc__))
