"""Does learning find what is there, and do no harm where nothing is?"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from stable_baselines3.common.policies import ActorCriticPolicy

from speculation.synthetic import COSTS, NAMES, SHAPES, table
from trimtab.checkpoints import Checkpoints
from trimtab.policies.sb3 import PPOSettings, build_ppo, export_mlp, train_ppo
from trimtab.speculation.context import FeatureSet, PositionFeatures
from trimtab.speculation.environment import Objective, ReplayVecEnv
from trimtab.speculation.flat_replay import fixed, flatten, roll
from trimtab.speculation.full_information import FullInformation, action_values, histories, softmax
from trimtab.speculation.learning import LearningSettings, learn, replayed, split
from trimtab.speculation.oracle import bounds, price, tokens_per_second
from trimtab.speculation.replay import ReplayTable

SHORT = LearningSettings(
    menu_size=8, decision_seconds=0.0, decodes=32, warm=FullInformation(iterations=15), ppo=PPOSettings(updates=5)
)


def _quiet(_line: str) -> None:
    """No progress in tests."""


def _held_out(train: ReplayTable, settings: LearningSettings, telling: bool) -> tuple[float, float, float]:
    """Tokens per second on held-out prompts: of the policy, of the training split's best static tree, of the oracle."""
    held = table(40, telling=telling, seed=77)
    policy = learn(train, COSTS, settings, say=_quiet)
    static = held.actions.index(
        policy.actions[[str(a) for a in policy.actions].index(str(policy.metadata["best_static"]))]
    )
    limits = bounds(price(held, COSTS), static)
    return tokens_per_second(replayed(policy, held, COSTS)), limits.best_static, limits.oracle


def test_what_the_features_reveal_is_learned() -> None:
    learned, static, oracle = _held_out(table(60, telling=True, seed=5), SHORT, telling=True)
    assert oracle > 1.1 * static
    assert learned > 0.97 * oracle


def test_ppo_alone_learns_it_too() -> None:
    settings = LearningSettings(
        menu_size=8, decision_seconds=0.0, decodes=64, warm=None, ppo=PPOSettings(updates=25, rollout_steps=32)
    )
    learned, static, oracle = _held_out(table(40, telling=True, seed=5), settings, telling=True)
    assert learned > static + 0.6 * (oracle - static)


def test_noise_does_no_harm() -> None:
    learned, static, _ = _held_out(table(60, telling=False, seed=5), SHORT, telling=False)
    assert learned > 0.98 * static


def test_a_seed_decides_everything() -> None:
    train = table(20, seed=6)
    first, again, other = (learn(train, COSTS, SHORT, seed=seed, say=_quiet) for seed in (1, 1, 2))
    for name, array in first.mlp.arrays().items():
        np.testing.assert_array_equal(array, again.mlp.arrays()[name])
    assert any(not np.array_equal(a, other.mlp.arrays()[n]) for n, a in first.mlp.arrays().items())


class _Killed(Exception):
    """The power is cut."""


