"""Does the command line reach every learner, mode, action space and menu?"""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from trimtab.runs import Run
from trimtab.speculation.actions import MENU_BINS, TreeShape, exists, named_menu
from trimtab.speculation.inference import Inference
from trimtab.speculation.learners import DQN, LEARNERS, PPO
from trimtab.speculation.recipe import RECIPES, Train
from trimtab.speculation.stages import asked_shapes, check, learning_of, shapes_of
from trimtab.speculation.trained import recipe_of


def test_bins_of_a_part_replace_those_of_the_menu() -> None:
    made = shapes_of("default", ((), (2, 3), ()))
    assert {shape.depth for shape in made} == {2, 3}
    assert {shape.top_k for shape in made} == set(MENU_BINS["default"][2])
    assert made == [shape for shape in named_menu("default") if shape.depth in (2, 3)]
    assert shapes_of("default") == named_menu("default")


def test_custom_bins_mask_what_does_not_exist() -> None:
    made = shapes_of("default", ((4, 60), (1, 7), (1, 10)))
    assert made == [
        TreeShape(*bins) for bins in [(4, 1, 10), (4, 7, 1), (4, 7, 10), (60, 1, 10), (60, 7, 10)] if exists(*bins)
    ]
    assert shapes_of("default", ((6,), (7,), (1,))) == [TreeShape(6, 7, 1)]
    with pytest.raises(ValueError, match="no tree exists"):
        shapes_of("default", ((60,), (1,), (1,)))


@pytest.mark.parametrize("name", LEARNERS)
def test_every_learner_is_a_word_of_the_recipe(name: str) -> None:
    made = learning_of(Train(learner=name))
    assert made.fitted == LEARNERS[name]
    assert made.inference == Inference()


def test_modes_and_spaces_are_words_of_the_recipe() -> None:
    made = learning_of(Train(learner="dqn", mode="max-entropy", entropy_coef=0.3, inference_temperature=2.0))
    assert isinstance(made.fitted, DQN)
    assert made.fitted.settings.entropy == 0.3
    assert made.inference == Inference(mode="sample", temperature=2.0)
    combined = learning_of(Train(learner="ppo", action_space="multidiscrete", ppo_updates=7))
    assert isinstance(combined.fitted, PPO)
    assert combined.fitted.combines_bins
    assert combined.fitted.settings.updates == 7
    with pytest.raises(ValueError, match="no learner 'a2c'; known learners: levels, ppo"):
        learning_of(Train(learner="a2c"))


@pytest.mark.parametrize(
    ("recipe", "message"),
    [
        (Train(learner="a2c"), "known learners: levels, ppo"),
        (Train(mode="greedy"), "known modes: standard, max-entropy"),
        (Train(action_space="box"), "known ones: flat, multidiscrete"),
        (Train(hold_drift=2.0), "has no hold_drift 2.0"),
        (Train(entropy_coef=0.1), "has no entropy_coef 0.1"),
        (Train(level_beams=()), "level_beams is empty"),
        (Train(learner="ppo", draft_temperature=0.8), "only the learner 'levels' changes it, not ppo"),
        (Train(max_new_tokens=0), "at least 1 token"),
        (Train(calibration_seconds=0.0), "more than 0 seconds"),
        (Train(learner="ppo", state="fused-learned", top_k_bins=(2,), depth_bins=(3,)), "expected 1 to 4, the trees"),
        (Train(learner="ppo", reward="os:getcwd"), "cannot be made from the rate"),
    ],
)
def test_what_cannot_be_is_refused_before_any_work(recipe: Train, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        check(recipe)


@pytest.mark.parametrize("name", RECIPES["train"])
def test_the_recipes_can_be(name: str) -> None:
    check(RECIPES["train"][name])


def test_bins_of_older_runs_are_read(tmp_path: Path) -> None:
    with Run.begin(tmp_path, Train(learner="dqn", depth_bins=(2, 3)), track=()) as run:
        path = run.path / "recipe.yaml"
    raw = yaml.safe_load(path.read_text())
    assert recipe_of(path.parent).depth_bins == (2, 3)
    for name in ("total_tokens_bins", "depth_bins", "top_k_bins"):
        raw[name] = []
    path.write_text(yaml.safe_dump(raw | {"bins": [[4], [1, 3], [2]]}))
    assert asked_shapes(recipe_of(path.parent)) == [TreeShape(4, 1, 2), TreeShape(4, 3, 2)]
