"""What do a file's replies score? Metrics, reward and, on the embedded task, the exact judge; arms for a comparison."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from trimtab.console import say
from trimtab.dialogue import metrics
from trimtab.dialogue.comparison import Arm, Columns
from trimtab.dialogue.example import Catalogue, Reply
from trimtab.dialogue.formats.lines import text_lines
from trimtab.dialogue.formats.reading import read_replies
from trimtab.dialogue.reward_making import of_moods
from trimtab.dialogue.tasks.moods_judge import CATALOGUE
from trimtab.dialogue.tasks.moods_reward import gold_columns
from trimtab.rewards import Measure, Rubric

SCORES = ".scores.jsonl"
"""``0.jsonl`` has its judge's scores in ``0.scores.jsonl`` (`trimtab dialogue score`)."""
BESIDE = (SCORES, ".rejected.jsonl")
"""Endings of files that stand beside replies and are none."""


def columns_of(
    replies: Sequence[Reply], rubric: Rubric[Reply] | None = None, *, fluency: Measure[Reply] | None = None
) -> dict[str, list[float]]:
    """A column per metric: overlap, length, the rubric's parts and its value, fluency, the exact judge where it applies."""
    columns = metrics.per_reply(replies)
    if rubric is not None:
        graded = rubric.breakdown(replies)
        columns |= {"reward": graded.values, **graded.raw}
    if fluency is not None:
        columns["fluency"] = list(fluency(replies))
    return columns | (gold_columns(replies) if of_moods(replies) else {})


def evaluated(
    replies: Sequence[Reply],
    rubric: Rubric[Reply] | None = None,
    catalogue: Catalogue | None = None,
    *,
    fluency: Measure[Reply] | None = None,
) -> dict[str, Any]:
    """Means of the columns, the numbers of the whole, and with a catalogue the items per reply.

    ``emotional_score`` is the mean of the empathy head over the replies, where the rubric has one.
    """
    chosen = catalogue or (CATALOGUE if of_moods(replies) else None)
    found = metrics.means(columns_of(replies, rubric, fluency=fluency))
    emotional = {"emotional_score": found["empathy"]} if "empathy" in found else {}
    return {"replies": len(replies), **found, **emotional, **metrics.corpus(replies, catalogue=chosen)}


def files_of(path: Path) -> list[Path]:
    """A file of replies, or those of a folder (one per seed), by name. Raises ValueError where there is none."""
    found = sorted(path.glob("*.jsonl")) if path.is_dir() else [path]
    files = [file for file in found if not file.name.endswith(BESIDE)]
    if not files:
        raise ValueError(
            f"{path} holds no *.jsonl: expected a file of replies for each seed (`trimtab dialogue generate`)."
        )
    return files


def scores_path(replies_file: Path) -> Path:
    """Where a judge's scores of a file of replies stand."""
    return replies_file.with_name(replies_file.name.removesuffix(".jsonl") + SCORES)


def scores_of(replies_file: Path, replies: Sequence[Reply]) -> tuple[str, list[float]] | None:
    """The judge and the mean of its scores (nan where missing) of each reply; None where nobody judged the file.

    Raises ValueError where the scores are of other replies, or of several judges.
    """
    path = scores_path(replies_file)
    if not path.is_file():
        return None
    rows = [json.loads(line) for line in text_lines(path)]
    if [(row["key"], row["reply"]) for row in rows] != [(reply.example.key, reply.text) for reply in replies]:
        raise ValueError(f"{path} does not score the replies of {replies_file}: run `trimtab dialogue score` anew.")
    judges = {row["judge"] for row in rows}
    if len(judges) > 1:
        raise ValueError(f"{path} holds scores of {', '.join(sorted(judges))}: expected those of one judge.")
    values = [math.nan if row["mean"] is None else float(row["mean"]) for row in rows]
    missing = sum(map(math.isnan, values))
    if missing:
        say(f"{path}: {missing} of {len(values)} scores are missing; their prompts are left out for the judge")
    return judges.pop(), values


def arm_of(named: str, rubric: Rubric[Reply] | None, *, fluency: Measure[Reply] | None = None) -> Arm:
    """The arm that ``NAME=PATH`` (or a path) means, graded."""
    name, sign, path = named.partition("=")
    if not sign:
        name, path = Path(named).stem, named
    replies: list[Sequence[Reply]] = []
    columns: list[Columns] = []
    judges: set[str | None] = set()
    for file in files_of(Path(path)):
        found = read_replies(file)
        if found.broken:
            raise ValueError(f"{found.summary(file)}: a comparison needs every reply; write the file anew.")
        say(found.summary(file))
        judged = scores_of(file, found.good)
        judges.add(judged[0] if judged else None)
        replies.append(found.good)
        columns.append(columns_of(found.good, rubric, fluency=fluency) | ({"judge": judged[1]} if judged else {}))
    if len(judges) > 1:
        raise ValueError(f"the seeds of {name} are judged by {judges}: expected one judge for all of them, or none.")
    return Arm(name, replies, columns, judges.pop())
