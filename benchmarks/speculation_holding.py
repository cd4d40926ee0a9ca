"""What does it cost, and save, to decide less often? Speed against the rounds that a decision lasts, on held-out prompts.

python benchmarks/speculation_holding.py [--run RUN] [--held-out TABLE] [--json OUT]

Replayed with measured costs. Every policy of the curve is trained by full information for the rounds that its decisions
last, and charged for the decisions that it makes, as they are timed in real decoding (or given). What the answer would be
for cheaper and dearer decisions is written beside it. All choices (iteration, thresholds, and which
number of rounds is the default) are made on validation prompts among the training ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import tyro

from trimtab import machine
from trimtab.console import Table, progress_bar, say
from trimtab.policies.held import Adaptive
from trimtab.policies.networks import perceptron
from trimtab.records import bar, write_json
from trimtab.runs import Run
from trimtab.speculation import oracle
from trimtab.speculation.costs import CostModel
from trimtab.speculation.engine.generation import Controller
from trimtab.speculation.engine.speculator import Speculator
from trimtab.speculation.flat_replay import FlatReplay, fixed, flatten, roll
from trimtab.speculation.full_information import FullInformation
from trimtab.speculation.holding import HOLDS, Charges, HoldingTask, refitted
from trimtab.speculation.inference import Inference
from trimtab.speculation.recipe import RECIPES
from trimtab.speculation.replay import ReplayTable
from trimtab.speculation.replay_builder import build
from trimtab.speculation.stages import load_pair, prepare, prompts_of
from trimtab.speculation.trained import prepared_of, recipe_of
from trimtab.speculation.tree_policy import TreePolicy
from trimtab.statistics import Interval, paired_ratio

PLANS = (2, 3, 5)
LONGEST = (5, 30)
SURPRISES, DRIFTS = (1.0, 2.0, 3.0), (0.5, 1.0, 1.5)
CHARGED_MICROSECONDS = (20, 100, 170, 260, 400)
TIMED_PROMPTS, TIMED_TOKENS = 24, 64
DEFAULT_ROUNDS = RECIPES["train"]["default"].hold
HIDDEN = (64, 64)


@dataclass(frozen=True)
class Holding:
    """Train a policy for each number of rounds, and replay held-out prompts."""

    run_directory: Annotated[Path | None, tyro.conf.arg(name="run")] = None
    """A finished run of `trimtab speculation train`: its table, costs and features. None: train one."""
    held_out: Path | None = None
    """A replay table of held-out prompts; None: build it."""
    seeds: int = 1
    """Trainings of each policy; their speeds are taken together."""
    iterations: int = 30
    """Of each training."""
    menu_size: int = 12
    """Trees to choose among."""
    decision_microseconds: float | None = None
    """What a decision is charged (a look at the features for drift: the same). None: as timed in real decoding."""
    max_new_tokens: int = 96
    """Tokens per answer, where the table of held-out prompts is built."""
    json: Path | None = None
    """Where to write rows and bars."""


@dataclass(frozen=True, eq=False)
class Played:
    """A way of deciding, replayed on held-out prompts: seconds of each prompt, summed over seeds like all else.

    ``charged_R``: how often each prompt was charged a decision (or a look at the features, which costs as much).
    """

    name: str
    seconds_R: np.ndarray
    tokens_R: np.ndarray
    decisions: int = 0
    rounds: int = 0
    charged_R: np.ndarray | None = None
    validation: float | None = None
    note: str = ""

    def __add__(self, other: Played) -> Played:
        """Two seeds together."""
        judged = None if self.validation is None or other.validation is None else self.validation + other.validation
        counted = self.decisions + other.decisions, self.rounds + other.rounds
        sums = self.seconds_R + other.seconds_R, self.tokens_R + other.tokens_R
        mine, theirs = self.charged_R, other.charged_R
        charged = None if mine is None or theirs is None else mine + theirs
        return Played(self.name, *sums, *counted, charged, judged, f"{self.note}; {other.note}" if self.note else "")

    def at(self, decision_seconds: float, charged: float) -> Played:
        """The same decodes, had a decision taken ``decision_seconds`` instead of ``charged``."""
        if self.charged_R is None:
            return self
        return replace(self, seconds_R=self.seconds_R + (decision_seconds - charged) * self.charged_R)

    def against(self, other: Played) -> Interval:
        """Its speed over another's."""
        return paired_ratio(self.tokens_R, self.seconds_R, other.seconds_R, tokens_b_P=other.tokens_R)

    @property
    def speed(self) -> float:
        return float(self.tokens_R.sum() / self.seconds_R.sum())


