"""What is a q value in Python's own terms, and the reverse? Numbers, text, numpy arrays, dictionaries, pandas frames."""

from __future__ import annotations

import datetime
import uuid
from collections.abc import Iterator
from typing import Any

import numpy as np

from trimtab.qcode.q import display
from trimtab.qcode.q.errors import QError
from trimtab.qcode.q.formats import enum_symbol
from trimtab.qcode.q.lists import as_list, collect, items
from trimtab.qcode.q.values import (
    ATOMS,
    BOOL,
    BYTE,
    CHAR,
    DATE,
    DATETIME,
    ENUM,
    FLOAT,
    GUID,
    INT,
    LONG,
    MINUTE,
    MONTH,
    NULL,
    NULLS,
    REAL,
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
    chars,
    objects,
    qtype,
    raw,
    syms,
    text_of,
    vec,
)

_MOMENTS = {
    TIMESTAMP: ("datetime64[ns]", "2000-01-01"),
    MONTH: ("datetime64[M]", "2000-01"),
    DATE: ("datetime64[D]", "2000-01-01"),
}
_SPANS = {TIMESPAN: "timedelta64[ns]", MINUTE: "timedelta64[m]", SECOND: "timedelta64[s]", TIME: "timedelta64[ms]"}
_KINDS = {
    "bool": BOOL,
    "uint8": BYTE,
    "int8": SHORT,
    "int16": SHORT,
    "uint16": INT,
    "int32": INT,
    "uint32": LONG,
    "int64": LONG,
    "float16": REAL,
    "float32": REAL,
    "float64": FLOAT,
}


class Value:
    """A q value that Python can look at: ``py()``, ``np()``, ``pd()``, ``str()`` (the console's text), ``q`` (as it is)."""

    __slots__ = ("q",)

    def __init__(self, q: Q) -> None:
        self.q = q

    def py(self) -> Any:
        """As plain Python: numbers, str (symbols and strings), lists, dictionaries; a table as columns by name."""
        return to_python(self.q)

    def np(self) -> Any:
        """As a numpy array (or scalar)."""
        got = to_numpy(as_list(self.q)) if type(self.q) is Vec or type(self.q) in ATOMS else self.py()
        return got[0] if type(self.q) in ATOMS else got

    def pd(self) -> Any:
        """A table as a pandas DataFrame (a keyed one by its index), a list as a Series."""
        import pandas

        if type(self.q) is Dict and type(self.q.k) is Table and type(self.q.v) is Table:
            whole = Table([*self.q.k.names, *self.q.v.names], [*self.q.k.cols, *self.q.v.cols])
            return Value(whole).pd().set_index(self.q.k.names)
        if type(self.q) is Table:
            return pandas.DataFrame(
                {n: _series_data(c) for n, c in zip(self.q.names, self.q.cols, strict=True)}, columns=self.q.names
            )
        return pandas.Series(self.py() if type(self.q) is Dict else _series_data(as_list(self.q)))

    @property
    def type(self) -> int:
        """The type number."""
        return qtype(self.q)

    def __str__(self) -> str:
        return display.show(self.q).rstrip("\n")

    __repr__ = __str__

    def __len__(self) -> int:
        return len(self.q)

    def __iter__(self) -> Iterator[Any]:
        return iter([to_python(v) for v in items(self.q)])

    def __int__(self) -> int:
        return int(raw(self.q))

    def __float__(self) -> float:
        return float(raw(self.q))

    def __bool__(self) -> bool:
        return bool(raw(self.q)) if type(self.q) in ATOMS else len(self.q) > 0

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        return np.asarray(self.np(), dtype=dtype)

    def __eq__(self, other: object) -> bool:
        mine, theirs = self.py(), other.py() if isinstance(other, Value) else other
        if isinstance(mine, list) and isinstance(theirs, np.ndarray):
            theirs = theirs.tolist()
        return bool(mine == theirs)

    def __hash__(self) -> int:
        return hash(display.one_line(self.q))


def _series_data(c: Vec) -> Any:
    return [text_of(v) if type(v) is Vec and v.t == CHAR else to_python(v) for v in c.a] if c.t == 0 else to_numpy(c)


def to_numpy(x: Vec) -> Any:
    """A list as an array: dates and times as datetime64 and timedelta64 with NaT, chars as bytes, guids as UUID."""
    t = x.t
    if t == ENUM:
        x, t = enum_symbol(x), SYM
    if t == 0:
        return objects([to_python(v) for v in x.a])
    if t in _MOMENTS or t in _SPANS:
        unit = _MOMENTS[t][0] if t in _MOMENTS else _SPANS[t]
        wide = x.a.astype(np.int64)
        span = wide.astype(unit.replace("datetime", "timedelta"))
        out = np.datetime64(_MOMENTS[t][1]).astype(unit) + span if t in _MOMENTS else span
        out[wide == NULLS[t]] = np.array("NaT", dtype=unit)
        return out
    if t == DATETIME:
        days = np.where(np.isnan(x.a), 0, x.a)
        out = np.datetime64("2000-01-01", "ms") + np.round(days * 86_400_000).astype("timedelta64[ms]")
        out[np.isnan(x.a)] = np.datetime64("NaT")
        return out
    if t == CHAR:
        return x.a.view("S1")
    if t == GUID:
        return objects([uuid.UUID(int=int(v)) for v in x.a])
    return x.a


