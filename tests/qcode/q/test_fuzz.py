"""Does any input whatever end in a value or a q error? Sentences of a grammar, and examples with random changes."""

from __future__ import annotations

import random

import pytest

from trimtab.qcode.q.errors import Defect, Limits, QError, Unsupported
from trimtab.qcode.q.session import Session

ATOMS = [
    "1",
    "0N",
    "2.5",
    "0w",
    "`a",
    '"x"',
    '"abc"',
    "1 2 3",
    "`a`b",
    "()",
    "2000.01.01",
    "0b",
    "0x01",
    "x",
    "{x+y}",
    "t",
]
VERBS = [
    "+",
    "-",
    "*",
    "%",
    ",",
    "#",
    "_",
    "~",
    "=",
    "<",
    "^",
    "!",
    "?",
    "@",
    ".",
    "$",
    "&",
    "|",
    "in",
    "cut",
    "vs",
    "sv",
]
KEYWORDS = [
    "count ",
    "first ",
    "til ",
    "reverse ",
    "string ",
    "sum ",
    "flip ",
    "where ",
    "group ",
    "distinct ",
    "asc ",
    "neg ",
]
ITERATORS = ["'", "/", "\\", "/:", "\\:", "':"]


def sentence(rng: random.Random, depth: int = 3) -> str:
    pick = rng.random()
    if depth == 0 or pick < 0.2:
        return rng.choice(ATOMS)
    if pick < 0.5:
        return f"{sentence(rng, depth - 1)}{rng.choice(VERBS)} {sentence(rng, depth - 1)}"
    if pick < 0.7:
        return rng.choice(KEYWORDS) + sentence(rng, depth - 1)
    if pick < 0.8:
        return f"({sentence(rng, depth - 1)};{sentence(rng, depth - 1)})"
    if pick < 0.9:
        return f"{rng.choice(VERBS)}{rng.choice(ITERATORS)}[{sentence(rng, depth - 1)}]"
    return f"{{{sentence(rng, depth - 1)}}}[{sentence(rng, depth - 1)}]"


def mutated(rng: random.Random, text: str) -> str:
    i = rng.randrange(len(text) + 1)
    return text[:i] + rng.choice("()[]{};`\"'/\\:.0N +") + text[i + rng.randrange(2) :]


def survive(count: int, seed: int) -> list[str]:
    """Texts whose error carries a Python exception."""
    rng = random.Random(seed)
    bad: list[str] = []
    for n in range(count):
        if n % 500 == 0:
            session = Session(limits=Limits(steps=2000, depth=50))
            session.value("x:1 2 3")
            session.value("t:([]a:1 2;b:`x`y)")
        text = sentence(rng)
        text = mutated(rng, text) if rng.random() < 0.5 else text
        try:
            session.show(text)
        except Defect as error:
            bad.append(f"{text}   {error.__cause__!r}")
        except (QError, Unsupported):
            pass
    return bad


def test_two_thousand_inputs_end_in_a_value_or_a_q_error() -> None:
    assert len(survive(2000, 1)) <= 10, "inputs that fail by a defect of the interpreter"


@pytest.mark.slow
def test_a_hundred_thousand_inputs_end_in_a_value_or_a_q_error() -> None:
    assert len(survive(100_000, 2)) <= 500, "inputs that fail by a defect of the interpreter"
