"""How do the outcomes of several runs, of any rooms, look side by side? One table on the console, one page to open."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from trimtab import machine
from trimtab.console import Cell, Table, duration, number
from trimtab.outcomes import EVEN, Level, Outcome
from trimtab.pages import (
    DASH,
    PAINT,
    Html,
    draw,
    element,
    explained,
    figure,
    join,
    page,
    paragraph,
    section,
    table,
    write_page,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TITLE = "What the runs came to"
NOTE = (
    "Each number is by the measure of its row. The interval (95%) is that of what was learned over the best fixed choice: "
    "a ratio, or a difference where it has a sign."
)
_MOODS = {"improved": "good", "not shown": "fair", "worse": "bad", "hacked": "bad"}


@dataclass(frozen=True)
class Found:
    """A run and what came out of it."""

    path: Path
    outcome: Outcome


def _value(level: Level | None) -> str | None:
    return None if level is None else number(level.value)


def span(outcome: Outcome) -> str:
    """The gain's interval for a person: a ratio plain, a difference with its sign."""
    form = "{:+.3f}" if outcome.kind == "difference" else "{:.3f}"
    return f"{form.format(outcome.gain.low)} to {form.format(outcome.gain.high)}"


def console_table(found: Sequence[Found]) -> Table:
    """A row per run: room, what was learned, reference's default, best fixed, learned, ceiling, interval, seconds."""
    columns = (
        "room",
        "what_was_learned",
        "default",
        "best_fixed",
        "learned",
        "ceiling",
        "interval",
        "seconds",
        "verdict",
    )
    made = Table(TITLE, columns, note=NOTE)
    for one in found:
        of = one.outcome
        levels: list[Cell] = [_value(level) for level in (of.default, of.fixed, of.policy, of.ceiling)]
        made.add(of.room, f"{of.learned} ({of.measure})", *levels, span(of), round(of.seconds), of.verdict)
    return made


def rows(found: Sequence[Found]) -> list[dict[str, object]]:
    """The table as JSON: unrounded, with the run's directory."""
    return [
        {
            "run": str(one.path),
            "room": one.outcome.room,
            "learned": one.outcome.learned,
            "measure": one.outcome.measure,
            "reference_default": one.outcome.default.value if one.outcome.default else None,
            "best_fixed": one.outcome.fixed.value,
            "policy": one.outcome.policy.value,
            "ceiling": one.outcome.ceiling.value if one.outcome.ceiling else None,
            "gain": one.outcome.gain.estimate,
            "low": one.outcome.gain.low,
            "high": one.outcome.gain.high,
            "kind": one.outcome.kind,
            "verdict": one.outcome.verdict,
            "seconds": one.outcome.seconds,
        }
        for one in found
    ]


def write_overview(path: Path, found: Sequence[Found]) -> Path:
    """Write the page that explains each number in a sentence and links to the runs; returns its path."""
    device = machine.hardware()
    on = ", ".join(device["accelerators"]) or f"{device['processor']}, {device['cores']} cores"
    content = page(
        TITLE,
        paragraph(f"{machine.today()}, {on}.", class_="muted"),
        _summary(found),
        paragraph(NOTE, class_="muted"),
        *(_run(path.parent, index, one) for index, one in enumerate(found)),
    )
    return write_page(path, content)


def _summary(found: Sequence[Found]) -> Html:
    heads = (
        "room",
        "what was learned",
        "default",
        "best fixed",
        "learned",
        "ceiling",
        "95 % interval",
        "time",
        "verdict",
    )
    lines = []
    for index, one in enumerate(found):
        of = one.outcome
        levels = (_value(level) or DASH for level in (of.default, of.fixed, of.policy, of.ceiling))
        verdict = element("span", of.verdict, class_=_MOODS[of.verdict])
        link = element("a", of.room, href=f"#run-{index}")
        lines.append((link, of.learned, *levels, span(of), duration(of.seconds), verdict))
    return table(heads, lines, words=(0, 1, 8))


def _run(folder: Path, index: int, one: Found) -> Html:
    of = one.outcome
    said = (paragraph(element("strong", of.verdict.capitalize())), paragraph(of.sentence))
    return section(
        f"{of.room}: {of.learned}",
        element("div", *said, class_=f"verdict {_MOODS[of.verdict]}", id=f"run-{index}"),
        figure(_plot(index, of), f"{of.measure.capitalize()}, by way of choosing; more is better."),
        explained(_terms(of)),
        *([paragraph(of.note)] if of.note else []),
        _links(folder, one.path),
    )


def _terms(of: Outcome) -> dict[str, object]:
    """Each number and the sentence that says what it is."""
    named = {
        "reference's default": of.default,
        "best fixed": of.fixed,
        "learned": of.policy,
        "ceiling": of.ceiling,
    }
    terms: dict[str, object] = {
        f"{name}: {number(level.value)}": f"{of.measure}, by {level.what}." for name, level in named.items() if level
    }
    even = "Where it holds 1, no gain is shown." if of.kind == "ratio" else "Where it holds 0, no gain is shown."
    word = "ratio" if of.kind == "ratio" else "difference"
    terms[f"95 % interval: {span(of)}"] = (
        f"The {word} of learned to best fixed is {number(of.gain.estimate)}; the interval is a paired bootstrap over "
        f"{of.over}. {even}"
    )
    terms[f"time: {duration(of.seconds)}"] = "Learning and measuring together, on this machine."
    return terms


def _links(folder: Path, run: Path) -> Html:
    """Links to the run's directory and its own report, from a page in ``folder``."""
    made = [element("a", "the run's directory", href=_href(folder, run))]
    if (run / "report.html").is_file():
        made.insert(0, element("a", "the run's own report", href=_href(folder, run / "report.html")))
    return paragraph(join([made[0], *(join((", ", link)) for link in made[1:])]))


def _href(folder: Path, target: Path) -> str:
    return Path(os.path.relpath(target.resolve(), folder.resolve())).as_posix()


def _plot(index: int, of: Outcome) -> Html:
    levels = [
        ("default", of.default, "s5"),
        ("best fixed", of.fixed, "s1"),
        ("learned", of.policy, "s0"),
        ("ceiling", of.ceiling, "s2"),
    ]
    shown = [(name, level.value, colour) for name, level, colour in levels if level]

    def paint(canvas: Figure) -> None:
        axes = canvas.subplots()
        upwards = shown[::-1]
        low, high = _whisker(of)
        for row, (name, value, colour) in enumerate(upwards):
            axes.barh(row, value, color=PAINT[colour], height=0.6)
            end = max(value, high) if name == "learned" else value
            axes.text(end, row, f" {number(value)}", va="center")
        names = [name for name, *_ in upwards]
        axes.set_yticks(range(len(names)), names)
        at = names.index("learned")
        axes.plot((low, high), (at, at), color=PAINT["ink"], linewidth=1.5)
        axes.margins(x=0.18)
        axes.grid(axis="y", visible=False)

    values = ", ".join(f"{name} {number(value)}" for name, value, _ in shown)
    return draw(f"outcome{index}", f"{of.measure}: {values}", paint, inches=(6.4, 0.5 + 0.42 * len(shown)))


def _whisker(of: Outcome) -> tuple[float, float]:
    """The gain's interval, moved to the scale of the levels."""
    fixed = of.fixed.value
    if of.kind == "ratio":
        return fixed * of.gain.low, fixed * of.gain.high
    return fixed + of.gain.low - EVEN["difference"], fixed + of.gain.high
