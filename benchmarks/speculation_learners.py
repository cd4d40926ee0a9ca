"""Which learner makes the fastest policy, in how much time, and what does a decision of it cost? All in one table.

python benchmarks/speculation_learners.py [--run RUN] [--held-out TABLE] [--json OUT]

Held-out prompts are replayed with the run's measured costs; every decision is charged what it takes here, timed as a live
decode would make it, interleaved over all policies. A policy that always chooses the same tree is charged nothing: it can
be named on the command line. Each learner is trained ``seeds`` times; intervals are bootstrapped over prompts and seeds
together, and are of the speed against the best static tree of the whole training table.

The rule that stops drafting by itself (``levels``) chooses no tree of a menu: it is a row where the run has its tables. Its
decision is charged per level, timed over a drafting of average depth.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import tyro

from trimtab import machine
from trimtab.console import Table, progress_bar, say
from trimtab.policies.sb3 import PPOSettings, train_ppo
from trimtab.records import bar, write_json
from trimtab.runs import Run
from trimtab.speculation import greedy, oracle
from trimtab.speculation.actions import EAGLE_DEFAULT, TreeShape
from trimtab.speculation.context import PositionFeatures
from trimtab.speculation.costs import CostModel
from trimtab.speculation.engine.generation import Round, RoundState, Seconds
from trimtab.speculation.engine.tree import Pool
from trimtab.speculation.environment import ReplayVecEnv
from trimtab.speculation.flat_replay import flatten
from trimtab.speculation.learners import LEARNERS
from trimtab.speculation.learning import LearningSettings, learn
from trimtab.speculation.learning_task import make_task
from trimtab.speculation.level_builder import build as build_levels
from trimtab.speculation.level_learning import LevelLearning, learn_levels
from trimtab.speculation.level_policy import LevelPolicy
from trimtab.speculation.level_replay import FlatLevels, LevelRounds
from trimtab.speculation.level_replay import flatten as flatten_levels
from trimtab.speculation.levels import LevelTable
from trimtab.speculation.recipe import RECIPES
from trimtab.speculation.replay import ReplayTable
from trimtab.speculation.replay_builder import build
from trimtab.speculation.stages import Prepared, load_pair, prepare, prompts_of
from trimtab.speculation.state_tables import narrow
from trimtab.speculation.trained import prepared_of, recipe_of
from trimtab.speculation.tree_policy import TreePolicy, Widths
from trimtab.statistics import RESAMPLES, Interval

STEPS_BOUND = 20_000.0
_CHUNK = 250
_RUN_WIDTHS = Widths(vocabulary=4096, draft_vocabulary=4096, state=256)


@dataclass(frozen=True)
class Learners:
    """Train every learner on a run's table, and replay held-out prompts."""

    run_directory: Annotated[Path | None, tyro.conf.arg(name="run")] = None
    """A finished run of `trimtab speculation train`: its table, costs and features. None: train one (recipe tiny)."""
    held_out: Path | None = None
    """A replay table of held-out prompts; None: build it."""
    held_out_count: int | None = 36
    """Held-out prompts, the first so many, where their table is built."""
    learners: tuple[str, ...] = tuple(LEARNERS)
    """The learners to rank."""
    seeds: int = 3
    """Trainings of each."""
    menu_size: int = LearningSettings().menu_size
    """Trees to choose among, for those that do not combine bins."""
    json: Path | None = None
    """Where to write rows and bars."""


@dataclass(frozen=True, eq=False)
class Played:
    """A row on held-out prompts: seconds and tokens of every prompt in every seed [S, P]."""

    name: str
    seconds_SP: np.ndarray
    tokens_SP: np.ndarray
    decision_seconds: float = 0.0
    training_seconds: float | None = None
    note: str = ""

    @property
    def speed(self) -> float:
        """Tokens per second, over all seeds."""
        return float(self.tokens_SP.sum() / self.seconds_SP.sum())


