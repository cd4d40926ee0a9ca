"""Is a python value the expected one? Both as JSON (see ``plainvalues``), so that nothing of the program's own is asked.

``exact``: types too, floats to the bit (nan is nan). ``loose``: numbers by value, floats within a tolerance, tuples
and lists alike. ``unordered``: loose, and the order of the outermost items does not count.
"""

from __future__ import annotations

import json
import math
from typing import Any, cast

from trimtab.qcode.engine.protocol import Comparison

RELATIVE, ABSOLUTE = 1e-9, 1e-12
Plain = Any


def read(data: bytes) -> Plain:
    """The JSON that a program sent, objects as lists of pairs. Raises ValueError on anything else."""
    try:
        return _checked(_DECODER.decode(data.decode()), 0)
    except RecursionError:
        raise ValueError("nested too deep") from None


class _Tagged(list[Any]):
    """An object, as pairs: of a program's keys no dictionary is made."""


_DECODER = json.JSONDecoder(object_pairs_hook=_Tagged)


def _checked(value: Any, depth: int) -> Plain:
    """``value`` with its objects as (tag, content), all content checked."""
    if depth > 120:
        raise ValueError("nested too deep")
    if isinstance(value, _Tagged):
        if len(value) != 1:
            raise ValueError("an object that is no tag")
        tag, content = value[0]
        return _TAGS[tag](content, depth + 1) if tag in _TAGS else _unknown(tag)
    if isinstance(value, list):
        return [_checked(item, depth + 1) for item in cast("list[Any]", value)]
    return value


def _unknown(tag: str) -> Plain:
    raise ValueError(f"a tag {tag[:20]!r}")


def _listed(kind: str) -> Any:
    def check(content: Any, depth: int) -> Plain:
        if type(content) is not list:
            raise ValueError("a tag without a list")
        return kind, [_checked(item, depth) for item in cast("list[Any]", content)]

    return check


def _whole(content: Any, _: int) -> Plain:
    if not isinstance(content, str):
        raise ValueError("a whole number without digits")
    return int(content, 16) if len(content) < 250 else ("whole", content)  # a longer one is beyond all floats


def _text(content: Any, _: int) -> Plain:
    if not isinstance(content, str):
        raise ValueError("bytes without text")
    return "bytes", content


def _pairs(content: Any, depth: int) -> Plain:
    _, pairs = _listed("dict")(content, depth)
    if any(type(pair) is not list or len(pair) != 2 for pair in pairs):
        raise ValueError("a dictionary without pairs")
    return "dict", pairs


_TAGS = {
    "i": _whole,
    "t": _listed("tuple"),
    "d": _pairs,
    "s": _listed("set"),
    "z": _listed("frozenset"),
    "b": _text,
    "c": _listed("complex"),
}


def _numbers(x: float, y: float, exact: bool) -> bool:
    if exact:
        return type(x) is type(y) and (x == y or (x != x and y != y))
    if x == y or (x != x and y != y):
        return True
    return any(type(n) is float for n in (x, y)) and math.isclose(x, y, rel_tol=RELATIVE, abs_tol=ABSOLUTE)


def _key(value: Plain) -> tuple[int, float, str]:
    """By what unordered items are sorted: numbers by size, the rest by their text. What is loosely the same has one key."""
    kind = _kind(value, exact=False)
    if kind == "number":
        return 0, float(value), ""
    if kind in ("list", "set", "complex"):
        keys = [_key(item) for item in _items(value)]
        return 1, 0.0, repr(sorted(keys) if kind == "set" else keys)
    if kind == "dict":
        return 2, 0.0, repr(sorted((_key(key), _key(content)) for key, content in _items(value)))
    return 3, 0.0, json.dumps(value)


def _paired(x: list[Plain], y: list[Plain], exact: bool) -> bool:
    return len(x) == len(y) and all(_same(a, b, exact) for a, b in zip(x, y, strict=True))


def _unordered(x: list[Plain], y: list[Plain], exact: bool) -> bool:
    return len(x) == len(y) and _paired(sorted(x, key=_key), sorted(y, key=_key), exact)


def _pairs_same(x: list[Plain], y: list[Plain], exact: bool) -> bool:
    def by_key(pair: Plain) -> tuple[int, float, str]:
        return _key(pair[0])

    return len(x) == len(y) and _paired(sorted(x, key=by_key), sorted(y, key=by_key), exact)


def _kind(value: Plain, exact: bool) -> str:
    if type(value) is list:
        return "list"
    if type(value) is tuple:
        kind = cast("str", value[0])
        return {"tuple": "list", "frozenset": "set"}.get(kind, kind) if not exact else kind
    return "number" if isinstance(value, (bool, int, float)) else type(value).__name__


def _items(value: Plain) -> list[Plain]:
    return value if type(value) is list else value[1]


def _same(x: Plain, y: Plain, exact: bool) -> bool:
    kind = _kind(x, exact)
    if kind != _kind(y, exact):
        return False
    if kind == "number":
        return _numbers(x, y, exact)
    if kind in ("list", "tuple", "complex"):
        return _paired(_items(x), _items(y), exact)
    if kind in ("set", "frozenset"):
        return _unordered(_items(x), _items(y), exact)
    if kind == "dict":
        return _pairs_same(_items(x), _items(y), exact)
    return x == y


def same(got: Plain, expected: Plain, comparison: Comparison) -> bool:
    """Whether ``got`` is ``expected``; both from ``read``."""
    if comparison == "unordered":
        kinds = [_kind(value, exact=False) for value in (got, expected)]
        if all(kind in ("list", "set") for kind in kinds):
            return _unordered(_items(got), _items(expected), exact=False)
    return _same(got, expected, comparison == "exact")
