"""Does a policy that picks the compression per prompt beat the best fixed one, at a tight budget, on three models?

python benchmarks/compression_learned.py [--json OUT]

For each of three independently trained models of zoo:recall:

1. The layers' budgets are learned from a few prompts of their own (``layer_budgets``); they make the menu ``layered``.
2. A reward table of training prompts, at several budgets. On it alone, by cross-validation over prompts, the learner and
   the tight budget are chosen: the budget at which the least certain model is still surest to gain. Both are declared.
3. Then fresh prompts, of another seed, are judged once: every way of choosing at every budget.

The best fixed action is chosen on the training prompts among *all* actions, those with learned layers included. Tables are
kept in ``--out`` and gone on with.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import tyro

from trimtab import machine
from trimtab.compression.actions import METHODS, layered
from trimtab.compression.contest import BEST_FIXED, LOOKUP, ORACLE, Contest, contest, crossed_difference
from trimtab.compression.context_encoders import kept_columns, resolved
from trimtab.compression.engine.layers import Shares
from trimtab.compression.features import PromptFeatures, chosen
from trimtab.compression.judging import LEARNED, SHUFFLED
from trimtab.compression.kept_features import KeptFeatures
from trimtab.compression.layer_budgets import by_fidelity
from trimtab.compression.learners import FULL_INFORMATION, LearnerSettings
from trimtab.compression.model_names import load
from trimtab.compression.router import Scaler, Scores
from trimtab.compression.scoring import ScoreSettings
from trimtab.compression.table import RewardTable
from trimtab.compression.tabulating import tabulate
from trimtab.compression.tasks.recall import Recall
from trimtab.console import Table, say
from trimtab.records import bar, write_json
from trimtab.statistics import Interval, paired_difference

LAYER_SEED, TRAIN_SEED, HELD_OUT_SEED = 20, 31, 77
"""Seeds of the generator: prompts that teach the layers' budgets, that are learnt from, and that are judged."""
FOLDS = 4
LEARNERS = {
    "ridge": ("ridge", "structural+hidden"),
    "ridge, what is kept": ("ridge", "structural+hidden+kept"),
    "mlp": ("mlp", "structural+hidden"),
}
"""A learner and what it sees."""
CANDIDATES = ("ridge", "ridge, what is kept")
"""Those that may be declared; the rest is shown at the declared budget."""


@dataclass(frozen=True)
class Benchmark:
    """Learned choices against the best fixed action at tight budgets."""

    models: tuple[str, ...] = ("zoo:recall", "zoo:recall-1", "zoo:recall-2")
    """Independently trained models: zoo names or paths."""
    layer_prompts: int = 24
    """Prompts that the layers' budgets are learned from."""
    train_prompts: int = 600
    """Prompts that choices are learned from, and by which learner and budget are chosen."""
    held_out_prompts: int = 400
    """Fresh prompts that are judged, once."""
    budgets: tuple[int, ...] = (16, 24, 32, 64, 128)
    """Tokens kept per KV head, averaged over the layers."""
    tight: tuple[int, ...] = (16, 24, 32)
    """Those of which one is declared tight."""
    layer_budget: int = 24
    """The budget at which the layers' shares are learned."""
    out: Path = Path("runs/benchmark-compression-learned")
    """Where the tables are kept."""
    threads: int = 1
    """Threads of torch."""
    json: Path | None = None
    """Where to write rows and bars."""


def folder_of(command: Benchmark, model: str) -> Path:
    """Where a model's tables are."""
    return command.out / model.replace("/", "_").replace(":", "_")


def shares_of(command: Benchmark, model: str) -> Shares:
    """The layers' budgets of a model, learned once."""
    kept = folder_of(command, model) / "layers.txt"
    if not kept.is_file():
        network, _ = load(model, dtype="float32")
        shares = by_fidelity(network, Recall().prompts(LAYER_SEED, command.layer_prompts), command.layer_budget)
        kept.parent.mkdir(parents=True, exist_ok=True)
        kept.write_text(" ".join(f"{value:g}" for value in shares.values), encoding="utf-8")
    return Shares(tuple(float(value) for value in kept.read_text(encoding="utf-8").split()))


def table_of(command: Benchmark, model: str, seed: int, prompts: int) -> RewardTable:
    """The reward table of a model on the prompts of a seed."""
    network, _ = load(model, dtype="float32")
    actions = layered(shares_of(command, model))
    return tabulate(
        network,
        Recall().prompts(seed, prompts),
        actions,
        command.budgets,
        folder_of(command, model) / f"seed-{seed}",
        settings=ScoreSettings(scored_tokens=4),
        features=PromptFeatures(extras=(KeptFeatures(actions, command.budgets),)),
        about={"model": model},
    )


