"""Problems on strings as lists of characters."""

from __future__ import annotations

from itertools import groupby

from trimtab.qcode.problems.source import draw, problem

MIXED = draw(of="aAbBcC 1", most=12)
BRACKETS = draw(of="()[]", most=8)


def _balanced(s: str) -> bool:
    stack: list[str] = []
    for c in s:
        if c in "([":
            stack.append(c)
        elif not stack or stack.pop() + c not in ("()", "[]"):
            return False
    return not stack


PROBLEMS = [
    problem(
        "count_vowels",
        "sets",
        "s:C -> j",
        "How many vowels (a e i o u, small or capital) does the string contain?",
        'sum lower[s] in "aeiou"',
        lambda s: sum(c in "aeiou" for c in s.lower()),
        draw(of="aAeEiou bcxz", most=14),
    ),
    problem(
        "palindrome_text",
        "logic",
        "s:C -> b",
        "Does the text read the same in both directions when everything but letters and digits is left "
        "out and case is ignored? A text without letters and digits does.",
        't~reverse t:lower s where s in .Q.an except "_"',
        lambda s: (lambda t: t == t[::-1])([c for c in s.lower() if c.isalnum()]),
        draw(of="aAb ,.1", most=7),
        edges=[("",), ("A man, a plan, a canal: Panama",), ("ab",), (" ,",), ("1a1",)],
    ),
    problem(
        "run_lengths",
        "encoding",
        "s:C -> C",
        "Compress a string by writing each run of equal characters as the character followed by the "
        "length of the run in decimal (aaab gives a3b1). The empty string stays empty.",
        "raze {(first x),string count x} each (where differ s) cut s",
        lambda s: "".join(k + str(len(list(g))) for k, g in groupby(s)),
        draw(of="aab", most=14),
        edges=[("",), ("aaaaaaaaaaaab",)],
    ),
    problem(
        "swap_case",
        "logic",
        "s:C -> C",
        "Turn small letters into capitals and capitals into small letters; leave everything else.",
        "?[s=lower s;upper s;lower s]",
        str.swapcase,
        MIXED,
    ),
    problem(
        "first_unique_char",
        "grouping",
        "s:C -> j",
        "At which position stands the first character that occurs only once in the string? -1 when there is none.",
        "i:where 1=(count each group s) s; $[count i;first i;-1]",
        lambda s: next((i for i, c in enumerate(s) if s.count(c) == 1), -1),
        draw(of="abc", most=7),
        edges=[("",), ("aabb",)],
    ),
    problem(
        "is_rotation",
        "searching",
        "a:C b:C -> b",
        "Can the string b be made from a by moving some of the first characters of a to its end? Two "
        "empty strings count as yes.",
        "$[count[a]<>count b;0b;0=count a;1b;any b~/:(til count a) rotate\\:a]",
        lambda a, b: len(a) == len(b) and b in a + a,
        draw(of="ab", most=5),
        draw(of="ab", most=5),
        edges=[("", ""), ("abcd", "cdab"), ("abcd", "acbd"), ("ab", "abab")],
    ),
    problem(
        "are_anagrams",
        "sorting",
        "a:C b:C -> b",
        "Are two strings anagrams of each other: the same letters equally often, blanks and case ignored?",
        '(~). {asc lower x except " "} each (a;b)',
        lambda a, b: sorted(a.lower().replace(" ", "")) == sorted(b.lower().replace(" ", "")),
        draw(of="aAb ", most=4),
        draw(of="aAb ", most=4),
        edges=[("", ""), ("Dormitory", "dirty room"), ("ab", "a")],
    ),
    problem(
        "common_prefix",
        "nested",
        "words:CC -> C",
        "What is the longest beginning that all the strings share? There is at least one string.",
        "n:min count each words; (sum mins 1=count each distinct each flip n#'words)#first words",
        lambda words: next(
            (words[0][:k] for k in range(min(map(len, words)), -1, -1) if len({w[:k] for w in words}) == 1), ""
        ),
        draw(of="ab", least=1, most=3, width=(1, 5)),
        edges=[(["flower", "flow", "flight"],), (["abc"],), (["", "a"],), (["abc", "abc"],)],
    ),
    problem(
        "hamming",
        "arithmetic",
        "a:C b:C -> j",
        "Two strings have the same length. At how many positions do they differ?",
        "sum a<>b",
        lambda a, b: sum(x != y for x, y in zip(a, b, strict=True)),
        draw(of="abc"),
        draw(of="abc", like=0),
        edges=[("", "")],
    ),
    problem(
        "remove_adjacent_pairs",
        "iteration",
        "s:C -> C",
        "As long as two equal characters stand next to each other, strike both out (from the left). What "
        "is left in the end? (abba vanishes.)",
        '{$[(count x)&y~last x;-1_x;x,y]}/["";s]',
        lambda s: (lambda st: ([st.pop() if st and st[-1] == c else st.append(c) for c in s], "".join(st))[1])([]),
        draw(of="abc", most=10),
        edges=[("",), ("abba",), ("aaa",)],
    ),
    problem(
        "balanced_brackets",
        "recursion",
        "s:C -> b",
        "Are the round and square brackets of the string balanced and properly nested? The string holds "
        "nothing but brackets; the empty string is balanced.",
        '0=count {ssr[ssr[x;"()";""];"[[]]";""]}/[s]',
        _balanced,
        BRACKETS,
        edges=[("",), ("([])",), ("([)]",), ("(",), (")(",), ("()[]",), ("[[()]]()",)],
    ),
    problem(
        "center_text",
        "casting",
        "s:C n:j -> C",
        "Pad a string with blanks on both sides to width n, so that it stands in the middle; where the "
        "blanks cannot be shared evenly the extra one goes to the right. A string as long as n or longer "
        "is returned unchanged.",
        'p:0|n-count s; ((p div 2)#" "),s,(p-p div 2)#" "',
        lambda s, n: (lambda p: " " * (p // 2) + s + " " * (p - p // 2))(max(0, n - len(s))),
        draw(most=5),
        draw(low=0, high=9),
    ),
    problem(
        "caesar",
        "encoding",
        "s:C k:j -> C",
        "Shift every small letter of the string k places on in the alphabet, after z comes a again; k "
        "may be negative. Other characters stay.",
        "@[s;where s in .Q.a;{.Q.a (y+.Q.a?x) mod 26}[;k]]",
        lambda s, k: "".join(chr((ord(c) - 97 + k) % 26 + 97) if "a" <= c <= "z" else c for c in s),
        draw(of="abxyz Z.", most=10),
        draw(low=-30, high=30),
        edges=[("", 3), ("xyz", 3), ("abc", -1)],
    ),
    problem(
        "count_substring",
        "searching",
        "s:C pat:C -> j",
        "How often does pat occur in s, overlapping occurrences counted? pat is not empty (and has no "
        "special characters).",
        "sum {[s;p;i] p~(count p) sublist i _ s}[s;pat] each til count s",
        lambda s, pat: sum(s.startswith(pat, i) for i in range(len(s))),
        draw(of="ab", most=12),
        draw(of="ab", least=1, most=3),
        edges=[("", "a"), ("aaaa", "aa")],
    ),
    problem(
        "most_common_char",
        "statistics",
        "s:C -> c",
        "Which character occurs most often? Of several take the one that comes first in the string. An "
        "empty string gives a blank.",
        "first idesc count each group s",
        lambda s: max(s, key=s.count) if s else " ",
        draw(of="abc", most=9),
        edges=[("",), ("abba",)],
    ),
]
