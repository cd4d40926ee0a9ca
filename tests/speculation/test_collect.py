"""Is what was decoded read back as it was, whatever happens to the file?"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from trimtab.speculation.actions import TreeShape
from trimtab.speculation.collect import Answer, Collector, Decision, Header
from trimtab.speculation.collected import broken_path, read_collected
from trimtab.speculation.context import HISTORY_NAMES
from trimtab.speculation.logged_rounds import as_log

MENU = (TreeShape(2, 1, 1), TreeShape(4, 2, 2))
HEADER = Header("s1", ("confidence", *HISTORY_NAMES), MENU, {"logger": "test"})
TOKENS = (3, 2)  # of the two rounds of each decode; the text has 6 tokens
SECONDS = {"draft": 0.25, "verify": 0.5, "policy": 4.0, "rest": 0.25}


def _round(number: int, question: str = "q", decode: int = 0, session: str = "s1") -> Decision:
    position, action = sum(TOKENS[:number]), (number + decode) % 2
    features = [0.5 + number] + [float(number)] * len(HISTORY_NAMES)
    chances = [0.25, 0.75]
    return Decision(
        session,
        question,
        1,
        decode,
        number,
        position,
        "hash",
        10 + position,
        features,
        action,
        MENU[action],
        chances[action],
        chances,
        TOKENS[number] - 1,
        TOKENS[number],
        SECONDS,
    )


def _answer(
    question: str = "q", decode: int = 0, session: str = "s1", tokens: int = 6, temperature: float = 0
) -> Answer:
    return Answer(session, question, 1, decode, "x", "hash", tokens, 2, temperature, 0.01, 2.0)


def _write(path: Path, decodes: int = 3, session: str = "s1") -> None:
    with Collector(path, Header(session, HEADER.features, MENU, HEADER.about)) as collector:
        for decode in range(decodes):
            rounds = [_round(0, decode=decode, session=session), _round(1, decode=decode, session=session)]
            collector.write(rounds, _answer(decode=decode, session=session))


def _damage(path: Path, line: int, text: str | bytes) -> None:
    lines = path.read_bytes().split(b"\n")
    lines[line - 1] = text if isinstance(text, bytes) else text.encode()
    path.write_bytes(b"\n".join(lines))


def test_what_was_written_is_read(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    _write(path, 1)
    (decode,) = read_collected([path]).decodes
    assert decode.header == HEADER
    assert decode.rounds == (_round(0), _round(1))
    assert decode.answer == _answer()
    assert not broken_path(path).exists()


def test_as_columns(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    _write(path, 2)
    _write(path, 1, session="s2")
    log = as_log(read_collected([path]))
    assert (log.decodes, log.rounds, log.prompts, log.actions) == (3, 6, ["q/turn1/hash"], list(MENU))
    assert log.positions_Q.tolist() == [5]
    assert log.context_Q.tolist() == [10]
    assert log.decode_N.tolist() == [0, 0, 1, 1, 2, 2]
    assert log.position_N.tolist() == [0, 3] * 3
    assert log.action_N.tolist() == [0, 1, 1, 0, 0, 1]
    assert log.probability_N.tolist() == [0.25, 0.75, 0.75, 0.25, 0.25, 0.75]
    assert log.seconds_N.tolist() == [1.0] * 6  # the logger's own time is not the trees'
    np.testing.assert_array_equal(log.features_NF[:, 0], [0.5, 1.5] * 3)


@pytest.mark.parametrize(
    ("line", "text", "why"),
    [
        (3, '{"kind": "round", "session"', "JSONDecodeError"),
        (3, "\x00\xff", "JSONDecodeError"),
        (3, b"\xff\xfe{", "JSONDecodeError"),
        (3, "[1, 2]", "expected an object"),
        (3, '{"kind": "verse"}', "expected header, round or answer"),
        (4, '{"kind": "answer", "session": "s1"}', "TypeError"),
        (3, '{"kind": "round", "session": "s9"}', "no header above this line"),
    ],
)
def test_a_broken_line_is_named_and_kept_and_all_else_is_read(
    tmp_path: Path, line: int, text: str | bytes, why: str
) -> None:
    path = tmp_path / "log.jsonl"
    _write(path)
    _damage(path, line, text)
    before = path.read_bytes()
    made = read_collected([path])
    assert [decode.answer.decode for decode in made.decodes] == [1, 2]
    assert [(refused.path, refused.line) for refused in made.refused] == [(path, line)]
    assert why in made.refused[0].why
    assert made.incomplete == 1
    assert any(f"line {line}" in note for note in made.notes())
    (kept,) = [json.loads(row) for row in broken_path(path).read_text().splitlines()]
    assert kept["line"] == line
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("field", "value", "why"),
    [
        ("probability", 0.0, "above 0"),
        ("probability", 0.6, "that of the chosen tree"),
        ("probabilities", [0.3, 0.75], "no distribution|chosen tree"),
        ("action", 7, "not the menu's"),
        ("shape", [9, 9, 9], "not the menu's"),
        ("features", [1.0], "expected 8 features"),
        ("features", [float("nan")] * 8, "finite"),
        ("seconds", {"draft": 1.0}, "expected seconds of"),
        ("accepted", -1, "no negative"),
    ],
)
def test_a_line_that_makes_no_sense_is_broken(tmp_path: Path, field: str, value: object, why: str) -> None:
    path = tmp_path / "log.jsonl"
    _write(path)
    row = json.loads(path.read_text().splitlines()[1])
    _damage(path, 2, json.dumps(row | {field: value}))
    made = read_collected([path])
    assert len(made.decodes) == 2
    with pytest.raises(ValueError, match=why):
        raise ValueError(made.refused[0].why)


@pytest.mark.parametrize("cut", [1, 20, 400])
def test_a_log_that_was_cut_short_is_read_to_its_last_decode_and_appended_to(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "log.jsonl"
    _write(path)
    path.write_bytes(path.read_bytes()[:-cut])
    assert len(read_collected([path]).decodes) >= 2
    _write(path, 2, session="s2")
    made = read_collected([path])
    assert [d.answer.decode for d in made.decodes if d.answer.session == "s2"] == [0, 1]
    assert len(made.refused) == (0 if cut == 1 else 1)


def test_a_broken_header_takes_its_session_with_it(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    _write(path)
    _damage(path, 1, "{")
    _write(path, 1, session="s2")
    made = read_collected([path], keep_broken=False)
    assert [decode.answer.session for decode in made.decodes] == ["s2"]
    assert len(made.refused) == 1 + 3 * 3
    assert "and 5 more broken lines" in made.notes()
    assert not broken_path(path).exists()


def test_files_that_cannot_be_used(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="--collect"):
        read_collected([tmp_path / "none.jsonl"])
    empty, other, sampled, longer = (tmp_path / f"{name}.jsonl" for name in "abcd")
    empty.write_text("")
    with pytest.raises(ValueError, match="no complete decode"):
        as_log(read_collected([empty]))
    _write(other, 1)
    with Collector(other, Header("s2", HEADER.features, MENU[::-1])) as collector:
        swapped = [Decision(**{**vars(_round(n, session="s2")), "shape": MENU[1 - n % 2]}) for n in (0, 1)]
        collector.write(swapped, _answer(session="s2"))
    with pytest.raises(ValueError, match="s1 and s2"):
        as_log(read_collected([other]))
    with Collector(sampled, HEADER) as collector:
        collector.write([_round(0), _round(1)], _answer(temperature=0.7))
    with pytest.raises(ValueError, match="temperature"):
        as_log(read_collected([sampled]))
    with Collector(longer, HEADER) as collector:
        collector.write([_round(0), _round(1)], _answer())
        last = Decision(**{**vars(_round(1, decode=1)), "tokens": 3, "accepted": 2})
        collector.write([_round(0, decode=1), last], _answer(decode=1, tokens=7))
    with pytest.raises(ValueError, match="with 7 and with 6 tokens"):
        as_log(read_collected([longer]))
