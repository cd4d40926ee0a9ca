"""What does ``--context-encoder-model`` mean, how are its vectors made, and what do they cost?

Parts joined by ``+``: ``structural`` and ``hidden`` (from the prefill that happens in any case), ``kept`` (what each action
would keep, ``kept_features``), and text encoders that read the prompt's text anew: ``minilm`` (all-MiniLM-L6-v2),
``m2-bert`` (the published model from the hub) or ``m2-bert=FOLDER``, ``text=NAME`` (any sentence-transformers model).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from trimtab.compression.actions import Action
from trimtab.compression.engine.prefill import Prefilled, prefill
from trimtab.compression.engine.weights import Weights
from trimtab.compression.features import ENCODERS, STRUCTURAL, Extra, PromptFeatures
from trimtab.compression.kept_features import KeptFeatures, name_of
from trimtab.compression.prompts import Prompt
from trimtab.plain import Plain

KEPT = "kept"
KNOWN = (*ENCODERS, KEPT, "minilm", "m2-bert", "m2-bert=FOLDER", "text=NAME")


class TextEncoder(Protocol):
    """Texts to vectors, with a digest of the weights."""

    @property
    def fingerprint(self) -> str: ...
    def encode(self, texts: Sequence[str], /) -> np.ndarray: ...


def _minilm(source: str) -> TextEncoder:
    from trimtab.encoders.minilm import TextEncoder as Sentences

    if source:
        raise ValueError(f"minilm={source}: minilm is one model; expected text={source}")
    return Sentences(keep="end")


def _m2_bert(source: str) -> TextEncoder:
    from trimtab.encoders.m2_bert_files import M2_BERT, M2BertEncoder

    return M2BertEncoder(source or M2_BERT)


def _sentences(source: str) -> TextEncoder:
    from trimtab.encoders.minilm import TextEncoder as Sentences

    if not source:
        raise ValueError("text: expected text=NAME, a hub id or path that sentence-transformers can load")
    return Sentences(source, keep="end")


TEXTS: dict[str, Callable[[str], TextEncoder]] = {"minilm": _minilm, "m2-bert": _m2_bert, "text": _sentences}


@dataclass(frozen=True)
class TextFeatures:
    """The extra feature ``part`` (``m2-bert=FOLDER``): a text encoder's vector of the prompt's text."""

    part: str
    encoder: TextEncoder
    tokenizer: PreTrainedTokenizerBase

    @property
    def weights(self) -> tuple[Weights, ...]:
        """None: no attention is looked at."""
        return ()

    @property
    def vector(self) -> str:
        """The vector's name in a table."""
        return vector_of(self.part)

    @property
    def name(self) -> str:
        """Tells these settings from others."""
        return f"{self.vector}-{self.encoder.fingerprint}"

    def __call__(self, read: Prefilled, prompt: Prompt) -> dict[str, np.ndarray]:
        """The named vector of a prompt."""
        plain: Any = self.tokenizer
        text = str(plain.decode(list(prompt.token_ids), skip_special_tokens=True))
        return {self.vector: np.asarray(self.encoder.encode([text])[0], np.float32)}


def embedder(part: str) -> Callable[[Sequence[str]], np.ndarray] | None:
    """The text encoder of ``--cosine-model``, as what it makes of texts; None for no name. Raises ValueError."""
    if not part:
        return None
    kind, _, source = part.partition("=")
    if kind not in TEXTS:
        raise ValueError(f"no text encoder {part!r}. Expected one of: minilm, m2-bert, m2-bert=FOLDER, text=NAME")
    return TEXTS[kind](source).encode


def vector_of(part: str) -> str:
    """The vector's name of a part: what stands before ``=``."""
    return part.partition("=")[0]


def resolved(encoder: str, budget: int) -> str:
    """The names of a table's vectors: ``kept`` is that of the budget, and comes last; a text encoder's is its own."""
    parts = sorted((vector_of(part) for part in encoder.split("+")), key=lambda part: part == KEPT)
    return "+".join(name_of(budget) if part == KEPT else part for part in parts)


def kept_columns(features: Mapping[str, np.ndarray], encoder: str) -> int:
    """How many of the last columns of ``features.chosen`` tell what each action would keep."""
    last = encoder.split("+")[-1]
    return features[last].shape[1] if last.startswith(f"{KEPT}@") and last in features else 0


