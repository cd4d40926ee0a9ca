"""Does every q value survive a message, and no bytes whatever break the reader? Drawn values, drawn damage."""

from __future__ import annotations

import contextlib
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trimtab.qcode.engine.kdb import messages
from trimtab.qcode.q import squeeze
from trimtab.qcode.q.comparison import match
from trimtab.qcode.q.errors import QError, Unsupported
from trimtab.qcode.q.values import CHAR, DTYPES, ENUM, GUID, NULL, SYM, Dict, Q, Table, Vec, box, objects

NAMES = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=5)
TYPES = sorted(t for t in DTYPES if t not in (0, ENUM))


def _item(t: int) -> st.SearchStrategy[Any]:
    if t == SYM:
        return NAMES
    if t == GUID:
        return st.integers(0, 2**128 - 1)
    kind = np.dtype(DTYPES[t])
    if kind.kind == "b":
        return st.booleans()
    if kind.kind == "f":
        return st.floats(width=8 * kind.itemsize)
    about = np.iinfo(kind)
    return st.integers(int(about.min), int(about.max))


def _array(t: int, found: list[Any]) -> Any:
    return objects(found) if t in (SYM, GUID) else np.array(found, dtype=DTYPES[t])


def _typed(t: int, **size: int) -> st.SearchStrategy[Vec]:
    return st.lists(_item(t), **size).map(lambda found: Vec(t, _array(t, found)))


@st.composite
def tables(draw: st.DrawFn) -> Table:
    names = draw(st.lists(NAMES.filter(bool), min_size=1, max_size=3, unique=True))
    rows = draw(st.integers(0, 3))
    return Table(names, [draw(_typed(draw(st.sampled_from(TYPES)), min_size=rows, max_size=rows)) for _ in names])


def _atom(t: int) -> st.SearchStrategy[Q]:
    return _item(t).map(lambda found: box(t, _array(t, [found])[0]))


ATOMS = st.sampled_from(TYPES).flatmap(_atom)
LISTS = st.sampled_from(TYPES).flatmap(lambda t: _typed(t, max_size=5))
PAIRS = st.integers(0, 4).flatmap(
    lambda n: st.tuples(
        _typed(SYM, min_size=n, max_size=n),
        st.sampled_from(TYPES).flatmap(lambda t: _typed(t, min_size=n, max_size=n)),
    )
)
VALUES = st.recursive(
    st.one_of(ATOMS, LISTS, st.just(NULL), tables(), PAIRS.map(lambda pair: Dict(*pair))),
    lambda inner: st.lists(inner, max_size=4).map(lambda found: Vec(0, found)),
    max_leaves=8,
)


@settings(max_examples=300, deadline=None)
@given(VALUES)
def test_values_come_back(value: Q) -> None:
    message = messages.framed(value, messages.Kind.RESPONSE)
    assert messages.header(message[:8]) == (messages.Kind.RESPONSE, len(message))
    found = messages.value(message)
    assert match(found, value)
    assert messages.framed(found, messages.Kind.RESPONSE) == message


@settings(max_examples=100, deadline=None)
@given(st.one_of(*(_typed(t, min_size=50, max_size=80) for t in TYPES if t not in (SYM, GUID))), st.integers(5, 20))
def test_compressed_values_come_back(few: Vec, times: int) -> None:
    message = messages.framed(Vec(few.t, np.tile(few.a, times)))
    packed = squeeze.compressed(message)
    assert squeeze.expanded(packed) == message if packed[2] else packed == message
    assert messages.framed(messages.value(packed)) == message


@settings(max_examples=500, deadline=None)
@given(VALUES, st.data())
def test_damage_is_told(value: Q, data: st.DataObject) -> None:
    """A changed, cut or lengthened message gives a value, or an error that has a name."""
    message = bytearray(messages.framed(value, messages.Kind.RESPONSE))
    for _ in range(data.draw(st.integers(1, 3))):
        message[data.draw(st.integers(2, len(message) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(9, len(message) + 3))
    with contextlib.suppress(QError, Unsupported, messages.BadMessage, messages.TooLong):
        messages.value(bytes(message[:cut].ljust(cut, b"\0")), 1 << 20)


@settings(max_examples=100, deadline=None)
@given(st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20))
def test_errors_come_back(text: str) -> None:
    message = messages.framed_error(text)
    assert messages.header(message[:8]) == (messages.Kind.RESPONSE, len(message))
    with pytest.raises(QError) as found:
        messages.value(message)
    assert found.value.text == text


def test_every_type_is_drawn() -> None:
    assert set(TYPES) == {*range(1, 20)} - {3}
    assert CHAR in TYPES
