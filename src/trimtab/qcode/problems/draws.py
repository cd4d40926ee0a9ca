"""How are fresh arguments drawn for a problem? From a description of each argument, with a seed; no code is run.

A draw is a mapping with ``type`` (see qtext.py) and, as it applies: ``low`` and ``high`` (inclusive), ``of`` (the atoms to
choose from; a string's letters), ``words`` and ``separator`` (a string of words), ``least`` and ``most`` (length), ``like``
(an earlier argument's length), ``index_of`` and ``item_of`` (an index into, or mostly an item of, an earlier argument),
``nulls`` (their share), ``order`` (ascending, descending, distinct), ``width`` (the rows of a matrix: two lengths),
``square``, ``keys`` and ``values`` (a dictionary), ``columns`` (a table), ``shuffle_of`` (an earlier argument in another
order), ``parents`` (a forest: each node's parent, -1 for a root).
"""

from __future__ import annotations

import datetime
import math
from collections.abc import Mapping, Sequence
from random import Random
from typing import Any

from trimtab.qcode.problems import qtext

Draw = Mapping[str, Any]

FIELDS = {
    "type", "low", "high", "of", "words", "separator", "least", "most", "like", "index_of", "item_of", "nulls", "order",
    "width", "square", "keys", "values", "columns", "shuffle_of", "parents",
}  # fmt: skip
ORDERS = ("ascending", "descending", "distinct", "ascending distinct")
RANGES: dict[str, tuple[float, float]] = {
    "j": (-9, 9),
    "f": (-9, 9),
    "x": (0, 255),
    "m": (240, 311),
    "u": (0, 1439),
    "v": (0, 86399),
    "t": (0, 86_399_999),
    "n": (0, 10**13),
    "d": (0, 730),
    "p": (0, 730 * 86400),
}
LETTERS = "abcde"
FIRST_DAY = datetime.date(2023, 1, 1)


def check(draw: object, where: str) -> None:
    """Raise ValueError, naming ``where``, unless ``draw`` describes an argument."""
    if not isinstance(draw, Mapping) or not isinstance(draw.get("type"), str):
        raise ValueError(f"{where}: got {draw!r}, expected a mapping with a type, such as {{'type': 'J', 'most': 8}}")
    unknown = sorted(set(draw) - FIELDS)
    if unknown:
        raise ValueError(f"{where}: field {unknown[0]!r} is not known, expected some of {', '.join(sorted(FIELDS))}")
    if draw.get("order", "distinct") not in ORDERS:
        raise ValueError(f"{where}.order: got {draw['order']!r}, expected one of {', '.join(ORDERS)}")
    for low, high in (("low", "high"), ("least", "most")):
        if low in draw and high in draw and draw[low] > draw[high]:
            raise ValueError(f"{where}: {low} {draw[low]} is above {high} {draw[high]}")
    for name, part in {**draw.get("columns", {}), **{k: draw[k] for k in ("keys", "values") if k in draw}}.items():
        check(part, f"{where}.{name}")


def _number(kind: str, draw: Draw, rng: Random) -> Any:
    low, high = draw.get("low", RANGES[kind][0]), draw.get("high", RANGES[kind][1])
    if kind == "f":
        return round(rng.uniform(low, high), 2) if rng.random() < 0.7 else float(rng.randint(math.ceil(low), int(high)))
    value = rng.randint(int(low), int(high))
    if kind == "d":
        return FIRST_DAY + datetime.timedelta(value)
    if kind == "p":
        return datetime.datetime.combine(FIRST_DAY, datetime.time()) + datetime.timedelta(seconds=value)
    return value


def _atom(kind: str, draw: Draw, rng: Random) -> Any:
    if "nulls" in draw and rng.random() < draw["nulls"]:
        return None
    if "of" in draw:
        return rng.choice(draw["of"])
    if kind == "b":
        return rng.random() < 0.5
    if kind in "cs":
        return rng.choice(LETTERS)
    return _number(kind, draw, rng)


