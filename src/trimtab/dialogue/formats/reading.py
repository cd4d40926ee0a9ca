"""Which format is a file in, and what does it hold? ``read_examples(path)`` for all of them, ``moods:test:200`` too."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from trimtab.dialogue.example import Catalogue, Example, Reply
from trimtab.dialogue.formats.lines import Read, read_lines, text_lines
from trimtab.dialogue.formats.others import inspired_examples, instruction_example, own_example, own_reply
from trimtab.dialogue.formats.redial import MASK, processed_example, processed_rows, raw_dialogue
from trimtab.dialogue.tasks.moods import SPLITS, Moods, Split

Reader = Callable[[Sequence[str]], Read[Example]]


def _raw(lines: Sequence[str]) -> Read[Example]:
    return read_lines(
        lines, lambda row: [processed_example(made) for made in processed_rows(raw_dialogue(row), masked=False)]
    )


def _instructions(lines: Sequence[str]) -> Read[Example]:
    """A JSON list, or an object a line."""
    if lines and lines[0].lstrip().startswith("["):
        lines = [json.dumps(row) for row in json.loads("\n".join(lines))]
    return read_lines(lines, instruction_example)


FORMATS: dict[str, tuple[Reader, str]] = {
    "redial": (_raw, "ReDial, raw: messages with @id mentions"),
    "processed": (lambda lines: read_lines(lines, processed_example), "ReDial, a turn of the recommender per line"),
    "inspired": (inspired_examples, "INSPIRED's tab-separated utterances"),
    "instructions": (_instructions, "instruction, input, output: a JSON list or lines"),
    "dialogues": (lambda lines: read_lines(lines, own_example), "trimtab's own: key, turns, reference, facts"),
}
"""Name -> reader, and what it reads."""


def format_of(lines: Sequence[str]) -> str:
    """The format, by what the first line holds. Raises ValueError naming the formats where it is none of them."""
    first = next((line for line in lines if line.strip()), "")
    if first.lstrip().startswith("["):
        return "instructions"
    if "\t" in first and "speaker" in first:
        return "inspired"
    marks = {"messages": "redial", "resp": "processed", "instruction": "instructions", "turns": "dialogues"}
    for line in lines[:20]:  # the first may be the broken one
        try:
            row = json.loads(line)
        except ValueError:
            continue
        found = [name for field, name in marks.items() if isinstance(row, dict) and field in row]
        if found:
            return "dialogues" if "dialogues" in found else found[0]
    raise ValueError(f"the format of {first[:80]!r} is none of {', '.join(FORMATS)}: name it.")


def read_examples(path: Path | str, kind: str = "auto") -> Read[Example]:
    """The examples of a file (gzipped or not), or ``moods:SPLIT:COUNT[:SEED]`` from the embedded task.

    Lines that cannot be read are in ``broken``. Raises ValueError for an unknown format, or where nothing was read.
    """
    if str(path).startswith("moods"):
        return Read(moods_examples(str(path)))
    lines = text_lines(Path(path))
    kind = format_of(lines) if kind == "auto" else kind
    if kind not in FORMATS:
        raise ValueError(f"no format {kind!r}: expected auto or one of {', '.join(FORMATS)}.")
    found = FORMATS[kind][0](lines)
    if not found.good:
        raise ValueError(f"no dialogue could be read as {kind!r}: {found.summary(path)}")
    found.good = with_own_keys(found.good)
    return found


def with_own_keys(examples: Iterable[Example]) -> list[Example]:
    """The examples, each with a key of its own: those without one get their number, repeated keys a count."""
    seen, made = Counter[str](), list[Example]()
    for number, example in enumerate(examples):
        key = example.key if example.key.strip(":") else str(number)
        seen[key] += 1
        made.append(replace(example, key=key if seen[key] == 1 else f"{key}#{seen[key]}"))
    return made


def moods_examples(name: str) -> list[Example]:
    """The examples that ``moods:SPLIT:COUNT[:SEED]`` means."""
    written = re.fullmatch(r"moods(?::(\w+))?(?::(\d+))?(?::(\d+))?", name)
    if not written or (written[1] or "test") not in SPLITS:
        raise ValueError(f"{name!r} names no dialogues: expected moods:SPLIT:COUNT, SPLIT one of {', '.join(SPLITS)}.")
    named: dict[str, Split] = {split: split for split in SPLITS}
    return Moods(int(written[3] or 0)).examples(named[written[1] or "test"], int(written[2] or 500))


def read_replies(path: Path) -> Read[Reply]:
    """Replies in trimtab's own form (an example per line, with ``reply``). Raises ValueError where nothing was read."""
    found = read_lines(text_lines(path), own_reply)
    if not found.good:
        raise ValueError(f"no reply could be read: {found.summary(path)}. Expected lines with turns, reference, reply.")
    return found


def catalogue_of(examples: Iterable[Example]) -> Catalogue:
    """The items that a data set speaks of, without tags. Raises ValueError where it speaks of none."""
    found: dict[str, tuple[str, ...]] = {}
    for example in examples:
        facts = example.facts
        for title in (*facts.liked_items, *facts.disliked_items, *facts.mentioned_items):
            found[title] = ()
    if not found:
        raise ValueError(
            "the data set names no items: the part `recommendation` has nothing to look for; leave it out."
        )
    return Catalogue(found, mask=MASK)
