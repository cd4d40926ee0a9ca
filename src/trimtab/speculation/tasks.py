"""What is a task of this room? A prompt of one or two turns, in MT-bench's format, and where prompts come from.

The package carries prompts of its own (dialogue, arithmetic, code; a training and a held-out split). A file of the user's
is JSON Lines: ``{"question_id": 1, "category": "writing", "turns": ["...", "..."]}``.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PROMPTS = Path(__file__).parent / "prompts"
SPLITS = ("train", "held_out")


@dataclass(frozen=True)
class PromptTask:
    """One prompt: its ``task`` (the question's id), ``category``, and the user's ``turns``."""

    task: str
    category: str
    turns: tuple[str, ...]


def _task(row: Any) -> PromptTask:
    if not isinstance(row, dict):
        raise ValueError(f"expected an object, got {type(row).__name__}")
    turns: Any = row.get("turns")
    if not isinstance(turns, list) or not turns:
        raise ValueError('expected "turns": a list of at least one text')
    if not all(isinstance(turn, str) and turn.strip() for turn in turns):
        raise ValueError('expected every entry of "turns" to be a text that is not empty')
    if "question_id" not in row:
        raise ValueError('expected a "question_id"')
    return PromptTask(str(row["question_id"]), str(row.get("category", "none")), tuple(turns))


def read_prompts(path: Path) -> list[PromptTask]:
    """The prompts of a JSON Lines file. Raises ValueError naming the first line that is none, or an id that recurs."""
    if not path.is_file():
        raise FileNotFoundError(f"{path} is no file: expected prompts as JSON Lines (question_id, category, turns)")
    tasks: dict[str, PromptTask] = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if not line.strip():
            continue
        try:
            task = _task(json.loads(line))
        except ValueError as error:  # JSONDecodeError is one
            raise ValueError(f"{path}, line {number}: {error}. Mend or remove that line.") from error
        if task.task in tasks:
            raise ValueError(f"{path}, line {number}: question_id {task.task} occurs twice; ids must differ")
        tasks[task.task] = task
    if not tasks:
        raise ValueError(f"{path} holds no prompts: expected at least one line")
    return list(tasks.values())


def own_prompts(split: str) -> list[PromptTask]:
    """The package's own prompts of a split (``train`` or ``held_out``); any beginning of them is a balanced mix."""
    if split not in SPLITS:
        raise ValueError(f"no split {split!r}; known splits: {', '.join(SPLITS)}")
    return read_prompts(PROMPTS / f"{split}.jsonl")


def first(tasks: Sequence[PromptTask], count: int | None) -> list[PromptTask]:
    """The first ``count`` tasks (None: all). Raises ValueError for a count below 1."""
    if count is not None and count < 1:
        raise ValueError(f"{count} prompts were asked for: expected at least 1")
    return list(tasks[:count])
