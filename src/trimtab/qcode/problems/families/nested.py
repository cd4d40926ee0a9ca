"""Problems on lists of lists of different lengths."""

from __future__ import annotations

import itertools

from trimtab.qcode.problems.source import draw, problem

L = draw(most=5, width=(0, 4))
FULL = draw(least=1, most=5, width=(1, 4))


PROBLEMS = [
    problem(
        "lengths",
        "lists",
        "xss:JJ -> J",
        "How long is each of the lists? No lists: an empty list of longs.",
        "$[count xss;count each xss;`long$()]",
        lambda xss: [len(x) for x in xss],
        L,
    ),
    problem(
        "flatten_distinct",
        "sets",
        "xss:JJ -> J",
        "Put all items of the lists into one list, in order, each value once (at its first occurrence). "
        "There is at least one list.",
        "distinct raze xss",
        lambda xss: list(dict.fromkeys(itertools.chain(*xss))),
        draw(least=1, width=(1, 4), low=0, high=5),
    ),
    problem(
        "longest_list",
        "searching",
        "xss:JJ -> J",
        "Return the longest of the lists, the first of several. There is at least one.",
        "xss first idesc count each xss",
        lambda xss: max(xss, key=len),
        FULL,
    ),
    problem(
        "drop_empty",
        "logic",
        "xss:JJ -> JJ",
        "Remove the empty lists.",
        "xss where 0<count each xss",
        lambda xss: [x for x in xss if x],
        L,
    ),
    problem(
        "sum_each_squared",
        "arithmetic",
        "xss:JJ -> j",
        "Add up the items of each list, square the sums, and add those up. For no lists 0.",
        "$[count xss;sum s*s:sum each xss;0]",
        lambda xss: sum(sum(x) ** 2 for x in xss),
        L,
    ),
    problem(
        "pad_rows",
        "matrices",
        "xss:JJ -> JJ",
        "Make a matrix of lists of different lengths: pad each with zeros at its end to the length of "
        "the longest. There is at least one list.",
        "n:max count each xss; {[n;x] n#x,n#0}[n] each xss",
        lambda xss: (lambda n: [x + [0] * (n - len(x)) for x in xss])(max(map(len, xss))),
        draw(least=1, most=4, width=(1, 4)),
    ),
    problem(
        "group_consecutive",
        "grouping",
        "xs:J -> JJ",
        "Cut an ascending list of distinct numbers into runs of consecutive numbers (1 2 3 7 8 gives 1 2 "
        "3 and 7 8). An empty list gives an empty list.",
        "$[count xs;(where 1b,1<1_deltas xs) cut xs;()]",
        lambda xs: (
            (lambda cuts: [xs[a:b] for a, b in itertools.pairwise(cuts)])(
                [0, *[i for i in range(1, len(xs)) if xs[i] > xs[i - 1] + 1], len(xs)]
            )
            if xs
            else []
        ),
        draw(order="ascending distinct", most=10),
    ),
    problem(
        "column_of_ragged",
        "lists",
        "xss:JJ i:j -> J",
        "Take item i (from 0) of each list that has one, in order.",
        "xss[;i] where i<count each xss",
        lambda xss, i: [x[i] for x in xss if i < len(x)],
        FULL,
        draw(low=0, high=3),
    ),
    problem(
        "sort_lists_by_sum",
        "sorting",
        "xss:JJ -> JJ",
        "Sort the lists by the sum of their items, smallest first; equal sums keep their order.",
        "xss iasc sum each xss",
        lambda xss: sorted(xss, key=sum),
        draw(least=1, most=5, width=(1, 3), low=-4, high=4),
    ),
    problem(
        "prefixes",
        "iteration",
        "xs:J -> JJ",
        "List all beginnings of a list, from its first item alone to the whole list. An empty list has none.",
        "(1+til count xs)#\\:xs",
        lambda xs: [xs[: i + 1] for i in range(len(xs))],
    ),
    problem(
        "split_at_value",
        "searching",
        "xs:J v:j -> JJ",
        "Cut a list at every occurrence of v, leaving v out; there may be empty parts, so the number of "
        "parts is one more than the number of v's.",
        "1_'(where v=v,xs) cut v,xs",
        lambda xs, v: (lambda idx: [xs[a + 1 : b] for a, b in itertools.pairwise(idx)])(
            [-1, *[i for i, w in enumerate(xs) if w == v], len(xs)]
        ),
        draw(low=0, high=2),
        draw(low=0, high=2),
        edges=[([], 1), ([1], 1), ([2, 1, 1, 3], 1)],
    ),
    problem(
        "common_length",
        "logic",
        "xss:JJ -> b",
        "Do all the lists have the same length? For no lists or one list: yes.",
        "2>count distinct count each xss",
        lambda xss: len(set(map(len, xss))) < 2,
        draw(most=3, width=(0, 2)),
        edges=[([],), ([[1], [2]],), ([[1], []],)],
    ),
    problem(
        "pairs_from_lists",
        "combinatorics",
        "a:J b:J -> JJ",
        "List all pairs of an item of a and an item of b: the first item of a with every item of b, then "
        "the second, and so on. Both lists have items.",
        "a cross b",
        lambda a, b: [[x, y] for x in a for y in b],
        draw(least=1, most=4),
        draw(least=1, most=4),
    ),
    problem(
        "words_to_lengths_tree",
        "dictionaries",
        "words:CC -> J!SS",
        "Group words by length: a dictionary from each length, in order of first occurrence, to the "
        "words of that length as symbols in their order. There is at least one word.",
        "(`$words) group count each words",
        lambda words: {n: [w for w in words if len(w) == n] for n in dict.fromkeys(map(len, words))},
        draw(least=1, width=(1, 3)),
    ),
    problem(
        "distribute",
        "arithmetic",
        "xs:J k:j -> JJ",
        "Deal the items of a list out to k hands in turn and return the hands: hand i gets the items at "
        "positions i, i+k, i+2k, ... k is at least 1; hands may stay empty.",
        "{[xs;k;i] xs where i=(til count xs) mod k}[xs;k] each til k",
        lambda xs, k: [xs[i::k] for i in range(k)],
        None,
        draw(low=1, high=4),
    ),
]
