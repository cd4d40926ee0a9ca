"""``trimtab speculation train``: begin a run or go on with it, and print what replay says of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from trimtab.console import Table, say
from trimtab.parallel import quietly, workers
from trimtab.runs import Run
from trimtab.speculation import oracle
from trimtab.speculation.stages import assist, check, prepare
from trimtab.speculation.trained import recipe_of

if TYPE_CHECKING:
    from trimtab.speculation.recipe import Train


def begin(recipe: Train) -> Run:
    """A new run, or the one to go on with: by its own recipe where nothing else is asked for than to resume."""
    from trimtab.speculation.recipe import Train

    settings = replace(recipe, resume=None)
    if recipe.resume is None:
        return Run.begin(recipe.out, settings, track=settings.track, tracking=settings.tracking)
    own, usual = recipe_of(recipe.resume), Train()
    otherwise = (settings.track, settings.tracking) != (usual.track, usual.tracking)
    track, tracking = (settings.track, settings.tracking) if otherwise else (own.track, own.tracking)
    asked, usual = (replace(one, track=own.track, tracking=own.tracking) for one in (settings, usual))
    return Run.resume(recipe.resume, None if asked == usual else asked, track=track, tracking=tracking)


def train(recipe: Train) -> None:
    """``trimtab speculation train``: by replay, or from collected data, as the recipe (or that of the run) says."""
    if recipe.from_data or (recipe.resume is not None and recipe_of(recipe.resume).from_data):
        from trimtab.speculation.data_verb import train_from_data

        train_from_data(recipe)
    else:
        _train_by_replay(recipe)


def _train_by_replay(recipe: Train) -> None:
    """Of several processes the main one has the run, the others help with its tables."""
    if recipe.resume is None:
        check(recipe)
    team = workers()
    if not team.main:
        path: Path = team.from_main(recipe.out)
        with quietly(team):
            assist(recipe_of(path), path, team)
        return
    with begin(recipe) as run:
        team.from_main(run.path)
        prepared = prepare(recipe_of(run.path), run, team)
        say(f"the policy is in {run.path / 'policy'}; judge it by: trimtab speculation evaluate --run {run.path}")
    best = oracle.price(prepared.table, prepared.costs)
    bounds = oracle.bounds(best)
    table = Table("training prompts, replayed", ("name", "tokens_per_second"), note="simulated from measured costs")
    table.add("best-static", bounds.best_static)
    table.add("oracle", bounds.oracle)
    table.print()
