"""How do MT-bench's questions go in and its answers come out? What fits a small context; answers as its judge reads them.

A line is ``{"question_id", "answer_id", "model_id", "choices": [{"index", "turns", "idxs", "new_tokens", "wall_time"}],
"tstamp"}``: FastChat's format (Zheng et al., Judging LLM-as-a-Judge, 2023) with the per-turn numbers that EAGLE's
evaluation scripts add, from which their speeds are computed.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from trimtab.checkpoints import replace_file
from trimtab.speculation.actions import EAGLE_DEFAULT
from trimtab.speculation.engine.speculator import Message, Speculator
from trimtab.speculation.race import Entry, Turn, Written, speed_ratio
from trimtab.speculation.tasks import PromptTask
from trimtab.speculation.texts import conversation
from trimtab.speculation.turnwise import STATIC

if TYPE_CHECKING:
    from trimtab.speculation.evaluation import Evaluation
    from trimtab.speculation.stages import Prepared

_RETOKENISED = 1.25
"""An answer that is read again, as text, may have somewhat more tokens than it was written with."""


# -- questions ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class LeftOut:
    """A turn that may exceed the context: its answer, those before it, and what a tree reaches beyond are counted."""

    task: str
    turn: int
    tokens: int

    def __str__(self) -> str:
        return f"{self.task}, turn {self.turn} ({self.tokens} tokens)"


def fitting(
    speculator: Speculator, tasks: Sequence[PromptTask], max_new_tokens: int, beyond: int
) -> tuple[list[PromptTask], list[LeftOut]]:
    """The tasks cut to the turns that surely fit the target's context, and the turns that were left out.

    Nothing is generated: answers count as ``max_new_tokens`` and a quarter, so that the choice is the same in any
    arithmetic. ``beyond``: the deepest tree's levels and one. A task whose first turn is too long is left out whole.
    """
    kept: list[PromptTask] = []
    left: list[LeftOut] = []
    for task in tasks:
        needed = _tokens_of_turns(speculator, task, max_new_tokens, beyond)
        fits = next((n for n, tokens in enumerate(needed) if tokens > speculator.context_tokens), len(needed))
        left += [LeftOut(task.task, n + 1, tokens) for n, tokens in enumerate(needed) if n >= fits]
        if fits:
            kept.append(replace(task, turns=task.turns[:fits]))
    return kept, left


def deepest(prepared: Prepared) -> int:
    """The most levels that any contender of a run may draft."""
    levels = (table.menu.depth for table in prepared.levels)
    return max(EAGLE_DEFAULT.depth, *(shape.depth for shape in prepared.table.actions), *levels)


def _tokens_of_turns(speculator: Speculator, task: PromptTask, max_new_tokens: int, beyond: int) -> list[int]:
    """For each turn, the tokens of the conversation up to the end of its answer."""
    messages: list[Message] = []
    needed: list[int] = []
    for number, text in enumerate(task.turns):
        messages.append({"role": "user", "content": text})
        before = round(_RETOKENISED * max_new_tokens) * number
        needed.append(speculator.count(conversation(speculator, messages)) + before + max_new_tokens + beyond)
        messages.append({"role": "assistant", "content": "."})
    return needed


# -- answers -----------------------------------------------------------------------------------------------------------


def answers(entry: Entry, turns: Sequence[Turn], model_id: str) -> list[dict[str, Any]]:
    """A contender's answers, one for each question, in the order of the evaluation; each repeat is a choice.

    ``idxs`` is the index of a turn's last round (from 0, -1 where the prompt's forward was all), ``wall_time`` seconds.
    A question's second turn follows the target's own greedy answer to the first. Raises ValueError for decodes without
    text.
    """
    questions: dict[str, list[int]] = {}
    for index, turn in enumerate(turns):
        questions.setdefault(turn.task.split("/turn")[0], []).append(index)
    return [
        {
            "question_id": _question_id(question),
            "answer_id": uuid.uuid4().hex,
            "model_id": model_id,
            "choices": [
                _choice(repeat, [entry.decodes_TR[index][repeat] for index in indices])
                for repeat in range(len(entry.decodes_TR[indices[0]]))
            ],
            "tstamp": time.time(),
        }
        for question, indices in questions.items()
    ]


def _question_id(task: str) -> int | str:
    """MT-bench numbers its questions; tasks hold their ids as text."""
    return int(task) if task.isdecimal() and str(int(task)) == task else task


def _choice(index: int, written: Sequence[Written]) -> dict[str, Any]:
    generations = [one.generation for one in written]
    if any(one is None for one in generations):
        raise ValueError("decodes that are not this engine's hold no text: write answers of its own contenders only")
    made = [one for one in generations if one is not None]
    return {
        "index": index,
        "turns": [one.text.strip() for one in made],
        "idxs": [len(one.rounds) - 1 for one in made],
        "new_tokens": [len(one.tokens) for one in made],
        "wall_time": [one.seconds for one in written],
    }


def write_answers(
    path: Path, entries: Sequence[Entry], turns: Sequence[Turn], prefix: str, policy: str = "eagle-policy"
) -> list[Path]:
    """Write answers, atomically: the policy's where ``path`` ends in ``.jsonl``, else every contender's into the folder
    ``path``, in a file named as its ``model_id`` (MT-bench tells models apart by file).

    ``model_id`` is ``prefix`` and the contender's name. Raises ValueError without the policy's row.
    """
    single = path.suffix == ".jsonl"
    chosen = [entry for entry in entries if not single or entry.name == policy]
    if not chosen:
        raise ValueError(f"no contender is called {policy}: expected one of {', '.join(e.name for e in entries)}")
    paths: list[Path] = []
    for entry in chosen:
        model_id = f"{prefix}-{entry.name}"
        lines = [json.dumps(row, ensure_ascii=False) + "\n" for row in answers(entry, turns, model_id)]
        paths.append(path if single else path / f"{model_id}.jsonl")
        _write(paths[-1], "".join(lines))
    return paths


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    replace_file(path, lambda scratch: scratch.write_text(text, encoding="utf-8"))


def model_prefix(target: str) -> str:
    """A model's name as a file may carry it: the last part of its id or path, without a colon."""
    return Path(target.replace(":", "-")).name or "model"


# -- tables ------------------------------------------------------------------------------------------------------------


def category_rows(evaluation: Evaluation) -> list[dict[str, Any]]:
    """For each category, every decoded contender: speed, tau, and its ratio to the best static tree with the interval."""
    turns, static = evaluation.turns, evaluation.entry(STATIC)
    rows: list[dict[str, Any]] = []
    for category in dict.fromkeys(turn.category for turn in turns):
        mine = np.array([turn.category == category for turn in turns])
        for entry in evaluation.entries:
            interval = speed_ratio(entry, static, turns, mine)
            rows.append(
                {
                    "category": category,
                    "turns": int(mine.sum()),
                    "name": entry.name,
                    "tokens_per_second": float(entry.tokens_T[mine].sum() / entry.seconds_T[mine].sum()),
                    "tau": tau_of(entry, mine),
                    "against_best_static": interval.estimate,
                    "low": interval.low,
                    "high": interval.high,
                }
            )
    return rows


def tau_of(entry: Entry, keep_T: np.ndarray) -> float | None:
    """Mean tokens committed per round in the turns of ``keep_T``; None where no round was made."""
    kept = [written for row, wanted in zip(entry.decodes_TR, keep_T, strict=True) if wanted for written in row]
    accepted = [r.accepted for written in kept if written.generation for r in written.generation.rounds]
    return 1 + sum(accepted) / len(accepted) if accepted else None
