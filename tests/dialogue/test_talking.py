"""Can a model answer a split, go on where it stopped, be measured against its reference, and be talked to?"""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from dialogue.samples import example
from trimtab.cli import run
from trimtab.dialogue import models
from trimtab.dialogue.answering import Manner, answer
from trimtab.dialogue.divergence import kl_on_replies
from trimtab.dialogue.example import Catalogue, Facts, Reply, Turn
from trimtab.dialogue.heard import facts_heard
from trimtab.dialogue.rewards.parts import rubric_of
from trimtab.dialogue.tasks.moods import Moods
from trimtab.dialogue.tasks.moods_judge import CATALOGUE, gold

NO_ENCODER = ["--empathy-weight", "0"]


def test_generate_goes_on_where_it_stopped(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, whole = tmp_path / "r.jsonl", tmp_path / "whole.jsonl"
    asked = ["dialogue", "generate", "zoo:dialogue", "--data", "moods:test:10", "--batch-size", "4"]
    assert run([*asked, "--out", str(whole)]) == 0
    lines = whole.read_text().splitlines(keepends=True)
    out.write_text("".join(lines[:5]) + lines[5][:40])  # stopped within a batch, within a line
    assert run([*asked, "--out", str(out)]) == 0
    assert out.read_text() == whole.read_text()
    assert run([*asked, "--out", str(out), "--seed", "1"]) == 2
    assert "holds replies by 'zoo:dialogue, temperature 1, seed 0, best of 1'" in capsys.readouterr().err
    other = ["dialogue", "generate", "zoo:dialogue", "--data", "moods:validation:10", "--out", str(out)]
    assert run(other) == 2
    assert "holds replies to other dialogues" in capsys.readouterr().err


def test_dialogues_without_prompts_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = tmp_path / "d.jsonl"
    data.write_text(json.dumps({"context": ["hi"], "resp": "hello"}) + "\n")
    assert run(["dialogue", "generate", "zoo:dialogue", "--data", str(data), "--out", str(tmp_path / "r")]) == 2
    assert "1 of 1 dialogues" in (told := capsys.readouterr().err)
    assert "trimtab dialogue prepare" in told


def test_generate_fills_masked_titles_in(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asked = ["dialogue", "generate", "zoo:dialogue", "--data", "moods:test:2", "--out", str(tmp_path / "r.jsonl")]
    assert run([*asked, "--fill", "random"]) == 2
    assert "no recommender 'random'" in capsys.readouterr().err


def test_kl_is_nought_to_itself_and_something_to_another() -> None:
    policy, tokenizer = models.load("zoo:dialogue", dtype="float32")
    other, _ = models.load("zoo:dialogue-1", dtype="float32")
    replies = answer(policy, tokenizer, Moods().examples("test", 24), Manner())
    same = kl_on_replies(policy, policy, tokenizer, replies)
    assert same["kl"] == pytest.approx(0.0, abs=1e-4)
    apart = kl_on_replies(policy, other, tokenizer, replies, batch_size=7)
    assert apart["kl"] > 0.5
    tokens = sum(reply.tokens or 0 for reply in replies)
    assert apart["kl_per_token"] == pytest.approx(apart["kl"] * len(replies) / tokens, rel=0.05)
    with pytest.raises(ValueError, match="no policy gave it"):
        kl_on_replies(policy, policy, tokenizer, [Reply(replies[0].example, "", ended=False)])
    foreign, foreign_tokenizer = models.load("zoo:chat", dtype="float32")
    with pytest.raises(ValueError, match="vocabulary"):
        kl_on_replies(policy, foreign, tokenizer, replies, reference_tokenizer=foreign_tokenizer)


def test_evaluate_prints_what_was_asked_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, numbers = tmp_path / "r.jsonl", tmp_path / "n.json"
    assert run(["dialogue", "generate", "zoo:dialogue", "--data", "moods:test:12", "--out", str(out)]) == 0
    asked = ["dialogue", "evaluate", str(out), *NO_ENCODER, "--json", str(numbers)]
    more = ["--model", "zoo:dialogue", "--reference-model", "zoo:dialogue-1", "--recommender", "popularity"]
    assert run([*asked, *more, "--training", "moods:train:50", "--fluency-model", "zoo:dialogue-1"]) == 2
    assert "popularity cannot be told" in capsys.readouterr().err  # the embedded task likes genres, not titles
    more[-1] = "dialogue.test_talking:first_titles"
    assert run([*asked, *more, "--fluency-model", "zoo:dialogue-1"]) == 0
    found = json.loads(numbers.read_text())
    wanted = {"bleu_ecr@4", "rouge_l", "dist@4", "dist_ecr@4", "item_ratio", "recall@50", "auc", "kl", "kl_per_token"}
    assert wanted | {"gold_empathy", "fluency", "dist2_at_budget", "ead@1", "words", "reward"} <= set(found)
    assert 0 < found["fluency"] < 1
    assert "gold_empathy" in capsys.readouterr().out


def first_titles(examples: list[object]) -> list[dict[str, float]]:
    """A recommender: titles in the catalogue's order."""
    return [{title: -float(place) for place, title in enumerate(CATALOGUE.items)} for _ in examples]


def test_empty_and_unending_replies_are_graded_as_what_they_are() -> None:
    asked = Moods().examples("test", 1)[0]
    endless = Reply(asked, "what what what what what what", ended=False, tokens=48)
    rubric = rubric_of({"bleu": 1, "length": 1, "repetition": 1, "ended": 1, "distinct": 1})
    (empty, cut) = rubric.breakdown([Reply(asked, ""), endless]).raw, rubric.breakdown([endless]).raw
    assert {name: column[0] for name, column in empty.items() if name != "safety"} == dict.fromkeys(
        ("bleu", "length", "repetition", "ended", "distinct"), 0.0
    )
    assert (cut["ended"], cut["length"], cut["repetition"]) == ([0.0], [1.0], [-0.8])
    assert gold(asked, "").empathy == gold(asked, "").recommendation == 0.0
    assert not gold(asked, "").grammatical


def test_what_a_talk_tells_of_a_taste() -> None:
    catalogue = Catalogue({"Up": ("comedy",), "Saw": ("horror",), "Ran": ("war film",)})
    told = (
        Turn("user", "I love comedy. But please no horror!"),
        Turn("system", "Up?"),
        Turn("user", "A war film, no?"),
    )
    assert facts_heard(told, catalogue) == Facts(
        mentioned_items=("Up",), liked_tags=("comedy",), disliked_tags=("horror", "war film")
    )
    assert facts_heard((Turn("user", "something like Saw"),), catalogue).liked_tags == ("horror",)
    for made in Moods().examples("test", 200):
        heard = facts_heard(made.turns, CATALOGUE)
        assert heard.disliked_tags == made.facts.disliked_tags
        assert set(made.facts.liked_tags) <= set(heard.liked_tags)
        assert set(heard.mentioned_items) == set(made.facts.mentioned_items)


def test_chat_shows_the_parts_after_each_reply(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("hi . i love a good comedy .\nany more ?\n\n"))
    assert run(["dialogue", "chat", *NO_ENCODER, "--part", "length=0.5"]) == 0
    told = capsys.readouterr()
    assert told.out.count("model> ") == 2
    assert told.out.count("reward ") == 2
    assert "recommendation " in told.out
    assert "length " in told.out
    assert "left out of the reward, since a talk has no reference: bleu" in told.out + told.err
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    weightless = ["--bleu-weight", "1", "--distinct-weight", "0", "--recommendation-weight", "0"]
    assert run(["dialogue", "chat", *NO_ENCODER, *weightless]) == 2
    assert "no part of the reward can be told in a talk" in capsys.readouterr().err
    assert example().turns