# -- what a decision costs ---------------------------------------------------------------------------------------------


def charges_of(policy: TreePolicy, speculator: Speculator, round_seconds: float) -> Charges:
    """The policy's own seconds, from real decoding: its share of the rounds' time, brought to rounds of ``round_seconds``.

    In a loop of its own, where all it touches is in the processor's caches, a decision takes a tenth of what it takes
    between two forwards. What the clock itself takes, it takes of every row alike, and is left out.
    """
    never = Inference(hold_rounds=10**6)
    ways = (Inference(), never, replace(never, adaptive=Adaptive(drift=1e9)))
    steered = [policy.acting(how) for how in ways]
    controllers: list[Controller] = [*steered, lambda _state: policy.actions[0]]
    own, total = np.zeros(len(controllers)), np.zeros(len(controllers))
    for task in prompts_of("train", TIMED_PROMPTS):
        for index, controller in enumerate(controllers):  # interleaved: they meet the same moments of the machine
            made = speculator.generate(task.turns[0], TIMED_TOKENS, policy=controller).rounds[1:]
            own[index] += sum(done.seconds.policy for done in made)
            total[index] += sum(done.seconds.total - done.seconds.policy for done in made)
    shares = own / total
    return Charges(*(float(max(0.0, share - shares[-1]) * round_seconds) for share in shares[:-1]))


# -- ways of deciding --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Stage:
    """Where policies are trained and replayed."""

    task: HoldingTask
    held_out: FlatReplay
    settings: FullInformation

    def played(self, name: str, policy: TreePolicy, note: str = "") -> Played:
        """A policy on the held-out prompts."""
        rounds = policy.replay(self.held_out)
        charged = rounds.charged_T(self.task.charges.decision, self.task.charges.kept(policy.inference))
        seconds = np.bincount(rounds.prompt_T, charged)
        tokens = np.bincount(rounds.prompt_T, rounds.tokens_T)
        looked = rounds.decided_T | (policy.inference.hold.drift is not None)
        charged_R = np.bincount(rounds.prompt_T, looked)
        counts = rounds.decisions, len(rounds.row_T)
        return Played(name, seconds, tokens, *counts, charged_R, self.task.judge(policy), note)

    def trained(self, base: TreePolicy, inference: Inference, seed: int) -> TreePolicy:
        """The policy for decisions that last as long as ``inference`` says."""
        return refitted(base, self.task, inference, settings=self.settings, seed=seed)

    def adaptive(self, policies: Sequence[TreePolicy], rules: Sequence[Adaptive], name: str) -> Played:
        """The best rule, threshold, longest hold and network on the validation prompts."""
        made = [
            policy.acting(replace(policy.inference, hold_rounds=longest, adaptive=rule))
            for policy in policies
            for longest in LONGEST
            for rule in rules
        ]
        best = max(made, key=self.task.judge)
        return self.played(name, best, str(best.inference))

    def ways(self, base: TreePolicy, seed: int) -> list[Played]:
        """All rows of one seed."""
        held = {rounds: self.trained(base, Inference(hold_rounds=rounds), seed) for rounds in HOLDS}
        plans = {rounds: self.trained(base, Inference(planned_rounds=rounds), seed) for rounds in PLANS}
        networks = [held[rounds] for rounds in (1, 2, 5)]
        surprises, drifts = ([Adaptive(surprise=s) for s in SURPRISES], [Adaptive(drift=d) for d in DRIFTS])
        both = [Adaptive(d, s) for s in SURPRISES for d in DRIFTS]
        return [
            *(self.played(f"hold-{rounds}", policy) for rounds, policy in held.items()),
            *(
                self.played(f"hold-{rounds}-untrained", base.acting(Inference(hold_rounds=rounds)))
                for rounds in HOLDS[1:]
            ),
            *(self.played(f"plan-{rounds}", policy) for rounds, policy in plans.items()),
            self.adaptive(networks, surprises, "until-surprise"),
            self.adaptive(networks, drifts, "until-drift"),
            self.adaptive(networks, both, "until-either"),
        ]


