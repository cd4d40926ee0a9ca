"""Does PPO find the best policy where that is known? A task so small that every reply can be listed.

P prompts of two tokens, replies of at most L tokens from a vocabulary whose last token ends a reply, a random reward for
each of the S replies there are. A prompt begins with the end token, as a mark of the beginning: without one, attention
over equal tokens cannot count them, the prompt 0 and the same with the reply (0, 0) would be one state to any weights,
and the best policy none that a transformer can be. The best policy for ``J = E[r] - beta KL(policy || reference)`` is
``pi*(s) = ref(s) exp(r(s) / beta) / Z``, and ``J* = beta log E_ref[exp(r / beta)]`` (the softmax of Gibbs; see Levine 2018,
arXiv:1805.00909, section 2). The trainer is the one that trains dialogue models, told nothing of this.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from trimtab.dialogue.ppo.batches import Tokens, joined
from trimtab.dialogue.ppo.grading import Graded, Written
from trimtab.dialogue.ppo.learner import chosen_logprobs, reply_logits
from trimtab.plain import Plain


@dataclass(frozen=True)
class Optimum:
    """What can be known of a policy on the task, averaged over prompts: ``value`` J, ``reward`` E[r], ``kl`` in nats."""

    value: float
    reward: float
    kl: float


@dataclass(frozen=True)
class Enumerable:
    """The task. Rewards are uniform in [0, 1], drawn from ``seed``; ``beta`` is the cost of a nat."""

    seed: int = 0
    vocabulary: int = 6
    longest: int = 3
    prompt_count: int = 3
    beta: float = 0.1

    @property
    def end(self) -> int:
        """The token that ends a reply."""
        return self.vocabulary - 1

    @cached_property
    def replies(self) -> list[tuple[int, ...]]:
        """Every reply: of 0 to L - 1 tokens and the end, or of L tokens and cut."""
        words = range(self.end)
        ended = [(*r, self.end) for n in range(self.longest) for r in itertools.product(words, repeat=n)]
        return ended + list(itertools.product(words, repeat=self.longest))

    @cached_property
    def rewards_PS(self) -> np.ndarray:
        """The reward of each reply to each prompt."""
        return np.random.default_rng(self.seed).random((self.prompt_count, len(self.replies)))

    @property
    def prompts(self) -> list[list[int]]:
        return [[self.end, number] for number in range(self.prompt_count)]

    def model(self, *, width: int = 32, layers: int = 2) -> LlamaForCausalLM:
        """A reference: a small Llama with random weights, drawn from the seed, whose distribution is not flat."""
        config = LlamaConfig(
            vocab_size=self.vocabulary,
            hidden_size=width,
            intermediate_size=2 * width,
            num_hidden_layers=layers,
            num_attention_heads=4,
            num_key_value_heads=4,
            max_position_embeddings=16,
            bos_token_id=None,
            eos_token_id=self.end,
            pad_token_id=None,
        )
        generator_state = torch.get_rng_state()
        torch.manual_seed(self.seed)
        model = LlamaForCausalLM(config)
        for name, parameter in model.named_parameters():
            if parameter.ndim == 2:
                parameter.data.normal_(std=0.25 if "embed" in name else width**-0.5)
        torch.set_rng_state(generator_state)
        return model.eval()

    def _tokens(self) -> Tokens:
        pairs = [(prompt, list(reply)) for prompt in self.prompts for reply in self.replies]
        return joined([p for p, _ in pairs], [r for _, r in pairs], context=2, reply=self.longest)

    @torch.no_grad()
    def logprobs_PS(self, model: Any) -> np.ndarray:
        """Log-probability of every reply to every prompt under ``model``; their probabilities add up to 1."""
        tokens = self._tokens()
        logits_BTV, _ = reply_logits(model, tokens)
        chosen_BT = chosen_logprobs(logits_BTV, tokens.reply_ids_BT).double() * tokens.reply_mask_BT
        return chosen_BT.sum(dim=1).reshape(self.prompt_count, -1).numpy()

    def judge(self, policy_PS: np.ndarray, reference_PS: np.ndarray) -> Optimum:
        """Value, reward and KL of a policy, given its log-probabilities and the reference's."""
        chances_PS = np.exp(policy_PS)
        reward = float((chances_PS * self.rewards_PS).sum(axis=1).mean())
        kl = float((chances_PS * (policy_PS - reference_PS)).sum(axis=1).mean())
        return Optimum(reward - self.beta * kl, reward, kl)

    def optimum(self, reference_PS: np.ndarray) -> tuple[np.ndarray, Optimum]:
        """The best policy's log-probabilities, and what they are worth."""
        tilted_PS = reference_PS + self.rewards_PS / self.beta
        log_z_P1 = np.log(np.exp(tilted_PS).sum(axis=1, keepdims=True))
        best_PS = tilted_PS - log_z_P1
        return best_PS, self.judge(best_PS, reference_PS)

    def gap_closed(self, policy_PS: np.ndarray, reference_PS: np.ndarray) -> float:
        """``(J - J_ref) / (J* - J_ref)``: 0 for the reference, 1 for the best policy there is."""
        least = self.judge(reference_PS, reference_PS).value
        most = self.optimum(reference_PS)[1].value
        return (self.judge(policy_PS, reference_PS).value - least) / (most - least)


class TableGrader:
    """Grades by looking up. ``rewards_PS`` of the task, or others in their place."""

    parts = ("table",)

    def __init__(self, task: Enumerable, rewards_PS: np.ndarray | None = None) -> None:
        self._task = task
        self._index = {reply: number for number, reply in enumerate(task.replies)}
        self._rewards_PS = task.rewards_PS if rewards_PS is None else rewards_PS

    @property
    def prompts(self) -> Sequence[list[int]]:
        return self._task.prompts

    def grade(self, replies: Sequence[Written], progress: float, /) -> Graded:
        raw_B1 = np.array([[self._rewards_PS[reply.prompt, self._index[tuple(reply.ids)]]] for reply in replies])
        return Graded(self.parts, raw_B1, np.ones(1))

    def describe(self, reply: Written, /) -> str:
        return f"prompt {reply.prompt}, reply {reply.ids}"

    def state(self) -> dict[str, Plain]:
        return {}

    def restore(self, state: dict[str, Plain], /) -> None:
        pass
