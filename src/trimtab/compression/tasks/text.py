"""What is a task made of text, and how does it become a prompt of tokens? Middle truncation, chat template, its grade."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from transformers import PreTrainedTokenizerBase

from trimtab.compression.prompts import Prompt
from trimtab.compression.tasks import metrics


@dataclass(frozen=True)
class TextTask:
    """One question about a context. ``task``: the kind, as in ``longbench/qasper``. ``text``: the whole prompt.

    ``source``: the context alone, by which splits are made (two questions about one document fall into one split).
    """

    name: str
    task: str
    text: str
    references: tuple[str, ...]
    metric: str
    max_new_tokens: int
    source: str
    classes: tuple[str, ...] = ()
    chat: bool = True
    first_line: bool = False
    newline_stops: bool = False

    def __post_init__(self) -> None:
        metrics.metric(self.metric)

    @property
    def key(self) -> str:
        """What the split is made by: a hash of the context."""
        return hashlib.sha256(self.source.encode()).hexdigest()[:24]

    def grade(self, answer: str) -> float:
        """The task's own grade of an answer, 0..1."""
        return metrics.grade(self.metric, answer, self.references, classes=self.classes, first_line=self.first_line)


def truncate_middle(ids: Sequence[int], max_tokens: int | None) -> list[int]:
    """The first and the last half of ``max_tokens``, where there are more. Raises ValueError for fewer than 2."""
    if max_tokens is not None and max_tokens < 2:
        raise ValueError(f"prompts of at most {max_tokens} tokens: expected 2 or more")
    if max_tokens is None or len(ids) <= max_tokens:
        return list(ids)
    half = max_tokens // 2
    return [*ids[: max_tokens - half], *ids[-half:]]


def _special_tokens(tokenizer: Any) -> tuple[list[int], list[int]]:
    """What the tokenizer puts before and behind a text of its own accord."""
    bare, whole = (list(tokenizer("a", add_special_tokens=special)["input_ids"]) for special in (False, True))
    start = next(at for at in range(len(whole)) if whole[at : at + len(bare)] == bare)
    return whole[:start], whole[start + len(bare) :]


def tokenized(task: TextTask, tokenizer: PreTrainedTokenizerBase, max_tokens: int | None = None) -> Prompt:
    """The task as a prompt of at most ``max_tokens`` tokens, before the chat template (where the task takes one)."""
    plain: Any = tokenizer
    ids = truncate_middle(plain(task.text, add_special_tokens=False)["input_ids"], max_tokens)
    if task.chat and plain.chat_template:
        messages = [{"role": "user", "content": plain.decode(ids)}]
        ids = plain.apply_chat_template(messages, add_generation_prompt=True, return_dict=False)
    else:
        before, after = _special_tokens(plain)
        ids = [*before, *ids, *after]
    return Prompt(
        task.name,
        tuple(map(int, ids)),
        references=task.references,
        group=task.task,
        metric=task.metric,
        classes=task.classes,
        first_line=task.first_line,
    )


def graded(answer: str, prompt: Prompt) -> float:
    """The grade of an answer by the prompt's own metric, 0..1. Raises ValueError for a prompt that names none."""
    if not prompt.metric:
        raise ValueError(f"{prompt.name} has no metric of its own: expected prompts of LongBench's format, or ruler")
    return metrics.grade(prompt.metric, answer, prompt.references, classes=prompt.classes, first_line=prompt.first_line)
