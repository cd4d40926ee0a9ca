"""Problems on types: parsing, formatting, converting."""

from __future__ import annotations

import datetime
import re

from trimtab.qcode.problems.source import draw, problem

D = datetime.date


def _grouped(n: int) -> str:
    return f"{n:,}"


def _newer(a: str, b: str) -> int:
    p, q = ([*map(int, version.split(".")), 0, 0, 0, 0][:4] for version in (a, b))
    return (p > q) - (p < q)


PROBLEMS = [
    problem(
        "parse_longs",
        "text",
        "s:C -> J",
        "A string holds whole numbers separated by single commas. Return them as longs; a field that is "
        "no whole number becomes null. The empty string gives one null.",
        '"J"$"," vs s',
        lambda s: [int(f) if re.fullmatch(r"-?\d+", f) else None for f in s.split(",")],
        draw(words=["1", "-22", "x", "305", ""], separator=",", most=5, least=1),
    ),
    problem(
        "zero_pad",
        "strings",
        "n:j w:j -> C",
        "Write a number that is not negative with leading zeros to a width of w characters; longer numbers stay whole.",
        '((0|w-count s)#"0"),s:string n',
        lambda n, w: str(n).zfill(w),
        draw(low=0, high=99999),
        draw(low=0, high=8),
        edges=[(0, 0), (7, 3), (1234, 2)],
    ),
    problem(
        "thousands",
        "strings",
        "n:j -> C",
        "Write a number with commas between groups of three digits (1234567 gives 1,234,567); negative "
        "numbers keep their minus in front.",
        '$[n<0;"-";""],reverse "," sv 3 cut reverse string abs n',
        _grouped,
        draw(low=-9999999, high=9999999),
        edges=[(0,), (999,), (1000,), (-1234,), (-123,)],
    ),
    problem(
        "bools_to_number",
        "encoding",
        "bs:B -> j",
        "Read a list of booleans as a binary number, the first being the most significant. The empty list is 0.",
        "$[count bs;2 sv `long$bs;0]",
        lambda bs: int("".join("01"[b] for b in bs) or "0", 2),
    ),
    problem(
        "parse_date_parts",
        "temporal",
        "s:C -> d",
        "Parse a date written day/month/year, such as 3/11/2024 (day and month have one or two digits). "
        "The date exists.",
        '"D"$"." sv {((0|2-count x)#"0"),x} each reverse "/" vs s',
        lambda s: (lambda p: D(*p[::-1]))([int(v) for v in s.split("/")]),
        draw(
            words=[
                "3/11/2024",
                "31/12/1999",
                "1/1/2000",
                "29/2/2024",
                "07/08/2023",
                "15/6/2025",
                "9/10/2021",
                "28/02/2023",
            ],
            least=1,
            most=1,
        ),
    ),
    problem(
        "symbols_to_text",
        "strings",
        "names:S sep:C -> C",
        "Join the names of symbols into a string with the text sep between them. No symbols: an empty string.",
        "sep sv string names",
        lambda names, sep: sep.join(names),
        None,
        draw(of=",- ", least=1, most=2),
    ),
    problem(
        "format_duration",
        "temporal",
        "n:j -> C",
        "Write a number of seconds (0 to 86399) as hours:minutes:seconds with two digits each.",
        "string `second$n",
        lambda n: f"{n // 3600:02d}:{n // 60 % 60:02d}:{n % 60:02d}",
        draw(low=0, high=86399),
        edges=[(0,), (59,), (3661,), (86399,)],
    ),
    problem(
        "truncate_floats",
        "arithmetic",
        "xs:F -> J",
        "Drop the decimals of each number (towards zero) and return longs. A null becomes the null long.",
        "(1-2*xs<0)*floor abs xs",
        lambda xs: [None if v is None else int(v) for v in xs],
        draw(nulls=0.1),
    ),
    problem(
        "chars_to_digits",
        "lists",
        "s:C -> J",
        "Turn each character of a string into a number: digits into their value, anything else into -1.",
        "((til 10),-1) .Q.n?s",
        lambda s: [int(c) if c.isdigit() else -1 for c in s],
        draw(of="0129ab-", most=8),
    ),
    problem(
        "to_percent_text",
        "strings",
        "x:f -> C",
        "Write a share between 0 and 1 as a whole percentage with a percent sign, rounded to the nearest "
        "per cent, halves up (0.256 gives 26%).",
        'string[floor .5+100*x],"%"',
        lambda x: f"{int(100 * x + 0.5)}%",
        draw(of=[0.0, 0.256, 0.5, 1.0, 0.014, 0.993, 0.34, 0.07, 0.111]),
    ),
    problem(
        "common_type_sum",
        "arithmetic",
        "s:C -> f",
        "A string holds numbers, with or without decimals, separated by single blanks. Return their sum "
        "as a float; fields that are no numbers count nothing. The empty string gives 0.",
        '0f+sum 0^"F"$" " vs s',
        lambda s: float(sum(float(f) for f in s.split(" ") if re.fullmatch(r"-?\d+(\.\d+)?", f))),
        draw(words=["1", "2.5", "-3", "abc", "10.25"], most=5),
    ),
    problem(
        "letters_to_index",
        "dictionaries",
        "s:C -> J",
        "Give the place in the alphabet (a is 1) of each letter of a text, capitals counting as small "
        "letters, and 0 for every other character.",
        "((1+til 26),0) .Q.a?lower s",
        lambda s: [ord(c) - 96 if "a" <= c <= "z" else 0 for c in s.lower()],
        draw(of="abzAZ 1", most=8),
    ),
    problem(
        "version_compare",
        "sorting",
        "a:C b:C -> j",
        "Compare two version numbers such as 1.10.2, part by part as numbers; missing parts count as 0. "
        "Return -1, 0 or 1 as a is older than, equal to or newer than b.",
        'v:"J"$"." vs/:(a;b); d:(-). (max count each v)#/:v,\\:4#0; `long$signum first (d where d<>0),0',
        _newer,
        draw(words=["1", "1.2", "1.10", "1.2.0", "2.0", "1.9.9"], least=1, most=1),
        draw(words=["1", "1.2", "1.10", "1.2.1", "2", "1.10.0"], least=1, most=1),
        edges=[("1.2", "1.10"), ("1.0", "1"), ("2", "1.9"), ("1.2.0.1", "1.2")],
    ),
    problem(
        "transpose_text",
        "matrices",
        "words:CC -> CC",
        "The strings have equal, positive length. Read them column by column: the first result string "
        "holds the first characters, and so on.",
        "flip words",
        lambda words: ["".join(c) for c in zip(*words, strict=True)],
        draw(least=2, most=4, width=(3, 3)),
        edges=[(["abc", "def"],)],
    ),
    problem(
        "infer_kind",
        "logic",
        "s:C -> s",
        "What kind of value does a text hold? Answer `bool for true or false, `long for a whole number "
        "(an optional minus and digits), `float for one with a decimal point and digits on both sides, "
        "else `text.",
        't:("-"=first s)_s; $[any s~/:("true";"false");`bool;(0<count t)&all t in .Q.n;`long;(1=sum '
        't=".")&(all t in .Q.n,".")&(not "." in (first t;last t));`float;`text]',
        lambda s: (
            "bool"
            if s in ("true", "false")
            else "long"
            if re.fullmatch(r"-?\d+", s)
            else "float"
            if re.fullmatch(r"-?\d+\.\d+", s)
            else "text"
        ),
        draw(
            words=["true", "false", "12", "-7", "3.5", "-0.25", "abc", "1.", ".5", "1.2.3", "-", "12a", "007"],
            least=1,
            most=1,
        ),
        edges=[("true",), ("12",), ("-7",), ("3.5",), ("1.",), (".5",), ("-",), ("",)],
    ),
]
