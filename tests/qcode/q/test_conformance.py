"""Are examples judged as they are printed? State of a page, the author's console, errors, and reasons on record."""

from __future__ import annotations

from typing import Any

from trimtab.qcode.q.conformance import CONSOLE, Report, known_bad, larger, not_reproduced, replay


def row(line: int, text: str, expected: str | None, block: int = 0, compare: str = "exact") -> dict[str, Any]:
    fields = {"page": "a.md", "session": f"a.md#{block}", "line": line, "tags": ["pure_expr"], "kind": "prompt"}
    return fields | {"input": text, "expected": expected, "testable": expected is not None, "compare": compare}


def test_state_is_carried_through_a_page_and_outlives_errors() -> None:
    rows = [row(1, "a:1", None), row(2, "a+`b", "'type", compare="error"), row(3, "a", "1", 1), row(4, "b", "2", 1)]
    outcomes = replay(rows)
    assert [o.passed for o in outcomes] == [True, True, False]
    assert outcomes[-1].reason == "error 'b"


def test_each_block_has_a_console_of_its_own_and_as_large_as_its_text() -> None:
    assert larger(CONSOLE, "x" * 100) == (25, 101)
    assert larger(CONSOLE, "x\n" * 30 + "x") == (34, 80)
    whole = " ".join(map(str, range(60)))
    rows = [row(1, "\\c 10 10", None), row(2, "til 9", "0 1 2 3.."), row(3, "til 60", whole, 1)]
    assert [o.passed for o in replay(rows)] == [True, True]
    assert not replay([row(1, "til 60", whole[:40])])[0].passed


def test_reasons_on_record_are_counted() -> None:
    outcomes = replay([row(1, "1", "2"), row(2, "1", "1"), row(3, "2", "1")])
    report = Report(outcomes, {("a.md", 1): "evidence"})
    assert report.causes() == {"known bad": (1, 1), "not on record": (1, 1)}
    assert report.as_json()["passed"] == 1


def test_no_example_is_on_both_lists() -> None:
    assert len(known_bad()) <= 36
    assert not known_bad().keys() & not_reproduced().keys()
