"""Is the text always the target's own? Against transformers' generate(), whatever trees are drafted."""

from __future__ import annotations

import random

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from transformers import PreTrainedModel

from speculation import tiny
from trimtab.speculation.actions import TreeShape, exists
from trimtab.speculation.engine.generation import RoundState
from trimtab.speculation.engine.speculator import Speculator

pytestmark = pytest.mark.filterwarnings("ignore:tau is")
PROMPT = [5, 17, 42, 8, 90, 33, 2]


def stock(model: PreTrainedModel, prompt: list[int], tokens: int, **settings: object) -> list[int]:
    """What transformers writes, greedily."""
    ids = torch.tensor([prompt])
    written = model.generate(
        ids, attention_mask=torch.ones_like(ids), max_new_tokens=tokens, do_sample=False, pad_token_id=0, **settings
    )
    return written[0, len(prompt) :].tolist()


def anything(seed: int):
    """A controller that picks another existing shape each round, or none."""
    draw = random.Random(seed)

    def choose(_state: RoundState) -> TreeShape | None:
        while True:
            shape = (draw.randint(2, 40), draw.randint(1, 6), draw.randint(1, 8))
            if draw.random() < 0.1:
                return None
            if exists(*shape):
                return TreeShape(*shape)

    return choose


@pytest.fixture(scope="module")
def pairs() -> list[Speculator]:
    model = tiny.target()
    return [
        Speculator(model, tiny.head(model)),
        Speculator(model, tiny.head(model, drafted=30)),
        Speculator(model, tiny.head(model, 1)),
        Speculator(model, tiny.echo(model)),
    ]


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    which=st.integers(0, 3),
    prompt=st.lists(st.integers(0, tiny.VOCABULARY - 1), min_size=1, max_size=30),
    seed=st.integers(0, 10**6),
)
def test_any_sequence_of_shapes_writes_what_generate_writes(
    pairs: list[Speculator], which: int, prompt: list[int], seed: int
) -> None:
    speculator = pairs[which]
    written = speculator.generate(prompt, 24, policy=anything(seed)).tokens
    assert written == stock(speculator.model, prompt, 24)


def test_the_echoing_head_is_accepted_at_times(pairs: list[Speculator]) -> None:
    made = pairs[3].generate(PROMPT, 60, shape=TreeShape(20, 3, 6))
    assert made.accepted > 0  # otherwise the property above would only ever see rejected drafts
    assert sum(made.drafted_mask) > 0


@pytest.mark.parametrize("architecture", list(tiny.ARCHITECTURES))
@pytest.mark.parametrize("attention", ["sdpa", "eager"])
def test_every_architecture_and_attention(architecture: str, attention: str) -> None:
    model = tiny.target(architecture, attn_implementation=attention)
    speculator = Speculator(model, tiny.head(model))
    written = speculator.generate(PROMPT, 20, shape=TreeShape(16, 3, 4)).tokens
    assert written == stock(model, PROMPT, 20)


def test_without_drafting_too(pairs: list[Speculator]) -> None:
    made = pairs[0].generate(PROMPT, 20, shape=None)
    assert made.tokens == stock(pairs[0].model, PROMPT, 20)
    assert [r.drafted for r in made.rounds] == [0] * 19


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 31])
def test_the_limit_is_exact(pairs: list[Speculator], limit: int) -> None:
    assert len(pairs[3].generate(PROMPT, limit, shape=TreeShape(20, 4, 4)).tokens) == limit


@pytest.mark.parametrize("which", range(8))
def test_nothing_follows_the_end_of_sequence(which: int) -> None:
    free = tiny.speculator()
    ends_with = free.generate(PROMPT, 40, shape=None).tokens[which]
    model = tiny.target(eos_token_id=ends_with)
    written = Speculator(model, tiny.echo(model)).generate(PROMPT, 40, shape=TreeShape(20, 4, 4)).tokens
    assert written == stock(model, PROMPT, 40)
    assert written.index(ends_with) == len(written) - 1


def test_the_cache_grows_without_a_limit_set_by_the_first_call(pairs: list[Speculator]) -> None:
    speculator = pairs[1]
    speculator.generate([3], 2, shape=TreeShape(4, 1, 3))
    long = [(7 * i) % tiny.VOCABULARY for i in range(400)]
    capacity = speculator.target.cache.capacity
    assert speculator.generate(long, 110, policy=anything(3)).tokens == stock(speculator.model, long, 110)
    assert speculator.target.cache.capacity > capacity


def test_a_following_turn_reuses_the_cache_and_changes_nothing(pairs: list[Speculator]) -> None:
    speculator = pairs[3]
    speculator.forget()
    first = speculator.generate(PROMPT, 20, shape=TreeShape(20, 3, 4))
    second_prompt = [*PROMPT, *first.tokens, 9, 9, 4]
    second = speculator.generate(second_prompt, 20, shape=TreeShape(12, 2, 3))
    assert first.reused_tokens == 0
    last = first.rounds[-1].accepted + 1  # what the last round committed has not passed through the head
    assert second.reused_tokens >= len(PROMPT) + len(first.tokens) - 1 - last
    assert second.tokens == stock(speculator.model, second_prompt, 20)
    branching = [*PROMPT, 1, 2, 3]
    assert speculator.generate(branching, 20).tokens == stock(speculator.model, branching, 20)


def test_a_turn_without_drafting_between_two_with(pairs: list[Speculator]) -> None:
    speculator = pairs[0]
    prompt = list(PROMPT)
    for shape in (TreeShape(12, 2, 3), None, TreeShape(20, 3, 4)):
        written = speculator.generate(prompt, 12, shape=shape).tokens
        assert written == stock(speculator.model, prompt, 12)
        prompt = [*prompt, *written, 11]


def test_streamed_tokens_are_the_generated_ones(pairs: list[Speculator]) -> None:
    streamed: list[int] = []
    made = pairs[3].generate(PROMPT, 30, shape=TreeShape(20, 4, 4), stream=streamed.extend)
    assert streamed == made.tokens
    assert len(made.drafted_mask) == len(made.tokens)


def test_rounds_account_for_every_token_and_second(pairs: list[Speculator]) -> None:
    made = pairs[3].generate(PROMPT, 40, shape=TreeShape(20, 4, 4))
    assert 1 + sum(r.accepted + 1 for r in made.rounds) >= 40
    assert 1 + sum(r.accepted + 1 for r in made.rounds[:-1]) < 40
    assert sum(r.seconds.total for r in made.rounds) <= made.seconds
    assert all(min(r.seconds.draft, r.seconds.verify, r.seconds.rest) > 0 for r in made.rounds)
