"""Does every learner learn what is there, in each mode, and survive being killed at any time?"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from speculation.synthetic import COSTS, table
from trimtab.checkpoints import Checkpoints
from trimtab.policies.distillation import Distillation
from trimtab.policies.dqn import DQNSettings
from trimtab.policies.neural_linear import NeuralLinear
from trimtab.policies.sb3 import PPOSettings
from trimtab.speculation.environment import seconds_to_go
from trimtab.speculation.flat_replay import fixed, flatten, roll
from trimtab.speculation.full_information import FullInformation
from trimtab.speculation.inference import Inference
from trimtab.speculation.learners import DQN, LEARNERS, PPO, BanditLearner, Greedy, Informed, Learner, named_learner
from trimtab.speculation.learning import LearningSettings, LearningTask, learn, mode_of, replayed
from trimtab.speculation.learning_task import make_task
from trimtab.speculation.oracle import bounds, price, static, tokens_per_second
from trimtab.speculation.tree_policy import TreePolicy

TRAIN, HELD_OUT = table(40, telling=True, seed=5), table(24, telling=True, seed=77)
FEW = table(14, telling=True, seed=5)
"""Enough to see whether numbers are the same."""


def _bandit(name: str, updates: int = 10) -> BanditLearner:
    learner = LEARNERS[name]
    assert isinstance(learner, BanditLearner)
    weak = {"bandit": replace(learner.bandit, ridge=1.0)} if hasattr(learner.bandit, "ridge") else {}
    return replace(learner, updates=updates, checkpoint_every=2, **weak)  # few rounds, clear rewards


SHORT = PPOSettings(updates=6, rollout_steps=16, batch_size=512, hidden=(32,), checkpoint_every=2)
QUICK: dict[str, Learner] = {
    "ppo": PPO(SHORT, FullInformation(iterations=8), decodes=32),
    "ppo-multidiscrete": PPO(SHORT, FullInformation(iterations=16), decodes=32, combines_bins=True),
    "dqn": DQN(DQNSettings(updates=24, gradient_steps=24, warm_up=2000, checkpoint_every=2), decodes=32),
    "linucb": _bandit("linucb"),
    "lin-ts": _bandit("lin-ts"),
    "neural-linear": replace(_bandit("neural-linear"), bandit=NeuralLinear(hidden=(32, 16), train_every=1024)),
    "full-information": Informed(FullInformation(iterations=20)),
    "greedy": Greedy(Distillation(steps=200)),
    "ucb1": _bandit("ucb1"),
    "exp3": _bandit("exp3"),
}
TOLD = [name for name in QUICK if name not in ("ucb1", "exp3", "greedy")]
"""Those that see the features in which the answer is written."""


def _learn(learner: Learner, **settings: Any) -> TreePolicy:
    made = LearningSettings(menu_size=8, decision_seconds=0.0, learner=learner, **settings)
    return learn(TRAIN, COSTS, made, say=lambda _line: None)


def _share(policy: TreePolicy) -> float:
    """The share of the oracle's gain on held-out prompts."""
    best = [str(action) for action in HELD_OUT.actions].index(str(policy.metadata["best_static"]))
    return bounds(price(HELD_OUT, COSTS), best).share(tokens_per_second(replayed(policy, HELD_OUT, COSTS)))


def test_every_learner_is_tried_here() -> None:
    assert list(QUICK) == list(LEARNERS)
    for name, learner in LEARNERS.items():
        assert type(learner) is type(QUICK[name])
        assert named_learner(name) == learner


@pytest.mark.parametrize("name", QUICK)
def test_what_the_features_tell_is_learned(name: str) -> None:
    policy = _learn(QUICK[name])
    share = _share(policy)
    assert share > (0.5 if name in TOLD else -0.02)
    if name in ("ucb1", "exp3"):
        assert not policy.mlp.layers[0][0].any()  # no context


def test_shaping_changes_no_sum_but_by_a_constant() -> None:
    task = make_task(TRAIN, COSTS, decision_seconds=1e-4, validation_share=0)
    plain, shaped = task.rewards()(task.objective), task.rewards(landing=True)(task.objective)
    rng = np.random.default_rng(0)
    differences: list[float] = []
    for chooser in (fixed(0), fixed(5), lambda f, _rows: rng.integers(8, size=len(f))):
        rounds = roll(task.train, chooser)
        differences.append(float((shaped - plain)[rounds.row_T, rounds.action_T].sum()))
    assert differences == pytest.approx([differences[0]] * 3, rel=1e-9)
    followed = roll(task.train, fixed(task.static))
    np.testing.assert_allclose(shaped[followed.row_T, followed.action_T], 0, atol=1e-9)  # static against itself


