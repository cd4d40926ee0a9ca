"""Problems on tables: selecting, updating, shaping."""

from __future__ import annotations

from typing import Any

from trimtab.qcode.problems.source import draw, problem

TRADE = "+sym:S,price:F,size:J"
TRADES = draw(columns={"sym": draw(of=["a", "b", "c"]), "price": draw(low=1, high=20), "size": draw(low=1, high=9)})


def _pick(t: dict[str, Any], rows: list[int]) -> dict[str, Any]:
    return {c: [v[i] for i in rows] for c, v in t.items()}


def _rows(t: dict[str, Any]) -> range:
    return range(len(next(iter(t.values()))))


PROBLEMS = [
    problem(
        "filter_by_symbol",
        "searching",
        f"t:{TRADE} s:s -> {TRADE}",
        "Keep only the rows of the table whose sym is s.",
        "select from t where sym=s",
        lambda t, s: _pick(t, [i for i in _rows(t) if t["sym"][i] == s]),
        TRADES,
        draw(of=["a", "b", "c", "d"]),
    ),
    problem(
        "add_notional",
        "arithmetic",
        f"t:{TRADE} -> +sym:S,price:F,size:J,notional:F",
        "Add a column notional to the table: price times size.",
        "update notional:price*size from t",
        lambda t: {**t, "notional": [p * n for p, n in zip(t["price"], t["size"], strict=True)]},
        TRADES,
    ),
    problem(
        "top_rows",
        "sorting",
        f"t:{TRADE} n:j -> {TRADE}",
        "Return the n rows with the highest price, the highest first; rows of equal price keep their "
        "order. Fewer rows: all of them.",
        "n sublist `price xdesc t",
        lambda t, n: _pick(t, sorted(_rows(t), key=lambda i: -t["price"][i])[:n]),
        TRADES,
        draw(low=0, high=4),
    ),
    problem(
        "cap_sizes",
        "logic",
        f"t:{TRADE} m:j -> {TRADE}",
        "Set every size above m to m; leave the rest of the table as it is.",
        "update size:m from t where size>m",
        lambda t, m: {**t, "size": [min(v, m) for v in t["size"]]},
        TRADES,
        draw(low=1, high=9),
    ),
    problem(
        "drop_small",
        "logic",
        f"t:{TRADE} p:f n:j -> {TRADE}",
        "Remove the rows whose price is below p and whose size is below n (both).",
        "delete from t where price<p,size<n",
        lambda t, p, n: _pick(t, [i for i in _rows(t) if not (t["price"][i] < p and t["size"][i] < n)]),
        TRADES,
        draw(low=1, high=20),
        draw(low=1, high=9),
    ),
    problem(
        "column_names_sorted",
        "sets",
        f"t:{TRADE} gone:S -> S",
        "Which columns remain when those named in gone are removed from the table? Return their names "
        "alphabetically. Names that the table lacks do not matter.",
        "asc cols[t] except gone",
        lambda t, gone: sorted(set(t) - set(gone)),
        TRADES,
        draw(of=["sym", "price", "size", "x"], most=3),
    ),
    problem(
        "distinct_pairs",
        "sets",
        "t:+a:J,b:J -> +a:J,b:J",
        "Remove duplicate rows from the table, keeping the first of each.",
        "distinct t",
        lambda t: (lambda r: {"a": [p[0] for p in r], "b": [p[1] for p in r]})(
            list(dict.fromkeys(zip(t["a"], t["b"], strict=True)))
        ),
        draw(columns={"a": draw(low=0, high=1), "b": draw(low=0, high=1)}),
    ),
    problem(
        "from_lists",
        "lists",
        "ks:S xs:J -> +name:S,place:J,val:J",
        "Build a table from names and values (lists of equal length) with the columns name, place and "
        "val, sorted by value, the largest first; place counts from 1. Equal values keep their order.",
        "i:idesc xs; ([]name:ks i;place:1+til count i;val:xs i)",
        lambda ks, xs: (
            lambda o: {"name": [ks[i] for i in o], "place": list(range(1, len(o) + 1)), "val": [xs[i] for i in o]}
        )(sorted(range(len(xs)), key=lambda i: -xs[i])),
        None,
        draw(like=0, low=0, high=4),
    ),
    problem(
        "fill_nulls_down",
        "iteration",
        "t:+k:S,v:J -> +k:S,v:J",
        "In column v replace each null by the last value above it that is not null; nulls at the top become 0.",
        "update v:0^fills v from t",
        lambda t: {**t, "v": [next((w for w in reversed(t["v"][: i + 1]) if w is not None), 0) for i in _rows(t)]},
        draw(columns={"v": draw(nulls=0.4)}, most=8),
    ),
    problem(
        "exec_weighted",
        "statistics",
        f"t:{TRADE} s:s -> f",
        "What is the average price of the rows with sym s, weighted by size? Give 0n when there are none.",
        "exec size wavg price from t where sym=s",
        lambda t, s: (
            lambda r: sum(t["price"][i] * t["size"][i] for i in r) / sum(t["size"][i] for i in r) if r else None
        )([i for i in _rows(t) if t["sym"][i] == s]),
        TRADES,
        draw(of=["a", "b", "c", "d"]),
    ),
    problem(
        "append_total",
        "arithmetic",
        "t:+k:S,v:J -> +k:S,v:J",
        "Append a row to the table with k equal to `total and v the sum of the column v.",
        "t,([]k:enlist`total;v:enlist sum t`v)",
        lambda t: {"k": [*t["k"], "total"], "v": [*t["v"], sum(t["v"])]},
    ),
    problem(
        "key_table",
        "dictionaries",
        "t:+k:S,v:J -> +k:S|v:J",
        "Key the table by k. Where a key occurs in several rows only the last counts; keys stand in the "
        "order of first occurrence.",
        "{x upsert y}/[([k:`symbol$()]v:`long$());t]",
        lambda t: (lambda d: {"k": list(d), "v": list(d.values())})(dict(zip(t["k"], t["v"], strict=True))),
        draw(columns={"k": draw(of=["a", "b", "c"])}),
    ),
    problem(
        "row_as_dictionary",
        "dictionaries",
        "t:+a:J,b:J i:j -> S!J",
        "Return row i (from 0) of the table as a dictionary from column names to values. The row exists.",
        "t i",
        lambda t, i: {"a": t["a"][i], "b": t["b"][i]},
        draw(least=3),
        draw(low=0, high=2),
    ),
    problem(
        "swap_columns",
        "lists",
        "t:+a:J,b:J,c:J x:s y:s -> +a:J,b:J,c:J",
        "Exchange the contents of the columns named x and y, the order of columns staying. x and y are "
        "columns of the table and may be the same.",
        "![t;();0b;(x;y)!(y;x)]",
        lambda t, x, y: {**t, x: t[y], y: t[x]},
        None,
        draw(of=["a", "b", "c"]),
        draw(of=["a", "b", "c"]),
    ),
    problem(
        "every_nth_row",
        "arithmetic",
        "t:+a:J,b:S n:j -> +a:J,b:S",
        "Keep the rows 0, n, 2n, ... of the table. n is at least 1.",
        "select from t where 0=i mod n",
        lambda t, n: _pick(t, list(_rows(t))[::n]),
        None,
        draw(low=1, high=4),
    ),
]
