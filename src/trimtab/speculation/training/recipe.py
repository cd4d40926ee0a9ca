"""What determines a trained head? The target, how it answers, the windows, and the fit: one frozen record."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field

from trimtab.lm.training import Fit


@dataclass(frozen=True)
class AnswerSettings:
    """How the target answers: ``tokens`` in all (training and held-out), of which ``sampled_share`` at temperature 1.

    ``batch_rows`` prompts are decoded at a time; ``shard_prompts`` answers are written at a time.
    """

    tokens: int = 1_000_000
    max_new_tokens: int = 256
    sampled_share: float = 0.0
    batch_rows: int = 64
    shard_prompts: int = 512
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0.0 <= self.sampled_share <= 1.0:
            raise ValueError(f"sampled_share is {self.sampled_share}: expected a share between 0 and 1")
        if min(self.tokens, self.max_new_tokens, self.batch_rows, self.shard_prompts) < 1:
            raise ValueError("answer settings must be at least 1: tokens, max_new_tokens, batch_rows, shard_prompts")


@dataclass(frozen=True)
class HeadRecipe:
    """Everything that determines a head, beside the target's weights and the prompts.

    ``intermediate_size`` None: the target's. ``taps`` None: the published (2, L//2, L-3). ``window_tokens``: context of
    a training window; longer answers are cut into pieces. ``window_rows``: positions of a window that learn (None: as
    the data's share of answer tokens suggests). ``batch_tokens`` counts window tokens, prompts included. ``autocast``:
    the head's matrix products in bf16.
    """

    target: str
    draft_vocab_size: int = 32_000
    intermediate_size: int | None = None
    taps: tuple[int, ...] | None = None
    unroll: int = 7
    discount: float = 0.8
    window_tokens: int = 256
    window_rows: int | None = None
    batch_tokens: int = 8192
    held_out_share: float = 0.03
    held_out_windows: int = 64
    seed: int = 0
    autocast: bool = True
    compile: bool = True
    answers: AnswerSettings = AnswerSettings()
    fit: Fit = field(default_factory=lambda: Fit(steps=1000))

    def __post_init__(self) -> None:
        if self.unroll < 1:
            raise ValueError(f"unroll is {self.unroll}: expected at least 1 step")
        if self.batch_tokens < self.window_tokens:
            raise ValueError(f"batch_tokens {self.batch_tokens} is less than one window of {self.window_tokens}")
        if self.window_tokens < self.unroll + 2:
            raise ValueError(f"window_tokens {self.window_tokens} must exceed unroll {self.unroll} by at least 2")

    @property
    def batch_windows(self) -> int:
        return self.batch_tokens // self.window_tokens

    def fingerprint(self) -> str:
        """A hash of what a half-trained head depends on: all but how often is logged, saved, or whether compiled."""
        said = asdict(self)
        del said["compile"], said["target"]
        for name in ("log_every", "checkpoint_every"):
            del said["fit"][name]
        return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()[:16]
