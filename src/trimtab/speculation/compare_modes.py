"""Which mode of learned control is worth having? Learner x entropy x state x hold, decoded for real, in one table.

One wide replay table holds the columns of all states; every mode learns from its own columns of it, by a small budget, the
same for all; its policy is raced deciding every round and holding each decision. Beside them: the default tree, the best
static one, and the rule that decides after every level. All policies but that rule see the acceptance history too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import yaml

from trimtab import machine
from trimtab.console import Table, progress_bar, say
from trimtab.records import bar, write_json
from trimtab.runs import Run
from trimtab.speculation import level_stage, oracle
from trimtab.speculation.actions import EAGLE_DEFAULT, TreeShape
from trimtab.speculation.costs import CostModel
from trimtab.speculation.engine.speculator import Speculator
from trimtab.speculation.inference import Inference
from trimtab.speculation.learners import DQN, PPO
from trimtab.speculation.learning import LearningSettings, learn, mode_of, split
from trimtab.speculation.level_learning import LevelLearning, learn_levels
from trimtab.speculation.level_policy import LevelPolicy
from trimtab.speculation.mode_claims import Mode, Raced, claims, contrasts
from trimtab.speculation.race import Decoder, Entry, Turn, Written, by_engine, race, speed_ratio, turns
from trimtab.speculation.replay import ReplayTable
from trimtab.speculation.stages import calibrated, load_pair, prompts_of, shapes_of, tabulated
from trimtab.speculation.state_tables import StateSettings, fitted, narrow, tabulating
from trimtab.speculation.states import Features, StateSpec
from trimtab.speculation.tree_policy import TreePolicy, Widths

if TYPE_CHECKING:
    from trimtab.speculation.recipe import CompareModes, Train

DEFAULT, STATIC, LEVELS = "eagle-default", "eagle-best-static", "levels"
OVERHEAD_BOUNDS = {"statistics": 0.02, "fused": 0.05}
"""Of the time of rounds, what decisions of a state may take, made every round."""


# -- what is compared --------------------------------------------------------------------------------------------------


def modes_of(command: CompareModes) -> list[Mode]:
    """All combinations. Raises ValueError where one cannot be, or where no row decides every round."""
    if 1 not in command.holds or len(set(command.holds)) != len(command.holds):
        given = ", ".join(map(str, command.holds))
        raise ValueError(
            f"holds of {given} rounds: expected each once, and 1 among them, which the others are set against"
        )
    for state in command.states:
        StateSpec.parse(state)
    for learner in command.learners:
        for mode in command.modes:
            mode_of(learner, mode)
    for hold in command.holds:
        Inference(hold_rounds=hold)
    ways = (
        (learner, mode, state) for learner in command.learners for mode in command.modes for state in command.states
    )
    return [Mode(*way, hold) for way in ways for hold in command.holds]


def training(command: CompareModes) -> Train:
    """The recipe of the stages before learning; its state is all states together."""
    from trimtab.speculation.recipe import Train

    parts = {part: None for state in command.states for part in StateSpec.parse(state).tabulated.parts}
    return Train(
        pair=command.pair,
        prompts=command.prompts,
        prompt_count=command.prompt_count,
        max_new_tokens=command.max_new_tokens,
        menu=command.menu,
        state=str(StateSpec(tuple(parts))),
        text_refresh_tokens=command.text_refresh_tokens,
        calibration_seconds=command.calibration_seconds,
        table_dtype=command.table_dtype,
        seed=command.seed,
    )


def settings_of(command: CompareModes, mode: Mode) -> LearningSettings:
    """How the policy of a mode is learned: by ``updates`` updates."""
    learner, inference = mode_of(mode.learner, mode.entropy)
    if isinstance(learner, PPO):
        learner = replace(learner, settings=replace(learner.settings, updates=command.updates))
    if isinstance(learner, DQN):
        learner = replace(learner, settings=replace(learner.settings, updates=command.updates))
    return LearningSettings(
        menu_size=command.menu_size, learner=learner, inference=replace(inference, seed=command.seed)
    )


# -- learning ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Workshop:
    """What all modes learn from: the wide table, what it was built with, the costs, and the pair that they will steer."""

    command: CompareModes
    folder: Path
    speculator: Speculator
    table: ReplayTable
    costs: CostModel
    held: Features

    @classmethod
    def of(cls, command: CompareModes, folder: Path) -> Workshop:
        """Calibrate and tabulate, unless the run has it already."""
        recipe, shapes = training(command), shapes_of(command.menu)
        tasks = prompts_of(command.prompts, command.prompt_count)
        timed = sorted({*shapes, *level_stage.shapes(recipe)}) if command.levels else shapes
        costs = calibrated(recipe, folder, timed, tasks)
        table, speculator = tabulated(recipe, folder, shapes, tasks), load_pair(command.pair)
        settings = StateSettings(text_refresh_tokens=command.text_refresh_tokens, seed=command.seed)
        return cls(
            command, folder, speculator, table, costs, tabulating(StateSpec.parse(recipe.state), speculator, settings)
        )

    @property
    def best_static(self) -> TreeShape:
        return self.table.actions[oracle.best_static(oracle.price(self.table, self.costs))]

    def states(self) -> dict[str, Features]:
        """The features of each state. They share their parts: one text encoder serves all."""
        seen, _ = split(self.table, LearningSettings().validation_share, self.command.seed)
        settings = StateSettings(seed=self.command.seed)
        return {name: fitted(StateSpec.parse(name), self.held, seen, settings) for name in self.command.states}

    def policy(self, mode: Mode, position: Features) -> TreePolicy:
        """The policy of a mode, deciding every round: kept in the run, or learned now."""
        path = self.folder / "policies" / mode.folder
        if not path.exists():
            self._learned(mode, position).save(path)
        policy = TreePolicy.load(path)
        policy.check_widths(Widths.of(self.speculator))
        if policy.position.spec() != position.spec():
            raise ValueError(f"{path} sees {policy.position.spec()}, this run {position.spec()}: begin a new run")
        policy.position = position
        return policy

    def _learned(self, mode: Mode, position: Features) -> TreePolicy:
        say(f"learning {mode.folder}")
        policy = learn(
            narrow(self.table, position),
            self.costs,
            settings_of(self.command, mode),
            seed=self.command.seed,
            position=position,
            widths=Widths.of(self.speculator),
            say=lambda _line: None,
        )
        pair = self.command.pair
        policy.models = {"target": pair.target, "head": pair.head, "dtype": pair.dtype}
        return policy

    def level_policy(self) -> LevelPolicy:
        """The rule that decides after every level, of the same prompts: kept in the run, or learned now."""
        path, widths = self.folder / "policies" / LEVELS, Widths.of(self.speculator)
        if not path.exists():
            tasks = prompts_of(self.command.prompts, self.command.prompt_count)
            tables = level_stage.tabulated(training(self.command), self.folder, tasks)
            say(f"learning {LEVELS}")
            made = learn_levels(
                tables, self.costs, LevelLearning(), seed=self.command.seed, widths=widths, say=lambda _line: None
            )
            made.save(path)
        return LevelPolicy.load(path, self.speculator)


# -- racing ------------------------------------------------------------------------------------------------------------


@dataclass
class Counted:
    """A decoder whose policy's calls are counted, decode by decode; the first one is the race's warm-up."""

    decode: Decoder
    policy: TreePolicy
    calls: list[int] = field(default_factory=list[int])

    def __call__(self, turn: Turn) -> Written:
        before = self.policy.counts.decisions
        made = self.decode(turn)
        self.calls.append(self.policy.counts.decisions - before)
        return made


def level_calls(entry: Entry, deepest: int) -> np.ndarray:
    """The calls of a rule of levels [T, R]: one per moment that it was asked about, the last level's left out, and one
    for the size."""

    def of(written: Written) -> int:
        rounds = written.generation.rounds if written.generation else []
        return sum(min(r.shape.depth + 1, deepest) + 1 for r in rounds if r.shape is not None)

    return np.array([[of(written) for written in decodes] for decodes in entry.decodes_TR], dtype=np.float64)


@dataclass(frozen=True)
class Contest:
    """The contenders. ``policies``: of each mode, as it acts; ``levels``: None where it is not asked for."""

    best_static: TreeShape
    policies: dict[Mode, TreePolicy]
    levels: LevelPolicy | None

    @classmethod
    def of(cls, workshop: Workshop) -> Contest:
        """All policies, learned where the run does not have them."""
        positions = workshop.states()
        policies: dict[Mode, TreePolicy] = {}
        for mode in modes_of(workshop.command):
            every = policies.get(replace(mode, hold=1)) or workshop.policy(mode, positions[mode.state])
            policies[mode] = every.acting(replace(every.inference, hold_rounds=mode.hold))
        return cls(workshop.best_static, policies, workshop.level_policy() if workshop.command.levels else None)

    def raced(self, speculator: Speculator, prompts: Sequence[Turn], max_new_tokens: int, repeats: int) -> list[Raced]:
        """Every row, decoded for real and interleaved."""

        def static(name: str, shape: TreeShape) -> Entry:
            return Entry(name, by_engine(speculator, max_new_tokens, shape=shape), str(shape))

        counted = {
            mode: Counted(by_engine(speculator, max_new_tokens, policy=policy), policy)
            for mode, policy in self.policies.items()
        }
        fixed = [static(DEFAULT, EAGLE_DEFAULT), static(STATIC, self.best_static)]
        steered = [Entry(mode.name, counted[mode], str(policy.inference)) for mode, policy in self.policies.items()]
        rule: list[Entry] = []
        if self.levels is not None:
            rule = [Entry(LEVELS, by_engine(speculator, max_new_tokens, policy=self.levels), str(self.levels))]
        entries = [*fixed, *rule, *steered]
        say(f"racing {len(entries)} rows over {len(prompts)} turns")
        with progress_bar("racing") as advance:
            race(entries, prompts, repeats=repeats, progress=lambda done, total: advance(done / total))
        none = np.zeros((len(prompts), repeats))
        rows = [Raced(entry, none) for entry in fixed]
        rows += [Raced(entry, level_calls(entry, self.levels.menu.depth)) for entry in rule if self.levels is not None]
        for entry, (mode, policy) in zip(steered, self.policies.items(), strict=True):
            calls_TR = np.array(counted[mode].calls[1:], dtype=np.float64).reshape(len(prompts), repeats)
            card: Any = policy.metadata
            rows.append(Raced(entry, calls_TR, mode, card["validation_gain"] > 1, card["training_seconds"]))
        return rows


# -- what came out -----------------------------------------------------------------------------------------------------


def row_of(row: Raced, static: Raced, prompts: Sequence[Turn]) -> dict[str, Any]:
    """A row of JSON, unrounded."""
    ratio, mode, entry = speed_ratio(row.entry, static.entry, prompts), row.mode, row.entry
    return {
        "name": entry.name,
        "learner": mode and mode.learner,
        "mode": mode and mode.entropy,
        "state": mode and mode.state,
        "hold": mode and mode.hold,
        "tokens_per_second": entry.tokens_per_second,
        "tau": entry.tau,
        "against_best_static": ratio.estimate,
        "low": ratio.low,
        "high": ratio.high,
        "calls_per_token": row.calls_per_token,
        "policy_us_per_token": 1e6 * row.policy_seconds_per_token,
        "policy_share": entry.share("policy"),
        "hit_rate": row.hit_rate,
        "learned": row.learned,
        "training_seconds": row.training_seconds,
        "note": entry.note,
    }


def bars_of(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The bars of what decisions cost, for the dearest row of each state that decides every round."""
    made: list[dict[str, Any]] = []
    for state, bound in OVERHEAD_BOUNDS.items():
        shares = [row["policy_share"] for row in rows if (row["state"], row["hold"]) == (state, 1)]
        if shares:
            made.append(
                bar(f"policy overhead with {state}, share of the rounds' time", max(shares), bound, above=False)
            )
    return made


