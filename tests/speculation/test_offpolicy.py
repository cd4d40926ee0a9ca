"""Are policies judged rightly by decodes that another one logged? Against exact replay, on tables of known truth."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from speculation.synthetic import COSTS, SHAPES, table
from trimtab.speculation.acceptance import AcceptanceModel, Grid
from trimtab.speculation.chances import Chances, always, collected_by_replay, drawn, explored, mixture, played, uniform
from trimtab.speculation.flat_replay import FlatReplay, fixed, flatten, roll
from trimtab.speculation.logged_rounds import Log
from trimtab.speculation.offpolicy import METHODS, OffPolicy, simulated, values, visits

ACTIONS = len(SHAPES)


@cache
def _replay() -> FlatReplay:
    return flatten(table(40, telling=False), COSTS)


def _log(chances: Chances, decodes: int, seed: int = 0, noise: float = 0.0) -> Log:
    return collected_by_replay(_replay(), np.full(40, 20), chances, decodes, seed=seed, noise=noise)


@cache
def _judge() -> OffPolicy:
    return OffPolicy(_log(uniform(ACTIONS), 8, noise=0.1), folds=2)


def _truth(chances: Chances) -> float:
    rng = np.random.default_rng(0)
    seconds = np.mean([played(_replay(), chances, rng).seconds for _ in range(40)])
    return float(_replay().positions_R.sum() / seconds)


def _by_history(features_BF: np.ndarray) -> np.ndarray:
    """A policy that looks at what was accepted last."""
    return np.eye(ACTIONS)[np.where(features_BF[:, -5] > 2, 6, np.where(features_BF[:, -5] > 0, 3, 2))]


POLICIES: dict[str, Chances] = {
    **{f"static {column}": always(column, ACTIONS) for column in (1, 3, 5, 7)},
    "by history": _by_history,
    "half at random": mixture([(0.5, _by_history), (0.5, uniform(ACTIONS))]),
}


def test_the_simulated_log_is_a_replay() -> None:
    log = _log(always(3, ACTIONS), 2)
    rounds = roll(_replay(), fixed(3))
    assert log.decodes == 80
    assert log.seconds_N.sum() == pytest.approx(2 * rounds.seconds_T.sum())
    assert np.bincount(log.decode_N, log.tokens_N).tolist() == np.tile(_replay().positions_R, 2).tolist()
    assert (log.probability_N == 1).all()
    ends = np.flatnonzero(np.diff(log.decode_N))
    np.testing.assert_array_equal(log.position_N[ends + 1], 0)


@pytest.mark.parametrize("name", POLICIES)
def test_close_to_the_truth(name: str) -> None:
    made, truth = _judge().estimate(POLICIES[name]), _truth(POLICIES[name])
    assert made.tokens_per_second == pytest.approx(truth, rel=0.06)
    assert made.here.low * 0.98 < truth < made.here.high * 1.02
    assert made.elsewhere.half_width >= made.here.half_width


def test_importance_sampling_has_nothing_left_after_tens_of_rounds() -> None:
    made = _judge().estimates(POLICIES["by history"])
    assert made["pdis"].effective_decodes < 3
    assert set(made) >= {"pdis", "dm", "dr", "mdr", "blend"}
    unlike = abs(made["pdis"].tokens_per_second / _truth(_by_history) - 1)
    assert unlike > 5 * abs(made["blend"].tokens_per_second / _truth(_by_history) - 1)


@pytest.mark.parametrize("method", [m for m in METHODS if m not in ("dm", "blend")])
def test_the_logger_itself_is_judged_by_what_was_seen(method: str) -> None:
    log = _judge().log
    seen = log.positions_Q.sum() * 8 / log.seconds_N.sum()
    made = _judge().estimates(uniform(ACTIONS), methods=(method,))[method]
    exact = method in ("is", "pdis", "wis")  # the others know the model too: close, not equal
    assert made.tokens_per_second == pytest.approx(seen, rel=1e-9 if exact else 0.02)


def test_decisions_are_charged() -> None:
    free, charged = (_judge().estimate(_by_history, decision_seconds=s) for s in (0.0, 1e-3))
    rounds = len(played(_replay(), _by_history, np.random.default_rng(0)).row_N)
    assert charged.seconds - free.seconds == pytest.approx(1e-3 * rounds, rel=0.1)


def test_a_model_that_saw_every_outcome_replays_exactly() -> None:
    log = _log(uniform(ACTIONS), 4)
    grid = Grid(log.positions_Q, log.context_Q)
    model = AcceptanceModel.fit(log, grid, grid.row(log))
    replay = _replay()
    model.accepted_RAL[:] = np.eye(model.accepted_RAL.shape[2])[replay.accepted_NA]
    model.seconds_RA[:] = replay.seconds_NA
    chances_RA = always(5, ACTIONS)(np.zeros((replay.rows, 1)))
    rounds = roll(replay, fixed(5))
    q_RA = values(model, chances_RA)
    assert q_RA[replay.start_R, 5].sum() == pytest.approx(rounds.seconds_T.sum())
    expected = np.zeros(replay.rows)
    expected[rounds.row_T] = 1
    np.testing.assert_allclose(visits(model, chances_RA), expected)
    _, counted = simulated(model, always(5, ACTIONS))
    np.testing.assert_allclose(counted, expected)


def test_the_model_is_a_distribution_and_knows_what_it_saw() -> None:
    log = _log(uniform(ACTIONS), 3)
    grid = Grid(log.positions_Q, log.context_Q)
    rows = grid.row(log)
    model = AcceptanceModel.fit(log, grid, rows)
    np.testing.assert_allclose(model.accepted_RAL.sum(axis=2), 1)
    assert (model.accepted_RAL >= -1e-12).all()
    np.testing.assert_allclose(model.accepted_RAL[rows, log.action_N, log.accepted_N], 1)
    for column, shape in enumerate(SHAPES):
        assert model.accepted_RAL[:, column, shape.depth + 2 :].max(initial=0) == 0
    known = (model.accepted_RAL * np.arange(model.accepted_RAL.shape[2])).sum(axis=2)
    true = _replay().accepted_NA
    assert np.corrcoef(known.ravel(), true.ravel())[0, 1] > 0.7
    np.testing.assert_allclose(known.mean(axis=0), true.mean(axis=0), rtol=0.12, atol=0.05)
    np.testing.assert_allclose(model.seconds_RA, _replay().seconds_NA, rtol=1e-3)


def test_visits_by_the_logger_are_those_that_were_seen() -> None:
    off = _judge()
    model = off.models[0]
    expected = visits(model, uniform(ACTIONS)(np.zeros((off.grid.rows, 1))))
    seen = np.bincount(off.row_N, minlength=off.grid.rows) / 8
    assert expected.sum() == pytest.approx(seen.sum(), rel=0.06)
    assert np.corrcoef(expected, seen)[0, 1] > 0.7


def test_an_action_is_drawn_by_its_chance() -> None:
    chances = np.tile([0.0, 0.2, 0.8, 0.0], (20_000, 1))
    counts = np.bincount(drawn(chances, np.random.default_rng(0)), minlength=4)
    assert counts[0] == counts[3] == 0
    assert counts[1] == pytest.approx(4000, rel=0.05)


def test_what_cannot_be_judged_is_refused() -> None:
    with pytest.raises(ValueError, match="known methods: is, pdis"):
        _judge().estimates(_by_history, methods=("magic",))
    with pytest.raises(ValueError, match="2 folds of 1 decodes"):
        OffPolicy(_log(uniform(ACTIONS), 1).prompts_where(np.arange(40) == 0), folds=2)
    with pytest.raises(ValueError, match="sum of 1"):
        mixture([(0.5, _by_history)])
    with pytest.raises(ValueError, match="a chance"):
        explored(_by_history, 1.5, ACTIONS)
