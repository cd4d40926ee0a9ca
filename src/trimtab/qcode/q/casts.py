"""What does ``x$y`` do? Casts between types, texts to values, padding, enumeration, matrix product; parts of times."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from trimtab.qcode.q import calendar, tok
from trimtab.qcode.q.errors import QError
from trimtab.qcode.q.lists import as_list, at, collect, items
from trimtab.qcode.q.registry import PRIMS, dyad
from trimtab.qcode.q.values import (
    ATOMS,
    BITS,
    BOOL,
    BYTE,
    CHAR,
    CHARS,
    DATE,
    DATETIME,
    DTYPES,
    ENUM,
    FLOAT,
    FLOATS,
    GUID,
    INFINITIES,
    INT,
    LONG,
    MINUTE,
    MONTH,
    NAMES,
    NULLS,
    SECOND,
    SHORT,
    SYM,
    TIME,
    TIMESPAN,
    TIMESTAMP,
    Atom,
    Dict,
    Q,
    Table,
    Vec,
    box,
    char,
    empty,
    is_string,
    objects,
    qtype,
    raw,
    text_of,
    vec,
)

TYPE_NAMES = {name: t for t, name in enumerate(NAMES) if name} | {"": SYM}
LETTERS = {c: t for t, c in enumerate(CHARS) if c != " "}
_UNITS = {
    TIMESTAMP: 1,
    TIMESPAN: 1,
    TIME: 1_000_000,
    SECOND: 1_000_000_000,
    MINUTE: 60_000_000_000,
    DATE: calendar.NANOSECONDS_PER_DAY,
    DATETIME: calendar.NANOSECONDS_PER_DAY,
}
_CLOCKS = (TIMESPAN, TIME, SECOND, MINUTE)
_MOMENTS = (TIMESTAMP, DATETIME)


@dyad("$", infix=False)
def dollar(x: Q, y: Q) -> Q:
    """``x$y``: what the left argument says."""
    tx = qtype(x)
    if tx == -SYM:
        return _by_symbol(x, y)
    if tx == -CHAR:
        return _by_letter(chr(x.v), y)
    if tx == -SHORT:
        return cast(x.v, y) if x.v >= 0 else parse(-x.v, y)
    if tx in (-LONG, -INT, -BOOL, -BYTE):
        return pad(int(raw(x)), y)
    if type(x) is not Vec:
        raise QError("type")
    return _by_list(x, y)


def _by_list(x: Vec, y: Q) -> Q:
    if x.t == FLOAT or (x.t == 0 and x.a and all(type(v) is Vec and v.t == FLOAT for v in x.a)):
        return PRIMS["mmu"].fns[2](x, y)
    left = items(x)
    if type(y) is Dict:
        return Dict(y.k, _by_list(x, y.v))
    if type(y) is Table:
        if len(y.cols) != len(left):
            raise QError("length")
        return Table(y.names, [as_list(dollar(a, c)) for a, c in zip(left, y.cols, strict=True)])
    if type(y) is not Vec:
        return collect([dollar(a, y) for a in left])
    if len(left) != len(y):
        raise QError("length")
    return collect([dollar(a, b) for a, b in zip(left, items(y), strict=True)])


def _by_symbol(x: str, y: Q) -> Q:
    if x == "":
        return to_symbols(y)
    t = TYPE_NAMES.get(x)
    if t is not None:
        return cast(t, y)
    if x in PARTS:
        return part(x, y)
    from trimtab.qcode.q import enums

    return enums.enumerate_(x, y)


def _by_letter(c: str, y: Q) -> Q:
    if c == "*":
        return y
    if c == " ":
        return cast(0, y)
    t = LETTERS.get(c.lower())
    if t is None:
        raise QError("type")
    return cast(t, y) if c.islower() else parse(t, y)


def over(f: Callable[[Q], Q], y: Q) -> Q:
    """``f`` of the items of a general list, dictionary or table, at any depth that ``f`` asks for."""
    if type(y) is Dict:
        return Dict(y.k, f(y.v))
    if type(y) is Table:
        return Table(y.names, [as_list(f(c)) for c in y.cols])
    if type(y) is Vec and y.t == 0:
        return collect([f(v) for v in y.a])
    raise QError("type")


def to_symbols(y: Q) -> Q:
    """Strings to symbols."""
    if is_string(y) or (type(y) is Atom and y.t == CHAR):
        return text_of(y).strip(" ")
    t = abs(qtype(y))
    if t == SYM:
        return y
    if t == ENUM:
        from trimtab.qcode.q import enums

        return enums.symbols(y)
    if type(y) is Vec and not len(y):
        return empty(SYM)
    return over(to_symbols, y)


def parse(t: int, y: Q) -> Q:
    """Texts to values of a type (tok); the type's null where a text is none."""
    if t not in DTYPES or t == ENUM:
        raise QError("type")
    if t == CHAR and (is_string(y) or (type(y) is Atom and y.t == CHAR)):
        return y
    if is_string(y) or (type(y) is Atom and y.t == CHAR):
        return _tok(t, text_of(y))
    if type(y) is Vec and y.t == 0:
        if not y.a:
            return empty(t)
        if t != CHAR and all(type(v) is Vec and v.t == CHAR for v in y.a):
            return vec(t, [tok.tok(t, text_of(v)) for v in y.a])
    if t == SYM:
        return to_symbols(y)
    if abs(qtype(y)) == t and t:
        return y
    if type(y) is str:
        return _tok(t, y)
    if type(y) is Vec and y.t == SYM:
        return vec(t, [tok.tok(t, v) for v in y.a])
    return over(lambda v: parse(t, v), y)


