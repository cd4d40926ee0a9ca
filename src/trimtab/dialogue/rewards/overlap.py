"""How much of the reference does a reply say? Sentence BLEU and ROUGE, by the packages that papers report.

Guards rather than drivers: replies that please people more may share fewer words with a reference.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from typing import Any, Literal

from trimtab.dialogue.example import Reply

INSTALL = "pip install 'trimtab[dialogue]'"


def package(name: str) -> Any:
    """A module of the extra ``dialogue``. Raises ValueError that says how to install it."""
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        raise ValueError(f"this needs the package {name.partition('.')[0]}: {INSTALL}") from error


def _check_references(replies: Sequence[Reply], what: str) -> None:
    without = [reply.example.key for reply in replies if not reply.example.reference.split()]
    if without:
        raise ValueError(f"{what} compares with references, and example {without[0]!r} has none: leave the part out.")


@dataclass(frozen=True)
class Bleu:
    """Sentence BLEU (sacrebleu: up to 4 words, smoothing "exp", effective order) in [0, 1], without regard to case."""

    order: int = 4

    @cached_property
    def _metric(self) -> Any:
        return package("sacrebleu.metrics").BLEU(max_ngram_order=self.order, effective_order=True, lowercase=True)

    def __call__(self, replies: Sequence[Reply]) -> list[float]:
        _check_references(replies, "BLEU")
        return [self._metric.sentence_score(r.text, [r.example.reference]).score / 100 for r in replies]


@dataclass(frozen=True)
class Rouge:
    """F1 of ROUGE-1, -2 or -L (rouge-score, without stemming) in [0, 1]."""

    kind: Literal["rouge1", "rouge2", "rougeL"] = "rougeL"

    @cached_property
    def _scorer(self) -> Any:
        return package("rouge_score.rouge_scorer").RougeScorer([self.kind], use_stemmer=False)

    def __call__(self, replies: Sequence[Reply]) -> list[float]:
        _check_references(replies, "ROUGE")
        return [float(self._scorer.score(r.example.reference, r.text)[self.kind].fmeasure) for r in replies]