def against(row: Played, other: Played, seed: int = 0) -> Interval:
    """The speed of one row over another's; resampled are prompts, the same for both, and the seeds of each."""
    rng, ratios = np.random.default_rng(seed), list[np.ndarray]()
    prompts = row.seconds_SP.shape[1]
    for _ in range(RESAMPLES // _CHUNK):
        times_RP = rng.multinomial(prompts, np.full(prompts, 1 / prompts), size=_CHUNK).astype(float)
        ratios.append(_resampled(row, times_RP, rng) / _resampled(other, times_RP, rng))
    low, high = np.quantile(np.concatenate(ratios), (0.025, 0.975)).tolist()
    return Interval(row.speed / other.speed, low, high)


def _resampled(row: Played, times_RP: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    seeds = len(row.seconds_SP)
    times_RS = rng.multinomial(seeds, np.full(seeds, 1 / seeds), size=len(times_RP)).astype(float)
    tokens, seconds = (
        np.einsum("rp,sp,rs->r", times_RP, part, times_RS, optimize=True) for part in (row.tokens_SP, row.seconds_SP)
    )
    return tokens / seconds


# -- decisions ---------------------------------------------------------------------------------------------------------


def timed(
    controllers: dict[str, Callable[[RoundState], TreeShape]], widths: Widths, passes: int = 12
) -> dict[str, float]:
    """Seconds of a decision: for each controller the median over a decode of many rounds, the passes interleaved."""
    passed: dict[str, list[float]] = {name: [] for name in controllers}
    with torch.inference_mode():
        for _ in range(passes):
            for name, controller in controllers.items():
                passed[name].append(_decode(controller, widths))
    return {name: float(np.median(seconds)) for name, seconds in passed.items()}


def _decode(controller: Callable[[RoundState], TreeShape], widths: Widths, length: int = 40) -> float:
    rounds, seconds = list[Round](), list[float]()
    draft = torch.randn(widths.draft_vocabulary).log_softmax(0)
    hidden, target = torch.randn(widths.state), torch.randn(widths.vocabulary)
    state = RoundState(64, 1, rounds, 3, draft, hidden, torch.zeros(3 * widths.state), target)
    for index in range(length):
        started = time.perf_counter()
        shape = controller(state)
        seconds.append(time.perf_counter() - started)
        rounds.append(Round(shape, shape.drafted, index % 4, Seconds()))
    return float(np.median(seconds))


def level_seconds(policy: LevelPolicy, widths: Widths, depth: int = 6, passes: int = 400) -> float:
    """Seconds of a decision after a level: the median of whole rounds of ``depth`` levels over their decisions."""
    top_k, taken = policy.menu.top_k, list[float]()
    hidden, target = torch.randn(widths.state), torch.randn(widths.vocabulary)
    draft = torch.randn(widths.draft_vocabulary).log_softmax(0)
    state = RoundState(64, 1, [], 3, draft, hidden, torch.zeros(3 * widths.state), target)
    beams = -torch.rand(depth + 1, top_k).cumsum(0).sort(descending=True).values
    scores = -np.random.default_rng(0).exponential(2.0, top_k + depth * top_k**2).astype(np.float32)
    for _ in range(passes):
        pool = Pool(top_k, scores, np.arange(len(scores)), np.zeros((depth, top_k), dtype=np.int64))
        _ = pool.order_C  # the tree is cut along it whoever decides
        started = time.perf_counter()
        plan = policy(state)
        for level in range(depth + 1):
            plan.expands(level, beams[level])
        plan.total_tokens(pool)
        taken.append(time.perf_counter() - started)
    return float(np.median(taken)) / (depth + 1)


def constant(policy: TreePolicy) -> bool:
    """Whether the policy chooses the same tree whatever it sees."""
    return policy.inference.mode == "argmax" and not policy.mlp.layers[0][0].any()


# -- rows --------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Stage:
    """What is trained on and replayed: tables over the trees that both have, costs, features."""

    train: ReplayTable
    held_out: ReplayTable
    costs: CostModel
    position: PositionFeatures
    settings: LearningSettings
    widths: Widths = _RUN_WIDTHS
    levels: Sequence[LevelTable] = ()
    """Training tables of the rule that stops by itself, one for each beam."""
    held_out_levels: Sequence[FlatLevels] = ()

    def decoded(self, name: str, decodes: Sequence[oracle.Decode], note: str = "") -> Played:
        """A row of decodes without a learner."""
        played = [decode for decode in decodes if decode.tokens]
        tokens, seconds = (np.array([[float(getattr(d, part)) for d in played]]) for part in ("tokens", "seconds"))
        return Played(name, seconds, tokens, note=note)

    def fixed_rows(self) -> tuple[Played, list[Played]]:
        """The best static tree, and the other rows that need no learner."""
        priced = oracle.price(self.held_out, self.costs)
        best = oracle.best_static(oracle.price(self.train, self.costs))
        static = self.decoded(
            "best-static", [oracle.static(one, best) for one in priced], str(self.held_out.actions[best])
        )
        tree, note = _default(self.held_out.actions)
        default = [oracle.static(one, self.held_out.actions.index(tree)) for one in priced]
        return static, [
            self.decoded("default", default, note),
            self._greedy(),
            self.decoded("oracle", [oracle.oracle(one) for one in priced], "knows the text; all trees of the table"),
        ]

    def _greedy(self) -> Played:
        """The closed-form rule itself, its decisions charged."""
        started = time.perf_counter()
        menu = oracle.prune(self.train, self.costs, self.settings.menu_size)
        rule = greedy.fit(self.train.subset(menu), self.costs)
        training = time.perf_counter() - started
        cost = timed({"rule": rule.controller(self.position)}, self.widths)["rule"]
        table = self.held_out.subset(menu)
        decodes = [oracle.roll(one, rule.chooser(table, one.replay), cost) for one in oracle.price(table, self.costs)]
        row = self.decoded("closed-form-greedy", decodes, "expected worth over measured cost")
        return replace(row, decision_seconds=cost, training_seconds=training)

    def trained(self, name: str, seeds: int) -> list[TreePolicy]:
        """A policy for each seed."""
        settings = replace(self.settings, learner=LEARNERS[name])
        position, widths = self.position, self.widths
        return [
            learn(self.train, self.costs, settings, seed=seed, position=position, widths=widths, say=lambda _line: None)
            for seed in range(seeds)
        ]

    def stopping(self, seeds: int) -> Played:
        """The row of the rule that stops by itself: trained for each seed, replayed, each of its decisions charged."""
        played, seconds, notes = list[LevelRounds](), list[float](), list[str]()
        levels = {one.menu: one for one in self.held_out_levels}
        started = time.perf_counter()
        policies = [
            learn_levels(
                self.levels, self.costs, LevelLearning(), seed=seed, widths=self.widths, say=lambda _line: None
            )
            for seed in range(seeds)
        ]
        training = (time.perf_counter() - started) / seeds
        for policy in policies:
            seconds.append(level_seconds(policy, self.widths))
            played.append(policy.replay(levels[policy.menu], seconds[-1]))
            notes.append(str(policy.menu.top_k))
        tokens, times = (
            np.stack(part) for part in zip(*(one.per_prompt(len(self.held_out)) for one in played), strict=True)
        )
        note = f"per level; beams of {', '.join(notes)}"
        return Played("levels", times, tokens, float(np.mean(seconds)), training, note)

    def played(self, name: str, policies: Sequence[TreePolicy], decision_seconds: float) -> Played:
        """The row of a learner."""
        seconds, tokens = list[np.ndarray](), list[np.ndarray]()
        for policy in policies:
            rounds = policy.replay(flatten(self.held_out, self.costs, policy.actions))
            charged = rounds.charged_T(0.0 if constant(policy) else decision_seconds)
            seconds.append(np.bincount(rounds.prompt_T, charged))
            tokens.append(np.bincount(rounds.prompt_T, rounds.tokens_T))
        training = float(np.mean([float(str(policy.metadata["training_seconds"])) for policy in policies]))
        kept = sum(map(constant, policies))
        note = f"{kept} of {len(policies)} seeds keep one tree throughout" if kept else ""
        charge = 0.0 if kept == len(policies) else decision_seconds
        return Played(name, np.stack(seconds), np.stack(tokens), charge, training, note)


def _default(actions: Sequence[TreeShape]) -> tuple[TreeShape, str]:
    """EAGLE's default tree, or the largest that the table holds, saying so."""
    if EAGLE_DEFAULT in actions:
        return EAGLE_DEFAULT, str(EAGLE_DEFAULT)
    nearest = max(actions)
    return nearest, f"{nearest}, the largest of the table, which lacks {EAGLE_DEFAULT}"


# -- speed of training -------------------------------------------------------------------------------------------------


def steps_per_second(stage: Stage, decodes: int = 128) -> dict[str, float]:
    """Environment steps per second: of the environment alone, and of PPO from end to end (rollouts and learning)."""
    menu = oracle.prune(stage.train, stage.costs, stage.settings.menu_size)
    task = make_task(stage.train.subset(menu), stage.costs)
    env = task.environment(decodes, 0)
    settings = PPOSettings(updates=6)
    started = time.perf_counter()
    train_ppo(task.environment(decodes, 0), settings)
    ppo = time.perf_counter() - started
    steps = settings.updates * settings.rollout_steps * decodes
    return {"environment": _alone(env), "ppo": steps / ppo}


def _alone(env: ReplayVecEnv, steps: int = 400) -> float:
    actions = np.random.default_rng(0).integers(len(env.replay.actions), size=(steps, env.num_envs))
    env.reset()
    started = time.perf_counter()
    for row in actions:
        env.step(row)
    return steps * env.num_envs / (time.perf_counter() - started)


# -- the whole ---------------------------------------------------------------------------------------------------------


def prepared_for(command: Learners) -> tuple[Path, Prepared]:
    """The run given, or one of the tiny recipe whose menu holds EAGLE's default tree."""
    if command.run_directory is not None:
        return command.run_directory, prepared_of(command.run_directory)
    recipe = replace(RECIPES["train"]["tiny"], top_k_bins=(1, 2, 4, 10))
    with Run.begin(recipe.out, recipe) as run:
        return run.path, prepare(recipe, run)


def position_of(prepared: Prepared) -> PositionFeatures:
    """The features that the run's table holds. Raises ValueError where the rule that stops by itself left others."""
    if isinstance(prepared.policy, TreePolicy):
        return prepared.policy.position
    position = PositionFeatures()
    if position.names != prepared.table.feature_names:
        raise ValueError(
            f"the run's table has the features {', '.join(prepared.table.feature_names)}: expected "
            f"{', '.join(position.names)}. Train the run anew with --state statistics"
        )
    return position


def stage_of(command: Learners) -> Stage:
    """Both tables, over the trees and the features that both have."""
    folder, prepared = prepared_for(command)
    position, levels = position_of(prepared), list[FlatLevels]()
    if command.held_out is None:
        say("building the tables of held-out prompts")
        recipe = recipe_of(folder)
        pair, tasks = load_pair(recipe.pair, recipe.table_dtype), prompts_of("held_out", command.held_out_count)
        held_out = build(pair, tasks, prepared.table.actions, recipe.max_new_tokens, position)
        if prepared.levels:
            menus = [table.menu for table in prepared.levels]
            levels = [
                flatten_levels(t, prepared.costs) for t in build_levels(pair, tasks, menus, recipe.max_new_tokens)
            ]
    else:
        held_out = ReplayTable.load(command.held_out)
    common = [action for action in prepared.table.actions if action in held_out.actions]
    train, judged = (narrow(table.subset(common), position) for table in (prepared.table, held_out))
    settings, widths = LearningSettings(menu_size=command.menu_size), prepared.policy.widths or _RUN_WIDTHS
    own = prepared.levels if levels else ()
    return Stage(train, judged, prepared.costs, position, settings, widths, own, levels)


def ranked(command: Learners, stage: Stage) -> tuple[Played, list[Played]]:
    """The best static row, and all rows, the fastest first."""
    made: dict[str, list[TreePolicy]] = {}
    with progress_bar("training") as advance:
        for done, name in enumerate(command.learners):
            made[name] = stage.trained(name, command.seeds)
            advance((done + 1) / len(command.learners))
    costs = timed({name: policies[0] for name, policies in made.items()}, stage.widths)
    static, others = stage.fixed_rows()
    if stage.levels:
        others.append(stage.stopping(command.seeds))
    rows = [static, *others, *(stage.played(name, policies, costs[name]) for name, policies in made.items())]
    return static, sorted(rows, key=lambda row: row.speed, reverse=True)


def row_of(row: Played, static: Played, best: Played) -> dict[str, Any]:
    """A row as it is written."""
    gain = against(row, static)
    return {
        "name": row.name,
        "tokens_per_second": row.speed,
        "against_best_static": gain.estimate,
        "low": gain.low,
        "high": gain.high,
        "share_of_oracle_gain": (row.speed - static.speed) / (best.speed - static.speed),
        "training_seconds": row.training_seconds,
        "decision_microseconds": 1e6 * row.decision_seconds,
        "seeds": len(row.seconds_SP),
        "note": row.note,
    }


def table_of(rows: Sequence[dict[str, Any]]) -> Table:
    """The rows as people read them."""
    columns = ("learner", "tokens/s", "ratio", "95%_interval", "oracle_share", "training_s", "decision_us", "note")
    table = Table("held-out prompts, replayed", columns, note="simulated from measured costs, decisions charged")
    for row in rows:
        span = f"{row['low']:.3f} to {row['high']:.3f}"
        seconds = "" if row["training_seconds"] is None else f"{row['training_seconds']:.1f}"
        numbers = row["tokens_per_second"], row["against_best_static"], span, row["share_of_oracle_gain"]
        table.add(row["name"], *numbers, seconds, f"{row['decision_microseconds']:.0f}", row["note"])
    return table


def bars_of(rows: Sequence[dict[str, Any]], learners: Sequence[str], speeds: dict[str, float]) -> list[dict[str, Any]]:
    """All learners in the table; the environment's speed; and what the best learner's policy gains."""
    named = [row for row in rows if row["name"] in (*learners, "levels")]
    best = max(named, key=lambda row: row["against_best_static"])
    return [
        bar("learners ranked", float(len(named)), float(len(LEARNERS) + 1), above=True, equal=True),
        bar("environment steps per second of the replay", speeds["environment"], STEPS_BOUND, above=True, equal=True),
        bar("environment steps per second of PPO, end to end", speeds["ppo"], STEPS_BOUND, above=True, equal=True),
        bar(f"{best['name']} against the best static tree, lower end", best["low"], 1.0, above=True),
        bar(f"{best['name']} against the best static tree", best["against_best_static"], 1.05, above=True, equal=True),
        bar(f"{best['name']}, share of the oracle's gain", best["share_of_oracle_gain"], 0.25, above=True, equal=True),
    ]


def main(command: Learners) -> None:
    """Train, replay, rank."""
    unknown = [name for name in command.learners if name not in LEARNERS]
    if unknown or not command.learners or command.seeds < 1:
        raise ValueError(
            f"learners {unknown or command.learners}, {command.seeds} seeds: known are {', '.join(LEARNERS)}"
        )
    stage = stage_of(command)
    static, rows = ranked(command, stage)
    top = next(row for row in rows if row.name == "oracle")
    written = [row_of(row, static, top) for row in rows]
    speeds = steps_per_second(stage)
    bars = bars_of(written, command.learners, speeds)
    table_of(written).print()
    say(*(f"{'holds' if one['holds'] else 'missed'} | {one['name']}: {one['value']:.4g}" for one in bars))
    result = {
        "rows": written,
        "bars": bars,
        "steps_per_second": speeds,
        "trees": len(stage.train.actions),
        "menu_size": command.menu_size,
        "seeds": command.seeds,
        "prompts": {"training": len(stage.train), "held_out": len(stage.held_out)},
        "hardware": machine.hardware(),
        "versions": machine.versions(),
        "date": machine.today(),
    }
    if command.json:
        write_json(command.json, result)


if __name__ == "__main__":
    main(tyro.cli(Learners, description=__doc__))
