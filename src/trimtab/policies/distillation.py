"""How does one small network take over what a slower or larger decider does?

Cross-entropy to the teacher's probabilities over the states that it meets (policy distillation, Rusu et al. 2016,
arXiv:1511.06295, with their KL loss). A rule's probabilities are ones and zeros.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from trimtab.policies.mlp import MLP
from trimtab.policies.networks import exported, network_of, perceptron, single_thread


@dataclass(frozen=True)
class Distillation:
    """Hyper-parameters of the student and its training."""

    hidden: tuple[int, ...] = (64,)
    steps: int = 1500
    batch_size: int = 512
    learning_rate: float = 3e-3
    weight_decay: float = 1e-4


def distil(inputs_NF: np.ndarray, probabilities_NA: np.ndarray, settings: Distillation, *, seed: int = 0) -> MLP:
    """A network whose softmax comes near the teacher's probabilities [N, A] at the inputs [N, F]."""
    network = network_of(perceptron(inputs_NF.shape[1], settings.hidden, probabilities_NA.shape[1], seed))
    optimiser = torch.optim.AdamW(network.parameters(), settings.learning_rate, weight_decay=settings.weight_decay)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, settings.steps)
    inputs, targets = (torch.from_numpy(np.asarray(array, dtype=np.float32)) for array in (inputs_NF, probabilities_NA))
    generator = torch.Generator().manual_seed(seed)
    with single_thread():
        for _ in range(settings.steps):
            batch = torch.randint(len(inputs), (settings.batch_size,), generator=generator)
            loss = -(targets[batch] * network(inputs[batch]).log_softmax(dim=1)).sum(dim=1).mean()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
    return exported(network)


def agreement(student: MLP, inputs_NF: np.ndarray, probabilities_NA: np.ndarray) -> float:
    """The share of states where both would choose the same action."""
    return float((student.scores(inputs_NF).argmax(axis=1) == probabilities_NA.argmax(axis=1)).mean())
