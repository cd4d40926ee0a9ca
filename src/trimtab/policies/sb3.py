"""How is a policy trained by Stable-Baselines3's PPO, reproducibly, and freed of it afterwards?

PPO (Schulman et al. 2017, arXiv:1707.06347) as SB3 implements it, through its public ``learn``; ours are the settings,
a checkpoint before every rollout that continues to the same numbers (weights, optimiser, generators and environment as
safetensors and JSON, where SB3 would pickle), and the export of the actor to a plain ``MLP``.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any, Protocol

import numpy as np
import torch
from stable_baselines3 import PPO
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.policies import ActorCriticPolicy
from stable_baselines3.common.vec_env import VecEnv
from torch import nn

from trimtab import randomness
from trimtab.checkpoints import Bookkeeping, Checkpoint, Keeper
from trimtab.policies.mlp import MLP
from trimtab.types import Metrics


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


class ResumableVecEnv(Protocol):
    """What a vectorised environment must offer besides SB3's interface for a training to be resumed exactly."""

    def arrays(self) -> dict[str, np.ndarray]: ...
    def state(self) -> dict[str, Any]: ...
    def restore(self, arrays: dict[str, np.ndarray], state: dict[str, Any]) -> np.ndarray: ...


Log = Callable[[int, Metrics], None]
"""(update, its metrics): what is done with them is the caller's."""
Judge = Callable[[MLP], float]
"""How good the greedy policy is (higher is better), on data of the judge's choice."""


@contextmanager
def single_thread() -> Generator[None]:
    """Small networks are fastest on one thread; the number of threads is put back afterwards."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def build_ppo(env: VecEnv, settings: PPOSettings, seed: int) -> PPO:
    """An untrained PPO with tanh networks, on the CPU. Seeds the global generators and the environment."""
    return PPO(
        "MlpPolicy",
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
        },
        seed=seed,
        device="cpu",
    )


def actor_layers(policy: ActorCriticPolicy) -> list[nn.Linear]:
    """The linear layers from observation to action scores, in order."""
    body = [module for module in policy.mlp_extractor.policy_net if isinstance(module, nn.Linear)]
    assert isinstance(policy.action_net, nn.Linear)
    return [*body, policy.action_net]


def export_mlp(policy: ActorCriticPolicy) -> MLP:
    """The actor as a plain perceptron: the same scores, hence the same greedy actions."""
    layers = actor_layers(policy)
    return MLP(tuple((la.weight.detach().T.numpy().copy(), la.bias.detach().numpy().copy()) for la in layers))


def import_mlp(policy: ActorCriticPolicy, mlp: MLP) -> None:
    """Put a perceptron's weights into the actor. Raises ValueError where the layers differ in number or shape."""
    layers = actor_layers(policy)
    widths = [(la.in_features, la.out_features) for la in layers]
    if [weight.shape for weight, _ in mlp.layers] != widths:
        raise ValueError(f"a perceptron of {[w.shape for w, _ in mlp.layers]}: the actor has layers of {widths}")
    with torch.no_grad():
        for layer, (weight, bias) in zip(layers, mlp.layers, strict=True):
            layer.weight.copy_(torch.from_numpy(weight.T.copy()))
            layer.bias.copy_(torch.from_numpy(bias))


def train_ppo(
    env: VecEnv,
    settings: PPOSettings,
    *,
    seed: int = 0,
    log: Log | None = None,
    checkpoints: Keeper | None = None,
    judge: Judge | None = None,
    prepare: Callable[[ActorCriticPolicy], None] | None = None,
) -> ActorCriticPolicy:
    """Train on ``env`` and return the policy; with a ``judge``, the best one that was judged.

    ``prepare`` may set the weights before the first rollout (a warm start). With ``checkpoints`` (a run's folder of
    them) training continues from the newest one and ends with the same numbers as without the interruption; ``env``
    must then be a ``ResumableVecEnv``. Raises ValueError where the checkpoint is of other settings.
    """
    with single_thread():
        model = build_ppo(env, settings, seed)
        keeper = _Keeper(settings, log, checkpoints, judge)
        found = checkpoints.latest() if checkpoints else None
        if found is not None:
            keeper.resume(model, found)
        elif prepare is not None:
            prepare(model.policy)
        if found is None:
            keeper.consider(model.policy)
        per_update = settings.rollout_steps * env.num_envs
        left = settings.updates * per_update - model.num_timesteps
        if left > 0:
            model.learn(left, callback=keeper, log_interval=settings.updates + 1, reset_num_timesteps=found is None)
            keeper.after_update(model)
        if keeper.best is not None:
            import_mlp(model.policy, keeper.best)
        return model.policy


