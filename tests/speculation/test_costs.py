"""Does the fit find planted costs, in spite of interruptions? Does a model survive the disk? Is a machine measured?"""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from speculation.tables import costs_of
from trimtab.speculation.actions import TreeShape, menu
from trimtab.speculation.calibration import calibrate
from trimtab.speculation.costs import CostModel, Knots, Measured, design, fit, line, non_negative
from trimtab.speculation.engine.speculator import Speculator

MENU = menu((2, 8, 16, 60), (1, 3, 7), (1, 4, 10))


def planted() -> CostModel:
    return replace(
        costs_of(),
        knots=Knots.of(MENU),
        draft=(1e-3, 5e-4, 5.5e-4, 9e-4, 1e-6, 1e-7),
        verify=(5e-3, 5.1e-3, 6e-3, 9e-3, 2e-6, 1e-8),
    )


def measured(model: CostModel, rounds: int, seed: int) -> Measured:
    """Rounds that take exactly what ``model`` says."""
    draw = np.random.default_rng(seed)
    shapes = [MENU[index] for index in draw.integers(len(MENU), size=rounds)]
    context = draw.integers(20, 600, rounds).astype(float)
    parts = []
    for part, (terms, growing) in design(shapes, model.knots).items():
        parts.append(np.column_stack((terms, growing * context[:, None])) @ np.array(getattr(model, part)))
    return Measured(shapes, context, *parts)


def test_seconds_by_hand() -> None:
    # draft 1 ms + 3 * (level(4) = 0.5 + 3/9 * 0.2 ms) + 100 * (1 us + 3 * 0.1 us); verify(9) halfway between 5 and 6 ms
    # + 100 * (2 us + 9 * 10 ns); rest 0.3 ms + 9 * 10 us + (4 + 3 * 16) * 0.1 us + 100 * 10 ns
    expected = (1 + 3 * (0.5 + 0.2 / 3) + 0.13) + (5.5 + 0.209) + (0.3 + 0.09 + 0.0052 + 0.001)
    model = costs_of()
    assert model.seconds(TreeShape(9, 3, 4), 100) == pytest.approx(expected * 1e-3)
    assert model.seconds(None, 100) == pytest.approx(6.2e-3)
    assert model.prefill_seconds(50) == pytest.approx(13e-3)


def test_seconds_are_vectorised_over_actions_and_contexts() -> None:
    model, contexts = planted(), np.array([10, 200, 511])
    seconds_PA = model.seconds_A(MENU, contexts)
    expected = [[model.seconds(shape, int(context)) for shape in MENU] for context in contexts]
    np.testing.assert_allclose(seconds_PA, expected)
    np.testing.assert_allclose(model.seconds_A(MENU, 200), seconds_PA[1])


def test_the_fit_recovers_planted_costs() -> None:
    model = planted()
    found = fit(measured(model, 400, seed=0), model.plain, model.prefill, {})
    for context in (0, 50, 400):
        np.testing.assert_allclose(found.seconds_A(MENU, context), model.seconds_A(MENU, context), rtol=1e-6)
    assert found.residuals["median"] < 1e-6


def test_the_fit_meets_the_sum_and_keeps_the_order_in_spite_of_interruptions() -> None:
    model, rounds, draw = planted(), measured(planted(), 1500, seed=1), np.random.default_rng(1)
    noise = 1 + 0.02 * draw.standard_normal(1500)
    interrupted = np.where(draw.random(1500) < 0.05, 1.5, 1.0)  # one round in twenty takes half as long again
    noisy = replace(rounds, verify_R=rounds.verify_R * noise * interrupted)
    found = fit(noisy, model.plain, model.prefill, {})
    ratio = found.seconds_A(MENU, 300) / model.seconds_A(MENU, 300)
    assert ratio.std() < 0.01
    assert sum(found.seconds(s, int(c)) for s, c in zip(rounds.shapes, rounds.context_R, strict=True)) == pytest.approx(
        float(noisy.total_R.sum()), rel=1e-3
    )


def test_no_coefficient_is_negative() -> None:
    x = np.arange(1.0, 30.0)
    terms = np.column_stack((np.ones_like(x), x))
    assert non_negative(terms, 5 - 0.1 * x).tolist() == [pytest.approx(3.5), 0.0]  # a flat line at the mean
    assert non_negative(terms, 2 + 3 * x) == pytest.approx([2, 3])
    assert line(x, 2 + 3 * x) == pytest.approx((2, 3))


def test_a_cost_model_survives_the_disk(tmp_path: Path) -> None:
    model = replace(planted(), residuals={"median": 0.02}, measured_on={"processor": "x", "threads": 2})
    model.save(tmp_path / "costs.json")
    assert CostModel.load(tmp_path / "costs.json") == model
    (tmp_path / "costs.json").write_text('{"knots": 3}')
    with pytest.raises(ValueError, match="no cost model"):
        CostModel.load(tmp_path / "costs.json")


def test_trees_outside_of_what_was_measured_are_refused() -> None:
    with pytest.raises(ValueError, match=r"\(61, 7, 10\) has total_tokens 61"):
        costs_of().seconds_A([TreeShape(61, 7, 10)], 5)


@pytest.fixture(scope="module")
def trained(shared: Path) -> Speculator:
    folder = shared / "golden" / "eagle" / "trained"
    return Speculator.from_pretrained(folder / "base", folder / "ea", dtype=torch.float32)


def test_calibration_measures_the_machine_at_hand(trained: Speculator) -> None:
    actions, prompts = menu((4, 60), (1, 7), (2, 10)), [[100, 101, 102] * 5, [50, 60] * 9]
    seen: list[float] = []
    model = calibrate(trained, actions, prompts, contexts=(0, 30), budget_seconds=2.0, progress=seen.append)
    assert model.seconds(TreeShape(60, 7, 10), 50) > model.seconds(TreeShape(4, 1, 2), 50) > 0
    assert model.seconds(TreeShape(4, 1, 2), 50) > model.plain_seconds(50) > 0
    assert model.prefill_seconds(20) > 0
    assert model.measured_on["dtype"] == "float32"
    assert model.measured_on["rounds"] > 10
    assert seen == sorted(seen)


def test_calibration_says_when_the_time_was_too_short(trained: Speculator) -> None:
    with pytest.raises(ValueError, match="measure for longer"):
        calibrate(trained, menu(range(2, 60), (1, 7), (2, 10)), [[100] * 9], budget_seconds=0.01)
    with pytest.raises(ValueError, match="0 prompts"):
        calibrate(trained, MENU, [])


def test_a_calibration_whose_time_gave_too_little_goes_on_for_a_while(
    trained: Speculator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a machine is busy, a few decodes more are cheaper than an error."""
    ticks = itertools.count()
    clock = SimpleNamespace(perf_counter=lambda: 0.03 * next(ticks))  # three decodes are over the budget
    monkeypatch.setattr("trimtab.speculation.calibration.time", clock)
    shapes, shares = [TreeShape(4, 2, 2), TreeShape(8, 3, 2)], list[float]()
    model = calibrate(trained, shapes, [[100] * 9], budget_seconds=0.1, progress=shares.append)
    assert int(model.measured_on["rounds"]) >= 10
    assert max(shares) <= 1.0
