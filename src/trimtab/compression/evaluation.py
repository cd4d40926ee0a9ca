"""What does ``trimtab compression evaluate`` do? The contest at every budget, pictures from the model, report, verdict."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trimtab import machine
from trimtab.compression.claim import outcome_of
from trimtab.compression.contest import Contest, contest
from trimtab.compression.context_encoders import kept_columns, resolved, sources_of
from trimtab.compression.features import chosen
from trimtab.compression.judging import LEARNED, Split, announce, judged, settle
from trimtab.compression.learners import FULL_INFORMATION, LearnerSettings
from trimtab.compression.pictures import Pictures, pictures
from trimtab.compression.report import write_report
from trimtab.compression.router import Router, Scaler
from trimtab.compression.table import RewardTable
from trimtab.compression.training import recipe_in
from trimtab.console import say
from trimtab.records import bar, write_json
from trimtab.runs import read_metrics

if TYPE_CHECKING:
    from trimtab.compression.train_recipe import Evaluate, Train


@dataclass(frozen=True, eq=False)
class Evaluation:
    """The router's contest, those of the other budgets (ridge, trained anew for each), and the pictures."""

    found: Contest
    others: tuple[Contest, ...]
    router: Router
    pictures: Pictures

    @property
    def frontier(self) -> list[Contest]:
        """All contests by budget."""
        return sorted((self.found, *self.others), key=lambda one: one.budget)

    def rows(self) -> list[dict[str, Any]]:
        """The comparison at every budget."""
        return [row for one in self.frontier for row in one.rows()]

    def bars(self) -> list[dict[str, Any]]:
        """The claim that the verdict rests on."""
        gain = self.found.against(LEARNED)
        name = f"budget {self.found.budget}: learned over best fixed, lower end of the 95% interval"
        return [bar(name, gain.low, 0.0, above=True)]


def evaluate_run(command: Evaluate) -> Contest:
    """``trimtab compression evaluate``; returns the contest at the policy's own budget."""
    folder, started = command.run_directory, time.perf_counter()
    if not (folder / "recipe.yaml").is_file():
        raise FileNotFoundError(f"{folder} is no run: expected a directory of `trimtab compression train`")
    recipe, router = recipe_in(folder), Router.load(folder / "policy")
    table = _table(command, recipe, router)
    split = Split.of(table, recipe.calibration_share, recipe.held_out_share)
    found = judged(router, split, recipe.reward)
    asked = sources_of(router)
    others = [at_budget(split, recipe.reward, b, resolved(asked, b)) for b in table.budgets if b != router.budget]
    drawn = pictures(recipe, router, table, needle=command.needle)
    evaluation = Evaluation(found, tuple(others), settle(router, found, folder / "policy"), drawn)
    announce(found, folder / "policy")
    say(f"the report is {write_report(folder, evaluation)}")
    learning = sum(row["elapsed_seconds"] for row in read_metrics(folder)[-1:])
    outcome_of(found, learning + time.perf_counter() - started).write(folder)
    _write(command.json or folder / "evaluation.json", evaluation)
    return found


def _table(command: Evaluate, recipe: Train, router: Router) -> RewardTable:
    path = command.table or recipe.table or command.run_directory / "table" / "table.npz"
    if not path.with_suffix(".npz").is_file():
        raise FileNotFoundError(f"{path} is no table: give one of `trimtab compression tabulate` by --table")
    fingerprint = router.about.get("fingerprint")
    known = fingerprint if isinstance(fingerprint, str) else None
    return RewardTable.load(path, fingerprint=known, actions=router.actions)


def at_budget(split: Split, part: str, budget: int, encoder: str) -> Contest:
    """The contest at another budget: ridge on full information, trained for that budget."""
    features_PF = chosen(split.train.features, encoder)
    scaler = Scaler.of(features_PF)
    settings = LearnerSettings(kept=kept_columns(split.train.features, encoder))
    scores = FULL_INFORMATION["ridge"](scaler(features_PF), split.train.rewards(part, budget).astype(float), settings)
    columns = scores.means(scaler(chosen(split.held_out.features, encoder))).argmax(axis=1)
    return contest(split.train, split.held_out, part, budget, {LEARNED: columns}, {LEARNED: "ridge, for this budget"})


def _write(path: Path, evaluation: Evaluation) -> None:
    record = {
        "date": machine.today(),
        "hardware": machine.hardware(),
        "rows": evaluation.rows(),
        "bars": evaluation.bars(),
    }
    write_json(path, record)
