"""Train the enumerable task for a few updates and write what came of it: run by ``test_two_processes``."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import torch

from trimtab.dialogue.ppo.building import make_learner
from trimtab.dialogue.ppo.enumerable import Enumerable, TableGrader
from trimtab.dialogue.ppo.settings import PPOSettings
from trimtab.dialogue.ppo.trainer import PPOTrainer, Update, head_names, make_accelerator


def main(out: Path) -> None:
    torch.set_num_threads(1)
    task = Enumerable()
    grader = TableGrader(task)
    learner, reference = make_learner(task.model(), head_names(grader.parts))
    settings = PPOSettings(
        steps=4,
        batch_size=32,
        minibatch_size=16,
        accumulation=2,
        epochs=2,
        learning_rate=1e-3,
        critic_learning_rate=1e-3,
        unfinished_penalty=0.1,
        context_max_length=2,
        reply_max_length=3,
    )
    trainer = PPOTrainer(settings, learner, reference, grader, [task.end], accelerator=make_accelerator())
    rows: list[dict[str, object]] = []

    def told(done: Update) -> None:
        numbers = {name: value for name, value in done.metrics.items() if "seconds" not in name and value == value}
        rows.append({"rewards": done.graded.values_B.tolist(), "replies": [w.ids for w in done.written], **numbers})

    trainer.fit(told=told)
    if trainer.accelerator.is_main_process:
        logprobs = task.logprobs_PS(learner.policy).tolist()
        count = trainer.accelerator.num_processes
        out.write_text(json.dumps({"processes": count, "rows": rows, "logprobs": logprobs}))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
