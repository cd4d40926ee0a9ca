"""Which functions of ``.h`` make or read markup? Tags, escapes, URIs, JSON-less text for browsers."""

from __future__ import annotations

import re
from collections.abc import Callable
from urllib.parse import unquote_to_bytes

from trimtab.qcode.q import calendar
from trimtab.qcode.q.errors import QError
from trimtab.qcode.q.lists import as_list, items
from trimtab.qcode.q.patterns import data_of
from trimtab.qcode.q.registry import PRIMS, function
from trimtab.qcode.q.state import State
from trimtab.qcode.q.values import DATE, TIMESTAMP, Dict, Q, Table, Vec, chars, is_string, qtype, raw
from trimtab.qcode.q.variables import SPECIAL

_SAFE = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789$-.+!*'(),_")


def _text(x: Q) -> str:
    """A string, or a symbol's name."""
    return x if type(x) is str else data_of(x).decode("utf-8", "surrogateescape")


def _lines(x: Q) -> list[str]:
    if is_string(x) or type(x) is str:
        return [_text(x)]
    return [_text(v) for v in items(as_list(x))]


def _attributes(x: Q) -> str:
    if type(x) is not Dict or type(x.k) is not Vec or type(x.v) is not Vec:
        raise QError("type")
    return "".join([f' {_text(k)}="{_escaped(v)}"' for k, v in zip(items(x.k), items(x.v), strict=True)])


def _escaped(v: Q) -> str:
    return _text(v) if is_string(v) or type(v) is str else _text(PRIMS["string"].fns[1](v))


@function(".h.htc", 2)
def htc(tag: Q, x: Q) -> Q:
    """``<tag>text</tag>``."""
    return chars(f"<{_text(tag)}>{_text(x)}</{_text(tag)}>")


@function(".h.hta", 2)
def hta(tag: Q, x: Q) -> Q:
    """``<tag a="b">`` from a dictionary of attributes."""
    return chars(f"<{_text(tag)}{_attributes(x)}>")


@function(".h.htac", 3)
def htac(tag: Q, x: Q, y: Q) -> Q:
    """``<tag a="b">text</tag>``."""
    return chars(f"<{_text(tag)}{_attributes(x)}>{_text(y)}</{_text(tag)}>")


def _anchor(target: str) -> Callable[[Q, Q], Q]:
    def f(x: Q, y: Q) -> Q:
        address = x if type(x) is str else f'"{_text(x)}"'
        return chars(f"<a{target} href={address}>{_text(y)}</a>")

    return f


function(".h.ha", 2)(_anchor(""))
function(".h.hb", 2)(_anchor(" target=v"))


def _replacing(pairs: dict[str, str]) -> Callable[[Q], Q]:
    def f(x: Q) -> Q:
        return chars("".join([pairs.get(c, c) for c in _text(x)]))

    return f


function(".h.hc", 1)(_replacing({"<": "&lt;"}))
function(".h.xs", 1)(_replacing({"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&apos;"}))


@function(".h.hr", 1)
def hr(x: Q) -> Q:
    """As many hyphens as a text has characters."""
    return chars("-" * len(_text(x)))


@function(".h.nbr", 1)
def nbr(x: Q) -> Q:
    """A text that is not broken into lines."""
    return htc("nobr", x)


@function(".h.hu", 1)
def hu(x: Q) -> Q:
    """A text with what URIs refuse as ``%xx``."""
    return chars("".join([chr(c) if c in _SAFE else f"%{c:02x}" for c in data_of(x)]))


@function(".h.uh", 1)
def uh(x: Q) -> Q:
    """A text without ``%xx`` escapes."""
    return chars(unquote_to_bytes(data_of(x)))


@function(".h.pre", 1)
def pre(x: Q) -> Q:
    """Lines as preformatted text."""
    return chars("<pre>" + "".join([line + "\n" for line in _lines(x)]) + "</pre>")


@function(".h.text", 1)
def text(x: Q) -> Q:
    """Lines as paragraphs."""
    return chars("".join([f"<p>{line}</p>\n" for line in _lines(x)]))


@function(".h.code", 1)
def code(x: Q) -> Q:
    """A text whose backquoted words stand in ``code`` tags."""
    return chars(re.sub(r"(`\S+)", r"<code>\1</code>", _text(x)))


@function(".h.iso8601", 1)
def iso8601(x: Q) -> Q:
    """A timestamp in ISO 8601."""
    if qtype(x) not in (-TIMESTAMP, -DATE):
        raise QError("type")
    moment = raw(x) if qtype(x) == -TIMESTAMP else raw(x) * calendar.NANOSECONDS_PER_DAY
    return chars(calendar.timestamp_text(moment).replace(".", "-", 2).replace("D", "T"))


def _table(x: Q) -> Table:
    if type(x) is Table:
        return x
    if type(x) is Dict and type(x.k) is Table and type(x.v) is Table:
        return Table([*x.k.names, *x.v.names], [*x.k.cols, *x.v.cols])
    raise QError("type")


def _separated(mark: str) -> Callable[[Q], Q]:
    def f(x: Q) -> Q:
        return PRIMS["0:"].fns[2](PRIMS["first"].fns[1](chars(mark)), _table(x))

    return f


function(".h.cd", 1)(_separated(","))
function(".h.td", 1)(_separated("\t"))


@function(".h.xd", 1)
def xd(x: Q) -> Q:
    """A table as XML."""
    table = _table(x)
    out = ["<R>"]
    for i in range(len(table)):
        cells = [(n, _escaped(items(c)[i])) for n, c in zip(table.names, table.cols, strict=True)]
        out.append("<r>" + "".join([f"<{n}>{v}</{n}>" for n, v in cells]) + "</r>")
    return Vec(0, [chars(line) for line in [*out, "</R>"]])


def _constant(name: str, value: str) -> None:
    def look(_: State) -> Q:
        return chars(value)

    SPECIAL[name] = look


_constant(".h.br", "<br>")
_constant(".h.c0", "024C7E")
_constant(".h.c1", "958600")
