"""What does PPO minimise? The clipped surrogate and the clipped value loss, over the real tokens of padded replies.

Schulman et al. 2017 (arXiv:1707.06347), equation 7; value clipping as in the authors' code. Sums, not means: what they are
divided by (the tokens of the whole minibatch, over all processes and accumulated pieces) is the caller's to know.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor


def clipped_surrogate(
    logprobs_BT: Float[Tensor, "B T"],
    old_logprobs_BT: Float[Tensor, "B T"],
    advantages_BT: Float[Tensor, "B T"],
    mask_BT: Bool[Tensor, "B T"],
    epsilon: float,
) -> Float[Tensor, ""]:
    """``sum of max(-A rho, -A clip(rho, 1 - eps, 1 + eps))`` over real tokens, ``rho = exp(logprob - old_logprob)``."""
    ratio_BT = torch.exp((logprobs_BT - old_logprobs_BT).masked_fill(~mask_BT, 0.0))
    clipped_BT = ratio_BT.clamp(1 - epsilon, 1 + epsilon)
    return (torch.maximum(-advantages_BT * ratio_BT, -advantages_BT * clipped_BT) * mask_BT).sum()


def clipped_value_loss(
    values_BTP: Float[Tensor, "B T P"],
    old_values_BTP: Float[Tensor, "B T P"],
    returns_BTP: Float[Tensor, "B T P"],
    mask_BT: Bool[Tensor, "B T"],
    weights_P: Float[Tensor, " P"],
    epsilon: float | None,
) -> Float[Tensor, ""]:
    """``sum of w_p max((V - R)^2, (clip(V, V_old +- eps) - R)^2) / 2`` over real tokens and parts; None: no clipping."""
    errors_BTP = (values_BTP - returns_BTP) ** 2
    if epsilon is not None:
        held_BTP = old_values_BTP + (values_BTP - old_values_BTP).clamp(-epsilon, epsilon)
        errors_BTP = torch.maximum(errors_BTP, (held_BTP - returns_BTP) ** 2)
    return 0.5 * (errors_BTP * weights_P * mask_BT[:, :, None]).sum()


def clipped_share(
    logprobs_BT: Float[Tensor, "B T"],
    old_logprobs_BT: Float[Tensor, "B T"],
    mask_BT: Bool[Tensor, "B T"],
    epsilon: float,
) -> Float[Tensor, ""]:
    """How many real tokens have a ratio outside ``1 +- epsilon`` (a sum)."""
    ratio_BT = torch.exp((logprobs_BT - old_logprobs_BT).masked_fill(~mask_BT, 0.0))
    return ((ratio_BT - 1).abs() > epsilon).sum().float()


def token_entropy(logits_BTV: Float[Tensor, "B T V"]) -> Float[Tensor, "B T"]:
    """``H = log Z - sum p logit`` of the softmax at each position, in nats."""
    return entropy_of(torch.log_softmax(logits_BTV, dim=-1))


def entropy_of(logprobs_BTV: Float[Tensor, "B T V"]) -> Float[Tensor, "B T"]:
    """The entropy of each position's distribution from its log-probabilities, in nats."""
    return -(logprobs_BTV.exp() * logprobs_BTV).sum(dim=-1)
