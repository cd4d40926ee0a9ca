"""Do bounds and baselines on a table agree with hand-worked numbers and with trying everything?"""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from speculation.tables import costs_of, random_table, table_of
from trimtab.speculation.oracle import (
    Priced,
    best_static,
    best_static_each,
    bounds,
    by_position,
    clairvoyant,
    extended_seconds_A,
    held,
    oracle,
    price,
    prune,
    regret_seconds,
    roll,
    static,
    static_seconds_QA,
    tokens_per_second,
)

SMALL = st.tuples(st.integers(1, 5), st.integers(1, 3), st.integers(0, 10_000))
"""(positions, actions, seed)"""


def small(positions: int, actions: int, seed: int) -> Priced:
    draw = np.random.default_rng(seed)
    table = random_table(draw, prompts=1, positions=positions, actions=actions)
    return Priced(table.prompts[0], draw.uniform(0.1, 3.0, (positions, actions)))


def every_decode(priced: Priced) -> list[float]:
    """The seconds of every way to choose an action at every position."""
    positions, actions = priced.seconds_PA.shape
    ways = product(range(actions), repeat=positions)
    return [roll(priced, by_position(np.array(way))).seconds for way in ways]


def test_hand_worked() -> None:
    # Action 0: one second, accepts 0 but for position 2 (accepts 1). Action 1: two seconds, accepts 0 1 0 2, then 0.
    table = table_of([[[0, 0], [0, 1], [1, 0], [0, 2]]])
    priced = Priced(table.prompts[0], np.tile([1.0, 2.0], (4, 1)))
    assert static(priced, 0).seconds == 3.0  # 0 1 2 | 4
    assert static(priced, 1).seconds == 6.0  # 0 1 | 3
    assert static(priced, 1).actions == [1, 1, 1]
    assert oracle(priced).seconds == 3.0
    assert regret_seconds(static(priced, 1), priced) == 3.0
    assert oracle(priced).actions == [0, 0, 0]
    assert oracle(priced).tau == pytest.approx(4 / 3)
    assert held(priced, 2).seconds == 3.0
    assert tokens_per_second([static(priced, 0), static(priced, 1)]) == pytest.approx(8 / 9)


def test_the_myopic_clairvoyant_may_lose() -> None:
    # Taking two tokens now (rate 2) leads to a slow position; one token (rate 1) to a long leap.
    table = table_of([[[1, 0], [2, 2], [0, 0], [0, 0]]])
    seconds = np.array([[1.0, 1.0], [1.0, 1.0], [9.0, 9.0], [9.0, 9.0]])
    priced = Priced(table.prompts[0], seconds)
    assert clairvoyant(priced).seconds == 19.0
    assert oracle(priced).seconds == 2.0


@given(SMALL)
@settings(max_examples=60, deadline=None)
def test_the_oracle_is_the_best_of_all_decodes(case: tuple[int, int, int]) -> None:
    priced = small(*case)
    assert oracle(priced).seconds == pytest.approx(min(every_decode(priced)))


@given(SMALL, st.integers(1, 4))
@settings(max_examples=60, deadline=None)
def test_the_held_oracle_is_the_best_of_all_held_decodes(case: tuple[int, int, int], rounds: int) -> None:
    priced = small(*case)
    positions, actions = priced.seconds_PA.shape
    decisions = -(-positions // rounds)
    tried = []
    for way in product(range(actions), repeat=decisions):
        choice = list(way)
        tried.append(roll(priced, lambda _p, history, choice=choice: choice[len(history) // rounds]).seconds)
    assert held(priced, rounds).seconds == pytest.approx(min(tried))


@given(SMALL)
@settings(max_examples=60, deadline=None)
def test_everyone_stands_between_oracle_and_best_static(case: tuple[int, int, int]) -> None:
    priced = small(*case)
    fastest = oracle(priced).seconds
    each = best_static_each([priced])[0].seconds
    assert fastest <= each + 1e-9
    assert fastest <= clairvoyant(priced).seconds + 1e-9
    assert all(fastest <= held(priced, rounds).seconds + 1e-9 for rounds in (1, 2, 3))
    assert held(priced, 1).seconds == pytest.approx(fastest)
    assert held(priced, 99).seconds == pytest.approx(each)
    assert regret_seconds(static(priced, 0), priced) >= -1e-9


def test_static_seconds_equal_rolled_decodes() -> None:
    table, costs = random_table(np.random.default_rng(3), prompts=4, positions=20, actions=6), costs_of()
    priced = price(table, costs)
    rolled = [[static(one, action).seconds for action in range(6)] for one in priced]
    np.testing.assert_allclose(static_seconds_QA(priced), rolled)
    together = static_seconds_QA(priced).sum(axis=0)
    assert best_static(priced) == together.argmin()
    each, limits = best_static_each(priced), bounds(priced)
    assert sum(decode.seconds for decode in each) <= together.min()
    assert limits.best_static <= limits.best_static_each <= limits.oracle
    assert limits.clairvoyant <= limits.oracle
    assert (limits.share(limits.best_static), limits.share(limits.oracle)) == (0.0, 1.0)


def test_an_extended_menu_is_priced_as_the_oracle_of_that_menu() -> None:
    table, costs = random_table(np.random.default_rng(4), prompts=1, positions=30, actions=5), costs_of()
    priced = price(table, costs)[0]
    for extra, seconds in enumerate(extended_seconds_A(priced, [1, 3])):
        menu = [table.actions[index] for index in sorted({1, 3, extra})]
        assert oracle(price(table.subset(menu), costs)[0]).seconds == pytest.approx(seconds)


def test_pruning_begins_with_the_best_static_tree_and_never_slows_the_oracle() -> None:
    table, costs = random_table(np.random.default_rng(5), prompts=6, positions=30, actions=12), costs_of()
    menu = prune(table, costs, 5)
    assert menu[0] == table.actions[best_static(price(table, costs))]
    assert len(set(menu)) == len(menu) <= 5
    rates = [
        tokens_per_second([oracle(one) for one in price(table.subset(menu[:size]), costs)])
        for size in range(1, len(menu) + 1)
    ]
    assert rates == sorted(rates)
    with pytest.raises(ValueError, match="expected 1 to 12"):
        prune(table, costs, 13)


def test_pruning_stops_where_nothing_is_saved() -> None:
    table = table_of([[[0, 0]] * 5])  # action 1 costs more and accepts no more
    assert prune(table, costs_of(), 2) == [table.actions[0]]
