"""What does an evaluation look like? Its plots, as inline SVG; what they show is decided in ``report`` and ``turnwise``.

No words from outside (tasks, categories) are painted into a plot: those are in the legends and captions, as text.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullLocator

from trimtab.pages import MARKERS, PAINT, SERIES, Html, draw
from trimtab.speculation.turnwise import Span, TurnView

POLICY_COLOUR, STATIC_COLOUR, ORACLE_COLOUR = "s0", "s1", "s3"
PHASES = {"draft": "s0", "verify": "s1", "rest": "s5", "policy": "s2"}
"""Where a round's time goes -> its colour, in the order of the bars."""

CATEGORY_STYLES = tuple(zip(SERIES, MARKERS, strict=True))
"""(colour, marker) of the first categories; the last one stands for all further ones."""


@dataclass(frozen=True)
class Rate:
    """A speed against the best static tree's; ``low`` and ``high`` are None for what was replayed."""

    name: str
    ratio: float
    low: float | None = None
    high: float | None = None


def ratios(rates: Sequence[Rate]) -> Html:
    """Speeds against the best static tree, with their intervals; replayed ones hollow."""

    def paint(canvas: Figure) -> None:
        axes = canvas.subplots()
        for row, rate in enumerate(rates):
            colour = PAINT[POLICY_COLOUR] if rate.name == "eagle-policy" else PAINT["ink"]
            if rate.low is None or rate.high is None:
                axes.plot(rate.ratio, row, "D", color=colour, fillstyle="none", markersize=6)
            else:
                axes.plot([rate.low, rate.high], [row, row], color=colour, linewidth=2)
                axes.plot(rate.ratio, row, "o", color=colour, markersize=6)
        axes.axvline(1.0, color=PAINT[STATIC_COLOUR], linewidth=1.2, linestyle="--", zorder=0)
        axes.set_yticks(range(len(rates)), [rate.name for rate in rates])
        axes.invert_yaxis()
        axes.grid(visible=False, axis="y")
        axes.set_xlabel("speed / best static tree's speed")

    height = 0.9 + 0.28 * len(rates)
    return draw("ratios", "Speed of each contender over the best static tree's", paint, inches=(5.0, height))


def held(ratios: Mapping[int, float], every_level: float | None) -> Html:
    """The oracle's speed over the best static tree's where it keeps each decision for so many rounds; the dashed line is
    that tree's, ``every_level`` the oracle's that decides after every level."""

    def paint(canvas: Figure) -> None:
        axes = canvas.subplots()
        axes.plot(
            list(ratios), list(ratios.values()), "D-", color=PAINT[ORACLE_COLOUR], fillstyle="none", linewidth=1.4
        )
        axes.axhline(1.0, color=PAINT[STATIC_COLOUR], linewidth=1.2, linestyle="--", zorder=0)
        if every_level is not None:
            axes.axhline(every_level, color=PAINT[ORACLE_COLOUR], linewidth=1.2, linestyle=":", zorder=0)
        axes.set_xscale("log")
        axes.set_xticks(list(ratios), [str(rounds) for rounds in ratios])
        axes.xaxis.set_minor_locator(NullLocator())
        axes.set_xlabel("rounds for which a decision is held")
        axes.set_ylabel("speed / best static tree's")

    return draw("held", "Speed of the oracle by how long it holds its decisions", paint, inches=(5.0, 2.8))


def _edges(laid: Sequence[Span]) -> list[int]:
    return [*(span.position for span in laid), laid[-1].position + laid[-1].tokens]


def _steps(axes: Axes, laid: Sequence[Span], colour: str, width: float) -> None:
    """The sizes of the trees, each over the tokens that its round committed; without drafting the size is 1."""
    sizes = [1 if span.shape is None else span.shape.total_tokens for span in laid]
    axes.stairs(sizes, _edges(laid), baseline=None, color=colour, linewidth=width)


