"""Does the sampler draw what the model's probabilities say, row by row, whatever else is in the batch?"""

from __future__ import annotations

import numpy as np
import pytest
import torch

from trimtab.dialogue.ppo.batches import joined
from trimtab.dialogue.ppo.enumerable import Enumerable
from trimtab.dialogue.ppo.learner import chosen_logprobs, reply_logits
from trimtab.dialogue.ppo.sampling import draw, sample, uniform_noise

TASK = Enumerable(longest=5)


def _sample(prompts: list[list[int]], noise: torch.Tensor | None, **options: object):
    settings = {"width": 5, "ends": [TASK.end], "context": 4, **options}
    return sample(TASK.model(), prompts, noise_BT=noise, **settings)  # type: ignore[arg-type]


PROMPTS = [[0], [1, 2, 3], [4, 4], [2]] * 8


def test_drawing_inverts_the_cumulated_probabilities() -> None:
    logprobs = torch.log(torch.tensor([[0.2, 0.5, 0.3]])).repeat(5, 1)
    uniform = torch.tensor([0.0, 0.19, 0.21, 0.71, 0.999999], dtype=torch.float64)
    assert draw(logprobs, uniform).tolist() == [0, 0, 1, 2, 2]
    assert draw(logprobs, None).tolist() == [1] * 5


def test_a_row_does_not_depend_on_its_neighbours() -> None:
    noise = uniform_noise(1, 2, len(PROMPTS), 5)
    together, lockstep = _sample(PROMPTS, noise), _sample(PROMPTS, noise, lockstep=True)
    assert together.tokens.reply_lists() == lockstep.tokens.reply_lists()
    for row in range(0, len(PROMPTS), 5):
        alone = _sample([PROMPTS[row]], noise[row : row + 1])
        assert alone.tokens.reply_lists() == [together.tokens.reply_lists()[row]]
    assert not together.ended_B.all()
    assert together.ended_B.any()


def test_replies_end_or_are_cut() -> None:
    sampled = _sample(PROMPTS, uniform_noise(0, 0, len(PROMPTS), 5))
    for reply, ended in zip(sampled.tokens.reply_lists(), sampled.ended_B.tolist(), strict=True):
        assert (reply[-1] == TASK.end) == ended
        assert TASK.end not in reply[:-1]
        assert ended or len(reply) == 5


def test_log_probabilities_are_those_of_a_forward_pass() -> None:
    sampled = _sample(PROMPTS, uniform_noise(3, 0, len(PROMPTS), 5))
    tokens = sampled.tokens
    logits, _ = reply_logits(TASK.model(), tokens)
    forward = chosen_logprobs(logits, tokens.reply_ids_BT)[tokens.reply_mask_BT]
    torch.testing.assert_close(sampled.logprobs_BT[tokens.reply_mask_BT], forward, atol=1e-5, rtol=0)


def test_replies_come_as_often_as_they_should() -> None:
    task = Enumerable(longest=2)
    rows = 4000
    sampled = sample(
        task.model(),
        task.prompts[1:2] * rows,
        noise_BT=uniform_noise(0, 0, rows, 2),
        width=2,
        ends=[task.end],
        context=2,
    )
    index = {reply: number for number, reply in enumerate(task.replies)}
    counts = np.bincount([index[tuple(reply)] for reply in sampled.tokens.reply_lists()], minlength=len(index))
    expected = np.exp(task.logprobs_PS(task.model())[1])
    # Pearson's statistic has as many degrees of freedom as there are replies, less one (30): 99.9 % lie below 60
    assert ((counts - rows * expected) ** 2 / (rows * expected)).sum() < 60


def test_long_prompts_keep_their_end_and_empty_ones_are_refused() -> None:
    tokens = joined([[1, 2, 3]], [[4]], context=2, reply=2)
    assert tokens.ids_BS.tolist() == [[2, 3, 4, 0]]
    assert tokens.mask_BS.tolist() == [[True, True, True, False]]
    assert tokens.trimmed().ids_BS.tolist() == [[2, 3, 4]]
    with pytest.raises(ValueError, match="prompt 1 has no token"):
        joined([[1], []], [[1], [1]], context=2, reply=1)
