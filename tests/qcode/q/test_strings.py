"""Do the text functions agree with q's reference pages?"""

from __future__ import annotations

import pytest

from trimtab.qcode.q import display
from trimtab.qcode.q.digits import sv, vs
from trimtab.qcode.q.dotq_text import addmonths, fmt, identifier
from trimtab.qcode.q.errors import QError
from trimtab.qcode.q.json import from_json, to_json
from trimtab.qcode.q.literals import numeral
from trimtab.qcode.q.patterns import like, ss, ssr
from trimtab.qcode.q.strings import string
from trimtab.qcode.q.textfile import text_file
from trimtab.qcode.q.values import Dict, Q, Table, Vec, char, chars, longs, syms


def line(x: Q) -> str:
    return display.one_line(x)


def strings(*texts: str) -> Vec:
    return Vec(0, [chars(t) for t in texts])


@pytest.mark.parametrize(
    ("text", "pattern", "expected"),
    [
        ("quick", "qu?ck", True),
        ("brown", "br[ao]wn", True),
        ("brown", "br[^o]wn", False),
        ("quickly", "quick*", True),
        ("quick", "quickish", False),
        ("a]", "a[]]", True),
        ("a*b", "a[*]b", True),
        ("axb", "a[*]b", False),
        ("b7", "?[0-9]", True),
        ("a\nb", "a*b", True),
    ],
)
def test_like(text: str, pattern: str, expected: bool) -> None:
    assert like(chars(text), chars(pattern)) is expected
    assert like(text, chars(pattern)) is expected


def test_search_and_replace() -> None:
    assert line(ss(chars("toronto ontario"), chars("ont"))) == "3 8"
    assert line(ssr(chars("toronto ontario"), chars("ont"), chars("x"))) == '"torxo xario"'
    assert line(ssr(chars("advance"), char("a"), char("-"))) == '"-dv-nce"'
    with pytest.raises(QError, match="type"):
        like(longs([1]), chars("a"))


def test_splitting_and_joining() -> None:
    assert line(vs(char(","), chars("one,two,,"))) == '("one";"two";"";"")'
    assert line(vs("", chars("a\r\nb\n"))) == '(,"a";,"b")'
    assert line(vs("", "mywork.dat")) == "`mywork`dat"
    assert line(vs("", ":/a/b.c")) == "`:/a`b.c"
    assert line(sv(chars(", "), strings("a", "b"))) == '"a, b"'
    assert line(sv("", syms([":/a", "b"]))) == "`:/a/b"
    assert line(sv("", strings("a", "b"))) == r'"a\nb\n"'


def test_digits_bytes_and_bits() -> None:
    assert line(vs(10, 1995)) == "1 9 9 5"
    assert line(vs(longs([24, 60, 60]), 3805)) == "1 3 25"
    assert line(vs(10, longs([95, 7]))) == "(9 0;5 7)"
    assert line(vs(numeral(["0x0"]), numeral(["2413i"]))) == "0x0000096d"
    assert line(vs(False, numeral(["5h"]))) == "0000000000000101b"
    assert line(sv(numeral(["0x0"]), numeral(["0x00ff"]))) == "255h"
    assert line(sv(False, numeral(["1" * 64 + "b"]))) == "-1"
    for value in ("3.1415", "-7", "12h", "1.5e"):
        assert len(vs(numeral(["0x0"]), numeral([value]))) in (2, 4, 8)


def test_string_is_atomic() -> None:
    assert line(string(longs([2, 30]))) == '(,"2";"30")'
    assert line(string(chars("ab"))) == '(,"a";,"b")'
    assert line(string(Dict(syms(["a"]), longs([-(2**63)])))) == '(,`a)!,""'


def test_json() -> None:
    table = Table(["a", "b"], [longs([1, 2]), syms(["x", "y"])])
    assert line(to_json(table)) == r'"[{\"a\":1,\"b\":\"x\"},\n {\"a\":2,\"b\":\"y\"}]"'
    assert line(from_json(chars('{"a":[1,2.5,null],"b":"x"}'))) == '`a`b!(1 2.5 0n;,"x")'
    assert line(from_json(chars('[{"a":1},{"a":2}]'))) == "+(,`a)!,1 2f"
    with pytest.raises(QError):
        from_json(chars("{"))


def test_dot_q_text() -> None:
    assert line(fmt(6, 2, 1)) == '"  1.00"'
    assert line(fmt(3, 2, 1)) == '"***"'
    assert line(addmonths(numeral(["2006.10.29"]), 4)) == "2007.03.01"
    assert [identifier(s) for s in ("a/b", "2drifters", "+", "_")] == ["ab", "a2drifters", "a", "a_"]


def test_text_files() -> None:
    table = Table(["a", "b"], [longs([1, 2]), syms(["x", "y,z"])])
    assert line(text_file(char(","), table)) == r'("a,b";"1,x";"2,\"y,z\"")'
    read = text_file(Vec(0, [chars("JS"), Vec(0, [char(",")])]), text_file(char(","), table))
    assert line(read) == "+`a`b!(1 2;`x`y,z)"
    assert line(text_file(chars("S=;"), chars("one=1;two=2"))) == '(`one`two;(,"1";,"2"))'
    widths = Vec(0, [chars("DT"), longs([8, 9])])
    assert line(text_file(widths, strings("20130315185540686"))) == "(,2013.03.15;,18:55:40.686)"
