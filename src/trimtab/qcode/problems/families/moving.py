"""Problems on series: sliding windows, lags, smoothing, streaks."""

from __future__ import annotations

import statistics as st
from typing import Any

from trimtab.qcode.problems.source import draw, problem

K = draw(low=1, high=4)
SERIES = draw(low=-6, high=9, most=10)


def _windows(xs: list[Any], k: int) -> list[list[Any]]:
    return [xs[max(0, i - k + 1) : i + 1] for i in range(len(xs))]


def _ema(xs: list[float], a: float) -> list[float]:
    out: list[float] = []
    for v in xs:
        out.append(v if not out else a * v + (1 - a) * out[-1])
    return out


def _streak(xs: list[Any]) -> list[int]:
    out: list[int] = []
    for i, v in enumerate(xs):
        out.append(out[-1] + 1 if i and v > xs[i - 1] else 0)
    return out


def _kadane(xs: list[int]) -> int:
    return max((sum(xs[i:j]) for i in range(len(xs)) for j in range(i + 1, len(xs) + 1)), default=0)


PROBLEMS = [
    problem(
        "moving_average",
        "statistics",
        "xs:F k:j -> F",
        "For each position give the mean of the last k items up to it (at the start of those there are).",
        "k mavg xs",
        lambda xs, k: [st.fmean(w) for w in _windows(xs, k)],
        None,
        K,
    ),
    problem(
        "moving_range",
        "statistics",
        "xs:J k:j -> J",
        "For each position give the difference between the largest and the smallest of the last k items "
        "up to it (at the start of those there are).",
        "(k mmax xs)-k mmin xs",
        lambda xs, k: [max(w) - min(w) for w in _windows(xs, k)],
        SERIES,
        K,
    ),
    problem(
        "full_windows",
        "nested",
        "xs:J k:j -> JJ",
        "List all contiguous parts of length k of a list, from left to right. A list shorter than k has "
        "none. k is at least 1.",
        "xs (til 0|1+count[xs]-k)+\\:til k",
        lambda xs, k: [xs[i : i + k] for i in range(len(xs) - k + 1)],
        SERIES,
        K,
    ),
    problem(
        "lagged_difference",
        "arithmetic",
        "xs:J k:j -> J",
        "Subtract from each item the one k positions earlier; the first k results are null.",
        "xs-k xprev xs",
        lambda xs, k: [v - xs[i - k] if i >= k else None for i, v in enumerate(xs)],
        SERIES,
        K,
    ),
    problem(
        "exponential_smoothing",
        "iteration",
        "xs:F a:f -> F",
        "Smooth a series: the first value stays, each later one becomes a times the value plus 1-a times "
        "the smoothed value before.",
        "{[a;p;v] (a*v)+p*1-a}[a]\\[xs]",
        _ema,
        None,
        draw(of=[0.1, 0.25, 0.5, 0.9]),
    ),
    problem(
        "best_window",
        "searching",
        "xs:J k:j -> j",
        "What is the largest sum of k contiguous items? 0N when the list is shorter than k. k is at least 1.",
        "$[k>count xs;0N;max (k-1)_k msum xs]",
        lambda xs, k: max(sum(xs[i : i + k]) for i in range(len(xs) - k + 1)) if len(xs) >= k else None,
        SERIES,
        K,
    ),
    problem(
        "record_highs",
        "lists",
        "xs:J -> J",
        "List the items that are strictly greater than every item before them (the first always is).",
        "xs where differ maxs xs",
        lambda xs: [v for i, v in enumerate(xs) if all(v > w for w in xs[:i])],
        SERIES,
    ),
    problem(
        "rising_streaks",
        "iteration",
        "xs:J -> J",
        "For each position: for how many steps in a row, up to here, has the series risen strictly? (The "
        "first is 0; any step that does not rise starts again at 0.)",
        "$[count xs;{y*1+x}\\[0;0b,(1_xs)>-1_xs];`long$()]",
        _streak,
        draw(low=0, high=5, most=10),
    ),
    problem(
        "max_subarray",
        "iteration",
        "xs:J -> j",
        "What is the largest sum of a contiguous, non-empty part of a list? For an empty list 0.",
        "$[count xs;max {y|x+y}\\[xs];0]",
        _kadane,
        SERIES,
        edges=[([],), ([-3, -1, -2],), ([2, -1, 3],)],
    ),
    problem(
        "centered_average",
        "statistics",
        "xs:F -> F",
        "Replace each item by the mean of itself and its neighbours: three values inside, two at the "
        "ends, itself in a list of one.",
        "{avg x where not null x} each flip (prev xs;xs;next xs)",
        lambda xs: [st.fmean(xs[max(0, i - 1) : i + 2]) for i in range(len(xs))],
    ),
    problem(
        "turning_points",
        "logic",
        "xs:J -> j",
        "How often does a series change from rising to falling or from falling to rising? Steps between "
        "equal neighbours are left out of the comparison.",
        "s:signum 1_deltas xs; s:s where s<>0; sum 1_differ s",
        lambda xs: (lambda s: sum(a != b for a, b in zip(s, s[1:], strict=False)))(
            [b > a for a, b in zip(xs, xs[1:], strict=False) if a != b]
        ),
        draw(low=0, high=4, most=10),
    ),
    problem(
        "since_last_true",
        "lists",
        "bs:B -> J",
        "For each position: how many positions back did the list last hold true (0 where it does now)? "
        "Null before the first.",
        "i:til count bs; i-fills ?[bs;i;0N]",
        lambda bs: [next((i - j for j in range(i, -1, -1) if bs[j]), None) for i in range(len(bs))],
    ),
    problem(
        "cumulative_share",
        "arithmetic",
        "xs:J -> F",
        "For each position give the share that the running total up to it has of the whole total. The "
        "items are positive.",
        "(sums xs)%sum xs",
        lambda xs: [sum(xs[: i + 1]) / sum(xs) for i in range(len(xs))],
        draw(low=1, high=9),
    ),
    problem(
        "moving_median_three",
        "sorting",
        "xs:J -> J",
        "Replace each item by the median of itself and its two neighbours; the first and the last item stay.",
        "$[3>count xs;xs;xs[0],({(asc x) 1} each flip (-2_xs;1_-1_xs;2_xs)),last xs]",
        lambda xs: [v if i in (0, len(xs) - 1) else sorted(xs[i - 1 : i + 2])[1] for i, v in enumerate(xs)],
        SERIES,
    ),
    problem(
        "time_above_average",
        "statistics",
        "xs:J -> j",
        "At how many positions is the item strictly above the mean of all items up to and including it?",
        "sum xs>avgs xs",
        lambda xs: sum(v > st.fmean(xs[: i + 1]) for i, v in enumerate(xs)),
        SERIES,
    ),
]
