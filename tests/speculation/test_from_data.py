"""Does learning from logged decodes find what is there to be found, and go on exactly where it stopped?"""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from speculation.synthetic import COSTS, NAMES, SHAPES, table
from trimtab.checkpoints import Bookkeeping, Checkpoint, Checkpoints
from trimtab.speculation.chances import collected_by_replay, of_policy, uniform
from trimtab.speculation.flat_replay import FlatReplay, fixed, flatten, rate
from trimtab.speculation.flat_replay import roll as rolled
from trimtab.speculation.from_data import FromData, learn_from_data, split
from trimtab.speculation.inference import Inference
from trimtab.speculation.logged_rounds import Log
from trimtab.speculation.tree_policy import TreePolicy

SHORT = FromData(iterations=3, hidden=(16,))


@cache
def _replay(telling: bool = True) -> FlatReplay:
    return flatten(table(40, telling=telling), COSTS)


@cache
def _log(telling: bool = True, decodes: int = 4) -> Log:
    return collected_by_replay(_replay(telling), np.full(40, 20), uniform(len(SHAPES)), decodes, seed=1)


def _speed(policy: TreePolicy, replay: FlatReplay) -> float:
    return rate(rolled(replay, lambda known, _rows: policy.columns(known)))


def _quiet(_line: str) -> None: ...


def test_it_beats_the_best_static_tree_where_features_tell() -> None:
    policy = learn_from_data(_log(), FromData(iterations=12), say=_quiet)
    fresh = flatten(table(30, seed=9), COSTS)
    static = max(rate(rolled(fresh, fixed(column))) for column in range(len(SHAPES)))
    assert _speed(policy, fresh) > 1.05 * static
    assert policy.metadata["validation_gain"] > 1.03


def test_it_says_so_where_nothing_can_be_learned() -> None:
    said: list[str] = []
    policy = learn_from_data(_log(telling=False), replace(SHORT, decision_seconds=5e-4), say=said.append)
    columns = policy.columns(np.random.default_rng(0).standard_normal((50, policy.features.width)).astype(np.float32))
    assert len(set(columns.tolist())) == 1
    assert "nothing learned beats" in said[-1]


class _Killed(Exception):
    pass


class _Kills(Checkpoints):
    """Dies after ``writes`` checkpoints."""

    writes = 2

    def write(self, step: int, arrays: object, state: object, bookkeeping: Bookkeeping) -> Path:  # type: ignore[override]
        if step > self.writes:
            raise _Killed
        return super().write(step, arrays, state, bookkeeping)  # type: ignore[arg-type]


def test_killed_and_resumed_it_ends_at_the_same_policy(tmp_path: Path) -> None:
    whole = learn_from_data(_log(), replace(SHORT, iterations=4), say=_quiet)
    with pytest.raises(_Killed):
        learn_from_data(_log(), replace(SHORT, iterations=4), say=_quiet, checkpoints=_Kills(tmp_path / "c", keep=2))
    rows: list[int] = []
    resumed = learn_from_data(
        _log(),
        replace(SHORT, iterations=4),
        say=_quiet,
        checkpoints=Checkpoints(tmp_path / "c", keep=2),
        metrics=lambda update, _row: rows.append(update),
    )
    assert rows == [3, 4]
    for name, array in whole.mlp.arrays().items():
        np.testing.assert_array_equal(array, resumed.mlp.arrays()[name])


def test_a_checkpoint_of_other_data_is_refused(tmp_path: Path) -> None:
    keeper = Checkpoints(tmp_path / "c", keep=1)
    learn_from_data(_log(), replace(SHORT, iterations=1), say=_quiet, checkpoints=keeper)
    assert isinstance(keeper.latest(), Checkpoint)
    with pytest.raises(ValueError, match="learned from other data"):
        learn_from_data(_log(telling=False), SHORT, say=_quiet, checkpoints=keeper)


def test_the_turns_of_a_conversation_stay_together() -> None:
    log = replace(_log(), prompts=[f"q{index // 2}/turn{index % 2 + 1}/h" for index in range(40)])
    train, held = split(log, 0.25, 0)
    questions = [{name.split("/")[0] for name in part.prompts} for part in (train, held)]
    assert not questions[0] & questions[1]
    assert (len(questions[0]), len(questions[1])) == (15, 5)
    assert train.rounds + held.rounds == log.rounds
    assert held.decode_N.max() == held.decodes - 1 == 4 * 10 - 1


def test_what_cannot_be_learned_from_is_refused() -> None:
    with pytest.raises(ValueError, match="1 conversations"):
        learn_from_data(_log().prompts_where(np.arange(40) == 3), SHORT)
    with pytest.raises(ValueError, match="the log holds the features"):
        learn_from_data(replace(_log(), feature_names=["x", *_log().feature_names[1:]]), SHORT)
    with pytest.raises(ValueError, match="iterations"):
        FromData(iterations=0)


def test_a_policys_chances() -> None:
    policy = learn_from_data(_log(), replace(SHORT, iterations=1, decision_seconds=0.0), say=_quiet)
    known = _log().features_NF[:30]
    menu = [*SHAPES[::-1]]
    greedy = of_policy(policy, menu)(known)
    assert [menu[column] for column in greedy.argmax(axis=1)] == [SHAPES[c] for c in policy.columns(known)]
    np.testing.assert_array_equal(greedy.sum(axis=1), 1)
    drawn = of_policy(policy.acting(Inference("sample", temperature=2.0)), SHAPES)(known)
    scores = policy.mlp.scores(policy.features.normalise(known)) / 2
    np.testing.assert_allclose(np.log(drawn) - np.log(drawn[:, :1]), scores - scores[:, :1], rtol=1e-3, atol=1e-4)
    with pytest.raises(ValueError, match="deciding each round"):
        of_policy(policy.acting(Inference(hold_rounds=3)), SHAPES)
    with pytest.raises(ValueError, match="not in the menu"):
        of_policy(policy, SHAPES[1:])
    assert policy.position.names == NAMES
