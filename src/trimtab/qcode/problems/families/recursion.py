"""Problems that call themselves, or could: trees, divisions, games."""

from __future__ import annotations

from functools import cache

from trimtab.qcode.problems.source import draw, problem


def _hanoi(n: int) -> list[list[int]]:
    def go(n: int, a: int, b: int, c: int) -> list[list[int]]:
        return [] if n == 0 else [*go(n - 1, a, c, b), [a, c], *go(n - 1, b, a, c)]

    return go(n, 0, 1, 2)


def _ackermann(m: int, n: int) -> int:
    if m == 0:
        return n + 1
    return _ackermann(m - 1, 1 if n == 0 else _ackermann(m, n - 1))


@cache
def _partitions(n: int, k: int) -> int:
    return 1 if n == 0 else 0 if n < 0 or k == 0 else _partitions(n - k, k) + _partitions(n, k - 1)


def _walk(parents: list[int]) -> list[int]:
    out = []
    for i in range(len(parents)):
        steps = 0
        while parents[i] >= 0:
            i, steps = parents[i], steps + 1  # noqa: PLW2901
        out.append(steps)
    return out


TREES = [
    [-1],
    [-1, 0],
    [-1, 0, 0, 1],
    [-1, 0, 1, 2, 3],
    [1, 2, -1],
    [-1, -1, 0, 1, 2],
    [-1, 0, 0, 0, 3, 3],
    [3, 3, 3, -1],
]


def _change(amount: int, coins: list[int]) -> int:
    if amount == 0:
        return 1
    return 0 if amount < 0 or not coins else _change(amount - coins[0], coins) + _change(amount, coins[1:])


def _nim(heaps: list[int]) -> bool:
    total = 0
    for h in heaps:
        total ^= h
    return total != 0


def _fast_power(b: int, e: int, m: int) -> int:
    return pow(b, e, m)


