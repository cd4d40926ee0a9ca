"""Does the language mean what q's reference says? Hand-worked values: order, nulls, overflow, amend, iterators, scope."""

from __future__ import annotations

import pytest

from trimtab.qcode.q.errors import QError
from trimtab.qcode.q.session import Session

EQUAL = """
2*3+4|14
10-3-2|9
2 3*4 5|8 15
0N+1|0N
0W+1|0N
9223372036854775807+9223372036854775807|-2
-7 div 2|-4
-7 mod 3|2
7 div 0|0N
1%0|0w
0%0|0n
1b+1b|2i
type 1h+1h|-6h
type 1i+1|-7h
type 1e + 1|-8h
1 2 3+10|11 12 13
(1;2 3)+(10;20)|(11;22 23)
2000.01.31+1|2000.02.01
2000.01.02-2000.01.01|1i
12:00+00:30|12:30
2024.01.05 mod 7|6i
0.1+0.2|0.3
3 in 1 2 3|1b
1 2 3?2|1
1 2 3?9|3
`a`b`c?`c`z|2 3
2#1 2 3|1 2
5#1 2|1 2 1 2 1
-2#1 2 3|2 3
2 3#til 6|(0 1 2;3 4 5)
1_1 2 3|2 3
0 2_til 5|(0 1;2 3 4)
0^1 0N 3|1 0 3
(1 2;3 4)[1;0]|3
(1 2;3 4)[;1]|2 4
(`a`b!1 2)`b|2
(`a`b!1 2)`z|0N
(1 2 3)7|0N
(`a`b!1 2)+`b`c!10 20|`a`b`c!1 12 20
(`a`b!1 2)-`b`c!10 20|`a`b`c!1 -8 -20
{x+y}[1;2]|3
{x+y}[1] 2|3
{[a;b]a-b}[;1] 5|4
{$[x<2;x;.z.s[x-1]+.z.s x-2]}10|55
{:x+1;99}1|2
{if[x>1;:`big];`small}each 0 5|`small`big
{a:x;a+:1;a}5|6
{r:1 2 3;r[1]:20;r}0|1 20 3
{r:(1 2;3 4);r[1;0]+:10;r}0|(1 2;13 4)
{d:`a`b!1 2;d[`c]:3;d}0|`a`b`c!1 2 3
@[1 2 3;1;+;10]|1 12 3
@[1 2 3;0 0;+;10]|21 2 3
@[1 2 3;1;neg]|1 -2 3
.[(1 2;3 4);1 0;:;9]|(1 2;9 4)
+/[1 2 3]|6
+\\1 2 3|1 3 6
{x+y}/[10;1 2 3]|16
{x*2}/[3;1]|8
{x*2}/[100>;1]|128
{x div 2}\\20|20 10 5 2 1 0
1 2+/:10 20|(11 12;21 22)
1 2+\\:10 20|(11 21;12 22)
1 2,'3 4|(1 3;2 4)
-':[1 3 6]|1 2 3
deltas 1 3 6|1 2 3
(count string@)`abc|3
(1+2*)3|7
'[neg;abs]3|-3
(neg abs@)each 1 -2|-1 -2
{x,y}over(1 2;3;4 5)|1 2 3 4 5
group`a`b`a|`a`b!(0 2;,1)
where 2 0 1|0 0 2
asc 3 1 2|`s#1 2 3
iasc 3 1 2|1 2 0
rank 30 10 20|2 0 1
distinct 3 1 3|3 1
2 xbar til 5|0 0 2 2 4
raze(1 2;3)|1 2 3
1 2 3 cross`a`b|((1;`a);(1;`b);(2;`a);(2;`b);(3;`a);(3;`b))
flip(1 2;3 4)|(1 3;2 4)
@[{'x};`oops;{`$x}]|`oops
.[{x+y};(1;`a);{x}]|"type"
@[{x+1};1;0N]|2
value"1+1"|2
eval parse"2*3+4"|14
eval(+;1;2)|3
$[0b;1;1b;2;3]|2
[a:1;b:2;a+b]|3
(exec sum v by k from([]k:`a`b`a;v:1 2 3))|`a`b!4 2
(select from([]a:1 2 3)where a>1)|([]a:2 3)
(update b:2*a from([]a:1 2))|([]a:1 2;b:2 4)
(delete a from([]a:1 2;b:3 4))|([]b:3 4)
([]k:`a`b)lj([k:enlist`a]v:enlist 1)|([]k:`a`b;v:1 0N)
((`s#0 10 20)bin 5 10 25)|0 1 2
(`s#0 10 20!`a`b`c)5 15 -1|`a`b`
"""