# choosing on the training prompts --------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Fitted:
    """What a learner made of a table at a budget."""

    encoder: str
    scaler: Scaler
    scores: Scores

    def columns(self, table: RewardTable) -> np.ndarray:
        """Its choices on the prompts of a table."""
        return self.scores.means(self.scaler(chosen(table.features, self.encoder))).argmax(axis=1)

    def shuffled(self, table: RewardTable) -> np.ndarray:
        """Its choices from the features of other prompts."""
        return np.random.default_rng(0).permutation(self.columns(table))


def fit(name: str, table: RewardTable, budget: int) -> Fitted:
    """Let a learner of ``LEARNERS`` learn from a table."""
    learner, asked = LEARNERS[name]
    encoder = resolved(asked, budget)
    features_PF = chosen(table.features, encoder)
    scaler, rewards_PA = Scaler.of(features_PF), table.rewards("fidelity", budget).astype(np.float64)
    settings = LearnerSettings(kept=kept_columns(table.features, encoder))
    return Fitted(encoder, scaler, FULL_INFORMATION[learner](scaler(features_PF), rewards_PA, settings))


def cross_validated(name: str, table: RewardTable, budget: int) -> Interval:
    """Mean gain over the action that is best on the other folds, by cross-validation over a table's prompts."""
    rewards_PA = table.rewards("fidelity", budget).astype(np.float64)
    fold_P = np.random.default_rng(3).permutation(len(rewards_PA)) % FOLDS
    learned_P, fixed_P = np.zeros(len(rewards_PA)), np.zeros(len(rewards_PA))
    for fold in range(FOLDS):
        inside, outside = np.flatnonzero(fold_P != fold), np.flatnonzero(fold_P == fold)
        columns = fit(name, table.subset(inside.tolist()), budget).columns(table.subset(outside.tolist()))
        learned_P[outside] = rewards_PA[outside, columns]
        fixed_P[outside] = rewards_PA[outside, rewards_PA[inside].mean(axis=0).argmax()]
    return paired_difference(learned_P, fixed_P)


def declare(command: Benchmark, tables: dict[str, RewardTable]) -> tuple[str, int, list[dict[str, Any]]]:
    """The learner and the tight budget whose least certain gain over the models is highest, and all that was tried."""
    rows: list[dict[str, Any]] = []
    for name in CANDIDATES:
        for budget in command.tight:
            gains = {model: cross_validated(name, table, budget) for model, table in tables.items()}
            row = {model: f"{gain.estimate:+.3f} [{gain.low:+.3f}, {gain.high:+.3f}]" for model, gain in gains.items()}
            least = min(gain.low for gain in gains.values())
            rows.append({"learner": name, "budget": budget, **row, "least_lower_end": least})
    best = max(rows, key=lambda row: float(row["least_lower_end"]))
    return str(best["learner"]), int(best["budget"]), rows


# judging, once ---------------------------------------------------------------------------------------------------------


def judged(train: RewardTable, held_out: RewardTable, budget: int, declared: str, *, tight: bool) -> Contest:
    """Every way of choosing on the held-out prompts; at the declared budget every learner and the null control."""
    refuse_overlap_of(train, held_out)
    made = {name: fit(name, train, budget) for name in (LEARNERS if tight else CANDIDATES)}
    columns = {LEARNED: made[declared].columns(held_out)}
    columns |= {name: one.columns(held_out) for name, one in made.items() if name != declared}
    notes = {name: f"{learner} on {encoder}" for name, (learner, encoder) in LEARNERS.items()}
    notes[LEARNED] = notes[declared]
    if tight:
        columns[SHUFFLED], notes[SHUFFLED] = made[declared].shuffled(held_out), "null control"
    return contest(train, held_out, "fidelity", budget, columns, notes)


def refuse_overlap_of(train: RewardTable, held_out: RewardTable) -> None:
    """Raises ValueError where a prompt is in both."""
    both = set(train.prompts) & set(held_out.prompts)
    if both:
        raise ValueError(f"{len(both)} prompts are learnt from and judged: expected other seeds")


def layers_over_published(found: Contest, train: RewardTable) -> Interval:
    """The best fixed action over the published method that is best on the training prompts."""
    means_A = train.rewards("fidelity", found.budget).mean(axis=0)
    published = [name for name in METHODS if name in train.actions]
    best = max(published, key=lambda name: float(means_A[train.actions.index(name)]))
    return found.against(BEST_FIXED, best)


