"""Problems on grouping: aggregates by key, first and last of a group, ranking within groups."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from trimtab.qcode.problems.source import draw, problem

SALES = draw(
    columns={"shop": draw(of=["n", "s", "w"]), "item": draw(of=["pen", "ink", "pad"]), "qty": draw(low=1, high=9)}
)
KV = draw(columns={"k": draw(of=["a", "b", "c"]), "v": draw(low=0, high=6)}, most=9)
S = "+shop:S,item:S,qty:J"


def _by(keys: list[Any], values: list[Any]) -> dict[str, Any]:
    """Groups in ascending order of their keys."""
    return {k: [v for w, v in zip(keys, values, strict=True) if w == k] for k in sorted(set(keys))}


def _agg(fn: Callable[[list[Any]], Any]) -> Callable[[dict[str, Any]], dict[str, Any]]:
    def gold(t: dict[str, Any]) -> dict[str, Any]:
        groups = _by(t["k"], t["v"])
        return {"k": list(groups), "v": [fn(v) for v in groups.values()]}

    return gold


def _where(t: dict[str, Any], keep: Callable[[int], bool]) -> dict[str, Any]:
    rows = [i for i in range(len(t["k"])) if keep(i)]
    return {c: [v[i] for i in rows] for c, v in t.items()}


PROBLEMS = [
    problem(
        "sum_by",
        "arithmetic",
        "t:+k:S,v:J -> +k:S|v:J",
        "Add up v for each k. Return a table keyed by k, keys in ascending order.",
        "select sum v by k from t",
        _agg(sum),
        KV,
    ),
    problem(
        "spread_by",
        "statistics",
        "t:+k:S,v:J -> +k:S|v:J",
        "For each k give the difference between its largest and its smallest v, in a table keyed by k, keys ascending.",
        "select v:max[v]-min v by k from t",
        _agg(lambda v: max(v) - min(v)),
        KV,
    ),
    problem(
        "collect_sorted",
        "sorting",
        "t:+k:S,v:J -> +k:S|v:JJ",
        "Collect the values v of each k into a list in ascending order. Return a table keyed by k, keys "
        "ascending, without an entry for keys that do not occur.",
        "select asc v by k from t",
        _agg(sorted),
        draw(columns=KV["columns"], least=1),
    ),
    problem(
        "above_group_mean",
        "statistics",
        "t:+k:S,v:J -> +k:S,v:J",
        "Keep the rows whose v is strictly above the mean v of all rows with the same k.",
        "select from t where v>(avg;v) fby k",
        lambda t: _where(t, lambda i: (lambda g: t["v"][i] > sum(g) / len(g))(_by(t["k"], t["v"])[t["k"][i]])),
        KV,
    ),
    problem(
        "last_per_key",
        "searching",
        "t:+k:S,v:J -> +k:S,v:J",
        "Of the rows of each k keep only the one that stands last in the table. Rows keep their order.",
        "select from t where i=(last;i) fby k",
        lambda t: _where(t, lambda i: t["k"][i] not in t["k"][i + 1 :]),
        KV,
    ),
    problem(
        "running_by",
        "iteration",
        "t:+k:S,v:J -> +k:S,v:J,total:J",
        "Add a column total: the sum of v over this row and all rows above it with the same k. The order "
        "of rows stays.",
        "update total:sums v by k from t",
        lambda t: {
            **t,
            "total": [
                sum(v for j, v in enumerate(t["v"][: i + 1]) if t["k"][j] == t["k"][i]) for i in range(len(t["k"]))
            ],
        },
        KV,
    ),
    problem(
        "group_sizes_list",
        "dictionaries",
        "ks:S -> S!J",
        "How often does each symbol occur? Return a dictionary, the symbols in ascending order. There is "
        "at least one symbol.",
        "(asc key d)#d:count each group ks",
        lambda ks: {k: ks.count(k) for k in sorted(set(ks))},
        draw(least=1),
    ),
    problem(
        "best_seller",
        "sorting",
        f"t:{S} -> +shop:S|item:S",
        "Which item sold most pieces in total in each shop? Of items equally sold take the "
        "alphabetically first. Return a table keyed by shop, shops ascending.",
        "select item:item first idesc qty by shop from 0!select sum qty by shop,item from t",
        lambda t: (
            lambda shops: {
                "shop": shops,
                "item": [
                    min(
                        sorted({i for s, i in zip(t["shop"], t["item"], strict=True) if s == shop}),
                        key=lambda item: (
                            -sum(
                                q
                                for s, i, q in zip(t["shop"], t["item"], t["qty"], strict=True)
                                if (s, i) == (shop, item)
                            )
                        ),
                    )
                    for shop in shops
                ],
            }
        )(sorted(set(t["shop"]))),
        SALES,
    ),
    problem(
        "big_groups",
        "logic",
        "t:+k:S,v:J n:j -> S",
        "Which keys k occur in at least n rows? In ascending order. n is at least 1.",
        "exec k from (0!select c:count i by k from t) where c>=n",
        lambda t, n: [k for k in sorted(set(t["k"])) if t["k"].count(k) >= n],
        KV,
        draw(low=1, high=4),
    ),
    problem(
        "number_within_group",
        "iteration",
        "ks:S -> J",
        "Number the items of a list within their group: the first occurrence of a symbol gets 0, its "
        "second 1, and so on.",
        "{@[x;y;:;til count y]}/[(count ks)#0;value group ks]",
        lambda ks: [ks[:i].count(k) for i, k in enumerate(ks)],
        draw(of=["a", "b", "c"]),
    ),
    problem(
        "cross_totals",
        "dictionaries",
        f"t:{S} s:s -> S!J",
        "For shop s add up the quantities of each item. Return a dictionary from items to totals, items "
        "ascending. The shop has at least one row.",
        "exec sum qty by item from t where shop=s",
        lambda t, s: (lambda g: {k: sum(v) for k, v in g.items()})(
            _by(
                [i for j, i in enumerate(t["item"]) if t["shop"][j] == s],
                [q for j, q in enumerate(t["qty"]) if t["shop"][j] == s],
            )
        ),
        draw(columns={**SALES["columns"], "shop": draw(of=["n"])}, least=2),
        draw(of=["n"]),
    ),
    problem(
        "center_by_group",
        "statistics",
        "ks:S xs:F -> F",
        "Subtract from each value the mean of all values with the same key (the lists have equal length).",
        "xs-(avg each xs group ks) ks",
        lambda ks, xs: [
            v - (lambda g: sum(g) / len(g))([w for k, w in zip(ks, xs, strict=True) if k == ks[i]])
            for i, v in enumerate(xs)
        ],
        draw(of=["a", "b", "c"]),
        draw(like=0),
        edges=[],
    ),
    problem(
        "group_by_length",
        "strings",
        "words:CC -> J!J",
        "How many words are there of each length? Return a dictionary from length to number, lengths "
        "ascending. There is at least one word.",
        "k!d k:asc key d:count each group count each words",
        lambda words: {n: sum(len(w) == n for w in words) for n in sorted(set(map(len, words)))},
        draw(least=1, width=(1, 4)),
    ),
    problem(
        "first_k_per_group",
        "lists",
        "t:+k:S,v:J n:j -> +k:S,v:J",
        "Keep at most the first n rows of each k; rows keep their order. n is at least 1.",
        "select from t where n>({til count x};i) fby k",
        lambda t, n: _where(t, lambda i: t["k"][:i].count(t["k"][i]) < n),
        KV,
        draw(low=1, high=3),
    ),
    problem(
        "pivot_counts",
        "matrices",
        "a:S b:S -> JJ",
        "Cross-tabulate two lists of symbols of equal, positive length: a matrix with a row for each "
        "distinct symbol of a and a column for each of b, both in ascending order, holding the number of "
        "positions with that pair.",
        "{[a;b;u;v] sum each (a=u)&/:b=/:v}[a;b;;asc distinct b] each asc distinct a",
        lambda a, b: [
            [sum(p == (u, v) for p in zip(a, b, strict=True)) for v in sorted(set(b))] for u in sorted(set(a))
        ],
        draw(of=["x", "y"], least=1),
        draw(of=["p", "q", "r"], like=0),
    ),
]