def _tok(t: int, text: str) -> Q:
    if t not in DTYPES or t in (0, CHAR, ENUM):
        raise QError("type")
    return box(t, tok.tok(t, text))


def pad(n: int, y: Q) -> Q:
    """Texts of ``n`` characters: cut or filled with blanks on the right; on the left where ``n`` is negative."""
    if is_string(y):
        if abs(n) > 1 << 24:
            raise QError("wsfull")
        width = abs(n)
        data = y.a.tobytes()
        return vec(CHAR, data[:width].ljust(width) if n >= 0 else data[max(0, len(data) - width) :].rjust(width))
    if type(y) is Atom and y.t == CHAR:
        return pad(n, vec(CHAR, [y.v]))
    if type(y) is Vec and y.t == 0 and not y.a:
        return y
    return over(lambda v: pad(n, v), y)


def cast(t: int, y: Q) -> Q:
    """A value as another type; 0 leaves it as it is."""
    if t == 0:
        return y
    ty = qtype(y)
    if abs(ty) == t and type(y) not in (Dict, Table):
        return y if type(y) is not Vec or not y.attr else Vec(t, y.a)
    if t not in DTYPES or t == ENUM:
        raise QError("type")
    if type(y) in ATOMS:
        return box(t, cast_raw(t, y))
    if type(y) is Vec and y.t == 0 and not y.a:
        return empty(t)
    if type(y) is Vec and y.t != 0:
        if t == SYM:
            if y.t == CHAR:
                return to_symbols(y)
            return to_symbols(_symbols_only(y))
        return Vec(t, cast_array(y.t, t, y.a))
    return over(lambda v: cast(t, v), y)


def _symbols_only(y: Q) -> Q:
    if abs(qtype(y)) == ENUM or (type(y) is Vec and not len(y)):
        return y
    raise QError("type")


def cast_raw(t: int, x: Q) -> Any:
    """The raw value of an atom as another type."""
    source = -qtype(x)
    if source == t:
        return raw(x)
    if source not in DTYPES or source == ENUM:
        raise QError("type")
    if t == SYM:
        if source == CHAR:
            return text_of(x).strip()
        return to_symbols(_symbols_only(x))
    a = np.array([raw(x)], dtype=DTYPES[source])
    return cast_array(source, t, a).tolist()[0]


def cast_array(source: int, t: int, a: Any) -> Any:
    """Raw items of one type as those of another: units of time changed, nulls and infinities kept."""
    if source == t:
        return a
    if {source, t} & {SYM, GUID} or source == 0:
        if len(a):
            raise QError("type")
        return empty(t).a
    if t == BOOL:
        return _to_bool(source, a)
    if (source in _UNITS or source == MONTH) and (t in _UNITS or t == MONTH):
        return _between(source, t, a)
    if t in FLOATS:
        return _to_float(source, t, a)
    if source in FLOATS:
        return _rounded(t, a)
    return _narrowed(source, t, a)


def _to_bool(source: int, a: Any) -> Any:
    return a != 0


def _to_float(source: int, t: int, a: Any) -> Any:
    with np.errstate(over="ignore", invalid="ignore"):
        out = a.astype(DTYPES[t])
    if source in BITS:
        top = INFINITIES[source]
        out[a == NULLS[source]] = np.nan
        out[a == top] = np.inf
        out[a == -top] = -np.inf
    return out


def _rounded(t: int, a: Any) -> Any:
    """Floats as whole numbers: the nearest, the larger of two."""
    a = a.astype(np.float64)
    with np.errstate(invalid="ignore"):
        whole = np.floor(a + 0.5)
        big = np.abs(a) >= 2.0**52
        whole = np.where(big, a, whole)
        if t in (BYTE, CHAR):
            return np.where(np.isfinite(whole), np.mod(whole, 256), 0).astype(DTYPES[t])
        top = INFINITIES[t]
        fits = np.isfinite(whole) & (np.abs(whole) < float(top))
        out = np.where(fits, whole, 0).astype(np.int64)
        out = np.where(fits, out, np.where(whole > 0, top, -top))
    return np.where(np.isnan(a), NULLS[t], out).astype(DTYPES[t])


