"""What do keywords, views and markup look like from q?"""

from __future__ import annotations

import pytest

from trimtab.qcode.q.session import Session


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (".q`reciprocal", "%:\n"),
        (".q?(~:;<:;>:)", "`not`hopen`hclose\n"),
        ("value each (::;+;*;value;get)", "0 1 3 19 19\n"),
        ("value differ", '$["b"]\n~~\':\n'),
        ('parse "til 5"', "k){$[0>@x;!x;'`type]}\n5\n"),
        ("5#key `.q", "``neg`not`null`string\n"),
        ("type each (in;neg;mod;differ;+/)", "102 101 100 105 107h\n"),
        ("<:[3 1 2]", "1 2 0\n"),
        ('.h.htc[`p;"hi"]', '"<p>hi</p>"\n'),
        ('.h.hu "a b&c"', '"a%20b%26c"\n'),
        ('.h.uh "a%20b"', '"a b"\n'),
        ('.h.xs "Arthur & Co."', '"Arthur &amp; Co."\n'),
        (".h.cd ([]a:1 2;b:`x`y)", '"a,b"\n"1,x"\n"2,y"\n'),
    ],
)
def test_the_console_shows(text: str, shown: str) -> None:
    assert Session().show(text) == shown


def test_a_view_knows_its_source_and_what_it_depends_on() -> None:
    q = Session()
    q.value("a:1")
    q.value("b::a+1")
    assert q.show("\\b") == ",`b\n"
    assert q.show("\\B") == ",`b\n"
    assert q.show("get`. `b") == '::\n(+;`a;1)\n,`a\n"a+1"\n'
    assert q("b").py() == 2
    assert q.show("\\B") == "`symbol$()\n"
    assert q.show("first get`. `b") == "2\n"
    q.value("a:5")
    assert q.show("\\B") == ",`b\n"
    assert q.show("view`b") == '"a+1"\n'
    assert q("b").py() == 6
