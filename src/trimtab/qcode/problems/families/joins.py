"""Problems on combining tables: joins by key, by time, unions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from trimtab.qcode.problems.source import draw, problem

NAMES = ["a", "b", "c", "d"]
ORDERS = draw(columns={"sym": draw(of=NAMES), "qty": draw(low=1, high=9)})
PRICES = draw(columns={"sym": draw(of=NAMES, order="distinct"), "px": draw(low=1, high=9)}, least=1)
LEFT, RIGHT = "+sym:S,qty:J", "+sym:S,px:J"
TRADES = draw(columns={"time": draw(low=0, high=30, order="ascending"), "qty": draw(low=1, high=9)}, least=1)
QUOTES = draw(columns={"time": draw(low=0, high=30, order="ascending distinct"), "bid": draw(low=1, high=9)}, least=1)


def _price(p: dict[str, Any], s: str) -> int | None:
    return dict(zip(p["sym"], p["px"], strict=True)).get(s)


def _keep(t: dict[str, Any], test: Callable[[int], bool]) -> dict[str, Any]:
    rows = [i for i in range(len(t["sym"])) if test(i)]
    return {c: [v[i] for i in rows] for c, v in t.items()}


PROBLEMS = [
    problem(
        "attach_prices",
        "dictionaries",
        f"t:{LEFT} p:{RIGHT} -> +sym:S,qty:J,px:J",
        "Add to each row of t the column px of the row of p with the same sym; null where p has no such "
        "row. In p each sym occurs once.",
        "t lj 1!p",
        lambda t, p: {**t, "px": [_price(p, s) for s in t["sym"]]},
        ORDERS,
        PRICES,
    ),
    problem(
        "only_known",
        "sets",
        f"t:{LEFT} p:{RIGHT} -> +sym:S,qty:J,px:J",
        "Join px of p to the rows of t by sym, and drop the rows of t whose sym p lacks. In p each sym occurs once.",
        "t ij 1!p",
        lambda t, p: (lambda k: {**k, "px": [_price(p, s) for s in k["sym"]]})(
            _keep(t, lambda i: t["sym"][i] in p["sym"])
        ),
        ORDERS,
        PRICES,
    ),
    problem(
        "unmatched_rows",
        "sets",
        f"t:{LEFT} p:{RIGHT} -> {LEFT}",
        "Which rows of t have a sym that does not occur in p? Keep their order.",
        "select from t where not sym in p`sym",
        lambda t, p: _keep(t, lambda i: t["sym"][i] not in p["sym"]),
        ORDERS,
        PRICES,
    ),
    problem(
        "order_value",
        "arithmetic",
        f"t:{LEFT} p:{RIGHT} -> j",
        "What are all orders of t worth together: qty times the px of the sym in p? Orders whose sym p "
        "lacks count nothing. In p each sym occurs once.",
        "sum exec qty*px from t ij 1!p",
        lambda t, p: sum(q * (_price(p, s) or 0) for s, q in zip(t["sym"], t["qty"], strict=True)),
        ORDERS,
        PRICES,
    ),
    problem(
        "missing_price_default",
        "logic",
        f"t:{LEFT} p:{RIGHT} v:j -> +sym:S,qty:J,px:J",
        "Add to each row of t the px of its sym from p, and v where p lacks the sym. In p each sym occurs once.",
        "update v^px from t lj 1!p",
        lambda t, p, v: {**t, "px": [v if _price(p, s) is None else _price(p, s) for s in t["sym"]]},
        ORDERS,
        PRICES,
        draw(low=0, high=0),
    ),
    problem(
        "latest_quote",
        "temporal",
        "t:+time:V,qty:J q:+time:V,bid:J -> +time:V,qty:J,bid:J",
        "Add to each row of t the bid of the last row of q whose time is not after that of the row; null "
        "where there is none. Both tables are in order of time.",
        "aj[`time;t;q]",
        lambda t, q: {
            **t,
            "bid": [
                next((b for w, b in zip(q["time"][::-1], q["bid"][::-1], strict=True) if w <= m), None)
                for m in t["time"]
            ],
        },
        TRADES,
        QUOTES,
    ),
    problem(
        "age_of_quote",
        "temporal",
        "t:+time:V,qty:J q:+time:V,bid:J -> J",
        "For each row of t: how many seconds old is the last row of q that is not later? 0N where there "
        "is none. Both tables are in order of time.",
        "`long$t[`time]-q[`time] q[`time] bin t`time",
        lambda t, q: [min((m - w for w in q["time"] if w <= m), default=None) for m in t["time"]],
        TRADES,
        QUOTES,
    ),
    problem(
        "union_tables",
        "lists",
        "a:+k:S,v:J b:+k:S,w:J -> +k:S,v:J,w:J",
        "Stack the rows of b under those of a. The columns v and w are null in the rows of the table that lacks them.",
        "a uj b",
        lambda a, b: {"k": a["k"] + b["k"], "v": a["v"] + [None] * len(b["k"]), "w": [None] * len(a["k"]) + b["w"]},
        draw(least=1),
        draw(least=1),
    ),
    problem(
        "update_from",
        "dictionaries",
        f"base:{RIGHT} news:{RIGHT} -> {RIGHT}",
        "Both tables have each sym at most once. Replace px in base by the px of news where news has the "
        "sym, and append the rows of news whose sym base lacks.",
        "0!(1!base) upsert 1!news",
        lambda base, news: (lambda d: {"sym": list(d), "px": list(d.values())})(
            {**dict(zip(base["sym"], base["px"], strict=True)), **dict(zip(news["sym"], news["px"], strict=True))}
        ),
        PRICES,
        PRICES,
    ),
    problem(
        "price_differences",
        "arithmetic",
        f"a:{RIGHT} b:{RIGHT} -> S!J",
        "For each sym that occurs in both tables give px in b minus px in a, as a dictionary in the "
        "order of a. Each table has each sym at most once; at least one is common.",
        "k!((exec sym!px from b) k)-(exec sym!px from a) k:a[`sym] inter b`sym",
        lambda a, b: {s: _price(b, s) - x for s, x in zip(a["sym"], a["px"], strict=True) if s in b["sym"]},
        draw(columns={"sym": draw(of=["a"], order="distinct"), "px": draw(low=1, high=9)}, least=1),
        PRICES,
        edges=[],
    ),
    problem(
        "pairs_of_all",
        "combinatorics",
        "a:+x:J b:+y:S -> +x:J,y:S",
        "Pair every row of a with every row of b: the rows of a in order, for each all rows of b in order.",
        "a cross b",
        lambda a, b: {"x": [v for v in a["x"] for _ in b["y"]], "y": b["y"] * len(a["x"])},
        draw(most=4, least=1),
        draw(most=3, least=1),
    ),
    problem(
        "add_counts",
        "grouping",
        f"t:{LEFT} p:{RIGHT} -> +sym:S,px:J,orders:J",
        "Add a column orders to p: the number of rows of t with the same sym, 0 where there is none.",
        "update orders:sum each sym=\\:t`sym from p",
        lambda t, p: {**p, "orders": [t["sym"].count(s) for s in p["sym"]]},
        ORDERS,
        PRICES,
    ),
    problem(
        "sum_joined",
        "grouping",
        "a:+k:S,v:J b:+k:S,v:J -> +k:S|v:J",
        "Add up v by k over the rows of both tables together. Return a table keyed by k, keys ascending.",
        "select sum v by k from (a,b)",
        lambda a, b: (
            lambda ks: {
                "k": ks,
                "v": [sum(v for k2, v in zip(a["k"] + b["k"], a["v"] + b["v"], strict=True) if k2 == k) for k in ks],
            }
        )(sorted(set(a["k"] + b["k"]))),
        draw(least=1),
    ),
    problem(
        "same_rows",
        "logic",
        "a:+x:J,y:S b:+x:J,y:S -> b",
        "Do two tables hold the same rows equally often, whatever their order?",
        "(`x`y xasc a)~`x`y xasc b",
        lambda a, b: sorted(zip(a["x"], a["y"], strict=True)) == sorted(zip(b["x"], b["y"], strict=True)),
        draw(columns={"x": draw(low=0, high=1), "y": draw(of=["p"])}, most=2),
        draw(columns={"x": draw(low=0, high=1), "y": draw(of=["p"])}, most=2),
        edges=[
            ({"x": [1, 2], "y": ["p", "q"]}, {"x": [2, 1], "y": ["q", "p"]}),
            ({"x": [1, 2], "y": ["p", "q"]}, {"x": [2, 1], "y": ["p", "q"]}),
        ],
    ),
]
