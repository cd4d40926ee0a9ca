"""Does any input whatever end in a value or a q error? Sentences of a grammar, and examples with random changes."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from trimtab.qcode.q.errors import Defect, Limits, QError, Unsupported
from trimtab.qcode.q.registry import INFIX, PRIMS
from trimtab.qcode.q.session import Session

NOUNS = """
1|0N|-1|2.5|0w|0n|`a|"x"|"abc"|1 2 3|`a`b|()|2000.01.01|0b|0x01|x|{x+y}|t|d|k|s|e|m|u|f|::|""|`|1h|3i|2e|0Nh|0Ni|0We
`long$()|`symbol$()|"i"$()|0W|-0W|12:30|12:30:15|0D01:00|2000.01m|2020.01.01D10:00|12:30:15.123|0Np|0Nn|0Nd|0Nt|0Ng
2020.01.01T10:00|(1;`a;"b")|(1 2;3 4)|("ab";"cd")|enlist 1|enlist"abc"|101b|0x010203|1 0N 3|1.5 0n 2|`x`y!1 2
([]a:1 2 3;b:`x`y`x)|([k:1 2]v:3 4)|{x}|{y}|{[a]a+1}|+|-|neg|count|(+/)|+[1]|'[neg;abs]|(::)|`s#1 2 3|`g#`a`b`a
til 5|0#t|0#`|2 3#til 6|0 0#0|"1"|"a b"|"*b?"|"2020.01.01"|`a`c|"j"|"J"|`long|10000|100 200|-3 3|0 1|1 0
`:f|`:d/|`:d/a|`:t.csv
"""
"""Nouns of each type: atoms, vectors, empty lists, dictionaries, tables, functions; the variables of a session."""
SETUP = [
    "x:1 2 3",
    "t:([]a:1 2;b:`x`y)",
    "d:`a`b!(1 2;`x)",
    "k:([k:`a`b]v:1 2;w:3.5 0n)",
    's:("abc";"de")',
    "e:`u$`a`b`a",
    "m:(1 2 3;4 5 6)",
    "f:{[x;y]$[x<y;x;y]}",
]
MORE = ["aj[`a`b;%s;%s]", "wj[0 1;`a;%s;(%s;(max;`b))]", "ssr[%s;%s;%s]", "ej[`a;%s;%s]", "0N!%s", "(%s;%s;%s)"]
MORE += ["@[%s;%s;%s]", ".[%s;%s;%s]", "@[%s;%s;%s;%s]", ".[%s;%s;%s;%s]", "?[%s;%s;%s]", "$[%s;%s;%s]", "%s[%s]"]
MORE += ["%s[%s;%s]", "![%s;%s;%s;%s]", "?[%s;%s;%s;%s]", "x[%s]:%s", "d[%s]:%s", "t[%s;%s]:%s", "x[%s]+:%s", "x,:%s"]
MORE += ["m[%s;%s],:%s", "([]a:%s;b:%s)", "([k:%s]v:%s)", "{%s}[%s]", "{x+%s}/[%s;%s]", "{x,%s}\\[%s;%s]", "(%s)%s"]
MORE += ["%s'[%s;%s]", "%s/:[%s;%s]", "%s\\:[%s;%s]", "(%s':)%s", "(%s/)%s", "(%s\\)%s", "do[2;%s]", "if[%s;%s]"]
MORE += ["select %s from %s", "select a:%s by b from t", "exec %s from %s", "update c:%s from %s where a>%s", "'%s"]
MORE += [
    "delete from %s where %s",
    "select from %s where %s",
    "select %s by %s from t",
    "select[2] from %s",
    "parse %s",
]
MORE += ["select from t where a=(%s;a)fby b", "value %s", "eval parse %s", "`%s", "%s`a", "%s . %s", "`x set %s"]


def _nouns() -> list[str]:
    return [n for line in NOUNS.strip().split("\n") for n in line.split("|")]


NOUN_LIST = _nouns()
DYADS = sorted({n for n, p in PRIMS.items() if 2 in p.fns and (n in INFIX or not n[0].isalpha()) and n[0] != "."})
MONADS = sorted(n for n, p in PRIMS.items() if 1 in p.fns and n[0].isalpha())
DOTTED = sorted(n for n in PRIMS if n[0] == "." and len(n) > 1)
ITERATORS = ["'", "/", "\\", "/:", "\\:", "':"]


def sentence(rng: random.Random, depth: int = 3) -> str:
    """A text of q: most parse, and many mean something."""
    pick = rng.random()
    if depth == 0 or pick < 0.15:
        return rng.choice(NOUN_LIST)
    if pick < 0.4:
        return f"{_inner(rng, depth)} {rng.choice(DYADS)} {sentence(rng, depth - 1)}"
    if pick < 0.6:
        return f"{rng.choice(MONADS)} {sentence(rng, depth - 1)}"
    if pick < 0.68:
        return f"{_inner(rng, depth)}{rng.choice(DYADS)}{rng.choice(ITERATORS)}{sentence(rng, depth - 1)}"
    if pick < 0.74:
        args = [sentence(rng, depth - 1) for _ in range(PRIMS[name].rank)] if (name := rng.choice(DOTTED)) else []
        return f"{name}[{';'.join(args)}]"
    shape = rng.choice(MORE)
    return shape % tuple(sentence(rng, depth - 1) for _ in range(shape.count("%s")))


def _inner(rng: random.Random, depth: int) -> str:
    text = sentence(rng, depth - 1)
    return text if rng.random() < 0.3 else f"({text})"


def mutated(rng: random.Random, text: str) -> str:
    """A text with one character changed, added or left out."""
    i = rng.randrange(len(text) + 1)
    return text[:i] + rng.choice("()[]{};`\"'/\\:.0N +-,#_!?@$%&|<>=~^x1ab") + text[i + rng.randrange(2) :]


def grammatical(rng: random.Random) -> str:
    """A sentence, half of the time with a change."""
    text = sentence(rng)
    return mutated(rng, text) if rng.random() < 0.5 else text


def changed(rng: random.Random, examples: list[str]) -> str:
    """An example with up to three changes, or the beginning of one with the end of another."""
    text = rng.choice(examples)
    for _ in range(rng.randrange(4)):
        text = mutated(rng, text)
    if rng.random() < 0.15:
        other = rng.choice(examples)
        text = text[: rng.randrange(len(text) + 1)] + other[rng.randrange(len(other) + 1) :]
    return text


def survive(count: int, seed: int, examples: list[str]) -> list[str]:
    """Texts that end in a defect of the interpreter, each with the Python exception."""
    rng = random.Random(seed)
    bad: list[str] = []
    session = Session()
    for n in range(count):
        if n % 200 == 0:
            limits = Limits(steps=10_000, depth=60, memory_bytes=1 << 27, seconds=0.5)
            session = Session(limits, files=n % 400 == 0)
            for line in ["u:`a`b`c", *SETUP]:
                session.value(line)
        text = changed(rng, examples) if examples and rng.random() < 0.5 else grammatical(rng)
        try:
            session.show(text)
        except Defect as error:
            bad.append(f"{text}   {error.__cause__!r}")
        except (QError, Unsupported):
            pass
    return bad


def documented(shared: Path) -> list[str]:
    """The inputs of the documentation's examples."""
    with (shared / "data/q/kx_docs.jsonl").open() as lines:
        return [text for line in lines if len(text := json.loads(line)["input"]) < 400]


@pytest.mark.filterwarnings("error")
def test_two_thousand_inputs_end_in_a_value_or_a_q_error() -> None:
    assert not survive(2000, 1, []), "inputs that fail by a defect of the interpreter"


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.filterwarnings("error")
def test_a_hundred_thousand_inputs_end_in_a_value_or_a_q_error(shared: Path) -> None:
    assert not survive(100_000, 2, documented(shared)), "inputs that fail by a defect of the interpreter"
