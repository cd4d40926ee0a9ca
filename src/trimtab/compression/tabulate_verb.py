"""What does ``trimtab compression tabulate`` do? Read the prompts, make the table, say what it cost."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from trimtab.compression import menus
from trimtab.compression.context_encoders import Cost, costs, embedder, fingerprints, prompt_features
from trimtab.compression.model_names import load
from trimtab.compression.prompt_sets import named
from trimtab.compression.scoring import ScoreSettings
from trimtab.compression.tabulating import tabulate
from trimtab.compression.text_measures import measures_for
from trimtab.console import Table, duration, say
from trimtab.parallel import workers

if TYPE_CHECKING:
    from trimtab.compression.recipe import Tabulate


COSTED = 3
"""Prompts on which the cost of what a policy sees is measured."""


def show_costs(found: list[Cost]) -> None:
    """Print what a policy's features cost."""
    shown = Table("what a policy sees costs", ("part", "ms per prompt", "of reading it"))
    for cost in found:
        shown.add(cost.part, f"{1000 * cost.seconds:.1f}", f"{cost.share:.1%}")
    shown.print()


def tabulate_prompts(command: Tabulate) -> None:
    """``trimtab compression tabulate``."""
    model, tokenizer = load(command.model_name, command.gpus, command.dtype)
    prompts = named(command.prompts, tokenizer, command.prompt_count, command.max_tokens)
    menus.check(command.menu)
    team, started = workers(), time.perf_counter()
    actions, taught = menus.actions_of(
        command.menu, model, prompts, min(command.budgets), scored_tokens=command.scored_tokens, team=team
    )
    features = prompt_features(command.context_encoder_model, tokenizer, actions, command.budgets)
    table = tabulate(
        model,
        prompts,
        actions,
        command.budgets,
        command.out,
        settings=ScoreSettings(scored_tokens=command.scored_tokens),
        texts=measures_for(prompts, tokenizer, command.new_tokens, embedder(command.cosine_model)),
        features=features,
        about={
            "model": command.model_name,
            "encoders": fingerprints(features),
            "cosine_model": command.cosine_model,
            **taught,
        },
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
    show_costs(costs(model, prompts[:COSTED], features))
    say(f"{len(prompts)} prompts in {duration(time.perf_counter() - started)}: {command.out / 'table.npz'}")
