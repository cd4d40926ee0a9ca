"""Races are fair and their arithmetic is that of sums; texts are compared token by token."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from speculation import tiny
from trimtab.speculation import fidelity
from trimtab.speculation.actions import TreeShape
from trimtab.speculation.engine.speculator import Speculator
from trimtab.speculation.race import Entry, Turn, Written, by_engine, by_transformers, race, speed_ratio

TURNS = [Turn("a", "x", [1, 2, 3]), Turn("b", "y", [4, 5]), Turn("c", "x", [6])]


def fake(order: list[str], name: str, seconds: float) -> Entry:
    def decode(turn: Turn) -> Written:
        order.append(name)
        return Written([0] * len(turn.ids), seconds * len(turn.ids) ** 2)

    return Entry(name, decode)


def test_speed_is_a_ratio_of_sums() -> None:
    entry = fake([], "one", 0.1)
    race([entry], TURNS, repeats=3)
    assert entry.tokens_per_second == pytest.approx(6 / (0.1 * (9 + 4 + 1)))
    assert [len(decodes) for decodes in entry.decodes_TR] == [3, 3, 3]


def test_contenders_are_interleaved_and_rotate() -> None:
    order: list[str] = []
    race([fake(order, "one", 1), fake(order, "two", 1)], TURNS)
    assert order == ["one", "two", *("one", "two"), *("two", "one"), *("one", "two")]


@pytest.mark.filterwarnings("ignore:tau is")
def test_every_decoder_writes_the_same_text() -> None:
    speculator = Speculator(model := tiny.target(), tiny.head(model))
    decoders = [
        by_transformers(model, 12),
        by_transformers(model, 12, prompt_lookup_num_tokens=3),
        by_engine(speculator, 12),
        by_engine(speculator, 12, shape=TreeShape(12, 2, 4)),
    ]
    entries = [Entry(str(number), decode) for number, decode in enumerate(decoders)]
    race(entries, TURNS)
    texts = [[written.tokens for written in entry.first_T] for entry in entries]
    assert all(text == texts[0] for text in texts)
    assert entries[0].tau is None
    assert entries[2].tau == 1.0
    assert 0 < entries[3].share("rest") < 1


def test_the_turns_of_a_conversation_are_resampled_together() -> None:
    turns = [Turn("a/turn1", "x", [1]), Turn("a/turn2", "x", [1, 2]), Turn("b", "y", [1]), Turn("c", "y", [1])]
    entries = [fake([], "one", 0.1), fake([], "two", 0.2)]
    race(entries, turns)
    whole = speed_ratio(entries[0], entries[1], turns)
    assert whole.estimate == whole.low == whole.high == pytest.approx(2.0)
    entries[1].decodes_TR[1] = [Written([0, 0], 8.0)]  # a's second turn alone is slow
    assert speed_ratio(entries[0], entries[1], turns).estimate == pytest.approx((0.2 + 8.0 + 0.4) / 0.7)
    others = speed_ratio(entries[0], entries[1], turns, np.array([False, False, True, True]))
    assert others.estimate == pytest.approx(2.0)


@pytest.mark.parametrize(
    ("one", "other", "where"), [([1, 2], [1, 2], None), ([1, 2], [1, 3], 1), ([1], [1, 3], 1), ([], [4], 0)]
)
def test_divergence(one: list[int], other: list[int], where: int | None) -> None:
    assert fidelity.divergence(one, other) == where


def test_gaps_are_the_targets_own() -> None:
    model = tiny.target()
    with torch.inference_mode():
        logits = model(torch.tensor([[1, 2, 3, 9]])).logits[0, -1]
    same = fidelity.compare(model, [[1, 2, 3]] * 3, [[9, 5], [9, 5], [9]], [[9, 7], [9, 5], [9, 5]])
    assert (same.texts, same.identical) == (3, 1)
    assert same.gaps[0] == pytest.approx(abs(float(logits[5] - logits[7])))
    assert same.widest == float("inf")  # a text that merely ends early is no tie
