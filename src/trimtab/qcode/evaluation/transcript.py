"""What did the model write? A page of its best and worst samples, with what happened to each when it was run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from trimtab import pages
from trimtab.pages import Html
from trimtab.qcode.attempts import Attempt
from trimtab.qcode.evaluation.results import Evaluation

SHOWN = 12


def ranked(evaluation: Evaluation) -> list[tuple[float, int]]:
    """(share of tests passed over all attempts, place of the problem), the best first."""
    rows = [
        [*evaluation.greedy[p : p + 1], *(evaluation.sampled[p] if evaluation.sampled else [])]
        for p in range(len(evaluation.problems))
    ]
    shares = [sum(a.verdict.fraction for a in row) / max(1, len(row)) for row in rows]
    return sorted(((share, place) for place, share in enumerate(shares)), key=lambda found: (-found[0], found[1]))


def sample(attempt: Attempt) -> Html:
    """One answer and its fate."""
    passed = attempt.verdict.passed
    tests = f"{sum(t.status == 'passed' for t in attempt.verdict.tests)} of {len(attempt.verdict.tests)} tests"
    detail = "" if passed else f": {attempt.verdict.detail}"
    head = pages.paragraph(
        pages.element("strong", str(attempt.status), class_="good" if passed else "bad"), f" · {tests}{detail}"
    )
    return pages.join((head, pages.element("pre", attempt.text.strip() or "(nothing)")))


def worst_attempt(attempts: Sequence[Attempt]) -> Attempt:
    """The attempt that passed the fewest tests."""
    return min(attempts, key=lambda attempt: attempt.verdict.fraction)


def _problem(evaluation: Evaluation, place: int, share: float, *, best: bool) -> Html:
    problem = evaluation.problems[place]
    attempts = [*evaluation.greedy[place : place + 1], *(evaluation.sampled[place] if evaluation.sampled else [])]
    chosen = max(attempts, key=lambda a: a.verdict.fraction) if best else worst_attempt(attempts)
    reference = (
        pages.join((pages.paragraph("Reference:", class_="muted"), pages.element("pre", problem.references[0])))
        if problem.references
        else Html()
    )
    return pages.join(
        (
            pages.element("h3", f"{problem.id} ({pages.percent(share)} of tests, over {len(attempts)} answers)"),
            pages.element("pre", problem.description, class_="muted"),
            sample(chosen),
            reference,
        )
    )


def _cell(row: dict[str, Any], name: str) -> str:
    found = row.get(name)
    if found is None:
        return pages.DASH
    return (
        f"{pages.percent(found['estimate'], 1)} [{pages.percent(found['low'], 1)}, {pages.percent(found['high'], 1)}]"
    )


def write(path: Path, evaluation: Evaluation, summary: dict[str, Any]) -> Path:
    """Write the page."""
    names = [name for name in summary["all"] if name != "problems"]
    rows = [("all", summary["all"]), *sorted(summary["families"].items())]
    table = pages.table(
        ["family", "problems", *names], [[n, row["problems"], *(_cell(row, name) for name in names)] for n, row in rows]
    )
    order = ranked(evaluation)
    half = min(SHOWN, max(1, len(order) // 2))
    fates = pages.table(["status", "share"], [[n, pages.percent(s, 1)] for n, s in summary["statuses"].items()])
    return pages.write_page(
        path,
        pages.page(
            f"{evaluation.model} on {len(evaluation.problems)} problems",
            table,
            fates,
            pages.section("The worst", *(_problem(evaluation, p, s, best=False) for s, p in reversed(order[-half:]))),
            pages.section("The best", *(_problem(evaluation, p, s, best=True) for s, p in order[:half])),
        ),
    )
