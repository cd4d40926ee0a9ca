"""Does PPO find the best policy where that can be computed? The enumerable task, three seeds of task, model and training.

python benchmarks/ppo_known_optimum.py [--seeds 3] [--steps 300] [--json OUT]

Three prompts, 156 replies to each, a random reward for each, a cost of 0.1 for a nat of KL to the reference: the best
policy and its value ``J* = beta log E_ref[exp(r / beta)]`` are computed by listing all replies; so are value and KL of the
policy that PPO trained. The trainer is the one of `trimtab dialogue train`, on samples alone.
"""

from __future__ import annotations

import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
import tyro

from trimtab import machine
from trimtab.console import Table, say
from trimtab.dialogue.ppo.building import make_learner
from trimtab.dialogue.ppo.enumerable import Enumerable, TableGrader
from trimtab.dialogue.ppo.settings import PPOSettings
from trimtab.dialogue.ppo.trainer import PPOTrainer, Update, head_names
from trimtab.records import write_json

LEAST_GAP, MOST_KL_ERROR = 0.95, 0.05


def settings_of(task: Enumerable, steps: int, batch_size: int, seed: int) -> PPOSettings:
    """Full batches and a rate that falls to 0: what is left at the end is bias, not noise.

    Advantages are not whitened: at the optimum they vanish, and whitening would blow up what noise remains.
    """
    return PPOSettings(
        steps=steps,
        batch_size=batch_size,
        minibatch_size=batch_size // 2,
        epochs=4,
        learning_rate=3e-3,
        critic_learning_rate=5e-3,
        decay=1.0,
        value_clip_epsilon=None,
        whiten=False,
        kl_coefficient=task.beta,
        kl_target=None,
        unfinished_penalty=0.0,
        context_max_length=2,
        reply_max_length=task.longest,
        seed=seed,
    )


def one_seed(seed: int, steps: int, batch_size: int) -> dict[str, Any]:
    """Train once; the row of the table."""
    task = Enumerable(seed=seed)
    grader = TableGrader(task)
    reference = task.model()
    before_PS = task.logprobs_PS(reference)
    learner, frozen = make_learner(reference, head_names(grader.parts))
    settings = settings_of(task, steps, batch_size, seed)
    trainer = PPOTrainer(settings, learner, frozen, grader, [task.end])
    started = time.perf_counter()

    def told(done: Update) -> None:
        if done.step % 25 == 24:
            gap = task.gap_closed(task.logprobs_PS(learner.policy), before_PS)
            say(f"seed {seed}, update {done.step + 1}: {gap:.1%} of the gap, {time.perf_counter() - started:.0f} s")

    trainer.fit(told=told)
    after_PS = task.logprobs_PS(learner.policy)
    found, best = task.judge(after_PS, before_PS), task.optimum(before_PS)[1]
    return {
        "seed": seed,
        "value_reference": task.judge(before_PS, before_PS).value,
        "value_ppo": found.value,
        "value_best": best.value,
        "gap_closed": task.gap_closed(after_PS, before_PS),
        "kl_ppo": found.kl,
        "kl_best": best.kl,
        "kl_error": abs(found.kl / best.kl - 1),
        "replies": steps * batch_size,
        "seconds": time.perf_counter() - started,
    }


def bars_of(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The bars, computed from the rows."""
    gap = float(np.mean([row["gap_closed"] for row in rows]))
    kl = float(np.mean([row["kl_ppo"] for row in rows]) / np.mean([row["kl_best"] for row in rows]))
    return [
        {"name": "gap closed, mean of seeds", "value": gap, "bound": f">= {LEAST_GAP}", "holds": gap >= LEAST_GAP},
        {
            "name": "KL relative to the optimal, means of seeds",
            "value": kl,
            "bound": f"within {MOST_KL_ERROR} of 1",
            "holds": abs(kl - 1) <= MOST_KL_ERROR,
        },
    ]


def main(seeds: int = 3, steps: int = 300, batch_size: int = 512, json: Path | None = None) -> None:
    """Print the table; write rows and bars to ``json``."""
    torch.set_num_threads(1)
    rows = [one_seed(seed, steps, batch_size) for seed in range(seeds)]
    table = Table("PPO on the enumerable task", tuple(rows[0]))
    for row in rows:
        table.add(*row.values())
    table.print()
    bars = bars_of(rows)
    for bar in bars:
        print(f"{bar['name']}: {bar['value']:.4f} ({bar['bound']}): {'holds' if bar['holds'] else 'FALLS SHORT'}")
    if json is not None:
        about = {"date": machine.today(), "hardware": machine.hardware(), "versions": machine.versions()}
        shown = asdict(settings_of(Enumerable(), steps, batch_size, 0))
        record = {"rows": rows, "bars": bars, "settings": shown, **about}
        write_json(json, record)


if __name__ == "__main__":
    tyro.cli(main)