def test_a_resumed_training_ends_with_the_same_numbers(tmp_path: Path) -> None:
    replay = flatten(table(12, seed=8), COSTS)
    features = FeatureSet.fit(NAMES, roll(replay, fixed(0)).features_TF)
    settings = PPOSettings(updates=6, rollout_steps=8, batch_size=64, judge_every=2, checkpoint_every=2, hidden=(16,))

    def train(folder: str, stop_at: int | None = None) -> ActorCriticPolicy:
        env = ReplayVecEnv(replay, features, Objective(2000.0, scale=3.0), 16)

        def log(update: int, _metrics: dict[str, float]) -> None:
            if update == stop_at:
                raise _Killed

        store = Checkpoints(tmp_path / folder, keep=2)
        (tmp_path / folder).mkdir(exist_ok=True)
        return train_ppo(
            env, settings, seed=3, log=log, checkpoints=store, judge=lambda mlp: -float(np.abs(mlp.layers[0][0]).sum())
        )

    whole = export_mlp(train("whole"))
    with pytest.raises(_Killed):
        train("killed", stop_at=5)  # after the checkpoint of update 4
    resumed = export_mlp(train("killed"))
    for (weight, bias), (twin, twin_bias) in zip(whole.layers, resumed.layers, strict=True):
        np.testing.assert_array_equal(weight, twin)
        np.testing.assert_array_equal(bias, twin_bias)
    last = [Checkpoints(tmp_path / folder, keep=2).latest() for folder in ("whole", "killed")]
    assert last[0] is not None
    assert last[1] is not None
    for name, array in last[0].arrays().items():
        np.testing.assert_array_equal(array, last[1].arrays()[name], err_msg=name)
    with pytest.raises(ValueError, match=r"other settings \(gamma\)"):
        train_ppo(
            ReplayVecEnv(replay, features, Objective(2000.0), 16),
            PPOSettings(
                updates=6, rollout_steps=8, batch_size=64, judge_every=2, checkpoint_every=2, hidden=(16,), gamma=0.5
            ),
            checkpoints=Checkpoints(tmp_path / "whole", keep=2),
        )


def test_action_values_are_the_naive_recursion() -> None:
    replay = flatten(table(3, seed=9), COSTS)
    rng = np.random.default_rng(0)
    rewards, probabilities = (
        rng.standard_normal(replay.tokens_NA.shape),
        softmax(rng.standard_normal(replay.tokens_NA.shape)),
    )
    values = np.zeros(replay.rows)
    q = rewards.copy()
    for row in reversed(range(replay.rows)):
        for action, tokens in enumerate(replay.tokens_NA[row]):
            if tokens < replay.remaining_N[row]:
                q[row, action] += values[row + tokens]
        values[row] = probabilities[row] @ q[row]
    np.testing.assert_allclose(action_values(replay, rewards, probabilities), q, rtol=1e-9)


def test_skipped_positions_inherit_the_history_before_them() -> None:
    replay = flatten(table(3, seed=9), COSTS)
    rounds = roll(replay, fixed(6))
    history, visited = histories(replay, rounds)
    assert visited.sum() == len(rounds.row_T)
    assert visited[replay.start_R].all()
    for row in range(replay.rows):
        source = max(visit for visit in rounds.row_T if visit <= row)
        (index,) = np.flatnonzero(rounds.row_T == source)
        np.testing.assert_array_equal(history[row], rounds.features_TF[index, -history.shape[1] :])


def test_a_split_keeps_conversations_whole() -> None:
    whole = table(10)
    turns = [
        prompt.__class__(f"chat{i // 2}/turn{i % 2 + 1}", *list(vars(prompt).values())[1:6])
        for i, prompt in enumerate(whole.prompts)
    ]
    train, judged = split(ReplayTable(SHAPES, NAMES, turns), 0.4, seed=0)
    names = [{prompt.task.split("/")[0] for prompt in part.prompts} for part in (train, judged)]
    assert len(names[0]) == 3
    assert len(names[1]) == 2
    assert not names[0] & names[1]


def test_a_table_of_other_features_is_refused() -> None:
    with pytest.raises(ValueError, match="pass the features"):
        learn(table(4), COSTS, position=PositionFeatures.random(8, 3))
    with pytest.raises(ValueError, match="expected menu_size"):
        LearningSettings(menu_size=0)


def test_ppo_is_built_as_told() -> None:
    replay = flatten(table(3), COSTS)
    features = FeatureSet.fit(NAMES, roll(replay, fixed(0)).features_TF)
    settings = PPOSettings(hidden=(8, 4), batch_size=256, gamma=0.7)
    model = build_ppo(ReplayVecEnv(replay, features, Objective(2000.0), 4), settings, seed=0)
    assert model.gamma == 0.7
    assert [weight.shape for weight, _ in export_mlp(model.policy).layers] == [
        (features.width, 8),
        (8, 4),
        (4, len(SHAPES)),
    ]
