"""Is a round worth what its name says, one by one and by the table, and are unknown names answered with the known?"""

from __future__ import annotations

import math
import sys
from types import ModuleType

import numpy as np
import pytest

from speculation.tables import MENU, costs_of, random_table
from trimtab.rewards import Part, Rubric
from trimtab.speculation.actions import TreeShape
from trimtab.speculation.episode import RoundOutcome, SpeculationEpisode
from trimtab.speculation.flat_replay import FlatReplay, flatten, held_jumps
from trimtab.speculation.reward import RoundReward, by_outcomes, known, named_reward, reference_rubric


def _replay() -> FlatReplay:
    return flatten(random_table(np.random.default_rng(0), 4, 12, len(MENU)), costs_of())


def test_the_reference_by_hand() -> None:
    """Speed 20 tokens/s and 9 of 10 accepted: 2 ln 21 + 2.7 - 0.01 * 21 + 2; too slow or too few for the bonus below."""
    shape = TreeShape(10, 7, 4)
    fast, slow, few = (
        RoundOutcome("t", shape, 10, accepted, seconds) for accepted, seconds in ((9, 0.5), (9, 1.0), (8, 0.5))
    )
    values = [grade.value for grade in reference_rubric()([fast, slow, few])]
    size = -0.01 * (10 + 7 + 4)
    assert values[0] == pytest.approx(2 * math.log(21) + 2.7 + size + 2)
    assert values[1] == pytest.approx(2 * math.log(11) + 2.7 + size)  # 10 tokens/s is not above 10
    assert values[2] == pytest.approx(2 * math.log(21) + 2.4 + size)  # 0.8 is not above 0.8
    parts = reference_rubric()([fast])[0].parts
    assert parts == pytest.approx({"log_speed": math.log(21), "acceptance": 0.9, "size": 21.0, "bonus": 1.0})


@pytest.mark.parametrize("name", ["time", "reference"])
@pytest.mark.parametrize("rounds", [1, 3])
def test_tables_and_outcomes_are_graded_alike(name: str, rounds: int) -> None:
    replay, played = held_jumps(_replay(), rounds)
    reward = named_reward(name, 150.0)
    rewards = reward.of(replay, played, decision_seconds=1e-3)
    for row, column in ((0, 0), (5, 2), (17, 1), (replay.rows - 1, 3)):
        outcome = RoundOutcome(
            "t",
            replay.actions[column],
            int(replay.tokens_NA[row, column]),
            int(replay.accepted_NA[row, column]),
            float(replay.seconds_NA[row, column]) + 1e-3,
            int(played[row, column]),
        )
        assert rewards[row, column] == pytest.approx(reward.rubric([outcome])[0].value)
    seconds = replay.seconds_NA + 1e-3
    looped = by_outcomes(reward.rubric)(replay.tokens_NA, replay.accepted_NA, seconds, replay.actions, played)
    np.testing.assert_allclose(looped, rewards)


def test_held_outcomes_sum_what_their_rounds_bring() -> None:
    """Tokens and seconds of a long window are sums; the decision is charged once."""
    table, costs = random_table(np.random.default_rng(1), 1, 30, len(MENU)), costs_of()
    replay, played = held_jumps(flatten(table, costs), 4)
    episode = SpeculationEpisode(table, table.prompts[0], costs, decision_seconds=0.5, hold_rounds=4)
    episode.start()
    row, context, rng = 0, object(), np.random.default_rng(2)
    while context is not None:
        column = int(rng.integers(len(MENU)))
        outcome, context = episode.step(MENU[column])
        assert (outcome.tokens, outcome.accepted, outcome.rounds) == (
            replay.tokens_NA[row, column],
            replay.accepted_NA[row, column],
            played[row, column],
        )
        assert outcome.seconds == pytest.approx(replay.seconds_NA[row, column] + 0.5)
        assert outcome.policy_seconds == 0.5
        row += outcome.tokens
    assert row == 30
    with pytest.raises(ValueError, match="held for 0 rounds"):
        SpeculationEpisode(table, table.prompts[0], costs, hold_rounds=0)


def test_unknown_names_list_the_known() -> None:
    assert known()[:2] == ["time", "reference"]
    with pytest.raises(ValueError, match=r"no reward 'tiem'; known rewards: time, reference.*or module:attribute"):
        named_reward("tiem", 1.0)
    with pytest.raises(ValueError, match=r"no reward at 'nowhere.at_all:it'.*one of time, reference"):
        named_reward("nowhere.at_all:it", 1.0)
    with pytest.raises(ValueError, match=r"no reward at 'math:nothing'"):
        named_reward("math:nothing", 1.0)
    with pytest.raises(ValueError, match=r"'math:pi' is a float: expected a Rubric"):
        named_reward("math:pi", 1.0)


def test_a_reward_of_ones_own_by_its_entry_point(monkeypatch: pytest.MonkeyPatch) -> None:
    def accepted(outcomes: list[RoundOutcome]) -> list[float]:
        return [float(outcome.accepted) for outcome in outcomes]

    rubric = Rubric((Part("accepted", 2.0, accepted),))
    module = ModuleType("my_rewards")
    module.plain = rubric  # type: ignore[attr-defined]
    module.made = lambda rate: Rubric((Part("accepted", rate, accepted),))  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "my_rewards", module)
    replay = _replay()
    np.testing.assert_allclose(named_reward("my_rewards:plain", 1.0).of(replay), 2.0 * replay.accepted_NA)
    made = named_reward("my_rewards:made", 3.0)
    assert isinstance(made, RoundReward)
    np.testing.assert_allclose(made.of(replay), 3.0 * replay.accepted_NA)


def test_only_sums_are_summed() -> None:
    assert not named_reward("time", 1.0).myopic
    assert named_reward("reference", 1.0).myopic