def _narrowed(source: int, t: int, a: Any) -> Any:
    """Whole numbers as another whole type: to infinity where they do not fit, by their last byte for bytes."""
    if t in (BYTE, CHAR):
        return (a.astype(np.int64) & 255).astype(DTYPES[t])
    wide = a.astype(np.int64)
    top = INFINITIES[t]
    out = np.clip(wide, -top, top)
    if source in BITS:
        out = np.where(wide == INFINITIES[source], top, np.where(wide == -INFINITIES[source], -top, out))
        out = np.where(wide == NULLS[source], NULLS[t], out)
    return out.astype(DTYPES[t])


def _between(source: int, t: int, a: Any) -> Any:
    """Temporal items as another temporal type."""
    if source in FLOATS:
        null = np.isnan(a)
        edge = np.where(np.isinf(a), np.sign(np.where(null, 0, a)), 0).astype(np.int64)
        wide = np.where(null | (edge != 0), 0, np.round(np.nan_to_num(a) * calendar.MILLISECONDS_PER_DAY))
        wide = wide.astype(np.int64)
        source_unit = 1_000_000
    else:
        null = a == NULLS[source]
        edge = np.where(a == INFINITIES[source], 1, np.where(a == -INFINITIES[source], -1, 0))
        wide = np.where(null | (edge != 0), 0, a.astype(np.int64))
        source_unit = _UNITS.get(source, 0)
    out = _converted(source, source_unit, t, wide)
    if t in FLOATS:
        out = np.where(edge != 0, edge * np.inf, out) if edge.any() else out
        return np.where(null, np.nan, out)
    out = np.where(edge != 0, edge * INFINITIES[t], out)
    return np.where(null, NULLS[t], out).astype(DTYPES[t])


def _converted(source: int, unit: int, t: int, wide: Any) -> Any:
    if source == MONTH:
        wide, unit = calendar.days_of(2000 + wide // 12, wide % 12 + 1, 1), calendar.NANOSECONDS_PER_DAY
    if t == MONTH:
        days = wide * unit // calendar.NANOSECONDS_PER_DAY if unit != calendar.NANOSECONDS_PER_DAY else wide
        if source in _CLOCKS:
            days = days * 0
        year, month, _ = calendar.civil(days)
        return (year - 2000) * 12 + month - 1
    if t in _CLOCKS and source in (*_MOMENTS, DATE, MONTH):
        per_day = calendar.NANOSECONDS_PER_DAY // unit
        wide = np.mod(wide, per_day) if per_day > 1 else wide * 0
    if t == DATETIME:
        if unit == calendar.NANOSECONDS_PER_DAY:
            return wide.astype(np.float64)
        return wide * (unit / calendar.NANOSECONDS_PER_DAY)
    target = _UNITS[t]
    if unit >= target:
        return wide * (unit // target)
    return np.floor_divide(wide, target // unit)


def _date_part(pick: Callable[[Any, Any, Any], Any]) -> Callable[[int, Any], Any]:
    def part_of(source: int, a: Any) -> Any:
        return pick(*calendar.civil(cast_array(source, DATE, a).astype(np.int64)))

    return part_of


def _clock_part(unit: int, modulus: int) -> Callable[[int, Any], Any]:
    def part_of(source: int, a: Any) -> Any:
        return cast_array(source, TIMESPAN, a) // unit % modulus

    return part_of


PARTS: dict[str, Callable[[int, Any], Any]] = {
    "year": _date_part(lambda y, m, d: y),
    "mm": _date_part(lambda y, m, d: m),
    "dd": _date_part(lambda y, m, d: d),
    "hh": _clock_part(3_600_000_000_000, 1 << 40),
    "uu": _clock_part(60_000_000_000, 60),
    "ss": _clock_part(1_000_000_000, 60),
    "week": lambda source, a: a,
}


def part(name: str, y: Q) -> Q:
    """A part of dates and times: year, mm, dd, hh, uu, ss as ints, week as the date of its Monday; or a type's name."""
    if name not in PARTS:
        return cast(TYPE_NAMES[name], y)
    if type(y) in ATOMS:
        one = part(name, vec(-qtype(y), [raw(y)]))
        return at(one, 0)
    if type(y) is not Vec or y.t == 0:
        return over(lambda v: part(name, v), y)
    if y.t not in _UNITS and y.t != MONTH:
        raise QError("type")
    null = np.isnan(y.a) if y.t in FLOATS else y.a == NULLS[y.t]
    if name == "week":
        days = cast_array(y.t, DATE, y.a).astype(np.int64)
        return Vec(DATE, np.where(null, NULLS[DATE], days - (days - 2) % 7).astype(np.int32))
    if name == "mm" and y.t in _CLOCKS:
        name = "uu"
    out = PARTS[name](y.t, np.where(null, 0, y.a).astype(DTYPES[y.t]))
    return Vec(INT, np.where(null, NULLS[INT], out).astype(np.int32))


def chars_of(c: str) -> Q:
    """A char atom or string."""
    return char(c) if len(c) == 1 else vec(CHAR, c.encode("utf-8", "surrogateescape"))


__all__ = [
    "PARTS",
    "TYPE_NAMES",
    "cast",
    "cast_array",
    "cast_raw",
    "chars_of",
    "dollar",
    "objects",
    "pad",
    "parse",
    "part",
]
