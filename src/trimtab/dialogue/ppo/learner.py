"""What is trained? A policy and its critic as one module, evaluated on given replies in one forward pass.

One module, so that one wrapper (of accelerate) carries all gradients. Log-probabilities are divided by the temperature
that replies are sampled with. Dropout stays off: the ratio of new to old log-probability must be 1 before any step.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from contextlib import nullcontext
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from trimtab.dialogue.critic.heads import Critic, ValueHeads, before_tokens
from trimtab.dialogue.ppo.batches import Tokens
from trimtab.dialogue.ppo.losses import entropy_of
from trimtab.dialogue.ppo.sampling import Sampled, sample


class Evaluated(NamedTuple):
    """Of each reply token: log-probability, entropy of its distribution (nats), values of the state before it."""

    logprobs_BT: Tensor
    entropy_BT: Tensor
    values_BTP: Tensor


def reply_logits(model: Any, tokens: Tokens, *, hidden: bool = False) -> tuple[Tensor, Tensor | None]:
    """Logits [B, T, V] that each reply token was drawn from, and the hidden states [B, T, H] beneath them if wanted."""
    output = model(
        input_ids=tokens.ids_BS,
        attention_mask=tokens.mask_BS.long(),
        position_ids=tokens.positions_BS(),
        use_cache=False,
        logits_to_keep=tokens.reply_width + 1,
        output_hidden_states=hidden,
    )
    beneath = before_tokens(output.hidden_states[-1], tokens.reply_width) if hidden else None
    return output.logits[:, :-1], beneath


def chosen_logprobs(logits_BTV: Tensor, ids_BT: Tensor) -> Tensor:
    """Log-probability of each given token, float32."""
    return torch.log_softmax(logits_BTV.float(), dim=-1).gather(2, ids_BT[:, :, None])[:, :, 0]


class Learner(nn.Module):
    """Policy and critic. ``critic`` is a model of its own, or heads that read the policy's last hidden state.

    Raises ValueError where a critic's trunk has another vocabulary than the policy.
    """

    def __init__(self, policy: Any, critic: Critic | ValueHeads, temperature: float = 1.0) -> None:
        super().__init__()
        self.policy = policy
        self.critic = critic
        self.temperature = temperature
        self.entropy_gradient = True
        self.eval()

    @property
    def parts(self) -> tuple[str, ...]:
        """What the heads value."""
        return self.critic.parts

    def policy_parameters(self) -> list[nn.Parameter]:
        return [p for p in self.policy.parameters() if p.requires_grad]

    def critic_parameters(self) -> list[nn.Parameter]:
        return [p for p in self.critic.parameters() if p.requires_grad]

    def write(
        self, prompts: list[list[int]], noise_BT: Tensor | None, *, width: int, ends: Collection[int], context: int
    ) -> Sampled:
        """Replies of the policy (see ``sampling.sample``)."""
        return sample(
            self.policy,
            prompts,
            noise_BT=noise_BT,
            width=width,
            ends=ends,
            context=context,
            temperature=self.temperature,
        )

    def token_weights(self, tokens: Tokens, weights_P: np.ndarray) -> np.ndarray:
        """What each part counts at each reply token, [B, T, P] or what broadcasts to it: the same everywhere, here."""
        return weights_P

    def forward(self, ids_BS: Tensor, mask_BS: Tensor, reply_width: int) -> Evaluated:
        """Evaluate replies; entropies carry a gradient like the rest, unless ``entropy_gradient`` is off."""
        tokens = Tokens(ids_BS, mask_BS, reply_width)
        on_trunk = isinstance(self.critic, ValueHeads)
        logits_BTV, hidden_BTH = reply_logits(self.policy, tokens, hidden=on_trunk)
        logits_BTV = logits_BTV.float() / self.temperature
        values_BTP = self.critic(hidden_BTH if on_trunk else tokens)
        logprobs_BTV = torch.log_softmax(logits_BTV, dim=-1)
        with torch.set_grad_enabled(torch.is_grad_enabled() and self.entropy_gradient):
            entropy_BT = entropy_of(logprobs_BTV)
        return Evaluated(logprobs_BTV.gather(2, tokens.reply_ids_BT[:, :, None])[:, :, 0], entropy_BT, values_BTP)


class Reference:
    """Where the policy must not go too far from: a frozen model, or the policy itself with its adapter disabled.

    Raises ValueError where the model has another vocabulary than the policy, or where there is no adapter to disable.
    """

    def __init__(self, policy: Any, model: Any | None = None) -> None:
        if model is None and not hasattr(policy, "disable_adapter"):
            raise ValueError(
                "a policy without adapter cannot be its own reference: give a copy of it as the reference model, or "
                "train it by LoRA"
            )
        if model is not None:
            refuse_other_vocabulary(policy, model)
            model.requires_grad_(False).eval()
        self._policy, self._model = policy, model

    @property
    def model(self) -> Any | None:
        """The frozen model, None where the policy itself is the reference."""
        return self._model

    @torch.no_grad()
    def logprobs(self, tokens: Tokens, temperature: float) -> Tensor:
        """Log-probabilities [B, T] of the replies under the reference."""
        model = self._policy if self._model is None else self._model
        with self._policy.disable_adapter() if self._model is None else nullcontext():
            logits_BTV, _ = reply_logits(model, tokens)
        return chosen_logprobs(logits_BTV / temperature, tokens.reply_ids_BT)


def refuse_other_vocabulary(policy: Any, reference: Any, names: Sequence[Any] = ()) -> None:
    """Raises ValueError where the two do not read the same tokens.

    ``names``: both tokenizers, where they are known; else the number of embedded tokens alone is compared.
    """
    sizes = [int(model.config.vocab_size) for model in (policy, reference)]
    if sizes[0] != sizes[1]:
        raise ValueError(
            f"the policy has a vocabulary of {sizes[0]} tokens, the reference one of {sizes[1]}: the KL between them is "
            "not defined. Take the model that the policy was begun from as its reference"
        )
    if len(names) == 2 and names[0].get_vocab() != names[1].get_vocab():
        raise ValueError(
            "the tokenizers of policy and reference map words to other ids: the KL between the two models would compare "
            "different words. Take the model that the policy was begun from as its reference"
        )
