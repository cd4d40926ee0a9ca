"""Do claims say what was measured, and nothing where the interval does not tell?"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from trimtab.speculation.actions import TreeShape
from trimtab.speculation.engine.generation import Generation, Round, Seconds
from trimtab.speculation.mode_claims import (
    Mode,
    Raced,
    below,
    calls,
    claims,
    contrasts,
    policy_seconds,
    seconds,
    spent_ratio,
)
from trimtab.speculation.race import Entry, Turn, Written
from trimtab.statistics import Interval

SHAPE = TreeShape(4, 2, 2)
TURNS = [Turn("a/turn1", "x", [1]), Turn("a/turn2", "x", [1]), Turn("b", "y", [1]), Turn("c", "y", [1])]
EVERY = Mode("ppo", "standard", "text")


def raced(mode: Mode | None, decisions: int, policy: float, whole: float, repeats: int = 1) -> Raced:
    """Each turn: 10 tokens in 5 rounds, ``decisions`` calls, ``policy`` seconds of them, ``whole`` seconds in all."""
    rounds = [Round(SHAPE, 3, 1, Seconds(verify=(whole - policy) / 5, policy=policy / 5)) for _ in range(5)]
    written = Written(list(range(10)), whole, Generation(list(range(10)), "", rounds, 0.0, whole, 0))
    entry = Entry("row" if mode is None else mode.name, lambda _turn: written, "", [[written] * repeats for _ in TURNS])
    return Raced(entry, np.full((len(TURNS), repeats), float(decisions)), mode)


def test_a_row_by_hand() -> None:
    row = raced(EVERY, 5, 0.2, 1.0)
    assert (row.calls_per_token, row.hit_rate) == (0.5, 0.0)
    assert row.policy_seconds_per_token == pytest.approx(0.02)
    held = raced(replace(EVERY, hold=5), 1, 0.1, 0.9, repeats=2)
    assert (held.calls_per_token, held.hit_rate) == (pytest.approx(0.1), pytest.approx(0.8))
    assert raced(None, 0, 0.0, 1.0).hit_rate is None


def test_a_name_tells_every_factor() -> None:
    assert EVERY.name == "ppo/standard/text/every-round"
    assert replace(EVERY, hold=10).name == "ppo/standard/text/held-10"
    assert EVERY.folder == replace(EVERY, hold=10).folder == "ppo-standard-text"


def test_what_is_spent_is_summed_over_prompts_and_rows_before_it_is_divided() -> None:
    one, other = [raced(EVERY, 1, 0.1, 1.0), raced(EVERY, 2, 0.2, 2.0)], [raced(EVERY, 5, 0.4, 1.0, repeats=2)]
    assert spent_ratio(one, other, calls, TURNS).estimate == pytest.approx((3 / 20) / (5 / 10))
    assert spent_ratio(one, other, policy_seconds, TURNS).estimate == pytest.approx((0.3 / 20) / (0.4 / 10))
    assert spent_ratio(one, other, seconds, TURNS).estimate == pytest.approx((3 / 20) / (1 / 10))


@pytest.mark.parametrize(
    ("low", "high", "said"), [(0.3, 0.5, "shown"), (0.4, 0.6, "undecided"), (0.51, 0.6, "refuted")]
)
def test_a_verdict_needs_the_whole_interval(low: float, high: float, said: str) -> None:
    assert below(Interval((low + high) / 2, low, high), 0.5) == said


def _verdicts(rows: list[Raced], scope: str, hold: int = 10) -> dict[str, str]:
    found: list[dict[str, Any]] = [c for c in claims(rows, TURNS) if (c["scope"], c["hold"]) == (scope, hold)]
    return {claim["measure"]: claim["verdict"] for claim in found}


def test_each_hold_is_set_against_deciding_every_round_of_the_same_training() -> None:
    fused = replace(EVERY, state="fused")
    rows = [
        raced(None, 0, 0.0, 1.0),
        raced(EVERY, 5, 0.5, 1.5),
        raced(replace(EVERY, hold=10), 1, 0.1, 1.2),
        raced(fused, 5, 0.10, 1.1),
        raced(replace(fused, hold=10), 3, 0.09, 1.3),
    ]
    assert _verdicts(rows, "text") == {"calls": "shown", "policy_seconds": "shown", "seconds": "shown"}
    assert _verdicts(rows, "fused") == {"calls": "refuted", "policy_seconds": "refuted", "seconds": "refuted"}
    together = {claim["measure"]: claim for claim in claims(rows, TURNS) if claim["scope"] == "all states"}
    assert together["calls"]["value"] == pytest.approx(4 / 10)
    assert together["policy_seconds"]["value"] == pytest.approx(0.19 / 0.6)
    assert together["seconds"]["value"] == pytest.approx(2.5 / 2.6)
    assert together["calls"]["pairs"] == 2


def test_two_holds_are_two_claims_and_one_state_is_no_scope_of_its_own() -> None:
    rows = [raced(EVERY, 5, 0.5, 1.5), *(raced(replace(EVERY, hold=n), 1, 0.1, 1.2) for n in (30, 10))]
    assert [(c["hold"], c["scope"]) for c in claims(rows, TURNS)] == [(10, "all states")] * 3 + [(30, "all states")] * 3
    assert claims(rows[:1], TURNS) == []


def test_contrasts_compare_levels_of_one_factor() -> None:
    dqn = replace(EVERY, learner="dqn")
    rows = [raced(EVERY, 5, 0.5, 2.0), raced(dqn, 5, 0.5, 1.0)]
    (only,) = contrasts(rows, TURNS)
    assert (only["factor"], only["level"], only["against"]) == ("learner", "dqn", "ppo")
    assert only["speed"] == pytest.approx(2.0)
