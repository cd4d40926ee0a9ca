"""How do python values cross between processes that do not trust each other? As JSON with a few tags, capped in length.

Only exact builtin types come out, so a received value has no behaviour of its sender's: no overridden ``__eq__``, no
subclass, no code. Nothing here can run what it reads. Bare JSON: None, bool, float, str, int below 2**63, list. Tagged, as
one-key objects: ``{"i": hex}``, ``{"t": tuple}``, ``{"d": [[key, value], ...]}``, ``{"s": set}``, ``{"z": frozenset}``,
``{"b": base64}``, ``{"c": [real, imaginary]}``.

``encode`` runs in the process that has the value, for a value may have code of its own. A grader compares JSON with JSON
(``same.py``) and never ``decode``s what a program sent: keys chosen to collide would cost it a quadratic time. Confined
processes do decode, on their own time.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping, Sequence, Set
from numbers import Integral, Real
from typing import Any, cast

MOST_DEPTH = 100
_JSON = json.JSONEncoder(separators=(",", ":"))
_SMALL = 1 << 63


class NotPlain(TypeError):
    """The value has no plain form: a function, an iterator, an object of the program's own."""


def _integer(value: int) -> Any:
    return value if -_SMALL <= value < _SMALL else {"i": hex(value)}


def _items(values: Any, depth: int) -> list[Any]:
    return [_plain(item, depth + 1) for item in values]


def _pairs(values: Mapping[Any, Any], depth: int) -> list[Any]:
    return [[_plain(key, depth + 1), _plain(values[key], depth + 1)] for key in values]


_EXACT: dict[type, Callable[[Any, int], Any]] = {
    type(None): lambda value, _: value,
    bool: lambda value, _: value,
    float: lambda value, _: value,
    str: lambda value, _: value,
    int: lambda value, _: _integer(value),
    list: _items,
    tuple: lambda value, depth: {"t": _items(value, depth)},
    dict: lambda value, depth: {"d": _pairs(value, depth)},
    set: lambda value, depth: {"s": _items(value, depth)},
    frozenset: lambda value, depth: {"z": _items(value, depth)},
    bytes: lambda value, _: {"b": base64.b64encode(value).decode()},
    complex: lambda value, _: {"c": [value.real, value.imag]},
}


def _kin(value: Any, depth: int) -> Any:
    """The plain form of a subclass or a look-alike (numpy's scalars and arrays, Counter, deque, range, Fraction)."""
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, float):
        return float.__float__(value)
    if isinstance(value, int):
        return _integer(int.__index__(value))
    if hasattr(value, "tolist") and hasattr(value, "dtype"):
        return _plain(value.tolist(), depth)
    if isinstance(value, Integral):
        return _integer(int(value))
    if isinstance(value, Real):
        return float(value)
    if isinstance(value, (bytes, bytearray)):
        return _plain(bytes(value), depth)
    if isinstance(value, tuple):
        return {"t": _items(cast("tuple[Any, ...]", value), depth)}
    if isinstance(value, Mapping):
        return {"d": _pairs(cast("Mapping[Any, Any]", value), depth)}
    if isinstance(value, Set):
        return {"s": _items(cast("Set[Any]", value), depth)}
    if isinstance(value, Sequence) or type(value).__name__ in ("deque", "dict_keys", "dict_values", "dict_items"):
        return _items(value, depth)
    raise NotPlain(f"a {type(value).__name__} cannot be passed by value")


def _plain(value: Any, depth: int) -> Any:
    if depth > MOST_DEPTH:
        raise NotPlain(f"a value nested more than {MOST_DEPTH} deep cannot be passed by value")
    write = _EXACT.get(type(value))
    return write(value, depth) if write is not None else _kin(value, depth)


def encode(value: Any) -> bytes:
    """``value`` as bytes. Raises NotPlain (a TypeError)."""
    return _JSON.encode(_plain(value, 0)).encode()


def _hashable(items: list[Any]) -> list[Any]:
    return [_value(item) for item in items]


def _dictionary(pairs: list[Any]) -> dict[Any, Any]:
    return {_value(key): _value(value) for key, value in pairs}


_TAGS: dict[str, Callable[[Any], Any]] = {
    "i": lambda text: int(text, 16),
    "t": lambda items: tuple(_hashable(items)),
    "d": _dictionary,
    "s": lambda items: set(_hashable(items)),
    "z": lambda items: frozenset(_hashable(items)),
    "b": lambda text: base64.b64decode(text, validate=True),
    "c": lambda parts: complex(float(parts[0]), float(parts[1])),
}


def _value(plain: Any) -> Any:
    if isinstance(plain, list):
        return [_value(item) for item in cast("list[Any]", plain)]
    if isinstance(plain, dict):
        ((tag, content),) = cast("dict[str, Any]", plain).items()
        return _TAGS[tag](content)
    return plain


def decode(data: bytes) -> Any:
    """The value that ``encode`` wrote. Raises ValueError on anything else, whatever it is."""
    try:
        return _value(json.loads(data))
    except (ValueError, TypeError, KeyError, IndexError, RecursionError, OverflowError) as error:
        raise ValueError(f"not an encoded value ({type(error).__name__}: {str(error)[:80]})") from None


def plain(value: Any) -> Any:
    """``value`` as what JSON can write, for a place within other JSON. Raises NotPlain."""
    return _plain(value, 0)


def revived(tree: Any) -> Any:
    """The value of what ``plain`` gave, read back from JSON. For texts of the grader's own."""
    return _value(tree)
