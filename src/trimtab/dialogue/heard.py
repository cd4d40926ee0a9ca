"""What does a talk tell of the user's taste? A guess from words: chat shows parts of the reward by it."""

from __future__ import annotations

import re
from collections.abc import Sequence

from trimtab.dialogue.example import Catalogue, Facts, Turn

_AGAINST = re.compile(r"\b(?:no|not|never|hate|without|except|dislike|\w+n't)\b", re.IGNORECASE)


def facts_heard(turns: Sequence[Turn], catalogue: Catalogue) -> Facts:
    """Tags that the user says, liked or (in a sentence with ``no``, ``not``, ``hate`` ..) disliked; titles named so far.

    Where no tag is liked, those of the titles that the user names stand in.
    """
    said = " ".join(turn.text for turn in turns if turn.speaker == "user")
    liked, disliked = list[str](), list[str]()
    tags = {tag.lower(): tag for title in catalogue.items for tag in catalogue.tags(title)}
    for sentence in re.split(r"[.!?]+", said):
        words = set(re.findall(r"[\w']+", sentence.lower()))
        found = [tags[word] for word in tags if set(word.split()) <= words]
        (disliked if _AGAINST.search(sentence) else liked).extend(found)
    named = tuple(dict.fromkeys(title for turn in turns for title in catalogue.find(turn.text)))
    if not liked:
        liked = [tag for title in catalogue.find(said) for tag in catalogue.tags(title)]
    liked = [tag for tag in dict.fromkeys(liked) if tag not in disliked]
    return Facts(mentioned_items=named, liked_tags=tuple(liked), disliked_tags=tuple(dict.fromkeys(disliked)))
