"""What does a comparison look like to a reader? Tables in the terminal, and a page with transcripts side by side."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from trimtab import pages
from trimtab.console import Table
from trimtab.dialogue.audit import Audit
from trimtab.dialogue.cheats import CHEATS, SEARCHED
from trimtab.dialogue.comparison import Arm, Comparison
from trimtab.pages import Html, element, html, join, page, paragraph, section, table
from trimtab.plain import to_plain

COLOURS = {"improved": "good", "not shown": "fair", "hacked": "bad"}
NOTE = "difference: 95% interval, seeds and prompts drawn anew; p after Holm's correction over the metrics"


def comparison_table(found: Comparison) -> Table:
    """A row per metric."""
    columns = ("metric", "kind", found.base, found.arm, "difference", "p", "percent", "prompts")
    made = Table(f"{found.arm} against {found.base}: {found.verdict} ({found.reason})", columns, note=NOTE)
    for row in found.rows:
        made.add(row.metric, row.kind, row.base, row.arm, str(row.difference), row.adjusted, row.percent, row.prompts)
    return made


def comparison_plain(found: Comparison) -> dict[str, Any]:
    """The comparison as plain data, the five expected rows with it."""
    return {**to_plain(found), "expected": found.expected()}


def _expected_table(found: Sequence[Comparison]) -> Html:
    rows = [
        [one.arm, *("–" if value is None else f"{value:+.1f} %" for value in one.expected().values())] for one in found
    ]
    return table([f"against {found[0].base}", *found[0].expected()], rows)


def _numbers(found: Comparison) -> Html:
    rows = [
        [row.metric, row.kind, f"{row.base:.3f}", f"{row.arm:.3f}", str(row.difference), f"{row.adjusted:.4f}"]
        for row in found.rows
    ]
    title = f"{found.arm} against {found.base}"
    told = element("div", paragraph(element("strong", found.verdict)), paragraph(found.reason))
    verdict = element("div", told, class_=f"verdict {COLOURS[found.verdict]}")
    heads = ("metric", "kind", found.base, found.arm, "difference", "p (Holm)")
    return section(title, verdict, table(heads, rows, words=(0, 1)))


def _transcripts(arms: Sequence[Arm], count: int, seed: int) -> Html:
    """Replies of the first seed of each arm to prompts drawn at random, not picked."""
    total = len(arms[0].replies[0])
    rows = sorted(np.random.default_rng(seed).permutation(total)[:count])
    made: list[list[object]] = []
    for row in rows:
        example = arms[0].replies[0][row].example
        dialogue = join((html(f"{turn.speaker}: {turn.text}") for turn in example.turns), "<br>")
        made.append([dialogue, example.reference, *(arm.replies[0][row].text or "(empty)" for arm in arms)])
    columns = ("dialogue", "reference", *(arm.name for arm in arms))
    return section("Transcripts", paragraph(NOT_PICKED), table(columns, made, words=range(len(columns))))


NOT_PICKED = "Prompts drawn at random; each model's first seed."


def write_page(path: Path, arms: Sequence[Arm], found: Sequence[Comparison], *, transcripts: int = 20) -> None:
    """Write the comparison as one HTML page."""
    parts = [
        section("In percent of the base", _expected_table(found)),
        *map(_numbers, found),
        _transcripts(arms, transcripts, 0),
    ]
    pages.write_page(path, page("Dialogue models compared", paragraph(NOTE), *parts))


def _short(name: str) -> str:
    """A part's name for a narrow column: of a function of one's own, what stands behind its module."""
    return f"..:{name.rpartition(':')[2]}" if ":" in name else name


def audit_tables(found: Audit) -> list[Table]:
    """Numbers by part, what cheats score, correlations, flags."""
    names = list(next(iter(found.parts.values())))
    cheats = [name for name in names if name in (*CHEATS, SEARCHED)]
    told = [name for name in names if name not in cheats]
    parts = Table(f"the reward on {found.replies} replies", ("part", *told))
    cheated = Table("what cheats score beside them", ("part", "these", *cheats))
    for name, row in found.parts.items():
        parts.add(_short(name), *(row[column] for column in told))
        cheated.add(_short(name), row["mean"], *(row[column] for column in cheats))
    columns = list(next(iter(found.correlations.values())))
    alike = Table("rank correlations", ("part", *map(_short, columns)))
    for name, row in found.correlations.items():
        alike.add(_short(name), *(row[column] for column in columns))
    flags = Table("flags" if found.flags else "flags: none", ("part", "flag", "severity", "what"))
    for flag in found.flags:
        flags.add(flag.part, flag.kind, flag.severity, flag.detail)
    return [parts, cheated, alike, flags] if found.flags else [parts, cheated, alike]
