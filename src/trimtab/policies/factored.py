"""How does a network choose among hundreds of combinations by a few numbers for each part, and never an impossible one?

The action is MultiDiscrete: a bin of every part (for a draft tree: total_tokens, depth, top_k). The network gives one
logit per bin; the logit of a combination is the sum of those of its bins:

    logit(t, d, k) = u_t + v_d + w_k,      p(t, d, k) = softmax of these over the combinations that exist

Over all combinations the softmax of such sums is the product of the parts' own softmaxes, which is SB3's MultiDiscrete.
Over those that exist it is that product, conditioned on existing: impossible ones have no probability, and log-probability
and entropy are exact. Masking each part by itself could not say that (60 tokens exist, and top_k 1, but not together).
In matrices: logits_A = bins_H @ bins_HA, with 0 and 1 in bins_HA; so a trained network is a plain perceptron again, its
last layer multiplied by that matrix.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from stable_baselines3.common.distributions import CategoricalDistribution
from stable_baselines3.common.policies import ActorCriticPolicy
from torch import nn
from torch.distributions import Categorical

from trimtab.policies.mlp import MLP


def bins_of(combinations_AP: Sequence[Sequence[int]]) -> np.ndarray:
    """The matrix [H, A] of 0 and 1 that sums the logits of a combination's bins; A combinations of P parts.

    Its rows are the first part's bins, ascending, then the second's, and so on. Raises ValueError for an empty menu.
    """
    combinations = np.asarray(combinations_AP)
    if combinations.ndim != 2 or 0 in combinations.shape:
        raise ValueError(f"combinations of shape {combinations.shape}: expected [actions, parts], one of each at least")
    rows = [part == value for part in combinations.T for value in np.unique(part)]
    return np.stack(rows).astype(np.float32)


def expanded(heads: MLP, bins_HA: np.ndarray | None) -> MLP:
    """A network of bins' logits as one of actions' logits; as it is where there are no bins."""
    if bins_HA is None:
        return heads
    weight, bias = heads.layers[-1]
    return MLP((*heads.layers[:-1], (weight @ bins_HA, bias @ bins_HA)))


class FactoredCategorical(CategoricalDistribution):
    """SB3's distribution over A actions, made of the logits of their H bins."""

    def __init__(self, bins_HA: np.ndarray) -> None:
        super().__init__(bins_HA.shape[1])
        self.bins_HA = torch.from_numpy(np.ascontiguousarray(bins_HA, dtype=np.float32))

    def proba_distribution_net(self, latent_dim: int) -> nn.Module:
        """One logit for each bin."""
        return nn.Linear(latent_dim, self.bins_HA.shape[0])

    def proba_distribution(self, action_logits: torch.Tensor) -> FactoredCategorical:
        """From the bins' logits [B, H]."""
        self.distribution = Categorical(logits=action_logits @ self.bins_HA.to(action_logits.device))
        return self


class FactoredActorCritic(ActorCriticPolicy):
    """SB3's actor and critic, the actor's last layer giving the logits of bins. ``bins_HA``: see ``bins_of``."""

    def __init__(self, *args: Any, bins_HA: np.ndarray, **kwargs: Any) -> None:
        self._bins_HA = bins_HA
        super().__init__(*args, **kwargs)

    def _build(self, lr_schedule: Any) -> None:
        self.action_dist = FactoredCategorical(self._bins_HA)
        super()._build(lr_schedule)
