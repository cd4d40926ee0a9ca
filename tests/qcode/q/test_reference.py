"""Does each keyword of q's reference do what the reference says? Values worked by hand, family by family.

A line is an expression and the one-line form (``-3!``) of its value, or the error that it signals.
"""

from __future__ import annotations

import pytest

from trimtab.qcode.q import formats
from trimtab.qcode.q.errors import QError
from trimtab.qcode.q.session import Session

FAMILIES = {
    "numbers": """
abs -3 4 0N -2.5 => 3 4 0n 2.5
abs 1b => 1i
signum -2 0 3 => -1 0 1i
signum 0N => -1i
reciprocal 0 4 => 0w 0.25
floor -0.5 2.7 => -1 2
ceiling 2.1 -2.1 3 => 3 -2 3
7 div 2.5 => 2
-7 div 2 => -4
5 div -3 => -2
5 div 0 => 0N
-7 mod 3 => 2
7 mod -3 => -2
5.5 mod 2 => 1.5
2 xexp 10 => 1024f
-8 xexp 1%3 => 0n
10 xlog 100 => 2f
2 xlog 8 16 => 3 4f
log 0 => -0w
sqrt -1 => 0n
0W+1 => 0N
0W+0W => -2
1e308*10 => 0w
1.5 xbar 1 2 3 => 0 1.5 3
5 xbar 3 7 12 => 0 5 10
neg 1b => -1i
not 0 1 0n => 100b
not " " => 0b
1b|0x05 => 0x05
42|2.0 => 42f
til 0 => `long$()
til -1 => 'domain
""",
    "aggregates": """
sum 1 0N 3 => 4
sum 1 2h => 3i
sum (1 2;3 4) => 4 6
prd 1 2 0N => 2
avg 1 0N 3 => 2f
avg () => 0n
med 0N 1 2 => 1.5
max `long$() => -0W
min `float$() => 0w
max "abc" => "c"
max `a`b => 'type
all 1 2 3 => 1b
any () => 0b
var 1 2 3 4 => 1.25
svar 1 2 3 => 1f
sdev 1 2 3 => 1f
1 2 3 cov 2 4 8 => 2f
1 2 3 scov 2 4 8 => 3f
cor[1 2 3;3 2 1] => -1f
1 2 wavg 3 6 => 5f
1 2 3 wavg (1 2;3 4;5 6) => 3.666667 4.666667
1 2 wsum 3 4 => 11f
(min;10 20 30) fby `a`b`a => 10 20 10
""",
    "moving": """
sums 1 0N 3 => 1 1 4
maxs 1 0N 3 2 => 1 1 3 3
mins 3 0N 1 => 3 3 1
avgs 1 2 3 => 1 1.5 2
fills 0N 1 0N => 0N 1 1
deltas 1 3 6 => 1 2 3
-':[10;1 2 4] => -9 1 2
ratios 2 4 8 => 2 2 2f
2 mavg 1 2 3 4 => 1 1.5 2.5 3.5
3 msum 1 2 0N 4 => 1 3 3 6
3 mmax 1 3 2 => 1 3 3
2 mcount 1 0N 3 4 => 1 1 1 2i
2 mdev 1 2 4 => 0 0.5 1
0.5 ema 1 2 3 => 1 1.5 2.25
next 1 2 3 => 2 3 0N
prev `a`b => ``a
-1 xprev 1 2 3 => 2 3 0N
differ 1 1 2 => 101b
""",
    "lists": """
3 rotate "abcdef" => "defabc"
-1 rotate 1 2 3 => 3 1 2
2 5 cut til 9 => (2 3 4;5 6 7 8)
3 cut "abcdefgh" => ("abc";"def";"gh")
-2 sublist til 5 => 3 4
2 3 sublist til 10 => 2 3 4
5 sublist 1 2 => 1 2
1 1 2 3 except 1 => 2 3
(1 2;3 4) except enlist 1 2 => ,3 4
1 1 2 inter 1 2 => 1 1 2
2 1 union 3 1 => 2 1 3
1 2 cross `a`b => ((1;`a);(1;`b);(2;`a);(2;`b))
distinct ("ab";"ab";"c") => ("ab";"c")
group 1 2 1 => 1 2!(0 2;,1)
where 1 0 2 => 0 2 2
where `a`b`c!2 0 1 => `a`a`c
2 4 6 8 bin 5 1 9 => 1 -1 3
2 4 6 8 binr 5 1 9 => 2 0 4
3 xrank til 7 => 0 0 0 1 1 2 2
rank "cab" => 2 0 1
iasc 3 1 2 => 1 2 0
idesc `a`b!1 2 => `b`a
asc 0N 1 -1 => `s#0N -1 1
asc (1;1b;"b";0) => (1b;0;1;"b")
desc "hello" => "ollhe"
raze (1;2 3;4) => 1 2 3 4
flip (1 2;`a) => ((1;`a);(2;`a))
flip 1 2 3 => 'rank
2 0N#til 5 => (0 1;2 3 4)
0N 2#til 5 => (0 1;2 3;,4)
1 2 3[0;1] => 'rank
(1 2 3)5 => 0N
(1 2;3 4) in (1 2;5 6) => 10b
2 within 2 1 => 0b
1 3 within (2 3;4 5) => 01b
{x,:4;x}`s#1 2 3 => `s#1 2 3 4
{x,:3;x}`u#1 2 3 => 1 2 3 3
""",
    "strings": """
"a]b" like "a[]]b" => 1b
"abc" like "[^a]*" => 0b
`abc`xbc like "a*" => 10b
"hello" ss "[aeiou]" => 1 4
"abc" ss "d" => `long$()
ssr["hello";"l";{upper x}] => "heLLo"
ssr["a.b.c";".";"-"] => "a-b-c"
"," vs ",a,,b," => ("";,"a";"";,"b";"")
", " vs "a, b" => (,"a";,"b")
"," sv ("a";"";"b") => "a,,b"
` sv `:a`b => `:a/b
` vs `:a/b/c => `:a/b`c
` vs `a.b => `a`b
24 60 60 vs 3661 => 1 1 1
24 60 60 sv 1 1 1 => 3661
10 vs/:12 34 => (1 2;3 4)
0x0 vs 258i => 0x00000102
0x0 sv 0x0001 => 1h
0b sv 00000101b => 0x05
trim "  a b " => "a b"
ltrim "   " => ""
lower `ABC => `abc
-5$"abc" => "  abc"
3$"abcdef" => "abc"
md5 "abc" => 0x900150983cd24fb0d6963f7d28e17f72
string 1 2.5 => (,"1";"2.5")
string 0D00:01 => "0D00:01:00.000000000"
"S=;"0:"a=1;b=2" => (`a`b;(,"1";,"2"))
("SJ*";",")0:enlist"a,1,hello" => (,`a;,1;,"hello")
csv 0:([]a:1 2f;b:2020.01.01 2020.01.02) => ("a,b";"1,2020-01-01";"2,2020-01-02")
""",
    "casts": """
"j"$2.5 3.5 -2.5 => 3 4 -2
"h"$70000 => 0Wh
"x"$300 => 0x2c
"i"$"abc" => 97 98 99i
`date$2020.03m => 2020.03.01
`month$2020.03.15 => 2020.03m
`week$2020.01.15 => 2020.01.13
`uu$12:34:56 => 34i
`minute$12:34:56.789 => 12:34
"J"$"12a" => 0N
"D"$"01/02/2020" => 2020.01.02
"D"$"20200101" => 2020.01.01
"P"$"2020-01-01T12:00:00.123Z" => 2020.01.01D12:00:00.123000000
"N"$"1D02:03" => 1D02:03:00.000000000
"T"$"123456789" => 12:34:56.789
"M"$"202003" => 2020.03m
"SJF"$'("a";"1";"2.5") => (`a;1;2.5)
2000.01.01D5 => 2000.01.01D05:00:00.000000000
2020.01.01+12:00 => 2020.01.01D12:00:00.000000000
2020.03m-2019.03m => 12i
0D01 xbar 2020.01.01D12:34 => 2020.01.01D12:00:00.000000000
avg 2020.01.01 2020.01.03 => 7306f
12:00%2 => 360f
{x.hh}12:34 => 12i
""",
    "dictionaries": """
(`a`b!1 2)+`a`c!3 4 => `a`b`c!4 2 4
(`a`b!1 2),`b`c!3 4 => `a`b`c!1 3 4
(`a`b!1 2)^`b`c!0N 4 => `a`b`c!1 2 4
`a`c#`a`b!1 2 => `a`c!1 0N
(`a`b!1 2)_`a => (,`b)!,2
(`a`b!1 2)?2 => `b
{x+y}'[`a`b!1 2;`a`b!3 4] => `a`b!4 6
(+\\)`a`b!1 2 => `a`b!1 3
asc `b`a!1 0 => `a`b!`s#0 1
(`s#0 10 20!`a`b`c) 5 15 25 => `a`b`c
key `. => `symbol$()
key ` => `q`Q`h`j`o
@[`a`b!1 2;`a`b;:;7 8] => `a`b!7 8
flip `a`b!1 2 => 'rank
`a`b!1 2 3 => 'length
""",
    "functions": """
('[neg;abs]) -3 => -3
({x+1}{x*2}@)3 => 7
{x,y,z}[1;;3] 2 => 1 2 3
{$[x<2;1;x*.z.s x-1]}5 => 120
{if[x>1;:`big];`small}2 => `big
5{x*2}\\1 => 1 2 4 8 16 32
{x<100}{x*2}/1 => 128
{floor x%2}\\[100] => 100 50 25 12 6 3 1 0
{x+y+z}\\[1;2 3;4 5] => 7 15
(neg;abs;sqrt)@\\:4 => (-4;4;2f)
{x*y}.'(1 2;3 4) => 2 12
1 2,/:\\:3 4 => ((1 3;1 4);(2 3;2 4))
@[{1+x};`a;{`$x}] => `type
.[+;(1;`a);{"e:",x}] => "e:type"
@[{'oops};1;::] => "oops"
.[(1 2;3 4);(::;1);+;10] => (1 12;3 14)
{[a;b;c;d;e;f;g;h;i]a} => 'params
cos:12 => 'assign
`u#1 1 => 'u-fail
{.z.s[]}[] => 'stack
-1_value {[a;b]c:a+b;c*d} => (`byte$();`a`b;,`c;``d;`long$();"..";"";-1)
(value {x+10*y}) 4 => 10
type each (+;neg;{x};+[1];'[neg;abs];+/;+\\;+';+':;+/:;+\\:) => 102 101 100 104 105 107 108 106 109 110 111h
parse "exec a by b from t" => (?;`t;();,`b;,`a)
parse "a[0]+:1" => (+:;(`a;0);1)
eval (+;1;2) => 3
""",
    ".Q .j .h and internal": """
.Q.addmonths[2020.01.31;1] => 2020.03.02
.Q.fmt[6;2;3.14159] => "  3.14"
.Q.f[2;3.14159] => "3.14"
.Q.id `$"a b" => `ab
.Q.dd[`a;`b] => `a.b
.Q.x10 .Q.j10 "abcdefghij" => "abcdefghij"
.Q.x12 .Q.j12 "ABC123" => "000000ABC123"
.Q.btoa "Hello" => "SGVsbG8="
.Q.atob "SGVsbG8=" => 0x48656c6c6f
.Q.sha1 "abc" => 0xa9993e364706816aba3e25717850c26c9cd0d89d
.Q.ty each (1;1 2;"a";`a;(1;2 3)) => "jjcs "
.Q.fu[{x*2};1 1 2] => 2 2 4
.Q.s 2 cut til 4 => "0 1\\n2 3\\n"
.Q.def[`a`b!(1;`x)] .Q.opt ("-a";"5") => `a`b!(5;`x)
.j.k "{\\"a\\":1,\\"b\\":[1,2,null]}" => `a`b!(1f;1 2 0n)
.j.j ([]a:1 2) => "[{\\"a\\":1},\\n {\\"a\\":2}]"
.j.jd (1 0w;(enlist`null0w)!enlist 1b) => "[1,null]"
.j.j 0n 1.5 => "[null,1.5]"
.h.tx[`json] ([]a:1 2) => ("{\\"a\\":1}";"{\\"a\\":2}")
.h.cd ([]a:1 2;b:(1 2;3 4)) => ("a,b";"1,1 2";"2,3 4")
.h.code "run\\tq -p 5\\tnow" => "run <code><nobr>q -p 5</nobr></code> now"
.h.iso8601 1000000000 => "2000-01-01T00:00:01.000000000"
("\\r\\n" vs .h.hn["404";`txt;"no"])0 1 3 => ("HTTP/1.1 404";"Content-Type: text/plain";"Content-Length: 2")
.h.http "see http://a.b now" => "see <a href=\\"http://a.b\\">http://a.b</a> now"
.h.ty`json => "application/json"
-4!"a+ b" => (,"a";,"+";," ";,"b")
-14!"a\\"b" => "\\"a\\"\\"b\\""
-22!1 2 3 => 38
-9!-8!(1;`a;"abc") => (1;`a;"abc")
-27!(2i;3.14159 2.5) => ("3.14";"2.50")
ltime gtime 2020.06.01D12 => 2020.06.01D12:00:00.000000000
""",
    "tables": """
cols ([k:1 2]a:3 4) => `k`a
keys ([k:1 2]a:3 4) => ,`k
count ([]a:1 2 3) => 3
([]a:1 2)cross([]b:3 4) => +`a`b!(1 1 2 2;3 4 3 4)
ungroup ([]a:`x`y;b:(1 2;3)) => +`a`b!(`x`x`y;1 2 3)
([]k:1 2 3;a:4 5 6) lj ([k:1 3]a:70 80) => +`k`a!(1 2 3;70 5 80)
([]k:1 2 3;a:4 5 6) ij ([k:1 3]b:7 8) => +`k`a`b!(1 3;4 6;7 8)
([]k:1 2 3;a:4 5 6) pj ([k:1 3]a:7 8) => +`k`a!(1 2 3;11 5 14)
([]a:1 2) uj ([]a:3 4;b:5 6) => +`a`b!(1 2 3 4;0N 0N 5 6)
ej[`s;([]s:`a`b;x:1 2);([]s:`a`a;y:3 4)] => +`s`x`y!(`a`a;1 1;3 4)
aj[`t;([]t:10:01 10:04);([]t:10:00 10:03;p:1 2)] => +`t`p!(10:01 10:04;1 2)
aj0[`t;([]t:10:01 10:04);([]t:10:00 10:03;p:1 2)] => +`t`p!(10:00 10:03;1 2)
([]t:10:00 10:03;p:1 2) asof ([]t:10:01 10:04) => +(,`p)!,1 2
wj1[(0 2;1 3);`t;([]t:0 2);(([]t:til 4;p:10 20 30 40);(sum;`p))] => +`t`p!(0 2;30 70)
?[([]a:1 2 3);enlist(>;`a;1);0b;(enlist`b)!enlist(*;2;`a)] => +(,`b)!,4 6
cols ![([]a:1 2;b:3 4);();0b;enlist`a] => ,`b
exec a from ([]a:1 2) where a>1 => ,2
exec sum b by a from ([]a:`x`y`x;b:1 2 3) => `x`y!4 2
([]a:1 2),([]b:3 4) => 'mismatch
`a xcol ([]x:1 2;y:3 4) => +`a`y!(1 2;3 4)
`y xcols ([]x:1 2;y:3 4) => +`y`x!(3 4;1 2)
`x xdesc ([]x:1 3 2) => +(,`x)!,3 2 1
fkeys ([]a:1 2) => (`symbol$())!`symbol$()
""",
}
CASES = [
    pytest.param(*line.split(" => "), id=f"{family}: {line.split(' => ')[0]}"[:70])
    for family, lines in FAMILIES.items()
    for line in lines.strip().split("\n")
]


