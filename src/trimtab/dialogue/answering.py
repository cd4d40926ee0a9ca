"""How does a model answer a whole split? In batches, greedily or sampled (with the same noise for every model)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from trimtab.dialogue.example import Example, Reply
from trimtab.dialogue.ppo.rubric_grader import end_ids, prompt_ids, reply_text
from trimtab.dialogue.ppo.sampling import Sampled, sample, uniform_noise


@dataclass(frozen=True)
class Manner:
    """How replies are written. ``temperature`` 0 is greedy; ``seed`` tells the noise, example by example."""

    temperature: float = 1.0
    seed: int = 0
    context_max_length: int = 256
    reply_max_length: int = 48
    batch_size: int = 64

    def __post_init__(self) -> None:
        if self.temperature < 0 or min(self.context_max_length, self.reply_max_length, self.batch_size) <= 0:
            raise ValueError(f"{self}: expected a temperature of 0 or above, and lengths above 0")

    @property
    def greedy(self) -> bool:
        return self.temperature == 0

    def noise(self, count: int, draw: int = 0) -> Tensor | None:
        """Uniform numbers for ``count`` replies; another set for each ``draw``. None where they are greedy."""
        return None if self.greedy else uniform_noise(self.seed + 900_001, draw, count, self.reply_max_length)


def write(
    model: Any, tokenizer: Any, prompts: list[list[int]], noise_BT: Tensor | None, manner: Manner
) -> list[Sampled]:
    """What the model answers, batch after batch."""
    ends = end_ids(tokenizer, model)
    found: list[Sampled] = []
    for start in range(0, len(prompts), manner.batch_size):
        rows = slice(start, start + manner.batch_size)
        found.append(
            sample(
                model,
                prompts[rows],
                noise_BT=None if noise_BT is None else noise_BT[rows],
                width=manner.reply_max_length,
                ends=ends,
                context=manner.context_max_length,
                temperature=manner.temperature or 1.0,
            )
        )
    return found


def answer(model: Any, tokenizer: Any, examples: Sequence[Example], manner: Manner, *, draw: int = 0) -> list[Reply]:
    """One reply to each example. What is empty or was cut is returned as what it is."""
    prompts = [prompt_ids(tokenizer, example.prompt) for example in examples]
    sampled = write(model, tokenizer, prompts, manner.noise(len(prompts), draw), manner)
    ends = end_ids(tokenizer, model)
    ids = [reply for batch in sampled for reply in batch.tokens.reply_lists()]
    ended = torch.cat([batch.ended_B for batch in sampled]).tolist()
    return [
        Reply(example, reply_text(tokenizer, reply, ends), bool(done), len(reply))
        for example, reply, done in zip(examples, ids, ended, strict=True)
    ]
