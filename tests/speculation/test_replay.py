"""Does a replayed decode equal a real one? And do tables survive the disk and an interruption?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

from speculation.naive_replay import accepted_by, true_path
from trimtab.speculation.actions import TreeShape, menu
from trimtab.speculation.engine.generation import RoundState
from trimtab.speculation.engine.head import EagleHead
from trimtab.speculation.engine.head_config import HeadConfig
from trimtab.speculation.engine.head_files import load_head, save_head
from trimtab.speculation.engine.speculator import Speculator
from trimtab.speculation.engine.tree import Pool, best, cut
from trimtab.speculation.replay import PromptReplay, ReplayTable, joined
from trimtab.speculation.replay_builder import build

MENU = menu((2, 4, 8, 16, 33, 60), (1, 2, 4, 7), (1, 2, 4, 10))
VOCABULARY = 97


@dataclass(frozen=True)
class Conversation:
    task: str
    category: str
    turns: Sequence[Any]


class Confidence:
    """The simplest extractor: the draft's best log-probability, the target's, the state's first entry, the context."""

    names = ("draft", "target", "state", "context")

    def __call__(self, root_logprobs_D: Any, target_logits_V: Any, state_H: Any, context_tokens: int) -> Any:
        best = target_logits_V.log_softmax(-1).max()
        return np.array([root_logprobs_D.max(), best, state_H[0], context_tokens], dtype=np.float32)


def random_pair(folder: Path) -> Speculator:
    """A Llama of 8 layers x 32 and a random EAGLE-3 head, written and loaded as published heads are."""
    torch.manual_seed(0)
    size = {"hidden_size": 32, "intermediate_size": 48, "vocab_size": VOCABULARY, "rms_norm_eps": 1e-6}
    config = LlamaConfig(
        num_hidden_layers=8, num_attention_heads=4, num_key_value_heads=2, initializer_range=0.4, **size
    )
    model = LlamaForCausalLM(config).eval()
    assert model.generation_config is not None
    model.generation_config.eos_token_id = None
    model.config.eos_token_id = None
    head = EagleHead(
        HeadConfig(
            version=3, heads=4, key_value_heads=2, draft_vocab_size=64, max_position=2048,
            rope={"rope_type": "default", "rope_theta": 1e4}, fc_bias=False, qkv_bias=False, taps=(2, 4, 5),
            target_hidden_size=32, **size,
        )
    )  # fmt: skip
    head.target_ids = torch.arange(64) + 20
    save_head(head, folder / "head")
    return Speculator(model, load_head(folder / "head", model))


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Speculator:
    return random_pair(tmp_path_factory.mktemp("pair"))


@pytest.fixture(scope="module")
def trained(shared: Path) -> Speculator:
    folder = shared / "golden" / "eagle" / "trained"
    return Speculator.from_pretrained(folder / "base", folder / "ea", dtype=torch.float32)


@pytest.fixture(scope="module")
def trained_prompts(shared: Path) -> list[Conversation]:
    cases = torch.load(shared / "golden" / "eagle" / "trained" / "trace.pt", weights_only=True)["cases"]
    prompts = {tuple(torch.as_tensor(case["prompt"]).flatten().tolist()): None for case in cases}
    return [Conversation(str(index), "code", [list(ids)]) for index, ids in enumerate(prompts)]


def live(speculator: Speculator, ids: list[int], tokens: int, actions: list[TreeShape], seed: int) -> tuple[Any, Any]:
    """A real decode with random trees: its generation, and the features before each round."""
    draw, features = np.random.default_rng(seed), list[Any]()

    def policy(state: RoundState) -> TreeShape:
        extracted = Confidence()(state.root_logprobs_D, state.target_logits_V, state.root_state_H, state.context_tokens)
        features.append(extracted)
        return actions[draw.integers(len(actions))]

    return speculator.generate(ids, tokens, policy=policy), features


