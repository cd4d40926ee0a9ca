"""Which functions of ``.h`` make or read markup? Tags, escapes, URIs, JSON-less text for browsers."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import unquote_to_bytes

from trimtab.qcode.q import calendar, variables
from trimtab.qcode.q.errors import QError
from trimtab.qcode.q.lists import as_list, items
from trimtab.qcode.q.patterns import data_of
from trimtab.qcode.q.registry import PRIMS, function
from trimtab.qcode.q.state import State, current
from trimtab.qcode.q.values import DATE, INT, LONG, TIMESTAMP, Dict, Q, Table, Vec, chars, is_string, qtype, raw
from trimtab.qcode.q.variables import SPECIAL

SAFE_TEXT = "$-.+!*'(),abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789"
"""Characters that URIs take as they are."""
_SAFE = frozenset(SAFE_TEXT.encode())


def text_line(x: Q) -> str:
    """A string, or a symbol's name."""
    return x if type(x) is str else data_of(x).decode("utf-8", "surrogateescape")


def text_lines(x: Q) -> list[str]:
    if is_string(x) or type(x) is str:
        return [text_line(x)]
    return [text_line(v) for v in items(as_list(x))]


def _attributes(x: Q) -> str:
    if type(x) is not Dict or type(x.k) is not Vec or type(x.v) is not Vec:
        raise QError("type")
    return "".join([f' {text_line(k)}="{as_text(v)}"' for k, v in zip(items(x.k), items(x.v), strict=True)])


def as_text(v: Q) -> str:
    return text_line(v) if is_string(v) or type(v) is str else text_line(PRIMS["string"].fns[1](v))


@function(".h.htc", 2)
def htc(tag: Q, x: Q) -> Q:
    """``<tag>text</tag>``."""
    return chars(f"<{text_line(tag)}>{text_line(x)}</{text_line(tag)}>")


@function(".h.hta", 2)
def hta(tag: Q, x: Q) -> Q:
    """``<tag a="b">`` from a dictionary of attributes."""
    return chars(f"<{text_line(tag)}{_attributes(x)}>")


@function(".h.htac", 3)
def htac(tag: Q, x: Q, y: Q) -> Q:
    """``<tag a="b">text</tag>``."""
    return chars(f"<{text_line(tag)}{_attributes(x)}>{text_line(y)}</{text_line(tag)}>")


def _anchor(target: str) -> Callable[[Q, Q], Q]:
    def f(x: Q, y: Q) -> Q:
        address = x if type(x) is str else f'"{text_line(x)}"'
        return chars(f"<a{target} href={address}>{text_line(y)}</a>")

    return f


function(".h.ha", 2)(_anchor(""))
function(".h.hb", 2)(_anchor(" target=v"))


def _replacing(pairs: dict[str, str]) -> Callable[[Q], Q]:
    def f(x: Q) -> Q:
        return chars("".join([pairs.get(c, c) for c in text_line(x)]))

    return f


function(".h.hc", 1)(_replacing({"<": "&lt;"}))
function(".h.xs", 1)(_replacing({"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&apos;"}))


@function(".h.hr", 1)
def hr(x: Q) -> Q:
    """As many hyphens as a text has characters."""
    return chars("-" * len(text_line(x)))


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
    return chars("<pre>" + "".join([line + "\n" for line in text_lines(x)]) + "</pre>")


@function(".h.text", 1)
def text(x: Q) -> Q:
    """Lines as paragraphs."""
    return chars("".join([f"<p>{line}</p>\n" for line in text_lines(x)]))


@function(".h.code", 1)
def code(x: Q) -> Q:
    """A text with tabs: what stands between the first and the second, the third and the fourth, ... is code."""
    first, *rest = text_line(x).split("\t")
    parts = [f"<code><nobr>{part}</nobr></code>" if i % 2 == 0 else part for i, part in enumerate(rest)]
    return chars(" ".join([first, *parts]))


@function(".h.iso8601", 1)
def iso8601(x: Q) -> Q:
    """A timestamp in ISO 8601."""
    if qtype(x) not in (-TIMESTAMP, -DATE, -INT, -LONG):
        raise QError("type")
    moment = raw(x) * calendar.NANOSECONDS_PER_DAY if qtype(x) == -DATE else raw(x)
    return chars(calendar.timestamp_text(moment).replace(".", "-", 2).replace("D", "T"))


def plain_table(x: Q) -> Table:
    if type(x) is Table:
        return x
    if type(x) is Dict and type(x.k) is Table and type(x.v) is Table:
        return Table([*x.k.names, *x.v.names], [*x.k.cols, *x.v.cols])
    raise QError("type")


def _separated(mark: str) -> Callable[[Q], Q]:
    def f(x: Q) -> Q:
        flat = _flat_columns(plain_table(x)) if type(x) in (Table, Dict) else x
        return PRIMS["0:"].fns[2](PRIMS["first"].fns[1](chars(mark)), flat)

    return f


def _flat_columns(x: Table) -> Table:
    """A table whose nested cells are texts: their items with ``.h.d`` between them."""
    if all(c.t for c in x.cols):
        return x
    between = text_line(variables.lookup(current(), ".h.d"))
    return Table(x.names, [c if c.t else Vec(0, [chars(_joined(v, between)) for v in items(c)]) for c in x.cols])


def _joined(x: Q, between: str) -> str:
    return between.join([as_text(v) for v in items(x)]) if type(x) is Vec else as_text(x)


function(".h.cd", 1)(_separated(","))
function(".h.td", 1)(_separated("\t"))


@function(".h.xd", 1)
def xd(x: Q) -> Q:
    """A table as XML."""
    table = plain_table(x)
    out = ["<R>"]
    for i in range(len(table)):
        cells = [(n, as_text(items(c)[i])) for n, c in zip(table.names, table.cols, strict=True)]
        out.append("<r>" + "".join([f"<{n}>{v}</{n}>" for n, v in cells]) + "</r>")
    return Vec(0, [chars(line) for line in [*out, "</R>"]])


def _constant(name: str, value: str) -> None:
    def look(_: State) -> Q:
        return chars(value)

    SPECIAL[name] = look


_constant(".h.br", "<br>")
_constant(".h.d", " ")
SPECIAL[".h.c0"] = lambda _: "024C7E"
SPECIAL[".h.c1"] = lambda _: "958600"
