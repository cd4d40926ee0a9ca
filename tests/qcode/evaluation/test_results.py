"""Are answers counted as they ended, gaps apart, and can a person read the page?"""

from __future__ import annotations

from pathlib import Path

import pytest

from trimtab.qcode.attempts import Attempt
from trimtab.qcode.engine.protocol import CallTest, Status, TestResult, Verdict
from trimtab.qcode.evaluation import results, transcript
from trimtab.qcode.evaluation.verb import sample_rows, table_of
from trimtab.qcode.extraction import Extraction
from trimtab.qcode.problems.format import Problem

TESTS = (CallTest(("1",), "1"), CallTest(("2",), "2"))
A = Problem("a", "First <b>.", "solve", "q", TESTS, references=("solve:{x}",), tags=("lists",))
B = Problem("b", "Second.", "solve", "q", TESTS, tags=("sets",))


def attempt(problem: Problem, *statuses: Status, text: str = "solve:{x}") -> Attempt:
    return Attempt(problem, text, Extraction(text, True), Verdict(tuple(TestResult(s, "why") for s in statuses)))


GOOD, BAD, GAP = (Status.PASSED, Status.PASSED), (Status.PASSED, Status.WRONG), (Status.UNSUPPORTED, Status.UNSUPPORTED)


@pytest.fixture
def evaluation() -> results.Evaluation:
    return results.Evaluation(
        "m",
        [A, B],
        [attempt(A, *GOOD), attempt(B, *BAD)],
        [[attempt(A, *GOOD), attempt(A, *BAD)], [attempt(B, *BAD), attempt(B, *GAP)]],
    )


def test_measures(evaluation: results.Evaluation) -> None:
    told = results.summary(evaluation, (1, 2, 4))
    assert told["all"]["greedy"]["estimate"] == 0.5
    assert told["all"]["pass@1"]["estimate"] == pytest.approx(0.25)
    assert told["all"]["pass@2"]["estimate"] == pytest.approx(0.5)
    assert "pass@4" not in told["all"]
    assert told["families"]["lists"]["pass@1"]["estimate"] == 0.5
    assert told["statuses"] == {"passed": 2 / 6, "wrong": 3 / 6, "unsupported": 1 / 6}
    assert told["tests"] == {"a": [1.0, pytest.approx(0.6667)], "b": [pytest.approx(0.6667), 0.0]}
    assert told["all"]["greedy"]["low"] <= 0.5 <= told["all"]["greedy"]["high"]


def test_the_page_shows_best_and_worst_and_escapes(evaluation: results.Evaluation, tmp_path: Path) -> None:
    page = transcript.write(tmp_path / "index.html", evaluation, results.summary(evaluation, (1, 2))).read_text()
    assert "First &lt;b&gt;." in page
    assert page.index("The worst") < page.index("Second.") < page.index("The best") < page.index("First &lt;b&gt;.")
    assert [place for _, place in transcript.ranked(evaluation)] == [0, 1]


def test_rows_and_table(evaluation: results.Evaluation) -> None:
    rows = sample_rows(evaluation)
    assert [(row["problem"], row["kind"]) for row in rows[:3]] == [("a", "greedy"), ("a", "sample"), ("a", "sample")]
    table = table_of("t", results.summary(evaluation, (1, 2)))
    assert [row[0] for row in table.rows] == ["lists", "sets", "all"]
