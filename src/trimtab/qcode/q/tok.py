"""What does a text mean as a value of a type (``"I"$"42"``)? Numbers, dates in many notations, times, guids.

A text that is no such value gives the type's null.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from typing import Any

from trimtab.qcode.q import calendar
from trimtab.qcode.q.state import current
from trimtab.qcode.q.values import (
    BITS,
    BOOL,
    BYTE,
    DATE,
    DATETIME,
    FLOAT,
    GUID,
    INF,
    INFINITIES,
    INT,
    LONG,
    MINUTE,
    MONTH,
    NULLS,
    REAL,
    SECOND,
    SHORT,
    SYM,
    TIME,
    TIMESPAN,
    TIMESTAMP,
)

_WHOLE = re.compile(r"[-+]?[0-9]+")
_FLOAT = re.compile(r"[-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?")
_IP = re.compile(r"[0-9]{1,3}(?:\.[0-9]{1,3}){3}")
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_YMD = re.compile(r"(\d{4})[-./](\d{1,2}|[A-Za-z]{3})[-./](\d{1,2})")
_DIGITS = re.compile(r"(\d{4}|\d\d)(\d\d)(\d\d)")
_NAMED = re.compile(r"(\d{1,2})[-./ ]?([A-Za-z]{3})[-./ ]?(\d{4}|\d\d)")
_NAMED_FIRST = re.compile(r"([A-Za-z]{3})[-./ ](\d{1,2})[-./ ](\d{4}|\d\d)")
_MIXED = re.compile(r"(\d{1,2})[-./](\d{1,2})[-./](\d{4}|\d\d)")
_CLOCK = re.compile(r"([-+]?)(\d+):(\d\d)(?::(\d\d)(?:[.,](\d*))?)?")
_PACKED = re.compile(r"([-+]?)(\d\d)(\d\d)(?:(\d\d)\.?(\d*))?")
_SPAN = re.compile(r"([-+]?)(\d+)D(.*)")
_YEAR_MONTH = re.compile(r"(\d{4})[-./]?(\d\d)(?:m|[-./]?\d\d)?")
_EPOCH = re.compile(r"(\d{9,11})(?:\.(\d*))?")
_UNIX = 10957 * calendar.NANOSECONDS_PER_DAY


def tok(t: int, text: str) -> Any:
    """The raw value of type ``t`` that a text stands for; the null of the type where it is none."""
    if t == SYM:
        return text.strip(" ")
    text = text.strip()
    try:
        value = _PARSERS[t](text) if text else None
    except (ValueError, OverflowError):
        value = None
    return NULLS[t] if value is None else value


def _whole(t: int) -> Callable[[str], int | None]:
    bits = BITS[t]

    def parse(text: str) -> int | None:
        if _WHOLE.fullmatch(text):
            v = int(text)
            return v if -(1 << bits - 1) <= v < 1 << bits - 1 else None
        if text in ("0W", "-0W"):
            return INFINITIES[t] if text[0] == "0" else -INFINITIES[t]
        if t == INT and _IP.fullmatch(text):
            return _signed(int(ipaddress.IPv4Address(text)), 32)
        return None

    return parse


def _signed(v: int, bits: int) -> int:
    return v - (1 << bits) if v >= 1 << bits - 1 else v


def _float(text: str) -> float | None:
    if _FLOAT.fullmatch(text):
        return float(text)
    return {"0w": INF, "-0w": -INF, "0W": INF, "-0W": -INF}.get(text)


def _bool(text: str) -> bool:
    return text in ("1", "t", "T", "y", "Y", "x", "X")


def _byte(text: str) -> int | None:
    digits = text[2:] if text.startswith("0x") else text
    return int(digits, 16) & 255 if re.fullmatch(r"[0-9a-fA-F]+", digits) else 0


def _year(text: str) -> int:
    v = int(text)
    if len(text) > 2:
        return v
    return v + (2000 if v < 50 else 1900)


def _month_number(text: str) -> int:
    return int(text) if text.isdigit() else _MONTHS.index(text.lower()) + 1


def _days(year: int, month: int, day: int) -> int | None:
    if not 1 <= month <= 12 or not 1 <= day <= calendar.month_length(year, month):
        return None
    return calendar.days_of(year, month, day)


def _date(text: str) -> int | None:
    if m := _YMD.fullmatch(text):
        return _days(int(m[1]), _month_number(m[2]), int(m[3]))
    if m := _DIGITS.fullmatch(text):
        return _days(_year(m[1]), int(m[2]), int(m[3]))
    if m := _NAMED.fullmatch(text):
        return _days(_year(m[3]), _month_number(m[2]), int(m[1]))
    if m := _NAMED_FIRST.fullmatch(text):
        return _days(_year(m[3]), _month_number(m[1]), int(m[2]))
    if m := _MIXED.fullmatch(text):
        day_first = bool(getattr(current(), "date_order", 0))
        month, day = (int(m[2]), int(m[1])) if day_first else (int(m[1]), int(m[2]))
        return _days(_year(m[3]), month, day)
    if len(text) > 10:
        moment = _timestamp(text)
        return None if moment is None or _EPOCH.fullmatch(text) else moment // calendar.NANOSECONDS_PER_DAY
    return None


def _month(text: str) -> int | None:
    m = _YEAR_MONTH.fullmatch(text)
    if m is None or not 1 <= int(m[2]) <= 12:
        return None
    return (int(m[1]) - 2000) * 12 + int(m[2]) - 1


def _nanoseconds(text: str) -> int | None:
    """Nanoseconds of a clock's text: hh:mm[:ss[.fraction]], or the same without colons."""
    if (m := _CLOCK.fullmatch(text)) or (m := _PACKED.fullmatch(text)):
        sign, hours, minutes, seconds, fraction = m.groups()
    else:
        return None
    if int(minutes) > 59 or int(seconds or 0) > 59:
        return None
    total = (int(hours) * 3600 + int(minutes) * 60 + int(seconds or 0)) * 1_000_000_000
    total += int((fraction or "")[:9].ljust(9, "0"))
    return -total if sign == "-" else total


