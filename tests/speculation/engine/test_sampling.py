"""At a temperature, are tokens distributed as the target's own? Total variation against the exact distribution."""

from __future__ import annotations

from collections import Counter

import pytest
import torch

from speculation import tiny
from trimtab.speculation.actions import TreeShape
from trimtab.speculation.engine.speculator import Speculator
from trimtab.speculation.engine.verify import Sampling

DRAWS = 1500


@pytest.fixture(scope="module")
def speculator() -> Speculator:
    model = tiny.target(vocabulary=8, initializer_range=0.25)
    return Speculator(model, tiny.head(model))


def exact_pairs(speculator: Speculator, prompt: list[int]) -> dict[tuple[int, int], float]:
    """P(second, third new token | first = 1) by plain forwards: the tokens that a draft can touch."""
    model, start = speculator.model, [*prompt, 1]
    with torch.inference_mode():
        first = model(torch.tensor([start])).logits[0, -1].softmax(-1)
        after = model(torch.tensor([[*start, token] for token in range(8)])).logits[:, -1].softmax(-1)
    return {(a, b): float(first[a] * after[a, b]) for a in range(8) for b in range(8)}


def test_drafted_tokens_follow_the_targets_distribution(speculator: Speculator) -> None:
    prompt, shape = [3, 5], TreeShape(7, 2, 3)
    expected = exact_pairs(speculator, prompt)
    counts: Counter[tuple[int, int]] = Counter()
    accepted = 0
    for seed in range(10 * DRAWS):
        made = speculator.generate(prompt, 3, temperature=1.0, seed=seed, shape=shape)
        if made.tokens[0] == 1:
            counts[(made.tokens[1], made.tokens[2])] += 1
            accepted += made.rounds[0].accepted
        if counts.total() == DRAWS:
            break
    assert counts.total() > 300
    assert accepted > 30  # the draft's share in the sample is not negligible
    draws = counts.total()
    distance = sum(abs(counts[pair] / draws - p) for pair, p in expected.items()) / 2
    # the expected distance of a true sample: sum over cells of E|binomial deviation| / 2, and three spreads of it
    noise = sum((2 * p * (1 - p) / (torch.pi * draws)) ** 0.5 for p in expected.values()) / 2
    assert distance < noise + 3 * 0.5 / draws**0.5


def test_a_seed_determines_the_text(speculator: Speculator) -> None:
    runs = [speculator.generate([1, 2], 30, temperature=0.8, top_p=0.9, seed=7).tokens for _ in range(2)]
    assert runs[0] == runs[1]


def test_top_k_one_is_greedy(speculator: Speculator) -> None:
    greedy = speculator.generate([1, 2], 20).tokens
    assert speculator.generate([1, 2], 20, temperature=1.0, top_k=1, seed=3).tokens == greedy


@pytest.mark.parametrize("wrong", [{"temperature": -1.0}, {"top_p": 0.0}, {"top_p": 1.2}, {"top_k": -2}])
def test_impossible_settings_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"expected"):
        Sampling(**wrong)  # type: ignore[arg-type]
