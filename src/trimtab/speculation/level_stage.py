"""How does a run get a rule of continuing or stopping? Fit the draft temperature, tabulate each beam width, learn.

draft_temperature.json   <- the temperature at which the head's probabilities fit what the target writes
levels-<top_k>.npz       <- what every moment of stopping and every size accepts, at all positions of the training prompts
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from trimtab.checkpoints import replace_file
from trimtab.console import progress_bar, say
from trimtab.parallel import ALONE, Workers
from trimtab.runs import Run
from trimtab.speculation.actions import TreeShape
from trimtab.speculation.costs import CostModel
from trimtab.speculation.engine.speculator import Speculator
from trimtab.speculation.level_builder import build, calibrated_temperature
from trimtab.speculation.level_learning import LevelLearning, learn_levels
from trimtab.speculation.level_policy import LevelPolicy
from trimtab.speculation.levels import LevelMenu, LevelTable
from trimtab.speculation.tasks import PromptTask
from trimtab.speculation.texts import greedy_texts
from trimtab.speculation.tree_policy import Widths

if TYPE_CHECKING:
    from trimtab.speculation.recipe import Train

LEVELS = "levels"
_TEMPERATURE_PROMPTS = 24


def check(recipe: Train) -> None:
    """Raises ValueError where the recipe asks of this learner what others do."""
    other = {
        "state": ("statistics", recipe.state),
        "reward": ("time", recipe.reward),
        "mode": ("standard", recipe.mode),
        "hold": (1, recipe.hold),
        "hold_drift": (None, recipe.hold_drift),
        "hold_surprise": (None, recipe.hold_surprise),
        "planned_rounds": (1, recipe.planned_rounds),
        "entropy_coef": (None, recipe.entropy_coef),
        "inference_temperature": (None, recipe.inference_temperature),
        "action_space": ("flat", recipe.action_space),
    }
    asked = [f"{name} {given}" for name, (only, given) in other.items() if given != only]
    if asked:
        raise ValueError(
            f"the learner {LEVELS!r} decides after every level, from statistics, for time; it has no "
            f"{', '.join(asked)}. Choose another learner, for example ppo"
        )
    if not recipe.level_beams:
        raise ValueError("level_beams is empty: expected at least one beam width to try, for example 3")
    for top_k in recipe.level_beams:
        LevelMenu(top_k, recipe.level_depth)


def shapes(recipe: Train) -> list[TreeShape]:
    """Trees whose rounds tell the cost of every ending: a few depths of each size and beam."""
    menus = [LevelMenu(top_k, recipe.level_depth) for top_k in recipe.level_beams]
    depths = {1, recipe.level_depth // 4, recipe.level_depth // 2, recipe.level_depth}
    return sorted({shape for menu in menus for shape in menu.shapes() if shape.depth in depths})


def temperature(recipe: Train, folder: Path, speculator: Speculator, tasks: Sequence[PromptTask]) -> float:
    """The recipe's draft temperature, or (None) the one that fits; kept in the run."""
    if recipe.draft_temperature is not None:
        return recipe.draft_temperature
    path = folder / "draft_temperature.json"
    if path.exists():
        return float(json.loads(path.read_text(encoding="utf-8"))["draft_temperature"])
    some = tasks[:: max(1, len(tasks) // _TEMPERATURE_PROMPTS)]
    texts = [text for task in some for text in greedy_texts(speculator, task, recipe.max_new_tokens, 1)]
    fitted = calibrated_temperature(speculator, texts)
    replace_file(path, lambda file: file.write_text(json.dumps({"draft_temperature": fitted}) + "\n"))
    return fitted


def tabulated(recipe: Train, folder: Path, tasks: Sequence[PromptTask], team: Workers = ALONE) -> list[LevelTable]:
    """``levels-<top_k>.npz`` of each beam width, unless they are there already; an interrupted build goes on.

    Of several processes each builds its share of the conversations.
    """
    paths = [folder / f"levels-{top_k}.npz" for top_k in recipe.level_beams]
    if team.from_main(all(path.exists() for path in paths)):
        return [LevelTable.load(path) for path in paths]
    from trimtab.speculation.stages import load_pair

    speculator = load_pair(recipe.pair, recipe.table_dtype)
    sharpened = team.from_main(temperature(recipe, folder, speculator, tasks) if team.main else 0.0)
    say(f"tabulating levels: beams of {', '.join(map(str, recipe.level_beams))}, draft temperature {sharpened:.2f}")
    menus = [LevelMenu(top_k, recipe.level_depth, draft_temperature=sharpened) for top_k in recipe.level_beams]
    with progress_bar("tabulating levels") as advance:
        tables = team.shared(
            tasks,
            lambda some: build(
                speculator,
                some,
                menus,
                recipe.max_new_tokens,
                folder=folder / "level-replays",
                progress=lambda done, total: advance(done / total),
            ),
        )
    if team.main:
        for table, path in zip(tables, paths, strict=True):
            table.save(path)
    return tables


def learned(recipe: Train, run: Run, costs: CostModel, tables: Sequence[LevelTable]) -> LevelPolicy:
    """``policy/``, trained on the tables unless it is there already. Learning is deterministic, and takes a minute or two:
    stopped, it begins anew."""
    from trimtab.speculation.stages import load_pair

    path, speculator = run.path / "policy", load_pair(recipe.pair)
    if path.exists():
        return LevelPolicy.load(path, speculator)
    widths = Widths.of(speculator)
    policy = learn_levels(tables, costs, LevelLearning(), seed=recipe.seed, widths=widths, say=say, log=run.log)
    policy.models = {"target": recipe.pair.target, "head": recipe.pair.head, "dtype": recipe.pair.dtype}
    policy.save(path)
    return policy
