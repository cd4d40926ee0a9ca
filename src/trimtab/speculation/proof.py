"""Does learning pay, over several trainings? The policies of several seeds, raced for real against the static trees.

What is measured in one run: speed with intervals over prompts and seeds together, the share of the oracle's gain, the
share of time that deciding takes, how fast replay trains, and how long a table takes beside ``generate()``.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from trimtab import machine
from trimtab.console import Table, progress_bar, say
from trimtab.records import bar
from trimtab.runs import Run
from trimtab.speculation import fidelity, oracle
from trimtab.speculation.actions import TreeShape, named_menu
from trimtab.speculation.contest import POLICY, SHARPENED, STATIC, Contender, Contest, contest
from trimtab.speculation.context import HISTORY_NAMES, FeatureSet, PositionFeatures
from trimtab.speculation.engine.speculator import Speculator
from trimtab.speculation.environment import Objective, ReplayVecEnv
from trimtab.speculation.flat_replay import flatten as flatten_trees
from trimtab.speculation.level_builder import build as build_levels
from trimtab.speculation.level_learning import LevelLearning, learn_levels
from trimtab.speculation.level_policy import LevelPolicy
from trimtab.speculation.level_replay import FlatLevels, clairvoyant, flatten
from trimtab.speculation.level_replay import oracle as level_oracle
from trimtab.speculation.race import Entry, Turn, by_transformers, race, turns
from trimtab.speculation.replay_builder import build
from trimtab.speculation.stages import Prepared, load_pair, prepare, prompts_of
from trimtab.speculation.tasks import PromptTask
from trimtab.speculation.trained import prepared_of, recipe_of
from trimtab.speculation.tree_policy import Widths
from trimtab.statistics import Interval, crossed_ratio, paired_ratio

if TYPE_CHECKING:
    from trimtab.speculation.recipe import Pair

COLUMNS = ("name", "tokens_per_second", "tau", "against_best_static", "low", "high", "policy_overhead", "note")
_TABLE_PROMPTS = 6
_STEPS = 300


@dataclass(frozen=True)
class Proof:
    """The settings of one measurement."""

    run_directory: Path | None = None
    seeds: int = 3
    prompts: str = "held_out"
    prompt_count: int | None = None
    max_new_tokens: int = 96
    repeats: int = 2
    float32_texts: int = 36


def taught(prepared: Prepared, seeds: int, speculator: Speculator) -> list[LevelPolicy]:
    """A policy of each seed (another validation split, other beginnings) on the run's tables."""
    if not prepared.levels:
        raise ValueError("the run has no level tables: train it with the learner levels")
    policies: list[LevelPolicy] = []
    for seed in range(seeds):
        say(f"training, seed {seed}")
        policies.append(
            learn_levels(
                prepared.levels,
                prepared.costs,
                LevelLearning(),
                seed=seed,
                widths=Widths.of(speculator),
                say=lambda _line: None,
            )
        )
    return policies


def _by_prompt(entry: Entry, prompts: Sequence[Turn]) -> tuple[np.ndarray, np.ndarray]:
    """Tokens and seconds of each conversation (its turns are no independent samples)."""
    names = [turn.task.split("/turn")[0] for turn in prompts]
    place = {name: index for index, name in enumerate(dict.fromkeys(names))}
    rows = np.array([place[name] for name in names])
    return np.bincount(rows, weights=entry.tokens_T), np.bincount(rows, weights=entry.seconds_T)


def over_seeds(policies: Sequence[Entry], other: Entry, prompts: Sequence[Turn]) -> Interval:
    """Speed of the policies over that of another entry, intervals over prompts and seeds together."""
    pairs = [_by_prompt(entry, prompts) for entry in policies]
    tokens, seconds = (np.stack(column) for column in zip(*pairs, strict=True))
    return crossed_ratio(tokens, seconds, *_by_prompt(other, prompts))


