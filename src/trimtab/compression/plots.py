"""What is drawn of an evaluation? The frontier over budgets, needles by depth and length, and kept tokens over a text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from trimtab.compression.actions import short
from trimtab.compression.contest import BEST_FIXED, LOOKUP, ORACLE, Contest
from trimtab.compression.judging import LEARNED
from trimtab.compression.pictures import KeptTokens, Needles
from trimtab.pages import MARKERS, PAINT, Html, draw, element, join, legend

LINES: tuple[tuple[str, str, str], ...] = (
    (LEARNED, "s1", "o"),
    (BEST_FIXED, "s0", "s"),
    (LOOKUP, "s2", "D"),
    ("h2o", "s3", "^"),
    ("tova", "s4", "v"),
    ("snapkv", "s5", "P"),
    ("pyramidkv", "s5", "D"),
    ("streaming", "muted", "s"),
    (ORACLE, "ink", "o"),
)
"""(contender, colour, marker)."""


def drawn_lines(frontier: Sequence[Contest]) -> list[tuple[str, str, str]]:
    """Those lines whose contender is in every contest."""
    common = set.intersection(*({c.name for c in one.contenders} for one in frontier))
    return [line for line in LINES if line[0] in common]


def frontier_plot(frontier: Sequence[Contest]) -> Html:
    """Mean held-out reward by budget, a line per way of choosing."""

    def paint(canvas: Figure) -> None:
        axes: Any = canvas.add_subplot()
        budgets = [one.budget for one in frontier]
        for name, colour, marker in drawn_lines(frontier):
            means = [float(one.earned(name).mean()) for one in frontier]
            style = "--" if name == ORACLE else "-"
            axes.plot(budgets, means, style, color=PAINT[colour], marker=marker, markersize=4, linewidth=1.4)
        axes.set_xscale("log", base=2)
        axes.set_xticks(budgets, [str(budget) for budget in budgets])
        axes.set_xlabel("budget, tokens per KV head")
        axes.set_ylabel(frontier[0].part)

    return draw("frontier", "Mean reward by budget", paint)


def frontier_legend(frontier: Sequence[Contest]) -> Html:
    """Its legend."""
    return legend([(colour, MARKERS[marker], name) for name, colour, marker in drawn_lines(frontier)])


def gain_plot(frontier: Sequence[Contest]) -> Html:
    """The learned choice over the best fixed action by budget, with 95% intervals."""

    def paint(canvas: Figure) -> None:
        axes: Any = canvas.add_subplot()
        gains = [one.against(LEARNED) for one in frontier]
        at = np.arange(len(frontier))
        middle = np.array([gain.estimate for gain in gains])
        spread = np.array([[g.estimate - g.low for g in gains], [g.high - g.estimate for g in gains]])
        axes.axhline(0, color=PAINT["muted"], linewidth=1)
        axes.errorbar(at, middle, np.maximum(spread, 0), fmt="o", color=PAINT["s1"], capsize=3)
        axes.set_xticks(at, [str(one.budget) for one in frontier])
        axes.set_xlabel("budget, tokens per KV head")
        axes.set_ylabel("over the best fixed action")

    return draw("gain", "Gain over the best fixed action by budget, with 95% intervals", paint)


def needle_plot(name: str, title: str, values_DL: np.ndarray, needles: Needles) -> Html:
    """A heat map of depth and length: the fuller a cell, the better."""

    def paint(canvas: Figure) -> None:
        axes: Any = canvas.add_subplot()
        depths, lengths = values_DL.shape
        for d in range(depths):
            for at in range(lengths):
                value = float(values_DL[d, at])
                axes.bar(at, 0.94, 0.94, bottom=d - 0.47, color=PAINT["s2"], alpha=0.08 + 0.92 * value, linewidth=0)
                axes.text(at, d, f"{value:.2f}", ha="center", va="center", fontsize=9)
        axes.grid(visible=False)
        axes.set_xticks(range(lengths), [str(length) for length in needles.lengths])
        axes.set_yticks(range(depths), [f"{depth:.0%}" for depth in needles.depths])
        axes.set_xlim(-0.6, lengths - 0.4)
        axes.set_ylim(depths - 0.4, -0.6)
        axes.set_xlabel("tokens of the prompt")
        axes.set_ylabel("depth of the needle")

    return draw(name, title, paint)


def kept_text(kept: KeptTokens, label: str) -> Html:
    """The prompt's text; the more layers and heads keep a token, the stronger its ground."""
    shares = kept.shares[label]
    spans = (
        element("span", word, style=f"background:color-mix(in srgb,var(--s1) {round(85 * share)}%,transparent)")
        for word, share in zip(kept.words, shares.tolist(), strict=True)
    )
    return element("p", join(spans, " "), style="font-size:.75rem;line-height:1.35;max-width:none")


def histogram_plot(found: Contest, name: str) -> Html:
    """How often each action was taken."""
    counts = found.histogram(name)

    def paint(canvas: Figure) -> None:
        axes: Any = canvas.add_subplot()
        names = list(counts)[::-1]
        axes.barh(range(len(names)), [counts[one] for one in names], color=PAINT["s1"])
        axes.set_yticks(range(len(names)), [short(one) for one in names])
        axes.set_xlabel("held-out prompts")
        axes.grid(visible=False, axis="y")

    return draw("histogram", f"Actions taken: {name}", paint, inches=(5.0, max(1.6, 0.24 * len(counts) + 0.9)))
