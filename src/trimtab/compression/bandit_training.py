"""How does a bandit learn from a table or from live episodes, and how does it go on after it was killed?

An iteration plays ``episodes_per_update`` prompts, sees the rewards of the chosen actions alone, and learns. Judging is
greedy (no exploration), on prompts that it does not learn from. Everything that the next iteration depends on is in the
checkpoint: what was learned, the memory, the covariances, the random states, and how far each log had come.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from trimtab.checkpoints import Checkpoint
from trimtab.compression.actions import parse
from trimtab.compression.engine.weights import Curve
from trimtab.compression.learners import Centred
from trimtab.compression.router import Router, Scaler, Scores
from trimtab.compression.sources import Played, Source
from trimtab.console import print_update
from trimtab.plain import Plain
from trimtab.policies.networks import single_thread, under
from trimtab.runs import Run
from trimtab.tracking import Jsonl
from trimtab.types import Metrics


@dataclass(frozen=True)
class BanditSchedule:
    """How long to learn, and how often to judge (a checkpoint each time). Raises ValueError for numbers below 1."""

    iterations: int = 1000
    episodes_per_update: int = 32
    eval_frequency: int = 100
    eval_samples: int = 50
    log_frequency: int = 10

    def __post_init__(self) -> None:
        numbers = (
            self.iterations,
            self.episodes_per_update,
            self.eval_frequency,
            self.eval_samples,
            self.log_frequency,
        )
        if min(numbers) < 1:
            raise ValueError(f"{self}: expected numbers of at least 1")


@dataclass(frozen=True)
class Deployment:
    """What a router needs beside what was learned."""

    budget: int
    encoder: str
    uncertainty: float
    about: Mapping[str, Plain]

    def router(self, actions: tuple[str, ...], scaler: Scaler, scores: Scores) -> Router:
        """The policy as it would be deployed."""
        return Router(actions, self.budget, self.encoder, scaler, scores, self.uncertainty, None, self.about)


def curves_of(names: Sequence[str]) -> dict[str, list[float | None]]:
    """The a and b of actions by name, as the reference logs them; None for what is no sigmoid."""
    weights = [parse(name).method.weights for name in names]
    curves = [weight if isinstance(weight, Curve) else None for weight in weights]
    return {
        "actions_a": [None if curve is None else _finite(curve.a) for curve in curves],
        "actions_b": [None if curve is None else _finite(curve.b) for curve in curves],
    }


def _finite(value: Any) -> float | None:
    """A number that JSON can hold."""
    return float(value) if np.isfinite(value) else None


class BanditTraining:
    """A bandit, the source it learns from, the prompts it is judged on, and its logs in ``run``'s directory."""

    def __init__(
        self,
        bandit: Centred,
        source: Source,
        judged: Source,
        scaler: Scaler,
        schedule: BanditSchedule,
        deployment: Deployment,
        run: Run,
        seed: int,
    ) -> None:
        self.bandit, self.source, self.judged, self.scaler = bandit, source, judged, scaler
        self.schedule, self.deployment, self.run = schedule, deployment, run
        self.iteration, self.best, self.best_score = 0, self.router(), -np.inf
        self._generator = np.random.default_rng([seed, 1])
        rows = np.random.default_rng([seed, 2]).permutation(judged.count)
        self._judged_rows: list[int] = rows[: schedule.eval_samples].tolist()
        self._progress = Jsonl(run.path / "progress.jsonl")
        self._evaluation = Jsonl(run.path / "evaluation.jsonl")
        self._kept: tuple[int, int] = (0, 0)

    def router(self) -> Router:
        """The policy as it is."""
        return self.deployment.router(self.source.actions, self.scaler, self.bandit.scores())

    def train(self) -> Router:
        """Go on to the last iteration; the best policy of those judged."""
        found = self.run.latest_checkpoint()
        if found is not None:
            self._restore(found)
        self._progress.truncate(self._kept[0])
        self._evaluation.truncate(self._kept[1])
        with single_thread():
            while self.iteration < self.schedule.iterations:
                self._iterate()
        self._progress.close()
        self._evaluation.close()
        return self.best

    def _iterate(self) -> None:
        rows = self._generator.integers(self.source.count, size=self.schedule.episodes_per_update).tolist()
        played = self.source.play(rows, lambda features: self.bandit.choose(self.scaler(features)))
        contexts = self.scaler(played.features_BF)
        foretold = self.bandit.means(contexts)[np.arange(len(rows)), played.columns_B]
        self.bandit.observe(contexts, played.columns_B, played.rewards_B)
        self.iteration += 1
        metrics = {
            "reward": float(played.rewards_B.mean()),
            "prediction_loss": float(np.square(foretold - played.rewards_B).mean()),
        }
        self._log(played, metrics)
        if self.iteration % self.schedule.eval_frequency == 0 or self.iteration == self.schedule.iterations:
            self._judge()

    def _log(self, played: Played, metrics: Metrics) -> None:
        names = [self.source.actions[column] for column in played.columns_B]
        self._progress.append(
            {
                "iteration": self.iteration,
                "avg_reward": metrics["reward"],
                "prediction_loss": metrics["prediction_loss"],
                "actions": dict(Counter(names)),
                **curves_of(names),
            }
        )
        self.run.log(self.iteration, metrics)
        if self.iteration % self.schedule.log_frequency == 0:
            print_update(self.iteration, metrics, self.run.elapsed_seconds)

    def _judge(self) -> None:
        router = self.router()
        played = self.judged.play(self._judged_rows, router.learned)
        score = float(played.rewards_B.mean())
        if score > self.best_score:
            self.best, self.best_score = router, score
        names = [self.source.actions[column] for column in played.columns_B]
        self._evaluation.append(
            {
                "iteration": self.iteration,
                "eval_avg_reward": score,
                "eval_rewards": [float(reward) for reward in played.rewards_B],
                "eval_actions": names,
                **{f"eval_{name}": values for name, values in curves_of(names).items()},
            }
        )
        router.save(self.run.path / f"policy_{self.iteration}")
        self._checkpoint()

    def _checkpoint(self) -> None:
        self._progress.sync()
        self._evaluation.sync()
        arrays = {f"bandit/{name}": np.asarray(array) for name, array in self.bandit.arrays().items()}
        arrays |= {f"best/{name}": array for name, array in self.best.scores.arrays().items()}
        arrays |= {"mean_F": self.scaler.mean_F, "scale_F": self.scaler.scale_F}
        state: dict[str, Any] = {
            "bandit": self.bandit.state(),
            "generator": self._generator.bit_generator.state,
            "best_score": self.best_score,
            "rows": [self._progress.rows, self._evaluation.rows],
        }
        self.run.checkpoint(self.iteration, arrays, state)

    def _restore(self, found: Checkpoint) -> None:
        state: Any = found.state
        arrays = found.arrays()
        self.iteration, self.best_score = found.step, state["best_score"]
        self.scaler = Scaler(arrays["mean_F"], arrays["scale_F"])
        self.bandit.restore(under("bandit", arrays), state["bandit"])
        self._generator.bit_generator.state = state["generator"]
        best = Scores.from_arrays(under("best", arrays))
        self.best = self.deployment.router(self.source.actions, self.scaler, best)
        self._kept = (state["rows"][0], state["rows"][1])