def _against(entry: Entry, other: Entry, prompts: Sequence[Turn]) -> Interval:
    (tokens_a, seconds_a), (tokens_b, seconds_b) = (_by_prompt(one, prompts) for one in (entry, other))
    return paired_ratio(tokens_a, seconds_a, seconds_b, tokens_b_P=tokens_b)


def environment_steps_per_second(prepared: Prepared) -> float:
    """Decisions per second of the replay environment, all decodes side by side, actions drawn at random."""
    replay = flatten_trees(prepared.table, prepared.costs)
    histories = np.zeros((replay.rows, len(HISTORY_NAMES)), dtype=np.float32)
    features = FeatureSet.fit(replay.feature_names, np.concatenate((replay.features_NF, histories), axis=1))
    env = ReplayVecEnv(replay, features, Objective(300.0, 1e-4, 1.0), 128, 0)
    env.reset()
    rng = np.random.default_rng(0)
    actions = rng.integers(len(replay.actions), size=(_STEPS, env.num_envs))
    started = time.perf_counter()
    for row in actions:
        env.step(row)
    return _STEPS * env.num_envs / (time.perf_counter() - started)


def table_over_generate(pair: Pair, tasks: Sequence[PromptTask], max_new_tokens: int, dtype: str) -> dict[str, float]:
    """Seconds of tabulating over those of transformers' ``generate()`` on the same prompts and in the same arithmetic."""
    speculator = load_pair(pair, dtype)
    some = list(tasks[:_TABLE_PROMPTS])
    written = [
        by_transformers(speculator.model, max_new_tokens)(turn) for turn in turns(speculator, some, max_new_tokens)
    ]
    generating, ratios = sum(one.seconds for one in written), dict[str, float]()
    for name in ("default", "seed"):
        started = time.perf_counter()
        build(speculator, some, named_menu(name), max_new_tokens, PositionFeatures())
        ratios[name] = (time.perf_counter() - started) / generating
    return ratios


