"""How likely does a reference model find a reply? Its mean log-probability per token, given the dialogue."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from trimtab.dialogue.example import Reply

FLOOR_NATS = -10.0
"""The worst that a token counts: what a reply without any token is worth."""


def check_same_vocabulary(policy: PreTrainedTokenizerBase, reference: PreTrainedTokenizerBase) -> None:
    """Raises ValueError where two models read different tokens, and so cannot be compared token by token."""
    ours, theirs = policy.get_vocab(), reference.get_vocab()
    if ours != theirs:
        apart = [token for token in sorted(ours.keys() | theirs.keys()) if ours.get(token) != theirs.get(token)]
        shown = ", ".join(f"{token!r} is {ours.get(token)} and {theirs.get(token)}" for token in apart[:3])
        raise ValueError(
            f"the policy's vocabulary ({len(ours)} tokens) is not the reference model's ({len(theirs)}): {shown}. "
            "Give the model that the policy was trained from."
        )


class Fluency:
    """exp of the mean log-probability of a reply's tokens, its end included where it ended, in (0, 1].

    Each token counts at least ``FLOOR_NATS``. ``model``, ``tokenizer``: the reference, kept as it is (evaluation mode);
    ``lead``: what stands between a prompt and its reply (a space, for templates that end without one).
    """

    def __init__(
        self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, *, lead: str = "", batch_size: int = 64
    ) -> None:
        end: Any = tokenizer.eos_token_id
        if end is None:
            raise ValueError(
                "the reference's tokenizer has no end-of-sequence token: expected one, to see replies end."
            )
        self._model, self._tokenizer, self._end = model.eval(), tokenizer, int(end)
        self._lead, self._batch_size = lead, batch_size

    def __call__(self, replies: Sequence[Reply]) -> list[float]:
        return [float(torch.tensor(nats).exp()) for nats in self.mean_logprobs(replies)]

    def mean_logprobs(self, replies: Sequence[Reply]) -> list[float]:
        """The mean log-probability (nats) of each reply's tokens."""
        found: list[float] = []
        for start in range(0, len(replies), self._batch_size):
            found += self._batch(replies[start : start + self._batch_size])
        return found

    def _ids(self, reply: Reply) -> tuple[list[int], list[int]]:
        def read(text: str, special: bool) -> list[int]:
            return list(self._tokenizer(text, add_special_tokens=special)["input_ids"])

        begin, prompt = self._tokenizer.bos_token, reply.example.prompt
        begun = begin is not None and prompt.startswith(str(begin))
        end = [self._end] if reply.ended else []
        said = read(f"{self._lead}{reply.text}", False) if reply.text else []
        return read(prompt, not begun), [*said, *end]

    @torch.no_grad()
    def _batch(self, replies: Sequence[Reply]) -> list[float]:
        pairs = [self._ids(reply) for reply in replies]
        width = max(len(prompt) + len(said) for prompt, said in pairs)
        ids_BL = torch.zeros(len(pairs), width, dtype=torch.long)
        attended_BL, said_BL = torch.zeros_like(ids_BL), torch.zeros(len(pairs), width, dtype=torch.bool)
        for row, (prompt, said) in enumerate(pairs):
            size = len(prompt) + len(said)
            ids_BL[row, :size] = torch.tensor([*prompt, *said], dtype=torch.long)
            attended_BL[row, :size] = 1
            said_BL[row, len(prompt) : size] = True
        return _masked_means(self._token_logprobs(ids_BL, attended_BL), said_BL[:, 1:])

    def _token_logprobs(self, ids_BL: Tensor, attended_BL: Tensor) -> Tensor:
        device = self._model.device
        logits = self._model(input_ids=ids_BL.to(device), attention_mask=attended_BL.to(device)).logits[:, :-1]
        logprobs = logits.float().log_softmax(-1).gather(-1, ids_BL[:, 1:, None].to(device))[..., 0]
        return logprobs.clamp(min=FLOOR_NATS).cpu()


def _masked_means(values_BL: Tensor, mask_BL: Tensor) -> list[float]:
    """Means over what is masked in, ``FLOOR_NATS`` where that is nothing."""
    counts_B = mask_BL.sum(-1)
    means_B = (values_BL * mask_BL).sum(-1) / counts_B.clamp(min=1)
    return torch.where(counts_B > 0, means_B, torch.full_like(means_B, FLOOR_NATS)).tolist()
