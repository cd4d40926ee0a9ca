"""Does a value become plain data, and are differences found?"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from pathlib import Path

import numpy as np
import pytest
import torch

from trimtab.plain import MISSING, differences, leaves, restore_arrays, to_plain


class Colour(Enum):
    RED = 1


@dataclass(frozen=True)
class Inner:
    path: Path
    colour: Colour


def test_what_becomes_of_each_kind() -> None:
    value = {
        "inner": Inner(Path("a/b"), Colour.RED),
        3: (1, 2.5),
        "set": {"b", "a"},
        "scalar": np.float64(0.5),
        "no": None,
    }
    assert to_plain(value) == {
        "inner": {"class": "Inner", "path": "a/b", "colour": "RED"},
        "3": [1, 2.5],
        "set": ["a", "b"],
        "scalar": 0.5,
        "no": None,
    }


def test_arrays_are_set_aside_and_come_back() -> None:
    arrays: dict[str, np.ndarray] = {}
    value = {"a": [np.arange(3)], "half": torch.tensor([1.5], dtype=torch.bfloat16), "array": {"array": "mine"}}
    plain = to_plain(value, arrays=arrays, where="row")
    assert plain == {"a": [{"array": "row.a.0"}], "half": {"array": "row.half"}, "array": {"array": "mine"}}
    back = restore_arrays(plain, arrays)
    np.testing.assert_array_equal(back["a"][0], np.arange(3))
    assert back["half"].tolist() == [1.5]
    assert back["array"] == {"array": "mine"}


@pytest.mark.parametrize(
    ("value", "arrays", "message"),
    [
        ({"a": object()}, {}, "a is a object, which has no plain form"),
        ({"a": {"b": np.ones(1)}}, None, "a.b is an array: expected plain settings"),
        ({"a": np.array([object()])}, {}, "a is an array of objects"),
        ({"a": Inner}, {}, "a is a type"),
    ],
)
def test_what_has_no_plain_form(value: object, arrays: dict[str, np.ndarray] | None, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        to_plain(value, arrays=arrays)


def test_differences_name_the_leaves() -> None:
    before = {"a": 1, "b": [1, 2], "c": {"d": "x"}, "same": float("nan"), "e": []}
    after = {"a": 1.0, "b": [1, 3, 4], "c": {}, "same": float("nan"), "e": []}
    assert leaves(before["b"], "b") == {"b.0": 1, "b.1": 2}
    assert differences(before, after) == [
        ("a", 1, 1.0),
        ("b.1", 2, 3),
        ("c.d", "x", MISSING),
        ("b.2", MISSING, 4),
        ("c", MISSING, {}),
    ]
