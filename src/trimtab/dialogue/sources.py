"""Which examples does a command mean by ``--data``? The embedded world by split, or a file's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from trimtab.dialogue.example import Example, Reply
from trimtab.dialogue.tasks.moods import Moods, Split
from trimtab.rewards import Rubric

COUNTS: dict[Split, int] = {"train": 4000, "validation": 400, "test": 400}
MOODS = "moods"


def examples_of(data: str, template: str, split: Split, count: int | None, *, start: int = 0) -> list[Example]:
    """``count`` examples of moods' split (None: as many as is usual), or of a file. Raises ValueError for neither."""
    if data == MOODS:
        return Moods().examples(split, COUNTS[split] if count is None else count, start=start)
    path = Path(data)
    if not path.is_file():
        raise ValueError(f"no data {data!r}: expected moods, or a JSON Lines file (made by `trimtab dialogue prepare`)")
    found = read_examples(path, template)[start:]
    return found if count is None else found[:count]


def read_examples(path: Path, template: str) -> list[Example]:
    """The examples of a file in any of the formats that are known."""
    from trimtab.dialogue.tasks.files import read_examples as read

    return read(path, template)


def rubric_for(data: str, weights: dict[str, Any]) -> Rubric[Reply]:
    """The rubric of these weights, with what the data bring (moods: its catalogue and its empathy head)."""
    if data == MOODS:
        from trimtab.dialogue.tasks.moods_reward import moods_rubric

        return moods_rubric(weights)
    from trimtab.dialogue.rewards.parts import rubric_of

    return rubric_of(weights)
