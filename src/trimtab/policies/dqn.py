"""How is a policy trained by Stable-Baselines3's DQN on many decodes at once, reproducibly, in both modes?

DQN (Mnih et al. 2015) with SB3's networks, replay memory and loop. Three things are ours. Exploration tosses a coin for
every decode, where SB3 tosses one for the whole batch. The next action is chosen by the online network and valued by the
target network (double DQN, van Hasselt et al. 2016, arXiv:1509.06461). And with ``entropy`` above 0 it is soft Q-learning
(Haarnoja et al. 2017, arXiv:1702.08165, equations 3 and 4), the max-entropy mode:

    V(s) = entropy * logsumexp_a Q(s, a) / entropy,        pi(a|s) = softmax(Q(s, a) / entropy)

in which case the policy explores by its own chance. Checkpoints (``sb3_training``) hold the replay memory too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from stable_baselines3 import DQN
from stable_baselines3.common.vec_env import VecEnv
from torch import nn

from trimtab.checkpoints import Keeper
from trimtab.policies.mlp import MLP
from trimtab.policies.networks import linear_layers, plain_layers, single_thread
from trimtab.policies.sb3_training import Judge, Log, TrainingKeeper
from trimtab.types import Metrics


@dataclass(frozen=True)
class DQNSettings:
    """DQN's hyper-parameters. An update is ``rollout_steps`` of every environment and ``gradient_steps`` batches.

    ``memory``: transitions kept; ``warm_up``: transitions by pure chance before learning; the share of choices by pure
    chance falls from 1 to ``explore_last`` over ``explore_share`` of the training; the target network follows every
    ``target_every`` transitions.
    """

    updates: int = 60
    rollout_steps: int = 16
    gradient_steps: int = 64
    batch_size: int = 256
    learning_rate: float = 1e-3
    gamma: float = 0.9
    memory: int = 100_000
    warm_up: int = 4_000
    target_every: int = 4_000
    explore_share: float = 0.4
    explore_last: float = 0.05
    entropy: float = 0.0
    gradient_norm: float = 10.0
    hidden: tuple[int, ...] = (64, 64)
    judge_every: int = 5
    checkpoint_every: int = 20

    def __post_init__(self) -> None:
        if self.entropy < 0 or min(self.updates, self.rollout_steps, self.gradient_steps, self.memory) < 1:
            raise ValueError(f"{self}: expected entropy of 0 or more, and at least one update, step and transition")


class VectorDQN(DQN):
    """SB3's DQN with a coin for every decode, double targets, and soft values where ``entropy`` is above 0."""

    def __init__(self, *args: Any, entropy: float = 0.0, **kwargs: Any) -> None:
        self.entropy = entropy
        super().__init__(*args, **kwargs)

    def predict(
        self, observation: Any, state: Any = None, episode_start: Any = None, deterministic: bool = False
    ) -> tuple[np.ndarray, Any]:
        """Actions [B]: by the highest value, and, unless ``deterministic``, by chance where exploration says so."""
        with torch.no_grad():
            values_BA = self.q_net(torch.as_tensor(np.asarray(observation)))
        if deterministic:
            return values_BA.argmax(dim=1).numpy(), state
        if self.entropy > 0:
            chosen = torch.distributions.Categorical(logits=values_BA / self.entropy).sample()
        else:
            chosen = values_BA.argmax(dim=1)
        explores = np.random.rand(len(chosen)) < self.exploration_rate
        at_random = np.random.randint(values_BA.shape[1], size=len(chosen))
        return np.where(explores, at_random, chosen.numpy()), state

    def _sample_action(
        self, learning_starts: int, action_noise: Any = None, n_envs: int = 1
    ) -> tuple[np.ndarray, np.ndarray]:
        assert self._last_obs is not None
        if self.num_timesteps < learning_starts:
            self.exploration_rate = 1.0
        actions, _ = self.predict(self._last_obs)
        return actions, actions

    def _next_values(self, observations_BF: torch.Tensor) -> torch.Tensor:
        """The value [B, 1] of what follows."""
        target_BA = self.q_net_target(observations_BF)
        if self.entropy > 0:
            return self.entropy * torch.logsumexp(target_BA / self.entropy, dim=1, keepdim=True)
        return target_BA.gather(1, self.q_net(observations_BF).argmax(dim=1, keepdim=True))

    def train(self, gradient_steps: int, batch_size: int = 100) -> None:
        """``gradient_steps`` batches of the replay memory."""
        self.policy.set_training_mode(True)
        assert self.replay_buffer is not None
        losses: list[float] = []
        for _ in range(gradient_steps):
            data = self.replay_buffer.sample(batch_size)
            with torch.no_grad():
                targets = data.rewards + (1 - data.dones) * self.gamma * self._next_values(data.next_observations)
            taken = self.q_net(data.observations).gather(1, data.actions.long())
            loss = nn.functional.smooth_l1_loss(taken, targets)
            losses.append(loss.item())
            self.policy.optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(self.policy.parameters(), self.max_grad_norm)
            self.policy.optimizer.step()
        self._n_updates += gradient_steps
        self.logger.record("train/loss", float(np.mean(losses)))


