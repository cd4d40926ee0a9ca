"""Which commands does the zoo have? ``trimtab zoo <verb>``: list the embedded models, write their corpus, build them anew.

Light to import: whatever needs torch is imported by ``run``.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import tyro


@dataclass(frozen=True)
class List:
    """List the embedded models: size, licence, and where they lie."""

    def run(self) -> None:
        from trimtab.zoo.building import list_models

        list_models()


@dataclass(frozen=True)
class Corpus:
    """Write the training conversations as JSON Lines (messages), for `trimtab speculation train-head --data`."""

    data: Path
    """The folder with sgd/, taskmaster/ and gsm8k/ (see docs/zoo.md)."""
    out: Path = Path("corpus.jsonl")
    """The file to write."""
    split: Literal["train", "held_out"] = "train"
    """Which conversations."""

    def run(self) -> None:
        from trimtab.zoo.building import write_corpus

        write_corpus(self)


@dataclass(frozen=True)
class Build:
    """Train an embedded model from nothing. Run it again to go on where it stopped."""

    name: tyro.conf.Positional[Literal["chat", "recall"]]
    """The model (draft heads are trained by `trimtab speculation train-head`)."""
    data: Path | None = None
    """Of chat: the folder with sgd/, taskmaster/ and gsm8k/ (see docs/zoo.md)."""
    out: Path | None = None
    """Where state, log and the finished model (OUT/model) go; None: runs/zoo-NAME."""
    steps: int | None = None
    """Training steps; None: 1400 of 8192 tokens for chat, 5200 for recall."""
    batch_tokens: int = 16384
    """Of recall: tokens per step."""
    device: str = "cpu"
    """Of recall: where it trains."""
    workers: int = 0
    """Of recall: processes that make its documents ahead of time."""
    threads: int = 2
    """Threads of torch."""
    compile: bool = True
    """Compile the loss: slow to start, fast to run."""
    seed: int = 0
    """Seed of initial weights and order."""

    def run(self) -> None:
        from trimtab.zoo.building import build_chat, build_recall

        {"chat": build_chat, "recall": build_recall}[self.name](self)

    @property
    def folder(self) -> Path:
        """Where everything goes."""
        return self.out or Path(f"runs/zoo-{self.name}")


VERBS: dict[str, type] = {"list": List, "corpus": Corpus, "build": Build}
