"""Does a critic learn what replies bring, say how well, and break a finished reply down?"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from trimtab.dialogue.critic.heads import Critic, ValueHeads
from trimtab.dialogue.critic.pretraining import CriticSettings, Labelled, fit_critic, values_of, valuing
from trimtab.dialogue.critic.report import critic_table, quality_breakdown
from trimtab.dialogue.ppo.batches import joined
from trimtab.dialogue.ppo.building import make_learner
from trimtab.dialogue.ppo.enumerable import Enumerable
from trimtab.dialogue.ppo.saving import load_critic, save_critic

TASK = Enumerable()
PARTS = ("zeros", "constant", "kl")


def labelled(count: int = 300) -> Labelled:
    """Random replies: the first part counts the zeros so far, the second is always 0.5."""
    random = np.random.default_rng(0)
    replies = [random.integers(5, size=3).tolist() for _ in range(count)]
    prompts = [[int(random.integers(3))] for _ in replies]
    raw = np.array([[reply.count(0) / 3, 0.5] for reply in replies])
    return Labelled(joined(prompts, replies, context=1, reply=3), raw, PARTS[:2], np.array([2.0, 1.0]))


@pytest.mark.parametrize("kind", ["own", "trunk"])
def test_a_critic_learns_what_can_be_known(kind: Any) -> None:
    learner, _ = make_learner(TASK.model(), PARTS, critic=kind)
    policy_before = [p.detach().clone() for p in learner.policy.parameters()]
    settings = CriticSettings(epochs=25, batch_size=16, learning_rate=1e-2, patience=25)
    found = fit_critic(learner.critic, learner.policy, labelled(), settings)
    # before the third token two thirds of the zeros are known, before the first none: 0.33 of the variance at best
    assert 0.15 < found["zeros"] <= 0.45
    assert np.isnan(found["constant"])
    assert np.isnan(found["kl"])
    for before, after in zip(policy_before, learner.policy.parameters(), strict=True):
        assert torch.equal(before, after)


def test_the_report_tells_where_a_critic_is_good() -> None:
    learner, _ = make_learner(TASK.model(), PARTS)
    fit_critic(learner.critic, learner.policy, labelled(), CriticSettings(epochs=25, learning_rate=1e-2, patience=25))
    rows = {row["head"]: row for row in critic_table(learner, labelled()).plain_rows()}
    assert set(rows) == {*PARTS, "total"}
    assert float(rows["zeros"]["explained_last"] or 0) > float(rows["zeros"]["explained_first"] or 0)
    assert float(rows["constant"]["mean_value"] or 0) == pytest.approx(0.5, abs=0.1)
    assert rows["constant"]["explained_variance"] is None


def test_values_do_not_look_at_the_tokens_that_they_value() -> None:
    learner, _ = make_learner(TASK.model(), PARTS)
    torch.nn.init.normal_(learner.critic.heads.linear.weight)  # type: ignore[union-attr]
    one, other = (joined([[1]], [[2, 3, last]], context=1, reply=3) for last in (0, 4))
    values = valuing(learner.critic, learner.policy)
    assert torch.equal(values_of(values, one, "cpu"), values_of(values, other, "cpu"))


class Words:
    """A tokenizer of digits."""

    def __call__(self, text: str, **_: object) -> dict[str, list[int]]:
        return {"input_ids": [int(word) for word in text.split()]}


def test_the_breakdown_adds_up() -> None:
    learner, _ = make_learner(TASK.model(), PARTS)
    torch.nn.init.normal_(learner.critic.heads.linear.weight)  # type: ignore[union-attr]
    weights = {"zeros": 2.0, "constant": -1.0}
    grade = quality_breakdown(learner, Words(), "1", "2 3", weights, end=TASK.end)
    assert set(grade.parts) == set(PARTS)
    assert grade.value == pytest.approx(2.0 * grade.parts["zeros"] - grade.parts["constant"])


def test_a_critic_is_read_back_as_it_was(tmp_path: Any) -> None:
    model = TASK.model()
    for critic in (Critic.like(model, PARTS), ValueHeads(32, PARTS)):
        for parameter in critic.parameters():
            parameter.data.add_(0.1)
        save_critic(critic, tmp_path)
        again = load_critic(tmp_path, model)
        assert type(again) is type(critic)
        assert again.parts == PARTS
        for name, tensor in critic.state_dict().items():
            assert torch.equal(again.state_dict()[name], tensor)
    with pytest.raises(ValueError, match="holds no critic"):
        load_critic(tmp_path / "none", model)


def test_heads_need_names() -> None:
    with pytest.raises(ValueError, match="each its own name"):
        ValueHeads(4, ("a", "a"))
    with pytest.raises(ValueError, match="enough that"):
        fit_critic(ValueHeads(32, PARTS), TASK.model(), labelled(5), CriticSettings())
