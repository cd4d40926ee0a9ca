from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from tests.speculation import tiny

from trimtab.speculation.context import History, SingleHistory
from trimtab.speculation.costs import CostModel, Knots
from trimtab.speculation.level_builder import build, calibrated_temperature
from trimtab.speculation.level_context import features, mass, names
from trimtab.speculation.level_fixed import Fixed, best_sharpened
from trimtab.speculation.level_learning import LevelLearning, expected_return, learn_levels, split
from trimtab.speculation.level_policy import LevelPolicy
from trimtab.speculation.level_replay import best_fixed, fixed, flatten, oracle, roll
from trimtab.speculation.levels import LevelMenu, LevelTable, joined
from trimtab.speculation.saved import load_policy, load_tree_policy
from trimtab.speculation.texts import greedy_texts
from trimtab.speculation.tree_policy import Widths

MENU = LevelMenu(2, 4, (2, 3, 5, 8), draft_temperature=0.7)
COSTS = CostModel(
    Knots((2, 8), (1, 3)),
    draft=(1e-3, 4e-4, 5e-4, 1e-7, 1e-8),
    verify=(7e-3, 8e-3, 1e-6, 1e-7),
    rest=(3e-4, 1e-5, 1e-8, 1e-8),
    plain=(6e-3, 1e-6),
    prefill=(6e-3, 1e-4),
)


@dataclass(frozen=True)
class Ids:
    task: str
    turns: list[list[int]]
    category: str = "none"


def echoing():
    """A pair whose drafts are often right."""
    model = tiny.target()
    return tiny.Speculator(model, tiny.echo(model))


PROMPTS = [
    Ids(f"p{seed}", [torch.randint(96, (7,), generator=torch.Generator().manual_seed(seed)).tolist()])
    for seed in range(8)
]


@pytest.fixture(scope="module")
def table() -> LevelTable:
    (made,) = build(echoing(), PROMPTS, [MENU], 24)
    return made


def test_a_menu_that_cannot_be_is_refused():
    with pytest.raises(ValueError, match="ascending"):
        LevelMenu(2, 4, (3, 2))
    with pytest.raises(ValueError, match="smallest tree"):
        LevelMenu(1, 4, (3, 5))
    with pytest.raises(ValueError, match="temperature"):
        LevelMenu(2, 4, draft_temperature=0.0)


def test_only_trees_that_exist_are_endings():
    valid = LevelMenu(1, 2, (2, 3, 4, 5)).valid_DT  # pools of 1, 2 and 3 candidates
    assert valid.tolist() == [[True, False, False, False], [True, True, False, False], [True, True, True, False]]
    assert [shape.depth for shape in LevelMenu(1, 2, (2, 3, 4, 5)).shapes()] == [0, 1, 1, 2, 2, 2]


def test_a_table_survives_its_file(table, tmp_path):
    table.save(tmp_path / "levels.npz")
    loaded = LevelTable.load(tmp_path / "levels.npz")
    assert (loaded.menu, loaded.metadata) == (table.menu, table.metadata)
    for one, other in zip(loaded.prompts, table.prompts, strict=True):
        assert (one.task, one.tokens) == (other.task, other.tokens)
        np.testing.assert_array_equal(one.needed_PDL, other.needed_PDL)
        np.testing.assert_array_equal(one.beam_PDK, other.beam_PDK)
    (tmp_path / "levels.npz").write_bytes(b"no table")
    with pytest.raises(ValueError, match="no level table"):
        LevelTable.load(tmp_path / "levels.npz")


def test_an_interrupted_build_goes_on(tmp_path, table):
    speculator = echoing()
    build(speculator, PROMPTS[:3], [MENU], 24, folder=tmp_path)
    kept = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    (again,) = build(speculator, PROMPTS, [MENU], 24, folder=tmp_path)
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    np.testing.assert_array_equal(again.prompts[5].needed_PDL, table.prompts[5].needed_PDL)


def test_other_menus_are_not_joined(table):
    with pytest.raises(ValueError, match="cannot be joined"):
        joined([table, LevelTable(replace(MENU, top_k=3), table.prompts, table.metadata)])


