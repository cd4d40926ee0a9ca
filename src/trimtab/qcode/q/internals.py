"""What do the internal functions do, those of negative numbers before ``!``? Only what needs nothing from outside."""

from __future__ import annotations

from collections.abc import Callable

from trimtab.qcode.q import formats, serial
from trimtab.qcode.q.casts import cast_raw
from trimtab.qcode.q.errors import QError
from trimtab.qcode.q.lexer import tokens
from trimtab.qcode.q.listops import whole
from trimtab.qcode.q.lists import as_list, collect, items
from trimtab.qcode.q.operators import eval_, parse, printed
from trimtab.qcode.q.patterns import data_of
from trimtab.qcode.q.registry import PRIMS
from trimtab.qcode.q.values import (
    ATOMS,
    CHAR,
    EMPTY,
    FLOAT,
    INT,
    Atom,
    Q,
    Table,
    Vec,
    chars,
    text_of,
    vec,
)


def fixed(y: Q) -> Q:
    """``-27!(places;x)``: numbers as texts with so many decimal places."""
    if type(y) is not Vec or len(y) != 2:
        raise QError("rank")
    places, x = items(y)
    if type(x) in ATOMS:
        return chars(f"{cast_raw(FLOAT, x):.{min(max(whole(places), 0), 30)}f}")
    return collect([fixed(Vec(0, [places, v])) for v in items(as_list(x))])


def tokenized(y: Q) -> Q:
    """``-4!x``: the tokens of a text as strings; runs of blanks are tokens too."""
    text = text_of(y)
    out: list[Q] = []
    end = 0
    for token in tokens(text):
        if token.start > end:
            out.append(chars(text[end : token.start]))
        out.append(chars(token.text))
        end = token.start + len(token.text)
    return Vec(0, [*out, chars(text[end:])] if end < len(text) else out)


def escaped(y: Q) -> Q:
    """``-14!x``: a text for a field of a CSV file, in quotes with its own doubled."""
    return chars('"' + data_of(y).decode("utf-8", "surrogateescape").replace('"', '""') + '"')


def length(y: Q) -> Q:
    """``-22!x``: how many bytes ``-8!x`` has."""
    return len(serial.serialized(y))


def connections(_: Q) -> Q:
    """``-38!x``: the open connections, of which there are none."""
    return Table(["p", "f"], [vec(CHAR, []), vec(CHAR, [])])


def _of(name: str) -> Callable[[Q], Q]:
    return lambda y: PRIMS[name].fns[1](y)


INTERNAL: dict[int, Callable[[Q], Q]] = {
    -(2**63): printed,
    -1: _of("hsym"),
    -2: _of("attr"),
    -3: lambda y: chars(formats.one_line(y)),
    -4: tokenized,
    -5: parse,
    -6: eval_,
    -8: serial.bytes_of,
    -9: serial.value_of,
    -13: _of(".Q.addr"),
    -14: escaped,
    -15: _of("md5"),
    -16: lambda y: Atom(INT, 1),
    -18: serial.compressed_bytes,
    -20: lambda y: 0,
    -22: length,
    -23: lambda y: y,
    -24: _of("reval"),
    -26: lambda y: EMPTY,
    -27: fixed,
    -29: _of(".j.k"),
    -31: _of(".j.j"),
    -33: _of(".Q.sha1"),
    -36: lambda y: False,
    -38: connections,
    -120: lambda y: 0,
}
"""By number. ``-16!`` (references) and ``-120!`` (memory domain) answer as for a value held once, in domain 0."""
