"""Does the cost-model greedy rule find what a known feature tells, and decide alike in replay and in real decoding?"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from speculation.tables import costs_of, random_table, table_of
from trimtab.speculation.engine.speculator import Speculator
from trimtab.speculation.greedy import GreedyPolicy, fit, recent
from trimtab.speculation.oracle import best_static, clairvoyant, oracle, price, roll, static, tokens_per_second
from trimtab.speculation.replay_builder import build


def telling_table(prompts: int, seed: int) -> Any:
    """Action 0 is cheap; action 1 costs more and accepts 3 where the feature is high, nothing elsewhere."""
    draw = np.random.default_rng(seed)
    sure = draw.random((prompts, 40)) < 0.5
    accepted = np.stack((np.zeros_like(sure, dtype=int), 3 * sure), axis=-1)
    features = sure + 0.1 * draw.random(sure.shape)
    return table_of(accepted.tolist(), features.reshape(-1, 1))


def rate(policy: GreedyPolicy, table: Any, costs: Any) -> float:
    return tokens_per_second([roll(one, policy.chooser(table, one.replay)) for one in price(table, costs)])


def test_a_feature_that_tells_all_gives_the_oracle() -> None:
    train, test, costs = telling_table(20, 0), telling_table(10, 1), costs_of()
    policy = fit(train, costs, feature="confidence")
    assert policy.decide(1.05, 1.0, 20) == 1
    assert policy.decide(0.05, 1.0, 20) == 0
    priced = price(test, costs)
    # but for the last rounds, where the text's end cuts short what the tree would bring
    assert rate(policy, test, costs) > 0.98 * tokens_per_second([oracle(one) for one in priced])
    assert rate(policy, test, costs) > 1.04 * tokens_per_second([static(one, best_static(priced)) for one in priced])


def test_a_feature_that_tells_nothing_costs_next_to_nothing() -> None:
    draw, costs = np.random.default_rng(2), costs_of()
    table = random_table(draw, prompts=40, positions=40, actions=6)
    train = table.where(lambda prompt: int(prompt.task[1:]) % 2 == 0)
    test = table.where(lambda prompt: int(prompt.task[1:]) % 2 == 1)
    policy = fit(train, costs, feature="confidence")
    priced = price(test, costs)
    fixed = tokens_per_second([static(one, best_static(price(train, costs))) for one in priced])
    assert 0.97 * fixed < rate(policy, test, costs) < tokens_per_second([clairvoyant(one) for one in priced])


def test_where_a_tree_lands_matters() -> None:
    # Both trees cost about the same. Tree 0 commits 2 tokens onto a position where the next round commits 4; tree 1
    # commits 3 and lands where only single tokens follow: more tokens now, more rounds in all.
    rows = [[1, 2], [0, 0], [3, 3], [0, 0], [0, 0], [0, 0]] * 5
    table, costs = table_of([rows] * 4), costs_of()
    priced = price(table, costs)[0]
    assert static(priced, 0).seconds < static(priced, 1).seconds
    policy = fit(table, costs, feature="confidence")
    assert set(roll(priced, policy.chooser(table, priced.replay)).actions) == {0}


def test_recent_acceptance() -> None:
    assert [recent([]), recent([3]), recent([9, 1, 4])] == [-1.0, 3.0, 2.5]


def test_bad_input_is_refused() -> None:
    table = telling_table(3, 0)
    with pytest.raises(ValueError, match="no feature 'draft_prob_1'; it has confidence"):
        fit(table, costs_of())
    with pytest.raises(ValueError, match="has 1 texts"):
        fit(table.where(lambda prompt: prompt.task == "p0"), costs_of(), feature="confidence")


class Sureness:
    names = ("confidence",)

    def __call__(self, root_logprobs_D: Any, target_logits_V: Any, state_H: Any, context_tokens: int) -> Any:
        return np.array([root_logprobs_D.max().exp()], dtype=np.float32)


class Given:
    def __init__(self, task: str, ids: list[int]) -> None:
        self.task, self.category, self.turns = task, "noise", [ids]


def test_real_decoding_takes_the_replayed_decisions(shared: Path) -> None:
    folder = shared / "golden" / "eagle" / "trained"
    speculator = Speculator.from_pretrained(folder / "base", folder / "ea", dtype=torch.float32)
    cases = torch.load(folder / "trace.pt", weights_only=True)["cases"]
    ids = [torch.as_tensor(case["prompt"]).flatten().tolist() for case in cases[:3]]
    menu = random_table(np.random.default_rng(0), 1, 1, 8).actions
    table = build(speculator, [Given(str(n), prompt) for n, prompt in enumerate(ids)], menu, 40, Sureness())
    policy = fit(table, costs_of(), feature="confidence")
    for prompt, tokens in zip(table.prompts, ids, strict=True):
        generation = speculator.generate(tokens, 40, policy=policy.controller(Sureness()))
        replayed = prompt.rounds(policy.chooser(table, prompt))
        assert [r.shape for r in generation.rounds] == [menu[r.action] for r in replayed]
        assert [r.accepted for r in generation.rounds] == [r.accepted for r in replayed]
    with pytest.raises(ValueError, match="gives no 'other'"):
        GreedyPolicy(menu, "other", *[np.zeros(0)] * 5).controller(Sureness())
