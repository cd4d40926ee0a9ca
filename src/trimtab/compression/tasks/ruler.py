"""What do RULER's tasks look like at any length? Generators of needles, variables, frequent words and questions.

After Hsieh et al. (RULER, arXiv:2404.06654) and Kamradt's needle in a haystack, in our own words: haystacks are simple
sentences from a small vocabulary, needles are numbered codes. A task's text grows until it fills the wanted tokens of the
given tokenizer. ``depth`` places the needle (0: start, 1: end), for the heat map of depth x length.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from difflib import get_close_matches
from itertools import pairwise
from typing import Any

import numpy as np
from transformers import PreTrainedTokenizerBase

from trimtab.compression.tasks.text import TextTask
from trimtab.zoo.recall_text import words

_NOUNS = words(
    "boat baker bridge candle castle doctor farmer forest garden harbor hill island ladder lantern market meadow miller "
    "mountain orchard painter pilot river sailor stable stone street teacher tower valley village window winter"
)
_ADJECTIVES = words("quiet old bright narrow gentle distant early heavy busy silver wooden empty green pale")
_VERBS = words("watched passed remembered painted followed reached found praised measured visited crossed guarded")
_OPENINGS = ("In the morning", "Some days later", "Before noon", "As always", "By the evening", "That year", "Often")
_NAMES = words(
    "Alma Boris Clara Dario Edith Felix Greta Hugo Irene Jonas Karin Leo Mara Nils Olga Pablo Rosa Sven Tilda Viktor"
)
_TRADES = words("baker carpenter painter teacher pilot doctor gardener miller sailor weaver printer mason")
_TOWNS = words("Arden Belford Corwen Dunmore Elsing Farley Garth Holme Inver Kelso Lydd Marlow")


def _pick(random: np.random.Generator, words: tuple[str, ...] | list[str]) -> str:
    return words[int(random.integers(len(words)))]


def _some(random: np.random.Generator, words: tuple[str, ...] | list[str], count: int) -> list[str]:
    return [words[index] for index in random.permutation(len(words))[:count]]


def sentence(random: np.random.Generator) -> str:
    """A sentence of hay."""
    subject, thing = f"{_pick(random, _ADJECTIVES)} {_pick(random, _NOUNS)}", _pick(random, _NOUNS)
    return f"{_pick(random, _OPENINGS)} the {subject} {_pick(random, _VERBS)} the {_pick(random, _ADJECTIVES)} {thing}."


def _number(random: np.random.Generator) -> str:
    return str(random.integers(1_000_000, 10_000_000))


@dataclass(frozen=True)
class Draft:
    """A task before it has a length: needles to hide (in order), the question, right answers, metric."""

    opening: str
    needles: tuple[str, ...]
    question: str
    references: tuple[str, ...]
    metric: str = "match_all"
    max_new_tokens: int = 64
    hay: Callable[[np.random.Generator], str] = sentence


def _code(key: str, value: str) -> str:
    return f"The code of the {key} is {value}."


def _keys(random: np.random.Generator, count: int) -> list[str]:
    pairs = [f"{adjective} {noun}" for adjective in _ADJECTIVES for noun in _NOUNS]
    return _some(random, pairs, count)


_CODES = "Some codes are hidden in the text below. Remember them."


def _niah(random: np.random.Generator, keys: int, values: int, asked: int) -> Draft:
    names = _keys(random, keys)
    codes = [[_number(random) for _ in range(values if index < asked else 1)] for index in range(keys)]
    needles = [_code(name, code) for name, own in zip(names, codes, strict=True) for code in own]
    question = f"What are all the codes of the {', and of the '.join(names[:asked])}?"
    return Draft(_CODES, tuple(needles), question, tuple(code for own in codes[:asked] for code in own))


def niah_single(random: np.random.Generator) -> Draft:
    """One needle."""
    return _niah(random, 1, 1, 1)


def niah_multikey(random: np.random.Generator) -> Draft:
    """One needle among eight of other keys."""
    return _niah(random, 8, 1, 1)


def niah_multivalue(random: np.random.Generator) -> Draft:
    """A key with four codes."""
    return _niah(random, 1, 4, 1)


def niah_multiquery(random: np.random.Generator) -> Draft:
    """Four of eight keys are asked for."""
    return _niah(random, 8, 1, 4)


def variable_tracking(random: np.random.Generator) -> Draft:
    """A chain of five assignments; all variables with the first one's value are asked for."""
    letters = "ABCDEFGHJKLMNPQRSTUVWXYZ"
    names = list(dict.fromkeys("".join(_pick(random, list(letters)) for _ in range(5)) for _ in range(20)))
    chain, other = names[:5], names[5:8]
    value, decoy = _number(random), _number(random)
    needles = [f"VAR {chain[0]} = {value}."]
    needles += [f"VAR {new} = VAR {old}." for old, new in pairwise(chain)]
    needles += [f"VAR {other[0]} = {decoy}.", f"VAR {other[1]} = VAR {other[0]}."]
    opening = "Variables are assigned in the text below. Follow them."
    return Draft(opening, tuple(needles), f"Which variables have the value {value}? Name all five.", tuple(chain))


