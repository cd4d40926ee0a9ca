"""Does a saved policy steer a live decode as it would a replayed one, in microseconds, and only its own pair?"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch

from speculation.synthetic import COSTS, SHAPES
from trimtab.policies.mlp import MLP
from trimtab.speculation.actions import TreeShape
from trimtab.speculation.context import HISTORY_NAMES, FeatureSet, History, PositionFeatures, join
from trimtab.speculation.engine.generation import Round, RoundState, Seconds
from trimtab.speculation.engine.speculator import Speculator
from trimtab.speculation.learning import replayed
from trimtab.speculation.replay_builder import build
from trimtab.speculation.tree_policy import TreePolicy, Widths


def _policy(state: int = 32, projected: int = 4, seed: int = 0, actions: Sequence[TreeShape] = SHAPES) -> TreePolicy:
    """A policy of random weights: it chooses many different trees."""
    rng = np.random.default_rng(seed)
    position = PositionFeatures.random(state, projected, seed)
    names = [*position.names, *HISTORY_NAMES]
    sizes = [len(names), 64, 64, len(actions)]
    layers = tuple(
        (rng.standard_normal((a, b)).astype(np.float32) / np.float32(np.sqrt(a)), np.zeros(b, np.float32))
        for a, b in pairwise(sizes)
    )
    scale = np.where([name.startswith(("draft_log", "target", "log_")) for name in names], 4.0, 1.0)
    features = FeatureSet(names, np.zeros(len(names), np.float32), scale.astype(np.float32))
    return TreePolicy(actions, MLP(layers), features, position, Widths(96, 64, state), {"origin": "chance"})


def _state(rounds: list[Round], seed: int = 0) -> RoundState:
    generator = torch.Generator().manual_seed(seed)
    draft = (2 * torch.randn(64, generator=generator)).log_softmax(0)
    state, target = torch.randn(32, generator=generator), torch.randn(96, generator=generator)
    return RoundState(40 + seed, 1, rounds, 3, draft, state, torch.zeros(96), target)


def _round(accepted: int, shape: TreeShape | None = SHAPES[4]) -> Round:
    return Round(shape, 0 if shape is None else shape.drafted, accepted, Seconds())


def test_it_chooses_by_the_joined_features() -> None:
    policy, rounds, history = _policy(), list[Round](), History()
    for index, accepted in enumerate([3, 0, 8, 1, 5, 2]):
        state = _state(rounds, seed=index)
        known = policy.position(state.root_logprobs_D, state.target_logits_V, state.root_state_H, state.context_tokens)
        joined = join(known[None], history.features())
        expected = policy.actions[int(policy.columns(joined)[0])]
        assert policy(state) == expected == policy.act([joined[0]])[0].action
        rounds.append(_round(accepted))
        history.observe(accepted, SHAPES[4].depth)


def test_a_new_generation_begins_without_a_history() -> None:
    first = [_round(a) for a in (8, 8, 0)]
    second = [_round(a) for a in (0, 1)]
    fresh, used = _policy(), _policy()
    used(_state(first, seed=1))
    assert used(_state([], seed=2)) == fresh(_state([], seed=2))
    used(_state(first))
    used(_state(second, seed=3))  # another decode, longer than none: its own history is read from its beginning
    np.testing.assert_array_equal(used._memory.history.state_BS, _seen(second))
    used(_state(first[:1], seed=4))
    np.testing.assert_array_equal(used._memory.history.state_BS, _seen(first[:1]))


def _seen(rounds: list[Round]) -> np.ndarray:
    history = History()
    for done in rounds:
        history.observe(done.accepted, 7)
    return history.state_BS


def test_rounds_without_a_draft_tell_nothing() -> None:
    policy = _policy()
    policy(_state([_round(4), _round(0, shape=None)]))
    np.testing.assert_array_equal(policy._memory.history.state_BS, _seen([_round(4)]))


def test_saved_and_loaded_it_chooses_the_same(tmp_path: Path) -> None:
    policy = _policy()
    policy.save(tmp_path / "policy")
    policy.save(tmp_path / "policy")  # over the former one
    loaded = TreePolicy.load(tmp_path / "policy", actions=SHAPES)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["policy"]
    assert (loaded.actions, loaded.widths, loaded.metadata) == (policy.actions, policy.widths, {"origin": "chance"})
    states = [_state([_round(seed % 5)], seed) for seed in range(40)]
    chosen = [policy(state) for state in states]
    assert chosen == [loaded(state) for state in states]
    assert len(set(chosen)) > 2


def test_a_failed_save_leaves_the_former_policy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    former = _policy()
    former.save(tmp_path / "policy")

    def full(*_arguments: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("trimtab.speculation.tree_policy.save_file", full)
    with pytest.raises(OSError, match="No space left"):
        _policy(seed=9).save(tmp_path / "policy")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["policy"]
    np.testing.assert_array_equal(TreePolicy.load(tmp_path / "policy").mlp.layers[0][0], former.mlp.layers[0][0])


def test_what_is_no_policy_is_neither_read_nor_overwritten(tmp_path: Path) -> None:
    (tmp_path / "notes").mkdir()
    with pytest.raises(ValueError, match="no saved policy"):
        _policy().save(tmp_path / "notes")
    with pytest.raises(FileNotFoundError):
        TreePolicy.load(tmp_path / "notes")
    _policy().save(tmp_path / "policy")
    card = tmp_path / "policy" / "policy.json"
    content = json.loads(card.read_text())
    card.write_text(json.dumps({**content, "format": 99}))
    with pytest.raises(ValueError, match="format 1"):
        TreePolicy.load(tmp_path / "policy")
    card.write_text(json.dumps({key: value for key, value in content.items() if key != "features"}))
    with pytest.raises(ValueError, match="lacks a part"):
        TreePolicy.load(tmp_path / "policy")
    card.write_text("{")
    with pytest.raises(ValueError, match="train it again"):
        TreePolicy.load(tmp_path / "policy")


def test_other_menus_and_ill_fitting_parts_are_refused(tmp_path: Path) -> None:
    policy = _policy()
    policy.save(tmp_path / "policy")
    with pytest.raises(ValueError, match=r"\(60, 7, 10\) are not in the menu \(2, 1, 1\)"):
        TreePolicy.load(tmp_path / "policy", actions=SHAPES[:-1])
    with pytest.raises(ValueError, match="not trained together"):
        TreePolicy(SHAPES[:3], policy.mlp, policy.features, policy.position)
    other = replace(policy.features, names=[f"x{i}" for i in range(policy.features.width)])
    with pytest.raises(ValueError, match="do not begin with"):
        TreePolicy(SHAPES, policy.mlp, other, policy.position)
    with pytest.raises(ValueError, match="widths it does not record"):
        TreePolicy(SHAPES, policy.mlp, policy.features, policy.position).check_widths(Widths(1, 1, 1))


def test_a_decision_takes_microseconds() -> None:
    policy = _policy(state=2048, projected=16)
    rounds, seconds = list[Round](), list[float]()
    draft, target, state = torch.randn(4096).log_softmax(0), torch.randn(4096), torch.randn(2048)
    with torch.inference_mode():
        for index in range(300):
            now = RoundState(index, index, rounds, 3, draft, state, torch.zeros(8), target)
            started = time.perf_counter()
            policy(now)
            seconds.append(time.perf_counter() - started)
            rounds.append(_round(index % 4))
    assert np.quantile(seconds, 0.25) < 600e-6  # about 110 microseconds on an idle core


@pytest.fixture(scope="module")
def golden(shared: Path) -> Speculator:
    folder = shared / "golden" / "eagle" / "trained"
    return Speculator.from_pretrained(folder / "base", folder / "ea", dtype=torch.float32)


@dataclass(frozen=True)
class _Conversation:
    task: str
    category: str
    turns: tuple[list[int]]


def test_a_replayed_decode_is_the_live_one(golden: Speculator) -> None:
    """Features, choices and acceptances agree round for round (float32)."""
    policy = _policy(state=Widths.of(golden).state, seed=3)
    prompts = [_Conversation(str(start), "bytes", (list(range(start, start + 25)),)) for start in (40, 100, 200)]
    table = build(golden, prompts, SHAPES, 48, policy.position)
    decodes = replayed(policy, table, COSTS)
    for prompt, decode in zip(prompts, decodes, strict=True):
        rounds = golden.generate(prompt.turns[0], 48, policy=policy).rounds
        assert [done.shape for done in rounds] == [SHAPES[column] for column in decode.actions]
        assert decode.tokens == 47
    assert len({column for decode in decodes for column in decode.actions}) > 2


def test_it_steers_a_live_decode(golden: Speculator, tmp_path: Path) -> None:
    widths = Widths.of(golden)
    policy = _policy(state=widths.state)
    with pytest.raises(
        ValueError, match=r"trained for Widths\(vocabulary=96.*these models have Widths\(vocabulary=512"
    ):
        policy.check_widths(widths)
    TreePolicy(SHAPES, policy.mlp, policy.features, policy.position, widths).save(tmp_path / "policy")
    steering = TreePolicy.load(tmp_path / "policy", golden, actions=SHAPES)
    prompt = list(range(100, 130))
    plain = golden.generate(prompt, 60, shape=None)
    for _ in range(2):  # the second generation starts from a clean history
        steered = golden.generate(prompt, 60, policy=steering)
        assert steered.tokens == plain.tokens
        assert {done.shape for done in steered.rounds} <= set(SHAPES)
    again = golden.generate(prompt, 60, policy=TreePolicy.load(tmp_path / "policy", golden))
    assert [done.shape for done in again.rounds] == [done.shape for done in steered.rounds]
