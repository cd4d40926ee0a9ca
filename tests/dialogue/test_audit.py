"""Does the audit see through rewards that teach nothing, or teach nonsense?"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from dialogue import predecessor
from dialogue.samples import example
from trimtab.cli import run
from trimtab.dialogue.audit import Flag, audit, refuse_constant_parts, spearman
from trimtab.dialogue.cheats import baited, copied, empty, nonsense, searched, swapped
from trimtab.dialogue.example import Example, Reply, references
from trimtab.dialogue.formats.reading import read_examples
from trimtab.dialogue.rewards.diversity import DistinctWindow
from trimtab.dialogue.rewards.form import Length
from trimtab.dialogue.rewards.overlap import Bleu
from trimtab.dialogue.tasks.moods import Moods
from trimtab.rewards import Gate, Part, Rubric

EXAMPLES = Moods().examples("test", 40)
GIVEN = references(EXAMPLES)


def flags(
    rubric: Rubric[Reply], replies: Sequence[Reply] = GIVEN, **options: list[float]
) -> dict[tuple[str, str], Flag]:
    return {(flag.part, flag.kind): flag for flag in audit(rubric, replies, **options).flags}


def titles(replies: Sequence[Reply]) -> list[float]:
    return [sum(word[0].isupper() for word in reply.words) / 2 for reply in replies]


def test_the_predecessors_rewards_on_redial(shared: Path) -> None:
    replies = references(read_examples(shared / "data" / "redial" / "test.jsonl.gz").good)
    assert len(replies) == 3552
    parts = tuple(
        Part(one.__name__, 1.0, one) for one in (predecessor.distinct, predecessor.empathy, predecessor.simple)
    )
    found = audit(Rubric(parts), replies)
    broken = {(flag.part, flag.kind) for flag in found.broken}
    assert ("distinct", "constant") in broken
    assert ("empathy", "constant") in broken
    assert ("simple", "baited wins") in broken
    assert (found.parts["distinct"]["mean"], found.parts["empathy"]["mean"]) == (1.0, 0.5)
    assert found.parts["simple"]["baited"] > 1.5 * found.parts["simple"]["mean"]
    assert found.parts["simple"]["searched"] > 1.5 * found.parts["simple"]["mean"]  # found without knowing the keywords


def test_the_command_says_so_by_its_status(capsys: pytest.CaptureFixture[str]) -> None:
    weights = ["--bleu-weight", "0", "--distinct-weight", "0", "--empathy-weight", "0", "--recommendation-weight", "0"]
    asked = ["dialogue", "audit", "--data", "moods:test:40", *weights, "--gate", "--part"]
    assert run([*asked, "dialogue.predecessor:distinct=1"]) == 1
    assert "every reply scores 1: no signal" in " ".join(capsys.readouterr().out.split())
    assert run([*asked, "length=1", "repetition=1"]) in (0, 1)


def test_saturated_and_doubled_parts_and_length_in_disguise() -> None:
    words = Part("words", 1.0, lambda replies: [float(len(reply.words)) for reply in replies])
    doubled = Part("doubled", 1.0, lambda replies: [2.0 * len(reply.words) for reply in replies])
    found = flags(Rubric((words, doubled, Part("length", 1.0, Length(1, 90)))))
    assert found["words", "length"].severity == "weak"
    assert "correlation 1.00 with doubled" in found["words", "double"].detail
    assert found["length", "constant"].severity == "broken"
    rare = Part("rare", 1.0, lambda replies: [float(reply is GIVEN[0]) for reply in replies])
    assert "97.5% of the replies score 0" in flags(Rubric((rare,)))["rare", "saturated"].detail


def test_overlap_is_not_called_constant_for_the_references_themselves() -> None:
    found = flags(Rubric((Part("bleu", 1.0, Bleu()),)))
    assert set(found) == {("bleu", "own reference")}
    told = flags(Rubric((Part("bleu", 1.0, Bleu()),)), swapped(GIVEN))
    assert ("bleu", "own reference") not in told


def test_a_window_may_like_nonsense_and_is_left_as_it_was() -> None:
    window = DistinctWindow(8)
    window([Reply(EXAMPLES[0], "said before")])
    before = window.state()
    found = flags(Rubric((Part("distinct", 1.0, window),)))
    assert not [kind for part, kind in found if part == "distinct" and kind.endswith("wins")]
    assert ("(total)", "nonsense wins") in found  # a reward of variety alone is one that nonsense wins
    assert window.state() == before


def test_labels_tell_what_does_not_better_than_chance() -> None:
    random = np.random.default_rng(0)
    noise = Part("noise", 1.0, lambda replies: [float(random.random()) for _ in replies])
    labels = [float(index % 2) for index in range(len(GIVEN))]
    good = Part("good", 1.0, lambda replies: [float(index % 2) + 0.1 * index for index in range(len(replies))])
    found = audit(Rubric((noise, good)), GIVEN, labels=labels)
    assert found.parts["good"]["auc"] > 0.55
    rows = {flag.part for flag in found.flags if flag.kind == "uninformative"}
    assert "good" not in rows
    with pytest.raises(ValueError, match="a label for each or none"):
        audit(Rubric((noise,)), GIVEN, labels=labels[:3])
    with pytest.raises(ValueError, match="ten replies at"):
        audit(Rubric((noise,)), GIVEN[:9])


def test_a_gate_that_closes_often_is_told() -> None:
    gate = Gate("shut", lambda replies: [0.0 for _ in replies])
    assert flags(Rubric((Part("titles", 1.0, titles),), (gate,)))["shut", "closed"].severity == "weak"


def test_the_search_finds_what_a_reward_falls_for() -> None:
    keyword = searched(lambda replies: [float("tonight" in reply.text) for reply in replies], GIVEN, seed=1)
    assert "tonight" in keyword
    assert flags(Rubric((Part("titles", 1.0, titles),)))["titles", "searched wins"].severity == "weak"


def test_cheats_are_what_they_say() -> None:
    assert [reply.text for reply in empty(GIVEN)] == [""] * len(GIVEN)
    assert copied(GIVEN)[3].text == EXAMPLES[3].latest
    assert swapped(GIVEN)[0].text == EXAMPLES[1].reference
    assert swapped(GIVEN)[-1].text == EXAMPLES[0].reference
    assert [len(reply.words) for reply in nonsense(GIVEN)] == [len(reply.words) for reply in GIVEN]
    assert baited(GIVEN)[0].text == baited(GIVEN)[2].text
    assert spearman(np.array([1.0, 2, 3]), np.array([9.0, 4, 1])) == -1.0
    assert spearman(np.array([1.0, 2, 3]), np.array([5.0, 5, 5])) == 0.0


def test_training_refuses_a_constant_part_unless_forced() -> None:
    rubric = Rubric((Part("titles", 1.0, titles), Part("empathy", 2.0, predecessor.empathy)))
    with pytest.raises(ValueError, match=r"the reward's empathy \(always 0.5\) is the same for 80 different replies"):
        refuse_constant_parts(rubric, EXAMPLES)
    refuse_constant_parts(rubric, EXAMPLES, force=True)
    refuse_constant_parts(Rubric((Part("bleu", 1.0, Bleu()),)), EXAMPLES)  # 1 for references, not for swapped ones


def test_training_by_command_refuses_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asked = ["dialogue", "train", "tiny", "--empathy-weight", "0", "--part", "dialogue.predecessor:empathy=1", "--gate"]
    assert run([*asked, "--save-dir", str(tmp_path), "--track"]) == 2
    assert "it teaches nothing" in capsys.readouterr().err


def test_an_example_that_never_spoke() -> None:
    silent = [Example(str(n), (), "", f"hello {n}") for n in range(12)]
    assert audit(Rubric((Part("length", 1.0, Length()),)), references(silent)).replies == 12
    assert copied(references(silent))[0].text == ""
    assert example().latest
