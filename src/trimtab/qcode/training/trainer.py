"""What does this room add to TRL's GRPOTrainer? Problems chosen by what they teach, pass@k, shares of time. Nothing else.

The algorithm is TRL's own. Overridden are four places: which prompts come next, how long writing took, what happened to
each group, and what an evaluation says.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from accelerate.utils import gather_object
from trl.trainer.grpo_trainer import GRPOTrainer

from trimtab.qcode.attempts import Attempt, Grader
from trimtab.qcode.evaluation.passk import pass_at_k, usable
from trimtab.qcode.reward import status_shares
from trimtab.qcode.training.curriculum import Curriculum, CurriculumSampler

KS = (1, 2, 4, 8, 16)
Graded = tuple[str, bool, str]
"""Problem, whether all its tests passed, its status."""


@dataclass
class Watch:
    """What the reward tells the trainer: the graded batch, on its way to the next gathering."""

    train: list[Attempt] = field(default_factory=list[Attempt])
    evaluation: list[Attempt] = field(default_factory=list[Attempt])

    def hear(self, attempts: list[Attempt], values: list[float | None], split: str) -> None:
        """Take in a graded batch."""
        (self.train if split == "train" else self.evaluation).extend(attempts)


def evaluation_metrics(graded: Sequence[Graded]) -> dict[str, float]:
    """pass@k over problems, the share of problems solved at least once, and shares of statuses."""
    rows: dict[str, list[bool]] = defaultdict(list)
    for name, passed, _ in graded:
        rows[name].append(passed)
    counts = [len(row) for row in rows.values()]
    told = {f"eval_pass@{k}": _mean([pass_at_k(len(r), sum(r), k) for r in rows.values()]) for k in usable(counts, KS)}
    told["eval_all_tests"] = _mean([float(passed) for _, passed, _ in graded])
    told["eval_problems"] = float(len(rows))
    return told


def _mean(values: Sequence[float]) -> float:
    return sum(values) / max(1, len(values))


class CodeTrainer(GRPOTrainer):
    """TRL's trainer with a watch, a curriculum, and clocks."""

    args: Any
    model: Any
    num_generations: Any

    def __init__(
        self,
        *args: Any,
        watch: Watch,
        grader: Grader,
        curriculum: Curriculum,
        told_evaluation: Callable[[int, dict[str, float]], object] = lambda step, metrics: None,
        **options: Any,
    ) -> None:
        self.watch, self.grader, self.curriculum, self._told = watch, grader, curriculum, told_evaluation
        self._writing_seconds, self._step_began, self._graded_before = 0.0, time.perf_counter(), grader.seconds
        super().__init__(*args, **options)

    @property
    def steps_per_batch(self) -> int:
        """Optimizer steps that one generation serves."""
        return max(1, self.args.steps_per_generation * self.num_iterations // self.args.gradient_accumulation_steps)

    @property
    def generation(self) -> int:
        """The number of the generation that serves the present step."""
        return int(self.state.global_step) // self.steps_per_batch

    def train(self, *args: Any, **options: Any) -> Any:
        """TRL's training, its clocks set at the beginning."""
        self._step_began, self._graded_before = time.perf_counter(), self.grader.seconds
        return super().train(*args, **options)

    def _get_train_sampler(self, dataset: Any = None) -> Any:
        if not self.curriculum.settings.active:
            return super()._get_train_sampler(dataset)
        return CurriculumSampler(
            self.curriculum,
            prompts=self.args.generation_batch_size // self.num_generations,
            group=self.num_generations,
            repeats=self.num_iterations * self.args.steps_per_generation,
            generations=-(-self.args.max_steps // self.steps_per_batch),
        )

    def _generate_single_turn(self, *args: Any, **options: Any) -> Any:
        began = time.perf_counter()
        try:
            return super()._generate_single_turn(*args, **options)
        finally:
            self._writing_seconds += time.perf_counter() - began

    def _calculate_rewards(self, inputs: Any, prompts: Any, completions: Any, completion_ids_list: Any) -> Any:
        rewards = super()._calculate_rewards(inputs, prompts, completions, completion_ids_list)
        if self.model.training:
            self._learn_from(self.watch.train)
        return rewards

    def _learn_from(self, attempts: list[Attempt]) -> None:
        """Tell the curriculum how the groups of all processes fared, without what the interpreter lacks."""
        told = [(a.problem.id, a.verdict.passed) for a in attempts if a.scored]
        attempts.clear()
        passes: dict[str, list[bool]] = defaultdict(list)
        for name, passed in gather_object(told):
            passes[name].append(passed)
        if passes:
            for name, value in self.curriculum.learn(self.generation, passes).items():
                self._metrics["train"][name].append(value)

    def evaluate(self, *args: Any, **options: Any) -> dict[str, float]:
        """TRL's evaluation, and pass@k of what it wrote."""
        self.watch.evaluation.clear()
        clocks = self._writing_seconds, self.grader.seconds - self._graded_before
        began = time.perf_counter()
        metrics = super().evaluate(*args, **options)
        mine = [(a.problem.id, a.verdict.passed, str(a.status)) for a in self.watch.evaluation]
        told = evaluation_metrics(gather_object(mine))
        told |= {f"eval_{name}": share for name, share in status_shares(self.watch.evaluation).items()}
        metrics.update(told)
        self._told(int(self.state.global_step), {n: v for n, v in metrics.items() if isinstance(v, (int, float))})
        self._writing_seconds, self._graded_before = clocks[0], self.grader.seconds - clocks[1]
        self._step_began += time.perf_counter() - began  # time shares are those of training
        return metrics

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        if self.model.training and "loss" in logs:
            logs.update(self._time_shares())
        super().log(logs, start_time)

    def _time_shares(self) -> dict[str, float]:
        """Of the time since the last row: writing, running programs, everything else (the update)."""
        now = time.perf_counter()
        whole = max(now - self._step_began, 1e-9)
        writing, running = self._writing_seconds, self.grader.seconds - self._graded_before
        self._step_began, self._writing_seconds, self._graded_before = now, 0.0, self.grader.seconds
        shares = {"generation": writing / whole, "execution": running / whole}
        return {f"time/{n}": s for n, s in {**shares, "update": 1.0 - sum(shares.values())}.items()} | {
            "time/seconds": whole
        }
