"""What does ``zoo:recall`` read? Documents that bind keys to values, hide them among noise, and ask for them later.

A small language of words (one token each), enough for associative recall, needles in a haystack, and variables:

    facts fox 42 owl 17 .            two pairs                     note elk 63 .     a needle: one pair among noise
    let ant fox .                    ant has fox's value           the of was ...    filler
    ask owl ant : owl 17 ant 42 .    a question answered at once (in a prompt: a decoy)
    task fox elk .                   announces the question        do fox 42 elk 63 .   answers the last one announced

``task`` may come long before ``do``, just before it, or several times: how far back the useful queries lie differs from
prompt to prompt. Tasks and needles follow RULER (Hsieh et al., arXiv:2404.06654), answers echo their keys.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum

import numpy as np
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast


def words(text: str) -> tuple[str, ...]:
    """The words of a text."""
    return tuple(text.split())


PAD, BEGIN, END, UNKNOWN = "<pad>", "<begin>", "<end>", "<unknown>"
MARKS = ("facts", "note", "let", "ask", "task", "do", ":", ".")
KEYS = words(
    "acorn alder anchor ant apple arrow ash badger barley basin bat beacon bear beaver beech bell birch bison boar bolt "
    "bow bridge brook bucket candle canoe cedar chalk cherry chisel clam clover coal cobra comet copper coral cow crab "
    "crane cricket crow cup dagger daisy deer dove drum duck eagle eel elk elm falcon fern ferry fig finch flint flute "
    "fox frog gate goat goose grape gull hammer harp hawk hazel heron horse iris iron ivy jade jay kettle kite ladder "
    "lake lamp lark lemon lily lion lizard lock loom lynx maple mill mint mole moon moose moth mouse oak olive onyx "
    "orchid otter owl oyster pearl pine plum pony quail rabbit raven reed robin rose sage seal shell swan thyme tiger "
    "tulip walnut"
)
VALUES = tuple(str(number) for number in range(10, 100))
FILLER = words(
    "a about after again all also always and any as at away back before being between both but by could down each even "
    "ever far few for from had have here how in into it just like made many more most much never of often on only or "
    "other out over said so some still such than that the then"
)
VOCABULARY = (PAD, BEGIN, END, UNKNOWN, *MARKS, *KEYS, *VALUES, *FILLER)
IDS = {word: number for number, word in enumerate(VOCABULARY)}


class Kind(IntEnum):
    """What a word is to a reader of all before it: drawn at random, or known (and why)."""

    RANDOM = 0
    FACT = 1
    NOTE = 2
    LET = 3
    ECHO = 4
    STOP = 5


def recall_tokenizer(max_length: int) -> PreTrainedTokenizerFast:
    """A tokenizer of whole words, split at spaces."""
    tokenizer = Tokenizer(models.WordLevel(dict(IDS), unk_token=UNKNOWN))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=BEGIN,
        eos_token=END,
        pad_token=PAD,
        unk_token=UNKNOWN,
        model_max_length=max_length,
        clean_up_tokenization_spaces=False,
    )


@dataclass
class Writer:
    """A document that grows: words, what each is to its reader (``kinds``), and the bindings so far."""

    random: np.random.Generator
    words: list[str] = field(default_factory=lambda: [BEGIN])
    kinds: list[Kind] = field(default_factory=lambda: [Kind.RANDOM])
    bound: dict[str, tuple[str, Kind]] = field(default_factory=dict[str, tuple[str, Kind]])
    asked: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.words)

    def say(self, *words: str, kind: Kind = Kind.RANDOM) -> None:
        """Append words, all of one kind."""
        self.words += words
        self.kinds += [kind] * len(words)

    def choose(self, count: int, *, new: bool = False) -> list[str]:
        """``count`` keys that are bound already, or that are new; fewer where there are not as many."""
        known = [key for key in KEYS if key not in self.bound] if new else list(self.bound)
        order = self.random.permutation(len(known))[:count]
        return [known[index] for index in order]

    def _bind(self, key: str, kind: Kind) -> str:
        value = VALUES[self.random.integers(len(VALUES))]
        self.bound[key] = (value, kind)
        return value

    def facts(self, count: int) -> None:
        """``facts k v k v .``: 2 count + 2 words."""
        self.say("facts")
        for key in self.choose(count, new=True):
            self.say(key, self._bind(key, Kind.FACT))
        self.say(".", kind=Kind.STOP)

    def note(self, *keys: str) -> None:
        """``note k v .`` for each of ``keys``, or for a new one."""
        for key in keys or self.choose(1, new=True):
            self.say("note", key, self._bind(key, Kind.NOTE))
            self.say(".", kind=Kind.STOP)

    def let(self) -> None:
        """``let new k .``: a new key takes the value of a bound one (one hop from a value)."""
        direct = [key for key, (_, kind) in self.bound.items() if kind != Kind.LET]
        for key in self.choose(1, new=True):
            if direct:
                source = direct[self.random.integers(len(direct))]
                self.bound[key] = (self.bound[source][0], Kind.LET)
                self.say("let", key, source)
                self.say(".", kind=Kind.STOP)

    def filler(self, count: int) -> None:
        """``count`` meaningless words."""
        self.say(*(FILLER[index] for index in self.random.integers(len(FILLER), size=count)))

    def answer(self, keys: tuple[str, ...]) -> None:
        """``k v k v .``, all of it known."""
        for key in keys:
            value, kind = self.bound[key]
            self.say(key, kind=Kind.ECHO)
            self.say(value, kind=kind)
        self.say(".", kind=Kind.STOP)

    def ask(self, count: int) -> None:
        """``ask k k : k v k v .``: 3 count + 3 words."""
        keys = tuple(self.choose(count))
        self.say("ask", *keys, ":")
        self.answer(keys)

    def task(self, keys: tuple[str, ...]) -> None:
        """``task k k .``: what the next ``do`` will answer."""
        self.asked = keys
        self.say("task", *keys, ".")

    def do(self) -> None:
        """``do k v k v .``"""
        self.say("do")
        self.answer(self.asked)

    def noise(self, count: int, decoys: float) -> None:
        """Exactly ``count`` words of filler and, for about a share ``decoys`` of them, questions answered at once."""
        end = len(self) + count
        while len(self) < end:
            room = end - len(self)
            if self.random.random() < decoys and self.bound and room >= 6:
                self.ask(int(self.random.integers(1, 1 + min(4, len(self.bound), (room - 3) // 3))))
            else:
                self.filler(min(room, int(self.random.integers(1, 13))))

    def bindings(self, count: int) -> None:
        """``count`` new bindings, in blocks and one by one."""
        wanted = min(len(KEYS), len(self.bound) + count)
        while len(self.bound) < wanted:
            form = self.random.random()
            if form < 0.35:
                self.facts(min(wanted - len(self.bound), int(self.random.integers(2, 9))))
            elif form < 0.7 or not self.bound:
                self.note()
            else:
                self.let()

    def ids(self) -> np.ndarray:
        """Token ids, int64 [T]."""
        return np.array([IDS[word] for word in self.words], dtype=np.int64)


def repeated(random: np.random.Generator, tokens: int) -> tuple[np.ndarray, np.ndarray]:
    """A random segment said over and over, as (ids [T], known [T]): what copying (induction) is first learnt from."""
    period = int(random.integers(6, max(7, tokens // 2)))
    segment = random.permutation(np.arange(len(VOCABULARY) - 4) + 4)[:period]
    ids = np.resize(segment, tokens)
    ids[0] = IDS[BEGIN]
    return ids, np.arange(tokens) > period


def _gap(writer: Writer, tokens: int) -> int:
    """Words of noise between ``task`` and ``do``: mostly none, else evenly in the logarithm, or all that is left."""
    form, left = writer.random.random(), tokens - len(writer) - 12
    if form < 0.55 or left < 8:
        return 0
    if form < 0.85:
        return int(np.exp(writer.random.uniform(0, np.log(left)))) - 1
    return int(writer.random.uniform(left / 2, left))


def training_document(random: np.random.Generator, tokens: int) -> tuple[np.ndarray, np.ndarray]:
    """A document of ``tokens`` words for training, as (ids [T], kinds [T]): rounds of bindings, questions and answers."""
    writer = Writer(random)
    most = max(3, min(60, tokens // 14))
    decoys = random.random()
    if random.random() < 0.15:
        early = tuple(writer.choose(int(random.integers(1, 5)), new=True))
        writer.task(early)
        for key in early:
            writer.note(key)
    writer.bindings(int(random.integers(2, most)))
    while len(writer) < tokens:
        if len(writer.bound) < most and random.random() < 0.4:
            writer.bindings(int(random.integers(1, 4)))
        if not writer.asked or random.random() < 0.6:
            writer.noise(int(random.integers(0, 30)), decoys)
            writer.task(tuple(writer.choose(int(random.integers(1, 6)))))
        writer.noise(_gap(writer, tokens), decoys)
        writer.do()
    return writer.ids()[:tokens], np.array(writer.kinds[:tokens], dtype=np.int64)