def base_policy(run_policy: TreePolicy, menu: ReplayTable, seed: int) -> TreePolicy:
    """An untrained policy over the menu, with the run's features."""
    network = perceptron(run_policy.features.width, HIDDEN, len(menu.actions), seed)
    return TreePolicy(menu.actions, network, run_policy.features, run_policy.position, run_policy.widths)


def oracles(table: ReplayTable, costs: CostModel) -> list[Played]:
    """The oracle, its decisions held."""
    priced = [one for one in oracle.price(table, costs) if one.tokens]
    rows: list[Played] = []
    for rounds in HOLDS:
        decodes = [oracle.held(one, rounds) for one in priced]
        tokens, seconds = (np.array([getattr(d, part) for d in decodes]) for part in ("tokens", "seconds"))
        counts = [len(d.actions) for d in decodes]
        decisions = sum(-(-count // rounds) for count in counts)
        rows.append(Played(f"oracle-hold-{rounds}", seconds, tokens, decisions, sum(counts)))
    return rows


def static_row(stage: Stage, column: int) -> Played:
    """The best static tree, chosen on the training prompts."""
    rounds = roll(stage.held_out, fixed(column))
    seconds, tokens = (np.bincount(rounds.prompt_T, part) for part in (rounds.seconds_T, rounds.tokens_T))
    return Played("best-static", seconds, tokens, 0, len(rounds.row_T), note=str(stage.held_out.actions[column]))


# -- tables ------------------------------------------------------------------------------------------------------------


def row_of(row: Played, static: Played, default: Played, seeds: int) -> dict[str, Any]:
    """A row as it is written."""
    gain, cost = row.against(static), row.against(default)
    return {
        "name": row.name,
        "tokens_per_second": row.speed,
        "validation_tokens_per_second": None if row.validation is None else row.validation / seeds,
        "against_best_static": gain.estimate,
        "low": gain.low,
        "high": gain.high,
        "against_default_hold": cost.estimate,
        "against_default_low": cost.low,
        "against_default_high": cost.high,
        "decisions_per_token": row.decisions / float(row.tokens_R.sum()),
        "hit_rate": 1 - row.decisions / row.rounds,
        "note": row.note,
    }


def bars_of(rows: dict[str, Played], default: Played) -> list[dict[str, Any]]:
    """Is the default the best on the validation prompts, and on the curve's top on the held-out ones?"""
    curve = [rows[f"hold-{rounds}"] for rounds in HOLDS]
    top = max(curve, key=lambda row: row.speed)
    chosen = max(curve, key=lambda row: row.validation or 0.0)
    against = default.against(top)
    lies = f"default N lies on the top of the curve within its interval: {default.name} against {top.name}, upper end"
    agrees = f"default N is the best on the validation prompts: {default.name} against {chosen.name}"
    on_validation = (default.validation or 0.0) / (chosen.validation or 1.0)
    return [
        bar(lies, against.high, 1.0, above=True, equal=True),
        bar(agrees, on_validation, 1.0, above=True, equal=True),
    ]


def sensitivity_of(rows: dict[str, Played], charged: float) -> list[dict[str, Any]]:
    """Would another number of rounds be the best, were decisions cheaper or dearer? The same policies, charged anew."""
    made: list[dict[str, Any]] = []
    for microseconds in CHARGED_MICROSECONDS:
        anew = {name: row.at(1e-6 * microseconds, charged) for name, row in rows.items()}
        curve = [anew[f"hold-{rounds}"] for rounds in HOLDS]
        top = max(curve, key=lambda row: row.speed)
        default = anew[f"hold-{DEFAULT_ROUNDS}"]
        against = default.against(top)
        speeds = {row.name: row.speed for row in [*curve, *(anew[f"plan-{rounds}"] for rounds in PLANS)]}
        span = {"default_against_top": against.estimate, "low": against.low, "high": against.high}
        made.append({"decision_microseconds": microseconds, "top": top.name, **span, "tokens_per_second": speeds})
    return made


def table_of(rows: Sequence[dict[str, Any]]) -> Table:
    """The rows as people read them."""
    columns = ("deciding", "tokens/s", "ratio", "95%_interval", "decisions/token", "hit_rate", "against_default")
    table = Table("held-out prompts, replayed", columns, note="simulated from measured costs")
    for row in rows:
        span = f"{row['low']:.3f} to {row['high']:.3f}"
        numbers = (row[name] for name in ("decisions_per_token", "hit_rate", "against_default_hold"))
        table.add(row["name"], row["tokens_per_second"], row["against_best_static"], span, *numbers)
    return table


def tables_of(command: Holding) -> tuple[ReplayTable, ReplayTable, CostModel, TreePolicy]:
    """Training and held-out tables over the trees that both have, costs, and a policy for its features."""
    folder = command.run_directory
    if folder is None:
        recipe = replace(RECIPES["train"]["default"], learner="full-information")
        with Run.begin(recipe.out, recipe) as run:
            prepare(recipe, run)
            folder = run.path
    prepared = prepared_of(folder)
    policy = prepared.policy
    if not isinstance(policy, TreePolicy):
        raise ValueError(
            f"{folder} holds {policy}: expected a policy that chooses a tree, which can be held; "
            "give a run of trimtab speculation train --learner full-information"
        )
    if command.held_out is None:
        recipe = recipe_of(folder)
        say("building the table of held-out prompts")
        pair, position = load_pair(recipe.pair, recipe.table_dtype), policy.position
        held_out = build(pair, prompts_of("held_out", None), prepared.table.actions, command.max_new_tokens, position)
    else:
        held_out = ReplayTable.load(command.held_out)
    common = [action for action in prepared.table.actions if action in held_out.actions]
    menu = oracle.prune(prepared.table.subset(common), prepared.costs, command.menu_size)
    return prepared.table.subset(menu), held_out.subset(menu), prepared.costs, policy


def _charges(command: Holding, known: TreePolicy, table: ReplayTable, replay: FlatReplay) -> Charges:
    """As given, or as timed with the pair that the policy names or the run was made with."""
    if command.decision_microseconds is not None:
        return Charges(1e-6 * command.decision_microseconds, Charges.held, 1e-6 * command.decision_microseconds)
    pair = RECIPES["train"]["default"].pair if command.run_directory is None else recipe_of(command.run_directory).pair
    speculator = load_pair(pair)
    known.position = known.position.bind(speculator)
    return charges_of(base_policy(known, table, 0), speculator, float(replay.seconds_NA.mean()))


def main(command: Holding) -> None:
    """Train, replay, compare."""
    table, held_out, costs, known = tables_of(command)
    replay = flatten(held_out, costs).seeing(known.position.names)
    settings, rows = FullInformation(iterations=command.iterations), dict[str, Played]()
    charges = _charges(command, known, table, replay)
    say(f"a decision is charged {1e6 * charges.decision:.0f} us, a held round {1e6 * charges.held:.1f} us")
    static: Played | None = None
    with progress_bar("training") as advance:
        for seed in range(command.seeds):
            base = base_policy(known, table, seed)
            stage = Stage(HoldingTask.of(base, table, costs, charges, seed=seed), replay, settings)
            column = oracle.best_static(oracle.price(table, costs))
            static = static_row(stage, column) if static is None else static
            for row in stage.ways(stage.trained(base, Inference(), seed), seed):
                rows[row.name] = rows[row.name] + row if row.name in rows else row
            advance((seed + 1) / command.seeds)
    assert static is not None
    rows = {"best-static": static} | rows | {row.name: row for row in oracles(held_out, costs)}
    default = rows[f"hold-{DEFAULT_ROUNDS}"]
    written = [row_of(row, static, default, command.seeds) for row in rows.values()]
    bars = bars_of(rows, default)
    sensitivity = sensitivity_of(rows, charges.decision)
    table_of(written).print()
    for row in sensitivity:
        spoken = (
            f"top {row['top']}, default {row['default_against_top']:.4f} of it [{row['low']:.3f}, {row['high']:.3f}]"
        )
        say(f"at {row['decision_microseconds']} us a decision: {spoken}")
    say(*(f"{'holds' if one['holds'] else 'missed'} | {one['name']}: {one['value']:.4f}" for one in bars))
    result = {
        "rows": written,
        "bars": bars,
        "sensitivity": sensitivity,
        "charges_seconds": {"decision": charges.decision, "held": charges.held, "drift_check": charges.drift_check},
        "menu": [str(action) for action in table.actions],
        "seeds": command.seeds,
        "prompts": {"training": len(table), "held_out": len(held_out)},
        "hardware": machine.hardware(),
        "date": machine.today(),
    }
    if command.json:
        write_json(command.json, result)


if __name__ == "__main__":
    main(tyro.cli(Holding, description=__doc__))
