"""What is a q value in Python? Atoms, vectors, lists, dictionaries, tables; how each is made.

Atoms of the common types are Python's own: ``int`` is a long, ``float`` a float, ``bool`` a boolean, ``str`` a symbol.
Other
atoms are ``Atom(t, v)``. Vectors are ``Vec(t, a)``: ``a`` a numpy array of the type's dtype (``t`` 1 to 19), a Python list
for general lists (``t`` 0), positions in the domain ``dom`` for enumerations (``t`` 20). Values are never changed in place,
except by the amend of a variable that nothing else refers to.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from trimtab.qcode.q.errors import QError

Q = Any
"""A q value."""

BOOL, GUID, BYTE, SHORT, INT, LONG, REAL, FLOAT, CHAR, SYM = 1, 2, 4, 5, 6, 7, 8, 9, 10, 11
TIMESTAMP, MONTH, DATE, DATETIME, TIMESPAN, MINUTE, SECOND, TIME, ENUM = 12, 13, 14, 15, 16, 17, 18, 19, 20

NJ, WJ = -(2**63), 2**63 - 1
NAN, INF = float("nan"), float("inf")

DTYPES: dict[int, Any] = {
    BOOL: np.bool_,
    GUID: object,
    BYTE: np.uint8,
    SHORT: np.int16,
    INT: np.int32,
    LONG: np.int64,
    REAL: np.float32,
    FLOAT: np.float64,
    CHAR: np.uint8,
    SYM: object,
    TIMESTAMP: np.int64,
    MONTH: np.int32,
    DATE: np.int32,
    DATETIME: np.float64,
    TIMESPAN: np.int64,
    MINUTE: np.int32,
    SECOND: np.int32,
    TIME: np.int32,
    ENUM: np.int64,
}
BITS = {
    SHORT: 16,
    INT: 32,
    LONG: 64,
    TIMESTAMP: 64,
    TIMESPAN: 64,
    MONTH: 32,
    DATE: 32,
    MINUTE: 32,
    SECOND: 32,
    TIME: 32,
}
INTEGERS = frozenset(BITS)
FLOATS = frozenset((REAL, FLOAT, DATETIME))
TEMPORAL = frozenset(range(12, 20))
NULLS: dict[int, Any] = {t: -(1 << (bits - 1)) for t, bits in BITS.items()} | {
    BOOL: False,
    GUID: 0,
    BYTE: 0,
    REAL: NAN,
    FLOAT: NAN,
    DATETIME: NAN,
    CHAR: 32,
    SYM: "",
    ENUM: NJ,
}
INFINITIES: dict[int, Any] = {t: (1 << (bits - 1)) - 1 for t, bits in BITS.items()} | dict.fromkeys(FLOATS, INF)
CHARS = " bg xhijefcspmdznuvt"
"""The letter of each type, by its number."""
NAMES = (
    "",
    "boolean",
    "guid",
    "",
    "byte",
    "short",
    "int",
    "long",
    "real",
    "float",
    "char",
    "symbol",
    "timestamp",
    "month",
    "date",
    "datetime",
    "timespan",
    "minute",
    "second",
    "time",
)


class Atom:
    """An atom of a type that Python has no class for: ``v`` is an int (or a float for real and datetime)."""

    __slots__ = ("dom", "t", "v")

    def __init__(self, t: int, v: Any, dom: str = "") -> None:
        self.t = t
        self.v = v
        self.dom = dom

    def __repr__(self) -> str:
        return f"Atom({self.t}, {self.v})"


class Vec:
    """A list: of atoms of one type (``a`` a numpy array), or of anything (``t`` 0, ``a`` a Python list)."""

    __slots__ = ("a", "attr", "dom", "t")

    def __init__(self, t: int, a: Any, attr: str = "", dom: str = "") -> None:
        self.t = t
        self.a = a
        self.attr = attr
        self.dom = dom

    def __len__(self) -> int:
        return len(self.a)

    def __repr__(self) -> str:
        return f"Vec({self.t}, {self.a!r})"


class Table:
    """A table: names of columns, and columns of one length."""

    __slots__ = ("attr", "cols", "names")

    def __init__(self, names: list[str], cols: list[Vec], attr: str = "") -> None:
        self.names = names
        self.cols = cols
        self.attr = attr

    def __len__(self) -> int:
        return len(self.cols[0]) if self.cols else 0

    def col(self, name: str) -> Vec:
        """A column by name; KeyError where there is none."""
        try:
            return self.cols[self.names.index(name)]
        except ValueError:
            raise KeyError(name) from None

    def __repr__(self) -> str:
        return f"Table({self.names})"


class Dict:
    """A dictionary from the items of ``k`` to those of ``v``; a keyed table where both are tables."""

    __slots__ = ("attr", "k", "v")

    def __init__(self, k: Any, v: Any, attr: str = "") -> None:
        self.k = k
        self.v = v
        self.attr = attr

    def __len__(self) -> int:
        return count(self.k)

    def __repr__(self) -> str:
        return f"Dict({self.k!r}, {self.v!r})"


class Func:
    """A function value; ``t`` is its type number, ``rank`` how many arguments it takes."""

    __slots__ = ()
    t: int = 100
    rank: int = 1


class Null(Func):
    """The generic null and identity ``::``."""

    __slots__ = ()
    t = 101
    rank = 1

    def __repr__(self) -> str:
        return "::"


class Elided:
    """A missing item, as in ``f[;2]``."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "elided"


