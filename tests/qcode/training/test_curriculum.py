"""Do problems rest that teach nothing, come back, and does a resumed run draw what an uninterrupted one draws?"""

from __future__ import annotations

import json
from collections import Counter

import pytest

from trimtab.qcode.training.curriculum import LAG, Curriculum, CurriculumSampler, CurriculumSettings

NAMES = [f"p{number}" for number in range(8)]


def test_uniform_problems_rest_and_come_back() -> None:
    told = Curriculum(NAMES, CurriculumSettings(filter=True, refresh=1, rest=3))
    told.learn(0, {"p0": [True, True], "p1": [False, False], "p2": [True, False]})
    assert told.resting(LAG - 1) == []
    assert sorted(told.resting(LAG)) == ["p0", "p1"]
    drawn = {NAMES[place] for place in told.draw(LAG, 6)}
    assert drawn == set(NAMES) - {"p0", "p1"}
    told.learn(5, {"p3": [True, False]})
    assert told.resting(5 + LAG) == []


def test_resting_ones_are_woken_where_too_few_are_awake() -> None:
    told = Curriculum(NAMES, CurriculumSettings(filter=True, refresh=1))
    told.learn(0, {name: [True, True] for name in NAMES})
    assert len(set(told.draw(LAG, 5))) == 5


def test_drawing_follows_the_variance() -> None:
    told = Curriculum(NAMES, CurriculumSettings(resample=True, refresh=1, least_weight=0.05))
    told.learn(0, {name: [True, name == "p0"] for name in NAMES})  # p0 always passes, the others half the time
    counts = Counter(NAMES[told.draw(generation, 1)[0]] for generation in range(LAG, 2000))
    expected = 0.05 / (0.05 + 7)
    assert counts["p0"] / sum(counts.values()) == pytest.approx(expected, abs=0.01)
    assert counts["p1"] / sum(counts.values()) == pytest.approx(1 / 7.05, abs=0.03)


def test_what_is_logged() -> None:
    told = Curriculum(NAMES, CurriculumSettings()).learn(0, {"a": [True], "b": [False], "c": [True, False]})
    assert told["groups/all_pass"] == pytest.approx(1 / 3)
    assert told["groups/none_pass"] == pytest.approx(1 / 3)


def test_a_resumed_run_draws_the_same() -> None:
    settings = CurriculumSettings(filter=True, resample=True, refresh=2, rest=4)

    def played(told: Curriculum, first: int, last: int) -> list[list[int]]:
        drawn = []
        for generation in range(first, last):
            places = told.draw(generation, 3)
            drawn.append(places)
            told.learn(generation, {NAMES[p]: [True, (p + generation) % 3 == 0] for p in places})
        return drawn

    whole = played(Curriculum(NAMES, settings, 7), 0, 20)
    first = Curriculum(NAMES, settings, 7)
    head = played(first, 0, 9)
    again = Curriculum(NAMES, settings, 7)
    again.restore(json.loads(json.dumps(first.state())))
    assert head + played(again, 9, 20) == whole


def test_the_sampler_keeps_trls_order() -> None:
    sampler = CurriculumSampler(
        Curriculum(NAMES, CurriculumSettings(filter=True)), prompts=2, group=3, repeats=2, generations=2
    )
    places = list(sampler)
    assert len(places) == len(sampler) == 24
    assert places[:6] == places[6:12]
    assert places[0:3] == [places[0]] * 3
    assert places[0] != places[3]


@pytest.mark.parametrize("wrong", [{"rest": 0}, {"refresh": 0}, {"least_weight": 0.0}])
def test_settings_are_checked(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="expected rest and refresh"):
        CurriculumSettings(**wrong)  # type: ignore[arg-type]
