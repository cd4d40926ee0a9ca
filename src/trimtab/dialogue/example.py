"""What is a dialogue to be answered, and what is an answer? The data that everything in this room speaks of."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

Speaker = Literal["user", "system"]

EMOTIONS = ("like", "curious", "happy", "grateful", "negative", "neutral", "nostalgia", "agreement", "surprise")
"""The labels of ECR (Zhang et al., RecSys 2024, section 4.1)."""


@dataclass(frozen=True)
class Turn:
    """Something said."""

    speaker: Speaker
    text: str


@dataclass(frozen=True)
class Facts:
    """What is known of a dialogue beside its words; empty where nothing is.

    ``emotion``: of the seeker's latest turn. Items are named by their titles; ``tags`` are what a catalogue says of
    items (genres). ``mentioned_items``: those of the dialogue so far, which a recommendation should not repeat.
    ``label``: the reference's label, 0 or 1, where someone judged it (empathic or not, good or not).
    """

    emotion: str | None = None
    liked_items: tuple[str, ...] = ()
    disliked_items: tuple[str, ...] = ()
    mentioned_items: tuple[str, ...] = ()
    liked_tags: tuple[str, ...] = ()
    disliked_tags: tuple[str, ...] = ()
    label: float | None = None


@dataclass(frozen=True)
class Example:
    """A dialogue up to the system's turn.

    ``prompt``: what the model reads, as one string (see ``templates``); ``reference``: what a person (or the generator)
    said next; ``instruction``: what the data set tells the model to do, where it does.
    """

    key: str
    turns: tuple[Turn, ...]
    prompt: str
    reference: str
    facts: Facts = Facts()
    instruction: str = ""

    @property
    def latest(self) -> str:
        """The seeker's latest words, empty where the system opens the dialogue."""
        return next((turn.text for turn in reversed(self.turns) if turn.speaker == "user"), "")


@dataclass(frozen=True)
class Reply:
    """An answer to an example: the outcome that rewards grade.

    ``ended``: whether it came to its end by itself; ``tokens``: how many the model made (None where unknown).
    """

    example: Example
    text: str
    ended: bool = True
    tokens: int | None = None

    @property
    def words(self) -> list[str]:
        """The words, split at white space."""
        return self.text.split()


def references(examples: Iterable[Example]) -> list[Reply]:
    """What the data set itself answers."""
    return [Reply(example, example.reference) for example in examples]


@dataclass(frozen=True)
class Catalogue:
    """The items there are: title -> tags. ``mask`` is what stands for any title in masked text (ReDial's ``<movie>``)."""

    items: Mapping[str, tuple[str, ...]]
    mask: str | None = None

    def __post_init__(self) -> None:
        if not self.items:
            raise ValueError("a catalogue of no items: expected titles, each with its tags (there may be none).")

    @cached_property
    def _by_folded(self) -> dict[str, str]:
        return {_folded(title): title for title in self.items}

    @cached_property
    def _by_first(self) -> dict[str, list[tuple[str, ...]]]:
        """First word -> the titles (as words) that begin with it, longest first."""
        found: dict[str, list[tuple[str, ...]]] = {}
        for folded in self._by_folded:
            words = tuple(folded.split())
            found.setdefault(words[0], []).append(words)
        return {first: sorted(titles, key=len, reverse=True) for first, titles in found.items()}

    def find(self, text: str) -> list[str]:
        """The titles named in ``text``, in order, each as often as it is named; of two that overlap the longer one."""
        words, found, at = _folded(text).split(), list[str](), 0
        while at < len(words):
            candidates = self._by_first.get(words[at], ())
            match = next((title for title in candidates if tuple(words[at : at + len(title)]) == title), None)
            if match:
                found.append(self._by_folded[" ".join(match)])
            at += len(match) if match else 1
        return found

    def tags(self, title: str) -> tuple[str, ...]:
        """The tags of an item. Raises ValueError for one that the catalogue does not hold."""
        if title not in self.items:
            raise ValueError(f"no item {title!r} in the catalogue of {len(self.items)}: expected one of its titles.")
        return self.items[title]


def _folded(text: str) -> str:
    """Lower-case words without punctuation, so that ``Super Troopers (2001)!`` is found however it is written."""
    return " ".join(re.findall(r"\w+", text.lower()))


def pair_up(examples: Sequence[Example], texts: Sequence[str]) -> list[Reply]:
    """One reply per example. Raises ValueError where there are not as many."""
    if len(examples) != len(texts):
        raise ValueError(f"{len(texts)} replies to {len(examples)} dialogues: expected one for each, in order.")
    return [Reply(example, text) for example, text in zip(examples, texts, strict=True)]
