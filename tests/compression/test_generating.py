"""The verbs that use compression: what they print, and what they refuse."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from trimtab import cli


def test_generate_tells_what_was_kept(capsys: pytest.CaptureFixture[str]) -> None:
    line = ["compression", "generate", "@recall/1", "--budget-tokens", "64", "--max-new-tokens", "6"]
    assert cli.run(line) == 0
    shown = capsys.readouterr()
    assert shown.out.strip()
    assert "snapkv: kept 64 of" in shown.err
    assert "the full cache answers" in shown.err


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["@recall/1", "--action", "snapky"], "Did you mean 'snapkv'?"),
        (["@recall/1", "--budget-tokens", "3"], "expected 5 or more"),
        (["@recall/one"], "with a number N"),
        (["@recall/1", "--policy", "nowhere"], "nowhere holds no policy.json"),
    ],
)
def test_mistakes_are_one_line(flags: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["compression", "generate", *flags]) == 2
    assert message in capsys.readouterr().err


def test_bench_writes_its_rows(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "bench.json"
    line = ["compression", "bench", "--tokens", "200", "--budget-tokens", "64", "--menu", "u5b", "--decode-tokens", "2"]
    assert cli.run([*line, "--repeats", "1", "--json", str(out)]) == 0
    rows = json.loads(out.read_text())["rows"]
    assert rows[0]["method"] == "full cache"
    assert all(row["cache_bytes"] * 200 == rows[0]["cache_bytes"] * 64 for row in rows[1:])
