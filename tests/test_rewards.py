"""Does the breakdown explain the value?"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trimtab.rewards import Gate, Part, Rubric, measure_from
from trimtab.schedules import parse_schedule
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


# -- schedules, gates, clipping ----------------------------------------------------------------------------------------


def test_weights_follow_their_schedule() -> None:
    rubric = Rubric((Part("length", parse_schedule("linear(0, 2, until=0.5)"), lengths), Part("shouting", 1.0, shouts)))
    assert [rubric(["ABC"], progress=p)[0].value for p in (0.0, 0.25, 1.0)] == [1.0, 4.0, 7.0]
    graded = rubric.breakdown(["ABC"], progress=0.25)
    assert graded.weights == {"length": 1.0, "shouting": 1.0}
    assert graded.row(0) == {"raw": {"length": 3.0, "shouting": 1.0}, "weighted": {"length": 3.0, "shouting": 1.0}}
    assert graded.means()["reward_weight/length"] == 1.0


def test_clipping_of_parts_and_of_the_total_is_told() -> None:
    rubric = Rubric((Part("length", 2.0, lengths, clip=(0.0, 3.0)), Part("shouting", 1.0, shouts)), clip=(-1.0, 5.0))
    graded = rubric.breakdown(["abcde", "AB", "ABCDE"])
    assert graded.raw["length"] == [5.0, 2.0, 5.0]  # kept unclipped
    assert graded.weighted["length"] == [6.0, 4.0, 6.0]
    assert graded.weighted["clip"] == [-1.0, 0.0, -2.0]
    assert graded.values == [5.0, 5.0, 5.0]
    with pytest.raises(ValueError, match=r"clipped to .*expected the lower bound first"):
        Rubric((Part("a", 1.0, lengths, clip=(1.0, 0.0)),))


def test_the_first_closed_gate_is_the_value() -> None:
    quiet = Gate("quiet", lambda texts: [1.0 - value for value in shouts(texts)], value=-2.0)
    short = Gate("short", lambda texts: [float(len(text) < 4) for text in texts])
    rubric = Rubric((Part("length", 1.0, lengths),), (quiet, short))
    graded = rubric.breakdown(["abc", "ABC", "ABCDE", "abcde"])
    assert graded.values == [3.0, -2.0, -2.0, -1.0]
    assert graded.gated == [None, "quiet", "quiet", "short"]
    assert graded.weighted["quiet"] == [0.0, -2.0, -2.0, 0.0]
    assert graded.means()["reward/gated"] == 0.75
    for row in range(4):
        assert sum(graded.row(row)["weighted"].values()) == graded.values[row]


def test_infinite_and_nan_stop_with_the_outcome_printed() -> None:
    for value in (float("nan"), float("inf"), float("-inf")):
        with pytest.raises(ValueError, match=f"part 'a' is {value} for outcome 0.*The outcome: 'what was said'"):
            Rubric((Part("a", 1.0, lambda _, v=value: [v]),))(["what was said"])
    with pytest.raises(ValueError, match="no outcomes were graded"):
        RUBRIC.breakdown([]).means()


class Counting:
    """A measure that remembers how many it saw."""

    def __init__(self) -> None:
        self.seen = 0

    def __call__(self, texts: Sequence[str]) -> list[float]:
        self.seen += len(texts)
        return [float(self.seen)] * len(texts)

    def state(self) -> int:
        return self.seen

    def restore(self, state: int) -> None:
        self.seen = state


def test_what_measures_remember_is_a_state() -> None:
    counting = Counting()
    rubric = Rubric((Part("seen", 1.0, counting), Part("length", 1.0, lengths)))
    rubric(["a", "b"])
    assert rubric.state() == {"seen": 2}
    rubric.restore({"seen": 7})
    assert rubric(["a"])[0].parts["seen"] == 8.0
    with pytest.raises(ValueError, match="resume with the same parts"):
        rubric.restore({"other": 1})


# -- TRL ---------------------------------------------------------------------------------------------------------------


def test_trl_gets_the_very_same_values_and_the_progress() -> None:
    rubric = Rubric((Part("length", parse_schedule("linear(0, 1)"), lengths), Part("shouting", 1.0, shouts)))
    reward = rubric.to_trl(lambda prompt, completion, row: f"{prompt}{completion}{row['tail']}")
    logged: dict[str, float] = {}
    state = SimpleNamespace(global_step=25, max_steps=100)
    columns = {"tail": ["!", "?"], "trainer_state": state, "log_metric": logged.__setitem__, "log_extra": print}
    values = reward(["a", "B"], ["b", "C"], **columns)
    assert values == [grade.value for grade in rubric(["ab!", "BC?"], progress=0.25)] == [0.75, 1.75]
    assert logged["reward/length"] == 3.0  # unweighted
    assert logged["reward_weight/length"] == 0.25
    assert reward(["a"], ["b"], tail=["!"]) == [3.0]  # without a trainer: the end of training


# -- measures of one's own ---------------------------------------------------------------------------------------------


def test_a_measure_by_its_entry_point(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my_rewards_for_tests.py").write_text(
        "class Kind:\n    def polite(texts):\n        return [1.0 for _ in texts]\n"
    )
    monkeypatch.chdir(tmp_path)
    assert measure_from("my_rewards_for_tests:Kind.polite")(["a", "b"]) == [1.0, 1.0]
    for name, message in (
        ("polite", "names no function: expected module:function"),
        ("my_rewards_for_tests:rude", "cannot be imported"),
        ("no_such_module:f", "cannot be imported"),
        ("math:pi", "is a float: expected a function"),
    ):
        with pytest.raises(ValueError, match=message):
            measure_from(name)
