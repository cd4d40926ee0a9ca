"""What is needed to promise quality? An action for each budget, a rule that picks the budget, and both in a folder.

At each budget a ridge regression on full information takes the action. On the training part the quality of what is taken is
measured by cross-fitting, so that the rule (``quality``) learns from choices made without the prompt's own rewards. It is
calibrated on the calibration part as a whole, actions included, and judged on the held-out part.

On disk: ``promise.safetensors`` (arrays) and ``promise.json`` (what they mean). Loading executes nothing from the files.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np
from safetensors.numpy import load_file, save_file

from trimtab.checkpoints import replace_file
from trimtab.compression.context_encoders import KEPT, vector_of
from trimtab.compression.features import chosen
from trimtab.compression.judging import Split
from trimtab.compression.kept_features import name_of
from trimtab.compression.quality import Kept, QualityRule, fixed_budget, kept, mixed_budget, rule
from trimtab.compression.regression import Ridge
from trimtab.compression.router import Scaler
from trimtab.compression.table import RewardTable
from trimtab.plain import Plain
from trimtab.policies.mlp import MLP
from trimtab.policies.networks import under
from trimtab.reading import refusing
from trimtab.records import write_json

FORMAT = "trimtab-compression-promise-1"
FOLDS = 5


@dataclass(frozen=True)
class Sight:
    """What is seen of prompts. Those who take the actions see features of the prompt alone (``plain``); the rule sees these
    and, where ``kept``, what the action taken at each budget would keep (``kept_features``)."""

    plain: str
    kept: bool
    actions: int
    budgets: tuple[int, ...]

    @classmethod
    def of(cls, encoder: str, actions: int, budgets: tuple[int, ...]) -> Self:
        """The sight that ``--context-encoder-model`` names."""
        parts = [vector_of(part) for part in encoder.split("+")]
        return cls("+".join(part for part in parts if part != KEPT), KEPT in parts, actions, budgets)

    def asked(
        self, features: Mapping[str, np.ndarray], contexts_PF: np.ndarray, columns: Sequence[np.ndarray]
    ) -> np.ndarray:
        """What the rule sees [P, F + B K] where ``columns`` [P] are taken at each budget."""
        if not self.kept:
            return contexts_PF
        rows, own = np.arange(len(contexts_PF)), [contexts_PF]
        for budget, column_P in zip(self.budgets, columns, strict=True):
            block_PX = chosen(features, name_of(budget))
            own.append(block_PX.reshape(len(rows), self.actions, -1)[rows, column_P])
        return np.concatenate(own, axis=1)

    def seen(self, plain: int, width: int) -> list[np.ndarray] | None:
        """The columns that each budget's regression sees, of ``width``, the first ``plain`` of the prompt alone."""
        if not self.kept:
            return None
        each = (width - plain) // len(self.budgets)
        starts = [plain + place * each for place in range(len(self.budgets))]
        return [np.concatenate((np.arange(plain), np.arange(start, start + each))) for start in starts]


@dataclass(frozen=True, eq=False)
class Takers:
    """The actions taken at each budget. ``contexts``, what the rule sees [P, X], and ``quality`` [P, B] are those of the
    training, calibration and held-out part; ``fixed_PB``: the held-out quality of the action best on the training part.
    ``scaler`` is of the prompt's features, ``asked`` of what the rule sees."""

    split: Split
    encoder: str
    scaler: Scaler
    asked: Scaler
    takers: tuple[MLP, ...]
    contexts: tuple[np.ndarray, np.ndarray, np.ndarray]
    quality: tuple[np.ndarray, np.ndarray, np.ndarray]
    fixed_PB: np.ndarray

    @property
    def budgets(self) -> tuple[int, ...]:
        return self.split.train.budgets

    @property
    def sight(self) -> Sight:
        return Sight.of(self.encoder, len(self.split.train.actions), self.budgets)