def check_decode(
    speculator: Speculator, table: ReplayTable, index: int, ids: list[int], tokens: int, seed: int
) -> None:
    generation, features = live(speculator, ids, tokens, table.actions, seed)
    prompt, shapes = table.prompts[index], [r.shape for r in generation.rounds]
    replayed = table.rounds(prompt, lambda _position, history: table.actions.index(shapes[len(history)]))
    assert prompt.tokens == len(generation.tokens)
    assert [r.accepted for r in replayed] == [r.accepted for r in generation.rounds]
    visited = [r.position for r in replayed]
    np.testing.assert_allclose(prompt.features_PF[visited], features, atol=2e-4)
    np.testing.assert_array_equal(prompt.context_P[visited], [feature[-1] for feature in features])
    assert sum(int(prompt.tokens_PA[r.position, r.action]) for r in replayed) == prompt.tokens - 1


def test_a_replayed_decode_equals_a_real_one_on_a_trained_pair(
    trained: Speculator, trained_prompts: list[Conversation]
) -> None:
    prompts = trained_prompts[:2]
    table = build(trained, prompts, MENU, 40, Confidence())
    assert table.accepted_NA.max() >= 5  # the test would be empty on a pair that accepts nothing
    for index, prompt in enumerate(prompts):
        for seed in range(6):
            check_decode(trained, table, index, list(prompt.turns[0]), 40, seed)


def test_a_replayed_decode_equals_a_real_one_on_a_random_pair(pair: Speculator) -> None:
    prompts = [Conversation(str(i), "noise", [[3 + i, 20, 31, 50]]) for i in range(3)]
    table = build(pair, prompts, MENU, 25, Confidence())
    for index, prompt in enumerate(prompts):
        for seed in range(3):
            check_decode(pair, table, index, list(prompt.turns[0]), 25, seed)


def test_the_last_round_counts_what_it_verified_beyond_the_end_of_sequence(
    trained: Speculator, trained_prompts: list[Conversation]
) -> None:
    prompt = trained_prompts[0]
    ids = list(prompt.turns[0])
    text = trained.generate(ids, 40).tokens
    config: Any = trained.model.generation_config
    before = config.eos_token_id
    config.eos_token_id = text[17]  # a byte in the middle becomes the end of sequence
    try:
        table = build(trained, [prompt], MENU, 40, Confidence())
        assert table.prompts[0].tokens == text.index(text[17]) + 1 < 40
        for seed in range(10):
            check_decode(trained, table, 0, ids, 40, seed)
    finally:
        config.eos_token_id = before
    last = table.prompts[0]
    assert (last.accepted_PA[-1] + 1 > last.tokens_PA[-1]).any()
    assert (last.tokens_PA[-1] == 1).all()
    assert (last.next_PA[-1] == last.positions).all()


def test_a_text_of_one_token_has_no_position(pair: Speculator) -> None:
    table = build(pair, [Conversation("a", "noise", [[1, 2, 3]])], MENU[:3], 1, Confidence())
    assert table.positions == 0
    assert table.rounds(table.prompts[0], lambda _position, _history: 0) == []


def random_pool(draw: np.random.Generator, depth: int, top_k: int) -> Pool:
    """A pool with many ties, though none between parent and child: scores fall by 1, 2 or 3 from one to the other."""
    scores, tokens = [-np.sort(draw.integers(1, 4, top_k))], [draw.permutation(top_k + 2)[:top_k]]
    frontiers = [np.arange(top_k)]
    for level in range(depth):
        parents = np.concatenate(scores)[frontiers[-1]]
        steps = np.sort(draw.integers(1, 4, (top_k, top_k)), axis=1)
        scores.append((parents[:, None] - steps).flatten())
        tokens.append(np.concatenate([draw.permutation(top_k + 2)[:top_k] for _ in range(top_k)]))
        if level + 1 < depth:
            frontiers.append(best(scores[-1], top_k) + top_k + level * top_k**2)
    return Pool(top_k, np.concatenate(scores).astype(np.float32), np.concatenate(tokens), np.array(frontiers))


def shallower(pool: Pool, depth: int) -> Pool:
    size = pool.top_k + depth * pool.top_k**2
    return Pool(pool.top_k, pool.scores_C[:size], pool.tokens_C[:size], pool.frontiers_dk[:depth])


