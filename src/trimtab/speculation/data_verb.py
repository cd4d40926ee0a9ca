"""What do the commands say that work on collected decodes? ``train --from-data`` and ``judge``; no model is loaded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trimtab.checkpoints import Bookkeeping, Checkpoint
from trimtab.console import Table, print_update, say
from trimtab.plain import Plain
from trimtab.runs import Run
from trimtab.speculation.chances import always, of_policy
from trimtab.speculation.collected import Collected, read_collected
from trimtab.speculation.from_data import FromData, learn_from_data
from trimtab.speculation.logged_rounds import as_log
from trimtab.speculation.offpolicy import Estimate, OffPolicy
from trimtab.speculation.saved import load_tree_policy
from trimtab.speculation.trained import recipe_of
from trimtab.speculation.tree_policy import Widths

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trimtab.speculation.recipe import Judge, Train


class _KeptByRun:
    """A run as the keeper of checkpoints: resuming then drops the rows that were logged beyond them."""

    def __init__(self, run: Run) -> None:
        self._run = run

    def latest(self) -> Checkpoint | None:
        return self._run.latest_checkpoint()

    def write(
        self, step: int, arrays: Mapping[str, Any], state: Mapping[str, Plain], _bookkeeping: Bookkeeping, /
    ) -> Path:
        return self._run.checkpoint(step, arrays, state)


def read(paths: Sequence[Path]) -> Collected:
    """Collected decodes; what is broken in them is said."""
    made = read_collected(paths)
    say(*made.notes(), f"{len(made.decodes)} decodes of {len({d.prompt for d in made.decodes})} turns")
    return made


def _origin(made: Collected) -> tuple[Widths | None, dict[str, str]]:
    """The pair that the decodes come from. Raises ValueError where sessions name different ones."""
    widths = [decode.header.about.get("widths") for decode in made.decodes]
    if any(one != widths[0] for one in widths):
        raise ValueError("the files were collected with models of different widths: train on those of one pair")
    pair: Mapping[str, Any] = made.decodes[0].header.about.get("pair") or {}
    models = {part: str(pair[part]) for part in ("target", "head") if part in pair}
    return (Widths(**widths[0]) if widths[0] else None), models


def _check(recipe: Train) -> None:
    """Raises ValueError where the recipe asks for what only a replay has."""
    from trimtab.speculation.recipe import Train

    usual, own = Train(), {"from_data", "seed", "out", "track", "tracking", "resume"}
    asked = [f.name for f in fields(recipe) if f.name not in own and getattr(recipe, f.name) != getattr(usual, f.name)]
    if asked:
        raise ValueError(
            f"learning from collected data has no {', '.join(asked)}: its trees, features and models are those of the "
            "files, its learner is the doubly robust policy gradient; leave these out, or learn by replay (no --from-data)"
        )


def train_from_data(asked: Train) -> None:
    """``trimtab speculation train --from-data FILE...``; gone on with by ``--resume RUN``."""
    from trimtab.speculation.train_verb import begin

    _check(asked)
    recipe = recipe_of(asked.resume) if asked.resume and not asked.from_data else asked
    made = read(recipe.from_data)
    log = as_log(made)
    widths, models = _origin(made)
    run = begin(asked)
    with run:

        def metrics(update: int, row: dict[str, float]) -> None:
            run.log(update, row)
            print_update(update, row, run.elapsed_seconds)

        policy = learn_from_data(
            log,
            FromData(),
            seed=recipe.seed,
            widths=widths,
            models=models,
            metrics=metrics,
            say=say,
            checkpoints=_KeptByRun(run),
        )
        policy.save(run.path / "policy")
        say(f"the policy is in {run.path / 'policy'}")


def _row(table: Table, name: str, estimate: Estimate) -> None:
    here, elsewhere = estimate.here, estimate.elsewhere
    numbers = (here.low, here.high, elsewhere.low, elsewhere.high, estimate.effective_decodes)
    table.add(name, estimate.tokens_per_second, *numbers)


def judge(command: Judge) -> None:
    """``trimtab speculation judge``."""
    log = as_log(read(command.data))
    off = OffPolicy(log, folds=command.folds)
    columns = ("name", "tokens_per_second", "low", "high", "low_elsewhere", "high_elsewhere", "effective_decodes")
    table = Table(
        "estimated from the log",
        columns,
        note="doubly robust, by ratios of visits; of rounds, without prefill (see docs/metrics.md)",
    )
    if command.policy is not None:
        policy = load_tree_policy(command.policy)
        if policy.position.names != log.feature_names[: log.position_width]:
            raise ValueError(
                f"the policy was trained for the features {', '.join(policy.position.names)}; the log holds "
                f"{', '.join(log.feature_names[: log.position_width])}: collect with the policy's own (--policy)"
            )
        _row(table, "policy", off.estimate(of_policy(policy, log.actions), decision_seconds=command.decision_seconds))
    for column, tree in enumerate(log.actions):
        _row(table, f"static {tree}", off.estimate(always(column, len(log.actions))))
    table.print()
    if command.json:
        from trimtab.records import write_json

        write_json(command.json, {"rows": table.plain_rows()})
