"""Problems on finding: positions, first and last matches, nearest values."""

from __future__ import annotations

from bisect import bisect_right

from trimtab.qcode.problems.source import draw, problem

SMALL = draw(low=0, high=4, most=9)


def _two_sum(xs: list[int], target: int) -> list[int]:
    for i in range(len(xs)):
        for j in range(i + 1, len(xs)):
            if xs[i] + xs[j] == target:
                return [i, j]
    return []


PROBLEMS = [
    problem(
        "positions_of",
        "lists",
        "xs:J v:j -> J",
        "At which positions (from 0) does v stand in the list? None: an empty list.",
        "where xs=v",
        lambda xs, v: [i for i, w in enumerate(xs) if w == v],
        SMALL,
        draw(low=0, high=4),
    ),
    problem(
        "last_position",
        "lists",
        "xs:J v:j -> j",
        "At which position (from 0) does v stand last in the list? Give -1 when it does not occur.",
        "$[v in xs;last where xs=v;-1]",
        lambda xs, v: max((i for i, w in enumerate(xs) if w == v), default=-1),
        SMALL,
        draw(low=0, high=4),
        edges=[([], 1), ([1, 2, 1], 1)],
    ),
    problem(
        "peaks",
        "lists",
        "xs:J -> J",
        "Give the positions of all peaks: items strictly greater than both of their neighbours. The two "
        "ends are no peaks.",
        "$[3>count xs;`long$();1+where ((1_-1_xs)>-2_xs)&(1_-1_xs)>2_xs]",
        lambda xs: [i for i in range(1, len(xs) - 1) if xs[i - 1] < xs[i] > xs[i + 1]],
        draw(low=0, high=5, most=10),
    ),
    problem(
        "nearest_value",
        "arithmetic",
        "xs:J t:j -> j",
        "Which item of the list is nearest to t? Of items equally near take the one that stands first. "
        "An empty list gives 0N.",
        "$[0=count xs;0N;xs d?min d:abs xs-t]",
        lambda xs, t: min(xs, key=lambda v: abs(v - t)) if xs else None,
        edges=[([], 1), ([1, 5], 3), ([5, 1], 3)],
    ),
    problem(
        "first_repeat",
        "sets",
        "xs:J -> j",
        "Go through the list and return the first item that has occurred before. Give 0N when all items are distinct.",
        "first xs where (til count xs)<>xs?xs",
        lambda xs: next((v for i, v in enumerate(xs) if v in xs[:i]), None),
        SMALL,
        edges=[([1, 2, 2, 1],), ([],), ([3],)],
    ),
    problem(
        "first_unique",
        "grouping",
        "xs:J -> j",
        "Return the first item that occurs exactly once in the list, 0N when there is none.",
        "first where 1=count each group xs",
        lambda xs: next((v for v in xs if xs.count(v) == 1), None),
        SMALL,
        edges=[([],), ([2, 2, 3],)],
    ),
    problem(
        "missing_number",
        "sets",
        "xs:J -> j",
        "The list holds distinct numbers that are 0 or more, in any order. What is the smallest number "
        "from 0 on that is missing?",
        "first (til 1+count xs) except xs",
        lambda xs: min(set(range(len(xs) + 1)) - set(xs)),
        draw(low=0, high=6, most=10, order="distinct"),
        edges=[([],), ([0, 1, 2],), ([1],)],
    ),
    problem(
        "two_sum",
        "combinatorics",
        "xs:J target:j -> J",
        "Find positions i<j whose items add up to the target; of several such pairs take the one with "
        "the smallest i, then the smallest j. Return both positions, or an empty list when there is no "
        "such pair.",
        "n:count xs; p:raze {[n;i] i,/:(i+1)_til n}[n] each til n; $[0=count p;`long$();count k:where "
        "target=sum each xs p;p first k;`long$()]",
        _two_sum,
        draw(low=0, high=9, most=7),
        draw(low=2, high=14),
        edges=[([], 3), ([1], 2), ([3, 3], 6)],
    ),
    problem(
        "insertion_point",
        "sorting",
        "xs:J v:j -> j",
        "The list is in ascending order. At which position must v be inserted to keep the order, after "
        "any items equal to it?",
        "1+xs bin v",
        lambda xs, v: bisect_right(xs, v),
        draw(order="ascending"),
        edges=[([], 3), ([1, 1, 2], 1)],
    ),
    problem(
        "arg_max",
        "statistics",
        "xs:J -> j",
        "At which position does the largest item stand? The first such position when there are several, "
        "-1 for an empty list.",
        "$[count xs;xs?max xs;-1]",
        lambda xs: xs.index(max(xs)) if xs else -1,
        SMALL,
    ),
    problem(
        "find_sublist",
        "nested",
        "xs:J pat:J -> j",
        "Where does the list pat first occur as a contiguous part of xs? Return the position of its "
        "first item, -1 when it does not occur. pat is not empty.",
        "i:where {[xs;p;i] p~xs i+til count p}[xs;pat] each til count xs; $[count i;first i;-1]",
        lambda xs, pat: next((i for i in range(len(xs)) if xs[i : i + len(pat)] == pat), -1),
        draw(low=0, high=2, most=12),
        draw(low=0, high=2, least=1, most=3),
        edges=[([], [1]), ([1, 2], [1, 2]), ([1], [1, 2])],
    ),
    problem(
        "majority",
        "statistics",
        "xs:J -> j",
        "Which value makes up more than half of the list? Give 0N when none does.",
        "first where (count each group xs)>.5*count xs",
        lambda xs: next((v for v in xs if xs.count(v) * 2 > len(xs)), None),
        draw(low=0, high=2, most=7),
        edges=[([],), ([1, 2],), ([2, 2, 1],)],
    ),
    problem(
        "crossings",
        "moving",
        "xs:J level:j -> J",
        "Give the positions at which a series rises through the level: the item before is below the "
        "level, this one is at or above it. The first item never counts.",
        "where (xs>=level)&0b^prev xs<level",
        lambda xs, level: [i for i in range(1, len(xs)) if xs[i - 1] < level <= xs[i]],
        draw(most=10),
        draw(low=-3, high=3),
    ),
    problem(
        "step_lookup",
        "casting",
        "limits:J grades:S v:j -> s",
        "limits are ascending thresholds, grades their names (as many). Return the grade of the highest "
        "threshold that is not above v, and the empty symbol when v is below all of them.",
        "grades limits bin v",
        lambda limits, grades, v: next((g for t, g in zip(limits[::-1], grades[::-1], strict=True) if t <= v), ""),
        draw(order="ascending distinct", least=1, most=5),
        draw(like=0, of=["low", "mid", "high", "top", "max"]),
    ),
]