def fit_takers(split: Split, part: str, encoder: str) -> Takers:
    """Learn which action to take at each budget.

    Raises ValueError for budgets out of order, features that the table lacks, and a part that is no quality of 0..1.
    """
    check(split.train, part)
    sight = Sight.of(encoder, len(split.train.actions), split.train.budgets)
    parts = (split.train, split.calibration, split.held_out)
    raw = [chosen(one.features, sight.plain) for one in parts]
    scaler = Scaler.of(raw[0])
    plain = [scaler(one) for one in raw]
    rewards = [split.train.rewards(part, budget).astype(np.float64) for budget in split.train.budgets]
    takers = tuple(Ridge().fit(plain[0], rewards_PA) for rewards_PA in rewards)
    columns = [[_cross_fitted(plain[0], rewards_PA) for rewards_PA in rewards]]
    columns += [[taker.scores(contexts).argmax(axis=1) for taker in takers] for contexts in plain[1:]]
    best = [rewards_PA.mean(axis=0).argmax() for rewards_PA in rewards]
    fixed = [np.full(len(split.held_out.prompts), column) for column in best]
    seen = [sight.asked(one.features, own, taken) for one, own, taken in zip(parts, plain, columns, strict=True)]
    earned = [_earned(one, part, taken) for one, taken in zip(parts, columns, strict=True)]
    asked = Scaler.of(seen[0])
    contexts = (asked(seen[0]), asked(seen[1]), asked(seen[2]))
    quality = (earned[0], earned[1], earned[2])
    return Takers(split, encoder, scaler, asked, takers, contexts, quality, _earned(split.held_out, part, fixed))


def check(table: RewardTable, part: str) -> None:
    """Raises ValueError for what no promise can be made of."""
    if list(table.budgets) != sorted(table.budgets):
        raise ValueError(f"the table's budgets are {table.budgets}: expected them in ascending order; tabulate so")
    values = np.stack([table.rewards(part, budget) for budget in table.budgets])
    if values.min() < 0 or values.max() > 1 + 1e-6:
        raise ValueError(
            f"{part} runs from {values.min():.3g} to {values.max():.3g}: expected a quality of 0 to 1, such as fidelity"
        )


def _cross_fitted(contexts_PF: np.ndarray, rewards_PA: np.ndarray) -> np.ndarray:
    """The column [P] of each prompt, chosen by what was learned from the other folds."""
    fold_P = np.random.default_rng(1).permutation(len(contexts_PF)) % FOLDS
    columns_P = np.zeros(len(rewards_PA), dtype=np.int64)
    for fold in range(FOLDS):
        inside, outside = fold_P != fold, fold_P == fold
        columns_P[outside] = Ridge().fit(contexts_PF[inside], rewards_PA[inside]).scores(contexts_PF[outside]).argmax(1)
    return columns_P


def _earned(table: RewardTable, part: str, columns: list[np.ndarray]) -> np.ndarray:
    """Rewards [P, B] of a column for each budget and prompt."""
    at = np.arange(len(table.prompts))
    earned = [table.rewards(part, budget)[at, own] for budget, own in zip(table.budgets, columns, strict=True)]
    return np.stack(earned, axis=1).astype(np.float64)


def promised(made: Takers, eps: float, delta: float) -> QualityRule:
    """The rule that picks the budget, calibrated. Raises ValueError as ``quality.calibrated``."""
    train, calibration = ((made.contexts[place], made.quality[place]) for place in (0, 1))
    seen = made.sight.seen(len(made.scaler.mean_F), len(made.asked.mean_F))
    return rule(made.budgets, train, calibration, eps, delta, seen)


def judged(made: Takers, given: QualityRule) -> dict[str, Any]:
    """What a rule did on the held-out part, beside the smallest fixed budget that is as safe (of the best fixed action,
    and of the learned actions), and beside fixed budgets drawn by lot that are as safe."""
    tokens_P, eps = made.split.held_out.prompt_tokens_P, given.eps
    did = outcome(made, given)
    safe = [
        fixed_budget((quality_PB < 1 - eps).mean(axis=0), made.budgets, tokens_P, did.violations)
        for quality_PB in (made.fixed_PB, made.quality[2])
    ]
    lot = mixed_budget((made.fixed_PB < 1 - eps).mean(axis=0), made.budgets, tokens_P, did.violations)
    return {
        "eps": eps,
        "delta": given.delta,
        "prompts": len(tokens_P),
        "violations": did.violations,
        "mean_budget": did.mean_budget,
        "full_cache": did.full,
        "smallest_fixed_budget": safe[0],
        "fixed_budgets_by_lot": lot,
        "smallest_fixed_budget_learned_action": safe[1],
    }


