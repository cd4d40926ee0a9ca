"""What does a number, date or string in q text stand for? Runs of number tokens to atoms and vectors; strings to chars."""

from __future__ import annotations

import re
from typing import Any

from trimtab.qcode.q import calendar
from trimtab.qcode.q.errors import QError
from trimtab.qcode.q.values import (
    BITS,
    BOOL,
    BYTE,
    CHAR,
    DATE,
    DATETIME,
    FLOAT,
    FLOATS,
    GUID,
    INF,
    INFINITIES,
    INT,
    LONG,
    MINUTE,
    MONTH,
    NAN,
    NULLS,
    REAL,
    SECOND,
    SHORT,
    SYM,
    TIME,
    TIMESPAN,
    TIMESTAMP,
    Atom,
    Q,
    Vec,
    box,
    char,
    vec,
)

SUFFIXES = {
    "h": SHORT,
    "i": INT,
    "j": LONG,
    "e": REAL,
    "f": FLOAT,
    "p": TIMESTAMP,
    "m": MONTH,
    "d": DATE,
    "z": DATETIME,
    "n": TIMESPAN,
    "u": MINUTE,
    "v": SECOND,
    "t": TIME,
    "c": CHAR,
    "g": GUID,
    "s": SYM,
}
_ESCAPE = re.compile(rb"\\(?:([0-7]{3})|(.))", re.DOTALL)
_SIMPLE = {b"n": b"\n", b"t": b"\t", b"r": b"\r", b'"': b'"', b"\\": b"\\"}
_GUID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_WHOLE = re.compile(r"-?[0-9]+")
_FLOAT = re.compile(r"-?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?")
_SPECIAL = re.compile(r"-?0[NWnw]")
DATE_TEXT = re.compile(r"(\d{4})\.(\d\d)\.(\d\d)")
_MONTH = re.compile(r"(\d{4})\.(\d\d)m?")
_CLOCK = re.compile(r"(\d+):(\d\d)(?::(\d\d)(?:\.(\d*))?)?")
_SPAN = re.compile(r"(\d+)D(?:(\d\d?)(?::(\d\d)(?::(\d\d)(?:\.(\d*))?)?)?)?")
_MOMENT = re.compile(r"(\d{4}\.\d\d\.\d\d)([DT])(?:(\d\d?)(?::(\d\d)(?::(\d\d)(?:\.(\d*))?)?)?)?")


def string(token: str) -> Q:
    """The chars of a quoted token; one char alone is an atom."""
    data = token[1:-1].encode("utf-8", "surrogateescape")
    if b"\\" in data:
        data = _ESCAPE.sub(_unescaped, data)
    if len(data) == 1:
        return char(data[0])
    return vec(CHAR, data)


def _unescaped(m: re.Match[bytes]) -> bytes:
    octal, letter = m.groups()
    if octal:
        return bytes((int(octal, 8) & 255,))
    return _SIMPLE.get(letter, letter)


def numeral(texts: list[str]) -> Q:
    """The atom of one number token, or the vector of several; a suffix on the last is for all."""
    if len(texts) == 1:
        return _single(texts[0])
    if any(t.startswith("0x") or t[-1:] == "b" for t in texts):
        raise QError(" ".join(texts))
    suffix = _suffix(texts[-1])
    if suffix and suffix not in (BOOL, CHAR, SYM):
        texts = [*texts[:-1], texts[-1][:-1]] if _plain_before_suffix(texts[-1]) else texts
        return _typed(texts, suffix)
    return _mixed([_value(t) for t in texts], texts)


def _plain_before_suffix(text: str) -> bool:
    return bool(_FLOAT.fullmatch(text[:-1]) or _SPECIAL.fullmatch(text[:-1]) or _MONTH.fullmatch(text[:-1]))


def _suffix(text: str) -> int:
    """The type that the last letter names, 0 where there is none."""
    return SUFFIXES.get(text[-1], 0) if _plain_before_suffix(text) and not _SPECIAL.fullmatch(text) else 0


def _typed(texts: list[str], t: int) -> Vec:
    """Numbers all of the type that a suffix named."""
    return vec(t, [_as_type(text, t) for text in texts])


def _as_type(text: str, t: int) -> Any:
    if t == GUID:
        return int(text.replace("-", ""), 16) if _GUID.fullmatch(text) else 0
    if _SPECIAL.fullmatch(text):
        return _special(text, t)
    if t in FLOATS and _FLOAT.fullmatch(text):
        return float(text)
    if t == MONTH and (m := _MONTH.fullmatch(text)):
        return _months(m)
    if _WHOLE.fullmatch(text):
        return _ranged(int(text), t)
    kind, value = _value(text)
    if kind == t:
        return value
    from trimtab.qcode.q.casts import cast_raw

    return cast_raw(t, box(kind, value))


def _ranged(v: int, t: int) -> int:
    bits = BITS.get(t, 64)
    if not -(1 << bits - 1) <= v < 1 << bits - 1:
        raise QError(str(v))
    return v


def _special(text: str, t: int) -> Any:
    """A null or an infinity of a type."""
    if text[-1] in "Nn":
        return NULLS[t]
    top = INFINITIES.get(t)
    if top is None:
        raise QError(text)
    return -top if text[0] == "-" else top


def _single(text: str) -> Q:
    if text.startswith("0x"):
        return _bytes(text[2:])
    if text[-1] == "b" and all(c in "01" for c in text[:-1]) and len(text) > 1:
        bits = [c == "1" for c in text[:-1]]
        return bits[0] if len(bits) == 1 else vec(BOOL, bits)
    kind, value = _value(text)
    return box(kind, value)


