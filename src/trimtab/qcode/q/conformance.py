"""How much of q's published documentation does the interpreter reproduce? Examples replayed, page by page, text by text.

Each page gets a fresh interpreter, and its statements run in the file's order, those too that show nothing: they define
what later ones use. A testable statement passes where the console text agrees: exactly (blanks at the ends of lines
aside), in its beginning where the page cuts it, or by its error class. The console is the author's, not the page's: each
block of a page begins on one of 25 rows and 80 columns, and a text that fits no such console is one of a larger console,
as large as the text needs. Known-bad rows (wrong on the page, or dependent on
what it does not show) stay in the denominator; a second figure leaves them out.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trimtab.qcode.q.errors import Defect, LimitError, Limits, QError, Unsupported
from trimtab.qcode.q.session import Session

LIMITS = Limits(memory_bytes=1 << 31, seconds=60.0)
QUIET = Limits(memory_bytes=1 << 31, seconds=25.0)
"""For what shows nothing that is compared."""
KNOWN_BAD = Path(__file__).with_name("known_bad.json")
NOT_REPRODUCED = Path(__file__).with_name("not_reproduced.json")
"""Further examples that fail here, each with its kind (state of the page, older version, ...) and its evidence."""
CONSOLE = 25, 80
"""Rows and columns of a console that is not set otherwise."""
Row = dict[str, Any]


@dataclass(frozen=True)
class Outcome:
    """What became of one testable example."""

    row: Row
    reason: str
    """Empty where it passed; else what kind of failure it is."""
    got: str
    """The console text, or the error."""

    @property
    def passed(self) -> bool:
        """Whether the texts agree."""
        return not self.reason


def read_rows(path: Path) -> list[Row]:
    """The examples of a file, as the data's notes describe them."""
    rows: list[Row] = []
    for number, line in enumerate(path.read_text().splitlines(), 1):
        try:
            row: Row = json.loads(line)
            if not {"page", "input", "expected", "testable", "compare"} <= row.keys():
                raise KeyError("a field is missing")
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(
                f"{path}:{number}: expected a JSON object with page, input, expected, testable and compare; {error!r}"
            ) from None
        rows.append(row)
    return rows


def pages(rows: Iterable[Row]) -> dict[str, list[Row]]:
    """Rows by page, in the file's order."""
    out: dict[str, list[Row]] = {}
    for row in rows:
        out.setdefault(row["page"], []).append(row)
    return out


def replay(rows: Sequence[Row]) -> list[Outcome]:
    """Run the statements of one page in a fresh interpreter; an outcome for each testable one."""
    session = Session(limits=LIMITS, files=True)
    outcomes: list[Outcome] = []
    block: str | None = None
    for row in rows:
        if row.get("kind") == "comment":
            continue
        if row.get("session") != block:
            block = row.get("session")
            session.state.rows, session.state.cols = CONSOLE
        got, failure = _run_on(session, row)
        if row["testable"]:
            outcomes.append(_judge(row, got, failure))
    return outcomes


def _run_on(session: Session, row: Row) -> tuple[str, str]:
    """Run a statement on a console that holds the text of the page where that is larger than the console."""
    state = session.state
    before = state.rows, state.cols
    if row["testable"] and row["compare"] == "exact":
        state.rows, state.cols = larger(before, row["expected"])
    state.limits = LIMITS if row["testable"] else QUIET
    during = state.rows, state.cols
    got = _run(session, row["input"])
    if (state.rows, state.cols) == during:
        state.rows, state.cols = before
    return got


def larger(console: tuple[int, int], shown: str) -> tuple[int, int]:
    """The console that a text of a page was printed on: larger than the given one where the text does not fit."""
    lines = shown.split("\n")
    rows, cols = console
    return max(rows, len(lines) + 3), max(cols, max(map(len, lines)) + 1)


def _run(session: Session, text: str) -> tuple[str, str]:
    """The console text of a statement, and the kind of its failure."""
    try:
        return session.show(text), ""
    except LimitError as error:
        return f"'{error.text}", "limit"
    except QError as error:
        return f"{''.join(session.state.output)}'{error.text}", f"error '{error.text}"[:40]
    except Defect as error:
        return f"defect: {error}", "defect"
    except Unsupported as error:
        return f"unsupported: {error}", f"unsupported: {error}"


def _judge(row: Row, got: str, failure: str) -> Outcome:
    expected: str = row["expected"]
    if row["compare"] == "error":
        wanted = expected.split("\n")[0].strip()
        right = bool(failure) and not failure.startswith("unsupported") and got.split("\n")[-1].strip() == wanted
        return Outcome(row, "" if right else failure or "no error", got)
    if _agrees(expected, got, row["compare"] == "prefix"):
        return Outcome(row, "", got)
    return Outcome(row, failure or _difference(expected, got), got)


def trimmed(text: str) -> list[str]:
    """Lines without blanks at their ends, nor empty lines at the end."""
    return [line.rstrip() for line in text.rstrip().split("\n")]


def _agrees(expected: str, got: str, prefix: bool) -> bool:
    want, have = trimmed(expected), trimmed(got)
    if not prefix:
        return want == have
    if want[-1] == "..":
        want.pop()
    return len(have) >= len(want) and all(_begins(b, a) for a, b in zip(want, have, strict=False))


