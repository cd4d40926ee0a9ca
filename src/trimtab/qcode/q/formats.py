"""How does q write one value in one line? Atoms with and without suffix, vectors, and the form of ``-3!``."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from trimtab.qcode.q import calendar
from trimtab.qcode.q.functions import Composition, Derived, Iterator, Lambda, Prim, Projection
from trimtab.qcode.q.state import current
from trimtab.qcode.q.values import (
    BOOL,
    BYTE,
    CHAR,
    CHARS,
    DATE,
    DATETIME,
    ELIDED,
    ENUM,
    FLOAT,
    FLOATS,
    GUID,
    INFINITIES,
    INT,
    INTEGERS,
    LONG,
    MINUTE,
    MONTH,
    NAMES,
    NULL,
    NULLS,
    REAL,
    SECOND,
    SHORT,
    SYM,
    TIME,
    TIMESPAN,
    TIMESTAMP,
    Dict,
    Q,
    Table,
    Vec,
    qtype,
    raw,
)

_ESCAPES = {10: "\\n", 9: "\\t", 13: "\\r", 34: '\\"', 92: "\\\\"}
_CHARS = [_ESCAPES.get(c, chr(c) if 32 <= c < 127 else f"\\{c:03o}") for c in range(256)]
_TEMPORAL: dict[int, Callable[[Any], str]] = {
    TIMESTAMP: calendar.timestamp_text,
    MONTH: calendar.month_text,
    DATE: calendar.date_text,
    DATETIME: calendar.datetime_text,
    TIMESPAN: calendar.timespan_text,
    MINUTE: calendar.minute_text,
    SECOND: calendar.second_text,
    TIME: calendar.time_text,
}
_SUFFIX = {SHORT: "h", INT: "i", REAL: "e", MONTH: "m"}
FULL = 1 << 60
"""A width that cuts nothing."""


def quoted(codes: bytes) -> str:
    """A string in quotes, with q's escapes."""
    return '"' + "".join([_CHARS[c] for c in codes]) + '"'


def guid_text(v: int) -> str:
    """``8c6b8b64-6815-6084-0a3e-178401251b68``."""
    h = f"{v:032x}"
    return f"{h[:8]}-{h[8:12]}-{h[12:16]}-{h[16:20]}-{h[20:]}"


def float_text(v: float, real: bool = False) -> str:
    """A float in at most so many digits as ``\\P`` says, without suffix; ``0n``, ``0w``, ``-0w``."""
    if v != v:
        return "0n"
    if math.isinf(v):
        return "0w" if v > 0 else "-0w"
    digits = current().precision or 17
    text = f"{v:.{min(digits, 9) if real else digits}g}"
    return "0" if text == "-0" else text


def bare(t: int, v: Any) -> str:
    """An item as ``string`` gives it and as cells of tables show it: no suffix, nothing for nulls."""
    if t in (LONG, INT, SHORT):
        if v == NULLS[t]:
            return ""
        top = INFINITIES[t]
        return "0W" if v == top else "-0W" if v == -top else str(v)
    if t in FLOATS and t != DATETIME:
        return "" if v != v else float_text(v, t == REAL)
    if t == SYM:
        return v
    if t == BOOL:
        return "1" if v else "0"
    if t == CHAR:
        return bytes((v,)).decode("utf-8", "surrogateescape")
    if t == BYTE:
        return f"{v:02x}"
    if t == GUID:
        return guid_text(int(v))
    return _temporal(t, v, "")


def _temporal(t: int, v: Any, null: str) -> str:
    if t == DATETIME:
        if v != v:
            return null
        if math.isinf(v):
            return "0wz" if v > 0 else "-0wz"
        return calendar.datetime_text(v)
    if v == NULLS[t]:
        return null
    top = INFINITIES[t]
    if v == top or v == -top:
        return ("0W" if v > 0 else "-0W") + CHARS[t]
    return _TEMPORAL[t](v)


def _item(t: int, v: Any) -> str:
    """An item as vectors show it: nulls in full, no suffix that the whole vector shares."""
    if t in INTEGERS and t < 12:
        return bare(t, v) or "0N"
    if t in (FLOAT, REAL):
        return float_text(v, t == REAL)
    if t >= 12:
        return _temporal(t, v, "0N" if t == MONTH else "0N" + CHARS[t])
    return bare(t, v)


def _ended(t: int, text: str) -> str:
    """The text of numbers with the suffix of their type."""
    if t == FLOAT:
        return text if any(c in ".enw" for c in text) else text + "f"
    if t == REAL:
        return text.replace("0n", "0N").replace("0w", "0W") + "e"
    if t == MONTH and text.endswith("m"):
        return text
    return text + _SUFFIX.get(t, "")


