"""Problems on lists taken as sets: membership, differences, overlaps."""

from __future__ import annotations

from collections import Counter
from typing import Any

from trimtab.qcode.problems.source import draw, problem

SMALL = draw(low=0, high=6, most=8)


def _uniq(xs: list[Any]) -> list[Any]:
    return list(dict.fromkeys(xs))


PROBLEMS = [
    problem(
        "symmetric_difference",
        "sorting",
        "a:J b:J -> J",
        "Which values occur in exactly one of the two lists? Return each once, in ascending order.",
        "asc distinct (a except b),b except a",
        lambda a, b: sorted(set(a) ^ set(b)),
        SMALL,
        SMALL,
        edges=[([], []), ([1], [1])],
    ),
    problem(
        "is_subset",
        "logic",
        "a:J b:J -> b",
        "Does every value of a also occur in b? For an empty a the answer is yes.",
        "all a in b",
        lambda a, b: set(a) <= set(b),
        draw(low=0, high=3, most=3),
        draw(low=0, high=3, most=6),
        edges=[([], []), ([1], [])],
    ),
    problem(
        "common_to_all",
        "nested",
        "lists:JJ -> J",
        "Which values occur in every one of the lists (there is at least one)? Return each once, in ascending order.",
        "asc distinct (inter/) lists",
        lambda lists: sorted(set.intersection(*map(set, lists))),
        draw(low=0, high=4, least=1, most=3, width=(2, 7)),
    ),
    problem(
        "jaccard",
        "statistics",
        "a:S b:S -> f",
        "Give the Jaccard similarity of two lists of symbols taken as sets: the number of common values "
        "over the number of values in either. When both are empty it is 1.",
        "$[0=count u:a union b;1f;(count distinct a inter b)%count u]",
        lambda a, b: len(set(a) & set(b)) / len(set(a) | set(b)) if a or b else 1.0,
        edges=[([], []), (["a"], []), (["a", "a"], ["a"])],
    ),
    problem(
        "duplicates",
        "grouping",
        "xs:J -> J",
        "Which values occur more than once? Return each once, in the order of their first occurrence.",
        "where 1<count each group xs",
        lambda xs: [v for v in _uniq(xs) if xs.count(v) > 1],
        SMALL,
    ),
    problem(
        "multiset_difference",
        "grouping",
        "a:J b:J -> J",
        "Remove from a, one for one, the items of b: each item of b strikes out at most one equal item "
        "of a, the first that is left. Items of b that a lacks change nothing. Keep the order of a.",
        "{$[count[x]>i:x?y;x _ i;x]}/[a;b]",
        lambda a, b: (lambda left: [v for v in a if not (left[v] > 0 and not left.subtract([v]))])(Counter(b)),
        SMALL,
        SMALL,
        edges=[([1, 1, 2], [1]), ([], [1]), ([1, 2], [])],
    ),
    problem(
        "disjoint",
        "logic",
        "a:S b:S -> b",
        "Have the two lists of symbols no value in common?",
        "not any a in b",
        lambda a, b: not set(a) & set(b),
        draw(most=3),
        draw(most=3),
        edges=[([], []), (["a"], ["a"])],
    ),
    problem(
        "new_values",
        "iteration",
        "xs:J -> J",
        "For each position of a list, how many distinct values have been seen up to and including it?",
        "sums (xs?xs)=til count xs",
        lambda xs: [len(set(xs[: i + 1])) for i in range(len(xs))],
        SMALL,
    ),
    problem(
        "missing_from_range",
        "arithmetic",
        "xs:J -> J",
        "Which whole numbers between the smallest and the largest item of a list are missing from it? "
        "Ascending order; an empty list misses nothing.",
        "$[0=count xs;`long$();(min[xs]+til 1+max[xs]-min xs) except xs]",
        lambda xs: sorted(set(range(min(xs), max(xs))) - set(xs)) if xs else [],
        draw(low=0, high=12, most=6),
    ),
    problem(
        "same_multiset",
        "sorting",
        "a:J b:J -> b",
        "Do the two lists hold the same values equally often, whatever their order?",
        "asc[a]~asc b",
        lambda a, b: sorted(a) == sorted(b),
        draw(low=0, high=1, most=3),
        draw(low=0, high=1, most=3),
        edges=[([], []), ([1, 2, 2], [2, 1, 2]), ([1, 2, 2], [1, 1, 2])],
    ),
    problem(
        "set_cover_gaps",
        "dictionaries",
        "have:S!J need:S -> S",
        "The dictionary have gives the number in stock by name. Which of the names in need are not in "
        "stock (absent from the dictionary, or with stock 0)? Keep the order of need, repeats included.",
        "need where not 0<have need",
        lambda have, need: [n for n in need if have.get(n, 0) <= 0],
        draw(values=draw(low=0, high=2)),
        draw(of=["a", "b", "c", "d", "e", "f"]),
        edges=[({}, ["a"]), ({"a": 0, "b": 1}, ["a", "b"])],
    ),
    problem(
        "distinct_sorted_union",
        "sorting",
        "a:S b:S -> S",
        "Return every symbol that occurs in a or in b, once each, alphabetically.",
        "asc distinct a,b",
        lambda a, b: sorted(set(a + b)),
    ),
    problem(
        "one_apart",
        "logic",
        "a:S b:S -> b",
        "Taken as sets, do the two lists differ in exactly one value (a value that one has and the other lacks)?",
        "1=count distinct (a except b),b except a",
        lambda a, b: len(set(a) ^ set(b)) == 1,
        draw(of=["a", "b", "c"], most=4),
        draw(of=["a", "b", "c"], most=4),
        edges=[([], []), ([], ["a"]), (["a"], ["b"])],
    ),
    problem(
        "overlap_count",
        "lists",
        "a:J b:J -> j",
        "Counting repeats, how many items of the two lists can be paired up with an equal item of the "
        "other list, each item used at most once? (1 1 2 and 1 1 1 give 2.)",
        "d:distinct a; $[0=count d;0;sum (sum each d=\\:a)&sum each d=\\:b]",
        lambda a, b: sum((Counter(a) & Counter(b)).values()),
        SMALL,
        SMALL,
        edges=[([], []), ([1, 1, 2], [1, 1, 1])],
    ),
]