def _begins(have: str, want: str) -> bool:
    if have == want or not want.endswith(".."):
        return have == want
    shown = want[:-2].rstrip()
    cut = have.endswith("..") and len(have) >= 77
    return have.startswith(shown) or (cut and shown.startswith(have[:-2]))


def _difference(expected: str, got: str) -> str:
    if not got.strip():
        return "nothing shown"
    if "".join(expected.split()) == "".join(got.split()):
        return "blanks and lines"
    return "another value"


def known_bad(path: Path = KNOWN_BAD) -> dict[tuple[str, int], str]:
    """Examples that no interpreter could pass, by page and line, with the page's evidence."""
    entries: list[dict[str, Any]] = json.loads(path.read_text())
    return {(entry["page"], entry["line"]): entry["evidence"] for entry in entries}


def not_reproduced(path: Path = NOT_REPRODUCED) -> dict[tuple[str, int], str]:
    """Why further examples fail, by page and line."""
    entries: list[dict[str, Any]] = json.loads(path.read_text())
    return {(entry["page"], entry["line"]): entry["kind"] for entry in entries}


@dataclass(frozen=True)
class Report:
    """All outcomes of a file, and which of its rows are known to be bad."""

    outcomes: list[Outcome]
    bad: dict[tuple[str, int], str]

    def is_bad(self, outcome: Outcome) -> bool:
        """Whether the row is on the known-bad list."""
        return (outcome.row["page"], outcome.row.get("line", -1)) in self.bad

    def share(self, outcomes: Iterable[Outcome]) -> tuple[int, int]:
        """Passed and testable."""
        found = list(outcomes)
        return sum(o.passed for o in found), len(found)

    def by(self, what: str) -> dict[str, tuple[int, int]]:
        """Passed and testable for each section of the documentation, or for each tag."""
        groups: dict[str, list[Outcome]] = {}
        for outcome in self.outcomes:
            names = outcome.row.get("tags", []) if what == "tag" else [section(outcome.row["page"])]
            for name in names:
                groups.setdefault(name, []).append(outcome)
        return {name: self.share(group) for name, group in sorted(groups.items())}

    def reasons(self) -> Counter[str]:
        """How often each kind of failure occurs."""
        return Counter("known bad" if self.is_bad(o) else o.reason for o in self.outcomes if not o.passed)

    def causes(self) -> dict[str, tuple[int, int]]:
        """Failed examples by the cause that is on record: all of them, and those that are pure expressions."""
        kinds = not_reproduced()
        found: dict[str, tuple[int, int]] = {}
        for o in self.outcomes:
            if not o.passed:
                where = (o.row["page"], o.row.get("line", -1))
                kind = "known bad" if where in self.bad else kinds.get(where, "not on record")
                every, pure = found.get(kind, (0, 0))
                found[kind] = every + 1, pure + ("pure_expr" in o.row.get("tags", []))
        return found

    def as_json(self) -> dict[str, Any]:
        """Rows and bars, as plain data."""
        passed, testable = self.share(self.outcomes)
        kept = self.share(o for o in self.outcomes if not self.is_bad(o))
        pure = self.share(o for o in self.outcomes if "pure_expr" in o.row.get("tags", []))
        listed = sum(self.is_bad(o) for o in self.outcomes)
        return {
            "passed": passed,
            "testable": testable,
            "without_known_bad": {"passed": kept[0], "testable": kept[1]},
            "by_section": self.by("section"),
            "by_tag": self.by("tag"),
            "reasons": dict(self.reasons().most_common()),
            "causes_all_and_pure": self.causes(),
            "rows": [_failed(o) for o in self.outcomes if not o.passed],
            "bars": [
                _bar("testable examples that pass", passed, testable, 0.9),
                _bar("pure expressions that pass", *pure, 0.95),
                {
                    "name": "share of examples known to be bad",
                    "value": listed / max(testable, 1),
                    "bound": 0.03,
                    "holds": listed <= 0.03 * testable,
                },
            ],
        }


def _failed(o: Outcome) -> dict[str, Any]:
    row = {key: o.row.get(key) for key in ("page", "line", "input", "expected")}
    return row | {"got": o.got[:2000], "reason": o.reason}


def _bar(name: str, passed: int, testable: int, bound: float) -> dict[str, Any]:
    value = passed / max(testable, 1)
    return {"name": name, "value": value, "bound": bound, "holds": value >= bound}


def section(page: str) -> str:
    """The part of the documentation that a page belongs to: ``docs/ref/add.md`` -> ``docs/ref``."""
    return "/".join(page.split("/")[:2]) if page.count("/") > 1 else page.split("/")[0]


def measure(path: Path, listed: Path = KNOWN_BAD) -> Report:
    """Replay a file of examples."""
    from trimtab.console import progress_bar

    grouped = pages(read_rows(path))
    outcomes: list[Outcome] = []
    with progress_bar("pages") as show:
        for done, rows in enumerate(grouped.values(), 1):
            outcomes += replay(rows)
            show(done / len(grouped))
    return Report(outcomes, known_bad(listed))
