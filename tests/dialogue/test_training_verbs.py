"""Can a newcomer train, resume, answer and talk by the commands alone?"""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from trimtab.cli import run
from trimtab.runs import read_metrics

SHORT = ["--rl-max-steps", "2", "--critic-replies", "32", "--rl-batch-size", "8", "--minibatch-size", "4", "--track"]
WEIGHTS = ["--empathy-weight", "0", "--bleu-weight", "linear(0, 1, until=0.5)", "--gate"]


@pytest.mark.slow
def test_train_resume_generate_and_chat(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = ["dialogue", "train", "tiny", *SHORT, *WEIGHTS, "--save-dir", str(tmp_path), "--name", "run", "--log-all"]
    assert run(begun) == 0
    path = tmp_path / "run"
    rows = read_metrics(path)
    assert [row["step"] for row in rows] == [0, 1]
    assert rows[0]["reward_weight/bleu"] == 0.0
    assert rows[1]["reward_weight/bleu"] == 1.0
    assert "explained_variance" in rows[0]
    assert sum(1 for _ in (path / "steps.jsonl").open()) == 16
    assert run(["dialogue", "train", "--resume", str(path), "--track"]) == 0  # all is done: nothing is done again
    assert len(read_metrics(path)) == 2
    out = tmp_path / "replies.jsonl"
    assert run(["dialogue", "generate", str(path), "--out", str(out), "--data", "moods:test:5"]) == 0
    written = [json.loads(line) for line in out.read_text().splitlines()]
    assert [row["key"] for row in written] == [f"test-0-{n}" for n in range(5)]
    monkeypatch.setattr("sys.stdin", io.StringIO("hi . i feel so down today .\n\n"))
    capsys.readouterr()
    assert run(["dialogue", "chat", str(path)]) == 0
    assert "model> " in capsys.readouterr().out


def test_what_is_wrong_is_told_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["dialogue", "generate", "zoo:nobody", "--out", str(tmp_path / "x")]) == 2
    assert "zoo:dialogue" in capsys.readouterr().err
    assert run(["dialogue", "train", "--bleu-weight", "slowly", "--save-dir", str(tmp_path), "--track"]) == 2
    assert "no schedule 'slowly'" in capsys.readouterr().err
