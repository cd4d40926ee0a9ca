"""On another machine: exact sums by hand, bounds that must hold, and that nothing is lost where nothing differs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.speculation import synthetic

from trimtab.speculation.actions import TreeShape
from trimtab.speculation.full_information import FullInformation
from trimtab.speculation.learners import Informed
from trimtab.speculation.learning import LearningSettings, learn, split
from trimtab.speculation.level_learning import LevelLearning, learn_levels
from trimtab.speculation.level_learning import split as split_levels
from trimtab.speculation.levels import LevelMenu, LevelReplay, LevelTable
from trimtab.speculation.recipe import Train
from trimtab.speculation.stages import Prepared
from trimtab.speculation.transfer import (
    LevelLesson,
    TreeLesson,
    by_conversation,
    compare,
    lesson_of,
    machines,
    scaled,
    table_of,
)

COSTS = synthetic.COSTS
MENU = LevelMenu(2, 3, (2, 3, 5))
QUICK = LevelLearning(hidden=4, passes=1, epochs=2)


def level_table(prompts: int = 16, positions: int = 24) -> LevelTable:
    """Levels that accept one token more for each, up to a number that is drawn for every position."""
    rng = np.random.default_rng(0)
    made: list[LevelReplay] = []
    for index in range(prompts):
        reach_P = rng.integers(0, 5, positions)
        length = np.arange(1, MENU.depth + 2)
        depth = np.arange(MENU.depth + 1)
        there = (length[None, None] <= reach_P[:, None, None]) & (length[None, None] <= depth[None, :, None] + 1)
        needed = np.where(there, length + 1, 32767).astype(np.int16)
        mass = rng.random((positions, MENU.depth + 1, len(MENU.totals))).astype(np.float32)
        beam = -rng.random((positions, MENU.depth + 1, 4)).astype(np.float32)
        context = np.arange(20, 20 + positions, dtype=np.int32)
        made.append(LevelReplay(f"t{index // 2}/turn{index % 2 + 1}", "x", positions + 1, needed, mass, beam, context))
    return LevelTable(MENU, made)


def level_lesson() -> LevelLesson:
    seen, kept = split_levels(level_table(), 0.25, 0)
    return LevelLesson([seen], [kept], QUICK, 0)


def tree_lesson() -> TreeLesson:
    seen, kept = split(synthetic.table(24), 0.25, 0)
    settings = LearningSettings(menu_size=4, learner=Informed(FullInformation(iterations=3), hidden=(8,)))
    return TreeLesson(seen, kept, settings, None, 0)


def test_turns_are_summed_into_conversations() -> None:
    made = by_conversation(["a/turn1", "b", "a/turn2"], [10, 5, 20], [1.0, 0.5, 2.0])
    assert made.tokens_Q.tolist() == [30, 5]
    assert made.seconds_Q.tolist() == [3.0, 0.5]
    assert made.tokens_per_second == pytest.approx(10)


def test_scaled_costs_are_the_same_parts_times_their_factors() -> None:
    other, shapes = scaled(COSTS, 0.5, 2.0), [TreeShape(16, 7, 4), TreeShape(4, 2, 1)]
    for part, factor in (("draft", 0.5), ("verify", 2.0), ("rest", 1.0)):
        for mine, theirs in zip(COSTS.line_A(shapes, [part]), other.line_A(shapes, [part]), strict=True):
            assert theirs == pytest.approx(factor * mine)
    assert other.plain_seconds(30) == pytest.approx(2 * COSTS.plain_seconds(30))
    assert "simulated" in other.measured_on
    assert scaled(COSTS, 1, 1).draft == COSTS.draft
    with pytest.raises(ValueError, match="above 0"):
        scaled(COSTS, 0, 1)


@pytest.mark.parametrize("make", [level_lesson, tree_lesson])
def test_on_the_same_machine_nothing_is_lost(make: Any) -> None:
    (made,) = compare(make(), COSTS, {"same": COSTS})
    rows = {row["name"]: row for row in made.rows}
    assert made.over_retrained.estimate == pytest.approx(1.0)
    assert rows["own"]["tokens_per_second"] == pytest.approx(rows["transferred"]["tokens_per_second"])
    assert rows["static-kept"]["against_best_static"] == pytest.approx(1.0)
    assert rows["best-static"]["low"] == pytest.approx(1.0)


@pytest.mark.parametrize("make", [level_lesson, tree_lesson])
def test_the_oracle_bounds_all_others_on_every_machine(make: Any) -> None:
    others = machines(COSTS, [], [(0.25, 1.0), (6.0, 0.5)])
    made = compare(make(), COSTS, others)
    assert [one.machine for one in made] == list(others)
    for one in made:
        rows = {row["name"]: row for row in one.rows}
        assert list(rows) == ["own", "transferred", "retrained", "static-kept", "best-static", "oracle"]
        there = [row["tokens_per_second"] for name, row in rows.items() if name != "own"]
        assert rows["oracle"]["tokens_per_second"] == max(there)
        moved, anew = (rows[name]["tokens_per_second"] for name in ("transferred", "retrained"))
        assert one.over_retrained.estimate == pytest.approx(moved / anew)
    assert len(table_of(made, 4).rows) == 12


def test_a_tree_policy_that_sees_the_best_action_gains_by_being_taught_anew() -> None:
    (made,) = compare(tree_lesson(), COSTS, machines(COSTS, [], [(12.0, 0.1)]))
    rows = {row["name"]: row for row in made.rows}
    assert rows["retrained"]["tokens_per_second"] > rows["transferred"]["tokens_per_second"]
    assert made.over_retrained.high < 1


def test_machines_come_from_files_and_factors(tmp_path: Path) -> None:
    COSTS.save(tmp_path / "costs.json")
    made = machines(COSTS, [tmp_path / "costs.json"], [(1.0, 2.0)])
    assert list(made) == [str(tmp_path / "costs.json"), "simulated: draft x 1, verify x 2"]
    with pytest.raises(ValueError, match="expected one or more"):
        machines(COSTS, [], [])


def test_costs_that_do_not_cover_the_trees_are_refused() -> None:
    small = replace(COSTS, knots=replace(COSTS.knots, total_tokens=(2, 4)))
    with pytest.raises(ValueError, match="calibrate again"):
        compare(level_lesson(), COSTS, {"small": small})


def test_a_runs_tables_are_parted_by_its_learner() -> None:
    table, levels = synthetic.table(24), level_table()
    rule = learn_levels([levels], COSTS, QUICK, say=lambda _line: None)
    parted = lesson_of(Train(), Prepared(COSTS, table, rule, [levels]), 0.25)
    assert isinstance(parted, LevelLesson)
    seen, kept = ({p.task.split("/")[0] for p in part[0].prompts} for part in (parted.seen, parted.kept))
    assert not seen & kept
    settings = LearningSettings(menu_size=3, learner=Informed(FullInformation(iterations=1), hidden=(4,)))
    trees = learn(table, COSTS, settings, say=lambda _line: None)
    assert isinstance(lesson_of(Train(learner="dqn"), Prepared(COSTS, table, trees), 0.25), TreeLesson)
    with pytest.raises(ValueError, match="between 0 and 1"):
        lesson_of(Train(), Prepared(COSTS, table, rule, [levels]), 1.0)
    with pytest.raises(ValueError, match="too few conversations"):
        lesson_of(Train(), Prepared(COSTS, table, rule, [levels]), 0.01)
