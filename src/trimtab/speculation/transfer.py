"""What is lost where a policy serves on another machine than it was trained for? Acceptance travels, costs do not.

The same training tables, other costs. Two policies of one learner, one taught with the run's costs and one with the other
machine's, are judged with the latter's on conversations that neither has seen (a part of the tables is kept from both, so
that the run's own policy, which has seen all, has no part in it). No model is run.

own             the run's costs:     the policy taught with them, against the best static tree under them
transferred     the other machine's: that same policy
retrained       the other machine's: the policy taught with its costs
static-kept     the other machine's: the static tree that was best under the run's costs
best-static     the other machine's: the static tree that is best under its costs
oracle          the other machine's: dynamic programming
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from trimtab import machine
from trimtab.console import Table, say
from trimtab.records import write_json
from trimtab.speculation import learning, level_learning, level_replay, oracle
from trimtab.speculation.costs import CostModel
from trimtab.speculation.learning import LearningSettings, learn, replayed
from trimtab.speculation.level_learning import LevelLearning, learn_levels
from trimtab.speculation.level_policy import LevelPolicy
from trimtab.speculation.level_replay import FlatLevels, LevelRounds, flatten
from trimtab.speculation.levels import LevelMenu, LevelTable
from trimtab.speculation.replay import ReplayTable
from trimtab.speculation.stages import Prepared, learning_of
from trimtab.speculation.state_tables import narrow
from trimtab.speculation.states import Features
from trimtab.speculation.trained import prepared_of, recipe_of
from trimtab.speculation.tree_policy import TreePolicy
from trimtab.statistics import Interval, paired_ratio

if TYPE_CHECKING:
    from trimtab.speculation.recipe import Train, Transfer

Floats = NDArray[np.float64]
P = TypeVar("P")
S = TypeVar("S")


@dataclass(frozen=True)
class Replayed:
    """Tokens [Q] and seconds [Q] of the judged conversations, in one way of decoding them."""

    tokens_Q: Floats
    seconds_Q: Floats

    @property
    def tokens_per_second(self) -> float:
        return float(self.tokens_Q.sum() / self.seconds_Q.sum())

    def over(self, other: Replayed) -> Interval:
        """Speed over another's, with its interval over conversations."""
        return paired_ratio(self.tokens_Q, self.seconds_Q, other.seconds_Q, tokens_b_P=other.tokens_Q)


def by_conversation(tasks: Sequence[str], tokens_R: Sequence[float], seconds_R: Sequence[float]) -> Replayed:
    """Turns summed into the conversations that they belong to."""
    names = [task.split("/turn")[0] for task in tasks]
    places = {name: place for place, name in enumerate(dict.fromkeys(names))}
    rows = [places[name] for name in names]
    sums = (np.bincount(rows, np.asarray(column, dtype=float)).astype(float) for column in (tokens_R, seconds_R))
    return Replayed(*sums)


# -- what is taught and judged: trees chosen beforehand, or stopping after any level -----------------------------------


class Lesson(Protocol[P, S]):
    """Tables in two parts, to learn from and to judge by. ``P``: a policy, ``S``: a static tree."""

    def taught(self, costs: CostModel) -> P: ...
    def static(self, costs: CostModel) -> S: ...
    def judged(self, policy: P, costs: CostModel) -> Replayed: ...
    def judged_static(self, static: S, costs: CostModel) -> Replayed: ...
    def oracle(self, costs: CostModel) -> Replayed: ...


@dataclass(frozen=True)
class TreeLesson:
    """For learners that choose a tree before each round."""

    seen: ReplayTable
    kept: ReplayTable
    settings: LearningSettings
    position: Features | None
    seed: int

    def taught(self, costs: CostModel) -> TreePolicy:
        return learn(self.seen, costs, self.settings, seed=self.seed, position=self.position, say=_silent)

    def static(self, costs: CostModel) -> int:
        return oracle.best_static(oracle.price(self.seen, costs))

    def judged(self, policy: TreePolicy, costs: CostModel) -> Replayed:
        return _summed(replayed(policy, self.kept, costs, decision_seconds=self.settings.decision_seconds))

    def judged_static(self, static: int, costs: CostModel) -> Replayed:
        return _summed([oracle.static(one, static) for one in oracle.price(self.kept, costs)])

    def oracle(self, costs: CostModel) -> Replayed:
        return _summed([oracle.oracle(one) for one in oracle.price(self.kept, costs)])


