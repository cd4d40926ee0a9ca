"""Does the judge keep to its form, ask once more, remember, and count what is missing?"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from dialogue.judging_server import served
from dialogue.samples import example, reply
from trimtab.cli import run
from trimtab.dialogue.example import Reply
from trimtab.dialogue.formats.lines import write_jsonl
from trimtab.dialogue.formats.others import reply_row
from trimtab.dialogue.judge import (
    RUBRICS,
    Endpoint,
    Judge,
    JudgePart,
    LocalModel,
    agreement,
    judged_rows,
    krippendorff_alpha,
    parse_scores,
    question,
)
from trimtab.dialogue.rewards.parts import Materials, rubric_of

GOOD = json.dumps(dict.fromkeys(RUBRICS, 6))


def scores(*values: float) -> dict[str, float]:
    return dict(zip(RUBRICS, values, strict=True))


def saying(*answers: str) -> Judge:
    told = iter(answers)
    return Judge(lambda messages: next(told), "told")


# -- form --------------------------------------------------------------------------------------------------------------


def test_the_five_rubrics_the_dialogue_and_the_reply_are_in_the_question() -> None:
    asked = question(Reply(example("x", "hello ?", "i feel low ."), "poor you"))
    assert len(RUBRICS) == 5
    assert all(f"- {name}: {meaning}" in asked[0]["content"] for name, meaning in RUBRICS.items())
    assert "Recommender: hello ?\nUser: i feel low ." in asked[1]["content"]
    assert asked[1]["content"].endswith("poor you")
    assert question(reply(""))[1]["content"].endswith("(nothing)")


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        ("I think 7.", "no JSON"),
        (f"```json\n{GOOD}\n```", "no JSON"),
        ("[6]", "exactly the keys"),
        (json.dumps(scores(1, 2, 3, 4, 5) | {"overall": 3}), "exactly the keys"),
        (json.dumps(dict.fromkeys(RUBRICS, 10)), "from 0 to 9"),
        (json.dumps(dict.fromkeys(RUBRICS, "6")), "from 0 to 9"),
        (json.dumps(dict.fromkeys(RUBRICS, True)), "from 0 to 9"),
        (GOOD.replace("6", "NaN"), "from 0 to 9"),
    ],
)
def test_what_is_no_answer(answer: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        parse_scores(answer)


def test_one_retry_that_tells_what_was_wrong() -> None:
    heard: list[list[dict[str, str]]] = []

    def say(messages: object) -> str:
        heard.append([dict(message) for message in messages])  # type: ignore[attr-defined]
        return "seven" if len(heard) == 1 else GOOD

    judge = Judge(say, "told")
    assert judge.score(reply("hello")) == scores(6, 6, 6, 6, 6)
    assert (judge.asked, judge.retried, judge.missing) == (1, 1, 0)
    assert heard[1][-2:][0] == {"role": "assistant", "content": "seven"}
    assert "That was no JSON" in heard[1][-1]["content"]


def test_no_json_twice_is_missing_never_zero() -> None:
    judge = saying("no", "still no", GOOD)
    rows = list(judged_rows([reply("a"), reply("b")], judge))
    assert [(row["scores"], row["mean"]) for row in rows] == [(None, None), (scores(6, 6, 6, 6, 6), 6.0)]
    assert judge.missing == 1


def test_scores_are_kept_on_disk_missing_ones_are_not(tmp_path: Path) -> None:
    cache = tmp_path / "cache.jsonl"
    told = iter([GOOD, "no", "no"])
    first = Judge(lambda messages: next(told), "told", cache)
    first.score(reply("a"))
    first.score(reply("b"))
    again = Judge(lambda messages: GOOD, "told", cache)
    again.score(reply("a"))
    assert (again.remembered, again.asked) == (1, 0)
    again.score(reply("b"))
    again.score(Reply(example("x", "another dialogue"), "a"))
    assert (again.remembered, again.asked) == (1, 2)
    other = Judge(lambda messages: GOOD, "another judge", cache)
    other.score(reply("a"))
    assert other.asked == 1


# -- as a part ---------------------------------------------------------------------------------------------------------


def test_as_a_part_of_a_reward() -> None:
    rubric = rubric_of({"judge": 2}, Materials(judge=JudgePart(saying(GOOD))), gates=())
    assert rubric([reply("a")])[0].value == pytest.approx(2 * 6 / 9)
    with pytest.raises(ValueError, match="gave no JSON twice for 'a'"):
        JudgePart(saying("no", "no"))([reply("a")])
    assert JudgePart(saying("no", "no"), missing=0.5)([reply("a")]) == [0.5]


# -- agreement ---------------------------------------------------------------------------------------------------------


def test_agreement_of_two_judges() -> None:
    first = [scores(*[float(n)] * 5) for n in range(6)]
    assert agreement(first, first)["informativeness"] == {"spearman": 1.0, "alpha": 1.0, "replies": 6.0}
    turned = agreement(first, first[::-1])["informativeness"]
    assert turned["spearman"] == -1.0
    assert turned["alpha"] < 0
    assert agreement([None, *first], [first[0], *first])["lifelikeness"]["replies"] == 6.0
    with pytest.raises(ValueError, match="2 replies have scores of both judges: expected three"):
        agreement([*first[:2], None], first[:3])


def test_alpha_by_hand() -> None:
    # observed disagreement 1; values 1 1 2 3: squared distances of all pairs 0 1 4 1 4 1, mean 11/6
    assert krippendorff_alpha(np.array([[1.0, 2.0], [1.0, 3.0]])) == pytest.approx(1 - 2.5 / (11 / 6))
    assert krippendorff_alpha(np.array([[2.0, 2.0], [2.0, 2.0]])) == 1.0


# -- models ------------------------------------------------------------------------------------------------------------


def test_an_endpoint_is_asked_as_openai_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A_KEY", "secret")
    with served([GOOD]) as (url, asked):
        judge = Judge(Endpoint(f"{url}/", "gpt", "A_KEY"), "gpt")
        assert judge.score(reply("a")) == scores(6, 6, 6, 6, 6)
    (body,) = asked
    assert (body["path"], body["model"], body["temperature"], body["key"]) == (
        "/v1/chat/completions",
        "gpt",
        0.0,
        "Bearer secret",
    )
    assert [message["role"] for message in body["messages"]] == ["system", "user"]


def test_an_endpoint_that_fails_is_no_missing_score() -> None:
    with served([429]) as (url, _):
        judge = Judge(Endpoint(url, "gpt", "NO_KEY"), "gpt")
        with pytest.raises(ValueError, match=r"refused \(429\)"):
            judge.score(reply("a"))
        assert judge.missing == 0
    with pytest.raises(OSError, match="cannot be reached"):
        Endpoint(url, "gpt")([])
    with pytest.raises(ValueError, match="expected http://"):
        Endpoint("localhost:1", "gpt")([])


def test_a_local_chat_model_may_judge() -> None:
    judge = Judge(LocalModel("zoo:dialogue", max_new_tokens=8), "zoo:dialogue")
    assert judge.score(reply("have fun !")) is None  # it is no judge, and says so by being missing
    assert (judge.asked, judge.retried, judge.missing) == (1, 1, 1)


# -- the command -------------------------------------------------------------------------------------------------------


def replies_file(path: Path, count: int = 6) -> Path:
    replies = [Reply(example("r", key=str(n)), f"reply {n}") for n in range(count)]
    write_jsonl(path, [reply_row(one) for one in replies])
    return path


def test_scoring_a_file_goes_on_where_it_stopped(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, out = replies_file(tmp_path / "r.jsonl"), tmp_path / "r.scores.jsonl"
    asked = ["dialogue", "score", "--input", str(source), "--output", str(out), "--model", "gpt", "--cache", "None"]
    with served([GOOD, GOOD, 500]) as (url, got):
        assert run([*asked, "--endpoint", url]) == 2
        assert len(got) == 3
    assert len(out.read_text().splitlines()) == 2
    capsys.readouterr()
    with served([GOOD, "no", "no", GOOD]) as (url, got):
        assert run([*asked, "--endpoint", url]) == 0
        assert len(got) == 5  # four replies, one of them asked twice
    told = capsys.readouterr()
    assert "1 missing" in told.out + told.err
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    assert [row["key"] for row in rows] == [str(n) for n in range(6)]
    assert [row["scores"] is None for row in rows] == [False] * 3 + [True] + [False] * 2
    assert "missing" in told.out
    with served([500]) as (url, got):
        assert run([*asked, "--endpoint", url, "--against", str(out)]) == 0  # nothing is left to ask
        assert got == []
    assert "agreement of the two judges" in capsys.readouterr().out


def test_scores_of_something_else_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, out = replies_file(tmp_path / "r.jsonl"), tmp_path / "r.scores.jsonl"
    write_jsonl(out, [{"key": "0", "reply": "reply 0", "judge": "other", "scores": None, "mean": None}])
    asked = ["dialogue", "score", "--input", str(source), "--output", str(out), "--model", "gpt", "--cache", "None"]
    assert run(asked) == 2
    assert "scores of the judge 'other'" in capsys.readouterr().err
    write_jsonl(out, [{"key": "0", "reply": "else", "judge": "gpt", "scores": None, "mean": None}])
    assert run(asked) == 2
    assert "scores of other replies" in capsys.readouterr().err
