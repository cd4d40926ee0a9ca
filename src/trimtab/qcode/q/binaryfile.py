"""How are fields of fixed width read from bytes (``(types;widths)1:bytes``)?"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from trimtab.qcode.q.errors import QError, Unsupported
from trimtab.qcode.q.lists import as_list
from trimtab.qcode.q.patterns import data_of
from trimtab.qcode.q.registry import function
from trimtab.qcode.q.values import (
    BOOL,
    BYTE,
    CHAR,
    CHARS,
    DTYPES,
    GUID,
    SYM,
    Q,
    Vec,
    is_string,
    objects,
    qtype,
    text_of,
)

Order = Literal["<", ">"]


@function("1:", 2)
def binary_file(x: Q, y: Q) -> Q:
    """Columns of the records in a list of bytes: little-endian, or big-endian where the widths come first."""
    if type(x) is str or type(y) is str:
        raise Unsupported("files (1:)")
    if type(x) is not Vec or x.t != 0 or len(x) != 2 or not (is_string(y) or qtype(y) == BYTE):
        raise QError("type")
    order: Order = "<" if abs(qtype(x.a[0])) == CHAR else ">"
    types, widths = x.a if order == "<" else x.a[::-1]
    letters, sizes = text_of(types), _sizes(widths)
    if len(letters) != len(sizes):
        raise QError("length")
    data, record = data_of(y) if is_string(y) else y.a.tobytes(), sum(sizes)
    if not record or len(data) % record:
        raise QError("length")
    grid = np.frombuffer(data, dtype=np.uint8).reshape(-1, record)
    ends = np.cumsum(sizes).tolist()
    columns = [
        _column(letter, np.ascontiguousarray(grid[:, end - size : end]), order)
        for letter, size, end in zip(letters, sizes, ends, strict=True)
        if letter != " "
    ]
    return Vec(0, columns)


def _sizes(widths: Q) -> list[int]:
    listed = as_list(widths)
    if type(listed) is not Vec or listed.t not in (5, 6, 7) or (listed.a < 0).any():
        raise QError("type")
    return [int(v) for v in listed.a]


def _column(letter: str, cells: Any, order: Order) -> Vec:
    t = CHARS.find(letter)
    width = cells.shape[1]
    if t == SYM:
        texts = [bytes(row).rstrip(b" \0").decode("utf-8", "surrogateescape") for row in cells]
        return Vec(SYM, objects(texts))
    if t == GUID and width == 16:
        return Vec(GUID, objects([int.from_bytes(bytes(row), "big") for row in cells]))
    if t == CHAR and width != 1:
        return Vec(0, [Vec(CHAR, row.copy()) for row in cells])
    if t < 1 or t == GUID:
        raise QError("type")
    kind = np.dtype(DTYPES[t])
    if kind.itemsize != width:
        raise QError("length")
    a = cells.reshape(-1).view(np.uint8 if t == BOOL else kind.newbyteorder(order))
    return Vec(t, a.astype(kind))
