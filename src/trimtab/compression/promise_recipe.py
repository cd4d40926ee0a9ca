"""What can ``trimtab compression promise`` be told? How much quality, how surely, from which table."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Promise:
    """Keep as little as a promised quality allows: a calibrated choice of budgets, judged on held-out prompts."""

    table: Path
    """A table of `trimtab compression tabulate` with several budgets, in ascending order."""
    eps: float = 0.05
    """Promised is a quality of at least 1 - eps ..."""
    delta: float = 0.10
    """... for all but this share of the prompts."""
    reward: str = "fidelity"
    """The part of the table that is the quality, 0 to 1."""
    context_encoder_model: str = "structural+hidden"
    """What is seen of a prompt, of what the table holds."""
    calibration_share: float = 0.2
    """Share of the prompts that the promise is calibrated on."""
    held_out_share: float = 0.3
    """Share of the prompts that it is judged on."""
    out: Path = Path("runs/promise")
    """The folder of the promise, its report and its numbers; `trimtab compression generate --promise` takes it."""

    def run(self) -> None:
        from trimtab.compression.promise_verb import promise

        promise(self)


VERBS: dict[str, type] = {"promise": Promise}
