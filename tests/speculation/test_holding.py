"""Are actions held, planned and chosen by chance as asked, and is a plan worth what following it brings?"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from speculation import synthetic
from speculation.tables import MENU, costs_of, random_table
from trimtab.policies.held import Adaptive, Hold
from trimtab.policies.networks import perceptron
from trimtab.runs import Run
from trimtab.speculation.answering import source_of_trees
from trimtab.speculation.context import FeatureSet, History, PositionFeatures, join
from trimtab.speculation.flat_replay import FlatReplay, fixed, flatten, held_jumps, rate, roll
from trimtab.speculation.full_information import FullInformation
from trimtab.speculation.holding import Charges, HoldingTask, chosen_hold, expected_acceptance, lasting, refitted
from trimtab.speculation.inference import Inference, drawn, softmax
from trimtab.speculation.planning import Jumps, by_remaining, plan_values, step_values
from trimtab.speculation.recipe import Train
from trimtab.speculation.stages import prepare
from trimtab.speculation.tree_policy import TreePolicy

Decided = tuple[int, int, bool]
"""A round's row, its action, whether it was decided."""


def _replay(seed: int = 0, prompts: int = 5, positions: int = 40) -> FlatReplay:
    return flatten(random_table(np.random.default_rng(seed), prompts, positions, len(MENU)), costs_of())


def _plan_of(features_F: np.ndarray, row: int, planned: int) -> np.ndarray:
    """A made-up decision that depends on all that a policy sees."""
    return (int(10 * features_F.sum()) + row + np.arange(planned)) % len(MENU)


def _naive(
    replay: FlatReplay, prompt: int, hold: Hold, planned: int, expected_A: np.ndarray, scale: float
) -> list[Decided]:
    """One prompt, one round at a time."""
    row, history, rounds = int(replay.start_R[prompt]), History(), list[Decided]()
    plan, left, remembered, surprised = np.zeros(0, np.int64), 0, np.zeros(0), False
    while True:
        features = join(replay.features_NF[row][None], history.features())[0]
        far = hold.drift is not None and left and np.sqrt(((features - remembered) ** 2).mean()) / scale > hold.drift
        decide = not left or surprised or bool(far)
        if decide:
            plan, remembered = np.repeat(_plan_of(features, row, planned), hold.rounds), features
            left = len(plan)
        action = int(plan[len(plan) - left])
        left -= 1
        rounds.append((row, action, decide))
        accepted = int(replay.accepted_NA[row, action])
        surprised = hold.surprise is not None and abs(accepted - expected_A[action]) > hold.surprise
        history.observe(accepted, replay.depth_A[action])
        if replay.tokens_NA[row, action] >= replay.remaining_N[row]:
            return rounds
        row += int(replay.tokens_NA[row, action])


@pytest.mark.parametrize("planned", [1, 3])
@pytest.mark.parametrize(
    "hold",
    [
        Hold(),
        Hold(4),
        Hold(6, Adaptive(surprise=1.2)),
        Hold(6, Adaptive(drift=0.4)),
        Hold(3, Adaptive(drift=0.8, surprise=1.9)),
    ],
)
def test_a_held_roll_is_the_naive_loop(hold: Hold, planned: int) -> None:
    replay, expected_A, scale = _replay(), np.linspace(0.5, 3.5, len(MENU)), 2.0
    rounds = roll(
        replay,
        lambda features, rows: np.stack([_plan_of(f, int(r), planned) for f, r in zip(features, rows, strict=True)]),
        hold,
        normalise=lambda features: features / scale,
        expected_A=expected_A,
    )
    for prompt in range(replay.prompts):
        mine = rounds.prompt_T == prompt
        columns = (rounds.row_T, rounds.action_T, rounds.decided_T)
        played = zip(*(column[mine].tolist() for column in columns), strict=True)
        assert list(played) == _naive(replay, prompt, hold, planned, expected_A, scale)
    assert rounds.decided_T.all() == (hold.rounds * planned == 1)


def test_hits_and_decisions_by_hand() -> None:
    """Four positions, one token each; held for three rounds: decide, hit, hit, decide."""
    replay = flatten(random_table(np.random.default_rng(0), 1, 4, 2), costs_of())
    replay = replace(replay, tokens_NA=np.ones_like(replay.tokens_NA))
    rounds = roll(replay, fixed(1), 3)
    assert rounds.decided_T.tolist() == [True, False, False, True]
    assert (rounds.decisions, rounds.hit_rate, rounds.decisions_per_token) == (2, 0.5, 0.5)
    np.testing.assert_allclose(rounds.charged_T(1.0, 0.1) - rounds.seconds_T, [1.0, 0.1, 0.1, 1.0])
    assert rate(rounds, 1.0, 0.1) == pytest.approx(4 / (rounds.seconds_T.sum() + 2.2))


