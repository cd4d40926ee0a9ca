"""Which actions does a command mean? A menu by name; ``layered`` learns the layers' budgets of its model first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from transformers import PreTrainedModel

from trimtab.compression.actions import MENUS, Action, layered, menu
from trimtab.compression.layer_budgets import by_fidelity
from trimtab.compression.prompt_sets import rows_by_part
from trimtab.compression.prompts import Prompt
from trimtab.compression.scoring import ScoreSettings
from trimtab.console import say
from trimtab.parallel import ALONE, Workers
from trimtab.plain import Plain

LAYERED = "layered"
LAYER_PROMPTS = 24
"""Prompts that the layers' budgets are learned from: the first of the training part."""
SHARES = (0.2, 0.3)
"""Calibration and held out, as ``train`` splits by default."""


def check(name: str) -> None:
    """Raises ValueError for an unknown menu, naming the known."""
    if name != LAYERED:
        menu(name)


def actions_of(
    name: str,
    model: PreTrainedModel,
    prompts: Sequence[Prompt],
    budget: int,
    *,
    scored_tokens: int = 4,
    shares: tuple[float, float] = SHARES,
    team: Workers = ALONE,
) -> tuple[tuple[Action, ...], dict[str, Plain]]:
    """The menu's actions, and what the table should say of them.

    ``layered``: the layers' budgets are learned at ``budget`` from the first prompts of the training part (``shares``:
    calibration and held out). Raises ValueError for an unknown menu.
    """
    if name != LAYERED:
        return menu(name), {}
    rows = rows_by_part([prompt.name for prompt in prompts], calibration=shares[0], held_out=shares[1])["train"]
    teachers = [prompts[row] for row in rows[:LAYER_PROMPTS]]
    found = None
    if team.main:
        say(f"learning the layers' budgets from {len(teachers)} training prompts, at {budget} tokens")
        found = by_fidelity(model, teachers, budget, settings=ScoreSettings(scored_tokens=scored_tokens))
    learned = team.from_main(found)
    assert learned is not None
    return layered(learned), {"layer_prompts": [prompt.name for prompt in teachers]}


def check_teachers(about: Mapping[str, Plain], held_out: Sequence[str]) -> None:
    """Raises ValueError where the layers' budgets of a table were learned from prompts that would be judged."""
    teachers = about.get("layer_prompts")
    judged = sorted(set(teachers) & set(held_out)) if isinstance(teachers, list) else []
    if judged:
        raise ValueError(
            f"the table's layer budgets were learned from {judged[0]} and {len(judged) - 1} more prompts that would be "
            "held out: split as the table was made (--calibration-share 0.2 --held-out-share 0.3), or tabulate anew"
        )


NAMES = (*MENUS, LAYERED)
