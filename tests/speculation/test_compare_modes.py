"""Is each mode learned once, raced as it should act, and counted right?"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from speculation import tiny
from speculation.synthetic import COSTS
from trimtab.cli import run as trimtab
from trimtab.runs import Run
from trimtab.speculation import compare_modes
from trimtab.speculation.actions import TreeShape, menu
from trimtab.speculation.compare_modes import (
    LEVELS,
    STATIC,
    Contest,
    Workshop,
    level_calls,
    modes_of,
    recipe_of,
    result_of,
    sentences,
    table_of,
    training,
)
from trimtab.speculation.context import STATISTICS
from trimtab.speculation.engine.generation import RoundState
from trimtab.speculation.engine.tree import Pool
from trimtab.speculation.level_builder import build as build_levels
from trimtab.speculation.level_learning import LevelLearning, learn_levels
from trimtab.speculation.level_policy import LevelPolicy
from trimtab.speculation.levels import LevelMenu
from trimtab.speculation.mode_claims import Mode, Raced
from trimtab.speculation.race import Entry, Turn, by_engine, race
from trimtab.speculation.recipe import CompareModes, Pair
from trimtab.speculation.replay_builder import build
from trimtab.speculation.state_tables import tabulating
from trimtab.speculation.states import StateSpec
from trimtab.speculation.tree_policy import TreePolicy

TOKENS = 16
MENU = menu((4, 8, 16), (1, 3), (2, 4))
LEVEL_MENU = LevelMenu(2, 4, (2, 3, 5, 8))


@dataclass(frozen=True)
class Conversation:
    task: str
    turns: list[list[int]]
    category: str = "none"


PROMPTS = [Conversation(f"p/{index}", [[3 + index, 20, 31, 50 + 3 * index, 7]]) for index in range(4)]
TURNS = [Turn(prompt.task, prompt.category, prompt.turns[0]) for prompt in PROMPTS]
COMMAND = CompareModes(
    modes=("max-entropy",), states=("fused", "statistics"), holds=(1, 3), updates=1, menu_size=6, levels=False
)


def workshop(folder: Path) -> Workshop:
    """What a run has before learning, of a tiny pair whose drafts are often right."""
    model = tiny.target()
    pair = tiny.Speculator(model, tiny.echo(model))
    held = tabulating(StateSpec.parse(training(COMMAND).state), pair)
    return Workshop(COMMAND, folder, pair, build(pair, PROMPTS, MENU, TOKENS, held), COSTS, held)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Workshop, Contest]:
    shop = workshop(tmp_path_factory.mktemp("run"))
    return shop, Contest.of(shop)


@pytest.fixture(scope="module")
def rows(made: tuple[Workshop, Contest]) -> list[Raced]:
    shop, contest = made
    return contest.raced(shop.speculator, TURNS[:2], TOKENS, 2)


# -- what is compared --------------------------------------------------------------------------------------------------


def test_every_combination_is_a_mode() -> None:
    found = modes_of(CompareModes())
    assert len(set(found)) == 2 * 2 * 3 * 2
    assert found[:2] == [Mode("ppo", "standard", "text", 1), Mode("ppo", "standard", "text", 10)]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"holds": (10,)}, "1 among them"),
        ({"holds": (1, 10, 10)}, "each once"),
        ({"holds": (1, 0)}, "at least 1"),
        ({"states": ("sbert",)}, "known states"),
        ({"learners": ("a2c",)}, "known learners"),
        ({"modes": ("entropic",)}, "known modes"),
    ],
)
def test_what_cannot_be_is_refused_before_any_work(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        modes_of(replace(CompareModes(), **settings))


def test_the_table_holds_all_states_and_the_statistics() -> None:
    assert training(CompareModes()).state == "statistics+text+fused"
    assert training(CompareModes(states=("fused-learned",))).state == "statistics+fused"


# -- learning ----------------------------------------------------------------------------------------------------------


def test_one_training_serves_all_holds_and_is_kept(
    made: tuple[Workshop, Contest], monkeypatch: pytest.MonkeyPatch
) -> None:
    shop, contest = made
    kept = sorted(path.name for path in (shop.folder / "policies").iterdir())
    assert kept == [f"{way}-max-entropy-{state}" for way in ("dqn", "ppo") for state in ("fused", "statistics")]

    def never(*_: Any, **__: Any) -> TreePolicy:
        raise AssertionError("it is learned already")

    monkeypatch.setattr(compare_modes, "learn", never)
    again = Contest.of(shop)
    for mode, policy in contest.policies.items():
        assert policy.inference.hold_rounds == mode.hold
        assert (again.policies[mode].inference, again.policies[mode].actions) == (policy.inference, policy.actions)
        assert (policy.position.names == STATISTICS) == (mode.state == "statistics")


def test_a_policy_of_other_features_is_refused(made: tuple[Workshop, Contest]) -> None:
    shop, _ = made
    with pytest.raises(ValueError, match="begin a new run"):
        shop.policy(Mode("ppo", "max-entropy", "fused"), shop.states()["statistics"])


# -- racing ------------------------------------------------------------------------------------------------------------


def test_calls_are_counted_without_the_warm_up(rows: list[Raced]) -> None:
    for row in rows:
        assert row.calls_TR.shape == (2, 2)
        rounds_TR = [[len(w.generation.rounds) if w.generation else 0 for w in ws] for ws in row.entry.decodes_TR]
        hold = row.mode.hold if row.mode else None
        expected = [[-(-rounds // hold) if hold else 0 for rounds in rounds_R] for rounds_R in rounds_TR]
        assert row.calls_TR.tolist() == expected, row.entry.name
        assert row.hit_rate is None if hold is None else (row.hit_rate == 0) == (hold == 1)


def test_every_row_writes_the_same_text(rows: list[Raced]) -> None:
    texts = [[written.tokens for written in row.entry.first_T] for row in rows]
    assert all(text == texts[0] for text in texts)


def test_the_result_is_plain_and_complete(rows: list[Raced]) -> None:
    result = json.loads(json.dumps(result_of(rows, TURNS[:2], COMMAND)))
    assert [row["name"] for row in result["rows"]][:2] == ["eagle-default", STATIC]
    assert len(result["rows"]) == 2 + 8
    assert result["rows"][1]["against_best_static"] == pytest.approx(1.0)
    assert len(result["claims"]) == 3 * 3
    assert {bar["name"].split(",")[0] for bar in result["bars"]} == {
        "policy overhead with statistics",
        "policy overhead with fused",
    }
    halved = next(claim for claim in result["claims"] if claim["measure"] == "calls")
    assert 1 / 3 <= halved["value"] < 0.6
    assert len(table_of(result).rows) == len(result["rows"])
    assert len(sentences(result)) == len(result["claims"]) + len(result["contrasts"]) == 9 + 3


class _Asked:
    """A rule of levels that counts what it is asked."""

    def __init__(self, policy: LevelPolicy) -> None:
        self.policy, self.calls = policy, 0

    def __call__(self, state: RoundState) -> _Asked:
        self._plan = self.policy(state)
        self.top_k, self.depth = self._plan.top_k, self._plan.depth
        self.draft_temperature = self._plan.draft_temperature
        return self

    def expands(self, level: int, beam_scores_k: Any, /) -> bool:
        self.calls += 1
        return self._plan.expands(level, beam_scores_k)

    def total_tokens(self, pool: Pool, /) -> int:
        self.calls += 1
        return self._plan.total_tokens(pool)


def test_calls_of_the_rule_of_levels_are_told_from_its_rounds() -> None:
    model = tiny.target()
    pair = tiny.Speculator(model, tiny.echo(model))
    (table,) = build_levels(pair, PROMPTS, [LEVEL_MENU], TOKENS)
    policy = learn_levels([table], COSTS, LevelLearning(passes=1, epochs=4), say=lambda _line: None)
    asked = _Asked(policy)
    entry = Entry(LEVELS, by_engine(pair, TOKENS, policy=asked))
    race([entry], TURNS[:1])
    assert 2 * level_calls(entry, LEVEL_MENU.depth).sum() == asked.calls  # the warm-up was the same decode
    depths = {r.shape.depth for r in entry.rounds if r.shape}
    assert depths, "nothing was drafted: the test shows nothing"


# -- the command -------------------------------------------------------------------------------------------------------


def test_a_run_tells_its_recipe(tmp_path: Path) -> None:
    command = CompareModes(pair=Pair(dtype="float32"), holds=(1, 30), out=tmp_path, json=tmp_path / "x.json")
    with Run.begin(tmp_path, command, track=()) as run:
        assert recipe_of(run.path) == command
    with pytest.raises(FileNotFoundError, match="is no run"):
        recipe_of(tmp_path)


def test_the_command_refuses_what_is_unknown(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    flags = ["--states", "statistic", "--out", str(tmp_path / "runs")]
    assert trimtab(["speculation", "compare-modes", *flags]) == 2
    assert "known states" in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()


def test_shapes_are_those_of_the_menu(made: tuple[Workshop, Contest]) -> None:
    shop, contest = made
    assert isinstance(shop.best_static, TreeShape)
    assert {action for policy in contest.policies.values() for action in policy.actions} <= set(MENU)
    assert 1 < len(next(iter(contest.policies.values())).actions) <= COMMAND.menu_size