def _length(draw: Draw, rng: Random, earlier: Sequence[Any]) -> int:
    if "like" in draw:
        return len(earlier[draw["like"]])
    return rng.randint(draw.get("least", 0), draw.get("most", 8))


def _sort_key(value: Any) -> tuple[bool, Any]:
    return (value is not None, value)  # nulls first, as in q


def _ordered(values: list[Any], order: str) -> list[Any]:
    if "distinct" in order:
        values = list(dict.fromkeys(values))
    if "scending" in order:
        values = sorted(values, key=_sort_key, reverse="descending" in order)
    return values


def _vector(kind: str, draw: Draw, rng: Random, length: int) -> Any:
    if "words" in draw:
        return draw.get("separator", " ").join(rng.choice(draw["words"]) for _ in range(length))
    values = [_atom(kind, draw, rng) for _ in range(length)]
    if "order" in draw:
        values = _ordered(values, draw["order"])
    return "".join(values) if kind == "c" else values


def _rows(draw: Draw, rng: Random, rows: int) -> list[Any]:
    """A list of vectors: of one width where ``square`` or a fixed ``width``, else ragged."""
    kind = draw["type"][0].lower()
    if draw.get("square"):
        return [_vector(kind, draw, rng, rows) for _ in range(rows)]
    least, most = draw.get("width", (0, 4))
    width = rng.randint(least, most)
    fixed = draw["type"] != "CC" and "width" in draw
    return [_vector(kind, draw, rng, width if fixed else rng.randint(least, most)) for _ in range(rows)]


def _table(draw: Draw, rng: Random) -> dict[str, Any]:
    length = rng.randint(draw.get("least", 0), draw.get("most", 8))
    cells: dict[str, Any] = {}
    for name, part in draw["columns"].items():
        cells[name] = draw_one({**part, "least": length, "most": length}, rng, ())
    shortest = min(len(cell) for cell in cells.values())  # distinct columns may have lost items
    return {name: cell[:shortest] for name, cell in cells.items()}


def draw_one(draw: Draw, rng: Random, earlier: Sequence[Any]) -> Any:
    """The Python value of one argument; ``earlier`` are those before it."""
    kind: str = draw["type"]
    if "columns" in draw:
        return _table(draw, rng)
    if "keys" in draw:
        keys = draw_one({"order": "distinct", **draw["keys"]}, rng, ())
        values = draw_one({**draw["values"], "least": len(keys), "most": len(keys)}, rng, ())
        return dict(zip(keys, values, strict=False))  # distinct values may be fewer
    if "index_of" in draw:
        return rng.randrange(max(1, len(earlier[draw["index_of"]])))
    if "item_of" in draw and earlier[draw["item_of"]] and rng.random() < 0.75:
        return rng.choice(earlier[draw["item_of"]])
    if "shuffle_of" in draw:
        return rng.sample(earlier[draw["shuffle_of"]], len(earlier[draw["shuffle_of"]]))
    if kind.islower():
        return _atom(kind, draw, rng)
    length = _length(draw, rng, earlier)
    if draw.get("parents"):
        return [rng.randrange(max(-1, i - 4), i) if i else -1 for i in range(length)]
    return _rows(draw, rng, length) if len(kind) > 1 else _vector(kind.lower(), draw, rng, length)


def values_of(draws: Sequence[Draw], rng: Random) -> tuple[Any, ...]:
    """Python values for all arguments of a call."""
    values: list[Any] = []
    for draw in draws:
        values.append(draw_one(draw, rng, values))
    return tuple(values)


def type_of(draw: Draw) -> str:
    """The full type (see qtext.py) of what ``draw`` yields."""
    return draw["type"]


def texts_of(draws: Sequence[Draw], seed: int, count: int) -> list[tuple[str, ...]]:
    """``count`` fresh lists of arguments as q expressions, the same for the same seed."""
    rng = Random(f"arguments {seed}")
    return [
        tuple(qtext.write(value, type_of(draw)) for value, draw in zip(values_of(draws, rng), draws, strict=True))
        for _ in range(count)
    ]
