"""Is console text what q prints? Expected texts by hand, from q's rules of display."""

from __future__ import annotations

import pytest

from trimtab.qcode.q import display
from trimtab.qcode.q.functions import Composition, Derived, Lambda, Prim, Projection
from trimtab.qcode.q.lists import collect
from trimtab.qcode.q.literals import numeral, string
from trimtab.qcode.q.state import State, activate, current
from trimtab.qcode.q.values import ELIDED, NULL, Dict, Q, Table, Vec, char, chars, empty, floats, longs, syms

PLUS = Prim("+", "+", 102, 2)
SQUARE = Lambda("{x*x}", ["x"], [], [], ".")


@pytest.fixture(autouse=True)
def fresh() -> object:
    before = activate(State())
    yield
    activate(before)


def trimmed(x: Q) -> list[str]:
    return [line.rstrip() for line in display.show(x).splitlines()]


@pytest.mark.parametrize(
    "text",
    """42|42i|42h|3.5e|3.5|5f|1b|0b|0x2a|2000.01.01|2000.01m|0D00:00:01.000000000|09:30|09:30:00|09:30:00.000
    2015.10.28D03:55:58.654200000|2000.01.01T00:00:00.000|0N|0Ni|0Nh|0n|0Ne|0Nd|0Np|0Nm|0Nn|0Nu|0Nv|0Nt|0Nz|0W|-0W|0w|-0w|0Wi
    8c6b8b64-6815-6084-0a3e-178401251b68|1 2 3i|2020.01 2020.02m|1 125 27f|0n 3|101b|0x0102|1 0N 3|-1 2|0Nd 2000.01.01
    1 0N 2e|1.234568e+08|1e-08|3e+11|0.3333333|0Wd|-0D01:00:00.000000000|1e+10|1 2.5 3
    0N 2000.01m""".replace("\n", "|").split("|"),
)
def test_literals_print_as_they_are_written(text: str) -> None:
    assert display.show(numeral(text.strip().split())) == text.strip() + "\n"


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (longs([3]), ",3"),
        (syms(["a"]), ",`a"),
        (chars("a"), ',"a"'),
        (char("a"), '"a"'),
        ("a", "`a"),
        ("", "`"),
        (empty(7), "`long$()"),
        (empty(11), "`symbol$()"),
        (empty(10), '""'),
        (collect(["a", 1, NULL]), "(`a;1;::)"),
        (Vec(0, [longs([1])]), ",,1"),
        (Vec(0, []), "()"),
        (Dict(syms(["a", "b"]), longs([1, 2])), "`a`b!1 2"),
        (Dict(syms(["a"]), longs([1])), "(,`a)!,1"),
        (Table(["a", "b"], [longs([1]), longs([2])]), "+`a`b!(,1;,2)"),
        (Table(["a"], [longs([1, 2])]), "+(,`a)!,1 2"),
        (Projection(PLUS, [1], 1), "+[1]"),
        (Projection(SQUARE, [ELIDED, 2], 1), "{x*x}[;2]"),
        (Derived("/", PLUS, 2), "+/"),
        (Composition([SQUARE, PLUS], 2), "{x*x}+"),
        (Vec(7, longs([1, 2]).a, "s"), "`s#1 2"),
        (string(r'"a\tb\"\346"'), r'"a\tb\"\346"'),
    ],
)
def test_one_line_forms(value: Q, shown: str) -> None:
    assert display.one_line(value) == shown


def test_nothing_is_shown_for_null_and_the_empty_list() -> None:
    assert display.show(NULL) == display.show(Vec(0, [])) == ""


def test_lists_of_one_length_are_a_matrix() -> None:
    assert trimmed(Vec(0, [longs([1, 20]), longs([300, 4])])) == ["1   20", "300 4"]
    assert trimmed(Vec(0, [syms(["a", "bb"]), syms(["ccc", "d"])])) == ["a   bb", "ccc d"]
    assert trimmed(Vec(0, [longs([1, 2]), longs([3])])) == ["1 2", ",3"]
    assert trimmed(Vec(0, [chars("ab"), chars("cd")])) == ['"ab"', '"cd"']


def test_dictionaries_align_keys_and_vectors() -> None:
    assert trimmed(Dict(syms(["a", "bb"]), Vec(0, [longs([10, 21, 3]), longs([4, 5, 6])]))) == [
        "a | 10 21 3",
        "bb| 4  5  6",
    ]
    assert trimmed(Dict(syms(["n", "m"]), collect(["Dick", 2]))) == ["n| `Dick", "m| 2"]


def test_tables_and_keyed_tables() -> None:
    table = Table(["a", "bc"], [longs([1, -(2**63)]), Vec(0, [chars("xy"), longs([1])])])
    assert trimmed(table) == ["a bc", "------", '1 "xy"', "  ,1"]
    keyed = Dict(Table(["k"], [syms(["x", "yy"])]), Table(["f"], [floats([1, 2.5])]))
    assert trimmed(keyed) == ["k | f", "--| ---", "x | 1", "yy| 2.5"]
    assert trimmed(Table(["a"], [empty(7)])) == ["a", "-"]


def test_a_dictionary_of_records_has_a_header() -> None:
    value = Dict(syms(["p"]), Table(["x", "y"], [longs([1]), longs([2])]))
    assert trimmed(value) == [" | x y", "-| ---", "p| 1 2"]


def test_the_console_cuts_to_its_size() -> None:
    line = display.show(longs(range(100)))
    assert line.endswith("..\n")
    assert len(line) == 80
    lines = display.show(Table(["a"], [longs(range(100))])).splitlines()
    assert len(lines) == 23
    assert lines[-2:] == ["19", ".."]
    current().rows = current().cols = 10
    assert len(display.show(Table(["a"], [longs(range(100))])).splitlines()) == 8


def test_precision() -> None:
    current().precision = 0
    assert display.show(0.1) == "0.10000000000000001\n"
    current().precision = 3
    assert display.show(1 / 3) == "0.333\n"
