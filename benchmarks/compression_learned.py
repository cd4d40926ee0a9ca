"""Does a policy that picks the compression per prompt beat the best fixed one, at a tight budget, on three models?

python benchmarks/compression_learned.py [--json OUT]

For each of three independently trained models of zoo:recall:

1. The layers' budgets are learned from a few prompts of their own (``layer_budgets``); they make the menu ``layered``.
2. A reward table of training prompts, at several budgets. On it alone, by cross-validation over prompts, the learner and
   the tight budget are chosen: the budget at which the least certain model is still surest to gain. Both are declared.
3. Then fresh prompts are made, of another seed, and judged once: every way of choosing at every budget.

The best fixed action is chosen on the training prompts among *all* actions, those with learned layers included. Tables are
kept in ``--out`` and gone on with.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
import tyro

from trimtab.compression.actions import layered
from trimtab.compression.engine.layers import Shares
from trimtab.compression.features import PromptFeatures
from trimtab.compression.kept_features import KeptFeatures
from trimtab.compression.layer_budgets import by_fidelity
from trimtab.compression.model_names import load
from trimtab.compression.scoring import ScoreSettings
from trimtab.compression.table import RewardTable
from trimtab.compression.tabulating import tabulate
from trimtab.compression.tasks.recall import Recall
from trimtab.console import say

LAYER_SEED, TRAIN_SEED, HELD_OUT_SEED = 20, 31, 77
"""Seeds of the generator: prompts that teach the layers' budgets, that are learnt from, and that are judged."""


@dataclass(frozen=True)
class Benchmark:
    """Learned choices against the best fixed action at tight budgets."""

    models: tuple[str, ...] = ("zoo:recall", "zoo:recall-1", "zoo:recall-2")
    """Independently trained models: zoo names or paths."""
    layer_prompts: int = 24
    """Prompts that the layers' budgets are learned from."""
    train_prompts: int = 1000
    """Prompts that choices are learned from, and by which learner and budget are chosen."""
    held_out_prompts: int = 600
    """Fresh prompts that are judged, once."""
    budgets: tuple[int, ...] = (16, 24, 32, 64, 128)
    """Tokens kept per KV head, averaged over the layers."""
    layer_budget: int = 24
    """The budget at which the layers' shares are learned."""
    out: Path = Path("runs/benchmark-compression-learned")
    """Where the tables are kept."""
    threads: int = 1
    """Threads of torch."""
    json: Path | None = None
    """Where to write rows and bars."""


def folder_of(command: Benchmark, model: str) -> Path:
    """Where a model's tables are."""
    return command.out / model.replace("/", "_").replace(":", "_")


def shares_of(command: Benchmark, model: str) -> Shares:
    """The layers' budgets of a model, learned once."""
    kept = folder_of(command, model) / "layers.txt"
    if not kept.is_file():
        network, _ = load(model, dtype="float32")
        shares = by_fidelity(network, Recall().prompts(LAYER_SEED, command.layer_prompts), command.layer_budget)
        kept.parent.mkdir(parents=True, exist_ok=True)
        kept.write_text(" ".join(f"{value:g}" for value in shares.values), encoding="utf-8")
    return Shares(tuple(float(value) for value in kept.read_text(encoding="utf-8").split()))


def table_of(command: Benchmark, model: str, seed: int, prompts: int) -> RewardTable:
    """The reward table of a model on the prompts of a seed."""
    network, _ = load(model, dtype="float32")
    actions = layered(shares_of(command, model))
    return tabulate(
        network,
        Recall().prompts(seed, prompts),
        actions,
        command.budgets,
        folder_of(command, model) / f"seed-{seed}",
        settings=ScoreSettings(scored_tokens=4),
        features=PromptFeatures(extras=(KeptFeatures(actions, command.budgets),)),
        about={"model": model},
    )


def main(command: Benchmark) -> None:
    """Measure, print, write."""
    torch.set_num_threads(command.threads)
    train = {model: table_of(command, model, TRAIN_SEED, command.train_prompts) for model in command.models}
    say(", ".join(train))


if __name__ == "__main__":
    main(tyro.cli(Benchmark, description=__doc__))
