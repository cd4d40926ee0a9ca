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

from speculation import synthetic
from speculation.synthetic import COSTS, SHAPES
from trimtab.policies.held import Adaptive
from trimtab.policies.mlp import MLP
from trimtab.speculation.actions import TreeShape
from trimtab.speculation.context import HISTORY_NAMES, FeatureSet, History, PositionFeatures, join
from trimtab.speculation.engine.generation import Round, RoundState, Seconds
from trimtab.speculation.engine.speculator import Speculator
from trimtab.speculation.flat_replay import flatten
from trimtab.speculation.inference import Inference, softmax
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


_CHANCE = Inference("sample", 2.0, seed=5)
_SURPRISE = Inference(hold_rounds=4, adaptive=Adaptive(surprise=1.5))
_DRIFT = Inference("sample", 2.0, hold_rounds=5, adaptive=Adaptive(drift=0.9, surprise=3.0))
_PLAN = Inference("sample", 2.0, planned_rounds=3)
_BOTH = Inference(planned_rounds=2, hold_rounds=2)
_MODES = [Inference(), _CHANCE, Inference(hold_rounds=3), _SURPRISE, _DRIFT, _PLAN, _BOTH]


def _acting(inference: Inference, state: int = 32, projected: int = 4) -> TreePolicy:
    """A policy of random weights that acts so."""
    plain = _policy(state, projected)
    *hidden, (weight, _) = plain.mlp.layers
    last = np.concatenate([np.roll(weight, step, axis=1) for step in range(inference.planned_rounds)], axis=1)
    return TreePolicy(
        SHAPES,
        MLP((*hidden, (last, np.zeros(last.shape[1], np.float32)))),
        plain.features,
        plain.position,
        Widths(96, 64, state),
        inference=inference,
        expected_A=np.linspace(0, 4, len(SHAPES)),
        models={"target": "a", "head": "b"},
    )


@pytest.mark.parametrize("inference", _MODES, ids=str)
def test_every_mode_comes_back_from_its_file(inference: Inference, tmp_path: Path) -> None:
    policy = _acting(inference)
    policy.save(tmp_path / "policy")
    loaded = TreePolicy.load(tmp_path / "policy")
    assert (loaded.inference, loaded.models, loaded.bins) == (inference, {"target": "a", "head": "b"}, policy.bins)
    chosen: list[list[TreeShape]] = []
    for one in (policy, loaded):
        rounds, trees = list[Round](), list[TreeShape]()
        for index in range(30):
            trees.append(one(_state(rounds, index)))
            rounds.append(_round(index * 7 % 5, trees[-1]))
        chosen.append(trees)
    assert chosen[0] == chosen[1]
    assert loaded.counts == policy.counts
    assert policy.counts.rounds == 30
    assert str(policy).startswith("a policy of 8 trees over 21 features")
    assert str(policy).endswith("for a with b")


def test_the_first_format_is_still_read(tmp_path: Path) -> None:
    policy = _policy(projected=0)
    policy.save(tmp_path / "policy")
    card = json.loads((tmp_path / "policy" / "policy.json").read_text())
    for new in ("bins", "state", "models", "inference"):
        del card[new]
    (tmp_path / "policy" / "policy.json").write_text(json.dumps(card | {"format": 1}))
    assert TreePolicy.load(tmp_path / "policy").inference == Inference()


def test_held_trees_are_counted_and_certain() -> None:
    policy = _acting(replace(_CHANCE, hold_rounds=3))
    rounds, seen = list[Round](), list[tuple[TreeShape, bool, float]]()
    for index in range(7):
        shape = policy(_state(rounds, index))
        seen.append((shape, policy.last_decided, policy.last_probability))
        rounds.append(_round(1, shape))
    assert [decided for _, decided, _ in seen] == [True, False, False, True, False, False, True]
    assert all(0 < p < 1 if decided else p == 1 for _, decided, p in seen)
    assert seen[0][0] == seen[1][0] == seen[2][0]
    assert (policy.counts.decisions, policy.counts.rounds, policy.counts.hit_rate) == (3, 7, pytest.approx(4 / 7))


