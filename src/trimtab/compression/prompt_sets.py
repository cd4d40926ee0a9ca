"""Which prompts does a command mean? ``recall``, generators in RULER's style, or a file of LongBench's format."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from transformers import PreTrainedTokenizerBase

from trimtab.compression.prompts import Prompt
from trimtab.compression.tasks import longbench, ruler
from trimtab.compression.tasks.recall import Recall
from trimtab.compression.tasks.text import tokenized
from trimtab.zoo.recall_text import VOCABULARY

FIRST_SEED = 0


def is_recall(tokenizer: PreTrainedTokenizerBase) -> bool:
    """Whether this is the tokenizer of ``zoo:recall``."""
    return len(tokenizer) == len(VOCABULARY)


def named(
    name: str, tokenizer: PreTrainedTokenizerBase, count: int | None, max_tokens: int, *, seed: int = FIRST_SEED
) -> list[Prompt]:
    """The first ``count`` prompts of a set (None: 600 generated ones, or all of a file).

    ``name``: ``recall`` (for ``zoo:recall``), ``ruler`` (all of its tasks in turn), ``ruler/TASK``, or a file of LongBench
    rows. Raises ValueError for an unknown set, FileNotFoundError for no such file.
    """
    if name == "recall":
        if not is_recall(tokenizer):
            raise ValueError("the prompts 'recall' are in the language of zoo:recall: expected ruler or a file")
        return Recall().prompts(seed, count or 600)
    if is_recall(tokenizer):
        raise ValueError(f"zoo:recall reads its own language only: expected the prompts 'recall', not {name!r}")
    if name == "ruler" or name.startswith("ruler/"):
        kinds = list(ruler.TASKS) if name == "ruler" else [name.removeprefix("ruler/")]
        tasks = [
            ruler.generate(kinds[number % len(kinds)], tokenizer, max_tokens, seed, number)
            for number in range(count or 600)
        ]
        return [tokenized(task, tokenizer) for task in tasks]
    tasks = longbench.read(Path(name))
    return [tokenized(task, tokenizer, max_tokens) for task in tasks[:count]]


def rows_by_part(names: Sequence[str], *, calibration: float, held_out: float) -> dict[str, list[int]]:
    """The rows of each part of the split, by the prompts' names (or documents). Raises ValueError where a part is empty."""
    from trimtab.compression.tasks.splits import PARTS, document_of, part_of

    parts = [part_of(document_of(name), calibration=calibration, held_out=held_out) for name in names]
    rows = {part: [row for row, own in enumerate(parts) if own == part] for part in PARTS}
    wanted = [part for part in PARTS if part != "calibration" or calibration > 0]
    empty = [part for part in wanted if not rows[part]]
    if empty:
        raise ValueError(f"{len(names)} prompts leave nothing for {', '.join(empty)}: give more prompts")
    return rows
