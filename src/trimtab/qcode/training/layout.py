"""Where does a training keep what? The original's folders, inside the run's directory.

RUN/final_outputs/{size}/{format}/checkpoints/checkpoint-N   TRL's checkpoints, each with trimtab.json
                                  logs/training_log.txt      a line for each logged step
                                  logs/eval_results.json     every evaluation
                                  config.yaml                the resolved recipe
RUN/best                                                     the model that did best on validation
RUN/model                                                    the model at the end
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trimtab.checkpoints import Bookkeeping, Checkpoints, replace_file
from trimtab.records import write_json

if TYPE_CHECKING:
    from trimtab.qcode.training_recipe import Train

MARK = "trimtab.json"
"""Written last into a checkpoint: one without it was being written when the run was killed."""


@dataclass(frozen=True)
class Layout:
    """The folders of a run."""

    run: Path
    size: str
    format: str

    @property
    def outputs(self) -> Path:
        return self.run / "final_outputs" / self.size / self.format

    @property
    def checkpoints(self) -> Path:
        return self.outputs / "checkpoints"

    @property
    def log(self) -> Path:
        return self.outputs / "logs" / "training_log.txt"

    @property
    def evaluations(self) -> Path:
        return self.outputs / "logs" / "eval_results.json"

    @property
    def best(self) -> Path:
        return self.run / "best"

    @property
    def model(self) -> Path:
        return self.run / "model"

    def prepare(self, recipe: str) -> None:
        """Make the folders, and write the resolved recipe."""
        for folder in (self.checkpoints, self.log.parent):
            folder.mkdir(parents=True, exist_ok=True)
        replace_file(self.outputs / "config.yaml", lambda scratch: scratch.write_text(recipe, encoding="utf-8"))


def of_command(run: Path, command: Train) -> Layout:
    """The layout of a training's run."""
    return Layout(run, command.size, command.format_name)


def step_of(checkpoint: Path) -> int:
    """The step of ``checkpoint-N``. Raises ValueError for another name."""
    found = re.fullmatch(r"checkpoint-(\d+)", checkpoint.name)
    if not found:
        raise ValueError(f"{checkpoint} is no checkpoint: expected a folder named checkpoint-N")
    return int(found[1])


def complete(folder: Path) -> list[Path]:
    """The checkpoints in ``folder`` that are whole, oldest first."""
    whole = [path.parent for path in folder.glob(f"checkpoint-*/{MARK}")]
    return sorted(whole, key=step_of)


def mark(checkpoint: Path, state: dict[str, Any]) -> None:
    """Call a checkpoint whole, with what trimtab needs of it."""
    write_json(checkpoint / MARK, state)


def read_mark(checkpoint: Path, recipe: str) -> dict[str, Any]:
    """What ``mark`` wrote. Raises ValueError where the checkpoint is not whole, or another recipe's."""
    path = checkpoint / MARK
    if not path.is_file():
        whole = ", ".join(found.name for found in complete(checkpoint.parent)) or "none"
        raise ValueError(f"{checkpoint} is not whole (the run was killed while it was written); whole ones: {whole}")
    state: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    if state["recipe"] != recipe:
        raise ValueError(
            f"{checkpoint} belongs to another recipe ({state['recipe']}, this run's is {recipe}): resume the run "
            "that it is of"
        )
    return state


def rewind(run: Path, step: int, state: dict[str, Any] | None) -> None:
    """Make ``step`` the newest that the run knows of, so that rows recorded after it are dropped on resuming."""
    folder = run / "checkpoints"
    for path in folder.glob("*.safetensors"):
        path.unlink()
    if state is not None:
        rows = state["rows"]
        Checkpoints(folder, keep=3).write(
            step, {}, {}, Bookkeeping(rows["metrics"], rows["steps"], state["elapsed_seconds"])
        )
