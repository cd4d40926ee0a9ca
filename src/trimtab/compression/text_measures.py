"""How near are the texts that compressed caches write to the full cache's, and how good are they at the task?

Each distinct compressed cache answers greedily, all together. ROUGE-L (Lin 2004; F1 of the longest common subsequence of
words) and the cosine of the texts' embeddings (the reference's documented reward) compare with the full cache's text; the
task's metric compares with the prompt's references.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from trimtab.compression.engine.kept_sets import KeptSets
from trimtab.compression.engine.many import Answers
from trimtab.compression.engine.prefill import Prefilled
from trimtab.compression.prompts import Prompt
from trimtab.compression.tasks.text import graded

Decode = Callable[[Sequence[int]], str]
Embed = Callable[[Sequence[str]], np.ndarray]
"""Texts to their embeddings [texts, width]."""
Metric = Callable[[str, Prompt], float]
"""A task's own grade of an answer, by the prompt's references."""


def rouge_l(given: Sequence[Any], reference: Sequence[Any]) -> float:
    """F1 of the longest common subsequence of two sequences of words; 1 for two empty ones, 0 where one is empty."""
    if not given or not reference:
        return float(not given and not reference)
    row = [0] * (len(reference) + 1)
    for word in given:
        diagonal = 0
        for column, other in enumerate(reference, start=1):
            above = row[column]
            row[column] = diagonal + 1 if word == other else max(above, row[column - 1])
            diagonal = above
    return 2 * row[-1] / (len(given) + len(reference))


def measures_for(
    prompts: Sequence[Prompt],
    tokenizer: PreTrainedTokenizerBase,
    new_tokens: int,
    embed: Embed | None = None,
) -> TextMeasures | None:
    """Free answers of at most ``new_tokens`` tokens, read by the tokenizer and graded by the prompts' own metrics where all
    have one; None for no new tokens."""
    if not new_tokens:
        return None
    plain: Any = tokenizer
    stops = (int(plain.eos_token_id),) if plain.eos_token_id is not None else ()
    metric = graded if all(prompt.metric for prompt in prompts) else None

    def decode(ids: Sequence[int]) -> str:
        return str(plain.decode(list(ids), skip_special_tokens=True))

    return TextMeasures(decode, new_tokens, stops, embed, metric)


@dataclass(frozen=True)
class TextMeasures:
    """Free answers of ``new_tokens`` tokens at most, ended by ``stop_ids``, as ``decode`` reads them."""

    decode: Decode
    new_tokens: int = 16
    stop_ids: tuple[int, ...] = ()
    embed: Embed | None = None
    metric: Metric | None = None

    def __post_init__(self) -> None:
        if self.new_tokens < 2:
            raise ValueError(f"new_tokens is {self.new_tokens}: expected 2 or more, since the first one is free")

    @property
    def names(self) -> tuple[str, ...]:
        """What is measured."""
        return ("rouge_l", *(["cosine"] if self.embed else []), *(["metric"] if self.metric else []))

    def measure(
        self, model: PreTrainedModel, read: Prefilled, sets: KeptSets, prompt: Prompt, rows: int
    ) -> dict[str, np.ndarray]:
        """Each measure of each distinct kept set, [S]."""
        texts: list[str] = []
        for start in range(0, sets.count, rows):
            chosen = list(range(start, min(start + rows, sets.count)))
            texts += [self.decode(ids) for ids in self._answers(model, read, sets, chosen)]
        return self._compare(texts, texts[sets.full], prompt)

    def _compare(self, texts: list[str], full: str, prompt: Prompt) -> dict[str, np.ndarray]:
        distinct = list(dict.fromkeys([full, *texts]))
        measured: dict[str, list[float]] = {"rouge_l": [rouge_l(text.split(), full.split()) for text in distinct]}
        if self.embed is not None:
            vectors = np.asarray(self.embed(distinct), dtype=np.float64)
            norms = np.linalg.norm(vectors, axis=1)
            if not np.isfinite(vectors).all() or not norms.all():
                raise ValueError(
                    "the encoder gave a vector of no length, or with no numbers: cosine has no meaning there"
                )
            measured["cosine"] = list(vectors @ vectors[0] / (norms * norms[0]))
        if self.metric is not None:
            measured["metric"] = [float(self.metric(text, prompt)) for text in distinct]
        places = np.array([distinct.index(text) for text in texts])
        return {name: np.array(values)[places] for name, values in measured.items()}

    @torch.no_grad()
    def _answers(
        self, model: PreTrainedModel, read: Prefilled, sets: KeptSets, chosen: Sequence[int]
    ) -> list[list[int]]:
        """Greedy answers of the chosen sets, without the token that ends them."""
        answers = Answers(model, read, sets.masks(chosen))
        ids_S = read.logits_V.argmax().expand(len(chosen))
        columns = [ids_S]
        stops = torch.tensor(self.stop_ids, device=ids_S.device, dtype=ids_S.dtype)
        ended_S = torch.isin(ids_S, stops)
        while len(columns) < self.new_tokens and not bool(ended_S.all()):
            ids_S = answers.read(ids_S[:, None])[:, -1].argmax(-1)
            columns.append(ids_S)
            ended_S = ended_S | torch.isin(ids_S, stops)
        rows_ST: list[list[int]] = torch.stack(columns, dim=1).tolist()
        return [_until(row, self.stop_ids) for row in rows_ST]


def _until(ids: list[int], stop_ids: Sequence[int]) -> list[int]:
    stops = set(stop_ids)
    return ids[: next((place for place, token in enumerate(ids) if token in stops), len(ids))]