@pytest.mark.parametrize("noise", [0.0, 1e-3])
@pytest.mark.parametrize("seed", range(20))
def test_ranks_give_what_cutting_and_following_every_tree_gives(seed: int, noise: float) -> None:
    draw = np.random.default_rng(seed)
    top_k, depth = int(draw.integers(1, 5)), int(draw.integers(1, 5))
    pool = random_pool(draw, depth, top_k)
    pool = replace(pool, scores_C=pool.scores_C + noise * draw.random(len(pool.scores_C), dtype=np.float32))
    leaf = int(draw.integers(len(pool.tokens_C)))  # the truth: some candidate's path, and noise beyond it
    truth: list[int] = []
    while leaf >= 0:
        truth.insert(0, int(pool.tokens_C[leaf]))
        leaf = int(pool.parents_C[leaf])
    truth += draw.integers(0, top_k + 2, 6).tolist()
    shapes = [TreeShape(n, d, top_k) for d in range(1, depth + 1) for n in range(2, top_k + d * top_k**2 + 2)]
    expected = []
    for shape in shapes:
        tree = cut(shallower(pool, shape.depth), shape.drafted, root=0)
        wanted = np.array([truth[depth] for depth in tree.depths_N])
        expected.append(len(tree.follow(wanted)) - 1)
    numbers = np.array([[s.depth, s.total_tokens] for s in shapes])
    np.testing.assert_array_equal(accepted_by(pool, truth, numbers[:, 0], numbers[:, 1]), expected)


def test_the_true_path_ends_where_the_right_node_left_the_beam() -> None:
    # k = 2, d = 2: children of the root 7, 8; below 7: 1, 2; below 8: 3, 4. The beam keeps pool indices 2 and 3.
    scores = np.array([-1, -2, -1.5, -1.6, -5, -6, -2, -3, -2, -3], dtype=np.float32)
    tokens = np.array([7, 8, 1, 2, 3, 4, 5, 6, 5, 6])
    pool = Pool(2, scores, tokens, np.array([[0, 1], [2, 3]]))
    assert true_path(pool, [7, 2, 6, 9]) == [0, 3, 9]
    assert true_path(pool, [8, 4, 5, 9]) == [1, 5]  # 4 was proposed but never expanded
    assert true_path(pool, [9, 1, 1, 1]) == []
    depths, totals = np.array([2, 2, 2, 1]), np.array([2, 4, 10, 7])
    # 7 comes first, 2 third (after 1), 6 in the eighth place: seven nodes score higher or come before it
    assert accepted_by(pool, [7, 2, 6, 9], depths, totals).tolist() == [1, 2, 3, 2]


def hand_table() -> ReplayTable:
    actions = [TreeShape(2, 1, 1), TreeShape(4, 2, 2)]
    accepted = np.array([[0, 1], [1, 2], [0, 3]], dtype=np.int16)
    first = PromptReplay("a", "x", 4, accepted, np.zeros((3, 1), np.float32), np.arange(5, 8, dtype=np.int32))
    second = PromptReplay(
        "b/turn1", "y", 2, accepted[:1], np.ones((1, 1), np.float32), np.arange(9, 10, dtype=np.int32)
    )
    return ReplayTable(actions, ["f"], [first, second], {"dtype": "float32"})


def test_rounds_go_from_position_to_position() -> None:
    prompt = hand_table().prompts[0]
    assert prompt.rounds(lambda _position, _history: 0) == [(0, 0, 0), (1, 0, 1)]
    assert prompt.rounds(lambda _position, _history: 1) == [(0, 1, 1), (2, 1, 3)]
    assert prompt.rounds(lambda position, _history: int(position == 1)) == [(0, 0, 0), (1, 1, 2)]
    assert prompt.next_PA.tolist() == [[1, 2], [3, 3], [3, 3]]
    assert prompt.tokens_PA.tolist() == [[1, 2], [2, 2], [1, 1]]


def same(one: ReplayTable, other: ReplayTable) -> bool:
    arrays = all(
        np.array_equal(getattr(one, name), getattr(other, name))
        and getattr(one, name).dtype == getattr(other, name).dtype
        for name in ("accepted_NA", "features_NF", "context_N")
    )
    named = [(p.task, p.category, p.tokens) for p in one.prompts] == [
        (p.task, p.category, p.tokens) for p in other.prompts
    ]
    return arrays and named and (one.actions, one.metadata) == (other.actions, other.metadata)


