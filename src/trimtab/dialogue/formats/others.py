"""How are INSPIRED, instruction sets, and trimtab's own dialogues read?"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from trimtab.dialogue.example import Example, Facts, Reply, Speaker, Turn
from trimtab.dialogue.formats.lines import Broken, Read, Row, reason, text_of
from trimtab.plain import to_plain

SOCIABLE = (
    "acknowledgment",
    "credibility",
    "encouragement",
    "opinion_inquiry",
    "personal_experience",
    "personal_opinion",
    "rephrase_preference",
    "self_modeling",
    "similarity",
    "preference_confirmation",
)
"""INSPIRED's sociable strategies (Hayati et al., EMNLP 2020, table 1): a reply of one of them is labelled 1."""

_SPEAKERS: dict[str, Speaker] = {"SEEKER": "user", "RECOMMENDER": "system"}


def inspired_examples(lines: Sequence[str]) -> Read[Example]:
    """INSPIRED's tab-separated utterances (dialog_id, utt_id, speaker, text; expert_label, movies where there are).

    An example per turn of the recommender. Raises ValueError where columns are missing.
    """
    rows = csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_MINIMAL)
    missing = {"dialog_id", "utt_id", "speaker", "text"} - set(rows.fieldnames or ())
    if missing:
        raise ValueError(f"no column {', '.join(sorted(missing))} in the first line: expected INSPIRED's utterances.")
    found, turns, dialogue = Read[Example](), list[Turn](), ""
    for number, row in enumerate(rows, 2):
        try:
            speaker, text = _SPEAKERS[row["speaker"].strip().upper()], row["text"].strip()
        except (KeyError, AttributeError) as error:
            found.broken.append(Broken(number, f"no speaker or text ({reason(error)})", str(row)))
            continue
        if row["dialog_id"] != dialogue:
            turns, dialogue = [], row["dialog_id"]
        if speaker == "system":
            found.good.append(_inspired(row, turns, text))
        turns.append(Turn(speaker, text))
    return found


def _inspired(row: Mapping[str, str], turns: Sequence[Turn], text: str) -> Example:
    strategies = [name.strip() for name in (row.get("expert_label") or "").split(",") if name.strip()]
    label = float(any(name in SOCIABLE for name in strategies)) if strategies else None
    movies = tuple(name.strip() for name in (row.get("movies") or "").split(";") if name.strip())
    return Example(
        f"{row['dialog_id']}:{row['utt_id']}", tuple(turns), "", text, Facts(liked_items=movies, label=label)
    )


def instruction_example(row: Row) -> Example:
    """An entry of an instruction set: ``instruction``, ``input``, ``output`` (blank where it is to be answered)."""
    turn = Turn("user", text_of(row, "input"))
    return Example(
        str(row.get("id", "")), (turn,), "", text_of(row, "output").strip(), instruction=text_of(row, "instruction")
    )


def instruction_row(example: Example, instruction: str) -> dict[str, Any]:
    """An example as an entry of an instruction set: the dialogue as lines in ``input``."""
    names = {"user": "User", "system": "System"}
    said = "\n".join(f"{names[turn.speaker]}: {turn.text}" for turn in example.turns)
    return {
        "id": example.key,
        "instruction": example.instruction or instruction,
        "input": said,
        "output": example.reference,
    }


def knowledge_line(triples: Iterable[tuple[str, str, str]]) -> str:
    """Facts (movie, relation, entity) as the Llama 2 stage of ECR writes them; ``None`` where there are none."""
    return ", ".join(f"{movie}'s {relation} is {entity}" for movie, relation, entity in triples) or "None"


def own_row(example: Example) -> dict[str, Any]:
    """An example as trimtab writes it."""
    plain = to_plain(example)
    for nested in (plain, plain["facts"], *plain["turns"]):
        del nested["class"]
    return plain


def own_example(row: Row) -> Example:
    """An example as trimtab writes it. Raises ValueError for an unknown fact or speaker."""
    turns = tuple(Turn(_speaker(turn["speaker"]), text_of(turn, "text")) for turn in row["turns"])
    given = dict(row.get("facts") or {})
    unknown = sorted(set(given) - set(Facts.__dataclass_fields__))
    if unknown:
        raise ValueError(f"the fact {unknown[0]!r}, expected some of {', '.join(Facts.__dataclass_fields__)}")
    told: Any = {name: tuple(value) if isinstance(value, list) else value for name, value in given.items()}
    prompt, instruction = row.get("prompt", ""), row.get("instruction", "")
    return Example(str(row["key"]), turns, prompt, text_of(row, "reference"), Facts(**told), instruction)


def _speaker(name: str) -> Speaker:
    if name not in ("user", "system"):
        raise ValueError(f"the speaker {name!r}, expected user or system")
    return name


def reply_row(reply: Reply) -> dict[str, Any]:
    """A reply as trimtab writes it: its example, and what was said."""
    return own_row(reply.example) | {"reply": reply.text, "ended": reply.ended, "tokens": reply.tokens}


def own_reply(row: Row) -> Reply:
    """A reply as trimtab writes it."""
    return Reply(own_example(row), text_of(row, "reply"), bool(row.get("ended", True)), row.get("tokens"))
