"""Is the loss of padded arrays, and its gradient, that of a naive loop over the tokens of each reply?"""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from trimtab.dialogue.ppo.batches import Tokens
from trimtab.dialogue.ppo.learner import Evaluated
from trimtab.dialogue.ppo.losses import clipped_share, clipped_surrogate, clipped_value_loss, token_entropy
from trimtab.dialogue.ppo.rollouts import Replies, Targets
from trimtab.dialogue.ppo.settings import PPOSettings
from trimtab.dialogue.ppo.updating import loss_of, loss_sums


def test_clipped_surrogate_by_hand() -> None:
    new = torch.log(torch.tensor([[2.0, 0.5, 1.1], [2.0, 0.5, 7.0]]))
    old, mask = torch.zeros(2, 3), torch.tensor([[True, True, True], [True, True, False]])
    gains = torch.tensor([[1.0, 1.0, 1.0], [-1.0, -1.0, 5.0]])
    # gains: min(2, 1.2), min(.5, .8), 1.1; losses: max(2, 1.2), max(.5, .8)
    assert float(clipped_surrogate(new, old, gains, mask, 0.2)) == pytest.approx(-(1.2 + 0.5 + 1.1) + 2.0 + 0.8)
    assert float(clipped_share(new, old, mask, 0.2)) == 4


def test_where_it_is_clipped_there_is_no_gradient() -> None:
    new = torch.log(torch.tensor([[2.0, 0.5]])).requires_grad_()
    mask = torch.ones(1, 2, dtype=torch.bool)
    clipped_surrogate(new, torch.zeros(1, 2), torch.tensor([[1.0, -1.0]]), mask, 0.2).backward()
    assert new.grad is not None
    assert not new.grad.any()


def test_value_loss_by_hand() -> None:
    values, old, returns = (torch.tensor([[[x]]]) for x in (1.0, 0.0, 2.0))
    mask, weight = torch.ones(1, 1, dtype=torch.bool), torch.tensor([3.0])
    # clipped to 0.2: (0.2 - 2)^2 = 3.24 is worse than (1 - 2)^2
    assert float(clipped_value_loss(values, old, returns, mask, weight, 0.2)) == pytest.approx(0.5 * 3 * 3.24)
    assert float(clipped_value_loss(values, old, returns, mask, weight, None)) == pytest.approx(0.5 * 3)


def test_entropy_by_hand() -> None:
    logits = torch.log(torch.tensor([[[1.0, 1.0], [1.0, 3.0]]]))
    quarter = -(0.25 * math.log(0.25) + 0.75 * math.log(0.75))
    torch.testing.assert_close(token_entropy(logits), torch.tensor([[math.log(2), quarter]]))


def _drawn(lengths: list[int], width: int, parts: int) -> tuple[Tensor, Tensor, Replies, Targets]:
    """Logits and values that carry gradients, and all else that a loss needs."""
    torch.manual_seed(0)
    count, words = len(lengths), 5
    mask = torch.arange(width) < torch.tensor(lengths)[:, None]
    tokens = Tokens(torch.randint(words, (count, 2 + width)), torch.cat((torch.ones(count, 2).bool(), mask), 1), width)
    logits = torch.randn(count, width, words, requires_grad=True)
    values = torch.randn(count, width, parts, requires_grad=True)
    old = torch.log_softmax(logits.detach() + 0.5 * torch.randn_like(logits), -1)
    old = old.gather(2, tokens.reply_ids_BT[:, :, None])[:, :, 0]
    near = values.detach() + 0.3 * torch.randn_like(values)
    nothing = torch.zeros(count)
    replies = Replies(nothing, tokens, nothing, old, old, old, near)
    returns = torch.randn(count, width, parts)
    return logits, values, replies, Targets(torch.randn(count, width), returns, torch.tensor([1.0, 0.3, 0.05]), {})


def _naive(logits: Tensor, values: Tensor, replies: Replies, aims: Targets, settings: PPOSettings) -> Tensor:
    """The loss, token by token."""
    total = torch.zeros(())
    for row, length in enumerate(replies.tokens.reply_mask_BT.sum(1).tolist()):
        for t in range(length):
            chances = torch.softmax(logits[row, t], -1)
            token = int(replies.tokens.reply_ids_BT[row, t])
            ratio = chances[token] / replies.logprobs_BT[row, t].exp()
            gain = float(aims.advantages_BT[row, t])
            held = min(max(float(ratio), 0.8), 1.2)
            total = total + (-gain * ratio if -gain * float(ratio) >= -gain * held else torch.tensor(-gain * held))
            total = total + settings.entropy_coefficient * sum(p * torch.log(p) for p in chances)
            for part, weight in enumerate(aims.head_weights_P.tolist()):
                value, before = values[row, t, part], float(replies.values_BTP[row, t, part])
                wanted = float(aims.returns_BTP[row, t, part])
                clipped = before + (value - before).clamp(-0.2, 0.2)
                error = (value - wanted) ** 2
                if float((clipped - wanted) ** 2) > float(error):
                    error = (clipped - wanted) ** 2
                total = total + settings.value_coefficient * weight * 0.5 * error
    return total


def test_the_whole_loss_and_its_gradient_equal_a_naive_loop() -> None:
    settings = PPOSettings(entropy_coefficient=0.03, value_coefficient=0.7)
    logits, values, replies, aims = _drawn([3, 1, 4], 4, 3)
    chosen = torch.log_softmax(logits, -1).gather(2, replies.tokens.reply_ids_BT[:, :, None])[:, :, 0]
    sums = loss_sums(Evaluated(chosen, token_entropy(logits), values), replies, aims, torch.arange(3), settings)
    loss = loss_of(sums, settings)
    got = torch.autograd.grad(loss, (logits, values))
    naive = _naive(logits, values, replies, aims, settings)
    expected = torch.autograd.grad(naive, (logits, values))
    torch.testing.assert_close(loss, naive)
    for ours, theirs in zip(got, expected, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-6, rtol=1e-5)
        assert not ours[~replies.tokens.reply_mask_BT].any()