def test_a_table_survives_the_disk(tmp_path: Path) -> None:
    table = hand_table()
    table.save(tmp_path / "table.npz")
    assert same(ReplayTable.load(tmp_path / "table.npz"), table)
    assert [path.name for path in tmp_path.iterdir()] == ["table.npz"]
    (tmp_path / "table.npz").write_bytes(b"PK\x03\x04 half a file")
    with pytest.raises(ValueError, match="no replay table"):
        ReplayTable.load(tmp_path / "table.npz")


def test_a_subset_keeps_its_actions_columns() -> None:
    table = hand_table()
    assert table.subset([table.actions[1]]).accepted_NA.tolist() == [[1], [2], [3], [1]]
    assert table.where(lambda prompt: prompt.category == "y").positions == 1
    with pytest.raises(ValueError, match=r"\(60, 7, 10\)"):
        table.subset([TreeShape(60, 7, 10)])
    with pytest.raises(ValueError, match="joined"):
        joined([table, replace(table, metadata={"dtype": "bfloat16"})])


def test_an_interrupted_build_goes_on(pair: Speculator, tmp_path: Path) -> None:
    prompts = [Conversation(f"p/{i}", "noise", [[3 + i, 20, 31, 50]]) for i in range(3)]
    seen: list[tuple[int, int]] = []

    def interrupt(done: int, total: int) -> None:
        seen.append((done, total))
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build(pair, prompts, MENU[:4], 6, Confidence(), folder=tmp_path, progress=interrupt)
    assert seen == [(1, 3), (2, 3)]
    kept = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    resumed = build(pair, prompts, MENU[:4], 6, Confidence(), folder=tmp_path)
    assert len(kept) == 2
    assert all(path.stat().st_mtime_ns == modified for path, modified in kept.items())
    assert same(resumed, build(pair, prompts, MENU[:4], 6, Confidence()))
    with pytest.raises(ValueError, match="another build"):
        build(pair, prompts, MENU[:5], 6, Confidence(), folder=tmp_path)


def test_the_second_turn_is_answered_after_the_first_greedy_answer(trained: Speculator, shared: Path) -> None:
    tokenizer: Any = AutoTokenizer.from_pretrained(shared / "golden" / "eagle" / "trained" / "base")
    tokenizer.chat_template = "{% for m in messages %}{{ m['role'] + ': ' + m['content'] + '\n' }}{% endfor %}"
    chat = Speculator(trained.model, trained.head, tokenizer)
    given = Conversation("chat", "code", ["import os", "and sys"])
    table = build(chat, [given, Conversation("single", "code", ["import os"])], MENU[:4], 12, Confidence())
    first = [{"role": "user", "content": "import os"}]
    answer = chat.generate(first, 12, shape=None)
    second = [*first, {"role": "assistant", "content": answer.text}, {"role": "user", "content": "and sys"}]
    assert [prompt.task for prompt in table.prompts] == ["chat/turn1", "chat/turn2", "single"]
    assert table.prompts[0].tokens == len(answer.tokens)
    assert table.prompts[1].context_P[0] == len(chat.encode(second))
    np.testing.assert_array_equal(table.prompts[0].accepted_PA, table.prompts[2].accepted_PA)


def test_bad_input_is_refused(pair: Speculator) -> None:
    prompt = Conversation("long", "noise", [[1, 2, 3]])
    with pytest.raises(ValueError, match="'long' has 3 tokens"):
        build(pair, [prompt], MENU, pair.context_tokens - 8, Confidence())
    with pytest.raises(ValueError, match="distinct"):
        build(pair, [prompt], [MENU[0], MENU[0]], 8, Confidence())
    with pytest.raises(ValueError, match="no prompts"):
        build(pair, [], MENU, 8, Confidence())
    with pytest.raises(ValueError, match="several turns"):
        build(pair, [Conversation("two", "noise", [[1, 2], [3]])], MENU[:2], 4, Confidence())
