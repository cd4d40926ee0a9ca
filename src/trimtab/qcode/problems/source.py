"""How is a problem of the shipped set written down? Compactly: one ``problem(...)`` each, in ``families/``.

The signature names arguments and types (``nums:J k:j -> j``; types as in qtext.py). The reference is the body of the q
function; the gold function computes the expected values in Python, independently of q.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from trimtab.qcode.problems import qtext

Draws = dict[str, Any]

KEYWORDS = """
abs acos aj all and any asc asin asof atan attr avg avgs bin binr by ceiling cols cor cos count cov cross csv
cut delete deltas desc dev differ distinct div do each ej ema enlist eval except exec exit exp fby fills first
fkeys flip floor from get getenv group gtime hclose hcount hdel hopen hsym iasc idesc if ij in insert inter
inv key keys last like lj load log lower lsq ltime ltrim mavg max maxs mcount md5 mdev med meta min mins mmax
mmin mmu mod msum neg next not null or over parse peach pj prd prds prev prior rand rank ratios raze read0
read1 reciprocal reval reverse rload rotate rsave rtrim save scan scov sdev select set setenv show signum sin
sqrt ss ssr string sublist sum sums sv svar system tables tan til trim type uj ungroup union update upper
upsert value var view views vs wavg where while within wj wsum xasc xbar xcol xcols xdesc xexp xgroup xkey
xlog xprev xrank
"""
RESERVED = frozenset(KEYWORDS.split())
"""Words of q: no argument may have such a name."""


@dataclass(frozen=True)
class Source:
    """A problem before it is built."""

    name: str
    touches: str
    """The second family that it composes with."""
    names: tuple[str, ...]
    types: tuple[str, ...]
    result: str
    text: str
    reference: str
    gold: Callable[..., Any]
    draws: tuple[Draws, ...]
    edges: tuple[tuple[Any, ...], ...]

    def description(self) -> str:
        """The text, and the signature in words."""
        takes = [f"{name} ({qtext.spoken(kind)})" for name, kind in zip(self.names, self.types, strict=True)]
        call = f"solve[{'; '.join(self.names)}]"
        returns = qtext.spoken(self.result)
        return f"{self.text}\n\nWrite the q function {call}. Takes: {', '.join(takes)}. Returns: {returns}."

    def code(self) -> str:
        """The reference as a q program."""
        return f"solve:{{[{';'.join(self.names)}] {self.reference}}}"


def plain_draw(kind: str) -> Draws:
    """What is drawn for a type where the problem says nothing."""
    if kind.startswith("+"):
        types, _ = qtext.columns(kind)
        return {"type": kind, "columns": {name: plain_draw(of) for name, of in types.items()}}
    if "!" in kind:
        keys, values = kind.split("!")
        return {"type": kind, "keys": {"type": keys, "most": 5}, "values": plain_draw(values)}
    return {"type": kind}


def _merged(kind: str, given: Draws) -> Draws:
    """The plain draw of a type with what the problem says; a column's or side's draw is merged in turn."""
    draw = {**plain_draw(kind), **given}
    if "columns" in draw:
        types, _ = qtext.columns(kind)
        draw["columns"] = {name: {"type": of, **given.get("columns", {}).get(name, {})} for name, of in types.items()}
    if "keys" in draw:
        for side, of in zip(("keys", "values"), kind.split("!"), strict=True):
            draw[side] = {**plain_draw(kind)[side], "type": of, **given.get(side, {})}
    return draw


def problem(
    name: str,
    touches: str,
    signature: str,
    text: str,
    reference: str,
    gold: Callable[..., Any],
    *draws: Draws | None,
    edges: Sequence[tuple[Any, ...]] = (),
) -> Source:
    """One problem; ``draws`` say what to draw for the arguments in order, ``edges`` are calls that must be tested."""
    takes, _, result = signature.partition(" -> ")
    pairs = [part.partition(":")[::2] for part in takes.split(" ")]
    given = [*draws, *[None] * (len(pairs) - len(draws))]
    merged = tuple(_merged(kind, draw or {}) for (_, kind), draw in zip(pairs, given, strict=True))
    names, types = tuple(name for name, _ in pairs), tuple(kind for _, kind in pairs)
    taken = next((argument for argument in names if argument in RESERVED), None)
    if taken:
        raise ValueError(f"problem {name!r}: its argument {taken!r} has the name of a keyword of q, give another")
    return Source(name, touches, names, types, result, text, reference, gold, merged, tuple(edges))


def draw(**options: Any) -> Draws:
    """How one argument is drawn (see draws.py); its type comes from the signature."""
    return options
