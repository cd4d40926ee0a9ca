"""How do policy and critic learn from an update's replies? Several passes in minibatches, each split over processes.

A minibatch's loss is the mean over its real tokens, however it is cut into pieces (gradient accumulation) and dealt to
processes: the pieces' sums are divided by the tokens of the whole. Policy and critic are clipped each by its own norm.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext
from typing import Any

import torch
from torch import Tensor

from trimtab.dialogue.ppo.learner import Evaluated, Learner
from trimtab.dialogue.ppo.losses import clipped_share, clipped_surrogate, clipped_value_loss
from trimtab.dialogue.ppo.rollouts import Replies, Targets
from trimtab.dialogue.ppo.settings import PPOSettings
from trimtab.types import Metrics


def minibatches(count: int, settings: PPOSettings, update: int) -> Iterator[Tensor]:
    """Rows of each minibatch, pass after pass; told by seed and update alone."""
    generator = torch.Generator().manual_seed(settings.seed * 7_000_003 + update)
    for _ in range(settings.epochs):
        yield from torch.randperm(count, generator=generator).split(settings.minibatch_size)


def loss_sums(
    evaluated: Evaluated, replies: Replies, targets: Targets, rows: Tensor, settings: PPOSettings
) -> dict[str, Tensor]:
    """Sums over the real tokens of ``rows``: policy_loss, value_loss, entropy, clipped_share."""
    device, width = evaluated.logprobs_BT.device, evaluated.logprobs_BT.shape[1]

    def cut(tensor: Tensor) -> Tensor:
        return tensor[rows, :width].to(device)

    mask_BT, old_BT = cut(replies.tokens.reply_mask_BT), cut(replies.logprobs_BT)
    return {
        "policy_loss": clipped_surrogate(
            evaluated.logprobs_BT, old_BT, cut(targets.advantages_BT), mask_BT, settings.clip_epsilon
        ),
        "value_loss": clipped_value_loss(
            evaluated.values_BTP,
            cut(replies.values_BTP),
            cut(targets.returns_BTP),
            mask_BT,
            targets.head_weights_P.to(device),
            settings.value_clip_epsilon,
        ),
        "entropy": (evaluated.entropy_BT * mask_BT).sum(),
        "clipped_share": clipped_share(evaluated.logprobs_BT.detach(), old_BT, mask_BT, settings.clip_epsilon),
    }


def loss_of(sums: dict[str, Tensor], settings: PPOSettings) -> Tensor:
    """The sum that is minimised: policy, critic, and entropy against them."""
    entropy = settings.entropy_coefficient * sums["entropy"]
    return sums["policy_loss"] + settings.value_coefficient * sums["value_loss"] - entropy


class Updating:
    """The passes of one update, in one of ``accelerator``'s processes."""

    def __init__(self, accelerator: Any, model: Any, learner: Learner, optimizer: Any, settings: PPOSettings) -> None:
        self._accelerator, self._model, self._optimizer = accelerator, model, optimizer
        self._learner, self._settings = learner, settings

    def run(self, replies: Replies, targets: Targets, update: int) -> Metrics:
        """Learn; the mean of the losses over tokens and steps, and of the gradients' norms over steps."""
        sums: dict[str, Tensor] = {}
        norms, steps = {"gradient_norm": 0.0, "critic_gradient_norm": 0.0}, 0
        tokens = 0
        for rows in minibatches(len(replies.tokens), self._settings, update):
            count = int(replies.tokens.reply_mask_BT[rows].sum())
            for name, value in self._minibatch(replies, targets, rows, count).items():
                sums[name] = sums.get(name, torch.zeros((), device=value.device)) + value
            for name, norm in self._step().items():
                norms[name] += norm
            tokens, steps = tokens + count, steps + 1
        shared = self._accelerator.reduce(torch.stack([sums[name].double() for name in sorted(sums)]), "sum").tolist()
        means = {name: value / tokens for name, value in zip(sorted(sums), shared, strict=True)}
        return {**means, **{name: total / steps for name, total in norms.items()}}

    def _minibatch(self, replies: Replies, targets: Targets, rows: Tensor, count: int) -> dict[str, Tensor]:
        """Gradients of this process's share of a minibatch of ``count`` tokens in all."""
        team = self._accelerator
        mine = rows[team.process_index :: team.num_processes]
        pieces = mine.split(len(mine) // self._settings.accumulation)
        totals: dict[str, Tensor] = {}
        for number, piece in enumerate(pieces):
            last = number == len(pieces) - 1
            with nullcontext() if last else team.no_sync(self._model):
                tokens = replies.tokens.rows(piece).trimmed().to(team.device)
                evaluated = self._model(tokens.ids_BS, tokens.mask_BS, tokens.reply_width)
                sums = loss_sums(evaluated, replies, targets, piece, self._settings)
                # the gradients of the processes are averaged, their sums are wanted
                team.backward(loss_of(sums, self._settings) * (team.num_processes / count))
            for name, value in sums.items():
                totals[name] = totals.get(name, torch.zeros_like(value)) + value.detach()
        return totals

    def _step(self) -> Metrics:
        limit, team = self._settings.max_gradient_norm, self._accelerator
        norms = {
            "gradient_norm": team.clip_grad_norm_(self._learner.policy_parameters(), limit),
            "critic_gradient_norm": team.clip_grad_norm_(self._learner.critic_parameters(), limit),
        }
        self._optimizer.step()
        self._optimizer.zero_grad(set_to_none=True)
        return {name: float(norm) for name, norm in norms.items()}
