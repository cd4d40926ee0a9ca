"""At a temperature, are tokens distributed as the target's own? Total variation against the exact distribution."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from speculation import tiny
from trimtab.speculation.actions import TreeShape
from trimtab.speculation.engine.generation import Generation
from trimtab.speculation.engine.speculator import Speculator
from trimtab.speculation.engine.tree import Tree
from trimtab.speculation.engine.verify import Sampling, Verifier

pytestmark = pytest.mark.filterwarnings("ignore:tau is")
VOCABULARY = 8


@pytest.fixture(scope="module")
def speculator() -> Speculator:
    model = tiny.target(vocabulary=VOCABULARY, initializer_range=0.25)
    return Speculator(model, tiny.head(model))


def probabilities(speculator: Speculator, *prompts: list[int]) -> np.ndarray:
    """The target's own next-token distribution after each prompt, by plain forwards [prompts, V]."""
    with torch.inference_mode():
        return speculator.model(torch.tensor(prompts)).logits[:, -1].softmax(-1).numpy()


def beyond_noise(counts: np.ndarray, expected: np.ndarray) -> float:
    """Total variation between a sample and the truth, in units of what a true sample would show, plus three spreads."""
    draws = counts.sum()
    noise = np.sqrt(2 * expected * (1 - expected) / (np.pi * draws)).sum() / 2
    return np.abs(counts / draws - expected).sum() / 2 / (noise + 1.5 / np.sqrt(draws))


def first_tree(speculator: Speculator, prompt: list[int], shape: TreeShape) -> tuple[Tree, torch.Tensor]:
    """The tree drafted after ``prompt`` and its greedy root, and the target's logits at its nodes."""
    speculator.forget()
    made: Generation = speculator.generate(prompt, 2, shape=shape, trace=True)
    assert made.rounds[0].trace is not None
    tree = made.rounds[0].trace.tree
    speculator.forget()
    with torch.inference_mode(), speculator.target.tapped():
        speculator.target.prefill(torch.tensor(prompt))
        logits, _ = speculator.target.forward(*speculator._inputs(tree))
    return tree, logits


def test_a_walk_through_the_tree_is_a_sample_of_the_target(speculator: Speculator) -> None:
    prompt = [3, 5]
    tree, logits = first_tree(speculator, prompt, TreeShape(7, 2, 3))
    root = int(tree.tokens_N[0])
    verifier = Verifier(Sampling(temperature=1.0, seed=0), torch.device("cpu"))
    firsts, seconds = np.zeros(VOCABULARY), np.zeros((VOCABULARY, VOCABULARY))
    for _ in range(12_000):
        path, after = verifier.walk(tree, logits)
        tokens = [*(int(tree.tokens_N[row]) for row in path[1:]), after]
        firsts[tokens[0]] += 1
        if len(tokens) > 1:
            seconds[tokens[0], tokens[1]] += 1
    assert beyond_noise(firsts, probabilities(speculator, [*prompt, root])[0]) < 1
    checked = [token for token in range(VOCABULARY) if seconds[token].sum() > 200]
    assert checked  # accepted drafts are part of the sample
    for token in checked:
        assert beyond_noise(seconds[token], probabilities(speculator, [*prompt, root, token])[0]) < 1


def test_the_check_would_notice_a_biased_sampler(speculator: Speculator) -> None:
    expected = probabilities(speculator, [3, 5, 1])[0]
    draws = np.random.default_rng(0).multinomial(12_000, expected).astype(float)
    assert beyond_noise(draws, expected) < 1
    favoured = expected + 0.05 * (np.arange(VOCABULARY) == 0)
    biased = np.random.default_rng(0).multinomial(12_000, favoured / favoured.sum()).astype(float)
    assert beyond_noise(biased, expected) > 1


@pytest.mark.slow
def test_whole_generations_are_samples_of_the_target(speculator: Speculator) -> None:
    prompt, counts = [3, 5], np.zeros((VOCABULARY, VOCABULARY))
    for seed in range(1500):
        tokens = speculator.generate(prompt, 3, temperature=1.0, seed=seed, shape=TreeShape(7, 2, 3)).tokens
        counts[tokens[1], tokens[2]] += 1
    first = probabilities(speculator, prompt)[0]
    second = probabilities(speculator, *[[*prompt, a] for a in range(VOCABULARY)])
    third = probabilities(speculator, *[[*prompt, a, b] for a in range(VOCABULARY) for b in range(VOCABULARY)])
    joint = np.einsum("a,ab,abc->bc", first, second, third.reshape(VOCABULARY, VOCABULARY, VOCABULARY))
    assert beyond_noise(counts.ravel(), joint.ravel()) < 1


def test_a_seed_determines_the_text(speculator: Speculator) -> None:
    runs = [
        speculator.generate([1, 2], 30, temperature=0.8, top_p=0.9, seed=7, shape=TreeShape(9, 2, 3)).tokens
        for _ in range(2)
    ]
    assert runs[0] == runs[1]


def test_top_k_one_is_greedy(speculator: Speculator) -> None:
    shape = TreeShape(20, 3, 4)
    greedy = speculator.generate([1, 2], 20, shape=shape).tokens
    assert speculator.generate([1, 2], 20, temperature=1.0, top_k=1, seed=3, shape=shape).tokens == greedy


@pytest.mark.parametrize("wrong", [{"temperature": -1.0}, {"top_p": 0.0}, {"top_p": 1.2}, {"top_k": -2}])
def test_impossible_settings_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"expected"):
        Sampling(**wrong)  # type: ignore[arg-type]
