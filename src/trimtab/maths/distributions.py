"""What do logits say? Log-probabilities, entropy and divergence over the last axis, in numpy. All in nats."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float


def log_softmax(logits: Float[np.ndarray, "*batch A"]) -> Float[np.ndarray, "*batch A"]:
    """Log-probabilities of logits; ``-inf`` logits have probability 0. At least one logit per row must be finite."""
    shifted = logits - logits.max(axis=-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))


def _expectation(
    logprobs: Float[np.ndarray, "*batch A"], values: Float[np.ndarray, "*batch A"]
) -> Float[np.ndarray, "*batch"]:
    """``sum p * values``; where ``p = 0`` the value does not count, be it infinite."""
    probabilities = np.exp(logprobs)
    return np.asarray((probabilities * np.where(probabilities > 0, values, 0.0)).sum(axis=-1))


def entropy(logits: Float[np.ndarray, "*batch A"]) -> Float[np.ndarray, "*batch"]:
    """``H(p) = -sum p log p`` of the softmax of logits."""
    logprobs = log_softmax(logits)
    return _expectation(logprobs, -logprobs)


def kl_divergence(
    logits_p: Float[np.ndarray, "*batch A"], logits_q: Float[np.ndarray, "*batch A"]
) -> Float[np.ndarray, "*batch"]:
    """``KL(p || q) = sum p (log p - log q)``; infinite where p has mass that q has not."""
    logprobs_p, logprobs_q = log_softmax(logits_p), log_softmax(logits_q)
    with np.errstate(invalid="ignore"):  # -inf - -inf where neither has mass: not counted
        return _expectation(logprobs_p, logprobs_p - logprobs_q)
