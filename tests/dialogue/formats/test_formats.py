"""Are ReDial, INSPIRED, instruction sets and our own dialogues read as they are meant, and broken lines kept aside?"""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from dialogue.samples import RAW
from trimtab.cli import run
from trimtab.dialogue.example import EMOTIONS, Turn
from trimtab.dialogue.formats.lines import read_lines
from trimtab.dialogue.formats.others import (
    inspired_examples,
    instruction_row,
    knowledge_line,
    own_example,
    own_row,
)
from trimtab.dialogue.formats.reading import catalogue_of, format_of, moods_examples, read_examples, read_replies
from trimtab.dialogue.formats.redial import processed_example, processed_rows, raw_dialogue
from trimtab.dialogue.tasks.moods import Moods

INSPIRED = (
    "dialog_id\tutt_id\tspeaker\ttext\texpert_label\tmovies\n"
    "d1\t0\tSEEKER\thi there\t\t\n"
    "d1\t1\tRECOMMENDER\tI love comedies too!\tsimilarity\t\n"
    "d1\t2\tnobody\twhat\t\t\n"
    "d1\t3\tRECOMMENDER\tWatch Up\tinform, offer\tUp (2009);Cars\n"
    "d2\t0\tRECOMMENDER\thello\t\t\n"
)


# -- ReDial ------------------------------------------------------------------------------------------------------------


def test_raw_redial_becomes_the_processed_rows() -> None:
    first, second = processed_rows(raw_dialogue(RAW))
    assert first["context"] == ["Hi, I like Super Troopers (2001) a lot"]  # messages of one speaker joined
    assert first["resp"] == "Have you seen <movie> or @999?"  # an id of no movie stays
    assert (first["rec"], first["sentiment_loss"]) == (["Beverly Hills Cop (1984)"], [-1])
    assert (first["rec_weight"], first["rec_weight_w"]) == ("negative", 0.9)  # what the seeker felt next
    assert (first["emotion_lastest"], first["emo_probs_lastest"]) == (["like"], [0.8])  # happy is below 0.1
    assert first["entity"] == ["Super Troopers (2001)"]
    assert second["emotion_lastest"] == ["negative", "curious"]
    assert second["rec_weight"] == "neutral"
    assert second["entity"] == ["Super Troopers (2001)", "Beverly Hills Cop (1984)"]
    titled = processed_rows(raw_dialogue(RAW), masked=False)[0]
    assert titled["resp"] == "Have you seen Beverly Hills Cop (1984) or @999?"


def test_a_processed_row_becomes_an_example_with_its_facts() -> None:
    made = processed_example(processed_rows(raw_dialogue(RAW))[1])
    assert [turn.speaker for turn in made.turns] == ["user", "system", "user"]
    assert made.key == "20001:3"
    assert (made.reference, made.facts.emotion) == ("Oh.", "negative")
    first = processed_example(processed_rows(raw_dialogue(RAW))[0])
    assert (first.facts.liked_items, first.facts.disliked_items) == ((), ("Beverly Hills Cop (1984)",))
    assert first.facts.mentioned_items == ("Super Troopers (2001)",)


@pytest.mark.parametrize(
    ("context", "speakers"),
    [
        ([""], []),
        (["", "Hello!", "I feel low."], ["system", "user"]),  # the recommender opened
        (["", "Hi, anything funny?"], ["user"]),  # the seeker opened, and the file begins with "" all the same
        (["Hi", "Hello!", "I feel low."], ["user", "system", "user"]),
    ],
)
def test_the_seeker_spoke_last(context: list[str], speakers: list[str]) -> None:
    made = processed_example({"context": context, "resp": "Oh."})
    assert [turn.speaker for turn in made.turns] == speakers


