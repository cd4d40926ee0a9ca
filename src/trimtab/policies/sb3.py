"""How is a policy trained by Stable-Baselines3's PPO, reproducibly, and freed of it afterwards?

PPO (Schulman et al. 2017, arXiv:1707.06347) as SB3 implements it, through its public ``learn``; ours are the settings,
the checkpoint between two updates that continues to the same numbers (``sb3_training``), the MultiDiscrete actor that
masks impossible combinations (``factored``), and the export of the actor to a plain ``MLP``. ``entropy`` above 0 is the
max-entropy mode. DQN is in ``dqn``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from stable_baselines3 import PPO
from stable_baselines3.common.policies import ActorCriticPolicy
from stable_baselines3.common.vec_env import VecEnv
from torch import nn

from trimtab.checkpoints import Keeper
from trimtab.policies.factored import FactoredActorCritic, expanded
from trimtab.policies.mlp import MLP
from trimtab.policies.networks import linear_layers, load_layers, plain_layers, single_thread
from trimtab.policies.sb3_training import Judge, Log, ResumableVecEnv, TrainingKeeper
from trimtab.types import Metrics

__all__ = [
    "Judge",
    "Log",
    "PPOSettings",
    "ResumableVecEnv",
    "actor_layers",
    "build_ppo",
    "export_mlp",
    "import_mlp",
    "single_thread",
    "train_ppo",
]


@dataclass(frozen=True)
class PPOSettings:
    """PPO's hyper-parameters. A rollout is ``rollout_steps`` of every environment; ``updates`` rollouts are made.

    ``target_kl`` ends an update's passes early; ``judge_every`` updates the policy is judged, and the best one is kept.
    """

    updates: int = 60
    rollout_steps: int = 64
    batch_size: int = 1024
    epochs: int = 4
    learning_rate: float = 1e-3
    gamma: float = 0.9
    gae_lambda: float = 0.9
    clip: float = 0.2
    entropy: float = 0.003
    value: float = 0.5
    gradient_norm: float = 0.5
    target_kl: float | None = 0.02
    hidden: tuple[int, ...] = (64, 64)
    judge_every: int = 5
    checkpoint_every: int = 20


def build_ppo(env: VecEnv, settings: PPOSettings, seed: int, bins_HA: np.ndarray | None = None) -> PPO:
    """An untrained PPO with tanh networks, on the CPU. Seeds the global generators and the environment.

    ``bins_HA``: the actions are combinations of bins, and the actor gives the bins' logits (see ``factored``).
    """
    factored: dict[str, Any] = {} if bins_HA is None else {"bins_HA": bins_HA}
    return PPO(
        "MlpPolicy" if bins_HA is None else FactoredActorCritic,
        env,
        learning_rate=settings.learning_rate,
        n_steps=settings.rollout_steps,
        batch_size=settings.batch_size,
        n_epochs=settings.epochs,
        gamma=settings.gamma,
        gae_lambda=settings.gae_lambda,
        clip_range=settings.clip,
        ent_coef=settings.entropy,
        vf_coef=settings.value,
        max_grad_norm=settings.gradient_norm,
        target_kl=settings.target_kl,
        policy_kwargs={
            "net_arch": {"pi": list(settings.hidden), "vf": list(settings.hidden)},
            "activation_fn": nn.Tanh,
            **factored,
        },
        seed=seed,
        device="cpu",
    )


def actor_layers(policy: ActorCriticPolicy) -> list[nn.Linear]:
    """The linear layers from observation to action scores (or bins' logits), in order."""
    assert isinstance(policy.action_net, nn.Linear)
    return [*linear_layers(policy.mlp_extractor.policy_net), policy.action_net]


def export_mlp(policy: ActorCriticPolicy, bins_HA: np.ndarray | None = None) -> MLP:
    """The actor as a plain perceptron: the same scores, hence the same greedy actions.

    With ``bins_HA`` those of the combinations; without, those that the actor's last layer gives.
    """
    return expanded(plain_layers(actor_layers(policy)), bins_HA)


def import_mlp(policy: ActorCriticPolicy, mlp: MLP) -> None:
    """Put a perceptron's weights into the actor. Raises ValueError where the layers differ in number or shape."""
    load_layers(actor_layers(policy), mlp)


def train_ppo(
    env: VecEnv,
    settings: PPOSettings,
    *,
    seed: int = 0,
    log: Log | None = None,
    checkpoints: Keeper | None = None,
    judge: Judge | None = None,
    prepare: Callable[[ActorCriticPolicy], None] | None = None,
    bins_HA: np.ndarray | None = None,
) -> ActorCriticPolicy:
    """Train on ``env`` and return the policy; with a ``judge``, the best one that was judged.

    ``prepare`` may set the weights before the first rollout (a warm start). With ``checkpoints`` (a run's folder of
    them) training continues from the newest one and ends with the same numbers as without the interruption; ``env``
    must then be a ``ResumableVecEnv``. Raises ValueError where the checkpoint is of other settings.
    """
    with single_thread():
        model = build_ppo(env, settings, seed, bins_HA)
        keeper = _PPOKeeper(bins_HA, settings, log, checkpoints, judge)
        found = checkpoints.latest() if checkpoints else None
        if found is not None:
            keeper.resume(model, found)
        elif prepare is not None:
            prepare(model.policy)
        if found is None:
            keeper.consider(model)
        left = settings.updates * settings.rollout_steps * env.num_envs - model.num_timesteps
        if left > 0:
            model.learn(left, callback=keeper, log_interval=settings.updates + 1, reset_num_timesteps=found is None)
            keeper.after_update(model)
        keeper.finish(model)
        return model.policy


class _PPOKeeper(TrainingKeeper):
    """What is special to PPO."""

    _reward = 0.0

    def __init__(self, bins_HA: np.ndarray | None, *args: Any) -> None:
        super().__init__(*args)
        self._bins_HA = bins_HA

    def as_policy(self, network: MLP) -> MLP:
        return expanded(network, self._bins_HA)

    def layers(self, model: Any) -> list[nn.Linear]:
        return actor_layers(model.policy)

    def _on_rollout_end(self) -> None:
        assert isinstance(self.model, PPO)
        self._reward = float(self.model.rollout_buffer.rewards.mean())

    def metrics(self, model: Any) -> Metrics:
        said = model.logger.name_to_value
        return {
            "reward": self._reward,
            "kl": float(said["train/approx_kl"]),
            "entropy": -float(said["train/entropy_loss"]),
            "explained_variance": float(said["train/explained_variance"]),
        }

    def more_arrays(self, model: Any) -> dict[str, Any]:
        return {"episode_starts": np.asarray(model._last_episode_starts)}

    def restore_more(self, model: Any, tensors: Mapping[str, Any], state: Mapping[str, Any]) -> None:
        model._last_episode_starts = tensors["episode_starts"].numpy().astype(bool)
