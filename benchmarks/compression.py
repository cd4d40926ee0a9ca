"""What do published methods, bandits and promises give with the menu ``default``? zoo:recall, three trained models.

python benchmarks/compression.py [--json OUT]

1. At 64 tokens: every way of choosing, on each model; intervals over prompts, and over models and prompts.
2. At every budget: learned over best fixed, loose budgets included. (That a learned choice beats the best fixed action on
   all three models takes learned layers and tighter budgets: ``compression_learned.py`` claims and shows it.)
3. Null controls: features of other prompts; questions of one length announced at one place (first model).
4. Quality promised: eps 0.05 and 0.10, delta 0.10, against the smallest fixed budget with the same violation rate, and
   against two fixed budgets drawn by lot, blindly, with that rate: on the table above, and on a finer grid of budgets.

Tables are kept in ``--out`` and gone on with; one model takes about 8 minutes on one core.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import tyro

from trimtab import machine
from trimtab.compression.actions import menu
from trimtab.compression.contest import BEST_FIXED, LOOKUP, ORACLE, Contest, contest, crossed_difference
from trimtab.compression.evaluation import at_budget
from trimtab.compression.features import PromptFeatures, chosen
from trimtab.compression.judging import LEARNED, Split
from trimtab.compression.kept_features import KeptFeatures
from trimtab.compression.learners import BANDITS, FULL_INFORMATION, Centred, LearnerSettings
from trimtab.compression.model_names import load
from trimtab.compression.promising import fit_takers, judged, promised
from trimtab.compression.router import Scaler
from trimtab.compression.scoring import ScoreSettings
from trimtab.compression.table import RewardTable
from trimtab.compression.tabulating import tabulate
from trimtab.compression.tasks.recall import Recall
from trimtab.console import Table, say
from trimtab.records import bar, write_json
from trimtab.statistics import mean_interval

CALIBRATION, HELD_OUT = 0.15, 0.55
PROMISE_CALIBRATION, PROMISE_HELD_OUT, PROMISE_SEED = 0.15, 0.60, 50
EPS, DELTA, SLACK = (0.05, 0.10), 0.10, 0.02
SHUFFLED, ENCODER = "shuffled features", "structural+hidden"
SHOWN = ("lin-ucb", "neural-linear-ucb", "neural-linear-ts", "neural-ucb")
"""Bandits shown at the tight budget, on the first model."""
CONSTANT = Recall(announced=("late",), asked=(4, 4), late_tail=(4, 4))


@dataclass(frozen=True)
class Benchmark:
    """Learned choices against fixed ones on zoo:recall."""

    models: tuple[str, ...] = ("zoo:recall", "zoo:recall-1", "zoo:recall-2")
    """Independently trained models: zoo names or paths."""
    prompts: int = 1880
    """Prompts of the first model: 30% are learnt from, 15% calibrate, 55% are held out."""
    further_prompts: int = 600
    """Prompts of each further model; promises are made on the first alone."""
    budgets: tuple[int, ...] = (64, 128, 256, 512, 768)
    """Tokens kept per KV head."""
    tight: int = 64
    """The budget at which every learner and control is shown."""
    promise_prompts: int = 960
    """Prompts of the first model for promises on a finer grid: 25% are learnt from, 15% calibrate, 60% are held out."""
    promise_budgets: tuple[int, ...] = (64, 128, 192, 256, 320, 384, 448, 512, 640, 768)
    """That grid: the finer, the fairer to fixed budgets."""
    rounds: int = 80
    """Updates of 32 prompts that bandits learn from (the first model; on the others: none)."""
    out: Path = Path("runs/benchmark-compression")
    """Where the tables are kept."""
    threads: int = 1
    """Threads of torch."""
    json: Path | None = None
    """Where to write rows and bars."""


@dataclass(frozen=True, eq=False)
class Measured:
    """What was found on one model."""

    model: str
    split: Split
    contests: dict[int, Contest]
    controls: dict[str, Contest]
    quality: list[dict[str, Any]]


def table_of(
    model: str, settings: Recall, prompts: int, budgets: Sequence[int], seed: int, folder: Path
) -> RewardTable:
    """The reward table of a model on its own prompts."""
    network, _ = load(model, dtype="float32")
    return tabulate(
        network,
        settings.prompts(seed, prompts),
        menu("default"),
        budgets,
        folder,
        settings=ScoreSettings(scored_tokens=4),
        features=PromptFeatures(),
    )


def promise_table(command: Benchmark, model: str, folder: Path) -> RewardTable:
    """The published methods at many budgets, with what each would keep."""
    network, _ = load(model, dtype="float32")
    actions = menu("methods")
    return tabulate(
        network,
        Recall().prompts(PROMISE_SEED, command.promise_prompts),
        actions,
        command.promise_budgets,
        folder,
        settings=ScoreSettings(scored_tokens=4),
        features=PromptFeatures(extras=(KeptFeatures(actions, command.promise_budgets),)),
        about={"model": model},
    )


def standard(split: Split) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Contexts of the three parts, scaled by the first."""
    parts = (split.train, split.calibration, split.held_out)
    raw = [chosen(part.features, ENCODER) for part in parts]
    scaler = Scaler.of(raw[0])
    return scaler(raw[0]), scaler(raw[1]), scaler(raw[2])