@pytest.mark.parametrize("line", EQUAL.strip().split("\n"))
def test_values_match(line: str) -> None:
    text, _, wanted = line.rpartition("|")
    q = Session()
    got = q.value(text)
    q.state.names["got"] = got
    wanted = wanted.replace(",1)", "enlist 1)")
    assert q("got~" + wanted).py(), q.show("got")


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("1+`a", "type"),
        ("1 2+1 2 3", "length"),
        ("nothing", "nothing"),
        ("{x+y}[1;2;3]", "rank"),
        ("'`mine", "mine"),
        ('\'"text"', "text"),
        ("{x[5]:1;x}1 2", "length"),
        ("x:1 2;x[0]:`a", "type"),
        ("s:1 2 3;s,:5f", "type"),
        ("#1 2", "#"),
        ("(1;2", "parse"),
        ("count:3", "assign"),
        ("$[`a;1;2]", "type"),
        ("`s#2 1", "s-fail"),
    ],
)
def test_errors_have_their_names(text: str, error: str) -> None:
    q = Session()
    with pytest.raises(QError) as caught:
        q.value(text)
    assert caught.value.text == error


def test_evaluation_goes_from_right_to_left() -> None:
    assert Session().show("f:{0N!x};(f 1)+f 2") == "2\n1\n3\n"
    assert Session().show("f:{0N!x};{y;0N}[f 1;f 2]") == "2\n1\n0N\n"


def test_a_global_assigned_in_a_lambda_stays_and_a_local_does_not() -> None:
    q = Session()
    q.value("a:1;f:{a:2;b::3;a};f 0")
    assert (q["a"].py(), q["b"].py()) == (1, 3)


def test_values_are_not_changed_through_another_name() -> None:
    q = Session()
    assert q.show("a:1 2 3;b:a;b[0]:9;a") == "1 2 3\n"
    assert q.show("{x[0]:9;x}a;a") == "1 2 3\n"
    assert q.show("f:{r:x;r,:4;x};f a") == "1 2 3\n"
    assert q.show("m:(1 2;3 4);n:m;n[0;0]:9;m") == "1 2\n3 4\n"


def test_namespaces_hold_variables_and_are_dictionaries() -> None:
    q = Session()
    q.value(".n.a:1;.n.f:{x+.n.a}")
    assert q.show(".n.f 2") == "3\n"
    assert q.show("\\d .n\na+1\n\\d .") == "2\n"
    assert q.show("key`.n") == "``a`f\n"


def test_views_follow_what_they_depend_on() -> None:
    assert Session().show("a:1\nb::a+1\na:10\nb") == "11\n"


def test_a_template_in_a_lambda_sees_its_locals_after_the_columns() -> None:
    q = Session()
    q.value("t:([]a:1 2 3;b:4 5 6)")
    assert q.show("{[t;n]exec b from t where a>n}[t;1]") == "5 6\n"
    assert q.show("{[a]exec a from t where a>1}100") == "2 3\n"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("0w>1 2 0w", "110b\n"),
        ("(0w>1;1<0w;-0w<1;0n<0w;0w<0w;0w=0w)", "111101b\n"),
        ("1.0=1.0+1e-15 1e-3", "10b\n"),
        ("3 5f?0w 5", "2 1\n"),
        ("min 0w 1 2", "1f\n"),
    ],
)
def test_infinities_are_beyond_every_number(text: str, shown: str) -> None:
    assert Session().show(text) == shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("@[1 2 3;0 1;{count x}]", "1 1 3\n"),
        ("@[1 2 3;0 1;{x+count y};10 20]", "2 3 3\n"),
        ("@[1 2 3;0 1 0;+;10]", "21 12 3\n"),
        ("@[1 2;::;*;3 4]", "3 8\n"),
        ("@[([]a:3 1 2;b:1 2 3);`a`b;asc]`a", "`s#1 2 3\n"),
    ],
)
def test_amend_works_item_by_item(text: str, shown: str) -> None:
    assert Session().show(text) == shown


def test_a_composition_can_be_assigned() -> None:
    q = Session()
    q.value("f:'[ceiling;sqrt]")
    assert q("f 10").py() == 4


def test_a_fold_that_only_adds_keeps_the_order_of_its_steps() -> None:
    q = Session()
    assert q("{x+y}/[1 2 3]").py() == q("({0+x+y}/)1 2 3").py() == 6
    assert q("\\P 17").py() is None
    assert q.show("({x+y}over v)=0f{x+y}/v:1e-3*til 1000") == "1b\n"
    assert q.show("{x+y}/[1 0N 2]") == "0N\n"
    assert q.show("{x+y}\\[1 2 3.5]") == "1 3 6.5\n"


def test_unnamed_columns_of_a_table_have_names_of_their_own() -> None:
    assert Session().show("cols ([]1 2;3 4;a:5 6)") == "`x`x1`a\n"
