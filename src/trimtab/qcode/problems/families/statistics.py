"""Problems on describing data: means, quantiles, relations."""

from __future__ import annotations

import math
import statistics as st
from collections import Counter
from typing import Any

from trimtab.qcode.problems.source import draw, problem

PAIR = (draw(least=2), draw(like=0))
SMALL = draw(low=0, high=5, most=9)


def _ranks(xs: list[Any]) -> list[float]:
    return [sum(w < v for w in xs) + (xs.count(v) + 1) / 2 for v in xs]


def _slope(x: list[float], y: list[float]) -> float | None:
    mx, my = st.fmean(x), st.fmean(y)
    spread = sum((a - mx) ** 2 for a in x)
    return sum((a - mx) * (b - my) for a, b in zip(x, y, strict=True)) / spread if spread else None


PROBLEMS = [
    problem(
        "mode",
        "grouping",
        "xs:J -> j",
        "Which value occurs most often? Of several the smallest; 0N for an empty list.",
        "$[count xs;min where c=max c:count each group xs;0N]",
        lambda xs: min(xs, key=lambda v: (-xs.count(v), v)) if xs else None,
        SMALL,
    ),
    problem(
        "median_list",
        "sorting",
        "xs:J -> f",
        "What is the median of a list: its middle value in order, or the mean of the middle two? 0n for an empty list.",
        "med xs",
        lambda xs: float(st.median(xs)) if xs else None,
    ),
    problem(
        "trimmed_mean",
        "sorting",
        "xs:F k:j -> f",
        "Leave out the k smallest and the k largest values and return the mean of the rest, 0n when "
        "nothing is left. k is not negative.",
        "avg (neg k)_k _ asc xs",
        lambda xs, k: st.fmean(sorted(xs)[k : len(xs) - k]) if len(xs) > 2 * k else None,
        None,
        draw(low=0, high=3),
    ),
    problem(
        "z_scores",
        "arithmetic",
        "xs:F -> F",
        "Standardise a list: subtract the mean and divide by the population standard deviation. The "
        "values are not all equal.",
        "(xs-avg xs)%dev xs",
        lambda xs: [(v - st.fmean(xs)) / st.pstdev(xs) for v in xs],
        draw(least=3, low=0, high=9),
        edges=[([1.0, 2.0],), ([0.0, 0.0, 3.0],)],
    ),
    problem(
        "weighted_mean",
        "arithmetic",
        "xs:F ws:F -> f",
        "What is the mean of xs weighted by the positive weights ws (of equal length)? 0n for empty lists.",
        "ws wavg xs",
        lambda xs, ws: sum(a * b for a, b in zip(xs, ws, strict=True)) / sum(ws) if xs else None,
        None,
        draw(like=0, low=1, high=5),
    ),
    problem(
        "geometric_mean",
        "arithmetic",
        "xs:F -> f",
        "What is the geometric mean of positive numbers (the n-th root of their product)? There is at least one.",
        "exp avg log xs",
        st.geometric_mean,
        draw(least=1, low=1, high=9),
    ),
    problem(
        "regression_slope",
        "arithmetic",
        "x:F y:F -> f",
        "Fit a line through the points (x, y) by least squares and return its slope. The x values are not all equal.",
        "(x cov y)%var x",
        _slope,
        draw(least=3, order="ascending distinct", low=0, high=20),
        draw(like=0),
        edges=[([1.0, 2.0], [1.0, 3.0])],
    ),
    problem(
        "rank_correlation",
        "sorting",
        "x:J y:J -> f",
        "Compute Spearman's rank correlation of two lists of equal length: the ordinary correlation of "
        "their ranks. Within each list all values are distinct; there are at least two.",
        "cor[rank x;rank y]",
        lambda x, y: st.correlation(_ranks(x), _ranks(y)),
        draw(least=3, most=8, low=0, high=9999, order="distinct"),
        draw(shuffle_of=0),
        edges=[
            ([1, 2], [5, 3]),
            ([3, 1, 2], [1, 2, 3]),
            ([1, 2, 3, 4], [2, 4, 1, 3]),
            ([4, 9, 2, 7, 1], [1, 8, 3, 4, 2]),
            ([5, 6, 7], [50, 60, 70]),
            ([1, 5, 2, 9], [9, 1, 7, 0]),
            ([-1, 0, 3, 2, 8, 6], [4, 3, 9, 0, 1, 2]),
        ],
    ),
    problem(
        "histogram",
        "grouping",
        "xs:F w:f -> J!J",
        "Sort values into bins of width w: bin i holds i*w <= x < (i+1)*w. Return a dictionary from the "
        "numbers of the bins that hold something, ascending, to how many they hold. There is at least "
        "one value.",
        "k!d k:asc key d:count each group floor xs%w",
        lambda xs, w: dict(sorted(Counter(math.floor(v / w) for v in xs).items())),
        draw(least=1, most=10),
        draw(of=[0.5, 1.0, 2.0, 4.0]),
    ),
    problem(
        "max_drawdown_points",
        "moving",
        "xs:J -> j",
        "By how much does a series fall at most from an earlier (or the same) point to a later one? 0 "
        "when it never falls or is empty.",
        "0|max (maxs xs)-xs",
        lambda xs: max((xs[i] - xs[j] for i in range(len(xs)) for j in range(i, len(xs))), default=0),
    ),
    problem(
        "outliers",
        "logic",
        "xs:F -> F",
        "Which values lie more than two population standard deviations away from the mean? Keep their order.",
        "xs where abs[xs-avg xs]>2*dev xs",
        lambda xs: [v for v in xs if abs(v - st.fmean(xs)) > 2 * st.pstdev(xs)],
        draw(least=6, most=9, of=[0.0, 1.0, 0.5, 50.0]),
        edges=[([],), ([1.0],), ([0.0] * 9 + [100.0],), ([1.0, 1.1, 0.9, 1.0, 1.2, 0.8, -40.0],)],
    ),
    problem(
        "entropy",
        "logic",
        "xs:S -> f",
        "What is the Shannon entropy in bits of the distribution of the symbols in a list (2 xlog is the "
        "logarithm to base 2)? There is at least one symbol.",
        "neg sum p*2 xlog p:(count each group xs)%count xs",
        lambda xs: -sum(c / len(xs) * math.log2(c / len(xs)) for c in Counter(xs).values()) + 0.0,
        draw(least=1),
    ),
    problem(
        "share_above",
        "logic",
        "xs:J t:j -> f",
        "Which share of the items is above t? 0n for an empty list.",
        "avg xs>t",
        lambda xs, t: sum(v > t for v in xs) / len(xs) if xs else None,
    ),
    problem(
        "average_ignoring_nulls",
        "logic",
        "xs:J -> f",
        "What is the mean of the items that are not null? 0n when there are none.",
        "avg xs where not null xs",
        lambda xs: (lambda k: st.fmean(k) if k else None)([v for v in xs if v is not None]),
        draw(nulls=0.3),
        edges=[([],), ([None],), ([None, 4],)],
    ),
    problem(
        "quartile_spread",
        "searching",
        "xs:J -> j",
        "Of n values in ascending order, counted from 0, let the lower quartile be item n div 4 and the "
        "upper quartile item (3*n) div 4. Return upper minus lower. There is at least one value.",
        "(-). (asc xs)(3 1*count xs) div 4",
        lambda xs: (lambda s, n: s[3 * n // 4] - s[n // 4])(sorted(xs), len(xs)),
        draw(least=1, most=12),
    ),
]