def by_bandit(name: str, contexts_PF: np.ndarray, rewards_PA: np.ndarray, actions: Sequence[str], rounds: int) -> Any:
    """Scores that a bandit learned by replay, seeing the rewards of its own actions alone."""
    bandit = Centred(BANDITS[name](actions, contexts_PF.shape[1], LearnerSettings()))
    generator = np.random.default_rng(0)
    for _ in range(rounds):
        rows = generator.integers(len(contexts_PF), size=32)
        columns = bandit.choose(contexts_PF[rows])
        bandit.observe(contexts_PF[rows], columns, rewards_PA[rows, columns])
    return bandit.scores()


def tight_contest(split: Split, budget: int, rounds: int) -> Contest:
    """Every learner at the tight budget, and the null control."""
    known, _, held = standard(split)
    rewards_PA = split.train.rewards("fidelity", budget).astype(np.float64)
    scores = {name: fit(known, rewards_PA, LearnerSettings()) for name, fit in FULL_INFORMATION.items()}
    learned = {name: s.means(held).argmax(axis=1) for name, s in scores.items()}
    for name in SHOWN if rounds else ():
        learned[name] = by_bandit(name, known, rewards_PA, split.train.actions, rounds).means(held).argmax(axis=1)
    order = np.random.default_rng(0).permutation(len(held))
    learned = {LEARNED: learned.pop("ridge"), **learned, SHUFFLED: learned_shuffled(scores["ridge"], held[order])}
    notes = {LEARNED: "ridge, full information", "mlp": "full information", SHUFFLED: "null control"}
    notes |= dict.fromkeys(SHOWN, f"bandit, {32 * rounds} rounds")
    return contest(split.train, split.held_out, "fidelity", budget, learned, notes)


def learned_shuffled(scores: Any, contexts_PF: np.ndarray) -> np.ndarray:
    """Choices from other prompts' features."""
    return scores.means(contexts_PF).argmax(axis=1)


def quality_of(model: str, split: Split, encoder: str = ENCODER) -> list[dict[str, Any]]:
    """The promise at each eps, beside fixed budgets with the action that is best there on the training prompts."""
    made = fit_takers(split, "fidelity", encoder)
    grid = {"model": model, "budgets": len(split.train.budgets)}
    return [{**grid, **judged(made, promised(made, eps, DELTA))} for eps in EPS]


def promises(command: Benchmark, model: str, split: Split, folder: Path) -> list[dict[str, Any]]:
    """Promises on the table of all learners, and on the finer grid, where the rule also sees what would be kept."""
    table = promise_table(command, model, folder)
    finer = Split.of(table, PROMISE_CALIBRATION, PROMISE_HELD_OUT)
    return [*quality_of(model, split), *quality_of(model, finer, f"{ENCODER}+kept")]


def constant_control(model: str, folder: Path, budget: int, prompts: int) -> Contest:
    """Questions of one length, announced at one place: there is nothing to choose by."""
    table = table_of(model, CONSTANT, prompts, [budget], 1, folder)
    return at_budget(Split.of(table, 0.1, 0.5), "fidelity", budget, ENCODER)


def measure(command: Benchmark, number: int, model: str) -> Measured:
    """Everything on one model."""
    folder = command.out / f"{number}-{model.replace('/', '_').replace(':', '_')}"
    say(f"{model}: prompts at {len(command.budgets)} budgets")
    prompts = command.further_prompts if number else command.prompts
    table = table_of(model, Recall(), prompts, command.budgets, number, folder / "table")
    split = Split.of(table, CALIBRATION, HELD_OUT)
    contests = {
        budget: tight_contest(split, budget, 0 if number else command.rounds)
        if budget == command.tight
        else at_budget(split, "fidelity", budget, ENCODER)
        for budget in command.budgets
    }
    controls = (
        {"constant question": constant_control(model, folder / "constant", command.tight, 600)} if not number else {}
    )
    quality = [] if number else promises(command, model, split, folder / "promise")
    return Measured(model, split, contests, controls, quality)