def to_python(x: Q) -> Any:
    """A value in plain Python."""
    if x is NULL:
        return None
    if type(x) in ATOMS:
        t = -qtype(x)
        if t in (LONG, FLOAT, SYM, BOOL, BYTE, SHORT, INT, REAL):
            return raw(x)
        if t == CHAR:
            return text_of(x)
        if t == ENUM:
            return enum_symbol(x)
        return to_numpy(vec(t, [raw(x)]))[0]
    if type(x) is Vec:
        if x.t == CHAR:
            return text_of(x)
        if x.t in _MOMENTS or x.t in _SPANS or x.t in (DATETIME, GUID):
            return list(to_numpy(x))
        return [to_python(v) for v in items(x)]
    if type(x) is Table:
        return {name: to_python(c) for name, c in zip(x.names, x.cols, strict=True)}
    if type(x) is Dict:
        keys = [to_python(k) for k in items(x.k)]
        return dict(zip([_hashable(k) for k in keys], [to_python(v) for v in items(x.v)], strict=True))
    return display.one_line(x)


def _hashable(k: Any) -> Any:
    if isinstance(k, list):
        parts: list[Any] = k
        return tuple(map(_hashable, parts))
    if isinstance(k, dict):
        pairs: dict[Any, Any] = k
        return tuple((a, _hashable(b)) for a, b in pairs.items())
    return k


def from_python(v: Any) -> Q:  # noqa: C901 one case after another
    """A Python value as q: str a symbol, bytes a string, lists and arrays lists, mappings dictionaries, frames tables."""
    if isinstance(v, Value):
        return v.q
    if v is None:
        return NULL
    if isinstance(v, (bool, int, float, str)):
        return _plain(v)
    if isinstance(v, bytes):
        return chars(v)
    if isinstance(v, (np.ndarray, np.generic)):
        return _from_numpy(np.asarray(v))
    if isinstance(v, uuid.UUID):
        return box(GUID, v.int)
    if isinstance(v, (datetime.date, datetime.timedelta)):
        whole = not isinstance(v, datetime.date) or isinstance(v, datetime.datetime)
        kind = (
            "timedelta64[ns]" if isinstance(v, datetime.timedelta) else "datetime64[ns]" if whole else "datetime64[D]"
        )
        return _from_numpy(np.asarray(v, dtype=kind))
    if isinstance(v, dict):
        pairs: dict[Any, Any] = v
        return Dict(_listed(list(pairs)), _listed(list(pairs.values())))
    if isinstance(v, (list, tuple)):
        values: list[Any] = list(v)  # pyright: ignore[reportUnknownArgumentType]
        return _listed(values)
    if hasattr(v, "columns"):
        return Table([str(c) for c in v.columns], [as_list(from_python(v[c].to_numpy())) for c in v.columns])
    if hasattr(v, "to_numpy"):
        return from_python(v.to_numpy())
    if isinstance(v, (Atom, Vec, Dict, Table)) or hasattr(v, "rank"):
        return v
    raise TypeError(
        f"{type(v).__name__} has no counterpart in q; give numbers, text, lists, arrays, mappings or frames"
    )


def _plain(v: Any) -> Q:
    if type(v) is int and not -(2**63) <= v < 2**63:
        raise QError("limit")
    return v


def _listed(values: list[Any]) -> Vec:
    return as_list(collect([from_python(v) for v in values]))


def _from_numpy(a: Any) -> Q:
    if a.ndim == 0:
        return items(_from_numpy(a.reshape(1)))[0]
    if a.ndim > 1:
        return Vec(0, [_from_numpy(row) for row in a])
    if a.dtype.kind == "M":
        return _moments(a)
    if a.dtype.kind == "m":
        wide = a.astype("timedelta64[ns]").astype(np.int64)
        return Vec(TIMESPAN, wide)
    if a.dtype.kind == "U":
        return syms([str(v) for v in a])
    if a.dtype.kind == "S":
        return Vec(0, [chars(bytes(v)) for v in a])
    if a.dtype.kind == "O":
        return _listed(a.tolist())
    t = _KINDS.get(a.dtype.name)
    if t is None:
        raise TypeError(f"arrays of {a.dtype} have no counterpart in q")
    dtype = {"int8": np.int16, "uint16": np.int32, "uint32": np.int64, "float16": np.float32}.get(a.dtype.name, a.dtype)
    return Vec(t, a.astype(dtype))


def _moments(a: Any) -> Vec:
    unit = np.datetime_data(a.dtype)[0]
    t = DATE if unit == "D" else MONTH if unit == "M" else TIMESTAMP
    kind, epoch = _MOMENTS[t]
    null = np.isnat(a)
    wide = (a.astype(kind) - np.datetime64(epoch).astype(kind)).astype(np.int64)
    return vec(t, np.where(null, NULLS[t], wide).tolist())
