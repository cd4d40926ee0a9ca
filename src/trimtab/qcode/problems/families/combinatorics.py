"""Problems on counting and listing: subsets, orders, selections."""

from __future__ import annotations

import itertools
import math

from trimtab.qcode.problems.source import draw, problem

DISTINCT = draw(low=1, high=9, most=4, order="distinct")


def _knap(ws: list[int], vs: list[int], cap: int) -> int:
    return max(
        sum(vs[i] for i in c)
        for r in range(len(ws) + 1)
        for c in itertools.combinations(range(len(ws)), r)
        if sum(ws[i] for i in c) <= cap
    )


def _lis(xs: list[int]) -> int:
    best: list[int] = []
    for i, v in enumerate(xs):
        best.append(1 + max((best[j] for j in range(i) if xs[j] < v), default=0))
    return max(best, default=0)


def _grid(h: int, w: int) -> int:
    return math.comb(h + w - 2, h - 1)


def _lcs(a: str, b: str) -> int:
    row = [0] * (len(b) + 1)
    for c in a:
        new = [0]
        for j, d in enumerate(b):
            new.append(row[j] + 1 if c == d else max(new[j], row[j + 1]))
        row = new
    return row[-1]


def _edit(a: str, b: str) -> int:
    row = list(range(len(b) + 1))
    for i, c in enumerate(a):
        new = [i + 1]
        for j, d in enumerate(b):
            new.append(min(new[j] + 1, row[j + 1] + 1, row[j] + (c != d)))
        row = new
    return row[-1]


