"""Which prompts does a command mean? ``recall``, generators in RULER's style, LongBench's rows of a file or the hub."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from transformers import PreTrainedTokenizerBase

from trimtab.compression.prompts import Prompt
from trimtab.compression.tasks import longbench, ruler
from trimtab.compression.tasks.recall import Recall
from trimtab.compression.tasks.splits import refuse_overlap
from trimtab.compression.tasks.text import TextTask, tokenized
from trimtab.zoo.recall_text import VOCABULARY

FIRST_SEED = 0
GENERATED = 600
"""Prompts that are generated where no number is given."""
HUB_SET = "longbench/"


def is_recall(tokenizer: PreTrainedTokenizerBase) -> bool:
    """Whether this is the tokenizer of ``zoo:recall``."""
    return len(tokenizer) == len(VOCABULARY)


def named(
    name: str, tokenizer: PreTrainedTokenizerBase, count: int | None, max_tokens: int, *, seed: int = FIRST_SEED
) -> list[Prompt]:
    """The first ``count`` prompts of a set (None: 600 generated ones, or all of a file).

    ``name``: ``recall`` (for ``zoo:recall``), ``ruler`` (all of its tasks in turn), ``ruler/TASK``, a file of LongBench
    rows, ``longbench/DATASET`` (from the hub); several joined by ``+`` are as many of each. Raises ValueError for an
    unknown set and for the same tokens in two of them, FileNotFoundError for no such file.
    """
    if count is not None and count < 1:
        raise ValueError(f"{count} prompts: expected 1 or more")
    sets = [name] if Path(name).is_file() else name.split("+")
    if len(set(sets)) < len(sets):
        raise ValueError(f"the prompts {name} name a set twice: expected each once")
    each = [None if count is None else count // len(sets) + (at < count % len(sets)) for at in range(len(sets))]
    found = {
        part: _set(part, tokenizer, own, max_tokens, seed) for part, own in zip(sets, each, strict=True) if own != 0
    }
    if len(found) > 1:
        refuse_overlap(**found)
    return [prompt for prompts in found.values() for prompt in prompts]


def _set(name: str, tokenizer: PreTrainedTokenizerBase, count: int | None, max_tokens: int, seed: int) -> list[Prompt]:
    """The first prompts of one set."""
    if name == "recall":
        if not is_recall(tokenizer):
            raise ValueError("the prompts 'recall' are in the language of zoo:recall: expected ruler or a file")
        return Recall().prompts(seed, count or GENERATED)
    if is_recall(tokenizer):
        raise ValueError(f"zoo:recall reads its own language only: expected the prompts 'recall', not {name!r}")
    if name == "ruler" or name.startswith("ruler/"):
        kinds = list(ruler.TASKS) if name == "ruler" else [name.removeprefix("ruler/")]
        tasks = [
            ruler.generate(kinds[number % len(kinds)], tokenizer, max_tokens, seed, number)
            for number in range(count or GENERATED)
        ]
        return [tokenized(task, tokenizer) for task in tasks]
    tasks = longbench.from_hub(name.removeprefix(HUB_SET)) if name.startswith(HUB_SET) else _of_file(name)
    return [tokenized(task, tokenizer, max_tokens) for task in tasks[:count]]


def _of_file(name: str) -> list[TextTask]:
    """The tasks of a file. Raises FileNotFoundError, naming the sets, where it is neither."""
    if not Path(name).is_file():
        raise FileNotFoundError(
            f"{name} is no file: expected LongBench rows as JSON Lines, or one of the sets recall, ruler, ruler/TASK "
            f"({', '.join(ruler.TASKS)}), {HUB_SET}DATASET"
        )
    return longbench.read(Path(name))


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
