"""Do agents take turns, sample what they are evaluated on, and weigh the reward each its own way?"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from trimtab.dialogue.agents import Agent, Cast, make_agents, sentence_end_ids
from trimtab.dialogue.ppo.building import Lora
from trimtab.dialogue.ppo.enumerable import Enumerable, TableGrader
from trimtab.dialogue.ppo.sampling import uniform_noise
from trimtab.dialogue.ppo.settings import PPOSettings
from trimtab.dialogue.ppo.trainer import PPOTrainer, head_names
from trimtab.dialogue.tasks.moods_tokenizer import moods_tokenizer

TASK = Enumerable(longest=4)
CAST = Cast((Agent("first", (), 1), Agent("second", ("table",), 1), Agent("last", ())), cooperation=0.5)
STOPS = [0]
"""The token that ends a sentence."""


def trainer() -> PPOTrainer:
    grader: Any = TableGrader(TASK)
    learner, reference = make_agents(TASK.model(), head_names(grader.parts), CAST, STOPS, lora=Lora(4))
    for name, parameter in learner.policy.named_parameters():
        if "lora_B" in name:  # adapters that differ from the start
            parameter.data.normal_(generator=torch.Generator().manual_seed(len(name)), std=0.3)
    settings = PPOSettings(
        steps=2, batch_size=32, minibatch_size=16, epochs=1, learning_rate=1e-2, warmup_steps=1, context_max_length=2
    )
    return PPOTrainer(replace(settings, reply_max_length=4), learner, reference, grader, [TASK.end])


def test_speakers_change_where_a_sentence_ended() -> None:
    learner: Any = trainer().learner
    assert learner.speakers(torch.tensor([[1, 0, 2, 0, 0, 3]])).tolist() == [[0, 0, 1, 1, 2, 2]]


def test_what_is_sampled_is_what_is_evaluated() -> None:
    replies = trainer().collect(0)
    assert replies.sampling_error < 1e-5
    lists = replies.tokens.reply_lists()
    assert any(0 in reply[:-1] for reply in lists)  # some change speakers
    for reply, ended in zip(lists, replies.ended_B.tolist(), strict=True):
        assert (reply[-1] == TASK.end) == ended
        assert TASK.end not in reply[:-1]


def test_rows_do_not_depend_on_each_other() -> None:
    learner: Any = trainer().learner
    prompts, noise = [[0], [1], [2], [1]], uniform_noise(0, 0, 4, 4)
    together = learner.write(prompts, noise, width=4, ends={TASK.end}, context=1)
    alone = learner.write(prompts[2:3], noise[2:3], width=4, ends={TASK.end}, context=1)
    assert together.tokens.reply_lists()[2] == alone.tokens.reply_lists()[0]


def test_each_agent_minds_its_own_parts() -> None:
    weights = CAST.weights(("table", "unfinished", "kl"))
    np.testing.assert_allclose(weights, [[0.5, 1, 1], [1, 1, 1], [0.5, 1, 1]])


def test_all_adapters_and_the_critic_learn() -> None:
    agents = trainer()
    before = {name: p.detach().clone() for name, p in agents.learner.named_parameters() if p.requires_grad}
    agents.fit()
    moved = [
        name for name, p in agents.learner.named_parameters() if name in before and not torch.equal(p, before[name])
    ]
    for name in ("first", "second"):  # the last one has no turn in replies as short as these
        assert any(f"lora_A.{name}." in parameter for parameter in moved)
    assert any("critic" in parameter for parameter in moved)


def test_casts_that_cannot_play_are_refused() -> None:
    with pytest.raises(ValueError, match="the last one alone"):
        Cast((Agent("a", (), 1), Agent("b", (), 1)))
    with pytest.raises(ValueError, match="from 0 to 1"):
        Cast(cooperation=2.0)
    with pytest.raises(ValueError, match="parts among table"):
        make_agents(TASK.model(), head_names(("table",)), Cast(), STOPS, lora=Lora(4))


def test_sentence_ends_of_a_tokenizer() -> None:
    tokenizer = moods_tokenizer()
    assert sorted(tokenizer.convert_ids_to_tokens(sentence_end_ids(tokenizer))) == ["!", ".", "?"]
