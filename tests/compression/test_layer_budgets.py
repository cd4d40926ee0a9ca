"""Budgets of layers that are really learned: they find where a model keeps what its answers need."""

from __future__ import annotations

import numpy as np
import pytest

from compression import tiny_models as tiny
from trimtab.compression import layer_budgets, menus
from trimtab.compression.actions import Action
from trimtab.compression.engine.layers import Shares
from trimtab.compression.engine.method import Method
from trimtab.compression.engine.prefill import prefill
from trimtab.compression.engine.weights import Curve, Newest
from trimtab.compression.layer_budgets import LEAST, Climb, by_attention, by_fidelity, rounded, starts
from trimtab.compression.model_names import load
from trimtab.compression.prompts import Prompt
from trimtab.compression.scoring import ScoreSettings, score
from trimtab.compression.tasks.recall import Recall


def _prompt(seed: int) -> Prompt:
    return Prompt(f"made/{seed}", tuple(tiny.tokens(60, seed=seed)[0].tolist()), (3, 5, 7, 9))


def test_attention_deals_the_budget_as_one_queue() -> None:
    model, method = tiny.model(), Method(Curve(10.0, 16), sinks=1, recent=2)
    found = by_attention(model, [_prompt(1)], 10, method)
    read = prefill(model, _prompt(1).token_ids, [method.weights])
    queue = []
    for layer, scores_CGN in enumerate(read.scores_LCGN):
        middle = scores_CGN[0][:, 1:58]
        queue += [(-float(value), layer) for value in (middle / middle.sum()).flatten()]
    best = [layer for _, layer in sorted(queue)[: 10 * 3 * 2]]  # 10 tokens, 3 layers, 2 KV heads
    counts = np.bincount(best, minlength=3)
    assert found.values == pytest.approx(tuple(counts / counts.mean()), rel=0.01)


def test_a_climb_never_ends_below_where_it_began(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a made-up fidelity with one summit, the climb comes near to it."""
    summit = np.log([0.2, 2.0, 0.8])

    def made(model, prompts, budget, candidates, bases, settings):
        return [float(-np.square(np.log(shares.values) - summit).sum()) for shares in candidates]

    monkeypatch.setattr(layer_budgets, "_fidelity", made)
    found = by_fidelity(tiny.model(), [_prompt(1)], 10, start=Shares((1.0, 1.0, 1.0)), climb=Climb((3.0, 1.5, 1.1), 30))
    assert np.abs(np.log(found.values) - summit).max() < 0.25


def test_learned_layers_answer_better_than_even_ones_on_other_prompts() -> None:
    model, _ = load("zoo:recall", dtype="float32")
    prompts, settings = Recall().prompts(5, 10), ScoreSettings(scored_tokens=4)
    found = by_fidelity(model, prompts[:4], 48, settings=settings, climb=Climb((3.0,), 2))
    base = layer_budgets.BASES[0]
    actions = [Action("even", base), Action("learned", Method(base.weights, 1, 2, base.pool, layers=found))]
    rewards = [score(model, prompt, actions, [48], settings).parts["fidelity"][:, 0] for prompt in prompts[4:]]
    even, learned = np.mean(rewards, axis=0)
    assert learned > even + 0.2


def test_starts_and_rounding() -> None:
    made = starts(Shares((0.5, 1.5, 1.0, 1.0, 1.0)))
    assert made[0] == Shares((1.0,) * 5)
    assert len(made) == 2 + 4  # five layers in four depths
    assert rounded([1e-9, 2.0]).values == (LEAST, 2.0)
    for shares in made:
        assert Shares(tuple(float(f"{value:g}") for value in shares.values)) == shares


def test_the_teachers_of_a_menu_are_training_prompts() -> None:
    model, _ = load("zoo:recall", dtype="float32")
    prompts = Recall().prompts(0, 12)
    actions, about = menus.actions_of("u5b", model, prompts, 64)
    assert (len(actions), about) == (5, {})
    rows = menus.rows_by_part([p.name for p in prompts], calibration=0.2, held_out=0.3)
    held_out = [prompts[row].name for row in rows["held_out"]]
    menus.check_teachers({"layer_prompts": [prompts[row].name for row in rows["train"]]}, held_out)
    with pytest.raises(ValueError, match="would be held out"):
        menus.check_teachers({"layer_prompts": held_out[:1]}, held_out)


def test_bad_input() -> None:
    with pytest.raises(ValueError, match="no prompts"):
        by_fidelity(tiny.model(), [], 10)
    with pytest.raises(ValueError, match="weights of attention"):
        by_attention(tiny.model(), [_prompt(1)], 10, Method(Newest()))
    with pytest.raises(ValueError, match="factors above 1"):
        Climb((0.5,))
