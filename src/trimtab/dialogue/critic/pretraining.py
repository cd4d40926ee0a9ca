"""How does a critic learn before the policy moves? By regression on replies whose rewards are known.

The target at every token is what the reply brought in the end, part by part (the return with lambda = 1: nothing is
bootstrapped from a critic that knows nothing). The heads of the KL cost are held at 0: the policy has not left its
reference yet. A share of the replies is held out, and the weights of the pass that explained it best are kept.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from trimtab.dialogue.critic.heads import Critic, ValueHeads
from trimtab.dialogue.ppo.batches import Tokens
from trimtab.dialogue.ppo.grading import token_rewards
from trimtab.dialogue.ppo.learner import reply_logits
from trimtab.dialogue.ppo.losses import clipped_value_loss
from trimtab.dialogue.ppo.rollouts import explained, head_weights
from trimtab.maths.tokens import backward_sums


@dataclass(frozen=True)
class CriticSettings:
    """Hyper-parameters of the regression. ``patience``: passes without progress before it ends."""

    epochs: int = 6
    batch_size: int = 32
    learning_rate: float = 1e-3
    held_out: float = 0.15
    patience: int = 2
    max_gradient_norm: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        if not (self.epochs > 0 and self.batch_size > 0 and self.learning_rate > 0 and 0 < self.held_out < 1):
            raise ValueError(f"{self}: expected positive numbers, and a share between 0 and 1 to hold out")


@dataclass(frozen=True)
class Labelled:
    """Replies and what they brought: ``raw_BP`` of the parts ``parts`` (no KL cost among them), ``weights_P`` of these.

    ``log_ratio_BT``: log policy - log reference; None: the policy that wrote them is the reference.
    """

    tokens: Tokens
    raw_BP: np.ndarray
    parts: tuple[str, ...]
    weights_P: np.ndarray
    kl_coefficient: float = 0.0
    log_ratio_BT: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.tokens)

    @property
    def all_weights_P(self) -> np.ndarray:
        """Weights of the parts and of the KL cost."""
        return np.append(self.weights_P, self.kl_coefficient)

    def outcomes_BTP(self) -> np.ndarray:
        """What is still to come at each token, part by part, the KL cost last."""
        mask_BT = self.tokens.reply_mask_BT.numpy()
        ratio_BT = np.zeros(mask_BT.shape) if self.log_ratio_BT is None else self.log_ratio_BT
        return backward_sums(token_rewards(self.raw_BP, ratio_BT, mask_BT), 1.0)

    def explained(self, values_BTP: Tensor, rows: Tensor) -> dict[str, float]:
        """Explained variance, over the tokens of ``rows``, of each part and of the ``total``."""
        mask_BT = self.tokens.reply_mask_BT[rows].numpy()
        outcomes_NP = self.outcomes_BTP()[rows.numpy()][mask_BT]
        values_NP = values_BTP.double().numpy()[mask_BT]
        return explained(values_NP, outcomes_NP, self.all_weights_P, self.parts)


Valuing = Callable[[Tokens], Tensor]


def valuing(critic: Critic | ValueHeads, policy: nn.Module) -> Valuing:
    """How values [B, T, P] come from tokens; the policy's trunk, where it is used, gets no gradient."""
    if isinstance(critic, Critic):
        return critic

    def on_trunk(tokens: Tokens) -> Tensor:
        with torch.no_grad():
            _, hidden_BTH = reply_logits(policy, tokens, hidden=True)
        assert hidden_BTH is not None
        return critic(hidden_BTH)

    return on_trunk


@torch.no_grad()
def values_of(values: Valuing, tokens: Tokens, device: torch.device | str, rows_at_once: int = 64) -> Tensor:
    """Values [B, T, P] on the CPU, in pieces."""
    found: list[Tensor] = []
    for piece in torch.arange(len(tokens)).split(rows_at_once):
        some = tokens.rows(piece).trimmed()
        values_BTP = values(some.to(device)).float().cpu()
        found.append(nn.functional.pad(values_BTP, (0, 0, 0, tokens.reply_width - some.reply_width)))
    return torch.cat(found)


def fit_critic(
    critic: Critic | ValueHeads,
    policy: nn.Module,
    labelled: Labelled,
    settings: CriticSettings,
    *,
    told: Callable[[int, Mapping[str, float]], object] = lambda epoch, explained: None,
) -> dict[str, float]:
    """Train the critic in place; the explained variance on held-out replies of the weights that were kept.

    ``told`` hears after each pass. Raises ValueError for too few replies to hold any out.
    """
    training, held_out = _split(len(labelled), settings)
    device = next(critic.parameters()).device
    values, kept = valuing(critic, policy), _Kept(critic)
    optimizer = torch.optim.AdamW(critic.parameters(), lr=settings.learning_rate, eps=1e-5, weight_decay=0.01)
    outcomes_BTP = torch.from_numpy(labelled.outcomes_BTP()).float()
    weights_P = torch.from_numpy(head_weights(labelled.all_weights_P)).float().to(device)
    held_tokens = labelled.tokens.rows(held_out)
    for epoch in range(settings.epochs):
        for group in optimizer.param_groups:
            group["lr"] = settings.learning_rate * (1 - epoch / settings.epochs)
        _one_pass(critic, values, optimizer, labelled.tokens, outcomes_BTP, weights_P, training, epoch, settings)
        found = labelled.explained(values_of(values, held_tokens, device), held_out)
        told(epoch, found)
        if kept.look(found) >= settings.patience:
            break
    return kept.restore()


def _split(count: int, settings: CriticSettings) -> tuple[Tensor, Tensor]:
    held = int(count * settings.held_out)
    if held < 2:
        raise ValueError(f"{count} replies to fit a critic: expected enough that {settings.held_out} of them are some")
    order = torch.randperm(count, generator=torch.Generator().manual_seed(settings.seed))
    return order[held:], order[:held]


def _one_pass(
    critic: nn.Module,
    values: Valuing,
    optimizer: torch.optim.Optimizer,
    tokens: Tokens,
    outcomes_BTP: Tensor,
    weights_P: Tensor,
    training: Tensor,
    epoch: int,
    settings: CriticSettings,
) -> None:
    generator = torch.Generator().manual_seed(settings.seed * 1009 + epoch)
    order = training[torch.randperm(len(training), generator=generator)]
    for rows in order.split(settings.batch_size):
        some = tokens.rows(rows).trimmed().to(weights_P.device)
        values_BTP = values(some)
        wanted_BTP = outcomes_BTP[rows, : some.reply_width].to(weights_P.device)
        loss = clipped_value_loss(values_BTP, values_BTP, wanted_BTP, some.reply_mask_BT, weights_P, None)
        (loss / some.reply_mask_BT.sum()).backward()
        nn.utils.clip_grad_norm_(critic.parameters(), settings.max_gradient_norm)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)


class _Kept:
    """The best weights so far."""

    def __init__(self, critic: nn.Module) -> None:
        self._critic = critic
        self._best: dict[str, float] = {}
        self._weights: dict[str, Tensor] = {}
        self._since = 0

    def look(self, found: dict[str, float]) -> int:
        """Take in a pass; how many have gone by without progress."""
        better = not self._best or not found["total"] <= self._best["total"]
        self._since = 0 if better else self._since + 1
        if better:
            self._best = found
            self._weights = {name: tensor.clone() for name, tensor in self._critic.state_dict().items()}
        return self._since

    def restore(self) -> dict[str, float]:
        self._critic.load_state_dict(self._weights)
        return self._best