def _word_hay(words: list[str]) -> Callable[[np.random.Generator], str]:
    return lambda random: " ".join(_some(random, words, 8))


def _made_words(random: np.random.Generator, count: int) -> list[str]:
    syllables = [c + v for c in "bdfgklmnprstvz" for v in "aeiou"]
    made: dict[str, None] = {}
    while len(made) < count:
        made["".join(_pick(random, syllables) for _ in range(3))] = None
    return list(made)


def common_words(random: np.random.Generator) -> Draft:
    """Five words of a list occur far oftener than all others."""
    words = _made_words(random, 205)
    common, rare = words[:5], words[5:]
    needles = tuple(" ".join(_some(random, common, 5)) for _ in range(8))
    opening = "Below is a list of words. A few of them are far more frequent than the rest."
    question = "Which five words are the most frequent in the list?"
    return Draft(opening, needles, question, tuple(common), hay=_word_hay(rare))


def frequent_words(random: np.random.Generator) -> Draft:
    """Words by Zipf's law (exponent 2); the three most frequent are asked for."""
    words = _made_words(random, 60)
    shares = 1 / np.arange(1, len(words) + 1) ** 2.0
    shares /= shares.sum()

    def hay(generator: np.random.Generator) -> str:
        return " ".join(words[index] for index in generator.choice(len(words), size=8, p=shares))

    opening = "Below is a coded text. Find the three words that occur most often."
    needles = tuple(" ".join(words[:3]) for _ in range(4))
    return Draft(opening, needles, "Which three words occur most often?", tuple(words[:3]), hay=hay)


def qa(random: np.random.Generator) -> Draft:
    """A question whose answer stands in one of several short biographies."""
    names = _some(random, _NAMES, 8)
    facts = [(name, _pick(random, _TRADES), _pick(random, _TOWNS)) for name in names]
    needles = tuple(f"{name} works as a {trade} and lives in {town}." for name, trade, town in facts)
    name, trade, town = facts[0]
    aspects = {f"What is the trade of {name}?": trade, f"In which town does {name} live?": town}
    question = _pick(random, list(aspects))
    return Draft("Read the text below.", needles, question, (aspects[question],), "match_part", 32)


TASKS: dict[str, Callable[[np.random.Generator], Draft]] = {
    "niah_single": niah_single,
    "niah_multikey": niah_multikey,
    "niah_multivalue": niah_multivalue,
    "niah_multiquery": niah_multiquery,
    "variable_tracking": variable_tracking,
    "common_words": common_words,
    "frequent_words": frequent_words,
    "qa": qa,
}


def draft(name: str, random: np.random.Generator) -> Draft:
    """A draft of the task of that name. Raises ValueError naming the known."""
    if name not in TASKS:
        close = get_close_matches(name, TASKS, 1)
        hint = f"Did you mean {close[0]!r}? " if close else ""
        raise ValueError(f"no generator {name!r}. {hint}Expected one of: {', '.join(TASKS)}")
    return TASKS[name](random)


def _count(tokenizer: PreTrainedTokenizerBase, text: str) -> int:
    plain: Any = tokenizer
    return len(plain(text, add_special_tokens=False)["input_ids"])


def _compose(made: Draft, hay: list[str], places: list[int]) -> str:
    body = list(hay)
    for needle, place in sorted(zip(made.needles, places, strict=True), key=lambda pair: -pair[1]):
        body.insert(place, needle)
    return f"{made.opening}\n\n{' '.join(body)}\n\n{made.question}\nAnswer:"


def _places(made: Draft, random: np.random.Generator, hay: int, depth: float | None) -> list[int]:
    """Where the needles go: in order, at random, or the first one at ``depth``."""
    places = sorted(int(place) for place in random.integers(0, hay + 1, size=len(made.needles)))
    if depth is not None:
        places[0] = round(depth * hay)
    return places


def generate(
    name: str, tokenizer: PreTrainedTokenizerBase, tokens: int, seed: int, number: int, *, depth: float | None = None
) -> TextTask:
    """Task ``number`` of ``seed``, of at most ``tokens`` tokens and at least all but one sentence of that.

    Raises ValueError where the task does not fit, naming the smallest length that holds it, or ``depth`` is not 0..1.
    """
    if depth is not None and not 0 <= depth <= 1:
        raise ValueError(f"a depth of {depth}: expected 0 (start) to 1 (end)")
    random = np.random.default_rng([seed, number])
    made = draft(name, random)
    bare = _count(tokenizer, _compose(made, [], [0] * len(made.needles)))
    if bare > tokens:
        raise ValueError(f"{name} does not fit into {tokens} tokens: expected {bare} or more")
    hay: list[str] = []
    filled = bare
    while True:
        following = made.hay(random)
        filled += _count(tokenizer, " " + following)
        if filled > tokens:
            break
        hay.append(following)
    while True:
        text = _compose(made, hay, _places(made, random, len(hay), depth))
        if _count(tokenizer, text) <= tokens or not hay:
            break
        hay.pop()  # tokens at the seams
    where = "" if depth is None else f"/{depth:g}"
    return TextTask(
        f"ruler/{name}/{tokens}/{seed}/{number}{where}",
        f"ruler/{name}",
        text,
        made.references,
        made.metric,
        made.max_new_tokens,
        text,
    )