NULL = Null()
ELIDED = Elided()
EMPTY = Vec(0, [])


def qtype(x: Q) -> int:
    """The type number of a value, negative for atoms."""
    c = type(x)
    if c is int:
        return -7
    if c is float:
        return -9
    if c is str:
        return -11
    if c is Vec:
        return x.t
    if c is bool:
        return -1
    if c is Atom:
        return -x.t
    if c is Table:
        return 98
    if c is Dict:
        return 99
    if x is ELIDED:
        return 101
    return x.t


def is_atom(x: Q) -> bool:
    """Whether a value is an atom (functions are not)."""
    return type(x) in ATOMS


ATOMS = frozenset((int, float, bool, str, Atom))


def is_func(x: Q) -> bool:
    """Whether a value is a function."""
    return isinstance(x, Func)


def count(x: Q) -> int:
    """Number of items; 1 for atoms and functions."""
    return len(x) if type(x) in (Vec, Table, Dict) else 1


def raw(x: Q) -> Any:
    """The Python number or text inside an atom."""
    return x.v if type(x) is Atom else x


def box(t: int, v: Any, dom: str = "") -> Q:
    """An atom of type ``t`` from a Python (or numpy) scalar."""
    if t == LONG:
        return int(v)
    if t == FLOAT:
        return float(v)
    if t == SYM:
        return v
    if t == BOOL:
        return bool(v)
    if t in FLOATS:
        return Atom(t, float(v))
    return Atom(t, int(v), dom)


def null_of(t: int) -> Q:
    """The null atom of a type; the empty list where the type is general."""
    t = abs(t)
    if t == 0:
        return EMPTY
    return box(t, NULLS[t]) if t in NULLS else NULL


def vec(t: int, values: Iterable[Any]) -> Vec:
    """A typed vector from Python scalars."""
    if t == 0:
        return Vec(0, list(values))
    if t in (SYM, GUID):
        return Vec(t, objects(list(values)))
    return Vec(t, np.array(list(values), dtype=DTYPES[t]))


def objects(values: Sequence[Any]) -> Any:
    """A numpy array of Python objects that numpy does not look into."""
    out = np.empty(len(values), dtype=object)
    out[:] = values
    return out


def empty(t: int) -> Vec:
    """An empty vector of a type."""
    return Vec(0, []) if t == 0 else Vec(t, np.empty(0, dtype=DTYPES[t]))


def longs(a: Any) -> Vec:
    """A long vector."""
    return Vec(LONG, np.asarray(a, dtype=np.int64))


def floats(a: Any) -> Vec:
    """A float vector."""
    return Vec(FLOAT, np.asarray(a, dtype=np.float64))


def bools(a: Any) -> Vec:
    """A boolean vector."""
    return Vec(BOOL, np.asarray(a, dtype=np.bool_))


def syms(names: Sequence[str]) -> Vec:
    """A symbol vector."""
    return Vec(SYM, objects(list(names)))


def chars(text: str | bytes) -> Vec:
    """A char vector; text is encoded as UTF-8."""
    data = text if isinstance(text, bytes) else text.encode("utf-8", "surrogateescape")
    return Vec(CHAR, np.frombuffer(data, dtype=np.uint8))


def char(c: str | int) -> Atom:
    """A char atom."""
    return Atom(CHAR, c if isinstance(c, int) else ord(c) & 255)


def text_of(x: Q) -> str:
    """The text of a string or char; 'type for anything else. Bytes above 127 are kept by surrogates where not UTF-8."""
    if type(x) is Vec and x.t == CHAR:
        return x.a.tobytes().decode("utf-8", "surrogateescape")
    if type(x) is Atom and x.t == CHAR:
        return bytes([x.v]).decode("utf-8", "surrogateescape")
    if type(x) is Vec and not len(x):
        return ""
    raise QError("type")


def is_string(x: Q) -> bool:
    """Whether a value is a char vector."""
    return type(x) is Vec and x.t == CHAR
