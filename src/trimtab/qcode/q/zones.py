"""How do Universal and local time relate? ``ltime`` and ``gtime`` by the time zone of the machine."""

from __future__ import annotations

import time
from collections.abc import Callable

from trimtab.qcode.q.errors import QError
from trimtab.qcode.q.lists import collect, items
from trimtab.qcode.q.registry import monad
from trimtab.qcode.q.values import ATOMS, DATETIME, NULLS, TIMESTAMP, Atom, Dict, Q, Table, Vec, qtype, raw

_EPOCH_SECONDS = 10_957 * 86_400
"""From 1970 to 2000."""


def offset_seconds(utc_seconds: float) -> int:
    """Seconds that local time is ahead of Universal Time, at so many seconds since 2000 (within this zone's tables)."""
    try:
        return time.localtime(utc_seconds + _EPOCH_SECONDS).tm_gmtoff
    except (OverflowError, ValueError, OSError):
        return 0


def _shifted(x: Q, offset: Callable[[float], int]) -> Q:
    t, v = -qtype(x), raw(x)
    if t not in (TIMESTAMP, DATETIME):
        raise QError("type")
    if t == DATETIME:
        return Atom(DATETIME, v + offset(v * 86_400) / 86_400) if v == v and abs(v) != float("inf") else x
    return x if v == NULLS[TIMESTAMP] or abs(v) == 2**63 - 1 else Atom(TIMESTAMP, v + offset(v / 1e9) * 1_000_000_000)


def _over(x: Q, offset: Callable[[float], int]) -> Q:
    if type(x) in ATOMS:
        return _shifted(x, offset)
    if type(x) is Dict:
        return Dict(x.k, _over(x.v, offset))
    if type(x) is Table or type(x) is not Vec:
        raise QError("type")
    return collect([_over(v, offset) for v in items(x)]) if len(x) else x


@monad("ltime")
def ltime(x: Q) -> Q:
    """Local time of Universal Time."""
    return _over(x, offset_seconds)


@monad("gtime")
def gtime(x: Q) -> Q:
    """Universal Time of local time."""
    return _over(x, lambda s: -offset_seconds(s - offset_seconds(s)))