def result_of(raced: Sequence[Raced], prompts: Sequence[Turn], command: CompareModes) -> dict[str, Any]:
    """Rows, claims, bars and circumstances."""
    static = next(row for row in raced if row.entry.name == STATIC)
    rows = [row_of(row, static, prompts) for row in raced]
    return {
        "rows": rows,
        "claims": claims(raced, prompts),
        "contrasts": contrasts(raced, prompts),
        "bars": bars_of(rows),
        "training_prompts": command.prompt_count,
        "held_out_prompts": len({prompt.task.split("/turn")[0] for prompt in prompts}),
        "turns": len(prompts),
        "max_new_tokens": command.max_new_tokens,
        "updates": command.updates,
        "text_refresh_tokens": command.text_refresh_tokens,
        "repeats": command.repeats,
        "hardware": machine.hardware(),
        "versions": machine.versions(),
        "date": machine.today(),
    }


def table_of(result: dict[str, Any]) -> Table:
    """The rows as people read them; those whose learner beat no static tree bear a star."""
    columns = ("decoding", "tokens/s", "against_best_static", "calls", "policy_us", "policy", "hits")
    note = "calls and policy us: per token"
    if any(row["learned"] is False for row in result["rows"]):
        note += "; * beat no static tree in validation: always chooses that, at the price of its state"
    table = Table(f"{result['turns']} held-out turns, {result['max_new_tokens']} new tokens each", columns, note=note)
    for row in result["rows"]:
        ratio = f"{row['against_best_static']:.3f} [{row['low']:.3f}, {row['high']:.3f}]"
        shares = [None if row[name] is None else f"{100 * row[name]:.1f}%" for name in ("policy_share", "hit_rate")]
        cost = round(row["calls_per_token"], 3), round(row["policy_us_per_token"], 1)
        star = " *" * (row["learned"] is False)
        table.add(row["name"] + star, row["tokens_per_second"], ratio, *cost, *shares)
    return table


