"""Which dialogues does the embedded task consist of? Users with moods and tastes, drawn from a seed, and flawed answers.

A user tells a mood and a taste (a genre, or a title that stands for one), perhaps what to avoid and what was seen
already, in one turn or in two. The references are what a hurried salesman would say: half of them meet the mood, and two
titles in five fit. That is the room which reinforcement learning has; the exact judge is in ``moods_judge``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from trimtab.dialogue.example import Example, Facts, Turn
from trimtab.dialogue.tasks import moods_words as words
from trimtab.dialogue.tasks.moods_judge import CATALOGUE

Split = Literal["train", "validation", "test"]
SPLITS: tuple[Split, ...] = ("train", "validation", "test")
BEGIN, END, PAD, UNKNOWN, USER, SYSTEM = "<begin>", "<end>", "<pad>", "<unknown>", "<user>", "<system>"


@dataclass(frozen=True)
class Flaws:
    """How the references fall short; each number is a share of them.

    Of the mood: ``empathic`` meet it in full, ``acknowledging`` half, ``mistaken`` meet another; the rest does not.
    Of the titles: ``fitting`` do, ``unfitting`` are of another genre, ``avoided`` of the one the user avoids (where
    there is one, else unfitting), ``seen`` were named by the user (where there is one, else unfitting); the rest
    recommends nothing. ``second_title``: of those which recommend, name another title of the same sort beside it.
    Raises ValueError where shares are no shares.
    """

    empathic: float = 0.3
    acknowledging: float = 0.2
    mistaken: float = 0.15
    fitting: float = 0.4
    unfitting: float = 0.25
    avoided: float = 0.07
    seen: float = 0.08
    second_title: float = 0.1

    def __post_init__(self) -> None:
        moods = (self.empathic, self.acknowledging, self.mistaken)
        titles = (self.fitting, self.unfitting, self.avoided, self.seen)
        if min(*moods, *titles, self.second_title) < 0 or max(sum(moods), sum(titles), self.second_title) > 1:
            raise ValueError(f"{self}: expected shares, those of the mood and those of the titles at most 1 together.")


@dataclass(frozen=True)
class Moods:
    """The task: examples by split and number, the same for the same seed, however many are drawn."""

    seed: int = 0
    flaws: Flaws = Flaws()

    def examples(self, split: Split, count: int, *, start: int = 0) -> list[Example]:
        """``count`` examples of a split, from the one numbered ``start``. Raises ValueError naming the splits."""
        if split not in SPLITS:
            raise ValueError(f"no split {split!r}: expected one of {', '.join(SPLITS)}.")
        return [self._example(split, number) for number in range(start, start + count)]

    def _example(self, split: Split, number: int) -> Example:
        random = np.random.default_rng([self.seed, SPLITS.index(split), number])
        user = _user(random)
        turns = _turns(random, user)
        text = _reference(random, user, self.flaws)
        return Example(f"{split}-{self.seed}-{number}", turns, prompt_of(turns), text, user.facts)


@dataclass(frozen=True)
class _User:
    mood: words.Mood
    genre: str
    avoided: str | None
    example_title: str | None
    seen: str | None

    @property
    def facts(self) -> Facts:
        named = tuple(title for title in (self.example_title, self.seen) if title is not None)
        return Facts(
            emotion=self.mood.name,
            liked_tags=(self.genre,),
            disliked_tags=(self.avoided,) if self.avoided else (),
            mentioned_items=named,
        )


def _one(random: np.random.Generator, among: Sequence[str]) -> str:
    return among[int(random.integers(len(among)))]


def titles_of(genre: str) -> list[str]:
    """The titles of a genre."""
    return [title for title, tags in CATALOGUE.items.items() if genre in tags]


def _user(random: np.random.Generator) -> _User:
    mood = words.MOODS[int(random.integers(len(words.MOODS)))]
    genre = _one(random, words.GENRES)
    avoided = _one(random, [other for other in words.GENRES if other != genre]) if random.random() < 0.5 else None
    title = _one(random, titles_of(genre)) if random.random() < 0.25 else None
    unseen = [other for other in titles_of(genre) if other != title]
    return _User(mood, genre, avoided, title, _one(random, unseen) if random.random() < 0.4 else None)


def _taste(random: np.random.Generator, user: _User) -> str:
    if user.example_title:
        told = [_one(random, words.WANTS_LIKE).format(title=user.example_title)]
    else:
        told = [_one(random, words.WANTS).format(genre=user.genre)]
    if user.avoided:
        told.append(_one(random, words.AVOIDS).format(genre=user.avoided))
    if user.seen:
        told.append(_one(random, words.SEEN).format(title=user.seen))
    return " ".join(told)


def _turns(random: np.random.Generator, user: _User) -> tuple[Turn, ...]:
    greeting, mood, taste = _one(random, words.GREETINGS), _one(random, user.mood.told), _taste(random, user)
    form = random.random()
    if form < 0.4:
        return (Turn("user", f"{greeting} {mood} {taste}"),)
    if form < 0.7:
        asked = Turn("system", _one(random, words.ASKS_TASTE))
        return (Turn("user", f"{greeting} {mood}"), asked, Turn("user", taste))
    asked = Turn("system", _one(random, words.ASKS_MOOD))
    return (Turn("user", f"{greeting} {taste}"), asked, Turn("user", mood))


def _drawn(random: np.random.Generator, **shares: float) -> str | None:
    """One of the names by its share, None for what is left of 1."""
    point = random.random()
    for name, share in shares.items():
        if point < share:
            return name
        point -= share
    return None


def _opening(random: np.random.Generator, user: _User, flaws: Flaws) -> list[str]:
    manner = _drawn(random, full=flaws.empathic, half=flaws.acknowledging, wrong=flaws.mistaken)
    if manner is None:
        return [_one(random, words.OPENING)] if random.random() < 0.8 else []
    others = [mood for mood in words.MOODS if mood != user.mood]
    mood = others[int(random.integers(len(others)))] if manner == "wrong" else user.mood
    said = [_one(random, mood.acknowledging)]
    return said if manner == "half" else [*said, _one(random, mood.supporting)]


def _title_pool(random: np.random.Generator, user: _User, flaws: Flaws) -> list[str]:
    sort = _drawn(random, fitting=flaws.fitting, other=flaws.unfitting, avoided=flaws.avoided, seen=flaws.seen)
    named = user.facts.mentioned_items
    if sort is None:
        return []
    if sort == "fitting":
        return [title for title in titles_of(user.genre) if title not in named]
    if sort == "seen" and named:
        return list(named)
    if sort == "avoided" and user.avoided:
        return titles_of(user.avoided)
    return titles_of(_one(random, [genre for genre in words.GENRES if genre not in (user.genre, user.avoided)]))


def _reference(random: np.random.Generator, user: _User, flaws: Flaws) -> str:
    said = _opening(random, user, flaws)
    pool = _title_pool(random, user, flaws)
    if not pool:
        return " ".join([*said, _one(random, words.PROBING)])
    titles = list(random.permutation(pool))[: 2 if random.random() < flaws.second_title else 1]
    forms = random.permutation(len(words.RECOMMENDING))
    said += [words.RECOMMENDING[form].format(title=title) for form, title in zip(forms, titles, strict=False)]
    if random.random() < 0.6:
        first, second = random.permutation(words.QUALITIES)[:2]
        said.append(_reason(_one(random, words.REASONING), str(first), str(second)))
    if random.random() < 0.5:
        said.append(_one(random, words.CLOSING))
    return " ".join(said)


def _reason(template: str, first: str, second: str) -> str:
    return template.replace("{quality}", first, 1).replace("{quality}", second, 1)


def prompt_of(turns: Sequence[Turn]) -> str:
    """The turns as the embedded model reads them: it goes on after the last mark."""
    marks = {"user": USER, "system": SYSTEM}
    return " ".join([BEGIN, *(f"{marks[turn.speaker]} {turn.text}" for turn in turns), SYSTEM])