@pytest.mark.parametrize(("depth", "total"), [(0, 1), (2, 2), (4, 3)])
def test_a_replayed_decode_accepts_what_a_real_one_does(table, depth, total):
    speculator, costs = echoing(), COSTS
    policy = Fixed(MENU.totals[total], depth, MENU.top_k, MENU.draft_temperature)
    rounds = roll(flatten(table, costs), fixed(depth, total))
    accepted = 0
    for number, prompt in enumerate(PROMPTS):
        made = speculator.generate(prompt.turns[0], 24, policy=policy)
        mine = rounds.prompt_T == number
        assert [r.shape.depth for r in made.rounds] == [depth] * len(made.rounds)
        assert len(made.rounds) == mine.sum()
        assert [r.accepted + 1 for r in made.rounds][:-1] == rounds.tokens_T[mine][:-1].tolist()
        accepted += sum(r.accepted for r in made.rounds)
    assert accepted > 10, "nothing was accepted: the test shows nothing"


def test_the_mass_of_a_size_sums_its_best_candidates():
    scores = np.log(np.array([0.5, 0.1, 0.3, 0.05], dtype=np.float32))
    np.testing.assert_allclose(mass(scores, LevelMenu(2, 4, (2, 3, 9))), [0.5, 0.8, 0.95], rtol=1e-5)


def test_a_single_history_is_one_of_many():
    single, many = SingleHistory(), History()
    for accepted, depth in [(0, 3), (4, 3), (2, 5), (6, 5)]:
        np.testing.assert_allclose(single.features(), many.features()[0], rtol=1e-5)
        single.observe(accepted, depth)
        many.observe(accepted, depth)
    np.testing.assert_allclose(single.features(), many.features()[0], rtol=1e-5)


def test_features_are_named(table):
    seen = flatten(table, COSTS).features(np.arange(3), np.zeros((3, 7), dtype=np.float32))
    assert seen.shape == (3, MENU.depth + 1, len(names(MENU)))
    beam = np.log(np.array([[[0.5, 0.25]]], dtype=np.float32))
    one = features(beam, np.ones((1, 1, 4), np.float32), np.array([9], np.int32), np.zeros((1, 7), np.float32))[0, 0]
    known = dict(zip(names(MENU), one.tolist(), strict=True))
    assert known["beam_mass"] == pytest.approx(0.75)
    assert known["log_context"] == pytest.approx(np.log(10.0))
    assert known["root_logprob_2"] == pytest.approx(np.log(0.25))


def _by_hand(stop, size, rewards, level, valid):
    """The expected return of one round, ending by ending."""
    going, value = 1.0, 0.0
    for depth in range(len(stop)):
        chance = 1 / (1 + np.exp(-stop[depth])) if depth + 1 < len(stop) else 1.0
        weights = np.where(valid[depth], np.exp(size[depth]), 0.0)
        value += going * chance * float((weights / weights.sum() * np.where(valid[depth], rewards[depth], 0)).sum())
        going *= 1 - chance
        value -= going * level[depth] if depth + 1 < len(stop) else 0.0
    return value


def test_the_expected_return_sums_over_all_endings():
    rng, valid = np.random.default_rng(0), MENU.valid_DT
    stop, level = rng.normal(size=5), rng.uniform(size=5)
    size, rewards = rng.normal(size=(5, 4)), rng.normal(size=(5, 4))
    arrays = [torch.from_numpy(array[None]) for array in (stop, size, rewards, level)]
    given = expected_return(*arrays, torch.from_numpy(valid), 0.0)
    assert given.item() == pytest.approx(_by_hand(stop, size, rewards, level, valid), rel=1e-6)


def test_the_oracle_is_above_every_fixed_tree_and_every_rule(table):
    levels = flatten(table, COSTS)
    depth, total, rate = best_fixed(levels)
    assert rate == pytest.approx(roll(levels, fixed(depth, total)).rate())
    policy = learn_levels([table], COSTS, LevelLearning(passes=2, epochs=4), say=lambda _line: None)
    assert oracle(levels).rate() >= max(rate, policy.replay(levels).rate())


def test_a_rule_learns_where_drafts_end():
    """Half of the positions accept all, half nothing, and the beam's mass tells which: going on pays there alone."""
    rng = np.random.default_rng(0)
    menu = LevelMenu(1, 6, (2, 4, 7))
    (made,) = build(tiny.speculator(), PROMPTS, [menu], 24)
    prompts = []
    for prompt in made.prompts:
        good = rng.random(prompt.positions) < 0.5
        needed = np.where(good[:, None, None], np.arange(7) + 2, 32767) * np.ones((1, 7, 1))
        reach = np.arange(7)[None, None] <= np.arange(7)[None, :, None]
        beam = np.where(good[:, None, None], -0.1, -4.0) * np.ones((1, 7, 4))
        prompts.append(
            replace(
                prompt,
                needed_PDL=np.where(reach, needed, 32767).astype(np.int16),
                beam_PDK=beam.astype(np.float32),
                mass_PDT=np.exp(beam[..., :3]).astype(np.float32),
            )
        )
    table = LevelTable(menu, prompts, {})
    costs = replace(COSTS, draft=(1e-3, 2e-3, 2e-3, 0.0, 0.0))
    settings = LevelLearning(passes=2, epochs=60, batch_size=64, entropy=0.001)
    policy = learn_levels([table], costs, settings, say=lambda _line: None)
    levels = flatten(table, costs)
    rounds = policy.replay(levels)
    certain = levels.beam_NDK[rounds.row_T, 0, 0] > -1
    assert rounds.depth_T[certain].mean() > 4
    assert rounds.depth_T[~certain].max() == 0
    assert rounds.rate() > 1.1 * best_fixed(levels)[2]


