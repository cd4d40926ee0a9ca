"""Which day is it? Days since 2000.01.01 to civil dates and back, and the text of every temporal type.

The algorithms are those of the proleptic Gregorian calendar, exact for any integer, as scalars and as numpy arrays.
"""

from __future__ import annotations

from typing import Any

NANOSECONDS_PER_DAY = 86_400_000_000_000
MILLISECONDS_PER_DAY = 86_400_000
_EPOCH = 730_425  # 2000.01.01 in days since 0000.03.01


def civil(days: Any) -> tuple[Any, Any, Any]:
    """Year, month and day of days since 2000.01.01 (an int or an int64 array)."""
    z = days + _EPOCH
    era = z // 146_097
    doe = z - era * 146_097
    yoe = (doe - doe // 1460 + doe // 36_524 - doe // 146_096) // 365
    doy = doe - (365 * yoe + yoe // 4 - yoe // 100)
    mp = (5 * doy + 2) // 153
    month = (mp + 2) % 12 + 1
    return yoe + era * 400 + (month <= 2), month, doy - (153 * mp + 2) // 5 + 1


def days_of(year: Any, month: Any, day: Any) -> Any:
    """Days since 2000.01.01 of a civil date."""
    y = year - (month <= 2)
    era = y // 400
    yoe = y - era * 400
    doy = (153 * ((month + 9) % 12) + 2) // 5 + day - 1
    return era * 146_097 + yoe * 365 + yoe // 4 - yoe // 100 + doy - _EPOCH


def month_length(year: int, month: int) -> int:
    """Days of a month."""
    return days_of(year + month // 12, month % 12 + 1, 1) - days_of(year, month, 1)


def date_text(days: int) -> str:
    """``2000.01.01``."""
    y, m, d = civil(days)
    return f"{y:04d}.{m:02d}.{d:02d}"


def month_text(months: int) -> str:
    """``2000.01``, of months since 2000.01."""
    return f"{2000 + months // 12:04d}.{months % 12 + 1:02d}"


def minute_text(v: int) -> str:
    """``09:30``, of minutes."""
    sign, v = ("-", -v) if v < 0 else ("", v)
    return f"{sign}{v // 60:02d}:{v % 60:02d}"


def second_text(v: int) -> str:
    """``09:30:00``, of seconds."""
    sign, v = ("-", -v) if v < 0 else ("", v)
    return f"{sign}{v // 3600:02d}:{v // 60 % 60:02d}:{v % 60:02d}"


def time_text(v: int) -> str:
    """``09:30:00.000``, of milliseconds."""
    sign, v = ("-", -v) if v < 0 else ("", v)
    return f"{sign}{second_text(v // 1000)}.{v % 1000:03d}"


def clock_text(v: int) -> str:
    """``09:30:00.000000000``, of nanoseconds of a day."""
    return f"{second_text(v // 1_000_000_000)}.{v % 1_000_000_000:09d}"


def timespan_text(v: int) -> str:
    """``0D09:30:00.000000000``, of nanoseconds."""
    sign, v = ("-", -v) if v < 0 else ("", v)
    return f"{sign}{v // NANOSECONDS_PER_DAY}D{clock_text(v % NANOSECONDS_PER_DAY)}"


def timestamp_text(v: int) -> str:
    """``2000.01.01D09:30:00.000000000``, of nanoseconds since 2000.01.01."""
    return f"{date_text(v // NANOSECONDS_PER_DAY)}D{clock_text(v % NANOSECONDS_PER_DAY)}"


def datetime_text(v: float) -> str:
    """``2000.01.01T09:30:00.000``, of days since 2000.01.01."""
    ms = round(v * MILLISECONDS_PER_DAY)
    return f"{date_text(ms // MILLISECONDS_PER_DAY)}T{time_text(ms % MILLISECONDS_PER_DAY)}"
