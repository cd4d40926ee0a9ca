"""How do the sources in ``families/`` become the shipped file ``problems.jsonl``? The same bytes each time.

Expected values come from the gold functions in Python, so that the q references are checked against an independent
implementation. Splits go by composition: all problems of the same two families (in either order) lie in one split.
"""

from __future__ import annotations

import hashlib
import importlib
import json
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any

from trimtab.qcode.engine.protocol import CallTest
from trimtab.qcode.problems import format as layout
from trimtab.qcode.problems import qtext
from trimtab.qcode.problems.draws import values_of
from trimtab.qcode.problems.families import FAMILIES
from trimtab.qcode.problems.format import Problem
from trimtab.qcode.problems.source import Source

SHIPPED = Path(__file__).with_name("problems.jsonl")
VISIBLE, HIDDEN = 3, 10
DRAWN = 200
SHARES = {"train": 0.6, "validation": 0.12, "test": 0.28}


def sources() -> list[tuple[str, Source]]:
    """All sources with their family. Raises ValueError where a name is taken twice or a family is not known."""
    found: list[tuple[str, Source]] = []
    names: set[str] = set()
    for family in FAMILIES:
        for source in importlib.import_module(f"{__package__}.families.{family}").PROBLEMS:
            if source.name in names:
                raise ValueError(f"problem {source.name!r} of family {family}: the name is taken, give another")
            if source.touches not in FAMILIES:
                raise ValueError(
                    f"problem {source.name!r}: {source.touches!r} is no family, expected one of {FAMILIES}"
                )
            names.add(source.name)
            found.append((family, source))
    return found


def _call(source: Source, values: Sequence[Any], hidden: bool) -> CallTest:
    arguments = tuple(qtext.write(value, kind) for value, kind in zip(values, source.types, strict=True))
    return CallTest(arguments, qtext.write(source.gold(*values), source.result), hidden=hidden)


def _distinct(tests: Sequence[CallTest]) -> list[CallTest]:
    return list({test.arguments: test for test in tests}.values())


def _spread(tests: Sequence[CallTest], count: int, seen: Sequence[CallTest] = ()) -> list[CallTest]:
    """``count`` tests, those whose expected value is rare among the chosen first: a constant answer fails most of them."""
    times: dict[str, int] = defaultdict(int)
    for test in seen:
        times[test.expected] += 1
    chosen: list[CallTest] = []
    left = list(tests)
    while left and len(chosen) < count:
        best = min(range(len(left)), key=lambda position: times[left[position].expected])
        times[left[best].expected] += 1
        chosen.append(left.pop(best))
    return chosen


def tests_of(source: Source) -> tuple[CallTest, ...]:
    """Visible tests first, none of them hidden too. Named edges are hidden, as far as there are arguments enough."""
    rng = Random(f"tests of {source.name}")
    edges = _distinct([_call(source, values, True) for values in source.edges])
    taken = {test.arguments for test in edges}
    drawn = _distinct([_call(source, values_of(source.draws, rng), True) for _ in range(DRAWN)])
    drawn = [test for test in drawn if test.arguments not in taken]
    hidden = edges + _spread(drawn, max(HIDDEN - len(edges), 4), edges)
    taken |= {test.arguments for test in hidden}
    shown = _spread([test for test in drawn if test.arguments not in taken], VISIBLE)
    while len(shown) < 2:  # few arguments exist: the last of the hidden tests is shown instead
        shown.append(hidden.pop())
    return (*(CallTest(test.arguments, test.expected, hidden=False) for test in shown), *hidden)


def composition(family: str, touches: str) -> str:
    """The name of a pair of families, whichever is the main one."""
    return "+".join(sorted({family, touches}))


def _order(name: str) -> str:
    return hashlib.sha256(f"split {name}".encode()).hexdigest()


def splits(sizes: dict[str, int]) -> dict[str, str]:
    """A split for each composition, given how many problems it has: always the split that lacks most of its share."""
    total = sum(sizes.values())
    lacking = {name: share * total for name, share in SHARES.items()}
    chosen: dict[str, str] = {}
    for name in sorted(sizes, key=lambda name: (-sizes[name], _order(name))):
        split = max(lacking, key=lambda split: lacking[split] / SHARES[split])
        chosen[name] = split
        lacking[split] -= sizes[name]
    return chosen


def build() -> list[Problem]:
    """The shipped problems, by family."""
    found = sources()
    sizes: dict[str, int] = defaultdict(int)
    for family, source in found:
        sizes[composition(family, source.touches)] += 1
    split = splits(sizes)
    return [
        Problem(
            id=f"{family}/{source.name}",
            description=source.description(),
            entry_point="solve",
            language="q",
            tests=tests_of(source),
            references=(source.code(),),
            generator=tuple(json.loads(json.dumps(draw)) for draw in source.draws),
            tags=tuple(dict.fromkeys((family, source.touches))),
            split=split[composition(family, source.touches)],
            source="trimtab",
        )
        for family, source in found
    ]


def shipped() -> list[Problem]:
    """The problems that come with the package."""
    return layout.read(SHIPPED)