def test_what_a_hold_needs_must_be_given() -> None:
    with pytest.raises(ValueError, match="normalisation must be given"):
        roll(_replay(), fixed(0), Hold(2, Adaptive(drift=1.0)))
    with pytest.raises(ValueError, match="expected to bring must be given"):
        roll(_replay(), fixed(0), Hold(2, Adaptive(surprise=1.0)))


@pytest.mark.parametrize("rounds", [1, 2, 7])
def test_held_jumps_sum_rounds(rounds: int) -> None:
    replay = _replay()
    held, played = held_jumps(replay, rounds)
    for row, action in ((0, 1), (39, 0), (77, 3), (118, 2)):
        at, tokens, seconds, accepted, count = row, 0, 0.0, 0, 0
        while count < rounds and tokens < replay.remaining_N[row]:
            tokens += int(replay.tokens_NA[at, action])
            seconds += float(replay.seconds_NA[at, action])
            accepted += int(replay.accepted_NA[at, action])
            at, count = row + tokens, count + 1
        assert (held.tokens_NA[row, action], held.accepted_NA[row, action], played[row, action]) == (
            tokens,
            accepted,
            count,
        )
        assert held.seconds_NA[row, action] == pytest.approx(seconds)


# -- values of plans ---------------------------------------------------------------------------------------------------


def _follow(replay: FlatReplay, rewards: np.ndarray, row: int, plan: list[int]) -> tuple[float, int | None]:
    """What a plan brings from ``row`` on, and where it ends (None: the text is complete)."""
    total = 0.0
    for action in plan:
        total += float(rewards[row, action])
        if replay.tokens_NA[row, action] >= replay.remaining_N[row]:
            return total, None
        row += int(replay.tokens_NA[row, action])
    return total, row


def _value(replay: FlatReplay, rewards: np.ndarray, plans: np.ndarray, row: int | None) -> float:
    total = 0.0
    while row is not None:
        gained, row = _follow(replay, rewards, row, plans[row].tolist())
        total += gained
    return total


@pytest.mark.parametrize("planned", [1, 3])
def test_values_of_plans_are_the_naive_ones(planned: int) -> None:
    replay = _replay(prompts=3, positions=15)
    rng = np.random.default_rng(0)
    rewards = replay.tokens_NA - 100.0 * replay.seconds_NA
    plans = rng.integers(len(MENU), size=(replay.rows, planned))
    jumps = Jumps.of(replay, rewards)
    values = plan_values(jumps, plans, by_remaining(replay))
    for row in range(replay.rows):
        assert values[row] == pytest.approx(_value(replay, rewards, plans, row))
    for step in range(planned):
        q_NA = step_values(jumps, plans, values, step)
        for row, action in ((0, 0), (7, 1), (14, 0), (29, 2), (31, 1)):
            plan = [*plans[row, :step].tolist(), action, *plans[row, step + 1 :].tolist()]
            gained, landed = _follow(replay, rewards, row, plan)
            assert q_NA[row, action] == pytest.approx(gained + _value(replay, rewards, plans, landed))


# -- inference ---------------------------------------------------------------------------------------------------------


def test_draws_follow_the_softmax() -> None:
    scores = np.array([[1.0, 0.0, -1.0, 3.0], [0.0, 0.0, 0.0, 0.0]])
    for temperature in (0.5, 1.0, 3.0):
        probabilities = softmax(scores, temperature)
        np.testing.assert_allclose(probabilities[0, 3] / probabilities[0, 0], np.exp(2 / temperature))
        columns = drawn(np.repeat(probabilities, 20_000, axis=0), np.random.default_rng(0)).reshape(2, -1)
        frequencies = np.stack([np.bincount(row, minlength=4) for row in columns]) / 20_000
        np.testing.assert_allclose(frequencies, probabilities, atol=4 * 0.5 / 20_000**0.5)


