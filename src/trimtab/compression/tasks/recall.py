"""Which prompts does ``zoo:recall`` answer? Bindings, noise, and a question announced early, late, or repeatedly.

Where the useful queries lie is what differs: just before the end (``late``), at the far end of the prompt (``early``), or
at some distance between (``repeated``), behind a tail of noise. Ordinary prompts do the same: instructions come before a
document, after it, or twice.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from trimtab.compression.prompts import Prompt
from trimtab.zoo.recall_text import Writer

ANNOUNCED = ("early", "late", "repeated")


@dataclass(frozen=True)
class Recall:
    """Settings of the prompts. Pairs are least and most, drawn evenly (``late_tail`` and ``repeated_tail``: evenly in
    their logarithm). Raises ValueError."""

    tokens: tuple[int, int] = (900, 1000)
    """Tokens of a prompt, ``do`` included."""
    announced: tuple[str, ...] = ANNOUNCED
    """Where the question is announced: early, late, repeated; each as often."""
    bindings: tuple[int, int] = (16, 48)
    """Keys that have a value."""
    asked: tuple[int, int] = (3, 5)
    """Keys in the question."""
    late_tail: tuple[int, int] = (0, 12)
    """Words of noise between the question and ``do``, where it is announced late."""
    repeated_tail: tuple[int, int] = (16, 320)
    """The same, after the repetition of a repeated question."""
    decoys: tuple[float, float] = (0.0, 0.8)
    """Share of the noise that consists of other questions, answered at once."""
    answered_early: float = 0.5
    """Share of the early questions that are answered early too, and asked again at the end."""
    answer_tokens: int = 5
    """Answer tokens at most; the first is free."""

    def __post_init__(self) -> None:
        unknown = [name for name in self.announced if name not in ANNOUNCED]
        if unknown or not self.announced:
            raise ValueError(f"announced {unknown or 'nowhere'}: expected some of {', '.join(ANNOUNCED)}")
        least = 8 * self.bindings[1] + 8 * self.asked[1] + 4
        if self.tokens[0] < least:
            raise ValueError(
                f"prompts of {self.tokens[0]} tokens cannot hold {self.bindings[1]} bindings: expected {least} or more, or "
                "fewer bindings"
            )
        if not 1 <= self.asked[0] <= self.asked[1] <= self.bindings[0]:
            raise ValueError(f"asked {self.asked} of {self.bindings} bindings: expected 1 to {self.bindings[0]} keys")
        if self.answer_tokens < 2:
            raise ValueError("an answer of 1 token is given by the full cache in any case: expected 2 or more")

    def prompt(self, seed: int, number: int) -> Prompt:
        """Prompt ``number`` of ``seed``; it depends on them and on the settings alone."""
        random = np.random.default_rng([seed, number])
        mode = self.announced[number % len(self.announced)]
        writer = Writer(random)
        _write(writer, self, mode)
        prompt = writer.ids()
        start = len(writer)
        writer.answer(writer.asked)
        answer = writer.ids()[start:]
        reference = " ".join(writer.bound[key][0] for key in writer.asked)
        return Prompt(
            f"recall/{seed}/{number}",
            tuple(map(int, prompt)),
            tuple(map(int, answer[: self.answer_tokens])),
            references=(reference,),
            group=f"recall/{mode}",
        )

    def prompts(self, seed: int, count: int) -> list[Prompt]:
        """The first ``count`` prompts of ``seed``: modes in turn."""
        return [self.prompt(seed, number) for number in range(count)]


def _between(random: np.random.Generator, bounds: tuple[int, int]) -> int:
    return int(random.integers(bounds[0], bounds[1] + 1))


def _log_between(random: np.random.Generator, bounds: tuple[int, int]) -> int:
    low, high = (np.log(bound + 1) for bound in bounds)
    return round(float(np.exp(random.uniform(low, high)))) - 1


def _write(writer: Writer, settings: Recall, mode: str) -> None:
    """The prompt's words, up to and with ``do``."""
    random = writer.random
    total, bindings = _between(random, settings.tokens), _between(random, settings.bindings)
    asked, decoys = _between(random, settings.asked), float(random.uniform(*settings.decoys))
    writer.bindings(bindings)
    keys = tuple(writer.choose(asked))
    if mode != "late":
        writer.task(keys)
        if mode == "early" and random.random() < settings.answered_early:
            writer.do()
    tail = 0
    if mode != "early":
        tail = _log_between(random, settings.late_tail if mode == "late" else settings.repeated_tail)
    last = 0 if mode == "early" else asked + 2
    writer.noise(total - len(writer) - last - tail - 1, decoys)
    if last:
        writer.task(keys)
    writer.noise(tail, decoys)
    writer.say("do")


def needle(tokens: int, depth: float, number: int, *, decoys: float = 0.3, asked: int = 2) -> Prompt:
    """A needle in a haystack: ``asked`` bindings at ``depth`` (0: start, 1: end) of noise, asked for at the end.

    Raises ValueError for a depth outside 0..1, or where the prompt is too short for it.
    """
    room = tokens - 2 * asked - 3 - (asked + 2) - 2 - 8
    if not 0 <= depth <= 1 or room < 0:
        raise ValueError(f"a needle at depth {depth} of {tokens} tokens: expected 0 to 1, and {tokens - room} or more")
    writer = Writer(np.random.default_rng([7, number, round(100 * depth), tokens]))
    writer.facts(2)
    before = round(depth * room)
    writer.noise(before, decoys)
    known = set(writer.bound)
    writer.facts(asked)
    keys = tuple(key for key in writer.bound if key not in known)
    writer.noise(room - before, decoys)
    writer.task(keys)
    writer.say("do")
    prompt = writer.ids()
    writer.answer(keys)
    answer = writer.ids()[len(prompt) :]
    reference = " ".join(writer.bound[key][0] for key in keys)
    name = f"needle/{tokens}/{depth:g}/{number}"
    ids = (tuple(map(int, prompt)), tuple(map(int, answer[:5])))
    return Prompt(name, *ids, references=(reference,), group="recall/needle")
