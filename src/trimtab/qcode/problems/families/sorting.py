"""Problems on order: sorting by keys, ranks, ties."""

from __future__ import annotations

from trimtab.qcode.problems.source import draw, problem

SMALL = draw(low=0, high=5, most=9)

PROBLEMS = [
    problem(
        "second_largest",
        "sets",
        "xs:J -> j",
        "What is the second largest distinct value of a list? Give the null 0N when there are fewer than "
        "two distinct values.",
        "$[2>count d:desc distinct xs;0N;d 1]",
        lambda xs: sorted(set(xs))[-2] if len(set(xs)) > 1 else None,
        SMALL,
        edges=[([],), ([4, 4],), ([5, 5, 3],)],
    ),
    problem(
        "sort_by_absolute",
        "arithmetic",
        "xs:J -> J",
        "Sort a list by absolute value, smallest first. Items of equal absolute value keep their order.",
        "xs iasc abs xs",
        lambda xs: sorted(xs, key=abs),
        edges=[([3, -3, 1, -1],), ([],)],
    ),
    problem(
        "top_k",
        "lists",
        "xs:J k:j -> J",
        "Return the k largest items in descending order, repeated values included; all items when there "
        "are fewer than k.",
        "k sublist desc xs",
        lambda xs, k: sorted(xs, reverse=True)[:k],
        SMALL,
        draw(low=0, high=5),
        edges=[([], 2), ([1, 2], 5), ([3, 3, 1], 2)],
    ),
    problem(
        "sort_words_by_length",
        "strings",
        "words:CC -> CC",
        "Sort words by length, shortest first; words of equal length keep their order.",
        "words iasc count each words",
        lambda words: sorted(words, key=len),
        draw(width=(2, 5), most=6),
    ),
    problem(
        "dense_rank",
        "sets",
        "xs:J -> J",
        "Replace each item by its dense rank: the smallest value gets 0, the next distinct value 1, and "
        "so on; equal items get the same rank.",
        "(asc distinct xs)?xs",
        lambda xs: [sorted(set(xs)).index(v) for v in xs],
        SMALL,
    ),
    problem(
        "competition_rank",
        "searching",
        "xs:J -> J",
        "Give each score its place in a competition, the highest score being place 1. Equal scores share "
        "a place, and the places after them are skipped (1, 2, 2, 4).",
        "1+(desc xs)?xs",
        lambda xs: [1 + sum(w > v for w in xs) for v in xs],
        SMALL,
        edges=[([3, 5, 3, 1],)],
    ),
    problem(
        "is_sorted",
        "logic",
        "xs:J -> b",
        "Is the list in ascending order, equal neighbours allowed? Lists of fewer than two items are.",
        "all (-1_xs)<=1_xs",
        lambda xs: xs == sorted(xs),
        draw(low=0, high=4, most=4),
        edges=[([1, 1, 2],), ([],), ([2, 1],)],
    ),
    problem(
        "sort_even_positions",
        "lists",
        "xs:J -> J",
        "Sort the items at even positions (0, 2, 4, ...) among themselves, ascending, and leave those at "
        "odd positions where they are.",
        "i:where 0=(til count xs) mod 2; @[xs;i;:;asc xs i]",
        lambda xs: [sorted(xs[::2])[i // 2] if i % 2 == 0 else v for i, v in enumerate(xs)],
    ),
    problem(
        "sort_by_frequency",
        "grouping",
        "xs:J -> J",
        "List the distinct values of a list, the most frequent first. Values that are equally frequent "
        "stand in ascending order.",
        "d:asc distinct xs; d idesc sum each d=\\:xs",
        lambda xs: sorted(set(xs), key=lambda v: (-xs.count(v), v)),
        SMALL,
    ),
    problem(
        "merge_sorted",
        "lists",
        "a:J b:J -> J",
        "Two lists are each in ascending order. Merge them into one list in ascending order, repeated values kept.",
        "asc a,b",
        lambda a, b: sorted(a + b),
        draw(order="ascending"),
        draw(order="ascending"),
        edges=[([], []), ([], [1])],
    ),
    problem(
        "kth_smallest_distinct",
        "sets",
        "xs:J k:j -> j",
        "What is the k-th smallest distinct value of a list (k = 1 is the smallest)? Give 0N when there "
        "are not so many.",
        "(asc distinct xs) k-1",
        lambda xs, k: sorted(set(xs))[k - 1] if k <= len(set(xs)) else None,
        SMALL,
        draw(low=1, high=5),
        edges=[([], 1), ([2, 2], 2)],
    ),
    problem(
        "negatives_first",
        "logic",
        "xs:J -> J",
        "Put the negative items of a list before the others. Within both parts the order stays as it was.",
        "xs iasc xs>=0",
        lambda xs: [v for v in xs if v < 0] + [v for v in xs if v >= 0],
    ),
    problem(
        "sort_two_keys",
        "lists",
        "a:J b:J -> J",
        "Two lists of equal length hold a first and a second key. Return the positions in the order that "
        "sorts by the first key ascending and, where that ties, by the second key descending; ties of "
        "both keep their order.",
        "i iasc a i:idesc b",
        lambda a, b: sorted(range(len(a)), key=lambda i: (a[i], -b[i])),
        draw(low=0, high=3),
        draw(low=0, high=4, like=0),
    ),
    problem(
        "inversions",
        "combinatorics",
        "xs:J -> j",
        "How many pairs of positions i<j have a larger item at i than at j?",
        "n:count xs; sum raze {[xs;i] xs[i]>(i+1)_xs}[xs] each til n",
        lambda xs: sum(xs[i] > xs[j] for j in range(len(xs)) for i in range(j)),
        draw(most=7),
        edges=[([],), ([3, 2, 1],)],
    ),
]
