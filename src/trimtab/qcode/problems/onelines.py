"""Can a small model learn to compose q? A generated set of one-liners: an answer of a transformation of a selection.

``the sum of twice the items above 3`` is ``{sum 2*x where x>3}``: a selection, a transformation and an answer, over lists
of numbers and over strings. Splits go by composition (selection, transformation, answer): no composition of the test split
occurs in training, though all its parts do; a part of the test split (tag ``unseen-pair``) has a pair of transformation and
answer that no training problem has. Compositions that compute the same are kept once. Everything follows from the seed.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any, Literal

from trimtab.qcode.engine.protocol import CallTest
from trimtab.qcode.problems import qtext
from trimtab.qcode.problems.format import Problem

Use = Literal["reward", "evaluation"]
TESTS = 8
PROBES = 80
SHARES = (("train", 0.6), ("validation", 0.1), ("test", 0.3))
PAIRS_HELD_OUT = 0.08
VOWELS = "aeiou"


@dataclass(frozen=True)
class Stage:
    """A part of a one-liner: its words, its q (``{k}`` a constant; applied to what stands right of it), its meaning."""

    name: str
    words: str
    q: str
    means: Callable[[Any, int], Any]


@dataclass(frozen=True)
class Domain:
    """Inputs of one kind, and the stages for them; ``answers`` say what type they give and whether they need an item."""

    name: str
    kind: str
    draw: Callable[[Random], Any]
    constants: tuple[int, ...]
    selections: tuple[Stage, ...]
    transformations: tuple[Stage, ...]
    answers: tuple[tuple[Stage, str, bool], ...]


def _numbers(rng: Random) -> list[int]:
    return [rng.randint(-9, 9) for _ in range(rng.randint(3, 9))]


def _letters(rng: Random) -> str:
    return "".join(rng.choice("aabcdeeioBAEst  ") for _ in range(rng.randint(4, 10)))


def _runs(values: Sequence[Any]) -> list[Any]:
    return [v for i, v in enumerate(values) if i == 0 or values[i - 1] != v]


def _prod(values: list[int]) -> int:
    product = 1
    for value in values:
        product *= value
    return product


NUMBERS = Domain(
    "numbers",
    "J",
    _numbers,
    (2, 3, 4),
    (
        Stage("all", "the list", "x", lambda x, k: x),
        Stage("above", "the items above {k}", "x where x>{k}", lambda x, k: [v for v in x if v > k]),
        Stage("below", "the items below {k}", "x where x<{k}", lambda x, k: [v for v in x if v < k]),
        Stage("even", "the even items", "x where 0=x mod 2", lambda x, k: [v for v in x if v % 2 == 0]),
        Stage("odd", "the odd items", "x where 1=x mod 2", lambda x, k: [v for v in x if v % 2 == 1]),
        Stage("distinct", "the distinct items", "distinct x", lambda x, k: list(dict.fromkeys(x))),
        Stage("first", "the first {k} items", "{k} sublist x", lambda x, k: x[:k]),
        Stage("last", "the last {k} items", "-{k} sublist x", lambda x, k: x[-k:]),
        Stage("rest", "all but the first item", "1_x", lambda x, k: x[1:]),
        Stage("nonzero", "the items other than 0", "x except 0", lambda x, k: [v for v in x if v]),
        Stage("small", "the items from -{k} to {k}", "x where {k}>=abs x", lambda x, k: [v for v in x if abs(v) <= k]),
        Stage("alternate", "every other item", "x where 0=(til count x) mod 2", lambda x, k: x[::2]),
    ),
    (
        Stage("same", "", "", lambda x, k: x),
        Stage("twice", "twice", "2*", lambda x, k: [2 * v for v in x]),
        Stage("squares", "the squares of", "{{x*x}} ", lambda x, k: [v * v for v in x]),
        Stage("plus", "{k} plus", "{k}+", lambda x, k: [v + k for v in x]),
        Stage("negated", "the negatives of", "neg ", lambda x, k: [-v for v in x]),
        Stage("absolute", "the absolute values of", "abs ", lambda x, k: [abs(v) for v in x]),
        Stage("reverse", "the reverse of", "reverse ", lambda x, k: x[::-1]),
        Stage("ascending", "the ascending order of", "asc ", lambda x, k: sorted(x)),
        Stage("running", "the running sums of", "sums ", lambda x, k: list(itertools.accumulate(x))),
        Stage("highs", "the running maxima of", "maxs ", lambda x, k: list(itertools.accumulate(x, max))),
        Stage(
            "steps",
            "the differences between neighbours in",
            "1_deltas ",
            lambda x, k: [b - a for a, b in itertools.pairwise(x)],
        ),
        Stage("remainders", "the remainders modulo {k} of", "{{x mod {k}}} ", lambda x, k: [v % k for v in x]),
    ),
    (
        (Stage("list", "", "", lambda x, k: x), "J", True),
        (Stage("sum", "the sum of", "sum ", lambda x, k: sum(x)), "j", False),
        (Stage("largest", "the largest of", "max ", lambda x, k: max(x)), "j", True),
        (Stage("smallest", "the smallest of", "min ", lambda x, k: min(x)), "j", True),
        (Stage("count", "the number of items in", "count ", lambda x, k: len(x)), "j", False),
        (Stage("mean", "the mean of", "avg ", lambda x, k: sum(x) / len(x)), "f", True),
        (Stage("first", "the first of", "first ", lambda x, k: x[0]), "j", True),
        (Stage("last", "the last of", "last ", lambda x, k: x[-1]), "j", True),
        (Stage("kinds", "the number of distinct values of", "count distinct ", lambda x, k: len(set(x))), "j", False),
        (
            Stage("spread", "the largest minus the smallest of", "{{max[x]-min x}} ", lambda x, k: max(x) - min(x)),
            "j",
            True,
        ),
        (Stage("positive", "how many are positive among", "sum 0<", lambda x, k: sum(v > 0 for v in x)), "j", False),
        (Stage("product", "the product of", "prd ", lambda x, k: _prod(x)), "j", False),
    ),
)

TEXTS = Domain(
    "texts",
    "C",
    _letters,
    (2, 3, 4),
    (
        Stage("all", "the text", "x", lambda x, k: x),
        Stage("vowels", "the small vowels of the text", 'x where x in "aeiou"', lambda x, k: [c for c in x if c in VOWELS]),
        Stage("solid", "the text without blanks", 'x except " "', lambda x, k: [c for c in x if c != " "]),
        Stage("first", "the first {k} characters", "{k} sublist x", lambda x, k: x[:k]),
        Stage("last", "the last {k} characters", "-{k} sublist x", lambda x, k: x[-k:]),
        Stage("distinct", "the distinct characters", "distinct x", lambda x, k: list(dict.fromkeys(x))),
        Stage("rest", "all but the first character", "1_x", lambda x, k: x[1:]),
        Stage("alternate", "every other character", "x where 0=(til count x) mod 2", lambda x, k: x[::2]),
    ),
    (
        Stage("same", "", "", lambda x, k: x),
        Stage("capitals", "the capitals of", "upper ", lambda x, k: [c.upper() for c in x]),
        Stage("small", "the small letters of", "lower ", lambda x, k: [c.lower() for c in x]),
        Stage("reverse", "the reverse of", "reverse ", lambda x, k: x[::-1]),
        Stage("ascending", "the ascending order of", "asc ", lambda x, k: sorted(x)),
        Stage("doubled", "each character twice of", "{{x where count[x]#2}} ", lambda x, k: [c for c in x for _ in (0, 1)]),
        Stage("runs", "without repeats of neighbours,", "{{x where differ x}} ", lambda x, k: _runs(x)),
        Stage("shift", "with the first character moved to the end,", "1 rotate ", lambda x, k: [*x[1:], *x[:1]]),
    ),
    (
        (Stage("text", "", "", lambda x, k: "".join(x)), "C", True),
        (Stage("length", "the length of", "count ", lambda x, k: len(x)), "j", False),
        (Stage("kinds", "the number of distinct characters of", "count distinct ", lambda x, k: len(set(x))), "j", False),
        (Stage("vowels", "the number of small vowels in", 'sum in[;"aeiou"] ', lambda x, k: sum(c in VOWELS for c in x)), "j", False),
        (Stage("first", "the first character of", "first ", lambda x, k: x[0]), "c", True),
        (Stage("last", "the last character of", "last ", lambda x, k: x[-1]), "c", True),
        (Stage("palindrome", "whether it reads the same backwards:", "{{x~reverse x}} ", lambda x, k: list(x) == list(x)[::-1]), "b", False),
        (Stage("place", "the position of the first a (the length if there is none) in", '?[;"a"] ',
               lambda x, k: next((i for i, c in enumerate(x) if c == "a"), len(x))), "j", False),
    ),
)  # fmt: skip


@dataclass(frozen=True)
class OneLine:
    """A composition with its constants."""

    domain: Domain
    selection: Stage
    transformation: Stage
    answer: Stage
    result: str
    needs_item: bool
    constants: tuple[int, int]

    @property
    def name(self) -> str:
        return "/".join((self.domain.name, self.selection.name, self.transformation.name, self.answer.name))

    @property
    def pair(self) -> str:
        return "/".join((self.domain.name, self.transformation.name, self.answer.name))

    def words(self) -> str:
        select, transform = self.constants
        parts = (
            self.answer.words,
            self.transformation.words.format(k=transform),
            self.selection.words.format(k=select),
        )
        return "Give " + " ".join(part for part in parts if part) + "."

    def code(self) -> str:
        select, transform = self.constants
        selected = self.selection.q.format(k=select)
        return f"solve:{{[x] {self.answer.q.format()}{self.transformation.q.format(k=transform)}{selected}}}"

    def value(self, given: Any) -> Any:
        """The right answer; None where the composition leaves nothing that has one."""
        middle = self.transformation.means(self.selection.means(given, self.constants[0]), self.constants[1])
        if self.needs_item and not len(middle):
            return None
        return self.answer.means(middle, 0)


def _hashed(seed: int, text: str) -> float:
    """A number in [0, 1) that depends on ``text`` alone."""
    return int(hashlib.sha256(f"{seed} {text}".encode()).hexdigest()[:12], 16) / 16**12


def _compositions(seed: int) -> list[OneLine]:
    lines: list[OneLine] = []
    for domain in (NUMBERS, TEXTS):
        for selection, transformation, (answer, result, needs) in itertools.product(
            domain.selections, domain.transformations, domain.answers
        ):
            rng = Random(f"constants {seed} {domain.name} {selection.name} {transformation.name} {answer.name}")
            constants = (rng.choice(domain.constants), rng.choice(domain.constants))
            lines.append(OneLine(domain, selection, transformation, answer, result, needs, constants))
    return lines


def _probes(domain: Domain) -> list[Any]:
    rng = Random(f"probes {domain.name}")
    return [domain.draw(rng) for _ in range(PROBES)]


def _different(lines: Sequence[OneLine]) -> list[OneLine]:
    """Those that compute something of their own on many inputs, the simplest of those that agree."""
    probes = {domain.name: _probes(domain) for domain in (NUMBERS, TEXTS)}
    kept: dict[str, OneLine] = {}
    for line in sorted(lines, key=lambda line: len(line.code())):
        values = [line.value(given) for given in probes[line.domain.name]]
        if len({repr(value) for value in values}) > 2 or line.result == "b":
            kept.setdefault(f"{line.domain.name} {values!r}", line)
    return sorted(kept.values(), key=lambda line: line.name)


def _split(line: OneLine, seed: int) -> tuple[str, bool]:
    """The split of a composition, and whether its pair of transformation and answer is kept out of training."""
    if _hashed(seed, "pair " + line.pair) < PAIRS_HELD_OUT:
        return "test", True
    place, below = _hashed(seed, "composition " + line.name), 0.0
    for split, share in SHARES:
        below += share
        if place < below:
            return split, False
    return "test", False


def _tests(line: OneLine, seed: int, use: Use) -> tuple[CallTest, ...]:
    """Tests of a use; the inputs of the two uses are distinct. Rare answers come first, so that constants fail."""
    rng = Random(f"tests {seed} {line.name}")
    found: dict[str, str] = {}
    while len(found) < 6 * TESTS:
        given = line.domain.draw(rng)
        value = line.value(given)
        if value is not None:
            found.setdefault(qtext.write(given, line.domain.kind), qtext.write(value, line.result))
    pairs = list(found.items())
    mine = pairs[::2] if use == "reward" else pairs[1::2]
    times: dict[str, int] = {}
    chosen: list[CallTest] = []
    while len(chosen) < TESTS:
        best = min(mine, key=lambda pair: times.get(pair[1], 0))
        mine.remove(best)
        times[best[1]] = times.get(best[1], 0) + 1
        chosen.append(CallTest((best[0],), best[1]))
    return tuple(chosen)


def generate(seed: int = 0, use: Use = "reward") -> list[Problem]:
    """All one-liners, in order of their names. ``use`` chooses the inputs of their tests: for the reward of training, or for
    evaluation; they never share an input of the same problem."""
    if use not in ("reward", "evaluation"):
        raise ValueError(f"use {use!r}: expected reward or evaluation")
    problems: list[Problem] = []
    for line in _different(_compositions(seed)):
        split, unseen = _split(line, seed)
        problems.append(
            Problem(
                id=f"onelines/{line.name}",
                description=line.words(),
                entry_point="solve",
                language="q",
                tests=_tests(line, seed, use),
                references=(line.code(),),
                tags=(line.domain.name, line.selection.name, line.transformation.name, line.answer.name)
                + (("unseen-pair",) if unseen else ()),
                split=split,
                source=f"trimtab onelines, seed {seed}",
            )
        )
    return problems
