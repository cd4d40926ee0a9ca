"""How is anything that learns by updates trained: judged now and then, the best kept, resumable to the same numbers?

The loop for what has none of its own (bandits, full information). SB3's algorithms run the same steps as a callback
(``sb3_training``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from trimtab.checkpoints import Bookkeeping, Checkpoint, Keeper
from trimtab.plain import Plain
from trimtab.policies.mlp import MLP
from trimtab.policies.networks import single_thread, under
from trimtab.policies.sb3_training import Judge, Log, check_settings
from trimtab.types import Metrics


class Learner(Protocol):
    """One that learns by updates. Its arrays and state hold all that the next update depends on."""

    def update(self) -> Metrics: ...
    def mlp(self) -> MLP: ...
    def arrays(self) -> Mapping[str, np.ndarray]: ...
    def state(self) -> Mapping[str, Plain]: ...
    def restore(self, arrays: Mapping[str, np.ndarray], state: Mapping[str, Any]) -> None: ...


@dataclass(frozen=True)
class Schedule:
    """So many ``updates``; every so many of them the policy is judged and a checkpoint written, after the last too."""

    updates: int
    judge_every: int = 1
    checkpoint_every: int = 20

    def __post_init__(self) -> None:
        if min(self.updates, self.judge_every, self.checkpoint_every) < 1:
            raise ValueError(f"{self}: expected numbers of at least 1")

    def due(self, update: int, every: int) -> bool:
        return update == self.updates or update % every == 0


def train(
    learner: Learner,
    schedule: Schedule,
    judge: Judge,
    *,
    settings: Mapping[str, Any],
    log: Log | None = None,
    checkpoints: Keeper | None = None,
) -> MLP:
    """The best policy of those judged. ``settings`` are all that shapes the learner, to be compared when resuming.

    Raises ValueError where the newest checkpoint is of other settings.
    """
    best, score, update = learner.mlp(), -np.inf, 0
    found = checkpoints.latest() if checkpoints else None
    if found is not None:
        best, score, update = _resume(learner, found, settings)
    with single_thread():
        while update < schedule.updates:
            metrics, update = learner.update(), update + 1
            if schedule.due(update, schedule.judge_every):
                mlp = learner.mlp()
                judged = judge(mlp)
                best, score = (mlp, judged) if judged > score else (best, score)
            if log is not None:
                log(update, metrics | ({"best": score} if np.isfinite(score) else {}))
            if checkpoints is not None and schedule.due(update, schedule.checkpoint_every):
                checkpoints.write(update, *_capture(learner, best, score, settings), Bookkeeping())
    return best


def _capture(
    learner: Learner, best: MLP, score: float, settings: Mapping[str, Any]
) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    arrays = {f"learner/{name}": np.asarray(array) for name, array in learner.arrays().items()}
    arrays |= {f"best/{name}": array for name, array in best.arrays().items()}
    judged = score if np.isfinite(score) else None
    return arrays, {"settings": dict(settings), "learner": dict(learner.state()), "best_score": judged}


def _resume(learner: Learner, found: Checkpoint, settings: Mapping[str, Any]) -> tuple[MLP, float, int]:
    state: Any = found.state
    check_settings(found, state["settings"], settings)
    arrays = found.arrays()
    learner.restore(under("learner", arrays), state["learner"])
    score = -np.inf if state["best_score"] is None else float(state["best_score"])
    return MLP.from_arrays(under("best", arrays)), score, found.step
