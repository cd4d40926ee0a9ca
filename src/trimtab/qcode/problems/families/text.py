"""Problems on text: words, lines, fields and small parsers."""

from __future__ import annotations

import re

from trimtab.qcode.problems.source import draw, problem

WORDS = ["the", "quick", "fox", "jumps", "over", "a", "dog", "no", "on"]
SENTENCE = draw(words=WORDS, most=7)
SPACED = draw(of="ab  ", most=12)

PROBLEMS = [
    problem(
        "count_words",
        "strings",
        "s:C -> j",
        "How many words does the text have? Words are separated by one or more blanks; there may be "
        "blanks at both ends.",
        'sum 0<count each " " vs s',
        lambda s: len(s.split()),
        SPACED,
        edges=[("",), ("   ",), ("a  b",)],
    ),
    problem(
        "reverse_words",
        "lists",
        "s:C -> C",
        "Put the words of a text, separated by single blanks, into the opposite order.",
        '" " sv reverse " " vs s',
        lambda s: " ".join(s.split(" ")[::-1]),
        SENTENCE,
        edges=[("",), ("one",), ("a b",)],
    ),
    problem(
        "title_case",
        "strings",
        "s:C -> C",
        "Make the first letter of every word a capital and leave the rest. The text has small letters "
        "and single blanks only.",
        '@[s;where differ[not s=" "]&not s=" ";upper]',
        lambda s: " ".join(w[:1].upper() + w[1:] for w in s.split(" ")),
        SENTENCE,
    ),
    problem(
        "longest_word",
        "sorting",
        "s:C -> C",
        "Which word of the text is longest? Of several take the first. Words are separated by single "
        "blanks; an empty text gives an empty string.",
        'w first idesc count each w:" " vs s',
        lambda s: max(s.split(" "), key=len),
        SENTENCE,
        edges=[("",), ("no on",)],
    ),
    problem(
        "acronym",
        "strings",
        "s:C -> C",
        "Form the acronym of a phrase: the first letters of its words, as capitals. Words are separated "
        "by single blanks; an empty phrase gives an empty string.",
        'upper first each (" " vs s) except enlist ""',
        lambda s: "".join(w[0].upper() for w in s.split()),
        SENTENCE,
    ),
    problem(
        "squeeze_blanks",
        "strings",
        "s:C -> C",
        "Replace every run of blanks by a single blank, and drop blanks at both ends.",
        '" " sv w where 0<count each w:" " vs s',
        lambda s: " ".join(s.split()),
        SPACED,
        edges=[("",), ("  ",), (" a ",)],
    ),
    problem(
        "word_frequencies",
        "dictionaries",
        "s:C -> S!J",
        "Count how often each word occurs in a text. Return a dictionary from words (as symbols) to "
        "counts in the order of first occurrence. The text has at least one word; words are separated by "
        "single blanks.",
        'count each group `$" " vs s',
        lambda s: {w: s.split().count(w) for w in dict.fromkeys(s.split())},
        draw(words=WORDS, least=1, most=8),
    ),
    problem(
        "parse_key_values",
        "dictionaries",
        "s:C -> S!J",
        "The text looks like a=1;b=22 (names, whole numbers). Parse it into a dictionary from symbols to "
        "longs. There is at least one entry; when a name comes twice its last value counts, at the place "
        "of the first.",
        'd:"=" vs/:";" vs s; k:`$d[;0]; v:"J"$d[;1]; u!v last each (group k) u:distinct k',
        lambda s: {p.split("=")[0]: int(p.split("=")[1]) for p in s.split(";")},
        draw(words=["a=1", "b=22", "c=-3", "a=7", "long=100", "z=0"], separator=";", least=1, most=5),
    ),
    problem(
        "csv_column_sum",
        "casting",
        "s:C i:j -> j",
        "A line of comma-separated fields is given for each row, the rows separated by |. Add up the "
        "numbers of column i (from 0). All rows have three whole numbers.",
        'sum "J"$("," vs/:"|" vs s)[;i]',
        lambda s, i: sum(int(r.split(",")[i]) for r in s.split("|")),
        draw(words=["1,2,3", "10,-4,0", "7,7,8", "0,5,-9"], separator="|", least=1, most=5),
        draw(low=0, high=2),
    ),
    problem(
        "mask_digits",
        "encoding",
        "s:C -> C",
        "Replace each digit of the text by a star and leave everything else.",
        '@[s;where s in .Q.n;:;"*"]',
        lambda s: re.sub(r"\d", "*", s),
        draw(of="ab1 29", most=10),
    ),
    problem(
        "camel_to_snake",
        "strings",
        "s:C -> C",
        "Turn a name like someLongName into some_long_name: each capital becomes an underscore and the "
        "small letter. The name starts with a small letter or is empty.",
        'raze {$[x in .Q.A;"_",lower x;x]} each s',
        lambda s: re.sub(r"[A-Z]", lambda m: "_" + m[0].lower(), s),
        draw(words=["aB", "cD", "ab", "b", "xYZ"], separator="", most=4),
        edges=[("",), ("someLongName",)],
    ),
    problem(
        "extract_numbers",
        "casting",
        "s:C -> J",
        "Return all whole numbers in a text, in order. A number is a run of digits; there are no signs.",
        '"J"$w where 0<count each w:" " vs @[s;where not s in .Q.n;:;" "]',
        lambda s: [int(n) for n in re.findall(r"\d+", s)],
        draw(of="a1 20b", most=12),
        edges=[("",), ("abc",), ("a12b3",)],
    ),
    problem(
        "pig_latin",
        "strings",
        "s:C -> C",
        "In every word of the text move the first letter to the end and append ay (fox gives oxfay). "
        "Words have small letters and are separated by single blanks; an empty text stays empty.",
        '" " sv {$[count x;(1_x),x[0],"ay";x]} each " " vs s',
        lambda s: " ".join(w[1:] + w[0] + "ay" for w in s.split()),
        SENTENCE,
    ),
    problem(
        "wrap_lines",
        "iteration",
        "s:C n:j -> CC",
        "Break a text into lines of at most n characters: put as many words as fit on each line, single "
        "blanks between. Words are separated by single blanks, none is longer than n. There is at least "
        "one word.",
        '{[n;l;w] $[n>=count[last l]+1+count w;(-1_l),enlist last[l]," ",w;l,enlist w]}[n]/[1#" " vs s;1_" " vs s]',
        lambda s, n: __import__("textwrap").wrap(s, n),
        draw(words=WORDS, least=1, most=9),
        draw(low=5, high=14),
    ),
    problem(
        "split_on_any",
        "sets",
        "s:C seps:C -> CC",
        "Split a string at every character that occurs in seps, and drop empty pieces.",
        "w where 0<count each w:(first seps) vs @[s;where s in seps;:;first seps]",
        lambda s, seps: [w for w in re.split("[" + re.escape(seps) + "]", s) if w],
        draw(of="ab,;-", most=12),
        draw(of=",;-", least=1, most=2, order="distinct"),
        edges=[("", ","), (",,", ","), ("a,b;c", ",;")],
    ),
]