def test_sampled_trees_have_the_chances_that_it_tells() -> None:
    """Over many decodes that begin alike, frequencies are the softmax of the scores, and the told chances too."""
    policy = _acting(_CHANCE)
    features, _scores = policy._seen(_state([]))
    expected = softmax(policy.mlp.scores(features), 2.0)
    counts = dict.fromkeys(range(len(SHAPES)), 0)
    for _ in range(4000):
        column = SHAPES.index(policy(_state([])))
        assert policy.last_probability == pytest.approx(expected[column], rel=1e-4)
        counts[column] += 1
    np.testing.assert_allclose(np.array(list(counts.values())) / 4000, expected, atol=0.035)
    choices = policy.act([np.zeros(policy.features.width, np.float32)] * 3)
    assert all(choice.logprob is not None and choice.logprob < 0 for choice in choices)


def test_parts_that_a_mode_lacks_are_asked_for() -> None:
    policy = _policy()
    with pytest.raises(ValueError, match="8 trees and 3 planned rounds: they were not trained together"):
        policy.acting(Inference(planned_rounds=3))
    with pytest.raises(ValueError, match="give expected_A"):
        policy.acting(_SURPRISE)
    with pytest.raises(ValueError, match=r"expected acceptances of shape \(3,\) for 8 trees"):
        policy.acting(_SURPRISE, expected_A=np.ones(3))


def test_a_replay_of_other_features_or_trees_is_refused_with_both_named() -> None:
    policy, table = _policy(projected=0), synthetic.table(3)
    replay = flatten(table, COSTS)
    assert len(policy.replay(replay).row_T)
    other = replace(replay, feature_names=["text_0", *replay.feature_names[1:]])
    with pytest.raises(ValueError, match=r"draft_logprob_1.*are needed; the table holds text_0"):
        policy.replay(other)
    with pytest.raises(ValueError, match=r"the replay's trees are \(2, 1, 1\), the policy's \(2, 1, 1\), \(4, 2, 1\)"):
        policy.replay(flatten(table, COSTS, SHAPES[:1]))
    wider = replace(
        replay,
        feature_names=["text_0", *replay.feature_names],
        features_NF=np.pad(replay.features_NF, ((0, 0), (1, 0))),
    )
    np.testing.assert_array_equal(policy.replay(wider).action_T, policy.replay(replay).action_T)


def test_a_failed_save_leaves_the_former_policy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    former = _policy()
    former.save(tmp_path / "policy")

    def full(*_arguments: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("trimtab.speculation.policy_files.save_file", full)
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
    with pytest.raises(ValueError, match="of format 99, expected format 2"):
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


def test_a_held_round_takes_hardly_any_time() -> None:
    policy = _acting(replace(_SURPRISE, hold_rounds=10**6, adaptive=Adaptive(surprise=100.0)))
    rounds, seconds = list[Round](), list[float]()
    state = _state(rounds)
    for index in range(300):
        started = time.perf_counter()
        policy(state)
        seconds.append(time.perf_counter() - started)
        rounds.append(_round(index % 4))
    assert policy.counts.decisions == 1
    assert np.quantile(seconds, 0.25) < 10e-6  # about 2 microseconds on an idle core


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
    """Features, choices and acceptances agree round for round (float32): decided each round, held, or planned."""
    prompts = [_Conversation(str(start), "bytes", (list(range(start, start + 25)),)) for start in (40, 100, 200)]
    state = Widths.of(golden).state
    table = build(golden, prompts, SHAPES, 48, _acting(Inference(), state).position)
    for inference in (Inference(), Inference(hold_rounds=3), _SURPRISE, replace(_DRIFT, mode="argmax"), _BOTH):
        policy = _acting(inference, state)
        decodes = replayed(policy, table, COSTS)
        for prompt, decode in zip(prompts, decodes, strict=True):
            rounds = golden.generate(prompt.turns[0], 48, policy=policy).rounds
            assert [done.shape for done in rounds] == [SHAPES[column] for column in decode.actions]
            assert decode.tokens == 47
        assert policy.counts.decisions == policy.replay(flatten(table, COSTS)).decisions
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