def rows_of(found: Measured) -> list[dict[str, Any]]:
    """The contests of one model as rows."""
    rows = [{"model": found.model, **row} for one in found.contests.values() for row in one.rows()]
    for name, one in found.controls.items():
        rows += [{"model": found.model, "control": name, **row} for row in one.rows() if row["name"] == LEARNED]
    return rows


def pooled(measured: Sequence[Measured], budgets: Sequence[int]) -> list[dict[str, Any]]:
    """Learned over best fixed at each budget, over models and prompts."""
    rows: list[dict[str, Any]] = []
    for budget in budgets:
        contests = [one.contests[budget] for one in measured]
        gain = crossed_difference([c.earned(LEARNED) - c.earned(BEST_FIXED) for c in contests])
        means = {name: float(np.mean([c.earned(name).mean() for c in contests])) for name in _common(contests)}
        ties = float(np.mean([c.ties for c in contests]))
        rows.append(
            {"budget": budget, "gain": gain.estimate, "low": gain.low, "high": gain.high, "ties": ties, **means}
        )
    return rows


def _common(contests: Sequence[Contest]) -> list[str]:
    names = (BEST_FIXED, "h2o", "tova", "snapkv", "pyramidkv", "streaming", LOOKUP, LEARNED, ORACLE)
    return [name for name in names if all(name in {c.name for c in one.contenders} for one in contests)]


def bars_of(command: Benchmark, measured: Sequence[Measured]) -> list[dict[str, Any]]:
    """The claims, each with its number."""
    bars: list[dict[str, Any]] = []
    for found in measured:
        tight = found.contests[command.tight]
        shuffled = tight.against(SHUFFLED).low
        name = f"{found.model}, budget {command.tight}: shuffled features gain nothing (lower end of 95%)"
        bars.append(bar(name, shuffled, 0.0, above=False))
        for control, one in found.controls.items():
            low = one.against(LEARNED).low
            name = f"{found.model}, {control}: nothing to gain (lower end of 95%)"
            bars.append(bar(name, low, 0.0, above=False))
        for row in found.quality:
            at = f"{found.model}, {row['budgets']} budgets, eps {row['eps']}"
            name = f"{at}: share of broken promises, {row['prompts']} prompts"
            bars.append(bar(name, row["violations"], DELTA + SLACK, above=False))
            if row["budgets"] == len(command.budgets):
                bars.append(bar(f"{at}: held-out prompts", row["prompts"], 1000, above=True, equal=True))
            # the mean budget against the smallest fixed one: below, not at most
            name = f"{at}: smallest fixed budget of that violation rate, over the mean budget"
            bars.append(bar(name, row["smallest_fixed_budget"] / row["mean_budget"], 1.0, above=True))
            name = f"{at}: fixed budgets drawn by lot of that violation rate, over the mean budget"
            bars.append(bar(name, row["fixed_budgets_by_lot"] / row["mean_budget"], 1.0, above=True))
    return bars


def show(title: str, rows: Sequence[dict[str, Any]], columns: Sequence[str]) -> None:
    """Print some columns of the rows."""
    table = Table(title, columns)
    for row in rows:
        table.add(*(row.get(column) for column in columns))
    table.print()


def main(command: Benchmark) -> None:
    """Measure, print, write."""
    torch.set_num_threads(command.threads)
    measured = [measure(command, number, model) for number, model in enumerate(command.models)]
    rows = [row for found in measured for row in rows_of(found)]
    quality = [row for found in measured for row in found.quality]
    over_models, bars = pooled(measured, command.budgets), bars_of(command, measured)
    for found in measured:
        mine = [row for row in rows if row["model"] == found.model and row["budget"] == command.tight]
        columns = ("name", "fidelity", "against_best_fixed", "low", "high", "share_of_oracle_gain", "verdict", "note")
        show(f"{found.model}, budget {command.tight}", [row for row in mine if "control" not in row], columns)
    columns = ("budget", *_common([found.contests[command.tight] for found in measured]), "gain", "low", "high", "ties")
    show("mean held-out fidelity over the models", over_models, columns)
    show("quality promised", quality, tuple(quality[0]))
    show("bars", bars, ("name", "value", "bound", "holds"))
    if command.json is not None:
        right = {
            f.model: mean_interval(f.split.held_out.rewards("answer_right", max(command.budgets))[:, 0]).estimate
            for f in measured
        }
        record = {
            "date": machine.today(),
            "hardware": machine.hardware(),
            "prompts": [command.prompts, command.further_prompts],
            "rows": rows,
            "over_models": over_models,
            "quality": quality,
            "answer_right_at_loosest": right,
            "bars": bars,
        }
        write_json(command.json, record)


if __name__ == "__main__":
    main(tyro.cli(Benchmark, description=__doc__))