def _summed(decodes: Sequence[oracle.Decode]) -> Replayed:
    made = [decode for decode in decodes if decode.tokens]
    return by_conversation([d.task for d in made], [d.tokens for d in made], [d.seconds for d in made])


@dataclass(frozen=True)
class LevelStatic:
    """A static tree of a level menu."""

    menu: LevelMenu
    depth: int
    total: int

    def __str__(self) -> str:
        tree = f"({self.menu.totals[self.total]}, {self.depth}, {self.menu.top_k})"
        return f"{tree} at draft temperature {self.menu.draft_temperature:.2f}"


@dataclass(frozen=True)
class LevelLesson:
    """For the learner that decides after every level; tables of several beam widths."""

    seen: list[LevelTable]
    kept: list[LevelTable]
    settings: LevelLearning
    seed: int

    def taught(self, costs: CostModel) -> LevelPolicy:
        return learn_levels(self.seen, costs, self.settings, seed=self.seed, say=_silent)

    def static(self, costs: CostModel) -> LevelStatic:
        rated: list[tuple[float, LevelStatic]] = []
        for table in self.seen:
            depth, total, rate = level_replay.best_fixed(flatten(table, costs))
            rated.append((rate, LevelStatic(table.menu, depth, total)))
        return max(rated, key=lambda pair: pair[0])[1]

    def judged(self, policy: LevelPolicy, costs: CostModel) -> Replayed:
        levels = self._flat(policy.menu, costs)
        return _of_levels(levels, policy.replay(levels, self.settings.level_seconds))

    def judged_static(self, static: LevelStatic, costs: CostModel) -> Replayed:
        levels = self._flat(static.menu, costs)
        return _of_levels(levels, level_replay.roll(levels, level_replay.fixed(static.depth, static.total)))

    def oracle(self, costs: CostModel) -> Replayed:
        levels = [flatten(table, costs) for table in self.kept]
        made = [(level_replay.oracle(one), one) for one in levels]
        best, of = max(made, key=lambda pair: pair[0].rate())
        return _of_levels(of, best)

    def _flat(self, menu: LevelMenu, costs: CostModel) -> FlatLevels:
        return flatten(next(table for table in self.kept if table.menu == menu), costs)


def _of_levels(levels: FlatLevels, rounds: LevelRounds) -> Replayed:
    tokens, seconds = rounds.per_prompt(len(levels.tasks))
    return by_conversation(levels.tasks, tokens.tolist(), seconds.tolist())


def _silent(_line: str) -> None:
    """Learners' own reports would drown the comparison."""


def lesson_of(recipe: Train, prepared: Prepared, judged_share: float) -> TreeLesson | LevelLesson:
    """The run's tables in two parts, and its learner. Raises ValueError where a part would be empty."""
    if not 0 < judged_share < 1:
        raise ValueError(f"judged_share is {judged_share}: expected a share between 0 and 1, such as 0.25")
    if isinstance(prepared.policy, LevelPolicy):
        parts = [level_learning.split(table, judged_share, recipe.seed) for table in prepared.levels]
        if not parts or parts[0][0] is parts[0][1]:
            raise _too_few(judged_share)
        return LevelLesson([seen for seen, _ in parts], [kept for _, kept in parts], LevelLearning(), recipe.seed)
    position = prepared.policy.position
    seen, kept = learning.split(narrow(prepared.table, position), judged_share, recipe.seed)
    if seen is kept:
        raise _too_few(judged_share)
    return TreeLesson(seen, kept, learning_of(recipe), position, recipe.seed)


def _too_few(judged_share: float) -> ValueError:
    return ValueError(
        f"the run's tables hold too few conversations to keep a share of {judged_share:g} from the policies: train on more "
        "prompts"
    )


# -- other machines ----------------------------------------------------------------------------------------------------


def scaled(costs: CostModel, draft: float, verify: float) -> CostModel:
    """Costs of a machine that does not exist: drafting, and the target's forwards, take so many times as long.

    Raises ValueError for factors that are not above 0.
    """
    if not (draft > 0 and verify > 0):
        raise ValueError(f"factors {draft:g} (drafting) and {verify:g} (verification): expected numbers above 0")
    plain, prefill = ((first * verify, slope * verify) for first, slope in (costs.plain, costs.prefill))
    return replace(
        costs,
        draft=tuple(draft * value for value in costs.draft),
        verify=tuple(verify * value for value in costs.verify),
        plain=plain,
        prefill=prefill,
        measured_on=dict(costs.measured_on) | {"simulated": f"drafting x {draft:g}, verification x {verify:g}"},
    )


