"""How does a pair of models get a policy of its own? Calibrate, tabulate, learn: each stage kept in the run's directory.

costs.json  <- calibrate    what a round costs on this machine
replay.npz  <- tabulate     what every tree accepts at every position of the training prompts
policy/     <- learn        a learner on the replay (PPO unless told otherwise), exported to a plain perceptron
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from trimtab.checkpoints import Bookkeeping, Checkpoint
from trimtab.console import print_update, progress_bar, say
from trimtab.parallel import ALONE, Workers
from trimtab.plain import Plain
from trimtab.policies.held import Adaptive
from trimtab.runs import Run
from trimtab.speculation import level_stage
from trimtab.speculation.actions import TreeShape, menu, menu_bins, named_menu
from trimtab.speculation.calibration import calibrate
from trimtab.speculation.costs import CostModel
from trimtab.speculation.engine.speculator import Speculator
from trimtab.speculation.holding import HOLDS, lasting
from trimtab.speculation.inference import Inference
from trimtab.speculation.learners import LEARNERS, PPO
from trimtab.speculation.learning import LearningSettings, learn, mode_of, split
from trimtab.speculation.levels import LevelTable
from trimtab.speculation.replay import ReplayTable
from trimtab.speculation.replay_builder import build
from trimtab.speculation.reward import named_reward
from trimtab.speculation.saved import SavedPolicy
from trimtab.speculation.state_tables import StateSettings, fitted, narrow, tabulating
from trimtab.speculation.states import LEARNED, StateSpec
from trimtab.speculation.tasks import PromptTask, first, own_prompts, read_prompts
from trimtab.speculation.tree_policy import TreePolicy, Widths
from trimtab.tracking import Histogram, Value

if TYPE_CHECKING:
    from trimtab.speculation.recipe import Pair, Train


@dataclass(frozen=True)
class Prepared:
    """What the stages made: costs, the training table, and the policy."""

    costs: CostModel
    table: ReplayTable
    policy: SavedPolicy
    levels: list[LevelTable] = field(default_factory=list[LevelTable])


def load_pair(pair: Pair, dtype: str | None = None) -> Speculator:
    """The speculator that ``pair`` names, in ``dtype`` (default: the pair's own).

    In another ``dtype``, where exact numbers are wanted and not speed, it is not compiled.
    """
    compile = pair.compile if dtype is None else "off"  # noqa: A001
    split = {} if pair.device_map is None else {"device_map": pair.device_map}
    if split and pair.device is not None:
        raise ValueError(
            f"device {pair.device} and device_map {pair.device_map}: expected one of them; a model lies on one device, "
            "or is split"
        )
    return Speculator.from_pretrained(
        pair.target, pair.head, dtype=dtype or pair.dtype, device=pair.device, compile=compile, **split
    )


Bins = tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]


class OfMenu(Protocol):
    """A command that names a menu, and bins that replace some of its own."""

    @property
    def menu(self) -> str: ...
    @property
    def total_tokens_bins(self) -> tuple[int, ...]: ...
    @property
    def depth_bins(self) -> tuple[int, ...]: ...
    @property
    def top_k_bins(self) -> tuple[int, ...]: ...


def shapes_of(name: str, instead: Bins = ((), (), ())) -> list[TreeShape]:
    """The trees of a named menu; where ``instead`` names bins of total_tokens, depth or top_k, of those.

    Raises ValueError for an unknown menu, or bins of which no tree exists.
    """
    if not any(instead):
        return named_menu(name)
    total_tokens, depth, top_k = (own or theirs for own, theirs in zip(instead, menu_bins(name), strict=True))
    return menu(total_tokens, depth, top_k)


def asked_shapes(command: OfMenu) -> list[TreeShape]:
    """The trees that a command asks for. Raises as ``shapes_of``."""
    return shapes_of(command.menu, (command.total_tokens_bins, command.depth_bins, command.top_k_bins))


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


def _state(recipe: Train) -> tuple[StateSpec, StateSettings]:
    """The state that the recipe names."""
    settings = StateSettings(recipe.compressed_width, recipe.text_encoder, recipe.text_refresh_tokens, recipe.seed)
    return StateSpec.parse(recipe.state), settings


def tabulated(
    recipe: Train, folder: Path, shapes: Sequence[TreeShape], tasks: Sequence[PromptTask], team: Workers = ALONE
) -> ReplayTable:
    """``replay.npz``, built in ``table_dtype`` unless it is there already; an interrupted build goes on.

    Of several processes each builds its share of the conversations.
    """
    path = folder / "replay.npz"
    if team.from_main(path.exists()):
        return ReplayTable.load(path)
    say(f"tabulating: {len(tasks)} prompts, {recipe.max_new_tokens} new tokens each, in {recipe.table_dtype}")
    speculator, (spec, settings) = load_pair(recipe.pair, recipe.table_dtype), _state(recipe)
    with progress_bar("tabulating") as advance:
        table = team.shared(
            tasks,
            lambda some: build(
                speculator,
                some,
                shapes,
                recipe.max_new_tokens,
                tabulating(spec, speculator, settings),
                folder=folder / "replays",
                progress=lambda done, total: advance(done / total),
            ),
        )
    if team.main:
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


def learning_of(recipe: Train) -> LearningSettings:
    """How the recipe has a policy learned. Raises ValueError for a learner, mode or action space unknown or impossible."""
    if recipe.learner not in LEARNERS:
        raise ValueError(f"no learner {recipe.learner!r}; known learners: {level_stage.LEVELS}, {', '.join(LEARNERS)}")
    learner, inference = mode_of(
        recipe.learner,
        recipe.mode,
        entropy_coef=recipe.entropy_coef,
        inference_temperature=recipe.inference_temperature,
        action_space=recipe.action_space,
    )
    if isinstance(learner, PPO):
        learner = replace(learner, settings=replace(learner.settings, updates=recipe.ppo_updates))
    return LearningSettings(menu_size=recipe.menu_size, learner=learner, inference=inference, reward=recipe.reward)


def learned(recipe: Train, run: Run, costs: CostModel, table: ReplayTable) -> TreePolicy:
    """``policy/``, trained on the table unless it is there already."""
    path = run.path / "policy"
    speculator = load_pair(recipe.pair)
    if path.exists():
        return TreePolicy.load(path, speculator)

    def log(update: int, metrics: Mapping[str, Value]) -> None:
        run.log(update, metrics)
        if update % 10 == 0:  # the learner's own numbers; what the judged policy did is for the trackers
            own = {name: v for name, v in metrics.items() if not isinstance(v, Histogram) and "/" not in name}
            print_update(update, own, run.elapsed_seconds)

    spec, settings = _state(recipe)
    seen, _ = split(table, LearningSettings().validation_share, recipe.seed)
    position = fitted(spec, tabulating(spec, speculator, settings), seen, settings, say=say)
    table = narrow(table, position)
    policy = learn(
        table,
        costs,
        learning_of(recipe),
        seed=recipe.seed,
        position=position,
        widths=Widths.of(speculator),
        log=log,
        say=say,
        checkpoints=_KeptByRun(run),
    )
    policy = _lasting(recipe, policy, table, costs)
    policy.models = {"target": recipe.pair.target, "head": recipe.pair.head, "dtype": recipe.pair.dtype}
    policy.save(path)
    return policy


def _adaptive(recipe: Train) -> Adaptive | None:
    """What ends a hold early."""
    given = recipe.hold_drift, recipe.hold_surprise
    return None if given == (None, None) else Adaptive(*given)


def _lasting(recipe: Train, policy: TreePolicy, table: ReplayTable, costs: CostModel) -> TreePolicy:
    """The policy, its decisions held or planned as the recipe says."""
    how = recipe.hold, recipe.planned_rounds, _adaptive(recipe)
    return lasting(policy, table, costs, *how, reward=recipe.reward, seed=recipe.seed, say=say)


def assist(recipe: Train, folder: Path, team: Workers) -> None:
    """What the processes beside the main one do of ``prepare``: their share of the tables."""
    menu, tasks = asked_shapes(recipe), prompts_of(recipe.prompts, recipe.prompt_count)
    team.wait()  # the main process measures
    tabulated(recipe, folder, menu, tasks, team)
    if recipe.learner == level_stage.LEVELS:
        level_stage.tabulated(recipe, folder, tasks, team)


def check(recipe: Train) -> None:
    """Whether all that the recipe names exists and goes together, before any work is done. Raises ValueError, or
    FileNotFoundError for a prompt file that is not there."""
    StateSpec.parse(recipe.state)
    named_reward(recipe.reward, 1.0)
    mode_of("ppo", recipe.mode, action_space=recipe.action_space)  # the words, before what each learner makes of them
    if recipe.max_new_tokens < 1 or not recipe.calibration_seconds > 0:
        raise ValueError(
            f"max_new_tokens {recipe.max_new_tokens} and calibration_seconds {recipe.calibration_seconds:g}: expected at "
            "least 1 token, and more than 0 seconds"
        )
    if recipe.learner == level_stage.LEVELS:
        level_stage.check(recipe)
    else:
        _check_trees(recipe)
    shapes = asked_shapes(recipe)
    if LEARNED in StateSpec.parse(recipe.state).parts and not 1 <= recipe.compressed_width <= len(shapes):
        raise ValueError(
            f"compressed_width {recipe.compressed_width}: expected 1 to {len(shapes)}, the trees of the menu, whose "
            f"outcomes {LEARNED} is compressed to foretell"
        )
    prompts_of(recipe.prompts, recipe.prompt_count)


def _check_trees(recipe: Train) -> None:
    """The same for what concerns the learners that choose a tree before each round."""
    learning_of(recipe)
    if recipe.draft_temperature is not None:
        raise ValueError(
            f"draft_temperature {recipe.draft_temperature:g}: only the learner {level_stage.LEVELS!r} changes it, not "
            f"{recipe.learner}"
        )
    longest = HOLDS[-1] if recipe.hold is None else recipe.hold
    Inference(hold_rounds=longest, planned_rounds=recipe.planned_rounds, adaptive=_adaptive(recipe))


def prepare(recipe: Train, run: Run, team: Workers = ALONE) -> Prepared:
    """All three stages, each taken up where the run's directory has it. Raises ValueError as ``check``."""
    check(recipe)
    if recipe.learner == level_stage.LEVELS:
        return _prepare_levels(recipe, run, team)
    shapes, tasks = asked_shapes(recipe), prompts_of(recipe.prompts, recipe.prompt_count)
    costs = calibrated(recipe, run.path, shapes, tasks)
    team.wait()
    table = tabulated(recipe, run.path, shapes, tasks, team)
    return Prepared(costs, table, learned(recipe, run, costs, table))


def _prepare_levels(recipe: Train, run: Run, team: Workers) -> Prepared:
    """The same for the learner that decides after every level; the replay table serves the baselines."""
    menu, tasks = asked_shapes(recipe), prompts_of(recipe.prompts, recipe.prompt_count)
    costs = calibrated(recipe, run.path, sorted({*menu, *level_stage.shapes(recipe)}), tasks)
    team.wait()
    table = tabulated(recipe, run.path, menu, tasks, team)
    levels = level_stage.tabulated(recipe, run.path, tasks, team)
    return Prepared(costs, table, level_stage.learned(recipe, run, costs, levels), levels)
