"""At any temperature: every seed is decoded once, sums are over prompts, and at temperature 0 all write one text."""

from __future__ import annotations

import pytest
import torch
from tests.speculation import tiny

from trimtab.speculation.actions import TreeShape
from trimtab.speculation.contest import POLICY, STATIC, Contender
from trimtab.speculation.engine.speculator import Speculator
from trimtab.speculation.race import Turn
from trimtab.speculation.sensitivity import decoded, table_of, verdicts

CONTENDERS = {
    STATIC: Contender("static", shape=TreeShape(6, 3, 2)),
    POLICY: Contender("policy", policy=lambda _state: TreeShape(4, 2, 1)),
}
TURNS = [
    Turn(f"p{seed}", "x", torch.randint(96, (6,), generator=torch.Generator().manual_seed(seed)).tolist())
    for seed in range(3)
]


@pytest.fixture(scope="module")
def speculator() -> Speculator:
    model = tiny.target()
    return Speculator(model, tiny.echo(model))


def test_at_temperature_0_all_contenders_write_one_text(speculator: Speculator) -> None:
    made = decoded(speculator, CONTENDERS, TURNS, 12, temperature=0.0, seeds=1)
    static, policy = made.entries
    assert [w.tokens for w in static.first_T] == [w.tokens for w in policy.first_T]
    plain = [speculator.generate(turn.ids, 12, shape=None).tokens for turn in TURNS]
    assert [w.tokens for w in static.first_T] == plain


def test_every_seed_of_a_warm_temperature_is_decoded(speculator: Speculator) -> None:
    made = decoded(speculator, CONTENDERS, TURNS, 12, temperature=1.0, seeds=3)
    assert len(made.turns) == 9
    for entry in made.entries:
        assert len(entry.decodes_TR) == 9
        assert len({tuple(w.tokens) for w in entry.first_T[::3]}) > 1  # the first prompt, by seed
    again = decoded(speculator, CONTENDERS, TURNS, 12, temperature=1.0, seeds=3)
    assert [w.tokens for w in made.entries[0].first_T] == [w.tokens for w in again.entries[0].first_T]


def test_rows_are_ratios_of_totals(speculator: Speculator) -> None:
    made = decoded(speculator, CONTENDERS, TURNS, 12, temperature=1.0, seeds=2)
    static, policy = made.rows()
    assert static["against_best_static"] == pytest.approx(1.0)
    assert (static["low"], static["high"]) == pytest.approx((1.0, 1.0))
    ratio = policy["tokens_per_second"] / static["tokens_per_second"]
    assert policy["against_best_static"] == pytest.approx(ratio)
    assert policy["low"] <= ratio <= policy["high"]
    assert policy["tokens"] == sum(len(w.tokens) for w in made.entries[1].first_T)
    assert set(verdicts([made])) == {"1"}
    assert len(table_of(made.rows(), 3).rows) == 2


def test_impossible_settings_are_refused(speculator: Speculator) -> None:
    with pytest.raises(ValueError, match="at least one seed"):
        decoded(speculator, CONTENDERS, TURNS, 12, temperature=1.0, seeds=0)
    with pytest.raises(ValueError, match="lack eagle-best-static"):
        decoded(speculator, {POLICY: CONTENDERS[POLICY]}, TURNS, 12, temperature=1.0, seeds=1)
