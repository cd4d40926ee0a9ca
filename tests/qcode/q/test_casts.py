"""Do casts and parses of texts agree with q? Expected values from its reference pages and by hand."""

from __future__ import annotations

from typing import Any

import pytest

from trimtab.qcode.q import display
from trimtab.qcode.q.casts import cast, dollar, part
from trimtab.qcode.q.errors import QError
from trimtab.qcode.q.literals import numeral
from trimtab.qcode.q.values import DTYPES, Vec, char, chars, empty, longs


def shown(letter: str, text: str) -> str:
    return display.show(dollar(char(letter), chars(text) if len(text) != 1 else char(text))).rstrip("\n")


@pytest.mark.parametrize(
    ("letter", "text", "value"),
    [
        ("J", "42", "42"),
        ("J", " -42 ", "-42"),
        ("J", "4x", "0N"),
        ("I", "2147483648", "0Ni"),
        ("H", "32768", "0Nh"),
        ("I", "192.168.1.34", "-1062731486i"),
        ("F", "1e3", "1000f"),
        ("E", "3.14", "3.14e"),
        ("B", "   Y  ", "1b"),
        ("B", "42", "0b"),
        ("X", "42", "0x42"),
        ("S", "   IBM   ", "`IBM"),
        ("D", "2000-12-12", "2000.12.12"),
        ("D", "20001212", "2000.12.12"),
        ("D", "12/25/2000", "2000.12.25"),
        ("D", "25Dec2000", "2000.12.25"),
        ("D", "2001.02.29", "0Nd"),
        ("U", "12:13:14", "12:13"),
        ("V", "12:13:14", "12:13:14"),
        ("T", "123456789", "12:34:56.789"),
        ("N", "123456123987654", "0D12:34:56.123987654"),
        ("N", "1D02:03:04.5", "1D02:03:04.500000000"),
        ("M", "2000.05", "2000.05m"),
        ("P", "2015-10-28D03:55:58.6542", "2015.10.28D03:55:58.654200000"),
        ("P", "10129708800.123456789", "2290.12.31D00:00:00.123456789"),
        ("P", "2015-10-28T03:55:58Z", "2015.10.28D03:55:58.000000000"),
        ("Z", "20191122-11:11:11.123", "2019.11.22T11:11:11.123"),
        ("G", "::FFFF:192.0.2.1", "00000000-0000-0000-0000-ffffc0000201"),
    ],
)
def test_texts_are_parsed(letter: str, text: str, value: str) -> None:
    assert shown(letter, text) == value


@pytest.mark.parametrize(
    ("name", "source", "value"),
    [
        ("long", "2.5", "3"),
        ("long", "-2.5", "-2"),
        ("int", "3000000000", "0Wi"),
        ("short", "0N", "0Nh"),
        ("long", "0w", "0W"),
        ("float", "0Ni", "0n"),
        ("byte", "258", "0x02"),
        ("boolean", "2", "1b"),
        ("char", "97", '"a"'),
        ("month", "2019.11.19", "2019.11m"),
        ("date", "2019.11m", "2019.11.01"),
        ("date", "2000.01.02D12", "2000.01.02"),
        ("time", "2000.01.02D12:30", "12:30:00.000"),
        ("timestamp", "2000.01.02", "2000.01.02D00:00:00.000000000"),
        ("minute", "12:34:56", "12:34"),
        ("timespan", "12:34", "0D12:34:00.000000000"),
        ("datetime", "2000.01.01D12", "2000.01.01T12:00:00.000"),
        ("date", "0Np", "0Nd"),
        ("long", "2000.01.02", "1"),
        ("year", "2019.11.19", "2019i"),
        ("mm", "2019.11.19", "11i"),
        ("dd", "2019.11.19", "19i"),
        ("hh", "12:34:56", "12i"),
        ("uu", "12:34:56", "34i"),
        ("ss", "12:34:56", "56i"),
        ("week", "2019.11.21", "2019.11.18"),
    ],
)
def test_values_are_cast(name: str, source: str, value: str) -> None:
    assert display.show(dollar(name, numeral([source]))).rstrip("\n") == value


def _cast_or_error(target: int, source: int) -> Any:
    try:
        return cast(target, empty(source))
    except QError as error:
        return error.text


def test_every_type_casts_to_every_numeric_type_or_fails_by_a_q_error() -> None:
    for source in DTYPES:
        if source in (10, 20):
            continue
        for target in DTYPES:
            got = _cast_or_error(target, source)
            assert got == "type" or (got.t == target and len(got) == 0)


def test_padding() -> None:
    assert display.one_line(dollar(5, chars("ab"))) == '"ab   "'
    assert display.one_line(dollar(-5, chars("ab"))) == '"   ab"'
    assert display.one_line(dollar(2, chars("abc"))) == '"ab"'
    assert display.one_line(dollar(-2, chars("abc"))) == '"bc"'


def test_lists_of_types() -> None:
    values = Vec(0, [chars("42"), chars("42"), chars("42")])
    assert display.one_line(dollar(chars("BXH"), values)) == "(0b;0x42;42h)"


def test_part_of_a_vector_keeps_nulls() -> None:
    assert display.one_line(part("year", numeral(["2019.11.19", "0Nd"]))) == "2019 0Ni"
    with pytest.raises(QError):
        part("year", longs([1]))
