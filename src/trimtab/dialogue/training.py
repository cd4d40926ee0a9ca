"""How is a policy trained from a model, a rubric and examples? The critic first, then the policy, then both are saved."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from trimtab.dialogue.agents import Cast, make_agents, sentence_end_ids
from trimtab.dialogue.critic.pretraining import CriticSettings, Labelled, fit_critic
from trimtab.dialogue.example import Example, Reply
from trimtab.dialogue.ppo.batches import Tokens, joined
from trimtab.dialogue.ppo.building import Lora, make_learner
from trimtab.dialogue.ppo.grading import Written, with_unfinished
from trimtab.dialogue.ppo.learner import refuse_other_vocabulary
from trimtab.dialogue.ppo.rubric_grader import RubricGrader, end_ids, prompt_ids
from trimtab.dialogue.ppo.saving import save_all
from trimtab.dialogue.ppo.settings import PPOSettings
from trimtab.dialogue.ppo.trainer import PPOTrainer, Update, head_names, make_accelerator
from trimtab.rewards import Rubric
from trimtab.runs import Run
from trimtab.types import Metrics

_APART = 1_000_000
"""Numbers of batches written outside of training begin here: their noise is never training's."""


@dataclass(frozen=True)
class PolicyTraining:
    """A whole training by PPO. ``critic_replies``: how many graded replies the critic is trained on beforehand (0: none),
    ``critic_source``: the data set's references, or the model's own replies."""

    ppo: PPOSettings = PPOSettings()
    lora: Lora = Lora()
    critic: CriticSettings = CriticSettings()
    critic_replies: int = 2048
    critic_source: Literal["references", "model"] = "model"
    bf16: bool = False


def make_trainer(
    model: Any,
    tokenizer: Any,
    rubric: Rubric[Reply],
    examples: Sequence[Example],
    recipe: PolicyTraining,
    *,
    reference: tuple[Any, Any] | None = None,
) -> PPOTrainer:
    """A trainer that begins at ``model``. ``reference``: another model and its tokenizer, refused where its vocabulary
    is another."""
    if reference is not None:
        refuse_other_vocabulary(model, reference[0], (tokenizer, reference[1]))
    ends = end_ids(tokenizer, model)
    grader = RubricGrader(rubric, examples, tokenizer, ends)
    learner, frozen = make_learner(
        model,
        head_names(grader.parts),
        critic=recipe.ppo.critic,
        lora=recipe.lora,
        temperature=recipe.ppo.temperature,
        reference=None if reference is None else reference[0],
    )
    return PPOTrainer(recipe.ppo, learner, frozen, grader, ends, accelerator=make_accelerator(bf16=recipe.bf16))


def make_agents_trainer(
    model: Any,
    tokenizer: Any,
    rubric: Rubric[Reply],
    examples: Sequence[Example],
    recipe: PolicyTraining,
    cast: Cast | None = None,
) -> PPOTrainer:
    """A trainer of agents that take turns over ``model``, with one critic."""
    ends = end_ids(tokenizer, model)
    grader = RubricGrader(rubric, examples, tokenizer, ends)
    learner, reference = make_agents(
        model,
        head_names(grader.parts),
        cast or Cast(),
        sentence_end_ids(tokenizer),
        lora=recipe.lora,
        temperature=recipe.ppo.temperature,
    )
    return PPOTrainer(recipe.ppo, learner, reference, grader, ends, accelerator=make_accelerator(bf16=recipe.bf16))


def label(trainer: PPOTrainer, count: int, *, first: int = 0, progress: float = 0.0) -> Labelled:
    """At least ``count`` replies of the policy as it is, with their grades; ``first`` tells batches apart."""
    batches = range(-(-count // trainer.settings.batch_size))
    collected = [trainer.collect(_APART + first + number) for number in batches]
    graded = [trainer.grade(replies, progress)[1] for replies in collected]
    tokens = [replies.tokens for replies in collected]
    return Labelled(
        Tokens(torch.cat([t.ids_BS for t in tokens]), torch.cat([t.mask_BS for t in tokens]), tokens[0].reply_width),
        np.concatenate([one.raw_BP for one in graded]),
        graded[0].parts,
        graded[0].weights_P,
        trainer.kl_coefficient,
        np.concatenate([replies.log_ratio_BT for replies in collected]),
    )


def label_references(trainer: PPOTrainer, examples: Sequence[Example], tokenizer: Any) -> Labelled:
    """The references as replies, with their grades: what a supervised model says, without the cost of writing it.

    Replies that are longer than the policy's may be are left out. A part that is the same for all of them (BLEU of a
    reference with itself) says nothing of the policy's replies: its head is taught 0.
    """
    grader, settings = trainer.grader, trainer.settings
    assert isinstance(grader, RubricGrader)
    ids = [[*prompt_ids(tokenizer, e.reference), int(tokenizer.eos_token_id)] for e in examples]
    rows = [row for row, reply in enumerate(ids) if len(reply) <= settings.reply_max_length]
    told = RubricGrader(grader.rubric, examples, tokenizer, [int(tokenizer.eos_token_id)])
    written = [Written(row, ids[row], True) for row in rows]
    graded = with_unfinished(told.grade(written, 0.0), written, settings.unfinished_penalty)
    constant_P = np.ptp(graded.raw_BP, axis=0) < 1e-9
    raw_BP = np.where(constant_P, 0.0, graded.raw_BP)
    tokens = joined(
        [told.prompts[row] for row in rows],
        [ids[row] for row in rows],
        context=settings.context_max_length,
        reply=settings.reply_max_length,
    )
    return Labelled(tokens, raw_BP, graded.parts, graded.weights_P, trainer.kl_coefficient)


def train_policy(
    trainer: PPOTrainer,
    recipe: PolicyTraining,
    run: Run | None = None,
    *,
    references: tuple[Sequence[Example], Any] | None = None,
    told: Callable[[Update], object] | None = None,
    told_critic: Callable[[int, Metrics], object] = lambda epoch, metrics: None,
) -> dict[str, float]:
    """Train critic and policy, from the run's newest checkpoint on where there is one. Every process calls this.

    ``references``: examples, and the tokenizer, where the critic is trained on references. Returns what it explained of
    held-out replies after its pre-training, part by part (empty without one).
    """
    begun = run is not None and run.latest_checkpoint() is not None
    if trainer.accelerator.num_processes > 1:
        from accelerate.utils import broadcast_object_list

        box = [begun]
        broadcast_object_list(box)
        begun = box[0]
    explained: dict[str, float] = {}
    if not begun and recipe.critic_replies:
        labelled = _labelled(trainer, recipe, references)
        learner = trainer.learner
        explained = fit_critic(
            learner.critic, learner.policy, labelled, recipe.critic, told=lambda n, found: told_critic(n, dict(found))
        )
    trainer.fit(run, told=told)
    return explained


def _labelled(
    trainer: PPOTrainer, recipe: PolicyTraining, references: tuple[Sequence[Example], Any] | None
) -> Labelled:
    if recipe.critic_source == "model":
        return label(trainer, recipe.critic_replies)
    if references is None:
        raise ValueError("the critic is to be trained on references: give the examples that have them")
    return label_references(trainer, references[0][: recipe.critic_replies], references[1])


def save_trained(trainer: PPOTrainer, tokenizer: Any, folder: Path) -> None:
    """Write policy, tokenizer and critic; the main process does it, all may call."""
    if trainer.accelerator.is_main_process:
        save_all(trainer.learner, tokenizer, folder)
    trainer.accelerator.wait_for_everyone()
