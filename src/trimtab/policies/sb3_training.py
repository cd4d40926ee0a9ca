"""What does every training by Stable-Baselines3 need around it? Log, judge, keep the best, checkpoint, resume exactly.

All of it happens between two updates, when a rollout begins. What SB3 would pickle goes into a checkpoint as safetensors
and JSON: weights, optimiser, generators, environment, and whatever else the algorithm names.
"""

from __future__ import annotations

import json
from abc import abstractmethod
from collections.abc import Callable, Collection, Mapping
from dataclasses import asdict
from typing import Any, ClassVar, Protocol

import numpy as np
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import BaseCallback
from torch import nn

from trimtab import randomness
from trimtab.checkpoints import Bookkeeping, Checkpoint, Keeper
from trimtab.policies.mlp import MLP
from trimtab.policies.networks import load_layers, optimiser_arrays, plain_layers, restore_optimiser, under
from trimtab.types import Metrics

Log = Callable[[int, Metrics], None]
"""(update, its metrics): what is done with them is the caller's."""
Judge = Callable[[MLP], float]
"""How good the policy is (higher is better), on data of the judge's choice."""


class ResumableVecEnv(Protocol):
    """What a vectorised environment must offer besides SB3's interface for a training to be resumed exactly."""

    def arrays(self) -> dict[str, np.ndarray]: ...
    def state(self) -> dict[str, Any]: ...
    def restore(self, arrays: dict[str, np.ndarray], state: dict[str, Any]) -> np.ndarray: ...


class Settings(Protocol):
    """Hyper-parameters (a frozen dataclass) that the keeper looks at."""

    __dataclass_fields__: ClassVar[dict[str, Any]]

    @property
    def updates(self) -> int: ...
    @property
    def judge_every(self) -> int: ...
    @property
    def checkpoint_every(self) -> int: ...


class TrainingKeeper(BaseCallback):
    """Logs, judges and checkpoints between two updates. One algorithm each says what is special to it."""

    fixed_updates: ClassVar[bool] = False
    """Whether the number of updates is part of what is learned (by a schedule), so that no other may resume it."""

    def __init__(
        self,
        settings: Settings,
        log: Log | None,
        checkpoints: Keeper | None,
        judge: Judge | None,
    ) -> None:
        super().__init__()
        self.settings, self.log, self.checkpoints, self.judge = settings, log, checkpoints, judge
        self.best: MLP | None = None
        self.best_score = -np.inf
        self.update = 0
        self._begun = False

    # -- what an algorithm says -----------------------------------------------------------------------------------------

    @abstractmethod
    def layers(self, model: Any) -> list[nn.Linear]:
        """The linear layers from observation to scores, in order."""

    def as_policy(self, network: MLP) -> MLP:
        """The network of ``layers`` as one whose outputs are the actions' scores."""
        return network

    @abstractmethod
    def metrics(self, model: Any) -> Metrics:
        """Of the last update."""

    def more_arrays(self, model: Any) -> dict[str, Any]:
        """Arrays of a checkpoint besides weights, optimiser, generators and environment."""
        return {}

    def more_state(self, model: Any) -> dict[str, Any]:
        """Plain data of a checkpoint besides the counters."""
        return {}

    def restore_more(self, model: Any, tensors: Mapping[str, Any], state: Mapping[str, Any]) -> None:
        """Put back what the two above gave."""

    # -- what is the same for all ---------------------------------------------------------------------------------------

    def consider(self, model: BaseAlgorithm) -> None:
        """Judge the policy and keep it if it is the best so far."""
        if self.judge is None:
            return
        network = plain_layers(self.layers(model))
        score = self.judge(self.as_policy(network))
        if score > self.best_score:
            self.best, self.best_score = network, score

    def finish(self, model: BaseAlgorithm) -> None:
        """After the last update: the best policy that was judged is the one that stays."""
        if self.best is not None:
            load_layers(self.layers(model), self.best)

    def _on_step(self) -> bool:
        return True

    def _on_rollout_start(self) -> None:
        """A rollout starts where the last update has ended."""
        if self._begun:
            self.after_update(self.model)
        self._begun = True

    def after_update(self, model: BaseAlgorithm) -> None:
        self.update += 1
        last = self.update == self.settings.updates
        if last or self.update % self.settings.judge_every == 0:
            self.consider(model)
        if self.log is not None:
            best = {"best": self.best_score} if self.best is not None else {}
            self.log(self.update, self.metrics(model) | best)
        if self.checkpoints is not None and (last or self.update % self.settings.checkpoint_every == 0):
            arrays, state = self._capture(model)
            self.checkpoints.write(self.update, arrays, state, Bookkeeping())

    def _capture(self, model: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        env: Any = model.get_env()
        arrays: dict[str, Any] = {f"policy/{k}": v for k, v in model.policy.state_dict().items()}
        arrays |= {f"optimiser/{k}": v for k, v in optimiser_arrays(model.policy.optimizer).items()}
        arrays |= {f"env/{k}": v for k, v in env.arrays().items()}
        arrays |= {f"best/{k}": v for k, v in (self.best.arrays() if self.best else {}).items()}
        arrays |= self.more_arrays(model) | randomness.capture()
        state = {
            "settings": plain_settings(self.settings),
            "timesteps": model.num_timesteps,
            "updates": model._n_updates,
            "best_score": self.best_score if self.best else None,
            "env": env.state(),
        }
        return arrays, state | self.more_state(model)

    def resume(self, model: Any, checkpoint: Checkpoint) -> None:
        """Put everything back that a rollout and an update depend on. Raises ValueError for other settings."""
        state = checkpoint.state
        self._check(checkpoint)
        tensors = checkpoint.tensors()
        model.policy.load_state_dict(under("policy", tensors))
        restore_optimiser(model.policy.optimizer, under("optimiser", tensors))
        env: Any = model.get_env()
        model._last_obs = env.restore({k: v.numpy() for k, v in under("env", tensors).items()}, state["env"])
        model.num_timesteps, self.update = state["timesteps"], checkpoint.step
        model._n_updates = state["updates"]
        self.restore_more(model, tensors, state)
        best = {k: v.numpy() for k, v in under("best", tensors).items()}
        if best:
            self.best, self.best_score = MLP.from_arrays(best), float(state["best_score"])  # pyright: ignore
        randomness.restore(tensors)

    def _check(self, checkpoint: Checkpoint) -> None:
        theirs: Any = checkpoint.state["settings"]
        check_settings(checkpoint, theirs, plain_settings(self.settings), set() if self.fixed_updates else {"updates"})


def plain_settings(settings: Any) -> dict[str, Any]:
    """A dataclass of settings as JSON holds it."""
    return json.loads(json.dumps(asdict(settings)))


def check_settings(
    checkpoint: Checkpoint, theirs: Mapping[str, Any], ours: Mapping[str, Any], free: Collection[str] = ()
) -> None:
    """Raises ValueError naming the settings that differ from those of the checkpoint, but for the ``free`` ones."""
    known = set(theirs) | set(ours)
    differing = sorted(key for key in known - set(free) if theirs.get(key) != ours.get(key))
    if differing:
        raise ValueError(
            f"{checkpoint.path} was trained with other settings ({', '.join(differing)}): resume with the same ones, or "
            "begin a new run"
        )
