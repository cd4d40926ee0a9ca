"""What does ``trimtab compression promise`` do? Fit, calibrate, judge on held-out prompts, draw the frontier, keep it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.figure import Figure

from trimtab import machine
from trimtab.compression.judging import Split
from trimtab.compression.promising import Promise, Takers, fit_takers, judged, outcome, promised
from trimtab.compression.table import RewardTable
from trimtab.console import Table, say
from trimtab.pages import (
    MARKERS,
    PAINT,
    Html,
    draw,
    explained,
    figure,
    legend,
    page,
    paragraph,
    percent,
    section,
    table,
    write_page,
)
from trimtab.plain import Plain
from trimtab.records import bar, write_json

if TYPE_CHECKING:
    from trimtab.compression.promise_recipe import Promise as Command

EPS = (0.01, 0.02, 0.05, 0.1, 0.2)
"""Promises shown beside the one asked for."""
DELTAS = (0.02, 0.05, 0.1, 0.15, 0.2, 0.3)
"""Along the frontier."""
COLUMNS = ("eps", "delta", "violations", "mean_budget", "full_cache", "smallest_fixed_budget", "fixed_budgets_by_lot")
TITLE = "Quality promised: how much of the cache each prompt needs"


def promise(command: Command) -> None:
    """``trimtab compression promise``."""
    known = RewardTable.load(command.table)
    split = Split.of(known, command.calibration_share, command.held_out_share)
    made = fit_takers(split, command.reward, command.context_encoder_model)
    given = promised(made, command.eps, command.delta)
    row = judged(made, given)
    rows = [judged(made, promised(made, eps, command.delta)) for eps in sorted({*EPS, command.eps})]
    about: dict[str, Plain] = {
        "table": known.content_hash,
        "reward": command.reward,
        "context_encoder_model": command.context_encoder_model,
        **{name: known.about[name] for name in ("fingerprint", "model", "encoders") if name in known.about},
    }
    Promise.of(made, given, {**about, "held_out": row}).save(command.out)
    write_report(command, made, row, rows)
    bars = bars_of(row)
    record = {"date": machine.today(), "hardware": machine.hardware(), "rows": rows, "bars": bars}
    write_json(command.out / "judged.json", record)
    shown = Table(f"promises at delta {command.delta:g}: {row['prompts']} held-out prompts", COLUMNS)
    for one in rows:
        shown.add(*(one[column] for column in COLUMNS))
    shown.print()
    say(sentence(row), f"the promise is in {command.out}, its report {command.out / 'report.html'}")


def bars_of(row: dict[str, Any], slack: float = 0.02) -> list[dict[str, Any]]:
    """Whether a promise is kept on the held-out prompts, and whether it saves."""
    safe = row["smallest_fixed_budget"]
    return [
        bar(f"eps {row['eps']:g}: share of broken promises", row["violations"], row["delta"] + slack, above=False),
        bar(
            f"eps {row['eps']:g}: fixed budgets by lot that are as safe, over the mean budget",
            row["fixed_budgets_by_lot"] / row["mean_budget"],
            1.0,
            above=True,
        ),
        bar(
            f"eps {row['eps']:g}: smallest fixed budget as safe, over the mean budget",
            safe / row["mean_budget"],
            1.0,
            above=True,
        ),
    ]


def sentence(row: dict[str, Any]) -> str:
    """What was promised, whether it was kept, and what it saves."""
    fixed, lot = row["smallest_fixed_budget"], row["fixed_budgets_by_lot"]
    kept = "kept" if row["violations"] <= row["delta"] else "broken too often (by chance, or prompts of another kind)"
    return (
        f"A quality of {1 - row['eps']:g} or more is promised for all but {percent(row['delta'])} of the prompts: {kept}, "
        f"{percent(row['violations'], 1)} of {row['prompts']} held-out prompts broke it. "
        f"On average {row['mean_budget']:.0f} tokens were kept (the full cache for {percent(row['full_cache'])} of them): "
        f"{_beside(row['mean_budget'], fixed)} the smallest fixed budget of the table that is as safe ({fixed:.0f}), "
        f"{_beside(row['mean_budget'], lot)} two fixed budgets drawn by lot that are as safe ({lot:.0f})."
    )


def _beside(budget: float, other: float) -> str:
    share = budget / other - 1
    return f"{percent(-share, 1)} less than" if share < 0 else f"{percent(share, 1)} more than"


# the page ---------------------------------------------------------------------------------------------------------------


def frontier(made: Takers, eps: float) -> list[tuple[float, float]]:
    """(mean budget, share of broken promises) of rules for each of ``DELTAS`` that the calibration part can promise."""
    possible = [delta for delta in DELTAS if 1 / (len(made.contexts[1]) + 1) <= delta]
    did = [outcome(made, promised(made, eps, delta)) for delta in possible]
    return [(one.mean_budget, one.violations) for one in did]


def fixed_points(made: Takers, eps: float) -> list[tuple[float, float]]:
    """The same of every fixed budget, with the action that is best there on the training part."""
    tokens_P, broken_B = made.split.held_out.prompt_tokens_P, (made.fixed_PB < 1 - eps).mean(axis=0)
    means = [float(np.minimum(budget, tokens_P).mean()) for budget in made.budgets]
    return list(zip(means, broken_B.tolist(), strict=True))


def frontier_plot(promises: Sequence[tuple[float, float]], fixed: Sequence[tuple[float, float]], delta: float) -> Html:
    """Mean budget against the share of prompts below the promised quality."""

    def paint(canvas: Figure) -> None:
        axes: Any = canvas.add_subplot()
        for points, colour, marker in ((fixed, "s0", "s"), (promises, "s1", "o")):
            budgets, broken = zip(*points, strict=True)
            axes.plot(budgets, broken, "-", color=PAINT[colour], marker=marker, markersize=4, linewidth=1.4)
        axes.axhline(delta, color=PAINT["muted"], linewidth=1, linestyle="--")
        axes.set_xlabel("mean budget, tokens per KV head")
        axes.set_ylabel("share of prompts below the quality")
        axes.set_ylim(bottom=0)

    return draw("promise", "Mean budget against the share of broken promises", paint)


def write_report(command: Command, made: Takers, row: dict[str, Any], rows: Sequence[dict[str, Any]]) -> None:
    """Write ``report.html``: the verdict, the frontier, promises of other qualities, how it was measured."""
    promises, fixed = frontier(made, command.eps), fixed_points(made, command.eps)
    keys = legend([("s1", MARKERS["o"], "promised, budgets chosen per prompt"), ("s0", MARKERS["s"], "fixed budgets")])
    caption = (
        f"Quality of at least {1 - command.eps:g}. Along the promises delta runs from {min(DELTAS)} to {max(DELTAS)}; "
        "dashed: the one asked for. Nearer to the lower left is better; on the line between two fixed budgets lies what "
        "drawing one of them by lot gives."
    )
    cells = [
        (
            f"{one['eps']:g}",
            percent(one["violations"], 1),
            f"{one['mean_budget']:.0f}",
            percent(one["full_cache"]),
            f"{one['smallest_fixed_budget']:.0f}",
            f"{one['fixed_budgets_by_lot']:.0f}",
        )
        for one in rows
    ]
    columns = (
        "eps",
        "broken",
        "mean budget",
        "full cache",
        "smallest fixed budget as safe",
        "fixed budgets by lot, as safe",
    )
    measured = {
        "model": made.split.train.about.get("model", "as the table says"),
        "prompts": f"{len(made.contexts[0])} learnt from, {len(made.contexts[1])} calibrate, {row['prompts']} are judged",
        "quality": f"{command.reward}, of the action that a ridge regression takes at each budget",
        "promise": "conformal risk control on the calibration part; it holds for prompts like those of the table",
    }
    content = page(
        TITLE,
        paragraph(f"{machine.today()}.", class_="muted"),
        section("The promise", paragraph(sentence(row))),
        section(
            "Mean budget against broken promises", figure(frontier_plot(promises, fixed, command.delta), caption, keys)
        ),
        section(
            f"Other qualities at delta {command.delta:g}",
            table(columns, cells, classes=["chosen" if one["eps"] == command.eps else None for one in rows]),
        ),
        section("How it was measured", explained(measured)),
    )
    write_page(command.out / "report.html", content)