def outcome(made: Takers, given: QualityRule) -> Kept:
    """The share of broken promises and the mean budget on the held-out part."""
    places_P = given.choose(made.contexts[2])
    return kept(places_P, made.quality[2], made.budgets, made.split.held_out.prompt_tokens_P, given.eps)


# what is deployed -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Promise:
    """Picks a budget and an action for each prompt, or the full cache. ``takers``: one for each of the rule's budgets."""

    actions: tuple[str, ...]
    encoder: str
    scaler: Scaler
    asked: Scaler
    takers: tuple[MLP, ...]
    rule: QualityRule
    about: Mapping[str, Plain] = field(default_factory=dict[str, Plain])

    def __post_init__(self) -> None:
        if len(self.takers) != len(self.rule.budgets):
            raise ValueError(f"{len(self.takers)} choosers for {len(self.rule.budgets)} budgets: expected one for each")

    @classmethod
    def of(cls, made: Takers, given: QualityRule, about: Mapping[str, Plain]) -> Self:
        """The promise of a rule that was calibrated."""
        return cls(made.split.train.actions, made.encoder, made.scaler, made.asked, made.takers, given, about)

    def choose(self, features: Mapping[str, np.ndarray]) -> tuple[str, int] | None:
        """The action and the budget for a prompt's named features [1, K]; None: the full cache."""
        sight = Sight.of(self.encoder, len(self.actions), self.rule.budgets)
        contexts = self.scaler(chosen(features, sight.plain))
        columns = [taker.scores(contexts).argmax(axis=1) for taker in self.takers]
        place = int(self.rule.choose(self.asked(sight.asked(features, contexts, columns)))[0])
        if place == len(self.rule.budgets):
            return None
        return self.actions[int(columns[place][0])], self.rule.budgets[place]

    def save(self, folder: Path) -> None:
        """Write ``folder/promise.safetensors`` and ``folder/promise.json``."""
        folder.mkdir(parents=True, exist_ok=True)
        named = {f"taker/{place}": taker for place, taker in enumerate(self.takers)} | {"scores": self.rule.scores}
        arrays = {f"{name}/{key}": value for name, mlp in named.items() for key, value in mlp.arrays().items()}
        scalers = {"scaler": self.scaler, "asked": self.asked}
        arrays |= {f"{name}/mean_F": scaler.mean_F for name, scaler in scalers.items()}
        arrays |= {f"{name}/scale_F": scaler.scale_F for name, scaler in scalers.items()}
        whole = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
        replace_file(folder / "promise.safetensors", lambda scratch: save_file(whole, scratch))
        rule = self.rule
        meaning: dict[str, Plain] = {
            "format": FORMAT,
            "actions": list(self.actions),
            "budgets": list(rule.budgets),
            "eps": rule.eps,
            "delta": rule.delta,
            "threshold": rule.threshold if np.isfinite(rule.threshold) else None,
            "encoder": self.encoder,
            "about": dict(self.about),
        }
        write_json(folder / "promise.json", meaning)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what ``save`` wrote. Raises FileNotFoundError, ValueError where it is something else."""
        if not (folder / "promise.json").is_file():
            raise FileNotFoundError(
                f"{folder} holds no promise.json: expected a folder of `trimtab compression promise`"
            )
        with refusing(folder, "promise", "make it again"):
            meaning = json.loads((folder / "promise.json").read_text(encoding="utf-8"))
            if meaning.get("format") != FORMAT:
                raise ValueError(f"{folder} is of format {meaning.get('format')}: expected {FORMAT}")
            arrays = load_file(folder / "promise.safetensors")
            budgets = tuple(meaning["budgets"])
            threshold = np.inf if meaning["threshold"] is None else float(meaning["threshold"])
            scores = MLP.from_arrays(under("scores", arrays))
            return cls(
                tuple(meaning["actions"]),
                meaning["encoder"],
                _scaler(arrays, "scaler"),
                _scaler(arrays, "asked"),
                tuple(MLP.from_arrays(under(f"taker/{place}", arrays)) for place in range(len(budgets))),
                QualityRule(budgets, scores, threshold, meaning["eps"], meaning["delta"]),
                meaning["about"],
            )


def _scaler(arrays: Mapping[str, np.ndarray], name: str) -> Scaler:
    return Scaler(arrays[f"{name}/mean_F"], arrays[f"{name}/scale_F"])
