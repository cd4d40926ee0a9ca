"""How does a pair of models get a policy of its own? Calibrate, tabulate, learn: each stage kept in the run's directory.

costs.json  <- calibrate    what a round costs on this machine
replay.npz  <- tabulate     what every tree accepts at every position of the training prompts
policy/     <- learn        PPO on the replay, exported to a plain perceptron
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trimtab.checkpoints import Bookkeeping, Checkpoint
from trimtab.console import print_update, progress_bar, say
from trimtab.plain import Plain
from trimtab.policies.sb3 import PPOSettings
from trimtab.runs import Run
from trimtab.speculation.actions import TreeShape, menu, named_menu
from trimtab.speculation.calibration import calibrate
from trimtab.speculation.context import PositionFeatures
from trimtab.speculation.costs import CostModel
from trimtab.speculation.engine.speculator import Speculator
from trimtab.speculation.learning import LearningSettings, learn
from trimtab.speculation.replay import ReplayTable
from trimtab.speculation.replay_builder import build
from trimtab.speculation.tasks import PromptTask, first, own_prompts, read_prompts
from trimtab.speculation.tree_policy import TreePolicy, Widths

if TYPE_CHECKING:
    from trimtab.speculation.recipe import Pair, Train


@dataclass(frozen=True)
class Prepared:
    """What the stages made: costs, the training table, and the policy."""

    costs: CostModel
    table: ReplayTable
    policy: TreePolicy


def load_pair(pair: Pair, dtype: str | None = None) -> Speculator:
    """The speculator that ``pair`` names, in ``dtype`` (default: the pair's own)."""
    return Speculator.from_pretrained(pair.target, pair.head, dtype=dtype or pair.dtype, device=pair.device)


def shapes_of(name: str, bins: tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]] | None) -> list[TreeShape]:
    """The trees of a named menu, or of custom bins."""
    return named_menu(name) if bins is None else menu(*bins)


def prompts_of(name: str, count: int | None) -> list[PromptTask]:
    """The package's ``train`` or ``held_out`` prompts, or a file's; the first ``count`` of them."""
    return first(own_prompts(name) if name in ("train", "held_out") else read_prompts(Path(name)), count)


def calibrated(recipe: Train, folder: Path, shapes: Sequence[TreeShape], tasks: Sequence[PromptTask]) -> CostModel:
    """``costs.json``, measured on this machine unless it is there already."""
    path = folder / "costs.json"
    if path.exists():
        return CostModel.load(path)
    say(f"calibrating: {len(shapes)} trees, {recipe.calibration_seconds:g} s of decoding in {recipe.pair.dtype}")
    speculator = load_pair(recipe.pair)
    with progress_bar("calibrating") as advance:
        costs = calibrate(
            speculator,
            shapes,
            [task.turns[0] for task in tasks],
            budget_seconds=recipe.calibration_seconds,
            seed=recipe.seed,
            progress=advance,
        )
    costs.save(path)
    return costs


def tabulated(recipe: Train, folder: Path, shapes: Sequence[TreeShape], tasks: Sequence[PromptTask]) -> ReplayTable:
    """``replay.npz``, built in ``table_dtype`` unless it is there already; an interrupted build goes on."""
    path = folder / "replay.npz"
    if path.exists():
        return ReplayTable.load(path)
    say(f"tabulating: {len(tasks)} prompts, {recipe.max_new_tokens} new tokens each, in {recipe.table_dtype}")
    speculator = load_pair(recipe.pair, recipe.table_dtype)
    with progress_bar("tabulating") as advance:
        table = build(
            speculator,
            tasks,
            shapes,
            recipe.max_new_tokens,
            PositionFeatures(),
            folder=folder / "replays",
            progress=lambda done, total: advance(done / total),
        )
    table.save(path)
    return table


@dataclass(frozen=True)
class _KeptByRun:
    """A run as the keeper of a training's checkpoints: resuming then drops the rows that were logged beyond them."""

    run: Run

    def latest(self) -> Checkpoint | None:
        return self.run.latest_checkpoint()

    def write(
        self, step: int, arrays: Mapping[str, Any], state: Mapping[str, Plain], _bookkeeping: Bookkeeping, /
    ) -> Path:
        return self.run.checkpoint(step, arrays, state)


def learned(recipe: Train, run: Run, costs: CostModel, table: ReplayTable) -> TreePolicy:
    """``policy/``, trained on the table unless it is there already."""
    path = run.path / "policy"
    speculator = load_pair(recipe.pair)
    if path.exists():
        return TreePolicy.load(path, speculator)

    def log(update: int, metrics: dict[str, float]) -> None:
        run.log(update, metrics)
        if update % 10 == 0:
            print_update(update, metrics, run.elapsed_seconds)

    policy = learn(
        table,
        costs,
        LearningSettings(menu_size=recipe.menu_size, ppo=PPOSettings(updates=recipe.ppo_updates)),
        seed=recipe.seed,
        position=PositionFeatures(),
        widths=Widths.of(speculator),
        log=log,
        say=say,
        checkpoints=_KeptByRun(run),
    )
    policy.save(path)
    return policy


def prepare(recipe: Train, run: Run) -> Prepared:
    """All three stages, each taken up where the run's directory has it."""
    shapes, tasks = shapes_of(recipe.menu, recipe.bins), prompts_of(recipe.prompts, recipe.prompt_count)
    costs = calibrated(recipe, run.path, shapes, tasks)
    table = tabulated(recipe, run.path, shapes, tasks)
    return Prepared(costs, table, learned(recipe, run, costs, table))
