"""What does an update of PPO cost beside what it cannot do without? Measured in turns, on the embedded model.

The floor: writing the replies, and one forward and backward pass of what is trained over them per epoch. What PPO adds:
log-probabilities of policy and reference, values, grading, credit, optimiser steps. Replies are of the full length (no
token ends them), so that the work is the same each time. All updates are about the same prompts: what users said is
embedded once in a training, as after the first pass over the examples; replies are new each time.
"""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any, Literal

import numpy as np
import torch

from trimtab.dialogue.ppo.settings import PPOSettings
from trimtab.dialogue.ppo.trainer import PPOTrainer
from trimtab.dialogue.rewards.empathy import minilm
from trimtab.dialogue.tasks.moods import Moods
from trimtab.dialogue.tasks.moods_reward import moods_rubric
from trimtab.dialogue.training import PolicyTraining, make_trainer
from trimtab.lm.load import load_model

SETTINGS = PPOSettings(
    steps=1000, batch_size=64, minibatch_size=32, epochs=2, context_max_length=64, reply_max_length=40, critic="trunk"
)


def measure_throughput(base: str, *, rounds: int = 5) -> list[dict[str, Any]]:
    """Rows with the seconds of an update and of its floor (medians), and their ratio: the median of paired ratios."""
    kinds: tuple[Literal["trunk", "own"], ...] = ("trunk", "own")
    return [
        _measured(base, replace(SETTINGS, critic=kind), rounds, bf16=bf16) for bf16 in (False, True) for kind in kinds
    ]


def _measured(base: str, settings: PPOSettings, rounds: int, *, bf16: bool) -> dict[str, Any]:
    """``bf16``: precision of the sentence encoder in the reward; policy and critic are float32."""
    model, tokenizer = load_model(base, dtype="float32")
    rubric, examples = moods_rubric(embed=minilm(bf16=bf16)), Moods().examples("train", settings.batch_size)
    trainer = make_trainer(model, tokenizer, rubric, examples, PolicyTraining(settings))
    trainer._ends = frozenset()  # pyright: ignore[reportPrivateUsage]
    trainer.update(0)  # warm: allocations, the rubric's encoder
    pairs: list[tuple[float, float]] = []
    for step in range(1, rounds + 1):
        update = _seconds(lambda step=step: trainer.update(step))
        pairs.append((update, _seconds(lambda step=step: _floor(trainer, step))))
    seconds = np.array(pairs)
    return {
        "critic": settings.critic,
        "encoder": "bfloat16" if bf16 else "float32",
        "replies": settings.batch_size,
        "tokens": settings.reply_max_length,
        "update_seconds": float(np.median(seconds[:, 0])),
        "floor_seconds": float(np.median(seconds[:, 1])),
        "ratio": float(np.median(seconds[:, 0] / seconds[:, 1])),
    }


def _seconds(work: Any) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def _floor(trainer: PPOTrainer, step: int) -> None:
    """Write the replies of ``step``; forward and backward over them, minibatch by minibatch, once per pass."""
    settings, learner = trainer.settings, trainer.learner
    from trimtab.dialogue.ppo.sampling import uniform_noise
    from trimtab.dialogue.ppo.trainer import prompt_rows

    rows = prompt_rows(settings.seed, step, settings.batch_size, len(trainer.grader.prompts))
    noise_BT = uniform_noise(settings.seed, step, settings.batch_size, settings.reply_max_length)
    sampled = learner.write(
        [trainer.grader.prompts[row] for row in rows],
        noise_BT,
        width=settings.reply_max_length,
        ends=(),
        context=settings.context_max_length,
    )
    for _ in range(settings.epochs):
        for piece in torch.arange(settings.batch_size).split(settings.minibatch_size):
            tokens = sampled.tokens.rows(piece).trimmed()
            evaluated = learner(tokens.ids_BS, tokens.mask_BS, tokens.reply_width)
            (evaluated.logprobs_BT.mean() + evaluated.values_BTP.mean()).backward()
            learner.zero_grad(set_to_none=True)