def machines(costs: CostModel, files: Sequence[Path], factors: Sequence[tuple[float, float]]) -> dict[str, CostModel]:
    """The cost models to judge under, by name. Raises ValueError where there is none or two bear one name."""
    named = [(str(path), CostModel.load(path)) for path in files]
    named += [(f"simulated: draft x {d:g}, verify x {v:g}", scaled(costs, d, v)) for d, v in factors]
    if not named or len(dict(named)) != len(named):
        raise ValueError(
            f"{len(named)} machines, {len(dict(named))} of them different: expected one or more, each once"
        )
    return dict(named)


# -- the comparison ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Transferred:
    """One machine's rows, and the speed of the transferred policy over the re-trained one's (1: nothing is lost)."""

    machine: str
    rows: list[dict[str, Any]]
    over_retrained: Interval


def compare(lesson: Lesson[P, S], own: CostModel, others: Mapping[str, CostModel]) -> list[Transferred]:
    """Teach once with the run's costs and once with each machine's, and replay.

    Raises ValueError where a machine's costs do not cover the trees (``Knots.check``).
    """
    policy, static = lesson.taught(own), lesson.static(own)
    at_home = lesson.judged(policy, own), lesson.judged_static(static, own)
    made: list[Transferred] = []
    for name, costs in others.items():
        rechosen, retrained = lesson.static(costs), lesson.taught(costs)
        base, moved, anew = (
            lesson.judged_static(rechosen, costs),
            lesson.judged(policy, costs),
            lesson.judged(retrained, costs),
        )
        rows = [
            _row(name, "own", *at_home, "under the run's own costs, against the best static tree there"),
            _row(name, "transferred", moved, base, "taught with the run's costs"),
            _row(name, "retrained", anew, base, "taught with this machine's costs"),
            _row(name, "static-kept", lesson.judged_static(static, costs), base, _tree(lesson, static)),
            _row(name, "best-static", base, base, _tree(lesson, rechosen)),
            _row(name, "oracle", lesson.oracle(costs), base, "dynamic programming"),
        ]
        made.append(Transferred(name, rows, moved.over(anew)))
    return made


def _tree(lesson: Any, static: Any) -> str:
    """A static tree in words: of a table's menu it is a column."""
    return str(lesson.kept.actions[static] if isinstance(lesson, TreeLesson) else static)


def _row(machine_: str, name: str, made: Replayed, base: Replayed, note: str) -> dict[str, Any]:
    interval = made.over(base)
    return {
        "machine": machine_,
        "name": name,
        "tokens_per_second": made.tokens_per_second,
        "against_best_static": interval.estimate,
        "low": interval.low,
        "high": interval.high,
        "note": note,
    }


def table_of(made: Sequence[Transferred], conversations: int) -> Table:
    """The rows as people read them."""
    lost = "; ".join(f"{one.machine}: transferred over retrained {one.over_retrained}" for one in made)
    columns = ("machine", "decoding", "tokens/s", "ratio", "95%_interval", "note")
    table = Table(f"{conversations} conversations kept from training, replayed", columns, note=lost)
    for one in made:
        for row in one.rows:
            span = f"{row['low']:.3f} to {row['high']:.3f}"
            values = (row["tokens_per_second"], row["against_best_static"], span, row["note"])
            table.add(row["machine"], row["name"], *values)
    return table


def transfer(command: Transfer) -> None:
    """``trimtab speculation transfer``."""
    recipe, prepared = recipe_of(command.run_directory), prepared_of(command.run_directory)
    others = machines(prepared.costs, command.costs, command.factors)
    lesson: Any = lesson_of(recipe, prepared, command.judged_share)
    say(f"teaching {1 + len(others)} policies on the run's tables")
    made = compare(lesson, prepared.costs, others)
    conversations = len(lesson.oracle(prepared.costs).tokens_Q)
    table_of(made, conversations).print()
    result = {
        "rows": [row for one in made for row in one.rows],
        "transferred_over_retrained": {one.machine: vars(one.over_retrained) for one in made},
        "conversations": conversations,
        "costs_measured_on": {name: dict(costs.measured_on) for name, costs in others.items()},
        "run": command.run_directory.name,
        "versions": machine.versions(),
        "date": machine.today(),
    }
    write_json(command.run_directory / "transfer.json", result)
    if command.json:
        write_json(command.json, result)
