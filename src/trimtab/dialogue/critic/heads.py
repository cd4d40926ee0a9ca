"""What is the value of what has been said so far? Heads that read the hidden state before each token, one per part.

A critic values a *prefix*. What reads the finished reply is a reward model, whatever it is called: as a baseline it would
depend on the action that it is to be compared with. Heads: one per part of the reward, and one for the cost of leaving
the reference; the value is their sum times the weights of the reward, which may change without any head becoming stale.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from trimtab.dialogue.ppo.batches import Tokens

KL = "kl"
"""The part that is the cost of leaving the reference."""


class ValueHeads(nn.Module):
    """A linear head for each of ``parts`` on hidden states of width H; zero at first."""

    def __init__(self, width: int, parts: Sequence[str]) -> None:
        super().__init__()
        if len(set(parts)) < len(parts) or not parts:
            raise ValueError(f"value heads for {list(parts)}: expected one at least, and each its own name")
        self.parts = tuple(parts)
        self.linear = nn.Linear(width, len(parts))
        nn.init.zeros_(self.linear.weight)
        nn.init.zeros_(self.linear.bias)

    def forward(self, hidden_BTH: Tensor) -> Tensor:
        """Values [B, T, P], float32."""
        with torch.autocast(hidden_BTH.device.type, enabled=False):
            return self.linear(hidden_BTH.float())


class Critic(nn.Module):
    """A trunk of its own, begun as a copy of a language model's, with value heads."""

    def __init__(self, trunk: nn.Module, width: int, parts: Sequence[str]) -> None:
        super().__init__()
        self.trunk = trunk
        self.heads = ValueHeads(width, parts)

    @classmethod
    def like(cls, model: Any, parts: Sequence[str]) -> Critic:
        """A critic whose trunk is a copy of ``model``'s decoder, trainable throughout."""
        trunk = copy.deepcopy(model.get_decoder())
        trunk.requires_grad_(True)
        return cls(trunk.eval(), model.config.hidden_size, parts)

    @property
    def parts(self) -> tuple[str, ...]:
        return self.heads.parts

    def forward(self, tokens: Tokens) -> Tensor:
        """Values [B, T, P] of the states before each reply token."""
        output: Any = self.trunk(
            input_ids=tokens.ids_BS, attention_mask=tokens.mask_BS.long(), position_ids=tokens.positions_BS()
        )
        return self.heads(before_tokens(output.last_hidden_state, tokens.reply_width))


def before_tokens(hidden_BSH: Tensor, width: int) -> Tensor:
    """The hidden states from which the last ``width`` tokens were predicted, [B, T, H]."""
    return hidden_BSH[:, -width - 1 : -1]
