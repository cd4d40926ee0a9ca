"""Do schedules give the numbers that are written, and refuse what they cannot read?"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trimtab.schedules import Constant, Linear, Schedule, Steps, parse_schedule


def test_schedules_by_hand() -> None:
    linear = parse_schedule("linear(0.5, 2, until=0.5)")
    assert [linear.at(p) for p in (0.0, 0.25, 0.5, 1.0)] == [0.5, 1.25, 2.0, 2.0]
    late = parse_schedule(" linear( 1, 0 , after=0.5 ) ")
    assert [late.at(p) for p in (0.0, 0.5, 0.75, 1.0)] == [1.0, 1.0, 0.5, 0.0]
    steps = parse_schedule("steps(0, 0.5, 0.3, 1)")
    assert steps == Steps((0.0, 0.3), (0.5, 1.0))
    assert [steps.at(p) for p in (0.0, 0.29, 0.3, 1.0)] == [0.5, 0.5, 1.0, 1.0]
    assert parse_schedule("1.5") == parse_schedule(1.5) == parse_schedule("constant(1.5)") == Constant(1.5)


@given(st.floats(0, 1), st.floats(-5, 5), st.floats(-5, 5))
def test_linear_stays_between_its_ends(progress: float, start: float, end: float) -> None:
    assert min(start, end) - 1e-9 <= Linear(start, end).at(progress) <= max(start, end) + 1e-9


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("cosine(0, 1)", r"no schedule 'cosine\(0, 1\)': expected a number, or one like constant\(1\), linear\("),
        ("linear(0)", "cannot be read"),
        ("linear(0, 1, til=0.5)", "cannot be read"),
        ("linear(0, 1, until=2)", "0 <= after < until <= 1"),
        ("linear(0, x)", "cannot be read"),
        ("steps(0.5, 1)", "growing from 0"),
        ("steps(0, 1, 0.5)", "expected pairs of share and value"),
        ("nan", "no schedule 'nan'"),
        ("linear(0, inf)", "finite"),
    ],
)
def test_what_is_no_schedule(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_schedule(text)


def test_progress_is_a_share() -> None:
    for schedule in (Constant(1), Linear(0, 1), Steps((0.0,), (1.0,))):
        assert isinstance(schedule, Schedule)
        with pytest.raises(ValueError, match="share of training done"):
            schedule.at(1.1)
