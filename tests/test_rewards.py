"""Does the breakdown explain the value?"""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trimtab.rewards import Part, Rubric
from trimtab.testing import check_reward

finite = st.floats(-1e6, 1e6)


def lengths(texts: Sequence[str]) -> list[float]:
    return [len(text) for text in texts]


def shouts(texts: Sequence[str]) -> list[float]:
    return [float(text.isupper()) for text in texts]


RUBRIC = Rubric((Part("length", 0.5, lengths), Part("shouting", -2.0, shouts)))


def test_a_grade_by_hand() -> None:
    quiet, loud = RUBRIC(["word", "WORD"])
    assert (quiet.value, quiet.parts) == (2.0, {"length": 4.0, "shouting": 0.0})
    assert (loud.value, loud.parts) == (0.0, {"length": 4.0, "shouting": 1.0})
    assert RUBRIC.weighted(loud.parts) == {"length": 2.0, "shouting": -2.0}
    check_reward(RUBRIC, ["a", "B", ""], weights=RUBRIC.weights, gold="ab", empty="")


@given(st.lists(finite, min_size=1, max_size=5), st.data())
def test_parts_times_weights_is_the_value(weights: list[float], data: st.DataObject) -> None:
    values = data.draw(st.lists(finite, min_size=len(weights), max_size=len(weights)))
    parts = tuple(
        Part(f"part {index}", weight, lambda outcomes, value=value: [value] * len(outcomes))
        for index, (weight, value) in enumerate(zip(weights, values, strict=True))
    )
    (grade,) = Rubric(parts)(["outcome"])
    assert grade.value == sum(weight * grade.parts[name] for name, weight in Rubric(parts).weights.items())


def test_rubrics_and_measures_that_are_refused() -> None:
    with pytest.raises(ValueError, match="at least one"):
        Rubric(())
    with pytest.raises(ValueError, match="a name for each"):
        Rubric((Part("a", 1.0, lengths), Part("a", 2.0, lengths)))
    with pytest.raises(ValueError, match="weights of a are not finite"):
        Rubric((Part("a", float("nan"), lengths),))
    with pytest.raises(ValueError, match="part 'a' is nan for outcome 1"):
        Rubric((Part("a", 1.0, lambda _: [0.0, float("nan")]),))(["x", "y"])
    with pytest.raises(ValueError, match="part 'a' measured 1 of 2"):
        Rubric((Part("a", 1.0, lambda _: [0.0]),))(["x", "y"])