def test_redials_own_split_is_read_whole(shared: Path) -> None:
    found = read_examples(shared / "data" / "redial" / "test.jsonl.gz")
    assert (len(found.good), found.broken) == (3552, [])
    assert len({example.key for example in found.good}) == 3552
    assert found.good[0].turns == (Turn("user", "Hi I am looking for a movie like Super Troopers (2001)"),)
    assert found.good[0].facts.liked_items == ("Police Academy (1984)",)
    assert len(catalogue_of(found.good).items) > 1000


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"movieMentions": None, "messages": []}, "no messages"),
        ({"respondentWorkerId": 0}, "the same worker"),
        ({"movieMentions": 3}, "movieMentions is a int"),
        ({"initiatorQuestions": {"1": {"liked": 7}}}, "liked is 7, expected 0, 1 or 2"),
        ({"messages": [{"senderWorkerId": 9, "text": "x"}]}, "worker 9, who is neither"),
        ({"messages": [{"senderWorkerId": 0, "text": 4}]}, "text is 4, expected a string"),
        ({"messages": [{"senderWorkerId": 0, "text": "x", "emotion": {"joy": 1}}]}, f"one of {', '.join(EMOTIONS)}"),
    ],
)
def test_what_is_wrong_with_a_raw_dialogue(change: dict[str, object], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        raw_dialogue(RAW | change)
    assert raw_dialogue(RAW | {"movieMentions": [], "initiatorQuestions": []}).titles == {}  # ReDial's empty mapping


# -- others ------------------------------------------------------------------------------------------------------------


def test_inspired_turns_with_their_strategies() -> None:
    found = inspired_examples(INSPIRED.splitlines())
    assert [example.facts.label for example in found.good] == [1.0, 0.0, None]
    assert found.good[1].facts.liked_items == ("Up (2009)", "Cars")
    assert [len(example.turns) for example in found.good] == [1, 2, 0]
    assert [one.line for one in found.broken] == [4]
    with pytest.raises(ValueError, match="no column dialog_id"):
        inspired_examples(["utt_id\tspeaker\ttext"])


def test_instruction_sets_as_a_list_or_lines(tmp_path: Path) -> None:
    rows = [{"instruction": "Recommend.", "input": f"Movie Name: {n}", "output": " "} for n in "ab"]
    (tmp_path / "list.json").write_text(json.dumps(rows, indent=1))
    (tmp_path / "lines.jsonl").write_text("\n".join(map(json.dumps, rows)))
    for name in ("list.json", "lines.jsonl"):
        found = read_examples(tmp_path / name).good
        assert [(one.key, one.instruction, one.reference) for one in found] == [
            ("0", "Recommend.", ""),
            ("1", "Recommend.", ""),
        ]
    assert instruction_row(found[0], "else")["input"] == "User: Movie Name: a"
    assert knowledge_line([("Up", "director", "Pete Docter"), ("Up", "starring", "Ed Asner")]) == (
        "Up's director is Pete Docter, Up's starring is Ed Asner"
    )
    assert knowledge_line([]) == "None"


def test_our_own_dialogues_there_and_back() -> None:
    for made in Moods().examples("test", 20):
        assert own_example(json.loads(json.dumps(own_row(made)))) == made
    with pytest.raises(ValueError, match="the fact 'mood', expected some of emotion"):
        own_example({"key": 1, "turns": [], "reference": "", "facts": {"mood": "sad"}})
    with pytest.raises(ValueError, match="the speaker 'bot', expected user or system"):
        own_example({"key": 1, "turns": [{"speaker": "bot", "text": "x"}], "reference": ""})


def test_the_embedded_task_by_name() -> None:
    assert [one.key for one in moods_examples("moods:validation:2:5")] == ["validation-5-0", "validation-5-1"]
    with pytest.raises(ValueError, match="SPLIT one of train, validation, test"):
        moods_examples("moods:holdout:3")


# -- files -------------------------------------------------------------------------------------------------------------


def test_broken_lines_are_named_and_kept_aside(tmp_path: Path) -> None:
    path = tmp_path / "raw.jsonl.gz"
    lines = [json.dumps(RAW), '{"conversationId": ', "[1]", "", json.dumps({"messages": 1})]
    path.write_bytes(gzip.compress("\n".join(lines).encode()))
    found = read_examples(path)
    assert len(found.good) == 2
    assert [one.line for one in found.broken] == [2, 3, 5]
    assert "2 read, 3 lines kept aside (line 2: no JSON" in found.summary(path)
    assert "lacks the field 'movieMentions'" in found.broken[2].reason


def test_prepare_writes_each_form_and_what_it_rejects(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    raw = tmp_path / "raw.jsonl"
    raw.write_text(json.dumps(RAW) + "\n{broken\n")
    for form in ("processed", "titles", "instructions", "dialogues"):
        out = tmp_path / f"{form}.jsonl"
        assert run(["dialogue", "prepare", "--input", str(raw), "--output", str(out), "--to", form]) == 0
        told = capsys.readouterr()
        assert "line 2: no JSON" in told.out + told.err
        (rejected,) = map(json.loads, Path(f"{out}.rejected.jsonl").read_text().splitlines())
        assert (rejected["line"], rejected["text"]) == (2, "{broken")
        again = read_examples(out)
        assert [one.reference for one in again.good][1] == "Oh."
        assert format_of(out.read_text().splitlines()) == ("processed" if form == "titles" else form)
    made = read_examples(tmp_path / "dialogues.jsonl").good[0]
    assert made.prompt.startswith("<s>[INST] <<SYS>>\nYou are a movie recommender")
    assert made.prompt.endswith("Hi, I like Super Troopers (2001) a lot [/INST]")


def test_prepare_refuses_what_it_cannot_do(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "i.tsv").write_text(INSPIRED)
    asked = ["dialogue", "prepare", "--input", str(tmp_path / "i.tsv"), "--output", str(tmp_path / "o")]
    for more, message in (
        (["--to", "processed"], "made of raw ReDial alone"),
        (
            ["--template", "lama2"],
            "no template 'lama2'. Did you mean 'llama2'? Expected one of plain, llama2, moods, chat",
        ),
        (["--template", "chat"], "name one by --tokenizer"),
        (["--format", "csv"], "no format 'csv': expected auto or one of redial, processed, inspired"),
    ):
        assert run([*asked, *more]) == 2
        assert message in capsys.readouterr().err


def test_files_that_hold_nothing(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text("{}\n")
    with pytest.raises(ValueError, match=r"the format of '\{\}' is none of redial, processed"):
        read_examples(path)
    with pytest.raises(ValueError, match="no dialogue could be read as 'redial'"):
        read_examples(path, "redial")
    with pytest.raises(ValueError, match="no reply could be read"):
        read_replies(path)
    with pytest.raises(ValueError, match="names no items"):
        catalogue_of(Moods().examples("test", 0))
    assert read_lines(["", "{}"], lambda row: dict(row)).good == [{}]