def sentences(result: dict[str, Any]) -> list[str]:
    """The claims in words, then each factor by itself."""
    said = [
        f"{one['verdict']}: {one['claim']} (held {one['hold']} rounds against every round, {one['scope']}, "
        f"{one['pairs']} pairs): {one['value']:.3f}x [{one['low']:.3f}, {one['high']:.3f}], bound {one['bound']:g}"
        for one in result["claims"]
    ]
    return said + [
        f"speed of {one['factor']} {one['level']} against {one['against']}, all else the same: "
        f"{one['speed']:.3f}x [{one['low']:.3f}, {one['high']:.3f}]"
        for one in result["contrasts"]
    ]


# -- the command -------------------------------------------------------------------------------------------------------


def recipe_of(path: Path) -> CompareModes:
    """The recipe that a comparison was begun with. Raises FileNotFoundError or ValueError where it is none."""
    from trimtab.speculation.recipe import CompareModes, Pair

    file = path / "recipe.yaml"
    if not file.is_file():
        raise FileNotFoundError(f"{path} is no run: expected a directory made by trimtab speculation compare-modes")
    raw: Any = yaml.safe_load(file.read_text(encoding="utf-8"))
    if raw.pop("class") != "CompareModes":
        raise ValueError(f"{file} is no recipe of trimtab speculation compare-modes")
    pair = {name: value for name, value in raw.pop("pair").items() if name != "class"}
    settings: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in raw.items()}
    settings |= {"out": Path(raw["out"]), "json": raw["json"] and Path(raw["json"])}
    return CompareModes(**settings, pair=Pair(**pair))


def _begin(command: CompareModes) -> Run:
    """A new run, or the one to go on with: by its own recipe where nothing else is asked for than to resume."""
    from trimtab.speculation.recipe import CompareModes

    if command.resume is None:
        return Run.begin(command.out, command, track=())
    own = recipe_of(command.resume)
    asked = replace(command, resume=None, json=own.json)
    usual = CompareModes(json=own.json)
    return Run.resume(command.resume, None if asked == usual else asked, track=())


def compare_modes(command: CompareModes) -> None:
    """``trimtab speculation compare-modes``."""
    modes_of(command)
    with _begin(command) as run:
        own = recipe_of(run.path)
        workshop = Workshop.of(own, run.path)
        contest = Contest.of(workshop)
        prompts = turns(workshop.speculator, prompts_of(own.held_out, own.held_out_count), own.max_new_tokens)
        raced = contest.raced(workshop.speculator, prompts, own.max_new_tokens, own.repeats)
        result = result_of(raced, prompts, own)
        write_json(run.path / "comparison.json", result)
        say(f"the comparison is in {run.path / 'comparison.json'}")
    elsewhere = command.json or own.json
    if elsewhere is not None:
        write_json(elsewhere, result)
    table_of(result).print()
    say(*sentences(result))
