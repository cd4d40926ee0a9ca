"""Which replies must not please a reward? Nonsense, bait, copies and silence; and the best nonsense that a search finds.

The fixed ones are what published rewards fell for. The search plays the optimiser: it changes words of a meaningless text
as long as the score rises, and gives that one text to every dialogue.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from trimtab.dialogue.example import Reply

Score = Callable[[Sequence[Reply]], Sequence[float]]

SEARCHED = "searched"
"""The name of what ``searched`` finds."""


def nonsense(replies: Sequence[Reply], seed: int = 0) -> list[Reply]:
    """Replies of the same lengths whose words are drawn from all replies, evenly among the different words."""
    random = np.random.default_rng(seed)
    vocabulary = sorted({word for reply in replies for word in reply.words}) or ["."]
    drawn = [[vocabulary[i] for i in random.integers(len(vocabulary), size=len(reply.words))] for reply in replies]
    return [Reply(reply.example, " ".join(words)) for reply, words in zip(replies, drawn, strict=True)]


BAIT = (
    "i hope i understand you and feel sorry a the hi",
    "sorry sorry help help understand feel feel hope support <movie> you the a you",
)
"""Words that keyword rewards look for, in no order that means anything."""


def baited(replies: Sequence[Reply]) -> list[Reply]:
    """Nonsense that keyword rewards like: the same to every dialogue."""
    return [Reply(reply.example, BAIT[index % len(BAIT)]) for index, reply in enumerate(replies)]


def copied(replies: Sequence[Reply]) -> list[Reply]:
    """What the user said last, said back."""
    return [Reply(reply.example, reply.example.latest) for reply in replies]


def empty(replies: Sequence[Reply]) -> list[Reply]:
    """Nothing said."""
    return [Reply(reply.example, "") for reply in replies]


def swapped(replies: Sequence[Reply]) -> list[Reply]:
    """Each dialogue answered with another's reply."""
    turned = [*replies[1:], *replies[:1]]
    return [Reply(reply.example, other.text) for reply, other in zip(replies, turned, strict=True)]


CHEATS = {"nonsense": nonsense, "baited": baited, "copied": copied, "empty": empty, "swapped": swapped}
SENSELESS = ("nonsense", "baited", "empty")
"""Cheats that must not score above real replies, in any part that is to say how good a reply is."""


def searched(score: Score, replies: Sequence[Reply], *, rounds: int = 12, tries: int = 16, seed: int = 0) -> str:
    """A text of words drawn from the replies that ``score`` likes for any dialogue, by hill climbing from random words.

    ``rounds * tries`` texts are scored on eight dialogues each. It is meaningless: words are put where they score.
    """
    random = np.random.default_rng(seed)
    vocabulary = sorted({word for reply in replies for word in reply.words}) or ["."]
    length = max(3, int(np.median([len(reply.words) for reply in replies])))
    probe = [replies[i] for i in random.permutation(len(replies))[:8]]
    best = [vocabulary[i] for i in random.integers(len(vocabulary), size=length)]
    top = _mean_score(score, probe, [best])[0]
    for _ in range(rounds):
        texts = [_changed(best, vocabulary, random) for _ in range(tries)]
        values = _mean_score(score, probe, texts)
        if max(values) > top:
            best, top = texts[int(np.argmax(values))], max(values)
    return " ".join(best)


def _changed(words: Sequence[str], vocabulary: Sequence[str], random: np.random.Generator) -> list[str]:
    """One to three words replaced by others."""
    made = list(words)
    for at in random.integers(len(made), size=int(random.integers(1, 4))):
        made[at] = vocabulary[int(random.integers(len(vocabulary)))]
    return made


def _mean_score(score: Score, probe: Sequence[Reply], texts: Sequence[Sequence[str]]) -> list[float]:
    """Of each text its mean over the probe's dialogues."""
    asked = [Reply(reply.example, " ".join(text)) for text in texts for reply in probe]
    return [float(mean) for mean in np.array(score(asked)).reshape(len(texts), len(probe)).mean(axis=1)]