PROBLEMS = [
    problem(
        "subset_sums",
        "sets",
        "xs:J -> J",
        "Which sums can be formed from any selection of the items (each used at most once; nothing "
        "selected gives 0)? Each sum once, ascending.",
        "asc distinct {x,x+y}/[enlist 0;xs]",
        lambda xs: sorted({sum(c) for r in range(len(xs) + 1) for c in itertools.combinations(xs, r)}),
        draw(low=-3, high=6, most=5),
    ),
    problem(
        "permutations_sorted",
        "recursion",
        "xs:J -> JJ",
        "List all orders of a list of distinct numbers, themselves in ascending (lexicographic) order. "
        "An empty list has one order, the empty one, and is not asked for.",
        "{$[2>count x;enlist x;raze x,/:'.z.s each x except/:x]} asc xs",
        lambda xs: [list(p) for p in itertools.permutations(sorted(xs))],
        draw(low=1, high=9, least=1, most=4, order="distinct"),
    ),
    problem(
        "choose",
        "arithmetic",
        "n:j k:j -> j",
        "In how many ways can k objects be chosen from n, the order not mattering? 0 when k is negative "
        "or above n. n is not negative.",
        "$[(k<0)|k>n;0;(prd n-til k) div prd 1+til k]",
        lambda n, k: math.comb(n, k) if 0 <= k else 0,
        draw(low=0, high=12),
        draw(low=-1, high=12),
        edges=[(0, 0), (5, 2), (5, 6), (5, -1)],
    ),
    problem(
        "pairs_with_difference",
        "searching",
        "xs:J d:j -> j",
        "The numbers of the list are distinct. How many pairs of them differ by exactly d? d is positive.",
        "sum (xs+d) in xs",
        lambda xs, d: sum(v + d in xs for v in xs),
        draw(order="distinct"),
        draw(low=1, high=4),
    ),
    problem(
        "combinations_of",
        "nested",
        "xs:J k:j -> JJ",
        "List all selections of k items of the list in their order (k is 1 or 2), those with earlier "
        "positions first. The list has at least k items.",
        "$[k=1;enlist each xs;raze {[xs;i] xs[i],/:(i+1)_xs}[xs] each til count xs]",
        lambda xs, k: [list(c) for c in itertools.combinations(xs, k)],
        draw(least=2, most=5),
        draw(low=1, high=2),
    ),
    problem(
        "grid_paths",
        "matrices",
        "h:j w:j -> j",
        "How many ways lead from the top left to the bottom right cell of a grid of h rows and w columns "
        "(both at least 1), going only right and down?",
        "last (h-1) sums/ w#1",
        _grid,
        draw(low=1, high=7),
        draw(low=1, high=7),
        edges=[(1, 1), (1, 5), (3, 2)],
    ),
    problem(
        "climb_stairs",
        "iteration",
        "n:j steps:J -> j",
        "In how many ways can a staircase of n steps be climbed, each stride being one of the distinct "
        "positive lengths in steps? The order of strides matters. For n = 0 there is one way.",
        "{[s;n] $[n=0;1;n<0;0;sum 0,.z.s[s] each n-s]}[steps;n]",
        lambda n, steps: (lambda f: f(f, n))(
            lambda f, m: 1 if m == 0 else 0 if m < 0 else sum(f(f, m - s) for s in steps)
        ),
        draw(low=0, high=8),
        draw(low=1, high=4, least=0, most=3, order="distinct"),
        edges=[(0, []), (3, []), (5, [1, 2])],
    ),
    problem(
        "longest_increasing",
        "moving",
        "xs:J -> j",
        "How long is the longest strictly increasing selection of items, kept in their order (not "
        "necessarily neighbours)? 0 for an empty list.",
        "count {[t;v] i:t binr v; $[i=count t;t,v;@[t;i;:;v]]}/[`long$();xs]",
        _lis,
        draw(low=0, high=9, most=9),
        edges=[([],), ([3, 2, 1],), ([1, 1],), ([10, 9, 2, 5, 3, 7],)],
    ),
    problem(
        "knapsack",
        "iteration",
        "ws:J vals:J cap:j -> j",
        "Items have positive weights ws and values vals (lists of equal length). What is the greatest "
        "total value of a selection whose total weight is at most cap? Nothing selected is worth 0.",
        "last {[b;i] w:i 0;v:i 1; b|(count b)#(w#0),v+b}/[(1+cap)#0;flip (ws;vals)]",
        _knap,
        draw(low=1, high=6, least=1, most=5),
        draw(like=0, low=0, high=9),
        draw(low=0, high=12),
        edges=[([1], [5], 0), ([3, 4], [4, 5], 7)],
    ),
    problem(
        "longest_common_subsequence",
        "strings",
        "a:C b:C -> j",
        "How long is the longest string that can be made from both strings by leaving out characters? 0 "
        "when one is empty.",
        "last {[b;r;c] maxs r|(0,1+-1_r)*0b,b=c}[b]/[(1+count b)#0;a]",
        _lcs,
        draw(of="abc", most=7),
        draw(of="abc", most=7),
        edges=[("", ""), ("abcde", "ace"), ("abc", "cba")],
    ),
    problem(
        "edit_distance",
        "strings",
        "a:C b:C -> j",
        "By how many insertions, deletions and replacements of single characters, at least, can one "
        "string be turned into the other?",
        "last {[b;r;c] n:(1+first r),(1+1_r)&(-1_r)+b<>c; {y&x+1}\\[n]}[b]/[til 1+count b;a]",
        _edit,
        draw(of="abc", most=6),
        draw(of="abc", most=6),
        edges=[("", ""), ("", "ab"), ("kitten", "sitting")],
    ),
    problem(
        "derangements",
        "recursion",
        "n:j -> j",
        "In how many orders of n objects does no object stand at its own place? For n = 0 there is one, "
        "for n = 1 none.",
        "$[n=0;1;n=1;0;(n-1)*.z.s[n-1]+.z.s n-2]",
        lambda n: round(sum((-1) ** k * math.factorial(n) / math.factorial(k) for k in range(n + 1))),
        draw(low=0, high=9),
        edges=[(0,), (1,), (2,), (4,)],
    ),
    problem(
        "equal_split",
        "logic",
        "xs:J -> b",
        "Can the items of a list of positive numbers be divided into two groups of equal sum? For an empty list yes.",
        "(.5*sum xs) in {distinct x,x+y}/[enlist 0;xs]",
        lambda xs: any(2 * sum(c) == sum(xs) for r in range(len(xs) + 1) for c in itertools.combinations(xs, r)),
        draw(low=1, high=6, most=5),
        edges=[([],), ([1],), ([1, 5, 11, 5],), ([1, 2, 3, 5],)],
    ),
    problem(
        "next_permutation",
        "sorting",
        "xs:J -> J",
        "Return the lexicographically next greater order of the items of a list. When the list is "
        "already in descending order, return it in ascending order.",
        "i:last where (-1_xs)<1_xs; if[null i;:asc xs]; j:last where xs>xs i; xs:@[xs;(i;j);:;xs(j;i)]; "
        "((i+1)#xs),reverse (i+1)_xs",
        lambda xs: (lambda ps: next((list(p) for p in ps if list(p) > xs), sorted(xs)))(
            sorted(set(itertools.permutations(xs)))
        ),
        draw(low=1, high=5, most=5),
        edges=[([],), ([1, 2, 3],), ([3, 2, 1],), ([1, 1, 5],), ([1, 3, 2],)],
    ),
]