@dataclass(frozen=True)
class Measured:
    """What one measurement found."""

    entries: dict[str, Entry]
    policies: list[Entry]
    prompts: list[Turn]
    gains: dict[str, float]
    texts: dict[str, fidelity.Fidelity]
    float32: dict[str, float]
    steps_per_second: float
    tables: dict[str, float]

    def rows(self) -> list[dict[str, Any]]:
        """The table, unrounded."""
        static = self.entries[STATIC]
        rows = [self._row(entry, _against(entry, static, self.prompts)) for entry in self.entries.values()]
        rows += [self._row(entry, _against(entry, static, self.prompts)) for entry in self.policies]
        together = over_seeds(self.policies, static, self.prompts)
        rows.append(
            dict.fromkeys(COLUMNS)
            | {"name": "policies-of-all-seeds", "against_best_static": together.estimate}
            | {"low": together.low, "high": together.high, "note": "interval over prompts and seeds together"}
        )
        rows += [
            dict.fromkeys(COLUMNS)
            | {"name": name, "against_best_static": gain, "note": "replayed, over the best static"}
            for name, gain in self.gains.items()
        ]
        return rows

    def _row(self, entry: Entry, interval: Interval) -> dict[str, Any]:
        values = (entry.name, entry.tokens_per_second, entry.tau, interval.estimate, interval.low, interval.high)
        return dict(zip(COLUMNS, (*values, entry.share("policy"), entry.note), strict=True))

    def bars(self) -> list[dict[str, Any]]:
        """The bars of the product."""
        together = over_seeds(self.policies, self.entries[STATIC], self.prompts)
        sharpened = over_seeds(self.policies, self.entries[SHARPENED], self.prompts)
        share = (together.estimate - 1) / (self.gains["level-oracle"] - 1)
        overhead = max(entry.share("policy") for entry in self.policies)
        above: dict[str, Any] = {"above": True, "equal": True}
        return [
            bar("policies over the best static tree", together.estimate, 1.05, **above),
            bar("the same, lower end of the interval", together.low, 1.0, above=True),
            bar("policies over the best static sharpened tree, lower end", sharpened.low, 1.0, above=True),
            bar("share of the oracle's gain, deciding as often", share, 0.25, **above),
            bar("deciding, largest share of the time", overhead, 0.02, above=False),
            bar("replay environment, steps per second", self.steps_per_second, 20_000, **above),
            bar("table of the default menu over generate()", self.tables["default"], 3.0, above=False),
            bar("identical text in float32, least share", min(self.float32.values()), 1.0, **above),
            bar(
                "bfloat16: logit gap at a first divergence, widest",
                max(text.widest for text in self.texts.values()),
                fidelity.BF16_EPSILON,
                above=False,
            ),
        ]

    def as_json(self) -> dict[str, Any]:
        """Rows, bars and circumstances."""
        static = self.entries[STATIC]
        sharpened = self.entries[SHARPENED]
        return {
            "rows": self.rows(),
            "bars": self.bars(),
            "policies_over_sharpened": vars(over_seeds(self.policies, sharpened, self.prompts)),
            "best_static_over_default": vars(_against(static, self.entries["eagle-default"], self.prompts)),
            "identical_text_bfloat16": {name: text.share for name, text in self.texts.items()},
            "identical_text_float32": self.float32,
            "table_seconds_over_generate": self.tables,
            "turns": len(self.prompts),
            "hardware": machine.hardware(),
            "versions": machine.versions(),
            "date": machine.today(),
        }

    def table(self) -> Table:
        """The rows as people read them."""
        held = "; ".join(f"{b['name']} {b['value']:.4g} ({'holds' if b['holds'] else 'MISSED'})" for b in self.bars())
        columns = ("name", "tokens/s", "tau", "ratio", "95%_interval", "policy", "note")
        table = Table(f"{len(self.prompts)} held-out turns", columns, note=held)
        for row in self.rows():
            span = None if row["low"] is None else f"{row['low']:.3f} to {row['high']:.3f}"
            share = None if row["policy_overhead"] is None else f"{100 * row['policy_overhead']:.1f}%"
            cells = (row["tokens_per_second"], row["tau"], row["against_best_static"], span, share, row["note"])
            table.add(row["name"], *cells)
        return table


def _gains(
    prepared: Prepared, policies: Sequence[LevelPolicy], pair: Pair, dtype: str, settings: Proof, static: TreeShape
) -> dict[str, float]:
    """Replayed on the held-out prompts: each policy, the clairvoyant and the oracles over the best static tree."""
    tasks, speculator = prompts_of(settings.prompts, settings.prompt_count), load_pair(pair, dtype)
    menus = list(dict.fromkeys(policy.menu for policy in policies))
    say("replaying held-out prompts for the oracles")
    table = build(speculator, tasks, prepared.table.actions, settings.max_new_tokens, PositionFeatures())
    tables = build_levels(speculator, tasks, menus, settings.max_new_tokens)
    levels: dict[Any, FlatLevels] = {one.menu: flatten(one, prepared.costs) for one in tables}
    bounds = oracle.bounds(oracle.price(table, prepared.costs), table.actions.index(static))
    made = {
        f"replayed-policy-{seed}": policy.replay(levels[policy.menu]).rate() for seed, policy in enumerate(policies)
    }
    made |= {"oracle": bounds.oracle, "clairvoyant": bounds.clairvoyant}
    made["level-clairvoyant"] = max(clairvoyant(one).rate() for one in levels.values())
    made["level-oracle"] = max(level_oracle(one).rate() for one in levels.values())
    return {name: rate / bounds.best_static for name, rate in made.items()}