def test_impossible_draws_do_not_happen() -> None:
    certain = np.tile([0.0, 1.0, 0.0], (1000, 1))
    assert (drawn(certain, np.random.default_rng(0)) == 1).all()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Inference(mode="best"), "known modes: argmax, sample"),
        (lambda: Inference(temperature=0.0), "expected above 0"),
        (lambda: Inference(hold_rounds=0), "at least 1"),
        (lambda: Inference(planned_rounds=0), "at least 1"),
        (lambda: Inference(adaptive=Adaptive(drift=1.0)), "every round is decided anew"),
    ],
)
def test_modes_that_cannot_be_are_refused(make: Callable[[], Inference], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize(
    "inference",
    [
        Inference(),
        Inference("sample", 1.5, seed=3),
        Inference(hold_rounds=4, adaptive=Adaptive(drift=0.7, surprise=2.0)),
        Inference(planned_rounds=3, hold_rounds=2),
    ],
)
def test_modes_travel_as_plain_data(inference: Inference) -> None:
    assert Inference.from_plain(inference.plain()) == inference


# -- training for a hold -----------------------------------------------------------------------------------------------


def _policy(seed: int = 0) -> TreePolicy:
    table = synthetic.table(24)
    replay = flatten(table, synthetic.COSTS)
    features = FeatureSet.fit(table.feature_names, roll(replay, fixed(0)).features_TF)
    network = perceptron(features.width, (16,), len(synthetic.SHAPES), seed)
    return TreePolicy(synthetic.SHAPES, network, features, PositionFeatures())


SHORT = FullInformation(iterations=6)


def test_training_for_a_hold_helps_where_it_can() -> None:
    """The features tell the best action; a policy that decides each round learns it, a held one is better than none."""
    task = HoldingTask.of(_policy(), synthetic.table(60), synthetic.COSTS, Charges(0.0, 0.0, 0.0))
    every = refitted(_policy(), task, Inference(), settings=FullInformation(iterations=15))
    assert task.judge(every) > 1.1 * task.to_beat
    held = refitted(every, task, Inference(hold_rounds=3), settings=SHORT)
    merely = refitted(every, task, Inference(hold_rounds=3), train=False)
    assert task.judge(held) >= task.judge(merely)
    planned = refitted(every, task, Inference(planned_rounds=2), settings=SHORT)
    assert planned.mlp.outputs == 2 * len(synthetic.SHAPES)
    assert task.judge(planned) >= task.judge(refitted(every, task, Inference(planned_rounds=2), train=False))
    with pytest.raises(ValueError, match="plans 2 rounds: expected one that plans one"):
        refitted(planned, task, Inference())


def test_the_hold_is_chosen_by_what_decisions_cost() -> None:
    """Free decisions are made each round; where one costs as much as ten rounds, they are held."""
    policy, table = _policy(), synthetic.table(24)
    for seconds, rounds in ((0.0, 1), (0.05, 30)):
        task = HoldingTask.of(policy, table, synthetic.COSTS, Charges(seconds, 0.0, seconds))
        lines: list[str] = []
        chosen = chosen_hold(policy, task, holds=(1, 30), settings=SHORT, say=lines.append)
        assert chosen.inference.hold_rounds == rounds
        assert len(lines) == 2


def test_what_is_expected_of_a_tree_is_what_it_was_accepted() -> None:
    replay = _replay()
    rounds = roll(replay, lambda features, rows: rows % 2)
    expected = expected_acceptance(rounds, replay)
    for action in range(2):
        assert expected[action] == pytest.approx(rounds.accepted_T[rounds.action_T == action].mean())
    np.testing.assert_allclose(expected[2:], replay.accepted_NA[:, 2:].mean(axis=0), rtol=1e-6)


def test_deciding_every_round_leaves_a_policy_as_it_is() -> None:
    policy = _policy()
    assert lasting(policy, synthetic.table(4), synthetic.COSTS, 1) is policy
    with pytest.raises(ValueError, match="every round is decided anew"):
        lasting(policy, synthetic.table(4), synthetic.COSTS, 1, adaptive=Adaptive(surprise=1.0))


@pytest.mark.parametrize(
    ("recipe", "message"),
    [
        (Train(reward="tiem"), "known rewards: time, reference"),
        (Train(learner="ppo", hold=0), "at least 1"),
        (Train(learner="ppo", hold_surprise=1.0), "every round is decided anew"),
        (Train(learner="ppo", hold=3, hold_drift=-1.0), "thresholds of 0 or more"),
        (Train(learner="ppo", planned_rounds=0), "at least 1"),
    ],
)
def test_recipes_that_cannot_be_are_refused_before_any_work(recipe: Train, message: str, tmp_path: Path) -> None:
    with Run.begin(tmp_path, recipe) as run, pytest.raises(ValueError, match=message):
        prepare(recipe, run)


def test_the_output_says_where_the_trees_come_from() -> None:
    shape = synthetic.SHAPES[1]
    assert source_of_trees(None, shape) == "no policy is given: the static tree (4, 2, 1) of the command line"
    assert source_of_trees(None, None) == "no policy and no shape are given: no drafting"
    assert source_of_trees(_policy(), shape) == "a policy of 8 trees over 17 features, argmax"
