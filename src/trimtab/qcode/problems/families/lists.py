"""Problems on flat lists: picking, moving and pairing items."""

from __future__ import annotations

from trimtab.qcode.problems.source import draw, problem

PROBLEMS = [
    problem(
        "every_other",
        "lists",
        "xs:J -> J",
        "Keep the items at even positions (the first, the third, and so on) of a list. An empty list stays empty.",
        "xs where 0=(til count xs) mod 2",
        lambda xs: xs[::2],
    ),
    problem(
        "swap_ends",
        "lists",
        "xs:J -> J",
        "Exchange the first and the last item of a list and leave the others where they are. Lists of "
        "fewer than two items come back unchanged.",
        "$[2>count xs;xs;(last xs),(1_-1_xs),first xs]",
        lambda xs: [xs[-1], *xs[1:-1], xs[0]] if len(xs) > 1 else xs,
    ),
    problem(
        "rotate_right",
        "arithmetic",
        "xs:J k:j -> J",
        "Move the items of a list k places to the right, those that fall off coming back at the front. k "
        "is not negative and may exceed the length. An empty list stays empty.",
        "$[0=count xs;xs;(neg k mod count xs) rotate xs]",
        lambda xs, k: xs[-(k % len(xs)) :] + xs[: len(xs) - k % len(xs)] if xs and k % len(xs) else xs,
        None,
        draw(low=0, high=12),
        edges=[([], 3), ([1, 2, 3], 3), ([1, 2, 3], 4)],
    ),
    problem(
        "interleave",
        "lists",
        "a:J b:J -> J",
        "Merge two lists by taking items alternately, starting with the first list. When one list runs "
        "out, append what is left of the other.",
        "n:min count each(a;b); raze[flip(n#a;n#b)],(n _ a),n _ b",
        lambda a, b: [v for p in zip(a, b, strict=False) for v in p] + a[len(b) :] + b[len(a) :],
        edges=[([], []), ([1], []), ([], [1, 2]), ([1, 2, 3], [7])],
    ),
    problem(
        "drop_consecutive_repeats",
        "lists",
        "xs:J -> J",
        "Where equal items follow each other directly, keep only the first of each run.",
        "xs where differ xs",
        lambda xs: [v for i, v in enumerate(xs) if i == 0 or xs[i - 1] != v],
        draw(low=0, high=2, most=12),
    ),
    problem(
        "insert_at",
        "lists",
        "xs:J i:j v:j -> J",
        "Insert v into a list so that it stands at position i (counted from 0). An i beyond the end appends.",
        "(i sublist xs),v,i _ xs",
        lambda xs, i, v: [*xs[:i], v, *xs[i:]],
        None,
        draw(low=0, high=9),
        edges=[([], 0, 5), ([1, 2], 9, 3), ([1, 2], 0, 3)],
    ),
    problem(
        "remove_at",
        "searching",
        "xs:J i:j -> J",
        "Return the list without the item at position i (counted from 0). A position outside the list removes nothing.",
        "xs where i<>til count xs",
        lambda xs, i: [v for j, v in enumerate(xs) if j != i],
        None,
        draw(low=-2, high=9),
        edges=[([], 0), ([4], 0), ([1, 2, 3], -1)],
    ),
    problem(
        "pairwise_sums",
        "arithmetic",
        "xs:J -> J",
        "Add each item to the one after it. The result is one shorter than the list; lists of fewer than "
        "two items give an empty list.",
        "$[2>count xs;`long$();(-1_xs)+1_xs]",
        lambda xs: [a + b for a, b in zip(xs, xs[1:], strict=False)],
    ),
    problem(
        "pad_to",
        "lists",
        "xs:J n:j v:j -> J",
        "Bring a list to exactly n items: cut it at the end if it is longer, append copies of v if it is shorter.",
        "n#xs,n#v",
        lambda xs, n, v: (xs + [v] * n)[:n],
        None,
        draw(low=0, high=9),
        edges=[([], 0, 1), ([], 3, 7)],
    ),
    problem(
        "is_palindrome",
        "logic",
        "xs:J -> b",
        "Does the list read the same forwards and backwards? The empty list does.",
        "xs~reverse xs",
        lambda xs: xs == xs[::-1],
        draw(low=0, high=1, most=6),
        edges=[([1, 2, 3, 2, 1],), ([1, 2, 2, 1],), ([1, 2, 3, 1],)],
    ),
    problem(
        "repeat_each",
        "lists",
        "xs:J ns:J -> J",
        "Repeat each item of a list as often as the number at the same position of the second list says "
        "(0 drops it). Both lists have the same length.",
        "xs where ns",
        lambda xs, ns: [v for v, n in zip(xs, ns, strict=True) for _ in range(n)],
        None,
        draw(like=0, low=0, high=3),
    ),
    problem(
        "move_zeros",
        "lists",
        "xs:J -> J",
        "Move all zeros of a list to its end, the other items keeping their order.",
        "(xs where xs<>0),xs where xs=0",
        lambda xs: [v for v in xs if v] + [0] * xs.count(0),
        draw(low=-1, high=2, most=10),
    ),
    problem(
        "middle_item",
        "searching",
        "xs:J -> J",
        "Return the middle of a list as a list: one item when its length is odd, the middle two when it "
        "is even, nothing when it is empty.",
        "n:count xs; xs where (til n) within (floor(n-1)%2;floor n%2)",
        lambda xs: xs[(len(xs) - 1) // 2 : len(xs) // 2 + 1] if xs else [],
    ),
    problem(
        "cut_after_sum",
        "iteration",
        "xs:J limit:j -> J",
        "Return the longest beginning of a list whose every running total stays at or below the limit; "
        "stop before the first item that would push the total above it, even if later items are negative.",
        "xs til sum mins limit>=sums xs",
        lambda xs, limit: xs[: next((i for i in range(len(xs)) if sum(xs[: i + 1]) > limit), len(xs))],
        draw(low=-3, high=6),
        draw(low=0, high=12),
        edges=[([], 3), ([5, -5], 4), ([1, 2, 3], 6)],
    ),
    problem(
        "longest_run",
        "statistics",
        "xs:J -> j",
        "How long is the longest run of equal items standing next to each other? An empty list has a longest run of 0.",
        "$[0=count xs;0;max count each (where differ xs) cut xs]",
        lambda xs: max(
            (
                sum(1 for _ in range(j - i))
                for i in range(len(xs))
                for j in range(i + 1, len(xs) + 1)
                if len(set(xs[i:j])) == 1
            ),
            default=0,
        ),
        draw(low=0, high=2, most=12),
    ),
]