def prompt_features(
    encoder: str,
    tokenizer: PreTrainedTokenizerBase | None = None,
    actions: Sequence[Action] = (),
    budgets: Sequence[int] = (),
) -> PromptFeatures:
    """The features that ``encoder`` needs, ready to be made. Raises ValueError for an unknown part, listing the known."""
    extras: list[Extra] = []
    for part in dict.fromkeys(encoder.split("+")):
        kind, _, source = part.partition("=")
        if kind == KEPT and not source:
            extras.append(KeptFeatures(tuple(actions), tuple(budgets)))
        elif kind in TEXTS:
            assert tokenizer is not None, "text encoders read the prompt's text"
            extras.append(TextFeatures(part, TEXTS[kind](source), tokenizer))
        elif part not in ENCODERS and part not in STRUCTURAL:
            raise ValueError(
                f"no context encoder {part!r}. Expected one of: {', '.join(KNOWN)}, or several joined by +"
            )
    return PromptFeatures(extras=tuple(extras))


class Chooser(Protocol):
    """What was trained on a table's features: a router or a promise."""

    @property
    def encoder(self) -> str: ...
    @property
    def about(self) -> Mapping[str, Plain]: ...


def sources_of(policy: Chooser) -> str:
    """What a policy sees, as it was asked for when it was trained (with folders of text encoders)."""
    asked = policy.about.get("context_encoder_model")
    return asked if isinstance(asked, str) else policy.encoder


def fingerprints(features: PromptFeatures) -> dict[str, Plain]:
    """The text encoders' digests, by vector, for what is said of a table."""
    return {extra.vector: extra.encoder.fingerprint for extra in features.extras if isinstance(extra, TextFeatures)}


def check_fingerprints(features: PromptFeatures, about: Mapping[str, Plain]) -> None:
    """Raises ValueError where a text encoder has other weights than the one that a table or policy was made with."""
    known = about.get("encoders")
    for vector, given in fingerprints(features).items():
        expected = known.get(vector) if isinstance(known, dict) else None
        if expected is not None and expected != given:
            raise ValueError(
                f"{vector} has the weights {given}, the policy was made with {expected}: give that encoder"
            )


@dataclass(frozen=True)
class Cost:
    """Seconds per prompt of a part of what a policy sees, and as a share of reading the prompt."""

    part: str
    seconds: float
    share: float


def costs(model: PreTrainedModel, prompts: Sequence[Prompt], features: PromptFeatures) -> list[Cost]:
    """What each part costs beyond reading the prompt, medians over ``prompts`` (and one more, first, that warms up)."""
    if not prompts:
        raise ValueError("no prompts to measure the encoders' cost on: expected one at least")
    base = PromptFeatures(features.width)
    rows = [_seconds(model, prompt, base, features.extras) for prompt in (prompts[0], *prompts)][1:]
    medians = {part: float(np.median([row[part] for row in rows])) for part in rows[0]}
    reading = medians.pop("reading")
    return [Cost("reading the prompt", reading, 1.0)] + [
        Cost(part, seconds, seconds / reading) for part, seconds in medians.items()
    ]


def _seconds(model: PreTrainedModel, prompt: Prompt, base: PromptFeatures, extras: Sequence[Extra]) -> dict[str, float]:
    started = time.perf_counter()
    prefill(model, prompt.token_ids)
    plain = time.perf_counter()
    seconds = {"reading": plain - started}
    base(prefill(model, prompt.token_ids, base.weights), prompt)
    seconds["structural+hidden"] = max(0.0, time.perf_counter() - plain - seconds["reading"])
    for extra in extras:
        begun = time.perf_counter()
        read = prefill(model, prompt.token_ids, (*base.weights, *extra.weights)) if extra.weights else None
        reading = time.perf_counter()
        extra(read or _unread(prompt), prompt)
        done = time.perf_counter()
        scoring = max(0.0, reading - begun - seconds["reading"]) if extra.weights else 0.0
        seconds[getattr(extra, "part", KEPT)] = scoring + done - reading
    return seconds


def _unread(prompt: Prompt) -> Prefilled:
    """A prompt that a text encoder alone reads."""
    import torch

    nothing = torch.empty(0)
    return Prefilled(prompt.token_ids, [], [], nothing, nothing, {}, [])
