"""Do the measures of rounds say what happened in them? Numbers by hand, and identities against the replay's own."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from speculation.synthetic import COSTS, SHAPES, table
from trimtab.maths.distributions import entropy
from trimtab.policies.dqn import DQNSettings
from trimtab.policies.held import Hold
from trimtab.policies.sb3 import PPOSettings
from trimtab.policies.ucb1 import UCB1
from trimtab.runs import Run, read_metrics
from trimtab.speculation.actions import TreeShape
from trimtab.speculation.engine.generation import Round, Seconds
from trimtab.speculation.episode import RoundOutcome
from trimtab.speculation.flat_replay import flatten, rate, roll
from trimtab.speculation.full_information import FullInformation
from trimtab.speculation.learners import DQN, PPO, BanditLearner, Informed, Learner
from trimtab.speculation.learning import LearningSettings, learn
from trimtab.speculation.measures import (
    Played,
    Watch,
    entropy_of_counts,
    measures,
    named,
    of_actions,
    of_phases,
    of_rewards,
    outcomes_of,
    played_decodes,
    played_replay,
    policy_entropy,
)
from trimtab.speculation.reward import time_rubric
from trimtab.tracking import Histogram

SMALL, LARGE = TreeShape(4, 2, 1), TreeShape(8, 2, 4)


def decoded() -> Played:
    """Four rounds, two decisions, ten tokens in a second: three rounds with a small tree, one without any."""
    seconds = Seconds(draft=0.05, verify=0.1, policy=0.05, rest=0.05)
    rounds = [Round(SMALL, 3, accepted, seconds) for accepted in (2, 3, 1)] + [Round(None, 0, 0, seconds)]
    return played_decodes(rounds, [SMALL, LARGE], tokens=10, decisions=2)


def test_actions_by_hand() -> None:
    metrics = of_actions(decoded())
    assert metrics.pop("actions") == Histogram(("(4, 2, 1)", "(8, 2, 4)", "none"), (3, 0, 1))
    assert metrics == {
        "actions_entropy": pytest.approx(-(0.75 * math.log(0.75) + 0.25 * math.log(0.25))),
        "actions_unique": 2,
        "accepted": 1.5,
        "decisions_per_token": 0.2,
        "hit_rate": 0.5,
    }


def test_phases_by_hand() -> None:
    assert of_phases(decoded()) == {
        "tokens_per_second": pytest.approx(10.0),
        "seconds_per_token/draft": pytest.approx(0.02),
        "seconds_per_token/verify": pytest.approx(0.04),
        "seconds_per_token/policy": pytest.approx(0.02),
        "seconds_per_token/rest": pytest.approx(0.02),
        "share/draft": pytest.approx(0.2),
        "share/verify": pytest.approx(0.4),
        "share/policy": pytest.approx(0.2),
        "share/rest": pytest.approx(0.2),
    }


def test_rewards_by_hand() -> None:
    outcomes = [RoundOutcome("t", SMALL, 3, 2, 0.1), RoundOutcome("t", SMALL, 1, 0, 0.3)]
    metrics = of_rewards(time_rubric(rate=5.0, scale=2.0), outcomes)
    assert metrics == {
        "reward": pytest.approx((3 - 5 * 0.1 + 1 - 5 * 0.3) / 2 / 2),
        "reward/tokens": pytest.approx(1.0),
        "reward/seconds": pytest.approx(-0.5),
    }


def test_entropies_by_hand() -> None:
    assert entropy_of_counts([5, 5, 0, 5, 5]) == pytest.approx(math.log(4))
    assert entropy_of_counts([7, 0]) == 0.0
    assert policy_entropy(np.zeros((3, 8))) == pytest.approx(math.log(8))
    scores = np.array([[2.0, 0.0], [0.0, 0.0]])
    assert policy_entropy(scores, temperature=2.0) == pytest.approx(float(entropy(scores / 2).mean()))
    with pytest.raises(ValueError, match="at least one round"):
        entropy_of_counts([0, 0])


def test_rounds_that_do_not_fit_are_refused() -> None:
    rounds = [Round(LARGE, 7, 1, Seconds(draft=1.0))]
    with pytest.raises(ValueError, match=r"drafted \(8, 2, 4\), which is not among \(4, 2, 1\)"):
        played_decodes(rounds, [SMALL], tokens=2)
    with pytest.raises(ValueError, match="2 decisions in 1 rounds"):
        played_decodes(rounds, [LARGE], tokens=2, decisions=2)
    assert of_actions(played_decodes(rounds, [LARGE], tokens=2))["hit_rate"] == 0.0


@pytest.mark.parametrize("hold", [1, 3])
def test_a_replay_measured_is_the_replay(hold: int) -> None:
    replay, rng = flatten(table(6, seed=2), COSTS), np.random.default_rng(0)
    rounds = roll(replay, lambda features, _rows: rng.integers(len(SHAPES), size=len(features)), Hold(hold))
    played = played_replay(rounds, replay, COSTS, decision_seconds=1e-3, held_seconds=1e-5)
    metrics = measures(played)
    models = sum(played.seconds_T[phase] for phase in ("draft", "verify", "rest"))
    np.testing.assert_allclose(models, rounds.seconds_T, rtol=1e-12)  # the phases make up the round
    assert metrics["tokens_per_second"] == pytest.approx(rate(rounds, 1e-3, 1e-5))
    assert metrics["hit_rate"] == pytest.approx(rounds.hit_rate)
    assert metrics["decisions_per_token"] == pytest.approx(rounds.decisions_per_token)
    counts = metrics["actions"]
    assert isinstance(counts, Histogram)
    np.testing.assert_array_equal(counts.counts, np.bincount(rounds.action_T, minlength=len(SHAPES)))
    shares = [value for name, value in metrics.items() if name.startswith("share/")]
    assert sum(shares) == pytest.approx(1.0)


def test_outcomes_of_a_replay_sum_to_its_reward() -> None:
    replay = flatten(table(4, seed=3), COSTS)
    rounds = roll(replay, lambda features, _rows: np.full(len(features), 2), Hold(2))
    outcomes, to_beat = outcomes_of(rounds, replay, 1e-3), 900.0
    assert sum(outcome.policy_seconds for outcome in outcomes) == pytest.approx(1e-3 * rounds.decisions)
    metrics = of_rewards(time_rubric(to_beat), outcomes)
    total = rounds.tokens_T.sum() - to_beat * rounds.charged_T(1e-3).sum()
    assert metrics["reward"] == pytest.approx(total / len(rounds.row_T))


def test_a_watch_adds_what_was_judged_last_and_only_once() -> None:
    rows: list[tuple[int, dict[str, object]]] = []
    watch = Watch(lambda update, metrics: rows.append((update, dict(metrics))))
    watch(1, {"reward": 0.1})
    watch.see(lambda: pytest.fail("a policy that was not logged was measured"))
    watch.see(lambda: {"accepted": 2.0})
    watch(2, {"reward": 0.2})
    watch(3, {"reward": 0.3})
    assert rows == [(1, {"reward": 0.1}), (2, {"reward": 0.2, "judged/accepted": 2.0}), (3, {"reward": 0.3})]
    assert named("a", {"b": 1.0}) == {"a/b": 1.0}


# -- every name is explained -------------------------------------------------------------------------------------------


def documented() -> set[str]:
    """The names in the first column of docs/metrics.md."""
    text = (Path(__file__).parents[2] / "docs" / "metrics.md").read_text(encoding="utf-8")
    cells = [line.split("|")[1] for line in text.splitlines() if line.startswith("| `")]
    return {name.strip(" `") for cell in cells for name in cell.split(",")}


WARM = FullInformation(iterations=2)
LEARNERS: dict[str, Learner] = {
    "ppo": PPO(PPOSettings(updates=4, judge_every=2), WARM, decodes=16),
    "dqn": DQN(DQNSettings(updates=3, rollout_steps=4, gradient_steps=1, memory=500, warm_up=8), decodes=8),
    "ucb1": BanditLearner(UCB1(), updates=2),
    "full-information": Informed(WARM, hidden=(8,)),
}


def rows_of(learner: Learner, folder: Path, reward: str = "time") -> list[dict[str, Any]]:
    """What a tiny training logs."""
    with Run.begin(folder, {}, name="run") as run:
        settings = LearningSettings(menu_size=6, learner=learner, reward=reward)
        learn(table(10, seed=4), COSTS, settings, log=run.log, say=lambda _line: None)
    return read_metrics(run.path)


def test_a_training_logs_what_its_judged_policies_did(tmp_path: Path) -> None:
    logged = rows_of(LEARNERS["ppo"], tmp_path)
    judged = [row for row in logged if "judged/actions" in row]
    assert [row["step"] for row in judged] == [
        1,
        2,
        4,
    ]  # before the first update (the warm start), and every second one
    assert all(row["judged/tokens_per_second"] <= row["best"] for row in judged)
    last = judged[-1]
    parts = [value for name, value in last.items() if name.startswith("judged/reward/")]
    assert sum(parts) == pytest.approx(last["judged/reward"])
    assert sum(last["judged/actions"].values()) > 0


@pytest.mark.parametrize(("name", "reward"), [*((name, "time") for name in LEARNERS), ("ppo", "reference")])
def test_every_logged_name_is_in_the_documentation(name: str, reward: str, tmp_path: Path) -> None:
    names = set().union(*rows_of(LEARNERS[name], tmp_path, reward))
    assert "judged/reward" in names
    assert {each for each in names if each.removeprefix("judged/") not in documented()} == set()