def test_seconds_to_go_are_the_rounds_that_follow() -> None:
    replay = flatten(TRAIN, COSTS)
    to_go = seconds_to_go(replay, 3, 1e-4)
    rounds = roll(replay, fixed(3))
    for prompt in range(3):
        mine = rounds.prompt_T == prompt
        assert to_go[replay.start_R[prompt]] == pytest.approx(rounds.seconds_T[mine].sum() + 1e-4 * mine.sum())
    assert to_go[-1] == 0


def test_a_combined_policy_chooses_among_all_trees() -> None:
    policy = learn(
        TRAIN, COSTS, LearningSettings(menu_size=3, learner=QUICK["ppo-multidiscrete"]), say=lambda _line: None
    )
    assert policy.actions == TRAIN.actions  # not pruned
    weights = policy.mlp.layers[-1][0]
    assert weights.shape[1] == len(TRAIN.actions)


def test_max_entropy_trains_wider_policies_and_draws() -> None:
    learner, inference = mode_of("ppo", "max-entropy", entropy_coef=1.0)
    assert inference == Inference(mode="sample", temperature=1.0)
    assert isinstance(learner, PPO)
    assert learner.settings.entropy == 1.0
    task = replace(make_task(TRAIN, COSTS, decision_seconds=0.0), inference=inference)
    settings = replace(SHORT, updates=12, target_kl=None, judge_every=12, learning_rate=3e-3)

    def entropy(coefficient: float) -> float:
        ppo = PPO(replace(settings, entropy=coefficient), None, 32)
        seen: list[float] = []
        ppo.fit(task, seed=0, log=lambda _update, m: seen.append(m["entropy"]), say=str, checkpoints=None)
        return seen[-1]

    assert entropy(1.0) > entropy(0.0) + 0.1
    policy = _learn(Informed(FullInformation(iterations=10)), inference=inference)
    assert policy.inference == inference
    replay = flatten(HELD_OUT, COSTS, policy.actions)
    assert not np.array_equal(policy.replay(replay, seed=1).action_T, policy.replay(replay, seed=2).action_T)


def test_modes_and_names_are_checked() -> None:
    learner, inference = mode_of("dqn", "max-entropy", inference_temperature=0.0)
    assert isinstance(learner, DQN)
    assert learner.settings.entropy > 0
    assert inference == Inference()
    assert mode_of("ppo", action_space="multidiscrete")[0] == LEARNERS["ppo-multidiscrete"]
    for call, message in [
        (lambda: named_learner("sarsa"), "no learner 'sarsa'; known learners: ppo, ppo-multidiscrete, dqn, linucb"),
        (lambda: mode_of("linucb", "max-entropy"), "linucb has no max-entropy mode; those that have: ppo"),
        (lambda: mode_of("ucb1", action_space="multidiscrete"), "no MultiDiscrete actions; those that have: ppo"),
        (lambda: mode_of("ppo", "greedy"), "no mode 'greedy'; known modes: standard, max-entropy"),
        (lambda: mode_of("ppo", action_space="box"), "no action space 'box'; known ones: flat, multidiscrete"),
        (lambda: make_task(TRAIN, COSTS, reward="reference").rewards(landing=True), "cannot be shaped"),
    ]:
        with pytest.raises(ValueError, match=message):
            call()


def test_a_reward_that_is_not_to_be_summed_is_not() -> None:
    policy = _learn(Informed(FullInformation(iterations=10)), reward="reference")
    task = make_task(TRAIN, COSTS, reward="reference")
    assert task.myopic
    assert policy.metadata["reward"] == "reference"


# -- killed, and resumed -----------------------------------------------------------------------------------------------


def _train(folder: Path, name: str, kill_at: int | None = None) -> TreePolicy:
    folder.mkdir(exist_ok=True)

    def log(update: int, _metrics: dict[str, float]) -> None:
        if update == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)

    settings = LearningSettings(menu_size=8, decision_seconds=0.0, learner=RESUMED[name])
    store = Checkpoints(folder, keep=2)
    return learn(FEW, COSTS, settings, seed=3, say=lambda _line: None, log=log, checkpoints=store)