def trees(name: str, view: TurnView) -> Html:
    """One turn: the trees that policy and oracle drafted over the text, and what the policy's rounds committed."""

    def paint(canvas: Figure) -> None:
        axes = canvas.subplots()
        committed = [span.tokens for span in view.policy]
        axes.stairs(committed, _edges(view.policy), baseline=0.9, fill=True, color=PAINT["pale"])
        _steps(axes, view.oracle, PAINT[ORACLE_COLOUR], 1.0)
        _steps(axes, view.policy, PAINT[POLICY_COLOUR], 1.6)
        axes.set_yscale("log", base=2)
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.yaxis.set_minor_locator(NullLocator())
        axes.set_ylim(bottom=0.9)
        axes.set_xlim(left=0)
        axes.set_xlabel("position in the text (tokens)")
        axes.set_ylabel("tree, committed (tokens)")

    return draw(
        name, "Size of the trees drafted over one text, by the policy and by the oracle", paint, inches=(3.8, 2.6)
    )


def speeds(
    static_T: Sequence[float], policy_T: Sequence[float], categories_T: Sequence[str], styles: Mapping[str, int]
) -> Html:
    """Tokens per second of each turn, policy over best static tree; ``styles`` index ``CATEGORY_STYLES``."""

    def paint(canvas: Figure) -> None:
        axes = canvas.subplots()
        for category, style in styles.items():
            colour, marker = CATEGORY_STYLES[style]
            mine = [index for index, name in enumerate(categories_T) if name == category]
            x, y = [static_T[i] for i in mine], [policy_T[i] for i in mine]
            axes.plot(x, y, marker, color=PAINT[colour], markersize=5, alpha=0.85, markeredgewidth=0)
        both = [*static_T, *policy_T]
        margin = 0.05 * (max(both) - min(both)) or 0.05 * max(both)
        ends = min(both) - margin, max(both) + margin
        axes.plot(ends, ends, color=PAINT["muted"], linewidth=1, linestyle="--", zorder=0)
        axes.set_xlim(*ends)
        axes.set_ylim(*ends)
        axes.set_aspect("equal")
        axes.set_xlabel("best static tree (tokens per second)")
        axes.set_ylabel("policy (tokens per second)")
        axes.annotate("policy faster", (0.03, 0.95), xycoords="axes fraction", color=PAINT["muted"], va="top")

    return draw("speeds", "Tokens per second of the policy over those of the best static tree", paint, inches=(5, 4.4))


def distances(views: Sequence[TurnView]) -> Html:
    """Time per token over the oracle's, for each turn: best static tree and policy, sorted by the former."""
    ordered = sorted(views, key=lambda view: view.static_over_oracle)

    def paint(canvas: Figure) -> None:
        axes = canvas.subplots()
        x = np.arange(1, len(ordered) + 1)
        static, policy = (
            np.array([getattr(view, f"{who}_over_oracle") for view in ordered]) for who in ("static", "policy")
        )
        axes.vlines(x, static, policy, color=PAINT["faint"], linewidth=1.2)
        axes.plot(x, static, "s", color=PAINT[STATIC_COLOUR], markersize=4, fillstyle="none")
        axes.plot(x, policy, "o", color=PAINT[POLICY_COLOUR], markersize=4.5, markeredgewidth=0)
        axes.axhline(1.0, color=PAINT[ORACLE_COLOUR], linewidth=1.2)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(visible=False, axis="x")
        axes.set_xlabel("turns, sorted by the best static tree's time")
        axes.set_ylabel("time / oracle's time")

    return draw("distances", "Time per token over the oracle's, for each turn", paint, inches=(5, 4.4))


def round_times(name: str, milliseconds: Mapping[str, Mapping[str, float]], unit: str) -> Html:
    """Stacked bars: contender -> phase -> milliseconds per ``unit`` (``round``, ``token``)."""

    def paint(canvas: Figure) -> None:
        axes = canvas.subplots()
        rows = np.arange(len(milliseconds))
        left = np.zeros(len(rows))
        for phase, colour in PHASES.items():
            widths = np.array([parts[phase] for parts in milliseconds.values()])
            axes.barh(rows, widths, left=left, height=0.62, color=PAINT[colour])
            left += widths
        for row, total in enumerate(left):
            axes.annotate(f"{total:.3g}", (total, row), xytext=(4, 0), textcoords="offset points", va="center")
        axes.set_yticks(rows, list(milliseconds))
        axes.invert_yaxis()
        axes.margins(x=0.12)
        axes.grid(visible=False, axis="y")
        axes.set_xlabel(f"milliseconds per {unit}")

    height = 0.8 + 0.42 * len(milliseconds)
    return draw(name, f"Milliseconds per {unit} of each contender, by phase", paint, inches=(5.0, height))
