"""What does an update learn from? Replies with all that was measured of them, and the advantages that follow.

The same in all processes, in the order of the prompts: each process writes and evaluates its share of the replies, and
then all know all. Hence whitening needs no further exchange, and nothing depends on the number of processes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from trimtab.dialogue.ppo.batches import Tokens
from trimtab.dialogue.ppo.grading import Graded, token_rewards
from trimtab.dialogue.ppo.settings import PPOSettings
from trimtab.maths.tokens import backward_sums, explained_variance, token_gae, whiten


@dataclass(frozen=True)
class Replies:
    """Replies of an update as sampled and evaluated, before they are graded. Everything lies on the CPU.

    ``prompts_B``: index of each reply's prompt. ``sampled_BT``: log-probabilities noted while sampling;
    ``logprobs_BT``, ``reference_BT``: of policy and reference, as the learner computes them; ``values_BTP``: of the critic.
    """

    prompts_B: Tensor
    tokens: Tokens
    ended_B: Tensor
    sampled_BT: Tensor
    logprobs_BT: Tensor
    reference_BT: Tensor
    values_BTP: Tensor

    def exchanged(self, exchange: Callable[[Tensor], Tensor]) -> Replies:
        """The replies of all processes, ``exchange`` being what joins a tensor's rows."""
        return Replies(
            exchange(self.prompts_B),
            Tokens(exchange(self.tokens.ids_BS), exchange(self.tokens.mask_BS), self.tokens.reply_width),
            exchange(self.ended_B),
            exchange(self.sampled_BT),
            exchange(self.logprobs_BT),
            exchange(self.reference_BT),
            exchange(self.values_BTP),
        )

    @property
    def mask_BT(self) -> np.ndarray:
        return self.tokens.reply_mask_BT.numpy()

    @property
    def log_ratio_BT(self) -> np.ndarray:
        """``log policy - log reference``; 0 at padding."""
        ratio_BT = (self.logprobs_BT - self.reference_BT).double().numpy()
        return np.where(self.mask_BT, ratio_BT, 0.0)

    @property
    def sampling_error(self) -> float:
        """The largest difference between a token's log-probability when drawn and when evaluated, in nats."""
        return float((self.sampled_BT - self.logprobs_BT).abs()[self.tokens.reply_mask_BT].max())


@dataclass(frozen=True)
class Targets:
    """What policy and critic are to learn of the replies. ``explained``: per part, how much of the undiscounted outcome's
    variance over tokens the critic's values explained, before they were trained on it; ``total`` for their weighted sum."""

    advantages_BT: Tensor
    returns_BTP: Tensor
    head_weights_P: Tensor
    explained: dict[str, float]


def head_weights(weights_P: np.ndarray, smallest: float = 0.01) -> np.ndarray:
    """Weights of the heads' losses: the square of what an error costs in the total, relative to the dearest head.

    A head that counts nothing yet (a schedule that begins at 0) still learns a little.
    """
    squares_P = weights_P**2
    return np.maximum(squares_P / max(float(squares_P.max()), 1e-12), smallest)


def targets(
    replies: Replies,
    graded: Graded,
    kl_coefficient: float,
    settings: PPOSettings,
    token_weights: Callable[[Tokens, np.ndarray], np.ndarray] = lambda tokens, weights_P: weights_P,
) -> Targets:
    """Credit the replies' tokens. The last head is that of the KL cost, its weight the coefficient.

    ``token_weights``: what each part counts at each token, given what it counts in the reward.
    """
    mask_BT = replies.mask_BT
    values_BTP = replies.values_BTP.double().numpy()
    weights_P = np.append(graded.weights_P, kl_coefficient)
    rewards_BTP = token_rewards(graded.raw_BP, replies.log_ratio_BT, mask_BT)
    advantages_BTP = token_gae(rewards_BTP, values_BTP, mask_BT, discount=settings.discount, decay=settings.decay)
    returns_BTP = np.where(mask_BT[:, :, None], advantages_BTP + values_BTP, 0.0)
    advantages_BT = (advantages_BTP * token_weights(replies.tokens, weights_P)).sum(axis=2)
    if settings.whiten:
        advantages_BT = whiten(advantages_BT, mask_BT)
    outcomes_BTP = backward_sums(rewards_BTP, settings.discount)
    return Targets(
        torch.from_numpy(advantages_BT).float(),
        torch.from_numpy(returns_BTP).float(),
        torch.from_numpy(head_weights(weights_P)).float(),
        explained(values_BTP[mask_BT], outcomes_BTP[mask_BT], weights_P, graded.parts),
    )


def explained(
    values_NP: np.ndarray, outcomes_NP: np.ndarray, weights_P: np.ndarray, parts: tuple[str, ...]
) -> dict[str, float]:
    """Explained variance over N tokens: of each part, of the KL cost, and ``total`` of their weighted sum."""
    names = (*parts, "kl")
    found = {name: explained_variance(values_NP[:, i], outcomes_NP[:, i]) for i, name in enumerate(names)}
    return {"total": explained_variance(values_NP @ weights_P, outcomes_NP @ weights_P), **found}
