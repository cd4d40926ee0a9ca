"""Do values cross between processes unharmed, and are they compared as promised?"""

from __future__ import annotations

import collections
import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trimtab.qcode.engine.sandbox import plainvalues, qvalues, same
from trimtab.qcode.engine.sandbox.frames import Frames, TooLong, framed
from trimtab.qcode.engine.sandbox.judge_q import equal
from trimtab.qcode.q import display
from trimtab.qcode.q.session import Session

TEXTS = st.text(max_size=5) | st.binary(max_size=5)
ATOMS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXTS
KEYS = st.integers() | st.text(max_size=3) | st.tuples(st.integers(), st.booleans())
VALUES = st.recursive(
    ATOMS | st.complex_numbers(allow_nan=False) | st.frozensets(KEYS, max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3) | st.tuples(inner, inner) | st.dictionaries(KEYS, inner, max_size=3) | st.sets(KEYS)
    ),
    max_leaves=8,
)


@settings(deadline=None, max_examples=150)
@given(VALUES)
def test_python_values_return_as_they_were(value: Any) -> None:
    data = plainvalues.encode(value)
    found = plainvalues.decode(data)
    assert found == value
    assert type(found) is type(value)
    assert same.same(same.read(data), same.read(plainvalues.encode(found)), "exact")


@settings(deadline=None, max_examples=150)
@given(st.binary(max_size=40) | st.text(alphabet='{}[]":,0123itdszbc', max_size=30).map(str.encode))
def test_what_is_no_value_is_a_value_error(data: bytes) -> None:
    for read in (same.read, plainvalues.decode, qvalues.decode):
        try:
            read(data)
        except ValueError:
            continue


def test_only_exact_types_come_out() -> None:
    class Liar(int):
        def __eq__(self, other: object) -> bool:
            return True

        __hash__ = int.__hash__

    point = collections.namedtuple("point", "x y")(1, 2)
    counted = collections.Counter("aab")
    for value, plain in ((Liar(3), 3), (point, (1, 2)), (counted, {"a": 2, "b": 1}), (range(3), [0, 1, 2])):
        found = plainvalues.decode(plainvalues.encode(value))
        assert found == plain
        assert type(found) is type(plain)
    for value in (object(), lambda: 1, iter([1]), (x for x in "ab"), map(str, [1])):
        with pytest.raises(plainvalues.NotPlain):
            plainvalues.encode(value)


SAME: list[tuple[Any, Any, str, bool]] = [
    (1, 1.0, "loose", True),
    (1, 1.0, "exact", False),
    (True, 1, "loose", True),
    (True, 1, "exact", False),
    (0.1 + 0.2, 0.3, "loose", True),
    (0.1 + 0.2, 0.3, "exact", False),
    (math.nan, math.nan, "exact", True),
    (math.inf, 1e308, "loose", False),
    ([1, 2], (1, 2), "loose", True),
    ([1, 2], (1, 2), "exact", False),
    ([1, 2], [2, 1], "loose", False),
    ([1, 2], [2, 1], "unordered", True),
    ([1, 2, 2], [2, 1, 1], "unordered", False),
    ([(1, "a"), (2, "b")], [[2, "b"], [1.0, "a"]], "unordered", True),
    ([[1, 2]], [[2, 1]], "unordered", False),
    ({1, 2}, {2, 1}, "exact", True),
    ({1, 2}, [1, 2], "loose", False),
    ({1, 2}, [2, 1], "unordered", True),
    ({"a": 1, "b": 2}, {"b": 2, "a": 1}, "exact", True),
    ({"a": 1}, {"a": 2}, "loose", False),
    ({1: "x"}, {1.0: "x"}, "loose", True),
    ("1", 1, "loose", False),
    (None, 0, "loose", False),
    (b"ab", "ab", "loose", False),
    (10**400, 10**400, "exact", True),
    (10**400, 10**400 + 1, "loose", False),
    (2**70, float(2**70), "loose", True),
    ([], {}, "loose", False),
    (1 + 2j, 1 + 2j, "exact", True),
]


@pytest.mark.parametrize(("got", "expected", "comparison", "holds"), SAME)
def test_sameness(got: Any, expected: Any, comparison: Any, holds: bool) -> None:
    one, other = (same.read(plainvalues.encode(value)) for value in (got, expected))
    assert same.same(one, other, comparison) is holds
    assert same.same(other, one, comparison) is holds


@pytest.mark.parametrize(
    "text",
    [
        "1",
        "1.5",
        "0n",
        "0N",
        "0Wi",
        "`a",
        '"a"',
        '"abc"',
        '""',
        "1b",
        "0x0aff",
        "2020.01.01",
        "12:30",
        "0D01:00:00",
        "1 2 3",
        "1 2 3f",
        "1 2h",
        "`a`b",
        "()",
        '(1;`a;"x")',
        "enlist 1",
        "`a`b!1 2",
        "([]a:1 2;b:`x`y)",
        "([k:`a`b]v:1 2)",
        "{x+y}",
        "(::)",
        "`s#1 2 3",
        "2020.01.01 2021.01.01",
        "1.5e",
        "(1 2;3 4)",
        "2020.01.01D00:00:00",
        '"j"$()',
        "`symbol$()",
        "1 0N 3",
        "10:00:00.000",
    ],
)
def test_q_values_return_as_they_were(text: str) -> None:
    value = Session().value(text)
    found = qvalues.decode(qvalues.encode(value))
    assert display.one_line(found) == display.one_line(value)
    assert display.show(found) == display.show(value)
    if "{" not in text:
        assert equal(found, value, "exact")


def test_q_comparisons() -> None:
    def q(text: str) -> Any:
        return Session().value(text)

    assert equal(q("1 2 3f"), q("1 2 3"), "loose")
    assert not equal(q("1 2 3f"), q("1 2 3"), "exact")
    assert not equal(q("3 1 2"), q("1 2 3"), "loose")
    assert equal(q("3 1 2"), q("1 2 3"), "unordered")
    assert not equal(q("3 1 1"), q("1 3 3"), "unordered")
    assert equal(q('("ab";1 2)'), q('(1 2;"ab")'), "unordered")


def test_frames_come_in_pieces_and_no_longer_than_agreed() -> None:
    data = framed(b"one") + framed(b"") + framed(b"three")
    frames = Frames(100)
    pieces = [data[place : place + 1] for place in range(len(data))]
    assert [frame for piece in pieces for frame in frames.feed(piece)] == [b"one", b"", b"three"]
    with pytest.raises(TooLong):
        Frames(10).feed(b"\xff\xff\xff\xff")
    with pytest.raises(TooLong):
        Frames(10).feed(framed(b"a") * 3)