def _bytes(digits: str) -> Q:
    if len(digits) == 1:
        digits = "0" + digits
    data = list(bytes.fromhex("0" + digits if len(digits) % 2 else digits))
    return Atom(BYTE, data[0]) if len(data) == 1 else vec(BYTE, data)


def _mixed(pairs: list[tuple[int, Any]], texts: list[str]) -> Vec:
    """Numbers without a common suffix: longs beside floats are floats; temporal ones agree, or the widest type counts."""
    kinds = {k for k, _ in pairs}
    if len(kinds) == 1:
        return vec(kinds.pop(), [v for _, v in pairs])
    if kinds == {LONG, FLOAT}:
        return vec(FLOAT, [_to_float(v) if k == LONG else v for k, v in pairs])
    kinds -= {LONG, FLOAT}
    temporal = [k for k in kinds if k >= TIMESTAMP]
    if temporal:
        return _typed(texts, _widest(temporal, texts))
    raise QError(" ".join(texts))


def _widest(kinds: list[int], texts: list[str]) -> int:
    for t in (TIMESTAMP, DATETIME, TIMESPAN, TIME, SECOND, MINUTE, DATE, MONTH):
        if t in kinds:
            return t
    raise QError(" ".join(texts))


def _to_float(v: int) -> float:
    return NAN if v == NULLS[LONG] else INF if v == INFINITIES[LONG] else -INF if v == -INFINITIES[LONG] else float(v)


def _value(text: str) -> tuple[int, Any]:
    """Type and raw value of one number token."""
    if _WHOLE.fullmatch(text):
        return LONG, _ranged(int(text), LONG)
    if _SPECIAL.fullmatch(text):
        t = FLOAT if text[-1] in "nw" else LONG
        return t, _special(text, t)
    if _FLOAT.fullmatch(text):
        return FLOAT, float(text)
    suffix = _suffix(text)
    if suffix:
        if suffix in (CHAR, SYM):
            if not _SPECIAL.fullmatch(text[:-1]):
                raise QError(text)
            return suffix, NULLS[suffix]
        return suffix, _as_type(text[:-1], suffix)
    if _GUID.fullmatch(text):
        return GUID, int(text.replace("-", ""), 16)
    return _temporal(text)


def _temporal(text: str) -> tuple[int, Any]:
    sign, body = (-1, text[1:]) if text[0] == "-" else (1, text)
    named = SUFFIXES.get(body[-1], 0)
    bare = body[:-1] if named >= TIMESTAMP else body
    if m := DATE_TEXT.fullmatch(bare):
        kind, value = DATE, _days(bare)
    elif m := _MOMENT.fullmatch(bare):
        kind, value = _moment(m)
    elif m := _SPAN.fullmatch(bare):
        kind, value = TIMESPAN, _span(m)
    elif m := _CLOCK.fullmatch(bare):
        kind, value = _clock(m)
    else:
        raise QError(text)
    if named and bare != body and named != kind:
        from trimtab.qcode.q.casts import cast_raw

        return named, sign * cast_raw(named, box(kind, value))
    return kind, sign * value


def _months(m: re.Match[str]) -> int:
    year, month = int(m[1]), int(m[2])
    if not 1 <= month <= 12:
        raise QError(m[0])
    return (year - 2000) * 12 + month - 1


def _days(text: str) -> int:
    y, m, d = (int(p) for p in text.split("."))
    if not 1 <= m <= 12 or not 1 <= d <= calendar.month_length(y, m):
        raise QError(text)
    return calendar.days_of(y, m, d)


def _fraction(digits: str | None, places: int) -> int:
    return int((digits or "")[:places].ljust(places, "0"))


def _moment(m: re.Match[str]) -> tuple[int, Any]:
    days = _days(m[1])
    seconds = int(m[3] or 0) * 3600 + int(m[4] or 0) * 60 + int(m[5] or 0)
    if m[2] == "T":
        return DATETIME, days + (seconds * 1000 + _fraction(m[6], 3)) / calendar.MILLISECONDS_PER_DAY
    nanoseconds = seconds * 1_000_000_000 + _fraction(m[6], 9)
    return TIMESTAMP, _ranged(days * calendar.NANOSECONDS_PER_DAY + nanoseconds, TIMESTAMP)


def _span(m: re.Match[str]) -> int:
    seconds = int(m[1]) * 86_400 + int(m[2] or 0) * 3600 + int(m[3] or 0) * 60 + int(m[4] or 0)
    return _ranged(seconds * 1_000_000_000 + _fraction(m[5], 9), TIMESPAN)


def _clock(m: re.Match[str]) -> tuple[int, int]:
    hours, minutes, seconds, fraction = int(m[1]), int(m[2]), m[3], m[4]
    if minutes > 59 or int(seconds or 0) > 59:
        raise QError(m[0])
    if seconds is None:
        return MINUTE, _ranged(hours * 60 + minutes, MINUTE)
    total = hours * 3600 + minutes * 60 + int(seconds)
    if fraction is None:
        return SECOND, _ranged(total, SECOND)
    if len(fraction) > 3:
        return TIMESPAN, _ranged(total * 1_000_000_000 + _fraction(fraction, 9), TIMESPAN)
    return TIME, _ranged(total * 1000 + _fraction(fraction, 3), TIME)
