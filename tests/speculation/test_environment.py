"""Is the environment the decode that it stands for? Both environments, the episode and a naive loop agree."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from stable_baselines3.common.env_checker import check_env as check_env_for_sb3

from speculation.synthetic import COSTS, NAMES, SHAPES, table
from trimtab.play import play
from trimtab.policies.fixed import Fixed
from trimtab.speculation.context import FeatureSet
from trimtab.speculation.environment import Objective, ReplayEnv, ReplayVecEnv
from trimtab.speculation.episode import SpeculationEpisode, episodes
from trimtab.speculation.flat_replay import FlatReplay, fixed, flatten, rate, roll
from trimtab.speculation.oracle import best_static, price
from trimtab.speculation.replay import PromptReplay, ReplayTable
from trimtab.speculation.reward import time_rubric

TABLE = table(9, seed=3)
REPLAY = flatten(TABLE, COSTS)
FEATURES = FeatureSet.fit(TABLE.feature_names, roll(REPLAY, fixed(2)).features_TF)
OBJECTIVE = Objective(rate=2000.0, decision_seconds=1e-4, scale=3.0)


def _vec(decodes: int, seed: int = 0, replay: FlatReplay = REPLAY) -> ReplayVecEnv:
    return ReplayVecEnv(replay, FEATURES, OBJECTIVE, decodes, seed)


@pytest.mark.filterwarnings("error")
def test_the_checkers_of_gymnasium_and_sb3_pass() -> None:
    env = ReplayEnv(REPLAY, FEATURES, OBJECTIVE)
    check_env(env, skip_render_check=True)
    check_env_for_sb3(env)


def test_a_hand_worked_decode() -> None:
    # five tokens, so four positions; (4, 2, 1) accepts 2 at the first, then more than what is left
    accepted = np.array([[2], [0], [0], [3]], np.int16)
    prompt = PromptReplay("t", "c", 5, accepted, np.ones((4, 1), np.float32), np.arange(10, 14, dtype=np.int32))
    replay = flatten(ReplayTable([SHAPES[1]], ["f"], [prompt]), COSTS)
    env = ReplayEnv(replay, FeatureSet.fit(["f"], roll(replay, fixed(0)).features_TF), Objective(1000.0, 0.0, 2.0))
    env.reset(options={"prompt": 0})
    _, reward, done, _, info = env.step(0)
    seconds = COSTS.seconds(SHAPES[1], 10)
    assert (info["tokens"], info["accepted"], done) == (3, 2, False)
    assert reward == pytest.approx((3 - 1000 * seconds) / 2)
    _, _, done, _, info = env.step(0)
    assert (info["tokens"], info["accepted"], done) == (1, 3, True)  # clipped at the end of the text


def test_the_vector_environment_is_many_single_ones() -> None:
    vec, rng = _vec(4), np.random.default_rng(0)
    observations = vec.begin(np.array([5, 0, 8, 5]))
    singles = [ReplayEnv(REPLAY, FEATURES, OBJECTIVE) for _ in range(4)]
    started = [env.reset(options={"prompt": p})[0] for env, p in zip(singles, [5, 0, 8, 5], strict=True)]
    np.testing.assert_array_equal(observations, np.stack(started))
    running = set(range(4))
    while running:
        actions = rng.integers(len(SHAPES), size=4)
        observations, rewards, dones, infos = vec.step(actions)
        for index in sorted(running):
            expected, reward, done, _, info = singles[index].step(actions[index])
            assert (rewards[index], dones[index]) == (pytest.approx(reward, rel=1e-5), done)
            assert {key: infos[index][key] for key in info} == info
            seen = infos[index]["terminal_observation"] if done else observations[index]
            np.testing.assert_allclose(seen, expected, rtol=1e-6)
            if done:
                running.remove(index)


def test_a_pass_shows_each_prompt_once() -> None:
    vec = _vec(3)
    drawn = [prompt for _ in range(6) for prompt in vec._draw(3)]
    assert sorted(drawn[:9]) == sorted(drawn[9:]) == list(range(9))
    assert drawn[:9] != drawn[9:]


def test_restored_decodes_go_on_as_before() -> None:
    vec, rng = _vec(5), np.random.default_rng(0)
    vec.reset()
    for _ in range(7):
        vec.step(rng.integers(len(SHAPES), size=5))
    arrays, state = {k: v.copy() for k, v in vec.arrays().items()}, vec.state()
    actions = rng.integers(len(SHAPES), size=(40, 5))

    def played(env: ReplayVecEnv) -> list[np.ndarray]:
        return [array for row in actions for array in env.step(row)[:3]]

    expected = played(vec)
    other = _vec(5, seed=99)
    other.restore(arrays, state)
    for array, twin in zip(expected, played(other), strict=True):
        np.testing.assert_array_equal(array, twin)
    with pytest.raises(ValueError, match="5 decodes"):
        _vec(4).restore(arrays, state)


def test_rewards_sum_to_the_advantage_over_the_rate() -> None:
    rounds = roll(REPLAY, fixed(3))
    total = OBJECTIVE.reward(rounds.tokens_T, rounds.seconds_T).sum() * OBJECTIVE.scale
    seconds = (rounds.seconds_T + OBJECTIVE.decision_seconds).sum()
    assert total == pytest.approx(rounds.tokens_T.sum() - OBJECTIVE.rate * seconds)
    assert (total > 0) == (rate(rounds, OBJECTIVE.decision_seconds) > OBJECTIVE.rate)
    assert rounds.tokens_T.sum() == sum(prompt.positions for prompt in TABLE.prompts)


def test_rolling_is_the_naive_loop() -> None:
    column = best_static(price(TABLE, COSTS))
    to_beat = rate(roll(REPLAY, fixed(column)))
    tokens, seconds = 0, 0.0
    for prompt in TABLE.prompts:
        position = 0
        while position < prompt.positions:
            seconds += COSTS.seconds(SHAPES[column], int(prompt.context_P[position]))
            step = min(int(prompt.accepted_PA[position, column]) + 1, prompt.positions - position)
            tokens, position = tokens + step, position + step
    assert to_beat == pytest.approx(tokens / seconds)
    assert to_beat == max(rate(roll(REPLAY, fixed(c))) for c in range(len(SHAPES)))


def test_episodes_play_as_the_environment_does() -> None:
    decodes = episodes(TABLE, COSTS, decision_seconds=1e-4)
    played = play(decodes, Fixed(SHAPES[4]), time_rubric(2000.0, 3.0))
    env = ReplayEnv(REPLAY, FEATURES, OBJECTIVE)
    for index, steps in enumerate(played):
        observation: Any = env.reset(options={"prompt": index})[0]
        for step in steps:
            np.testing.assert_allclose(FEATURES.normalise(step.context), observation, rtol=1e-6)
            observation, reward, _, _, info = env.step(4)
            assert step.grade.value == pytest.approx(reward)
            assert step.grade.parts == {"tokens": info["tokens"], "seconds": pytest.approx(info["seconds"] + 1e-4)}
        assert step.task == TABLE.prompts[index].task


def test_misuse_is_refused() -> None:
    with pytest.raises(ValueError, match="no prompt 9"):
        ReplayEnv(REPLAY, FEATURES, OBJECTIVE).reset(options={"prompt": 9})
    with pytest.raises(ValueError, match="expected rate > 0"):
        Objective(0.0)
    with pytest.raises(ValueError, match="both above 0"):
        time_rubric(-1.0)
    with pytest.raises(ValueError, match="the table holds the features"):
        _vec(2, replay=flatten(ReplayTable(TABLE.actions, [f"f{i}" for i in range(len(NAMES))], TABLE.prompts), COSTS))
    with pytest.raises(ValueError, match="share their settings"):
        _vec(2).set_attr("rate", 1)
    with pytest.raises(ValueError, match="no method"):
        _vec(2).env_method("fly")
    short = PromptReplay(
        "s", "c", 1, np.zeros((0, 8), np.int16), np.zeros((0, len(NAMES)), np.float32), np.zeros(0, np.int32)
    )
    with pytest.raises(ValueError, match="complete before"):
        SpeculationEpisode(TABLE, short, COSTS)
    with pytest.raises(ValueError, match="no prompt of the table"):
        flatten(ReplayTable(SHAPES, TABLE.feature_names, [short]), COSTS)


def test_it_is_fast() -> None:
    vec, steps = _vec(128), 200
    vec.reset()
    actions = np.random.default_rng(0).integers(len(SHAPES), size=(steps, 128))
    started = time.perf_counter()
    for row in actions:
        vec.step(row)
    assert steps * 128 / (time.perf_counter() - started) > 20_000