def _float32(pair: Pair, ways: dict[str, Contender], settings: Proof) -> dict[str, float]:
    """The share of texts that equal transformers' greedy ``generate()`` in float32, for every row."""
    speculator = load_pair(pair, "float32")
    tasks = prompts_of(settings.prompts, settings.prompt_count)[: settings.float32_texts]
    prompts = turns(speculator, tasks, settings.max_new_tokens)
    stock = by_transformers(speculator.model, settings.max_new_tokens)
    truth, ids = [stock(turn).tokens for turn in prompts], [turn.ids for turn in prompts]
    say(f"comparing texts in float32 with generate() on {len(prompts)} turns")
    shares: dict[str, float] = {}
    for name, way in ways.items():
        decode = way.decoder(speculator, settings.max_new_tokens)
        texts = [decode(turn).tokens for turn in prompts]
        shares[name] = fidelity.compare(speculator.model, ids, texts, truth).share
    return shares


def _run_of(settings: Proof) -> Path:
    """The given run, or one trained now by the `default` recipe."""
    if settings.run_directory is not None:
        return settings.run_directory
    from trimtab.speculation.recipe import RECIPES

    recipe = RECIPES["train"]["default"]
    with Run.begin(recipe.out, recipe) as run:
        prepare(recipe, run)
        return run.path


def _ways(contest_: Contest, policies: Sequence[LevelPolicy]) -> dict[str, Contender]:
    """Everything that decodes: plainly, the static choices and the rule, and the policy of each seed."""
    ways = {"plain": Contender("this engine, no drafting")}
    ways |= {name: one for name, one in contest_.contenders().items() if name != POLICY}
    return ways | {f"policy-seed-{seed}": Contender(str(one), policy=one) for seed, one in enumerate(policies)}


def _raced(
    speculator: Speculator, ways: dict[str, Contender], prompts: Sequence[Turn], settings: Proof
) -> dict[str, Entry]:
    entries = {
        name: Entry(name, one.decoder(speculator, settings.max_new_tokens), one.note) for name, one in ways.items()
    }
    say(f"racing {len(entries)} contenders over {len(prompts)} turns")
    with progress_bar("racing") as advance:
        race(list(entries.values()), prompts, repeats=settings.repeats, progress=lambda n, total: advance(n / total))
    return entries


def _agreement(
    speculator: Speculator, entries: dict[str, Entry], prompts: Sequence[Turn]
) -> dict[str, fidelity.Fidelity]:
    """How the raced texts agree with plain decoding's."""
    truth, ids = [w.tokens for w in entries["plain"].first_T], [turn.ids for turn in prompts]
    return {
        name: fidelity.compare(speculator.model, ids, [w.tokens for w in entry.first_T], truth)
        for name, entry in entries.items()
    }


def measure(settings: Proof) -> Measured:
    """Train where no run is given, then measure all of it."""
    folder = _run_of(settings)
    recipe, prepared = recipe_of(folder), prepared_of(folder)
    speculator = load_pair(recipe.pair)
    policies = taught(prepared, settings.seeds, speculator)
    contest_ = contest(replace(prepared, policy=policies[0]))
    ways, tasks = _ways(contest_, policies), prompts_of(settings.prompts, settings.prompt_count)
    prompts = turns(speculator, tasks, settings.max_new_tokens)
    entries = _raced(speculator, ways, prompts, settings)
    texts = _agreement(speculator, entries, prompts)
    gains = _gains(prepared, policies, recipe.pair, recipe.table_dtype, settings, contest_.best_static)
    same = _float32(recipe.pair, ways, settings)
    say("timing the replay environment and the building of tables")
    steps = environment_steps_per_second(prepared)
    tables = table_over_generate(recipe.pair, tasks, settings.max_new_tokens, recipe.table_dtype)
    mine = [entry for name, entry in entries.items() if name.startswith("policy-seed-")]
    others = {name: entry for name, entry in entries.items() if not name.startswith("policy-seed-")}
    return Measured(others, mine, prompts, gains, texts, same, steps, tables)
