"""Problems on money and markets: returns, positions, orders."""

from __future__ import annotations

import itertools
import statistics as st
from typing import Any

from trimtab.qcode.problems.source import draw, problem

PRICES = draw(low=1, high=20, most=9)
TRADES = draw(columns={"side": draw(of=["buy", "sell"]), "qty": draw(low=1, high=9), "px": draw(low=1, high=20)})


def _sign(side: str) -> int:
    return 1 if side == "buy" else -1


def _fifo(buys: list[int], sold: int) -> list[int]:
    out = []
    for b in buys:
        take = min(b, sold)
        out.append(b - take)
        sold -= take
    return out


def _best_trade(xs: list[float]) -> float:
    return max((b - a for a, b in itertools.combinations(xs, 2)), default=0.0)


def _bars(px: list[float], n: int) -> dict[str, Any]:
    parts = [px[i : i + n] for i in range(0, len(px), n)]
    return {
        "o": [p[0] for p in parts],
        "h": [max(p) for p in parts],
        "l": [min(p) for p in parts],
        "c": [p[-1] for p in parts],
    }


PROBLEMS = [
    problem(
        "simple_returns",
        "moving",
        "px:F -> F",
        "From a series of positive prices compute the simple returns: each price over the one before, "
        "minus 1. The result is one shorter; fewer than two prices give an empty list.",
        "$[2>count px;`float$();-1+(1_px)%-1_px]",
        lambda px: [b / a - 1 for a, b in itertools.pairwise(px)],
        PRICES,
    ),
    problem(
        "best_single_trade",
        "moving",
        "px:F -> f",
        "What is the greatest profit from buying one piece at one price and selling it at a later one? 0 "
        "when no trade gains anything.",
        "max 0f,px-mins px",
        lambda px: max(0.0, _best_trade(px)),
        PRICES,
        edges=[([],), ([5.0, 3.0],), ([7.0, 1.0, 5.0, 3.0, 6.0],)],
    ),
    problem(
        "vwap",
        "statistics",
        "px:F qty:J -> f",
        "What is the volume-weighted average price: the total of price times quantity over the total "
        "quantity? Quantities are positive, the lists have equal length; 0n for empty lists.",
        "qty wavg px",
        lambda px, qty: sum(a * b for a, b in zip(px, qty, strict=True)) / sum(qty) if px else None,
        PRICES,
        draw(like=0, low=1, high=9),
    ),
    problem(
        "position_after",
        "tables",
        "t:+side:S,qty:J,px:F -> J",
        "Trades have a side (`buy or `sell) and a quantity. Give the position after each trade; it "
        "begins with 0, buying raises it, selling lowers it.",
        "exec sums qty*?[side=`buy;1;-1] from t",
        lambda t: list(itertools.accumulate(_sign(s) * q for s, q in zip(t["side"], t["qty"], strict=True))),
        TRADES,
    ),
    problem(
        "cash_flow",
        "tables",
        "t:+side:S,qty:J,px:F -> f",
        "What is the total cash flow of the trades? A sale brings in quantity times price, a purchase "
        "costs it. 0 without trades.",
        "0f+exec sum qty*px*?[side=`sell;1;-1] from t",
        lambda t: float(sum(-_sign(s) * q * p for s, q, p in zip(t["side"], t["qty"], t["px"], strict=True))),
        TRADES,
    ),
    problem(
        "compound_interest",
        "arithmetic",
        "start:f rates:F -> F",
        "A balance is multiplied by 1 plus each rate in turn. Give the balance after each.",
        "start*prds 1+rates",
        lambda start, rates: list(itertools.accumulate(rates, lambda b, r: b * (1 + r), initial=start))[1:],
        draw(low=1, high=100),
        draw(low=-0.5, high=0.5),
    ),
    problem(
        "fifo_lots",
        "iteration",
        "buys:J sold:j -> J",
        "Lots of the sizes in buys were bought in turn; then sold pieces are sold, the oldest lots "
        "first. How much of each lot is left? When more is sold than there is, everything is gone.",
        "buys&0|(sums buys)-sold",
        _fifo,
        draw(low=1, high=9, most=6),
        draw(low=0, high=25),
        edges=[([], 3), ([5, 5], 7), ([5, 5], 20), ([5], 0)],
    ),
    problem(
        "ohlc",
        "grouping",
        "px:F n:j -> +o:F,h:F,l:F,c:F",
        "Cut a series of prices into bars of n prices each (the last may be shorter) and return a table "
        "with a row per bar: first, highest, lowest and last price in the columns o, h, l, c. There is "
        "at least one price, n is at least 1.",
        "b:n cut px; ([]o:first each b;h:max each b;l:min each b;c:last each b)",
        _bars,
        draw(low=1, high=20, least=1, most=9),
        draw(low=1, high=4),
    ),
    problem(
        "max_drawdown",
        "statistics",
        "px:F -> f",
        "What is the largest drawdown of a series of positive prices: the largest fall from the highest "
        "price so far, as a share of that? 0 for an empty list.",
        "max 0f,1-px%maxs px",
        lambda px: max((1 - v / max(px[: i + 1]) for i, v in enumerate(px)), default=0.0),
        PRICES,
    ),
    problem(
        "split_adjust",
        "arithmetic",
        "px:F splits:F -> F",
        "Each day has a price and a split ratio (1 on ordinary days; 2 means that before the opening of "
        "this day each share became two). Adjust the prices to today's shares: divide each price by the "
        "splits of all later days.",
        "px%1_(reverse prds reverse splits),1f",
        lambda px, splits: [v / __import__("math").prod(splits[i + 1 :]) for i, v in enumerate(px)],
        PRICES,
        draw(like=0, of=[1.0, 1.0, 2.0, 4.0]),
    ),
    problem(
        "fill_order",
        "sorting",
        "px:F qty:J want:j -> f",
        "Sellers offer the quantities qty at the prices px (lists of equal length). What does it cost to "
        "buy want pieces, the cheapest first? When there are too few, buy all there are.",
        "i:iasc px; f:deltas want&sums qty i; 0f+sum f*px i",
        lambda px, qty, want: (
            lambda o: float(
                sum(
                    px[i] * f
                    for i, f in zip(
                        o,
                        [max(0, min(qty[i], want - sum(qty[j] for j in o[:n]))) for n, i in enumerate(o)],
                        strict=True,
                    )
                )
            )
        )(sorted(range(len(px)), key=lambda i: px[i])),
        draw(low=1, high=20, most=6),
        draw(like=0, low=1, high=9),
        draw(low=0, high=25),
    ),
    problem(
        "rebalance",
        "dictionaries",
        "held:S!F target:S!F -> S!F",
        "held gives the money in each asset, target the share it shall have (shares add up to about 1). "
        "Return for each asset of target how much to buy (negative: sell) so that it has its share of "
        "the total now held. Assets missing in held hold 0; those missing in target do not matter beyond "
        "the total.",
        "(target*sum held)-(key target)!0^held key target",
        lambda held, target: {k: s * sum(held.values()) - held.get(k, 0.0) for k, s in target.items()},
        draw(values=draw(low=1, high=90)),
        draw(keys=draw(least=1), values=draw(of=[0.1, 0.25, 0.5])),
    ),
    problem(
        "moving_signal",
        "logic",
        "px:F a:j b:j -> J",
        "Compute moving averages of the last a and the last b prices (a < b; fewer at the start) and "
        "give a signal for each price: 1 when the shorter average is above the longer, -1 when below, 0 "
        "when equal.",
        "`long$signum (a mavg px)-b mavg px",
        lambda px, a, b: [
            (lambda d: 0 if abs(d) < 1e-9 else 1 if d > 0 else -1)(
                st.fmean(px[max(0, i - a + 1) : i + 1]) - st.fmean(px[max(0, i - b + 1) : i + 1])
            )
            for i in range(len(px))
        ],
        draw(of=[1.0, 2.0, 4.0, 8.0, 16.0], most=9),
        draw(low=1, high=2),
        draw(low=3, high=4),
    ),
    problem(
        "fees_by_tier",
        "searching",
        "amounts:F -> F",
        "A fee is 2 per cent of an amount below 100, 1 per cent from 100 to below 1000, and half a per "
        "cent from 1000 on (the rate holds for the whole amount). Amounts are not negative. Give the "
        "fees.",
        "amounts*(.02 .01 .005) 0 100 1000 bin amounts",
        lambda amounts: [v * (0.02 if v < 100 else 0.01 if v < 1000 else 0.005) for v in amounts],
        draw(of=[0.0, 10.0, 99.5, 100.0, 250.0, 999.0, 1000.0, 4200.0]),
    ),
]
