"""What does ``trimtab compression tabulate`` do? Read the prompts, make the table, say what it cost."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from trimtab.compression.actions import menu
from trimtab.compression.features import PromptFeatures
from trimtab.compression.model_names import load
from trimtab.compression.prompt_sets import named
from trimtab.compression.scoring import ScoreSettings
from trimtab.compression.tabulating import tabulate
from trimtab.console import Table, duration, say
from trimtab.parallel import workers

if TYPE_CHECKING:
    from trimtab.compression.recipe import Tabulate


def tabulate_prompts(command: Tabulate) -> None:
    """``trimtab compression tabulate``."""
    model, tokenizer = load(command.model_name, command.gpus, command.dtype)
    prompts = named(command.prompts, tokenizer, command.prompt_count, command.max_tokens)
    team, started = workers(), time.perf_counter()
    table = tabulate(
        model,
        prompts,
        menu(command.menu),
        command.budgets,
        command.out,
        settings=ScoreSettings(scored_tokens=command.scored_tokens),
        features=PromptFeatures(),
        about={"model": command.model_name},
        team=team,
    )
    if not team.main:
        return
    shown = Table("fidelity of the best actions", ("budget", "action", "fidelity", "oracle"))
    for budget in table.budgets:
        rewards_PA = table.rewards("fidelity", budget)
        best = int(rewards_PA.mean(axis=0).argmax())
        shown.add(budget, table.actions[best], float(rewards_PA[:, best].mean()), float(rewards_PA.max(axis=1).mean()))
    shown.print()
    say(f"{len(prompts)} prompts in {duration(time.perf_counter() - started)}: {command.out / 'table.npz'}")
