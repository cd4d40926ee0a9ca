"""Problems on conditions: booleans, rules, bits."""

from __future__ import annotations

from trimtab.qcode.problems.source import draw, problem

BITS = draw(least=1, most=8)


def _fizz(n: int) -> list[str]:
    return [
        "fizzbuzz" if i % 15 == 0 else "fizz" if i % 3 == 0 else "buzz" if i % 5 == 0 else str(i)
        for i in range(1, n + 1)
    ]


def _life(row: list[bool]) -> list[bool]:
    return [(i > 0 and row[i - 1]) != (i + 1 < len(row) and row[i + 1]) for i in range(len(row))]


PROBLEMS = [
    problem(
        "fizzbuzz",
        "casting",
        "n:j -> S",
        "For each number from 1 to n give a symbol: fizz when it is divisible by 3, buzz when by 5, "
        "fizzbuzz when by both, else the number itself. n may be 0.",
        "{$[0=x mod 15;`fizzbuzz;0=x mod 3;`fizz;0=x mod 5;`buzz;`$string x]} each 1+til n",
        _fizz,
        draw(low=0, high=31),
        edges=[(0,), (1,), (15,), (5,)],
    ),
    problem(
        "exactly_one",
        "lists",
        "a:B b:B c:B -> B",
        "Three lists of booleans have equal length. At which positions is exactly one of them true? "
        "Answer with a list of booleans.",
        "1=a+b+c",
        lambda a, b, c: [x + y + z == 1 for x, y, z in zip(a, b, c, strict=True)],
        None,
        draw(like=0),
        draw(like=0),
    ),
    problem(
        "triangle_kind",
        "sorting",
        "a:j b:j c:j -> s",
        "Are three positive lengths the sides of a triangle? Answer `none when they are not (one is at "
        "least as long as the other two together), else `equilateral, `isosceles or `scalene.",
        "s:asc(a;b;c); $[s[2]>=s[0]+s 1;`none;`scalene`isosceles`equilateral 3-count distinct s]",
        lambda a, b, c: (
            lambda s: "none" if s[2] >= s[0] + s[1] else ["equilateral", "isosceles", "scalene"][len(set(s)) - 1]
        )(sorted((a, b, c))),
        draw(low=1, high=5),
        draw(low=1, high=5),
        draw(low=1, high=5),
        edges=[(1, 2, 3), (2, 2, 2), (3, 4, 5), (2, 2, 3), (3, 1, 1)],
    ),
    problem(
        "toggle_doors",
        "iteration",
        "n:j -> J",
        "n closed doors stand in a row, numbered from 1. On walk k (k from 1 to n) every k-th door is "
        "opened if closed and closed if open. Which doors are open in the end?",
        "1+where (sum 0=(1+til n) mod/:1+til n) mod 2",
        lambda n: [i for i in range(1, n + 1) if int(i**0.5) ** 2 == i],
        draw(low=1, high=40),
        edges=[(1,), (3,), (4,), (25,)],
    ),
    problem(
        "bit_count",
        "encoding",
        "xs:J -> J",
        "How many ones has each number in binary? The numbers are from 0 to 1023.",
        "sum (10#2) vs xs",
        lambda xs: [v.bit_count() for v in xs],
        draw(low=0, high=1023),
    ),
    problem(
        "password_ok",
        "strings",
        "s:C -> b",
        "A password is accepted when it has at least 6 characters, and among them a small letter, a "
        "capital and a digit. Is this one accepted?",
        "(6<=count s)&all any each (.Q.a;.Q.A;.Q.n) {y in x}\\: s",
        lambda s: len(s) >= 6 and all(any(f(c) for c in s) for f in (str.islower, str.isupper, str.isdigit)),
        draw(of="abXY12", least=3, most=9),
        edges=[("",), ("abcXY1",), ("abXY1",), ("abcdef",), ("ABCDE1",), ("abcde1",), ("abcABC",)],
    ),
    problem(
        "switch_states",
        "lists",
        "n:j flips:J -> B",
        "n lamps are off. Each number in flips (positions from 0) switches that lamp: on if off, off if "
        "on. Which lamps are on in the end? Positions outside 0..n-1 do nothing.",
        "1=(sum each (til n)=\\:flips) mod 2",
        lambda n, flips: [flips.count(i) % 2 == 1 for i in range(n)],
        draw(low=1, high=6),
        draw(low=-1, high=6),
    ),
    problem(
        "between_strict",
        "searching",
        "xs:J lo:j hi:j -> J",
        "Which items lie strictly between lo and hi? Keep their order.",
        "xs where (xs>lo)&xs<hi",
        lambda xs, lo, hi: [v for v in xs if lo < v < hi],
        None,
        draw(low=-9, high=0),
        draw(low=0, high=9),
    ),
    problem(
        "cellular_step",
        "moving",
        "cells:B -> B",
        "In a row of cells, a cell lives in the next generation exactly when one, but not both, of its "
        "two neighbours lives now; beyond the ends nothing lives. Give the next generation.",
        "(-1_0b,cells)<>1_cells,0b",
        _life,
        BITS,
        edges=[([],), ([True],), ([False, True, False],)],
    ),
    problem(
        "vote",
        "statistics",
        "ballots:BB -> B",
        "Each list holds one voter's answers (true or false) to the same questions. Which questions got "
        "true from strictly more than half of the voters? There is at least one voter.",
        "(sum ballots)>.5*count ballots",
        lambda ballots: [2 * sum(c) > len(ballots) for c in zip(*ballots, strict=True)],
        draw(least=1, most=5, width=(1, 5)),
    ),
    problem(
        "implies_all",
        "sets",
        "a:B b:B -> b",
        "Does b hold wherever a holds? The lists have equal length; for empty lists yes.",
        "all a<=b",
        lambda a, b: all(y or not x for x, y in zip(a, b, strict=True)),
        draw(most=3),
        draw(like=0),
    ),
    problem(
        "null_mask",
        "casting",
        "a:J b:J -> J",
        "Two lists have equal length. Take the item of a where it is not null, else that of b; where "
        "both are null take 0.",
        "0^b^a",
        lambda a, b: [x if x is not None else y if y is not None else 0 for x, y in zip(a, b, strict=True)],
        draw(nulls=0.5),
        draw(like=0, nulls=0.5),
    ),
    problem(
        "sign_words",
        "dictionaries",
        "xs:J -> S",
        "Name the sign of each number: `neg, `zero or `pos; null numbers get `none.",
        "?[null xs;`none;`neg`zero`pos 1+signum xs]",
        lambda xs: ["none" if v is None else "neg" if v < 0 else "pos" if v else "zero" for v in xs],
        draw(low=-2, high=2, nulls=0.2),
    ),
    problem(
        "alternating",
        "iteration",
        "bs:B -> b",
        "Do true and false alternate strictly in the list? Lists of fewer than two items do.",
        "all 1_differ bs",
        lambda bs: all(x != y for x, y in zip(bs, bs[1:], strict=False)),
        draw(most=4),
        edges=[([True, False, True],), ([True, True],), ([],)],
    ),
    problem(
        "thermostat",
        "iteration",
        "temps:J lo:j hi:j -> B",
        "A heater is off at first. At each reading it goes on when the temperature is below lo, off when "
        "it is above hi, and otherwise stays as it was. Is it on after each reading? lo is not above hi.",
        "1=0^fills ?[temps<lo;1;?[temps>hi;0;0N]]",
        lambda temps, lo, hi: [
            next((t < lo for t in reversed(temps[: i + 1]) if t < lo or t > hi), False) for i in range(len(temps))
        ],
        draw(low=0, high=9, most=10),
        draw(low=2, high=4),
        draw(low=4, high=7),
    ),
]
