"""What does a run keep of a training? Every logged row, samples with their grades, whole checkpoints, the best model."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from transformers import TrainerCallback

from trimtab.console import print_update, say
from trimtab.qcode.attempts import Attempt
from trimtab.qcode.training import layout
from trimtab.qcode.training.alarms import ADVICE, Alarms
from trimtab.qcode.training.curriculum import Curriculum
from trimtab.records import write_json
from trimtab.runs import Run
from trimtab.types import Choice, Grade, Step

SHOWN = ("loss", "reward", "frac_reward_zero_std", "entropy", "kl", "completions/mean_length")
SAMPLES = 4
"""Of each graded batch, kept in steps.jsonl."""


def numbers(logs: Mapping[str, Any]) -> dict[str, float]:
    """The finite numbers of a row (TRL logs None or nan where a batch had nothing to measure)."""
    told = {name: float(v) for name, v in logs.items() if isinstance(v, (int, float)) and not isinstance(v, bool)}
    return {name: value for name, value in told.items() if math.isfinite(value)}


class Recorder(TrainerCallback):
    """Stands between TRL's trainer and the run. Other processes than the main one have no run, and keep the alarms only."""

    def __init__(
        self, run: Run | None, where: layout.Layout, alarms: Alarms, curriculum: Curriculum, recipe: str
    ) -> None:
        self.run, self.where, self.alarms, self.curriculum, self.recipe = run, where, alarms, curriculum, recipe
        self.best: float | None = None
        self.evaluations: list[dict[str, Any]] = []
        self.save_model: Callable[[str], object] = lambda folder: None

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
        """Keep a row, look for alarms, print the line."""
        row = numbers(logs or {})
        row.pop("epoch", None)
        if not row or "train_runtime" in row:
            return
        training = not any(name.startswith("eval_") for name in row)
        told, begun = self.alarms.look(row) if training else ({}, [])
        if self.run is None:
            return
        step = int(state.global_step)
        self.run.log(step, row | told)
        if training:
            print_update(step, {name: row[name] for name in SHOWN if name in row}, self.run.elapsed_seconds)
        with self.where.log.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"step": step, **row}) + "\n")
        for name in begun:
            say(f"alarm at step {step}: {name}. {ADVICE[name]}")

    def hear(self, attempts: list[Attempt], values: list[float | None], split: str) -> None:
        """Keep a few samples of a graded batch."""
        if self.run is None or split != "train":
            return
        rows = [row for row, value in enumerate(values) if value is not None][:SAMPLES]
        self.run.record([_step(attempts[row], float(values[row] or 0.0)) for row in rows])

    def evaluated(self, step: int, metrics: dict[str, float]) -> None:
        """Keep an evaluation, and the model where it is the best so far. All processes come here."""
        found = numbers(metrics)
        value = found.get("eval_pass@1", 0.0)
        better = self.best is None or value > self.best
        if better:
            self.best = value
            self.save_model(str(self.where.best))
        self.evaluations.append({"step": step, "best": better, **found})
        if self.run is None:
            return
        own = {n: v for n, v in found.items() if n.startswith(("eval_pass@", "eval_all", "eval_status"))}
        self.run.log(step, own)
        write_json(self.where.evaluations, self.evaluations)
        shown = {n.removeprefix("eval_"): v for n, v in own.items() if n.startswith("eval_pass@")}
        told = " | ".join(f"{name} {v:.3f}" for name, v in shown.items())
        print(f"evaluation at step {step} | {told}{' | best so far' if better else ''}", flush=True)

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Call the checkpoint whole, once everything that belongs to it is on the disk."""
        if self.run is None:
            return
        step = int(state.global_step)
        self.run.checkpoint(step, {}, {})
        kept = self.run.latest_checkpoint()
        assert kept is not None
        layout.mark(self.where.checkpoints / f"checkpoint-{step}", {**self.state(), "rows": _rows(kept.bookkeeping)})

    def state(self) -> dict[str, Any]:
        """What a resumed run needs besides TRL's own."""
        return {
            "recipe": self.recipe,
            "alarms": self.alarms.state(),
            "curriculum": self.curriculum.state(),
            "best": self.best,
            "evaluations": self.evaluations,
            "elapsed_seconds": 0.0 if self.run is None else self.run.elapsed_seconds,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Put back what ``state`` gave."""
        self.alarms.restore(state["alarms"])
        self.curriculum.restore(state["curriculum"])
        self.best, self.evaluations = state["best"], list(state["evaluations"])


def _rows(kept: Any) -> dict[str, int]:
    return {"metrics": kept.metrics_rows, "steps": kept.steps_rows}


def _step(attempt: Attempt, value: float) -> Step[Any, Any, Any]:
    outcome = {
        "code": attempt.extraction.code,
        "status": str(attempt.status),
        "detail": attempt.verdict.detail,
        "tests": [str(test.status) for test in attempt.verdict.tests],
        "ended": attempt.ended,
        "tokens": attempt.tokens,
    }
    parts = {"fraction": attempt.verdict.fraction, "well_formed": float(attempt.extraction.well_formed)}
    return Step(attempt.problem.id, attempt.problem.description, Choice(attempt.text), outcome, Grade(value, parts))


def trim_log(path: Path, step: int) -> None:
    """Drop the lines of the text log that were written after ``step``."""
    if path.is_file():
        lines = [line for line in path.read_text(encoding="utf-8").splitlines() if json.loads(line)["step"] <= step]
        path.write_text("".join(line + "\n" for line in lines), encoding="utf-8")