PROBLEMS = [
    problem(
        "fibonacci",
        "arithmetic",
        "n:j -> j",
        "Return the n-th Fibonacci number, where the 0th is 0 and the first is 1.",
        "$[n<2;n;.z.s[n-1]+.z.s n-2]",
        lambda n: (lambda f: f(f, n))(lambda f, k: k if k < 2 else f(f, k - 1) + f(f, k - 2)),
        draw(low=0, high=14),
        edges=[(0,), (1,), (2,)],
    ),
    problem(
        "hanoi_moves",
        "nested",
        "n:j -> JJ",
        "Solve the Towers of Hanoi for n discs from peg 0 to peg 2: list the moves as pairs (from peg, "
        "to peg) in order, fewest moves. For n = 0 there is none.",
        "{[n;a;b;c] $[n=0;();.z.s[n-1;a;c;b],(enlist a,c),.z.s[n-1;b;a;c]]}[n;0;1;2]",
        _hanoi,
        draw(low=0, high=5),
        edges=[(0,), (1,), (2,), (3,)],
    ),
    problem(
        "ackermann",
        "arithmetic",
        "m:j n:j -> j",
        "Compute the Ackermann function: A(0,n) = n+1, A(m,0) = A(m-1,1), A(m,n) = A(m-1,A(m,n-1)). m is at most 2.",
        "$[m=0;n+1;n=0;.z.s[m-1;1];.z.s[m-1;.z.s[m;n-1]]]",
        _ackermann,
        draw(low=0, high=2),
        draw(low=0, high=4),
        edges=[(0, 0), (1, 0), (2, 0), (2, 3)],
    ),
    problem(
        "integer_partitions",
        "combinatorics",
        "n:j -> j",
        "In how many ways can n be written as a sum of positive whole numbers, the order not mattering? "
        "For 0 there is one way.",
        "{[n;k] $[n=0;1;(n<0)|k=0;0;.z.s[n-k;k]+.z.s[n;k-1]]}[n;n]",
        lambda n: _partitions(n, n),
        draw(low=0, high=11),
        edges=[(0,), (1,), (5,)],
    ),
    problem(
        "tree_depths",
        "lists",
        "parents:J -> J",
        "A forest is given by the parent of each node (its position in the list), -1 for a root. How "
        "deep is each node? Roots have depth 0.",
        "{[p;i] $[0>p i;0;1+.z.s[p;p i]]}[parents] each til count parents",
        _walk,
        draw(parents=True),
        edges=[(t,) for t in TREES],
    ),
    problem(
        "power_mod",
        "arithmetic",
        "b:j e:j m:j -> j",
        "Compute b to the power e modulo m by repeated squaring, for b and e not negative and m at least "
        "1. Numbers are too large to multiply out first.",
        "$[e=0;1 mod m;0=e mod 2;.z.s[(b*b) mod m;e div 2;m];(b*.z.s[b;e-1;m]) mod m]",
        _fast_power,
        draw(low=0, high=50),
        draw(low=0, high=90),
        draw(low=1, high=1000),
        edges=[(0, 0, 1), (2, 0, 5), (0, 3, 7), (3, 80, 1000)],
    ),
    problem(
        "ways_to_change",
        "combinatorics",
        "amount:j coins:J -> j",
        "In how many ways can the amount be paid with coins of the given distinct positive values, each "
        "usable any number of times? An amount of 0 can be paid in one way.",
        "$[amount=0;1;(amount<0)|0=count coins;0;.z.s[amount-first coins;coins]+.z.s[amount;1_coins]]",
        _change,
        draw(low=0, high=14),
        draw(low=1, high=6, most=3, order="distinct"),
        edges=[(0, []), (3, []), (10, [1, 2, 5])],
    ),
    problem(
        "nim_win",
        "logic",
        "heaps:J -> b",
        "In the game of Nim two players take turns; a move removes any number of objects (at least one) "
        "from one heap; who takes the last object wins. Does the player to move win with best play? No "
        "heap is larger than 7; without objects left the player to move has lost.",
        "any (sum each flip (enlist 0 0 0),(3#2) vs/:heaps) mod 2",
        _nim,
        draw(low=0, high=7, most=4),
        edges=[([],), ([1],), ([3, 3],), ([1, 2, 3],)],
    ),
    problem(
        "ruler_sequence",
        "nested",
        "n:j -> J",
        "Build the ruler sequence of order n: order 0 is empty; order n is the sequence of order n-1, "
        "then n, then the sequence of order n-1 again.",
        "$[n=0;`long$();r,n,r:.z.s n-1]",
        lambda n: (lambda f: f(f, n))(lambda f, k: [] if k == 0 else [*f(f, k - 1), k, *f(f, k - 1)]),
        draw(low=0, high=5),
        edges=[(0,), (1,), (3,)],
    ),
    problem(
        "binary_search_steps",
        "searching",
        "n:j k:j -> j",
        "Binary search over the positions 0 to n-1 looks at the middle (lo+hi) div 2 and goes on in the "
        "half below or above it. How many positions are looked at until k (0 <= k < n) is found?",
        "{[lo;hi;k] m:(lo+hi) div 2; $[m=k;1;1+$[k<m;.z.s[lo;m-1;k];.z.s[m+1;hi;k]]]}[0;n-1;k]",
        lambda n, k: (lambda f: f(f, 0, n - 1))(
            lambda f, lo, hi: (lambda m: 1 if m == k else 1 + (f(f, lo, m - 1) if k < m else f(f, m + 1, hi)))(
                (lo + hi) // 2
            )
        ),
        draw(low=10, high=60),
        draw(low=0, high=9),
        edges=[(1, 0), (7, 3), (7, 6)],
    ),
    problem(
        "merge_sort_levels",
        "iteration",
        "n:j -> j",
        "A list of n items is split in two halves (sizes n div 2 and the rest), each half again, until "
        "parts have at most one item. How many levels of splitting does the deepest part see?",
        "$[n<2;0;1+.z.s n-n div 2]",
        lambda n: (lambda f: f(f, n))(lambda f, k: 0 if k < 2 else 1 + f(f, k - k // 2)),
        draw(low=0, high=100),
        edges=[(0,), (1,), (2,), (3,)],
    ),
    problem(
        "catalan_recursive",
        "combinatorics",
        "n:j -> j",
        "In how many ways can n pairs of brackets be written in a balanced order? For 0 there is one way.",
        "$[n=0;1;sum c*reverse c:.z.s each til n]",
        lambda n: (lambda f: f(f, n))(lambda f, k: 1 if k == 0 else sum(f(f, i) * f(f, k - 1 - i) for i in range(k))),
        draw(low=0, high=7),
        edges=[(0,), (1,), (3,)],
    ),
    problem(
        "subtree_sums",
        "arithmetic",
        "parents:J vals:J -> J",
        "A forest is given by the parent of each node (its position, -1 for a root), each node having a "
        "value. Give for each node the sum of the values of itself and all nodes below it.",
        "{[p;v;i] v[i]+sum .z.s[p;v] each where p=i}[parents;vals] each til count parents",
        lambda parents, vals: (lambda f: [f(f, i) for i in range(len(parents))])(
            lambda f, i: vals[i] + sum(f(f, j) for j, p in enumerate(parents) if p == i)
        ),
        draw(parents=True),
        draw(like=0),
        edges=[(t, [3, 1, 4, 1, 5, 9][: len(t)]) for t in TREES],
    ),
    problem(
        "josephus",
        "iteration",
        "n:j k:j -> j",
        "n people stand in a circle, numbered from 0. Counting from person 0, every k-th is removed "
        "(counting goes on behind the removed one) until one is left. Who? n and k are at least 1.",
        "$[n=1;0;(k+.z.s[n-1;k]) mod n]",
        lambda n, k: (lambda f: f(f, n))(lambda f, m: 0 if m == 1 else (k + f(f, m - 1)) % m),
        draw(low=1, high=15),
        draw(low=1, high=6),
        edges=[(1, 1), (7, 3), (5, 1)],
    ),
]
