"""Baselines chosen on the training part, differences by prompt, and the controls."""

from __future__ import annotations

import numpy as np
import pytest

from compression.made_tables import made_table
from trimtab.compression.contest import BEST_FIXED, LOOKUP, ORACLE, UNIFORM, contest, crossed_difference, lookup
from trimtab.compression.evaluation import at_budget
from trimtab.compression.judging import LEARNED, Split


def test_a_contest_by_hand() -> None:
    table = made_table(8)
    train, held_out = table.subset(range(4)), table.subset(range(4, 8))
    found = contest(train, held_out, "fidelity", 32, {LEARNED: np.array([0, 1, 2, 0])})
    rewards = held_out.rewards("fidelity", 32).astype(float)
    best = int(train.rewards("fidelity", 32).mean(0).argmax())
    assert found.earned(BEST_FIXED) == pytest.approx(rewards[:, best])
    assert found.earned(LEARNED) == pytest.approx(rewards[[0, 1, 2, 3], [0, 1, 2, 0]])
    assert found.earned(ORACLE) == pytest.approx(rewards.max(1))
    assert found.histogram(LEARNED) == {"h2o": 2, "tova": 1, "snapkv": 1}
    assert sum(row["name"] == "h2o" for row in found.rows()) == 1
    assert all(one in rewards[row] for row, one in enumerate(found.earned(UNIFORM)))
    with pytest.raises(ValueError, match="no contender 'winner'"):
        found.earned("winner")


def test_lookup_knows_groups_and_falls_back() -> None:
    rewards = np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    assert lookup(rewards, ["a", "a", "b"]) == {"a": 0, "b": 1}
    table = made_table(40)
    found = contest(table.subset(range(20)), table.subset(range(20, 40)), "fidelity", 32, {})
    assert LOOKUP in {contender.name for contender in found.contenders}


def test_ties_are_counted() -> None:
    table = made_table(40)
    tight = contest(table.subset(range(20)), table.subset(range(20, 40)), "fidelity", 32, {})
    loose = contest(table.subset(range(20)), table.subset(range(20, 40)), "fidelity", 64, {})
    assert tight.ties == 0
    assert loose.ties == 1


def test_what_is_learnable_is_learned_and_what_is_not_is_not_claimed() -> None:
    learned = at_budget(Split.of(made_table(400), 0.2, 0.4), "fidelity", 32, "structural+hidden")
    assert learned.verdict(LEARNED) == "better"
    assert learned.against(LEARNED).estimate > 0.2
    blind = at_budget(Split.of(made_table(400, informative=False), 0.2, 0.4), "fidelity", 32, "structural+hidden")
    assert blind.verdict(LEARNED) == "undecided"


def test_an_interval_over_models_is_wider_where_models_disagree() -> None:
    random = np.random.default_rng(0)
    alike = [0.1 + 0.1 * random.standard_normal(200) for _ in range(3)]
    apart = [values + shift for values, shift in zip(alike, (-0.2, 0.0, 0.2), strict=True)]
    near, far = crossed_difference(alike), crossed_difference(apart)
    assert near.estimate == pytest.approx(far.estimate)
    assert far.half_width > 3 * near.half_width
    assert near.low > 0 > far.low
