"""The commands around collected data, on the embedded pair, in small."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from trimtab.cli import run
from trimtab.speculation.collected import broken_path, read_collected
from trimtab.speculation.tree_policy import TreePolicy


def trimtab(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    status = run(["speculation", *arguments])
    said = capsys.readouterr()
    return status, said.out, said.err


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four prompts, decoded twice each."""
    path = tmp_path_factory.mktemp("data") / "log.jsonl"
    command = ["speculation", "collect", "--out", str(path), "--prompt-count", "4", "--decodes", "2"]
    command += ["--pair.dtype", "float32", "--max-new-tokens", "20"]
    assert run([*command, "--menu", "small", "--menu-size", "4"]) == 0
    return path


def test_collect_writes_every_round(log: Path) -> None:
    made = read_collected([log])
    assert not made.refused
    assert len({decode.prompt for decode in made.decodes}) * 2 == len(made.decodes)
    assert made.header.about["logger"] == "trees drawn alike"
    assert made.header.about["pair"]["target"] == "zoo:chat"


def test_a_policy_is_trained_from_the_log_judged_and_collects_again(
    log: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = tmp_path / "broken.jsonl"
    broken.write_bytes(log.read_bytes() + b'{"kind": "ro')
    status, _, said = trimtab(capsys, "train", "--from-data", str(broken), "--out", str(tmp_path / "runs"))
    assert status == 0
    assert "broken.jsonl, line" in said
    assert broken_path(broken).is_file()
    (folder,) = (tmp_path / "runs").iterdir()
    policy = TreePolicy.load(folder / "policy")
    assert policy.actions == list(read_collected([log]).header.menu)
    assert policy.models["target"] == "zoo:chat"

    newest = (folder / "metrics.jsonl").read_text()
    assert trimtab(capsys, "train", "--resume", str(folder))[0] == 0  # its own recipe knows the files
    assert (folder / "metrics.jsonl").read_text() == newest

    table = tmp_path / "judged.json"
    status, said, _ = trimtab(capsys, "judge", str(log), "--policy", str(folder), "--folds", "2", "--json", str(table))
    assert status == 0
    assert "estimated from the log" in said
    rows = json.loads(table.read_text())["rows"]
    assert [row["name"] for row in rows] == ["policy", *(f"static {tree}" for tree in policy.actions)]

    arguments = ["--policy", str(folder), "--prompt-count", "1", "--decodes", "1", "--max-new-tokens", "8"]
    status, _, _ = trimtab(capsys, "collect", "--out", str(tmp_path / "more.jsonl"), *arguments)
    assert status == 0
    assert "0.3 at random" in read_collected([tmp_path / "more.jsonl"]).header.about["logger"]


def test_an_answer_is_logged_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "answers.jsonl"
    arguments = ["generate", "Hello there.", "--max-new-tokens", "12", "--collect", str(path)]
    for temperature in ("0", "0.5"):
        assert trimtab(capsys, *arguments, "--temperature", temperature, "--shape", "8", "2", "2")[0] == 0
    made = read_collected([path])
    assert [decode.answer.temperature for decode in made.decodes] == [0, 0.5]
    assert {r.probability for decode in made.decodes for r in decode.rounds} == {1.0}
    status, _, said = trimtab(capsys, *arguments, "--shape", "None")
    assert status != 0
    assert "nothing to collect" in said


def test_online_answers_a_question_file_and_goes_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    questions = tmp_path / "questions.jsonl"
    turns = ["Please book a table.", "For two people."]
    rows = [{"question_id": number, "category": "x", "turns": turns[: 1 + number % 2]} for number in range(3)]
    questions.write_text("".join(json.dumps(row) + "\n" for row in rows))
    out = tmp_path / "online"
    arguments = [str(questions), "--out", str(out), "--max-new-tokens", "16", "--warmup-rounds", "6", "--menu", "small"]
    tree = ["--fallback", "8", "2", "2"]
    assert trimtab(capsys, "online", *arguments, *tree, "--prompt-count", "2")[0] == 0
    before = (out / "answers.jsonl").read_text()
    status, _, said = trimtab(capsys, "online", *arguments, *tree)
    assert status == 0
    answers = (out / "answers.jsonl").read_text()
    assert answers.startswith(before)
    assert len(answers.splitlines()) == 3
    assert said.count("learned from") == 1  # one question was left
    assert len(json.loads(answers.splitlines()[1])["choices"][0]["turns"]) == 2

    questions.write_text("".join(json.dumps(row | {"question_id": 7 + row["question_id"]}) + "\n" for row in rows))
    status, _, error = trimtab(capsys, "online", *arguments, *tree)
    assert status == 2
    assert "line 1 answers the question 0; the 1. question given is 7" in error
    assert (out / "answers.jsonl").read_text() == answers


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["judge", "nowhere.jsonl"], "is no file"),
        (["train", "--from-data", "nowhere.jsonl"], "is no file"),
        (["train", "--from-data", "nowhere.jsonl", "--learner", "dqn"], "has no learner"),
        (["online", "nowhere.jsonl"], "is no file"),
    ],
)
def test_what_cannot_be_done_is_said(
    arguments: list[str],
    message: str,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    status, _, said = trimtab(capsys, *arguments)
    assert status != 0
    assert message in said
