"""Which items does a dialogue call for? Any recommender through one small protocol; two are built in.

Popularity is the baseline that a conversational recommender has to beat; the other compares what the user said with
what is known of the items, by sentence vectors.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

import numpy as np

from trimtab.dialogue.example import Catalogue, Example, Reply
from trimtab.dialogue.rewards.empathy import Embed, heard


class Recommender(Protocol):
    """Scores of items for dialogues: one mapping from title to score per example, higher is better."""

    def __call__(self, examples: Sequence[Example], /) -> list[dict[str, float]]: ...


class Popularity:
    """Every dialogue gets the items in the order of how often they were wanted in the training dialogues."""

    def __init__(self, catalogue: Catalogue, training: Iterable[Example]) -> None:
        counts = Counter(title for example in training for title in example.facts.liked_items)
        self._scores = {title: float(counts[title]) for title in catalogue.items}
        if not any(self._scores.values()):
            raise ValueError("no training dialogue wants an item of the catalogue: popularity cannot be told.")

    def __call__(self, examples: Sequence[Example], /) -> list[dict[str, float]]:
        return [dict(self._scores) for _ in examples]


class Similarity:
    """The cosine between what the user said and each item's description (its title and tags, unless given).

    It hears what is named, and hardly whether it is liked: of users who name what they avoid, it recommends that too.
    """

    def __init__(self, catalogue: Catalogue, embed: Embed, descriptions: Mapping[str, str] | None = None) -> None:
        self._titles, self._embed = list(catalogue.items), embed
        told = descriptions or {}
        texts = [told.get(title) or f"{title} . {' '.join(tags)}" for title, tags in catalogue.items.items()]
        self._items_IH = _unit(embed(texts))

    def __call__(self, examples: Sequence[Example], /) -> list[dict[str, float]]:
        if not examples:
            return []
        scores_BI = _unit(self._embed([heard(example) for example in examples])) @ self._items_IH.T
        return [dict(zip(self._titles, map(float, row), strict=True)) for row in scores_BI]


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True).clip(min=1e-12)


def ranked(scores: Mapping[str, float], *, without: Iterable[str] = ()) -> list[str]:
    """Titles, best first; equals by name. ``without``: what should not be recommended again."""
    left = set(scores) - set(without)
    return sorted(left, key=lambda title: (-scores[title], title))


def filled(replies: Sequence[Reply], recommender: Recommender, mask: str = "<movie>") -> list[Reply]:
    """Replies with each masked title filled in by the recommender's best that the dialogue has not named yet."""
    made: list[Reply] = []
    for reply, scores in zip(replies, recommender([reply.example for reply in replies]), strict=True):
        order = iter(ranked(scores, without=reply.example.facts.mentioned_items))
        text = reply.text
        while mask in text:
            title = next(order, None)
            if title is None:
                raise ValueError(f"more {mask} in {reply.text!r} than there are items left to recommend.")
            text = text.replace(mask, title, 1)
        made.append(Reply(reply.example, text, reply.ended, reply.tokens))
    return made
