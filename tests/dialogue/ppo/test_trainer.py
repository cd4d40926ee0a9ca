"""Does the trainer learn, resume exactly, stop where it must, and say what is wrong?"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from trimtab.dialogue.ppo.building import Lora, make_learner
from trimtab.dialogue.ppo.enumerable import Enumerable, TableGrader
from trimtab.dialogue.ppo.grading import Graded, Written
from trimtab.dialogue.ppo.learner import Learner, Reference
from trimtab.dialogue.ppo.settings import PPOSettings
from trimtab.dialogue.ppo.trainer import PPOTrainer, head_names, prompt_rows
from trimtab.runs import Run, read_metrics

TASK = Enumerable()
SETTINGS = PPOSettings(
    steps=4,
    batch_size=16,
    minibatch_size=8,
    epochs=2,
    learning_rate=2e-3,
    critic_learning_rate=4e-3,
    unfinished_penalty=0.0,
    context_max_length=2,
    reply_max_length=3,
    checkpoint_every=2,
)


@dataclass(frozen=True)
class Recipe:
    seed: int = 0


def make(
    settings: PPOSettings = SETTINGS, *, grader: Any = None, lora: Lora | None = None, critic: Any = "own"
) -> PPOTrainer:
    grader = grader or TableGrader(TASK)
    learner, reference = make_learner(TASK.model(), head_names(grader.parts), critic=critic, lora=lora)
    return PPOTrainer(settings, learner, reference, grader, [TASK.end])


def weights(trainer: PPOTrainer) -> dict[str, torch.Tensor]:
    return {name: p.detach().clone() for name, p in trainer.learner.named_parameters()}


VARIANTS: list[tuple[Lora | None, str]] = [(None, "own"), (Lora(4), "own"), (None, "trunk")]


@pytest.mark.parametrize(("lora", "critic"), VARIANTS)
def test_a_stopped_training_goes_on_to_the_very_same_numbers(tmp_path: Path, lora: Lora | None, critic: str) -> None:
    torch.manual_seed(1)
    whole = make(lora=lora, critic=critic)
    with Run.begin(tmp_path, Recipe(), name="whole", track=()) as run:
        whole.fit(run)
    torch.manual_seed(1)
    first = make(lora=lora, critic=critic)
    with Run.begin(tmp_path, Recipe(), name="halves", track=()) as run:
        first.fit(run, until=2)
    torch.manual_seed(2)  # what was drawn meanwhile must not matter
    second = make(lora=lora, critic=critic)
    with Run.resume(tmp_path / "halves", track=()) as run:
        second.fit(run)
    for name, weight in weights(whole).items():
        if lora is None or weight.requires_grad or "lora" in name or "heads" in name:
            assert torch.equal(weights(second)[name], weight), name
    assert second.kl_coefficient == whole.kl_coefficient
    assert second.alarms.state() == whole.alarms.state()
    untimed = [
        [{k: v for k, v in row.items() if "seconds" not in k} for row in read_metrics(tmp_path / name)]
        for name in ("whole", "halves")
    ]
    assert untimed[0] == untimed[1]


def test_the_first_step_is_taken_where_the_ratio_is_one() -> None:
    trainer = make(replace(SETTINGS, epochs=1, minibatch_size=16))
    done = trainer.update(0)
    assert done.metrics["clipped_share"] == 0
    assert done.metrics["sampling_error"] < 1e-5
    assert done.metrics["kl"] == pytest.approx(0.0, abs=1e-5)
    # whitened advantages at ratio 1: their mean is 0
    assert done.metrics["policy_loss"] == pytest.approx(0.0, abs=1e-5)


def test_an_entropy_that_counts_nothing_carries_no_gradient() -> None:
    learners = [make(replace(SETTINGS, entropy_coefficient=coefficient)).learner for coefficient in (0.0, 0.01)]
    tokens = TASK._tokens()
    silent, counted = (learner(tokens.ids_BS, tokens.mask_BS, tokens.reply_width) for learner in learners)
    assert counted.entropy_BT.requires_grad
    assert silent.logprobs_BT.requires_grad
    assert not silent.entropy_BT.requires_grad
    torch.testing.assert_close(silent.entropy_BT, counted.entropy_BT.detach(), rtol=0, atol=0)
    torch.testing.assert_close(silent.logprobs_BT, counted.logprobs_BT, rtol=0, atol=0)


def test_pieces_make_the_same_step_as_the_whole() -> None:
    whole, pieces = make(), make(replace(SETTINGS, accumulation=4))
    whole.update(0)
    pieces.update(0)
    for name, weight in weights(whole).items():
        torch.testing.assert_close(weights(pieces)[name], weight, atol=1e-5, rtol=1e-4)


def test_the_adapter_is_its_own_reference() -> None:
    trainer = make(lora=Lora(4))
    base = TASK.model()
    before = TASK.logprobs_PS(base)
    trainer.fit()
    assert not np.allclose(TASK.logprobs_PS(trainer.learner.policy), before)
    with trainer.learner.policy.disable_adapter():
        np.testing.assert_allclose(TASK.logprobs_PS(trainer.learner.policy), before, atol=1e-6)
    assert trainer.update(3).metrics["kl_k3"] > 1e-6


def test_a_constant_reward_leaves_the_policy_at_the_reference() -> None:
    grader = TableGrader(TASK, np.full_like(TASK.rewards_PS, 0.5))
    settings = replace(SETTINGS, steps=15, batch_size=64, minibatch_size=32, whiten=False)
    trainer = make(settings, grader=grader)
    trainer.fit()
    reference = TASK.logprobs_PS(TASK.model())
    assert TASK.judge(TASK.logprobs_PS(trainer.learner.policy), reference).kl < 0.05


def test_without_a_cost_the_policy_leaves_its_reference() -> None:
    settings = replace(SETTINGS, steps=25, batch_size=64, minibatch_size=32)
    kl = {}
    for cost in (0.0, 1.0):
        trainer = make(replace(settings, kl_coefficient=cost, kl_target=None))
        trainer.fit()
        kl[cost] = TASK.judge(TASK.logprobs_PS(trainer.learner.policy), TASK.logprobs_PS(TASK.model())).kl
    assert kl[0.0] > 1.0 > 3 * kl[1.0]


class Broken(TableGrader):
    """Grades the third reply of every batch with something that is no number."""

    def __init__(self, task: Enumerable, wrong: float) -> None:
        super().__init__(task)
        self._wrong = wrong

    def grade(self, replies: Sequence[Written], progress: float, /) -> Graded:
        graded = super().grade(replies, progress)
        graded.raw_BP[2] = self._wrong
        return graded


@pytest.mark.parametrize("wrong", [float("nan"), float("inf")])
def test_a_reward_that_is_no_number_stops_with_the_sample(wrong: float) -> None:
    with pytest.raises(ValueError, match=r"reward 'table' of a reply is (nan|inf).*prompt \d, reply \["):
        make(grader=Broken(TASK, wrong)).fit()


def test_a_gradient_that_is_no_number_stops() -> None:
    trainer = make(replace(SETTINGS, learning_rate=1e30, warmup_steps=1))
    with pytest.raises(ValueError, match=r"is nan or infinite|finite"):
        trainer.fit()


def test_a_reference_of_another_vocabulary_is_refused() -> None:
    with pytest.raises(ValueError, match="vocabulary of 6 tokens, the reference one of 7"):
        Reference(TASK.model(), Enumerable(vocabulary=7).model())


def test_a_policy_without_adapter_needs_a_reference() -> None:
    with pytest.raises(ValueError, match="cannot be its own reference"):
        Reference(TASK.model())


def test_a_critic_with_other_heads_is_refused() -> None:
    learner, reference = make_learner(TASK.model(), ("other", "kl"))
    with pytest.raises(ValueError, match=r"expected .*table"):
        PPOTrainer(SETTINGS, learner, reference, TableGrader(TASK), [TASK.end])


def test_settings_that_contradict_each_other_are_refused() -> None:
    for wrong in ({"minibatch_size": 7}, {"accumulation": 3}, {"decay": 1.5}, {"steps": 0}, {"kl_target": -1.0}):
        with pytest.raises(ValueError, match=r"expected|divides"):
            PPOSettings(**wrong)  # type: ignore[arg-type]


def test_every_prompt_has_its_turn() -> None:
    rows = [row for update in range(6) for row in prompt_rows(3, update, 5, 10)]
    assert sorted(rows) == sorted(list(range(10)) * 3)


def test_resuming_with_other_rewards_is_refused() -> None:
    trainer = make()
    state = trainer.state() | {"parts": ["other"]}
    with pytest.raises(ValueError, match="begun with the rewards"):
        trainer.restore(trainer.arrays(), state)


def test_another_models_checkpoint_is_refused() -> None:
    trainer = make()
    wider = Enumerable().model(width=64)
    learner = Learner(wider, copy.deepcopy(trainer.learner.critic))
    other = PPOTrainer(SETTINGS, learner, Reference(wider, Enumerable().model()), TableGrader(TASK), [TASK.end])
    with pytest.raises(ValueError, match="does not fit the model"):
        other.restore(trainer.arrays(), trainer.state())


@pytest.mark.slow
def test_the_known_optimum_is_approached() -> None:
    """At least 85 % of the way from the reference to the best policy there is, in less than a minute."""
    settings = PPOSettings(
        steps=60,
        batch_size=256,
        minibatch_size=128,
        learning_rate=2e-3,
        critic_learning_rate=4e-3,
        kl_coefficient=TASK.beta,
        kl_target=None,
        unfinished_penalty=0.0,
        context_max_length=2,
        reply_max_length=3,
    )
    trainer = make(settings)
    trainer.fit()
    policy, reference = TASK.logprobs_PS(trainer.learner.policy), TASK.logprobs_PS(TASK.model())
    assert TASK.gap_closed(policy, reference) >= 0.85
    assert abs(TASK.judge(policy, reference).kl - TASK.optimum(reference)[1].kl) < 0.25