def build_dqn(env: VecEnv, settings: DQNSettings, seed: int) -> VectorDQN:
    """An untrained DQN with tanh networks, on the CPU. Seeds the global generators and the environment."""
    return VectorDQN(
        "MlpPolicy",
        env,
        entropy=settings.entropy,
        learning_rate=settings.learning_rate,
        buffer_size=settings.memory,
        learning_starts=settings.warm_up,
        batch_size=settings.batch_size,
        gamma=settings.gamma,
        train_freq=(settings.rollout_steps, "step"),
        gradient_steps=settings.gradient_steps,
        target_update_interval=settings.target_every,
        exploration_fraction=settings.explore_share,
        exploration_final_eps=settings.explore_last if settings.entropy == 0 else 0.0,
        max_grad_norm=settings.gradient_norm,
        policy_kwargs={"net_arch": list(settings.hidden), "activation_fn": nn.Tanh},
        seed=seed,
        device="cpu",
    )


def value_layers(model: DQN) -> list[nn.Linear]:
    """The linear layers of the online network, from observation to values."""
    return linear_layers(model.q_net.q_net)


def export_values(model: VectorDQN) -> MLP:
    """The online network as a plain perceptron. Of soft values the scores are divided by ``entropy``: their softmax is
    the policy."""
    return _logits(plain_layers(value_layers(model)), model.entropy)


def _logits(values: MLP, entropy: float) -> MLP:
    if entropy == 0:
        return values
    weight, bias = values.layers[-1]
    return MLP((*values.layers[:-1], (weight / np.float32(entropy), bias / np.float32(entropy))))


def train_dqn(
    env: VecEnv,
    settings: DQNSettings,
    *,
    seed: int = 0,
    log: Log | None = None,
    checkpoints: Keeper | None = None,
    judge: Judge | None = None,
    prepare: Callable[[VectorDQN], None] | None = None,
) -> MLP:
    """Train on ``env`` and return the values as a perceptron; with a ``judge``, the best one that was judged.

    ``prepare`` and ``checkpoints`` as in ``train_ppo``. Raises ValueError where the checkpoint is of other settings.
    """
    with single_thread():
        model = build_dqn(env, settings, seed)
        keeper = _DQNKeeper(settings, log, checkpoints, judge)
        found = checkpoints.latest() if checkpoints else None
        if found is not None:
            keeper.resume(model, found)
        elif prepare is not None:
            prepare(model)
        left = settings.updates * settings.rollout_steps * env.num_envs - model.num_timesteps
        if left > 0:
            model.learn(left, callback=keeper, log_interval=settings.memory, reset_num_timesteps=found is None)
            keeper.after_update(model)
        keeper.finish(model)
        return export_values(model)


_MEMORY = ("observations", "next_observations", "actions", "rewards", "dones", "timeouts")


class _DQNKeeper(TrainingKeeper):
    """What is special to DQN: its exploration follows a schedule, and its memory is part of a checkpoint."""

    fixed_updates = True

    def as_policy(self, network: MLP) -> MLP:
        settings: Any = self.settings
        return _logits(network, settings.entropy)

    def layers(self, model: Any) -> list[nn.Linear]:
        return value_layers(model)

    def metrics(self, model: Any) -> Metrics:
        memory = model.replay_buffer
        recent = memory.rewards[np.arange(memory.pos - self._steps(), memory.pos) % memory.buffer_size]
        said = model.logger.name_to_value
        loss = {"loss": float(said["train/loss"])} if "train/loss" in said else {}
        return {"reward": float(recent.mean()), "exploration": float(model.exploration_rate), **loss}

    def _steps(self) -> int:
        settings: Any = self.settings
        return int(settings.rollout_steps)

    def more_arrays(self, model: Any) -> dict[str, Any]:
        memory = model.replay_buffer
        filled = memory.buffer_size if memory.full else memory.pos
        return {f"memory/{name}": getattr(memory, name)[:filled] for name in _MEMORY}

    def more_state(self, model: Any) -> dict[str, Any]:
        memory = model.replay_buffer
        counted = {"calls": model._n_calls, "episodes": model._episode_num, "exploration": model.exploration_rate}
        return {**counted, "memory": [memory.pos, memory.full]}

    def restore_more(self, model: Any, tensors: Mapping[str, Any], state: Mapping[str, Any]) -> None:
        memory = model.replay_buffer
        for name in _MEMORY:
            kept = tensors[f"memory/{name}"].numpy()
            getattr(memory, name)[: len(kept)] = kept
        memory.pos, memory.full = state["memory"]
        model._n_calls, model._episode_num = state["calls"], state["episodes"]
        model.exploration_rate = state["exploration"]