@pytest.mark.parametrize(("text", "expected"), CASES)
def test_the_reference(text: str, expected: str) -> None:
    try:
        got = formats.one_line(Session().value(text))
    except QError as error:
        got = f"'{error.text}"
    assert got == expected


def test_there_are_many() -> None:
    assert len(CASES) > 200


@pytest.mark.parametrize(
    ("lines", "shown"),
    [
        (["\\l sp.q", "select distinct s.city from sp where p=`p1"], "city  \n------\nlondon\nparis \n"),
        (["\\l sp.q", "exec sum qty by p.color from sp"], "blue | 900\ngreen| 1000\nred  | 1200\n"),
        (["\\l sp.q", "fkeys sp"], "s| s\np| p\n"),
        (["\\l trade.q", "keys`trade"], "`symbol$()\n"),
        (["x:2", "y::x+1", "views[]"], ",`y\n"),
        (["x:2", "y::x+1", ".z.b"], "x| y\n"),
        ([".a.b:1", "key `"], "`q`Q`h`j`o`a\n"),
        ([".z.pg:{x}", "\\x .z.pg", "@[value;`.z.pg;{x}]"], '".z.pg"\n'),
        (['.h.d:"/"', ".h.cd ([]a:1 2;b:(1 2;3 4))"], '"a,b"\n"1,1/2"\n"2,3/4"\n'),
    ],
)
def test_statements_that_need_others(lines: list[str], shown: str) -> None:
    q = Session()
    for line in lines[:-1]:
        q.show(line)
    assert q.show(lines[-1]) == shown
