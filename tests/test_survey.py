"""Are runs found below a folder, described by their directories alone, and shown side by side, broken ones named?"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from tests.test_outcomes import OUTCOME

from trimtab import cli
from trimtab.outcomes import Level
from trimtab.overview import Found, console_table, rows, write_overview
from trimtab.runs import Run
from trimtab.statistics import Interval
from trimtab.survey import runs_below, survey


@dataclass(frozen=True)
class Recipe:
    seed: int = 1


def run_in(root: Path, name: str, *, evaluated: bool = False) -> Path:
    with Run.begin(root, Recipe(), name=name, track=()) as run:
        run.log(0, {"reward": 0.25, "kl": 0.5})
        run.log(1, {"reward": 0.75, "kl": 0.125})
        if evaluated:
            OUTCOME.write(run.path)
    return run.path


def test_runs_are_found_at_most_three_levels_below(tmp_path: Path) -> None:
    near, far = run_in(tmp_path, "a"), run_in(tmp_path / "x" / "y", "b")
    run_in(tmp_path / "x" / "y" / "z" / "deep", "c")
    (tmp_path / "loop").symlink_to(tmp_path)
    assert runs_below(tmp_path) == [near, far]
    assert runs_below(near) == [near]


def test_a_run_is_described_by_its_directory(tmp_path: Path) -> None:
    found = survey(run_in(tmp_path, "a"))
    assert (found.recipe, found.verdict, len(found.metrics)) == ("Recipe", "not evaluated", 2)
    assert found.seconds is not None
    assert found.seconds >= 0
    assert survey(run_in(tmp_path, "b", evaluated=True)).verdict == "improved"
    with pytest.raises(FileNotFoundError, match="is no run: expected a directory with recipe"):
        survey(tmp_path)


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("run.json", "{"),
        ("run.json", "[" * 100_000),
        ("recipe.yaml", "- 1"),
        ("recipe.yaml", "!!python/object/apply:os.system ['touch hacked']"),
        ("recipe.yaml", "a: [" * 3),
        ("metrics.jsonl", '{"step": 1}\n{"step": 2}\n'),
        ("outcome.json", "{}"),
    ],
)
def test_a_broken_run_is_named_and_executes_nothing(
    file: str, content: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = run_in(tmp_path, "a", evaluated=True)
    monkeypatch.chdir(tmp_path)
    (path / file).write_text(content)
    found = survey(path)
    assert found.verdict == "broken"
    assert found.problem
    assert not (tmp_path / "hacked").exists()


def test_the_list_and_the_report_of_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run_in(tmp_path / "runs", "first")
    run_in(tmp_path / "runs", "second", evaluated=True)
    assert cli.run(["runs", str(tmp_path / "runs"), "--json", str(tmp_path / "list.json")]) == 0
    shown = capsys.readouterr().out
    assert "not evaluated" in shown
    assert "improved" in shown
    listed = json.loads((tmp_path / "list.json").read_text())["rows"]
    assert [(row["run"], row["updates"], row["newest"]) for row in listed] == [
        ("first", 2, "reward 0.75, kl 0.125"),
        ("second", 2, "reward 0.75, kl 0.125"),
    ]
    page, table = tmp_path / "page" / "report.html", tmp_path / "report.json"
    assert cli.run(["report", str(tmp_path / "runs"), "--out", str(page), "--json", str(table)]) == 0
    output, errors = capsys.readouterr()
    assert "1.010 to 1.070" in output
    assert "first was not evaluated" in errors
    assert 'href="../runs/second"' in page.read_text()
    (row,) = json.loads(table.read_text())["rows"]
    assert (row["policy"], row["best_fixed"], row["low"], row["verdict"]) == (289.0, 278.0, 1.01, "improved")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["runs", "nowhere"], "nowhere is no folder"),
        (["report"], "no run was given"),
        (["report", "nowhere"], "nowhere is no directory"),
        (["report", "."], "holds no run"),
    ],
)
def test_mistakes(
    arguments: list[str],
    told: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli.run(arguments) == 2
    assert told in capsys.readouterr().err


def test_a_report_of_runs_without_outcomes_says_what_to_do(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run_in(tmp_path, "a")
    assert cli.run(["report", str(tmp_path)]) == 2
    assert "none of these runs has an outcome yet: evaluate them" in capsys.readouterr().err


def test_the_page_explains_each_number_and_escapes_what_others_wrote(tmp_path: Path) -> None:
    hostile = replace(
        OUTCOME,
        learned="<script>alert(1)</script>",
        kind="difference",
        gain=Interval(0.1, -0.02, 0.22),
        verdict="not shown",
        ceiling=Level(300.0, "the oracle"),
    )
    found = [Found(tmp_path / "a", OUTCOME), Found(tmp_path / "b", hostile)]
    text = write_overview(tmp_path / "report.html", found).read_text()
    assert "<script" not in text
    for said in (
        "best fixed: 278",
        "learned: 289",
        "ceiling: 300",
        "-0.020 to +0.220",
        "Where it holds 0, no gain",
        "49 turns",
    ):
        assert said in text
    assert text.count("<svg") == 2
    assert [row["ceiling"] for row in rows(found)] == [None, 300.0]
    assert console_table(found).plain_rows()[1]["interval"] == "-0.020 to +0.220"