def test_learning_is_deterministic_and_a_policy_survives_its_folder(table, tmp_path):
    quick = LevelLearning(passes=1, epochs=2)
    widths = Widths.of(echoing())
    one, other = (learn_levels([table], COSTS, quick, widths=widths, say=lambda _line: None) for _ in range(2))
    one.save(tmp_path / "policy")
    loaded = load_policy(tmp_path, echoing())
    assert isinstance(loaded, LevelPolicy)
    levels = flatten(table, COSTS)
    for policy in (other, loaded):
        assert policy.replay(levels).depth_T.tolist() == one.replay(levels).depth_T.tolist()
    with pytest.raises(ValueError, match="trained for a pair"):
        load_policy(tmp_path, tiny.speculator(vocabulary=80))
    with pytest.raises(ValueError, match="another learner"):
        load_tree_policy(tmp_path)


def test_a_live_decode_stops_where_the_replayed_one_does(table):
    policy = learn_levels([table], COSTS, LevelLearning(passes=2, epochs=8), say=lambda _line: None)
    speculator, rounds = echoing(), policy.replay(flatten(table, COSTS))
    depths = set()
    for number, prompt in enumerate(PROMPTS):
        made = speculator.generate(prompt.turns[0], 24, policy=policy)
        plain = speculator.generate(prompt.turns[0], 24, shape=None)
        assert made.tokens == plain.tokens
        mine = rounds.prompt_T == number
        assert [r.shape.depth for r in made.rounds] == rounds.depth_T[mine].tolist()
        assert [r.drafted + 1 for r in made.rounds] == [MENU.totals[c] for c in rounds.total_T[mine]]
        assert all(r.seconds.policy > 0 for r in made.rounds)
        depths |= {r.shape.depth for r in made.rounds}
    assert len(depths) > 1, "the rule never chose: the test shows nothing"


def test_a_replay_of_another_menu_is_refused(table):
    policy = learn_levels([table], COSTS, LevelLearning(passes=1, epochs=1), say=lambda _line: None)
    other = flatten(LevelTable(replace(MENU, draft_temperature=1.0), table.prompts, {}), COSTS)
    with pytest.raises(ValueError, match="the policy for"):
        policy.replay(other)


def test_the_sharpened_baseline_is_the_best_fixed_tree(table):
    depth, total, _ = best_fixed(flatten(table, COSTS))
    assert best_sharpened([table], COSTS) == Fixed(MENU.totals[total], depth, 2, 0.7)


def test_the_fitted_temperature_is_that_of_the_likeliest_tokens():
    speculator = echoing()
    texts = [text for prompt in PROMPTS for text in greedy_texts(speculator, prompt, 24, 1)]
    fitted = calibrated_temperature(speculator, texts)
    doubled = echoing()
    with torch.no_grad():
        doubled.head.output_weight = doubled.head.output_weight / 2  # logits half as large want half the temperature
    assert 0.3 <= fitted <= 1.5
    assert calibrated_temperature(doubled, texts) <= fitted


def test_conversations_stay_together(table):
    paired = [
        replace(p, task=f"{p.task.rstrip('01234567')}{n // 2}/turn{n % 2 + 1}") for n, p in enumerate(table.prompts)
    ]
    train, judged = split(LevelTable(MENU, paired, {}), 0.5, 0)
    sides = [{p.task.split("/")[0] for p in side.prompts} for side in (train, judged)]
    assert all(sides)
    assert not sides[0] & sides[1]


def test_empty_input_is_refused(table):
    with pytest.raises(ValueError, match="at least one"):
        build(echoing(), [], [MENU], 24)
    with pytest.raises(ValueError, match="no level tables"):
        learn_levels([], COSTS)
    with pytest.raises(ValueError, match="has a round to play"):
        flatten(LevelTable(MENU, [], {}), COSTS)
