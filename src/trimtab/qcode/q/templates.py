"""How do qSQL templates and table literals become trees of the functional forms?

``select``, ``exec``: ``(?;t;where;by;columns)``; ``update``, ``delete``: ``(!;t;where;by;columns)``, as ``parse``
shows them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from trimtab.qcode.q.errors import QError
from trimtab.qcode.q.lists import collect, enlist
from trimtab.qcode.q.registry import PRIMS
from trimtab.qcode.q.values import ELIDED, EMPTY, SYM, Dict, Q, Vec, empty, syms

if TYPE_CHECKING:
    from trimtab.qcode.q.parser import Parser


class TemplateTree(Vec):
    """The tree of a template: its phrases may name local variables of the lambda that holds it."""

    __slots__ = ()


def template(parser: Parser, verb: str) -> Q:
    """The tree of a template whose verb has been read."""
    extra = _options(parser) if verb == "select" else []
    distinct = verb in ("select", "exec") and parser.tokens[parser.i].text == "distinct"
    if distinct and verb == "select":
        parser.i += 1
    columns = _phrases(parser, frozenset(("by", "from", ",")))
    grouping: list[tuple[str, Q]] | None = None
    if parser.tokens[parser.i].text == "by":
        parser.i += 1
        grouping = _phrases(parser, frozenset(("from", ",")))
    if parser.tokens[parser.i].text != "from":
        raise QError("from")
    parser.i += 1
    source = _clause(parser, frozenset(("where", ",")) | parser.stops)
    where: Q = EMPTY
    if parser.tokens[parser.i].text == "where" and parser.tokens[parser.i].kind == "name":
        parser.i += 1
        where = Vec(0, [Vec(0, [t for _, t in _phrases(parser, frozenset((",",)))])])
    if verb == "delete":
        return _delete(source, where, columns)
    cols = _exec_columns(columns) if verb == "exec" else _named(columns)
    by = _by(grouping, verb, distinct and verb == "select")
    head = PRIMS["!"] if verb == "update" else PRIMS["?"]
    return TemplateTree(0, [head, source, where, by, cols, *extra])


def _delete(source: Q, where: Q, columns: list[tuple[str, Q]]) -> Q:
    names: Q = empty(SYM)
    if columns:
        names = Vec(0, [syms([t if type(t) is str else n for n, t in columns])])
    return TemplateTree(0, [PRIMS["!"], source, where, False, names])


def _clause(parser: Parser, stops: frozenset[str]) -> Q:
    before, parser.stops = parser.stops, stops
    out = parser.expression()
    parser.stops = before
    return out


def _options(parser: Parser) -> list[Q]:
    """``select[n]``, ``select[n;>column]``: how many rows, and the order."""
    if parser.tokens[parser.i].kind != "[":
        return []
    parser.i += 1
    out: list[Q] = []
    if parser.tokens[parser.i].text not in ("<", ">"):
        out.append(_clause(parser, frozenset()))
        if parser.tokens[parser.i].kind == ";":
            parser.i += 1
    if parser.tokens[parser.i].text in ("<", ">"):
        order = PRIMS[parser.tokens[parser.i].text + "::"]
        parser.i += 1
        column = _clause(parser, frozenset())
        out = out or [2**63 - 1]
        out.append(Vec(0, [Vec(0, [order, column])]))
    if parser.tokens[parser.i].kind != "]":
        raise QError("]")
    parser.i += 1
    return out


def _phrases(parser: Parser, stops: frozenset[str]) -> list[tuple[str, Q]]:
    """Phrases between commas, each with its given name (empty where none)."""
    out: list[tuple[str, Q]] = []
    if parser.tokens[parser.i].text in stops or parser.ended():
        return out
    while True:
        name = ""
        first, second = parser.tokens[parser.i], parser.tokens[min(parser.i + 1, len(parser.tokens) - 1)]
        if first.kind == "name" and second.text == ":" and second.kind == "op":
            name = first.text
            parser.i += 2
        phrase = _clause(parser, stops)
        if phrase is ELIDED:
            raise QError("parse")
        out.append((name, phrase))
        if parser.tokens[parser.i].text != "," or parser.tokens[parser.i].kind != "op":
            return out
        parser.i += 1


def column_name(tree: Q) -> str:
    """The name that a phrase gets: of the last column in it; ``x`` where there is none."""
    found = _last_name(tree)
    name = found.split(".")[-1] if found else ""
    return "x" if name in ("", "i") else name


def _last_name(tree: Q) -> str:
    if type(tree) is str:
        return tree
    if isinstance(tree, Vec) and tree.t == 0 and len(tree) > 2 and isinstance(tree.a[-1], Vec) and tree.a[-1].t == SYM:
        return ""
    if isinstance(tree, Vec) and tree.t == 0 and len(tree) > 1:
        for part in reversed(tree.a):
            name = _last_name(part)
            if name:
                return name
    return ""


def _named(columns: list[tuple[str, Q]]) -> Q:
    """A dictionary of phrases by name; the empty list where there is none."""
    if not columns:
        return EMPTY
    names: list[str] = []
    for name, phrase in columns:
        base = name or column_name(phrase)
        unique, n = base, 0
        while unique in names:
            n += 1
            unique = f"{base}{n}"
        names.append(unique)
    phrases = collect([phrase for _, phrase in columns])
    return Dict(
        syms(names), phrases if type(phrases) is Vec and phrases.t in (0, SYM) else Vec(0, [p for _, p in columns])
    )


def _exec_columns(columns: list[tuple[str, Q]]) -> Q:
    if len(columns) == 1 and not columns[0][0]:
        return enlist(columns[0][1])
    return _named(columns)


def _by(grouping: list[tuple[str, Q]] | None, verb: str, distinct: bool) -> Q:
    if distinct and not grouping:
        return True
    if not grouping:
        return EMPTY if verb == "exec" else False
    if verb == "exec" and len(grouping) == 1 and not grouping[0][0]:
        return enlist(grouping[0][1])
    return _named(grouping)


def table_literal(parser: Parser) -> Q:
    """The tree of ``([k:..] a:..; b:..)``; the opening parenthesis has been read, the bracket not."""
    parser.i += 1
    keys = _fields(parser, "]")
    columns = _fields(parser, ")")
    if not columns and not keys:
        raise QError("parse")
    flipped = Vec(0, [PRIMS["flip"], _dict_tree(columns)]) if columns else None
    if not keys:
        assert flipped is not None
        return flipped
    if flipped is None:
        return _dict_tree(keys)
    return Vec(0, [PRIMS["!"], Vec(0, [PRIMS["flip"], _dict_tree(keys)]), flipped])


def _dict_tree(fields: list[tuple[str, Q]]) -> Q:
    names = syms([n for n, _ in fields])
    values = Vec(0, [PRIMS["enlist"], *[t for _, t in fields]])
    return Vec(0, [PRIMS["!"], Vec(0, [names]), values])


def _fields(parser: Parser, close: str) -> list[tuple[str, Q]]:
    out: list[tuple[str, Q]] = []
    while parser.tokens[parser.i].kind != close:
        token = parser.tokens[parser.i]
        if token.kind == ";":
            parser.i += 1
            continue
        name = ""
        if token.kind == "name" and parser.tokens[parser.i + 1].text == ":":
            name = token.text
            parser.i += 2
        value = _clause(parser, frozenset())
        if value is ELIDED:
            raise QError("parse")
        out.append((name or _free_name(column_name(value), [n for n, _ in out]), value))
    parser.i += 1
    return out


def _free_name(name: str, taken: list[str]) -> str:
    """A column's name, with a number where another column has it."""
    number = 0
    while (found := f"{name}{number or ''}") in taken:
        number += 1
    return found
