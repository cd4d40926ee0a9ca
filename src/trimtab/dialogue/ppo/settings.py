"""What can PPO be told? Its hyper-parameters, with the names and defaults of the field."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class PPOSettings:
    """Hyper-parameters. Raises ValueError where they contradict each other."""

    steps: int = 1000
    """Updates."""
    batch_size: int = 64
    """Replies per update, over all processes."""
    minibatch_size: int = 32
    """Replies per step of the optimiser, over all processes."""
    accumulation: int = 1
    """Pieces that a minibatch is computed in; their gradients add up."""
    epochs: int = 4
    """Passes over the replies of an update."""
    samples_per_prompt: int = 1
    """Replies drawn to each prompt of an update."""
    learning_rate: float = 1e-5
    critic_learning_rate: float = 1e-4
    warmup_steps: int = 10
    """Updates over which the rates rise from 0."""
    anneal: bool = True
    """Let the rates fall to 0 over the updates."""
    clip_epsilon: float = 0.2
    value_clip_epsilon: float | None = 0.2
    value_coefficient: float = 0.5
    """Weight of the value loss (matters where critic and policy share a trunk)."""
    entropy_coefficient: float = 0.0
    discount: float = 1.0
    decay: float = 0.95
    """Lambda of the advantage estimator."""
    whiten: bool = True
    """Bring the advantages of an update to mean 0, deviation 1."""
    kl_coefficient: float = 0.15
    """Cost of a nat of KL to the reference, at first; 0: no cost, ever."""
    kl_target: float | None = 6.0
    """Nats per reply that the coefficient is steered to; None: it stays."""
    kl_horizon: float = 10_000.0
    """Replies over which the coefficient adapts."""
    temperature: float = 1.0
    """Of sampling, and of every log-probability."""
    max_gradient_norm: float = 1.0
    """Of policy and of critic, each by itself."""
    unfinished_penalty: float = 1.0
    """Taken from the reward of a reply that was cut before it ended."""
    context_max_length: int = 256
    """Tokens of a prompt that are read: the last ones."""
    reply_max_length: int = 48
    """Tokens of a reply, its end included."""
    critic: Literal["own", "trunk"] = "own"
    """A model of its own, or heads on the policy's trunk."""
    checkpoint_every: int = 100
    seed: int = 0

    def __post_init__(self) -> None:
        positive = ("steps", "batch_size", "minibatch_size", "accumulation", "epochs", "samples_per_prompt")
        positive += ("temperature", "context_max_length", "reply_max_length", "checkpoint_every", "max_gradient_norm")
        wrong = [f"{name} {getattr(self, name)}" for name in positive if getattr(self, name) <= 0]
        if wrong:
            raise ValueError(f"{', '.join(wrong)}: expected above 0")
        self._check_division("batch_size", self.batch_size, "minibatch_size", self.minibatch_size)
        self._check_division("minibatch_size", self.minibatch_size, "accumulation", self.accumulation)
        self._check_division("batch_size", self.batch_size, "samples_per_prompt", self.samples_per_prompt)
        if not (0 <= self.decay <= 1 and 0 <= self.discount <= 1 and 0 < self.clip_epsilon < 1):
            raise ValueError(
                f"decay {self.decay}, discount {self.discount}, clip_epsilon {self.clip_epsilon}: expected 0..1"
            )
        if self.kl_coefficient < 0 or (self.kl_target is not None and self.kl_target <= 0):
            raise ValueError(
                f"kl_coefficient {self.kl_coefficient}, kl_target {self.kl_target}: expected 0 or above, and above 0 "
                "or None"
            )

    @staticmethod
    def _check_division(name: str, whole: int, other: str, part: int) -> None:
        if whole % part:
            raise ValueError(f"{name} {whole} cannot be divided by {other} {part}: choose one that divides it")

    def rate(self, step: int) -> float:
        """The factor of the learning rates at update ``step`` (0-based)."""
        rising = min(1.0, (step + 1) / max(1, self.warmup_steps))
        falling = (self.steps - step) / self.steps if self.anneal else 1.0
        return rising * falling
