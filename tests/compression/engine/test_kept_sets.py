"""Distinct kept sets are those that ``compress`` keeps, action by action and budget by budget."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from compression import tiny_models as tiny
from trimtab.compression.actions import menu
from trimtab.compression.engine.compressor import compress
from trimtab.compression.engine.kept_sets import distinct_sets
from trimtab.compression.engine.prefill import prefill
from trimtab.compression.prompts import Prompt
from trimtab.compression.scoring import ScoreSettings, score

BUDGETS = (16, 40)


@pytest.mark.parametrize("name", ["methods", "u5b"])
def test_a_set_is_what_compress_keeps(name: str) -> None:
    model, ids, actions = tiny.model(), tiny.tokens(80), menu(name)
    read = prefill(model, ids[0].tolist(), [action.method.weights for action in actions])
    sets = distinct_sets(read, [action.method for action in actions], BUDGETS)
    for row, action in enumerate(actions):
        for place, budget in enumerate(BUDGETS):
            with torch.no_grad(), compress(model, action.method, budget_tokens=budget, positions=True) as made:
                model(ids)
            masks = sets.masks([int(sets.of_row[row * len(BUDGETS) + place])])
            for layer, kept in enumerate(made.positions):
                expected = torch.zeros_like(masks[layer]).scatter_(2, kept, True)
                # max-pooling makes ties: as many tokens stay, if not the same ones
                same = torch.equal(masks[layer], expected)
                assert same or (action.method.pool is not None and masks[layer].sum() == expected.sum())


def test_the_grid_of_the_reference_has_repetitions_that_are_computed_once() -> None:
    model, ids, actions = tiny.model(), tiny.tokens(80), menu("seed")
    assert len(actions) == 60
    read = prefill(model, ids[0].tolist(), [action.method.weights for action in actions])
    sets = distinct_sets(read, [action.method for action in actions], (16, 200))
    assert len(set(sets.of_row[:24:2].tolist())) == 1  # a = 0, whatever b
    assert set(sets.of_row[1::2].tolist()) == {sets.full}  # a budget beyond the prompt keeps all


def test_scores_are_those_of_compressing_and_forcing() -> None:
    model, ids, actions = tiny.model(), tiny.tokens(80), menu("u5b")
    answer = tuple(tiny.tokens(5, seed=9)[0].tolist())
    prompt = Prompt("one", tuple(ids[0].tolist()), answer)
    scored = score(model, prompt, actions, BUDGETS, ScoreSettings(scored_tokens=4))
    more = torch.tensor([answer[:-1]])
    with torch.no_grad():
        full = model(more, past_key_values=model(ids).past_key_values).logits.log_softmax(-1)[0]
        for row, action in enumerate(actions):
            for place, budget in enumerate(BUDGETS):
                with compress(model, action.method, budget_tokens=budget):
                    cut = model(more, past_key_values=model(ids).past_key_values).logits.log_softmax(-1)[0]
                kl = float((full.exp() * (full - cut)).sum(-1).mean())
                assert scored.parts["kl"][row, place] == pytest.approx(kl, abs=1e-4)
                assert scored.parts["fidelity"][row, place] == pytest.approx(np.exp(-kl), abs=1e-4)
