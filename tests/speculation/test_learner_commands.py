"""Does the command line reach every learner, mode, action space and menu?"""

from __future__ import annotations

import pytest

from trimtab.speculation.actions import MENU_BINS, TreeShape, exists, named_menu
from trimtab.speculation.inference import Inference
from trimtab.speculation.learners import DQN, LEARNERS, PPO
from trimtab.speculation.recipe import Train
from trimtab.speculation.stages import learning_of, shapes_of


def test_bins_of_a_part_replace_those_of_the_menu() -> None:
    made = shapes_of("default", None, ((), (2, 3), ()))
    assert {shape.depth for shape in made} == {2, 3}
    assert {shape.top_k for shape in made} == set(MENU_BINS["default"][2])
    assert made == [shape for shape in named_menu("default") if shape.depth in (2, 3)]
    assert shapes_of("default", None) == named_menu("default")


def test_custom_bins_mask_what_does_not_exist() -> None:
    made = shapes_of("default", None, ((4, 60), (1, 7), (1, 10)))
    assert made == [
        TreeShape(*bins) for bins in [(4, 1, 10), (4, 7, 1), (4, 7, 10), (60, 1, 10), (60, 7, 10)] if exists(*bins)
    ]
    assert shapes_of("default", ((4,), (7,), (1,)), ((6,), (), ())) == [TreeShape(6, 7, 1)]
    with pytest.raises(ValueError, match="no tree exists"):
        shapes_of("default", None, ((60,), (1,), (1,)))


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
    with pytest.raises(ValueError, match="no learner 'a2c'; known learners: ppo"):
        learning_of(Train(learner="a2c"))