RESUMED = QUICK | {
    "ppo": PPO(SHORT, FullInformation(iterations=2), decodes=32),
    "ppo-multidiscrete": PPO(SHORT, FullInformation(iterations=2), decodes=32, combines_bins=True),
    "neural-linear": replace(_bandit("neural-linear", 6), bandit=NeuralLinear(hidden=(16, 8), train_every=1024)),
    "dqn": DQN(DQNSettings(updates=6, gradient_steps=8, warm_up=500, checkpoint_every=2, judge_every=2), decodes=32),
    "full-information": Informed(FullInformation(iterations=25)),
}
KILLED_AT = {name: 5 for name in RESUMED if name != "greedy"} | {"full-information": 22}  # after a checkpoint
BY_SIGNAL = ("ppo", "dqn", "lin-ts")


def _same(first: TreePolicy, second: TreePolicy) -> None:
    for name, array in first.mlp.arrays().items():
        np.testing.assert_array_equal(array, second.mlp.arrays()[name], err_msg=name)


@pytest.mark.slow
def test_a_training_that_was_killed_ends_as_if_it_had_not_been(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from speculation.test_learners import KILLED_AT, _train\n"
        "_train(Path(sys.argv[1]), sys.argv[2], KILLED_AT[sys.argv[2]])"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[1]), *sys.path])}
    started = {
        name: subprocess.Popen([sys.executable, "-c", code, str(tmp_path / name), name], env=environment)
        for name in BY_SIGNAL
    }
    for name, process in started.items():
        assert process.wait(timeout=200) == -signal.SIGKILL
        latest = Checkpoints(tmp_path / name, keep=2).latest()
        assert latest is not None
        assert latest.step == 4
        _same(_train(tmp_path / name, name), _train(tmp_path / f"{name}-whole", name))


class _Stopped(Exception):
    """The training is left where it is."""


@pytest.mark.parametrize("name", KILLED_AT)
def test_every_learner_resumes_exactly(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(_pid: int, _signal: int) -> None:
        raise _Stopped

    monkeypatch.setattr(os, "kill", stop)
    with pytest.raises(_Stopped):
        _train(tmp_path / "stopped", name, KILLED_AT[name])
    monkeypatch.undo()
    _same(_train(tmp_path / "stopped", name), _train(tmp_path / "whole", name))


def test_other_settings_do_not_resume(tmp_path: Path) -> None:
    store = Checkpoints(tmp_path, keep=2)
    settings = LearningSettings(menu_size=8, learner=_bandit("linucb", 2))
    learn(TRAIN, COSTS, settings, checkpoints=store, say=lambda _line: None)
    other = replace(settings, learner=replace(_bandit("linucb", 2), rounds=7))
    with pytest.raises(ValueError, match=r"other settings \(rounds\)"):
        learn(TRAIN, COSTS, other, checkpoints=store, say=lambda _line: None)


def test_where_nothing_helps_the_best_static_tree_is_exported() -> None:
    said: list[str] = []
    noise = table(30, telling=False, seed=5)
    settings = LearningSettings(menu_size=8, decision_seconds=5e-3, learner=QUICK["linucb"])
    policy = learn(noise, COSTS, settings, say=said.append)
    assert any("nothing learned beats the static tree" in line for line in said)
    held = table(20, telling=False, seed=9)
    column = [str(action) for action in held.actions].index(str(policy.metadata["best_static"]))
    expected = tokens_per_second([static(one, column) for one in price(held, COSTS)])
    assert tokens_per_second(replayed(policy, held, COSTS)) == pytest.approx(expected)
    assert policy.inference == Inference()


def test_a_task_judges_as_the_policy_will_act() -> None:
    task: LearningTask = make_task(TRAIN, COSTS, decision_seconds=0.0)
    drawn = replace(task, inference=Inference(mode="sample", temperature=1.0))
    sharp = replace(task, inference=Inference(mode="sample", temperature=1e-3))
    constant = task.constant()
    assert sharp.judge(constant) == pytest.approx(task.judge(constant))
    assert drawn.judge(constant) < task.judge(constant)
    assert drawn.judge(constant) == drawn.judge(constant)
    assert task.judge(constant) == pytest.approx(task.judge_static())