def rows_of(model: str, contests: dict[int, Contest], train: RewardTable) -> list[dict[str, Any]]:
    """The contests of a model as rows, and what learned layers bring at each budget."""
    rows: list[dict[str, Any]] = []
    for budget, found in contests.items():
        rows += [{"model": model, **row} for row in found.rows()]
        gain = layers_over_published(found, train)
        rows.append(
            {
                "model": model,
                "budget": budget,
                "name": "best fixed over the best published method",
                "against_published": gain.estimate,
                "low": gain.low,
                "high": gain.high,
            }
        )
    return rows


def over_models(found: dict[str, dict[int, Contest]], budgets: tuple[int, ...]) -> list[dict[str, Any]]:
    """Learned over best fixed at each budget, over models and prompts, and on which models it helps."""
    rows: list[dict[str, Any]] = []
    for budget in budgets:
        contests = {model: of_model[budget] for model, of_model in found.items()}
        gain = crossed_difference([c.earned(LEARNED) - c.earned(BEST_FIXED) for c in contests.values()])
        means = {
            name: float(np.mean([c.earned(name).mean() for c in contests.values()]))
            for name in (*METHODS, BEST_FIXED, LOOKUP, LEARNED, ORACLE)
        }
        helped = [model for model, c in contests.items() if c.verdict(LEARNED) == "better"]
        rows.append(
            {
                "budget": budget,
                **means,
                "gain": gain.estimate,
                "low": gain.low,
                "high": gain.high,
                "better_on": len(helped),
                "ties": float(np.mean([c.ties for c in contests.values()])),
            }
        )
    return rows


def bars_of(found: dict[str, dict[int, Contest]], budget: int) -> list[dict[str, Any]]:
    """The bars at the declared budget."""
    bars: list[dict[str, Any]] = []
    for model, contests in found.items():
        gain, control = contests[budget].against(LEARNED), contests[budget].against(SHUFFLED)
        name = f"{model}, {budget} tokens: learned over best fixed, lower end of 95%"
        bars.append(bar(name, gain.low, 0.0, above=True))
        name = f"{model}, {budget} tokens: features of other prompts gain nothing, lower end of 95%"
        bars.append(bar(name, control.low, 0.0, above=False))
    return bars


def show(title: str, rows: list[dict[str, Any]], columns: tuple[str, ...]) -> None:
    """Print some columns of the rows."""
    table = Table(title, columns)
    for row in rows:
        table.add(*(row.get(column) for column in columns))
    table.print()


def main(command: Benchmark) -> None:
    """Measure, print, write."""
    torch.set_num_threads(command.threads)
    train = {model: table_of(command, model, TRAIN_SEED, command.train_prompts) for model in command.models}
    learner, budget, tried = declare(command, train)
    show("gain over best fixed on the training prompts, cross-validated", tried, tuple(tried[0]))
    say(f"declared before any held-out prompt is looked at: {learner}, {budget} tokens")
    held = {model: table_of(command, model, HELD_OUT_SEED, command.held_out_prompts) for model in command.models}
    found = {
        model: {b: judged(train[model], held[model], b, learner, tight=b == budget) for b in command.budgets}
        for model in command.models
    }
    rows = [row for model in command.models for row in rows_of(model, found[model], train[model])]
    columns = ("name", "fidelity", "against_best_fixed", "low", "high", "share_of_oracle_gain", "verdict", "note")
    for model in command.models:
        mine = [row for row in rows if row["model"] == model and row["budget"] == budget and "fidelity" in row]
        show(f"{model}, {budget} tokens, held out", mine, columns)
    everywhere, bars = over_models(found, command.budgets), bars_of(found, budget)
    show("over the models", everywhere, tuple(everywhere[0]))
    show("bars", bars, ("name", "value", "bound", "holds"))
    if command.json is not None:
        record = {
            "date": machine.today(),
            "hardware": machine.hardware(),
            "prompts": {
                "layers": command.layer_prompts,
                "train": command.train_prompts,
                "held_out": len(held_names(held)),
            },
            "layers": {model: list(shares_of(command, model).values) for model in command.models},
            "declared": {"learner": learner, "budget": budget},
            "cross_validated": tried,
            "rows": rows,
            "over_models": everywhere,
            "bars": bars,
        }
        write_json(command.json, record)


def held_names(held: dict[str, RewardTable]) -> tuple[str, ...]:
    """The held-out prompts: the same for all models."""
    return next(iter(held.values())).prompts


if __name__ == "__main__":
    main(tyro.cli(Benchmark, description=__doc__))
