"""How good is a reply in the world of moods, exactly? Its grammar as a parser, and the gold judge that reads the parse.

The judge knows the world's rules, a trained model never meets it: it is what rewards are measured against.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from trimtab.dialogue.example import Catalogue, Example
from trimtab.dialogue.tasks import moods_words as words

Kind = Literal["acknowledging", "supporting", "opening", "recommending", "reasoning", "closing", "probing"]

RANKS: dict[Kind, int] = {
    "opening": 0,
    "acknowledging": 0,
    "supporting": 0,
    "recommending": 1,
    "reasoning": 2,
    "closing": 3,
    "probing": 3,
}
"""Where in a reply a sentence of each kind may stand: ranks never fall."""
MOST = {0: 3, 1: 2, 2: 1, 3: 1}
"""How many sentences of a rank a reply may have."""
MOST_TITLES = 2


@dataclass(frozen=True)
class Sentence:
    """A sentence of the world: its kind, and the mood that it meets where it meets one."""

    text: str
    kind: Kind
    mood: str | None = None


@dataclass(frozen=True)
class Gold:
    """The exact judgement: ``empathy`` and ``recommendation`` in [0, 1], and whether the reply is grammatical."""

    empathy: float
    recommendation: float
    grammatical: bool


CATALOGUE = Catalogue(words.catalogue_items())


def _pattern(template: str) -> str:
    slots = {"{title}": "|".join(map(re.escape, CATALOGUE.items)), "{quality}": "|".join(words.QUALITIES)}
    pattern = re.escape(template)
    for slot, alternatives in slots.items():
        pattern = pattern.replace(re.escape(slot), f"(?:{alternatives})")
    return pattern


def _patterns() -> list[tuple[re.Pattern[str], Kind, str | None]]:
    kinds: list[tuple[Iterable[str], Kind, str | None]] = [
        (words.OPENING, "opening", None),
        (words.RECOMMENDING, "recommending", None),
        (words.REASONING, "reasoning", None),
        (words.CLOSING, "closing", None),
        (words.PROBING, "probing", None),
    ]
    for mood in words.MOODS:
        kinds.append((mood.acknowledging, "acknowledging", mood.name))
        kinds.append((mood.supporting, "supporting", mood.name))
    return [(re.compile("|".join(map(_pattern, said))), kind, mood) for said, kind, mood in kinds]


_PATTERNS = _patterns()


def sentences(text: str) -> list[str]:
    """The text cut after each ``.``, ``?`` and ``!``; what follows the last of them is a sentence without its end."""
    found, sentence = list[str](), list[str]()
    for word in text.split():
        sentence.append(word)
        if word in words.ENDS:
            found.append(" ".join(sentence))
            sentence = []
    return found + ([" ".join(sentence)] if sentence else [])


def recognised(sentence: str) -> Sentence | None:
    """The sentence with its kind, None where the world's grammar has no such sentence."""
    for pattern, kind, mood in _PATTERNS:
        if pattern.fullmatch(sentence):
            return Sentence(sentence, kind, mood)
    return None


def grammatical(parsed: Sequence[Sentence | None]) -> bool:
    """Whether these sentences make a reply: all known, none twice, in the order of their ranks, none too often."""
    known = [sentence for sentence in parsed if sentence is not None]
    ranks = [RANKS[sentence.kind] for sentence in known]
    return (
        0 < len(known) == len(parsed)
        and len({sentence.text for sentence in known}) == len(known)
        and ranks == sorted(ranks)
        and all(ranks.count(rank) <= most for rank, most in MOST.items())
    )


def empathy(parsed: Sequence[Sentence | None], mood: str) -> float:
    """1/2 for acknowledging the mood, 1/2 for supporting; 0 for any sentence that meets a mood which is not there."""
    met = [sentence for sentence in parsed if sentence is not None and sentence.mood is not None]
    if any(sentence.mood != mood for sentence in met):
        return 0.0
    return len({sentence.kind for sentence in met}) / 2


def recommendation(text: str, example: Example) -> float:
    """The share of the titles named that are of the genre asked for; 0 for none, for more than two, or for any title of
    a genre that the user avoids or that the dialogue named already."""
    named = CATALOGUE.find(text)
    if not 0 < len(named) <= MOST_TITLES or len(set(named)) < len(named):
        return 0.0
    facts = example.facts
    genres = [CATALOGUE.tags(title)[0] for title in named]
    if set(named) & set(facts.mentioned_items) or set(genres) & set(facts.disliked_tags):
        return 0.0
    return sum(genre in facts.liked_tags for genre in genres) / len(named)


def gold(example: Example, reply: str) -> Gold:
    """Judge a reply to an example of this world. Raises ValueError for an example of another."""
    mood = example.facts.emotion
    if mood not in {known.name for known in words.MOODS} or not example.facts.liked_tags:
        raise ValueError(
            f"example {example.key!r} has the mood {mood!r} and the tastes {example.facts.liked_tags}: expected an "
            "example of tasks.moods, the only world that this judge knows."
        )
    parsed = [recognised(sentence) for sentence in sentences(reply)]
    return Gold(empathy(parsed, mood), recommendation(reply, example), grammatical(parsed))