def atom(x: Q) -> str:
    """An atom as the console shows it."""
    t = -qtype(x)
    v = raw(x)
    if t == SYM:
        return "`" + v
    if t == BOOL:
        return "1b" if v else "0b"
    if t == CHAR:
        return quoted(bytes((v,)))
    if t == BYTE:
        return f"0x{v:02x}"
    if t == ENUM:
        return f"`{x.dom}${atom(enum_symbol(x))}"
    return _ended(t, _item(t, v))


def enum_symbol(x: Q) -> Q:
    """What an enumeration stands for."""
    from trimtab.qcode.q import enums

    return enums.symbols(x)


def type_name(t: int) -> str:
    """``long`` and the like, as in the text of an empty list."""
    return NAMES[t] if t < len(NAMES) else "symbol"


def vector(x: Vec, width: int = FULL) -> str:
    """A list of atoms of one type; at least ``width`` characters of it, where it is longer."""
    t, n = x.t, len(x.a)
    head = f"`{x.attr}#" if x.attr else ""
    if t == CHAR:
        text = quoted(x.a[:width].tobytes())
        return head + ("," + text if n == 1 else text)
    if t == ENUM:
        known: Vec = enum_symbol(x)
        if known.t != SYM:
            return f"{head}`{x.dom}!{vector(Vec(LONG, x.a), width)}"
        return f"{head}`{x.dom}${vector(known, width)}"
    if not n:
        return f"{head}`{type_name(t)}$()"
    values: list[Any] = x.a[: width + 1].tolist()
    if t == BOOL:
        text = "".join(["1" if v else "0" for v in values]) + "b"
    elif t == BYTE:
        text = "0x" + x.a[: width + 1].tobytes().hex()
    elif t == SYM:
        text = "`" + "`".join(values)
    else:
        text = _ended(t, " ".join([_item(t, v) for v in values]))
    return head + ("," + text if n == 1 else text)


def one_line(x: Q, width: int = FULL) -> str:
    """The text of ``-3!x``; it may be cut anywhere after ``width`` characters."""
    if type(x) is Vec:
        return general(x, width) if x.t == 0 else vector(x, width)
    if type(x) is Dict:
        left = one_line(x.k, width)
        if type(x.k) in (Table, Dict) or (type(x.k) is Vec and (len(x.k) == 1 or _is_cast(x.k))):
            left = f"({left})"
        return f"{_attribute(x, left)}{left}!{one_line(x.v, width)}"
    if type(x) is Table:
        names = vector(Vec(SYM, _names(x)))
        head = f"`{x.attr}#" if x.attr else ""
        left = f"({names})" if len(x.names) == 1 else names
        return f"{head}+{left}!{_columns(x, width)}"
    t = qtype(x)
    return atom(x) if t < 0 else function(x, width)


def _is_cast(x: Vec) -> bool:
    """Whether a list is written as a cast of the empty list."""
    return not len(x) and x.t not in (0, CHAR)


def _attribute(x: Dict, left: str) -> str:
    return f"`{x.attr}#" if x.attr and not left.startswith(f"`{x.attr}#") else ""


def _names(x: Table) -> Any:
    from trimtab.qcode.q.values import objects

    return objects(x.names)


def _columns(x: Table, width: int) -> str:
    if len(x.cols) == 1:
        return "," + one_line(x.cols[0], width)
    return "(" + _joined(list(x.cols), width) + ")"


def _joined(values: list[Q], width: int) -> str:
    parts: list[str] = []
    used = 0
    for v in values:
        parts.append(one_line(v, width))
        used += len(parts[-1]) + 1
        if used > width:
            break
    return ";".join(parts)


def general(x: Vec, width: int = FULL) -> str:
    """A general list: ``()``, ``,x`` or ``(x;y)``."""
    head = f"`{x.attr}#" if x.attr else ""
    if len(x.a) == 1:
        return head + "," + one_line(x.a[0], width)
    return head + "(" + _joined(x.a, width) + ")"


def function(x: Q, width: int = FULL) -> str:
    """A function: its source, and how it was made."""
    if x is NULL:
        return "::"
    if x is ELIDED:
        return ""
    if isinstance(x, Prim):
        return x.shown
    if isinstance(x, Lambda):
        return x.source
    if isinstance(x, Projection):
        return _applied(x, width)
    if isinstance(x, Composition):
        return "".join([one_line(f, width) for f in x.fs])
    if isinstance(x, Derived):
        return one_line(x.f, width) + x.iterator
    if isinstance(x, Iterator):
        return x.iterator
    return str(x)


def _applied(x: Projection, width: int) -> str:
    args = list(x.args)
    if isinstance(x.f, Prim) and x.f.t == 100 and x.f.name == "enlist":
        return "(" + ";".join([one_line(a, width) for a in args]) + ")"
    if len(args) > 1:
        while len(args) > 1 and args[-1] is ELIDED:
            args.pop()
    return one_line(x.f, width) + "[" + ";".join([one_line(a, width) for a in args]) + "]"
