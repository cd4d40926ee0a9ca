"""What do a file's replies score? Metrics, reward and, on the embedded task, the exact judge; arms for a comparison."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from trimtab.console import say
from trimtab.dialogue import metrics
from trimtab.dialogue.comparison import Arm, Columns
from trimtab.dialogue.example import Catalogue, Reply
from trimtab.dialogue.formats.reading import read_replies
from trimtab.dialogue.tasks import moods_words
from trimtab.dialogue.tasks.moods_judge import CATALOGUE
from trimtab.dialogue.tasks.moods_reward import gold_columns
from trimtab.rewards import Rubric


def of_moods(replies: Sequence[Reply]) -> bool:
    """Whether all replies answer dialogues of the embedded task, which the exact judge knows."""
    moods = {mood.name for mood in moods_words.MOODS}
    return all(reply.example.facts.emotion in moods and reply.example.facts.liked_tags for reply in replies)


def columns_of(replies: Sequence[Reply], rubric: Rubric[Reply] | None = None) -> dict[str, list[float]]:
    """A column per metric: overlap, length, the rubric's parts and its value, the exact judge where it applies."""
    columns = metrics.per_reply(replies)
    if rubric is not None:
        graded = rubric.breakdown(replies)
        columns |= {"reward": graded.values, **graded.raw}
    return columns | (gold_columns(replies) if of_moods(replies) else {})


def evaluated(
    replies: Sequence[Reply], rubric: Rubric[Reply] | None = None, catalogue: Catalogue | None = None
) -> dict[str, Any]:
    """Means of the columns, the numbers of the whole, and with a catalogue the items per reply."""
    chosen = catalogue or (CATALOGUE if of_moods(replies) else None)
    whole = metrics.corpus(replies, catalogue=chosen)
    return {"replies": len(replies), **metrics.means(columns_of(replies, rubric)), **whole}


def files_of(path: Path) -> list[Path]:
    """A file of replies, or those of a folder (one per seed), by name. Raises ValueError where there is none."""
    files = sorted(path.glob("*.jsonl")) if path.is_dir() else [path]
    if not files:
        raise ValueError(
            f"{path} holds no *.jsonl: expected a file of replies for each seed (`trimtab dialogue generate`)."
        )
    return files


def arm_of(named: str, rubric: Rubric[Reply] | None) -> Arm:
    """The arm that ``NAME=PATH`` (or a path) means, graded."""
    name, sign, path = named.partition("=")
    if not sign:
        name, path = Path(named).stem, named
    replies: list[Sequence[Reply]] = []
    columns: list[Columns] = []
    for file in files_of(Path(path)):
        found = read_replies(file)
        if found.broken:
            raise ValueError(f"{found.summary(file)}: a comparison needs every reply; write the file anew.")
        say(found.summary(file))
        replies.append(found.good)
        columns.append(columns_of(found.good, rubric))
    return Arm(name, replies, columns)
