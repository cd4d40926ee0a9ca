"""How is a Python value written as a q expression of a given type?

Types are short texts. A small letter is an atom (``j`` long, ``f`` float, ``b`` boolean, ``c`` char, ``s`` symbol, ``x``
byte, ``d`` date, ``m`` month, ``p`` timestamp, ``n`` timespan, ``u`` minute, ``v`` second, ``t`` time), a capital a vector
(``C`` a string), two capitals a list of vectors (``JJ``, ``CC``). ``S!J`` is a dictionary; ``+a:J,b:S`` a table,
``+a:S|b:J`` one keyed by what stands before the bar.

In Python: None is a null; dates are datetime.date, timestamps datetime.datetime, months and the other times whole numbers
(months since 2000.01, minutes, seconds, milliseconds; nanoseconds for timespans); a table is a dictionary of columns.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

NAMES = {
    "b": "boolean",
    "x": "byte",
    "j": "long",
    "f": "float",
    "c": "char",
    "s": "symbol",
    "p": "timestamp",
    "m": "month",
    "d": "date",
    "n": "timespan",
    "u": "minute",
    "v": "second",
    "t": "time",
}
PLURALS = {"b": "booleans", "x": "bytes", "c": "chars", "s": "symbols"}


def _float(value: float) -> str:
    if math.isnan(value):
        return "0n"
    if math.isinf(value):
        return "0w" if value > 0 else "-0w"
    return repr(float(f"{value:.15g}")).removesuffix(".0")  # the last bit may differ between machines


def _clock(seconds: int) -> str:
    return f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"


def _signed(write: Callable[[int], str]) -> Callable[[int], str]:
    return lambda value: write(value) if value >= 0 else "-" + write(-value)


def _span(value: int) -> str:
    days, rest = divmod(value, 86_400_000_000_000)
    return f"{days}D{_clock(rest // 10**9)}.{rest % 10**9:09d}"


_ATOMS: dict[str, Callable[[Any], str]] = {
    "j": str,
    "f": _float,
    "d": lambda day: f"{day.year:04d}.{day.month:02d}.{day.day:02d}",
    "m": lambda month: f"{2000 + month // 12:04d}.{month % 12 + 1:02d}",
    "p": lambda moment: f"{moment:%Y.%m.%dD%H:%M:%S}.{moment.microsecond * 1000:09d}",
    "n": _signed(_span),
    "u": _signed(lambda minutes: f"{minutes // 60:02d}:{minutes % 60:02d}"),
    "v": _signed(_clock),
    "t": _signed(lambda ms: f"{_clock(ms // 1000)}.{ms % 1000:03d}"),
}
_NULLS = {"j": "0N", "f": "0n", "d": "0Nd", "m": "0N", "p": "0Np", "n": "0Nn", "u": "0Nu", "v": "0Nv", "t": "0Nt"}


def _spaced(kind: str, values: Sequence[Any]) -> str:
    """Numbers and times, blanks between, the suffix once."""
    texts = [_NULLS[kind] if value is None else _ATOMS[kind](value) for value in values]
    if kind == "f" and not any(mark in text for text in texts for mark in (".", "e", "n", "w")):
        texts[-1] += "f"
    if kind == "m":
        texts[-1] += "m"
    return " ".join(texts)


def _quoted(text: str) -> str:
    for plain, escaped in (("\\", "\\\\"), ('"', '\\"'), ("\n", "\\n"), ("\t", "\\t"), ("\r", "\\r")):
        text = text.replace(plain, escaped)
    return f'"{text}"'


def _is_plain_symbol(text: str) -> bool:
    return text == "" or (text.isascii() and text.replace(".", "").isalnum() and text[0].isalnum())


def _symbols(values: Sequence[str]) -> str:
    values = ["" if value is None else value for value in values]
    if all(map(_is_plain_symbol, values)):
        return "".join("`" + value for value in values)
    return f"`$({';'.join(_quoted(value) if len(value) != 1 else 'enlist' + _quoted(value) for value in values)})"


def _joined(kind: str, values: Sequence[Any]) -> str:
    """At least one atom, or at least two as a vector."""
    if kind == "b":
        return "".join("01"[bool(value)] for value in values) + "b"
    if kind == "x":
        return "0x" + "".join(f"{value:02x}" for value in values)
    if kind == "s":
        return _symbols(values)
    return _spaced(kind, values)


def _atom(kind: str, value: Any) -> str:
    if kind == "c":
        return _quoted(" " if value is None else value)
    if kind == "s" and not _is_plain_symbol(value or ""):
        return f"`${_quoted(value)}"
    return _joined(kind, [value])


def _vector(kind: str, values: Sequence[Any]) -> str:
    if kind == "c":
        text = "".join(values)
        return f"enlist {_quoted(text)}" if len(text) == 1 else _quoted(text)
    if not values:
        return f"`{NAMES[kind]}$()"
    return f"enlist {_atom(kind, values[0])}" if len(values) == 1 else _joined(kind, values)


def columns(kind: str) -> tuple[dict[str, str], int]:
    """Of a table's type: its columns' types by name, and how many of them are keys."""
    keys, bar, rest = kind.removeprefix("+").rpartition("|")
    parts = [part for side in (keys, rest) for part in side.split(",") if part]
    return dict(part.split(":") for part in parts), len(keys.split(",")) if bar else 0


def _table(kind: str, value: dict[str, Any]) -> str:
    types, keyed = columns(kind)
    cells = [f"{name}:{write(value[name], of)}" for name, of in types.items()]
    return f"([{';'.join(cells[:keyed])}]{';'.join(cells[keyed:])})"


def write(value: Any, kind: str) -> str:
    """The q expression of ``value`` as type ``kind``. Raises ValueError for a type that is not known."""
    if kind.startswith("+"):
        return _table(kind, value)
    if "!" in kind:
        keys, values = kind.split("!")
        return f"({write(list(value), keys)})!{write(list(value.values()), values)}"
    if kind[:1].lower() not in NAMES or len(set(kind)) != 1:
        raise ValueError(
            f"type {kind!r} is not known: expected one of {''.join(NAMES)}, a capital, two, S!J or +a:J,b:S"
        )
    if len(kind) > 1:
        items = [write(item, kind[1:]) for item in value]
        return f"enlist {items[0]}" if len(items) == 1 else f"({';'.join(items)})"
    return _vector(kind.lower(), value) if kind.isupper() else _atom(kind, value)


def _named(kind: str) -> str:
    lower = kind[0].lower()
    if kind in ("C", "CC"):
        return {"C": "string", "CC": "list of strings"}[kind]
    plural = PLURALS.get(lower, NAMES[lower] + "s")
    return NAMES[lower] if kind.islower() else ("list of " * len(kind)) + plural


def spoken(kind: str) -> str:
    """A type for a person: ``list of longs``, ``dictionary from symbols to floats``, ``table (a long, b symbol)``."""
    if kind.startswith("+"):
        types, keyed = columns(kind)
        cells = [f"{name} {_named(of[:1].lower() if len(of) == 1 else of[1:])}" for name, of in types.items()]
        key = f" keyed by {', '.join(list(types)[:keyed])}" if keyed else ""
        return f"table{key} ({', '.join(cells)})"
    if "!" in kind:
        keys, values = kind.split("!")
        plural = values[0].lower() if len(values) == 1 else ""
        of = PLURALS.get(plural, NAMES[plural] + "s") if plural else {"CC": "strings"}.get(values, "lists")
        return f"dictionary from {_named(keys).removeprefix('list of ')} to {of}"
    return _named(kind)