def _clock(unit: int) -> Callable[[str], int | None]:
    def parse(text: str) -> int | None:
        v = _timespan(text)
        if v is None and len(text) > 10:
            v = _timestamp(text)
            v = None if v is None else v % calendar.NANOSECONDS_PER_DAY
        return None if v is None else v // unit if v >= 0 else -(-v // unit)

    return parse


def _timespan(text: str) -> int | None:
    if m := _SPAN.fullmatch(text):
        rest = _nanoseconds(m[3]) if m[3] else 0
        if rest is None and re.fullmatch(r"\d\d", m[3]):
            rest = int(m[3]) * 3600 * 1_000_000_000
        if rest is None:
            return None
        total = int(m[2]) * calendar.NANOSECONDS_PER_DAY + rest
        return -total if m[1] == "-" else total
    return _nanoseconds(text)


def _timestamp(text: str) -> int | None:
    if m := _EPOCH.fullmatch(text):
        return int(m[1]) * 1_000_000_000 + int((m[2] or "")[:9].ljust(9, "0")) - _UNIX
    body = text[:-1] if text[-1:] in "Zz" else text
    for size in (10, 8, 11, 9, 6):
        date = _date(body[:size]) if len(body) >= size else None
        if date is None:
            continue
        rest = body[size:]
        if not rest:
            return _bounded(date * calendar.NANOSECONDS_PER_DAY)
        if rest[0] not in "DT -t":
            continue
        clock = _nanoseconds(rest[1:]) if len(rest) > 3 else int(rest[1:] or 0) * 3_600_000_000_000
        if clock is not None:
            return _bounded(date * calendar.NANOSECONDS_PER_DAY + clock)
    return None


def _bounded(v: int) -> int | None:
    return v if abs(v) < 1 << 63 else None


def _datetime(text: str) -> float | None:
    v = _timestamp(text)
    return None if v is None else round(v / 1_000_000) / calendar.MILLISECONDS_PER_DAY


def _guid(text: str) -> int | None:
    if re.fullmatch(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}", text) or re.fullmatch(
        r"[0-9a-fA-F]{32}", text
    ):
        return int(text.replace("-", ""), 16)
    if _IP.fullmatch(text):
        return 0xFFFF << 32 | int(ipaddress.IPv4Address(text))
    return int(ipaddress.IPv6Address(text))


_PARSERS: dict[int, Callable[[str], Any]] = {
    BOOL: _bool,
    GUID: _guid,
    BYTE: _byte,
    SHORT: _whole(SHORT),
    INT: _whole(INT),
    LONG: _whole(LONG),
    REAL: _float,
    FLOAT: _float,
    TIMESTAMP: _timestamp,
    MONTH: _month,
    DATE: _date,
    DATETIME: _datetime,
    TIMESPAN: _timespan,
    MINUTE: _clock(60_000_000_000),
    SECOND: _clock(1_000_000_000),
    TIME: _clock(1_000_000),
}
