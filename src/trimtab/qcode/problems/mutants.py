"""How is a right q program made slightly wrong? One token at a time: do the tests of a problem notice?"""

from __future__ import annotations

import re
from collections.abc import Iterator
from random import Random

from trimtab.qcode.engine.protocol import CallTest
from trimtab.qcode.problems.format import Problem

_TOKENS = re.compile(
    r"""(?P<string>"(?:[^"\\]|\\.)*")
      | (?P<symbol>`[\w.:]*)
      | (?P<number>(?<![\w.)\]}])-?\d[\w.:]*|\d[\w.:]*|\.\d+)
      | (?P<name>\.?[A-Za-z][\w.]*)
      | (?P<each>/:|\\:|':|[/\\'](?=[\[;({\w`"\s-]))
      | (?P<operator><>|<=|>=|[-+*%&|<>=~,#_^!?@$.])
      | (?P<rest>\s+|.)""",
    re.VERBOSE | re.DOTALL,
)

_OPERATORS = {
    "+": "-", "-": "+", "*": "+", "%": "*", "&": "|", "|": "&", "<": ">=", ">": "<=", "<=": "<", ">=": ">", "=": "<>",
    "<>": "=", "#": "_", "_": "#", "^": ",", "~": "<>",
}  # fmt: skip
_NAMES = {
    "max": "min", "min": "max", "maxs": "mins", "mins": "maxs", "first": "last", "last": "first", "asc": "desc",
    "desc": "asc", "iasc": "idesc", "idesc": "iasc", "xasc": "xdesc", "xdesc": "xasc", "any": "all", "all": "any",
    "sum": "max", "sums": "maxs", "prd": "sum", "prds": "sums", "avg": "med", "med": "avg", "floor": "ceiling",
    "ceiling": "floor", "upper": "lower", "lower": "upper", "prev": "next", "next": "prev", "mmax": "mmin",
    "mmin": "mmax", "mavg": "mmax", "div": "mod", "mod": "div", "except": "inter", "inter": "except", "union": "inter",
    "bin": "binr", "lj": "ij", "ij": "lj", "deltas": "sums", "ratios": "prds", "dev": "var", "var": "dev",
}  # fmt: skip
_DROPPED = {
    "reverse",
    "distinct",
    "not",
    "abs",
    "neg",
    "asc",
    "desc",
    "each",
    "enlist",
    "fills",
    "signum",
    "trim",
    "raze",
}
_EACH = {"/:": "\\:", "\\:": "/:", "/": "\\", "\\": "/", "'": "", "':": "'"}


def _constants(text: str) -> list[str]:
    if re.fullmatch(r"-?\d+", text):
        return [str(int(text) + 1), str(int(text) - 1)]
    if re.fullmatch(r"[01]b", text):
        return ["1b" if text == "0b" else "0b"]
    if re.fullmatch(r"-?\d*\.\d+", text):
        return [str(float(text) * 2)]
    return []


def _instead(kind: str, text: str) -> Iterator[str]:
    """What may stand in place of a token."""
    if kind == "operator" and text in _OPERATORS:
        yield _OPERATORS[text]
    elif kind == "number":
        yield from _constants(text)
    elif kind == "each":
        yield _EACH[text]
    elif kind == "name":
        if text in _NAMES:
            yield _NAMES[text]
        if text in _DROPPED:
            yield ""


def tokens(code: str) -> list[tuple[str, str]]:
    """The tokens of a q program with their kinds; joined they give it back."""
    return [(match.lastgroup or "rest", match.group()) for match in _TOKENS.finditer(code)]


def of_code(code: str) -> list[str]:
    """All programs that differ from ``code`` in one token, in order, without repeats."""
    parts = tokens(code)
    head = next((place + 1 for place, (_, text) in enumerate(parts) if text == "]"), 0)  # the parameters stay
    found: dict[str, None] = {}
    for place, (kind, text) in enumerate(parts):
        if place < head:
            continue
        for other in _instead(kind, text):
            mutant = (
                "".join(piece for _, piece in parts[:place]) + other + "".join(piece for _, piece in parts[place + 1 :])
            )
            found.setdefault(mutant)
    return [mutant for mutant in found if mutant != code]


def constants(problem: Problem) -> list[str]:
    """Programs that answer the same whatever is asked: one for each expected value of the visible tests."""
    values = dict.fromkeys(test.expected for test in problem.visible if isinstance(test, CallTest))
    arity = next((len(test.arguments) for test in problem.tests if isinstance(test, CallTest)), 1)
    names = ";".join(f"a{place}" for place in range(arity))
    return [f"{problem.entry_point}:{{[{names}] {value}}}" for value in values]


def of_problem(problem: Problem, most: int, seed: int = 0) -> list[str]:
    """At most ``most`` wrong programs drawn from the reference's mutants, and the constant answers. Only for q."""
    if problem.language != "q" or not problem.references:
        return []
    mutants = of_code(problem.references[0])
    if len(mutants) > most:
        mutants = Random(f"mutants {seed} {problem.id}").sample(mutants, most)
    return mutants + constants(problem)
