"""Is the task's best policy one that the network can be, and is its value what the formula says?"""

from __future__ import annotations

import numpy as np
import torch

from trimtab.dialogue.ppo.enumerable import Enumerable
from trimtab.dialogue.ppo.learner import reply_logits

TASK = Enumerable()


@torch.no_grad()
def states(task: Enumerable) -> tuple[list[tuple[int, ...]], torch.Tensor]:
    """Every state that a token is drawn in, prompt and what was said, and the reference's logits there."""
    tokens = task._tokens()
    logits_BTV, _ = reply_logits(task.model(), tokens)
    before = tokens.ids_BS.shape[1] - tokens.reply_width
    found: dict[tuple[int, ...], torch.Tensor] = {}
    for row, length in enumerate(tokens.reply_mask_BT.sum(dim=1).tolist()):
        for at in range(length):
            found[tuple(tokens.ids_BS[row, : before + at].tolist())] = logits_BTV[row, at]
    return list(found), torch.stack(list(found.values()))


def test_no_two_states_look_the_same_to_the_network() -> None:
    """(0), (0, 0) and (0, 0, 0) would, without a mark of the beginning: attention over equal tokens cannot count them."""
    contexts, logits_NV = states(TASK)
    assert len(contexts) == 3 * (1 + 5 + 25)
    apart_NN = torch.cdist(logits_NV, logits_NV) + 9 * torch.eye(len(contexts))
    assert float(apart_NN.min()) > 1e-3


def test_the_optimum_has_the_value_of_the_formula() -> None:
    reference_PS = TASK.logprobs_PS(TASK.model())
    np.testing.assert_allclose(np.exp(reference_PS).sum(axis=1), 1.0, atol=1e-6)
    free_P = TASK.beta * np.log((np.exp(reference_PS + TASK.rewards_PS / TASK.beta)).sum(axis=1))
    best_PS, best = TASK.optimum(reference_PS)
    np.testing.assert_allclose(best.value, free_P.mean(), atol=1e-9)
    assert TASK.gap_closed(best_PS, reference_PS) == 1.0
    assert TASK.gap_closed(reference_PS, reference_PS) == 0.0