class _Keeper(BaseCallback):
    """Between two rollouts: log, judge, checkpoint."""

    def __init__(self, settings: PPOSettings, log: Log | None, checkpoints: Keeper | None, judge: Judge | None) -> None:
        super().__init__()
        self.settings, self.log, self.checkpoints, self.judge = settings, log, checkpoints, judge
        self.best: MLP | None = None
        self.best_score = -np.inf
        self.update = 0
        self._begun = False
        self._reward = 0.0

    def consider(self, policy: ActorCriticPolicy) -> None:
        """Judge the policy and keep it if it is the best so far."""
        if self.judge is None:
            return
        mlp = export_mlp(policy)
        score = self.judge(mlp)
        if score > self.best_score:
            self.best, self.best_score = mlp, score

    def _on_step(self) -> bool:
        return True

    def _on_rollout_start(self) -> None:
        """A rollout starts where the last update has ended."""
        if self._begun:
            assert isinstance(self.model, PPO)
            self.after_update(self.model)
        self._begun = True

    def _on_rollout_end(self) -> None:
        assert isinstance(self.model, PPO)
        self._reward = float(self.model.rollout_buffer.rewards.mean())

    def after_update(self, model: PPO) -> None:
        self.update += 1
        last = self.update == self.settings.updates
        if last or self.update % self.settings.judge_every == 0:
            self.consider(model.policy)
        if self.log is not None:
            self.log(self.update, self._metrics(model))
        if self.checkpoints is not None and (last or self.update % self.settings.checkpoint_every == 0):
            arrays, state = self._capture(model)
            self.checkpoints.write(self.update, arrays, state, Bookkeeping())

    def _metrics(self, model: PPO) -> Metrics:
        said = model.logger.name_to_value
        metrics = {"reward": self._reward, "kl": float(said["train/approx_kl"])}
        metrics["entropy"] = -float(said["train/entropy_loss"])
        metrics["explained_variance"] = float(said["train/explained_variance"])
        return metrics | ({"best": self.best_score} if self.best is not None else {})

    def _capture(self, model: PPO) -> tuple[dict[str, Any], dict[str, Any]]:
        env: Any = model.get_env()
        arrays: dict[str, Any] = {f"policy/{k}": v for k, v in model.policy.state_dict().items()}
        for index, slots in model.policy.optimizer.state_dict()["state"].items():
            arrays |= {f"optimiser/{index}/{name}": value for name, value in slots.items()}
        arrays |= {f"env/{k}": v for k, v in env.arrays().items()}
        arrays |= {f"best/{k}": v for k, v in (self.best.arrays() if self.best else {}).items()}
        arrays["episode_starts"] = np.asarray(model._last_episode_starts)  # pyright: ignore[reportPrivateUsage]
        arrays |= randomness.capture()
        state = {
            "settings": _plain(self.settings),
            "timesteps": model.num_timesteps,
            "updates": model._n_updates,  # pyright: ignore[reportPrivateUsage]
            "best_score": self.best_score if self.best else None,
            "env": env.state(),
        }
        return arrays, state

    def resume(self, model: PPO, checkpoint: Checkpoint) -> None:
        """Put everything back that a rollout and an update depend on."""
        state = checkpoint.state
        ours = _plain(self.settings)
        differing = [key for key, value in state["settings"].items() if key != "updates" and ours.get(key) != value]
        if differing:
            raise ValueError(
                f"{checkpoint.path} was trained with other settings ({', '.join(differing)}): resume with the "
                "same ones, or begin a new run"
            )
        tensors = checkpoint.tensors()
        model.policy.load_state_dict(_under("policy", tensors))
        _restore_optimiser(model.policy.optimizer, _under("optimiser", tensors))
        env: Any = model.get_env()
        observations = env.restore({k: v.numpy() for k, v in _under("env", tensors).items()}, state["env"])
        model._last_obs = observations  # pyright: ignore[reportPrivateUsage]
        model._last_episode_starts = tensors["episode_starts"].numpy().astype(bool)  # pyright: ignore[reportPrivateUsage]
        model.num_timesteps, self.update = state["timesteps"], checkpoint.step
        model._n_updates = state["updates"]  # pyright: ignore[reportPrivateUsage]
        best = {k: v.numpy() for k, v in _under("best", tensors).items()}
        if best:
            self.best, self.best_score = MLP.from_arrays(best), state["best_score"]
        randomness.restore(tensors)


def _plain(settings: PPOSettings) -> dict[str, Any]:
    return asdict(settings) | {"hidden": list(settings.hidden)}


def _under(prefix: str, arrays: Mapping[str, Any]) -> dict[str, Any]:
    """The arrays whose names begin with ``prefix/``, without it."""
    return {name.removeprefix(f"{prefix}/"): array for name, array in arrays.items() if name.startswith(f"{prefix}/")}


def _restore_optimiser(optimiser: torch.optim.Optimizer, arrays: Mapping[str, torch.Tensor]) -> None:
    slots: dict[int, dict[str, torch.Tensor]] = {}
    for name, value in arrays.items():
        index, slot = name.split("/")
        slots.setdefault(int(index), {})[slot] = value
    optimiser.load_state_dict({"state": slots, "param_groups": optimiser.state_dict()["param_groups"]})
