"""How was the empathy head fitted, and how is one fitted to other data? ``trimtab dialogue fit-empathy``.

For the embedded task: replies of the world, more often mistaken than its references are, judged by the exact judge with
one judgement in ten turned round, as people's are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from trimtab import machine
from trimtab.checkpoints import replace_file
from trimtab.dialogue.example import Reply, references
from trimtab.dialogue.rewards.empathy import EmpathyHead, HeadFit, fit
from trimtab.dialogue.tasks.moods import Flaws, Moods
from trimtab.dialogue.tasks.moods_judge import gold

SEED = 100
"""Of the dialogues that the head is fitted to: no other seed draws the same."""

CARD = """---
license: apache-2.0
---
# Empathy head for trimtab's embedded dialogue task

The probability that a reply meets what the user feels, from MiniLM's vectors of both: a perceptron with {hidden} hidden
units over [u, r, u * r, |u - r|]. Fitted to {examples} made dialogues (`trimtab.dialogue.tasks.moods`, seed {seed}) whose
judgements were turned round in {noise:.0%} of the cases; on {held_out_examples} others, as noisy, its AUC is
{held_out_auc:.3f}. It knows the phrases of that task, and nothing of people: fit one to your own data
(`trimtab dialogue fit-empathy --data labelled.jsonl`).

Made by `trimtab dialogue fit-empathy` ({date}, {hardware}).
"""


@dataclass(frozen=True)
class MoodsLabels:
    """The labelled replies of the embedded task."""

    count: int = 10_000
    noise: float = 0.1
    flaws: Flaws = Flaws(empathic=0.35, acknowledging=0.2, mistaken=0.25)
    seed: int = SEED

    def labelled(self) -> tuple[list[Reply], list[float]]:
        """Replies and their noisy judgements."""
        replies = references(Moods(self.seed, self.flaws).examples("train", self.count))
        judged = np.array([gold(reply.example, reply.text).empathy for reply in replies])
        turned = np.random.default_rng(self.seed).random(len(judged)) < self.noise
        return replies, np.where(turned, 1 - judged, judged).tolist()


def labelled_examples(replies: Sequence[Reply]) -> tuple[list[Reply], list[float]]:
    """Those replies whose example carries a label. Raises ValueError where none does."""
    chosen = [(reply, reply.example.facts.label) for reply in replies if reply.example.facts.label is not None]
    if not chosen:
        raise ValueError("no example carries a label: expected rows with a field `label` from 0 to 1.")
    return [reply for reply, _ in chosen], [float(label) for _, label in chosen if label is not None]


def fit_moods_head(out: Path, labels: MoodsLabels = MoodsLabels(), settings: HeadFit | None = None) -> EmpathyHead:
    """Fit the head of the embedded task and write it to ``out``, with its card."""
    head = fit(*labels.labelled(), settings=settings or HeadFit())
    head.save(out)
    on = machine.hardware()
    card = CARD.format(
        **{**head.about, "seed": labels.seed},
        noise=labels.noise,
        date=machine.today(),
        hardware=f"{on['cores']} cores of {on['processor']}",
    )
    replace_file(out / "README.md", lambda scratch: scratch.write_text(card, encoding="utf-8"))
    return head
