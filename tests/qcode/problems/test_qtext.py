"""Is each kind of Python value written as the q expression that means it?"""

from __future__ import annotations

import datetime
import math
from random import Random
from typing import Any

import pytest

from trimtab.qcode.problems import draws, qtext


@pytest.mark.parametrize(
    ("value", "kind", "text"),
    [
        (3, "j", "3"), (None, "j", "0N"), ([1, None, -2], "J", "1 0N -2"), ([5], "J", "enlist 5"), ([], "J", "`long$()"),
        (2.0, "f", "2f"), (0.5, "f", "0.5"), (math.inf, "f", "0w"), ([1.0, 2.0], "F", "1 2f"), ([None, 3.0], "F", "0n 3"),
        (True, "b", "1b"), ([True, False], "B", "10b"), ([False], "B", "enlist 0b"),
        ("a", "c", '"a"'), ("", "C", '""'), ("a", "C", 'enlist "a"'), ('a"\\\n', "C", '"a\\"\\\\\\n"'), (["ab", "c"], "CC", '("ab";enlist "c")'),
        ("ab", "s", "`ab"), ("", "s", "`"), (["a", "b"], "S", "`a`b"), (["a b", "c"], "S", '`$("a b";enlist"c")'),
        ([255, 1], "X", "0xff01"), (datetime.date(2024, 2, 29), "d", "2024.02.29"), ([None], "D", "enlist 0Nd"), (290, "m", "2024.03m"),
        (545, "u", "09:05"), ([0, 3661], "V", "00:00:00 01:01:01"), (1, "t", "00:00:00.001"), (86_400_000_000_001, "n", "1D00:00:00.000000001"),
        (datetime.datetime(2024, 1, 2, 3, 4, 5), "p", "2024.01.02D03:04:05.000000000"),
        ([[1], [2, 3]], "JJ", "(enlist 1;2 3)"), ([[1, 2]], "JJ", "enlist 1 2"), ([], "JJ", "()"),
        ({"a": 1}, "S!J", "(enlist `a)!enlist 1"),
        ({"a": [1], "b": ["x"]}, "+a:J,b:S", "([]a:enlist 1;b:enlist `x)"), ({"a": [], "b": []}, "+a:S|b:J", "([a:`symbol$()]b:`long$())"),
    ],
)  # fmt: skip
def test_values(value: Any, kind: str, text: str) -> None:
    assert qtext.write(value, kind) == text


def test_a_type_that_does_not_exist() -> None:
    with pytest.raises(ValueError, match="type 'q' is not known"):
        qtext.write(1, "q")


@pytest.mark.parametrize(
    ("kind", "words"),
    [("j", "long"), ("J", "list of longs"), ("C", "string"), ("CC", "list of strings"), ("JJ", "list of list of longs"),
     ("S!J", "dictionary from symbols to longs"), ("+k:S|v:J", "table keyed by k (k symbol, v long)")],
)  # fmt: skip
def test_types_for_a_person(kind: str, words: str) -> None:
    assert qtext.spoken(kind) == words


def test_draws_keep_what_they_promise() -> None:
    rng = Random(0)
    for _ in range(200):
        xs, n, same, other = draws.values_of(
            [
                {"type": "J", "least": 1, "most": 5, "low": -2, "high": 2, "order": "ascending"},
                {"type": "j", "index_of": 0},
                {"type": "J", "like": 0},
                {"type": "J", "shuffle_of": 0},
            ],
            rng,
        )
        assert xs == sorted(xs)
        assert set(xs) <= {-2, -1, 0, 1, 2}
        assert 0 <= n < len(xs) == len(same)
        assert sorted(other) == xs
        forest = draws.draw_one({"type": "J", "parents": True}, rng, ())
        assert all(-1 <= parent < node for node, parent in enumerate(forest))
        (table,) = draws.values_of(
            [{"type": "+a:J,b:S", "columns": {"a": {"type": "J", "order": "distinct"}, "b": {"type": "S"}}}], rng
        )
        assert len(table["a"]) == len(table["b"])
        square = draws.draw_one({"type": "JJ", "square": True}, rng, ())
        assert all(len(row) == len(square) for row in square)
