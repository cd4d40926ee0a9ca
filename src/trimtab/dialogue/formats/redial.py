"""How is ReDial read? Raw dialogues with ``@id`` mentions (and ECR's emotion labels), and the processed turns made of them.

Raw: Li et al., NeurIPS 2018; labels and processed form: Zhang et al., RecSys 2024 (ECR). A processed line is one turn
of the recommender, everything before it as ``context`` (alternating, ``""`` first where the recommender opens).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from trimtab.dialogue.example import EMOTIONS, Example, Facts, Speaker, Turn
from trimtab.dialogue.formats.lines import Row, strings, text_of

MASK = "<movie>"
LEAST_PROBABILITY = 0.1
"""Emotions count from here on (ECR's beta)."""
FEEDBACK = {0: -1, 1: 1, 2: 0}
"""ReDial's ``liked`` (0 no, 1 yes, 2 not said) -> ECR's ``sentiment_loss``."""


@dataclass(frozen=True)
class Message:
    """A turn of a raw dialogue: consecutive messages of one speaker joined. ``movies``: ids, in order."""

    speaker: Speaker
    text: str
    movies: tuple[str, ...]
    emotions: Mapping[str, float]


@dataclass(frozen=True)
class Dialogue:
    """A raw dialogue. ``titles``: id -> title; ``feedback``: id -> -1, 0 or 1, as the seeker said of it."""

    key: str
    messages: tuple[Message, ...]
    titles: Mapping[str, str]
    feedback: Mapping[str, int]


def raw_dialogue(row: Row) -> Dialogue:
    """A line of the raw format. Raises ValueError for what it lacks."""
    titles = {str(key): str(title) for key, title in _mapping(row["movieMentions"], "movieMentions").items() if title}
    speakers: dict[Any, Speaker] = {row["initiatorWorkerId"]: "user", row["respondentWorkerId"]: "system"}
    if len(speakers) < 2:
        raise ValueError("seeker and recommender are the same worker, expected two")
    said = [_message(message, speakers, titles) for message in row["messages"]]
    if not said:
        raise ValueError("no messages")
    asked = _mapping(row.get("initiatorQuestions", {}), "initiatorQuestions")
    feedback = {str(key): _feedback(answer) for key, answer in asked.items()}
    return Dialogue(str(row["conversationId"]), tuple(_joined(said)), titles, feedback)


def _mapping(value: Any, what: str) -> Mapping[str, Any]:
    """ReDial writes an empty mapping as an empty list."""
    if value == [] or value is None:
        return {}
    if not isinstance(value, dict):
        raise ValueError(f"{what} is a {type(value).__name__}, expected an object")
    return value


def _feedback(answer: Row) -> int:
    liked = answer.get("liked", 2)
    if liked not in FEEDBACK:
        raise ValueError(f"liked is {liked!r}, expected 0, 1 or 2")
    return FEEDBACK[liked]


def _message(message: Row, speakers: Mapping[Any, Speaker], titles: Mapping[str, str]) -> Message:
    if message["senderWorkerId"] not in speakers:
        raise ValueError(f"message of the worker {message['senderWorkerId']!r}, who is neither seeker nor recommender")
    text = text_of(message, "text")
    movies = tuple(number for number in re.findall(r"@(\d+)", text) if number in titles)
    emotions = {str(label): float(share) for label, share in _mapping(message.get("emotion", {}), "emotion").items()}
    unknown = sorted(set(emotions) - set(EMOTIONS))
    if unknown:
        raise ValueError(f"the emotion {unknown[0]!r}, expected one of {', '.join(EMOTIONS)}")
    return Message(speakers[message["senderWorkerId"]], text, movies, emotions)


def _joined(said: Sequence[Message]) -> list[Message]:
    joined: list[Message] = []
    for message in said:
        if joined and joined[-1].speaker == message.speaker:
            last = joined.pop()
            emotions = {**last.emotions, **message.emotions}
            text = f"{last.text} {message.text}".strip()
            message = Message(message.speaker, text, (*last.movies, *message.movies), emotions)
        joined.append(message)
    return joined


def named(text: str, titles: Mapping[str, str], mask: str | None = None) -> str:
    """The text with each ``@id`` replaced by its title, or by ``mask``; ids of no movie stay."""
    return re.sub(r"@(\d+)", lambda m: (mask or titles[m[1]]) if m[1] in titles else m[0], text)


def emotions_of(message: Message) -> list[tuple[str, float]]:
    """The emotions of a turn from ``LEAST_PROBABILITY`` on, likeliest first; neutral where there is none."""
    kept = [(label, share) for label, share in message.emotions.items() if share > LEAST_PROBABILITY]
    return sorted(kept, key=lambda pair: -pair[1]) or [("neutral", 1.0)]


def processed_rows(dialogue: Dialogue, *, masked: bool = True) -> list[dict[str, Any]]:
    """A row per turn of the recommender, in ECR's fields (``rec`` holds titles; ``resp`` is masked, or keeps them).

    ``rec_weight``: the emotion of the seeker's next turn, ``rec_weight_w`` its probability; ``sentiment_loss``: what
    the seeker said of each title; ``emotion_lastest`` (so spelt there): of the seeker's turn before.
    """
    rows: list[dict[str, Any]] = []
    context = [""] if dialogue.messages[0].speaker == "system" else []
    mentioned: list[str] = []
    latest = [("neutral", 1.0)]
    for number, message in enumerate(dialogue.messages):
        if message.speaker == "user":
            latest = emotions_of(message)
        else:
            after = dialogue.messages[number + 1] if number + 1 < len(dialogue.messages) else None
            rows.append(_row(dialogue, message, after, list(context), list(mentioned), latest, masked, number))
        context.append(named(message.text, dialogue.titles))
        mentioned += [dialogue.titles[movie] for movie in message.movies]
    return rows


def _row(
    dialogue: Dialogue,
    message: Message,
    after: Message | None,
    context: list[str],
    mentioned: list[str],
    latest: list[tuple[str, float]],
    masked: bool,
    number: int,
) -> dict[str, Any]:
    label, share = emotions_of(after)[0] if after else ("neutral", 1.0)
    movies = list(dict.fromkeys(message.movies))
    return {
        "dialog_id": dialogue.key,
        "turn_id": number,
        "role": "Recommender",
        "context": context,
        "resp": named(message.text, dialogue.titles, MASK if masked else None),
        "rec": [dialogue.titles[movie] for movie in movies],
        "rec_weight": label,
        "rec_weight_w": share,
        "sentiment_loss": [dialogue.feedback.get(movie, 0) for movie in movies],
        "entity": list(dict.fromkeys(mentioned)),
        "emotion_lastest": [name for name, _ in latest],
        "emo_probs_lastest": [chance for _, chance in latest],
    }


def processed_example(row: Row) -> Example:
    """A line of the processed format (ECR's, or that of LLMs-as-Zero-Shot-CRS, whose ``rec`` are entity numbers).

    Titles wanted are those of ``rec``, or the items among ``entity_name``; a title with negative feedback is disliked.
    """
    turns = _turns(strings(row["context"], "context"))
    titles = [item for item in row.get("rec", []) if isinstance(item, str)] or _titled(row)
    feedback = row.get("sentiment_loss") or [1] * len(titles)
    rated = list(zip(titles, feedback, strict=False))
    emotions = row.get("emotion_lastest") or row.get("emotion_latest") or [None]
    facts = Facts(
        emotion=emotions[0],
        liked_items=tuple(title for title, how in rated if how >= 0),
        disliked_items=tuple(title for title, how in rated if how < 0),
        mentioned_items=tuple(item for item in row.get("entity", []) if isinstance(item, str)),
        label=row.get("label"),
    )
    key = f"{row.get('dialog_id', '')}:{row.get('turn_id', '')}"
    return Example(key, turns, "", text_of(row, "resp"), facts)


def _turns(context: Sequence[str]) -> tuple[Turn, ...]:
    """Who said what: turn by turn from the end, where the seeker spoke last.

    Counted from the front it cannot be told: some files begin every context with ``""``, whoever opened the dialogue.
    """
    speakers: list[Speaker] = [
        "system" if (len(context) - number) % 2 == 0 else "user" for number in range(len(context))
    ]
    return tuple(Turn(speaker, text) for speaker, text in zip(speakers, context, strict=True) if text)


def _titled(row: Row) -> list[str]:
    """The names that look like titles: with a year."""
    return [name for name in row.get("entity_name", []) if re.search(r"\(\d{4}\)\s*$", name)]
