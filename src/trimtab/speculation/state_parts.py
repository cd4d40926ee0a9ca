"""What can a state be made of, beside decoding statistics? Text, the target's features, the head's state: parts.

A part says its columns' names, reads its numbers as a tensor that stays on the device, and names what it needs of a pair
of models. What it must keep (an encoder's name, a projection) it hands to the policy's file as plain data and arrays.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from trimtab.encoders.hidden import HiddenProjection
from trimtab.encoders.minilm import MINILM, TextEncoder
from trimtab.lm.load import embedding_weight
from trimtab.plain import Plain
from trimtab.speculation.engine.generation import RoundState
from trimtab.speculation.engine.head import EagleHead
from trimtab.speculation.engine.speculator import Speculator

_TEXT_TOKENS = 1024  # more than an encoder reads; a longer conversation's end counts

PREFIXES = {"text": "text", "fused": "fused", "fused-fc": "fc", "fused-learned": "learned", "head": "state"}
"""Part -> what its columns' names begin with, as in ``fused_17``."""


def column_names(part: str, width: int) -> list[str]:
    """``fused_0``, ``fused_1``, ...: the columns of a part of that width."""
    return [f"{PREFIXES[part]}_{index}" for index in range(width)]


def measures(speculator: Speculator) -> dict[str, int]:
    """What a pair of models is, in numbers that a part may need."""
    config = speculator.head.config
    return {
        "head version": config.version,
        "vocabulary": int(embedding_weight(speculator.model).shape[0]),
        "draft vocabulary": config.draft_vocab_size,
        "head state": config.hidden_size,
        "target features": config.feature_size,
    }


class Part(Protocol):
    """A part of a state. ``needs``: which of the pair's ``measures`` it depends on."""

    @property
    def needs(self) -> tuple[str, ...]: ...
    @property
    def width(self) -> int: ...

    def bind(self, speculator: Speculator) -> None:
        """Fetch what it reads beside a ``RoundState``. Raises ValueError where the pair does not have it."""

    def read(self, state: RoundState) -> Tensor:
        """Its numbers [width], float32, where they lie."""
        ...

    def spec(self) -> dict[str, Plain]: ...

    def arrays(self) -> dict[str, np.ndarray]: ...


@dataclass(frozen=True)
class Fused:
    """The target's features of the last committed token, as they are: three taps (3k wide), or EAGLE-1's one state."""

    width: int
    needs = ("head version", "target features")

    def bind(self, speculator: Speculator) -> None:
        del speculator

    def read(self, state: RoundState) -> Tensor:
        if state.fused_H.shape != (self.width,):
            raise ValueError(f"the target's features are {tuple(state.fused_H.shape)}, the state expects {self.width}")
        return state.fused_H.float()

    def spec(self) -> dict[str, Plain]:
        return {"width": self.width}

    def arrays(self) -> dict[str, np.ndarray]:
        return {}


class FusedFc:
    """The same, reduced to k by the head's own ``fc``: what an EAGLE-3 head works with. An EAGLE-1 head has no such."""

    needs = ("head version", "target features", "head state")

    def __init__(self, width: int) -> None:
        self.width = width
        self._head: EagleHead | None = None

    def bind(self, speculator: Speculator) -> None:
        if speculator.head.config.version != 3:
            raise ValueError(
                "the state fused-fc is an EAGLE-3 head's reduction of three taps; this is an EAGLE-1 head, whose one "
                "feature is not reduced: use fused or fused-learned"
            )
        self._head = speculator.head

    def read(self, state: RoundState) -> Tensor:
        if self._head is None:
            raise ValueError("the state fused-fc reads the head's fc: call bind(speculator) before")
        return self._head.fuse(state.fused_H).float()

    def spec(self) -> dict[str, Plain]:
        return {"width": self.width}

    def arrays(self) -> dict[str, np.ndarray]:
        return {}


class Projected:
    """A projection of the target's features (``fused-learned``) or of the head's state (``head``)."""

    def __init__(self, part: str, projection: HiddenProjection) -> None:
        self.part, self.projection = part, projection
        self.needs = ("head version", "target features") if part == "fused-learned" else ("head state",)

    @property
    def width(self) -> int:
        return self.projection.width

    def bind(self, speculator: Speculator) -> None:
        del speculator

    def read(self, state: RoundState) -> Tensor:
        return self.projection(state.fused_H if self.part == "fused-learned" else state.root_state_H)

    def spec(self) -> dict[str, Plain]:
        return {"width": self.width, "projection": self.projection.digest}

    def arrays(self) -> dict[str, np.ndarray]:
        return {"projection_HK": self.projection.matrix_HK}


class Text:
    """The conversation so far, embedded: what the target's tokenizer makes of the committed tokens, special ones left out.

    Embedded anew only every ``refresh_tokens`` tokens of the reply, counted from its first: a function of the position
    alone, so that a table can hold it. Of a long conversation the end counts.
    """

    needs = ("vocabulary",)

    def __init__(
        self,
        encoder: str = MINILM,
        refresh_tokens: int = 16,
        *,
        width: int | None = None,
        fingerprint: str | None = None,
    ) -> None:
        if refresh_tokens < 1:
            raise ValueError(f"the text is to be embedded every {refresh_tokens} tokens: expected at least 1")
        self.encoder_name, self.refresh_tokens = encoder, refresh_tokens
        self._width, self._fingerprint = width, fingerprint
        self._encoder: TextEncoder | None = None
        self._tokenizer: Any = None
        self._committed: Sequence[int] = ()
        self._vectors: dict[int, Tensor] = {}

    @property
    def width(self) -> int:
        assert self._width is not None, "known once bound, or from the policy's file"
        return self._width

    def bind(self, speculator: Speculator) -> None:
        if speculator.tokenizer is None:
            raise ValueError("the state text reads what was said, and this pair has no tokenizer: use another state")
        self._tokenizer = speculator.tokenizer
        if self._encoder is None:
            self.use(TextEncoder(self.encoder_name, keep="end", device=speculator.target.device))

    def use(self, encoder: TextEncoder) -> None:
        """Read texts with this encoder. Raises ValueError where the part was made with another, naming both."""
        given = encoder.width, encoder.fingerprint
        made = self._width or given[0], self._fingerprint or given[1]
        if given != made or encoder.name != self.encoder_name:
            raise ValueError(
                f"the state was made with the text encoder {self.encoder_name} (width {made[0]}, weights {made[1]}); "
                f"found is {encoder.name} (width {given[0]}, weights {given[1]}): provide the former, or train again"
            )
        self._encoder, (self._width, self._fingerprint) = encoder, given

    def foresee(self, committed: Sequence[int], prompt_tokens: int) -> None:
        """Embed, in one batch, all texts that will be asked for while ``committed``, prompt and reply, is written."""
        ends = range(prompt_tokens, len(committed), self.refresh_tokens)
        self._committed = committed
        self._vectors = dict(zip(ends, self._embed([committed[:end] for end in ends]), strict=True))

    def read(self, state: RoundState) -> Tensor:
        if state.committed is not self._committed:  # another decode
            self._committed, self._vectors = state.committed, {}
        end = self._end(state)
        if end not in self._vectors:
            self._vectors = {end: self._embed([state.committed[:end]])[0]}
        return self._vectors[end]

    def _end(self, state: RoundState) -> int:
        """How many committed tokens the text covers."""
        written = state.new_tokens - 1  # the root is pending
        return state.context_tokens - written % self.refresh_tokens

    def _embed(self, ids: list[Sequence[int]]) -> Tensor:
        if self._encoder is None:
            raise ValueError("the state text reads texts with the pair's tokenizer: call bind(speculator) before")
        recent = [list(some[-_TEXT_TOKENS:]) for some in ids]
        return self._encoder.tensor([str(self._tokenizer.decode(some, skip_special_tokens=True)) for some in recent])

    def spec(self) -> dict[str, Plain]:
        return {
            "encoder": self.encoder_name,
            "width": self.width,
            "fingerprint": self._fingerprint,
            "refresh_tokens": self.refresh_tokens,
        }

    def arrays(self) -> dict[str, np.ndarray]:
        return {}


def part_from(part: str, spec: Plain, arrays: dict[str, np.ndarray]) -> Part:
    """The reverse of a part's ``spec`` and ``arrays``. Raises ValueError where they do not belong together."""
    if part == "text":
        return Text(spec["encoder"], spec["refresh_tokens"], width=spec["width"], fingerprint=spec["fingerprint"])
    if part in ("fused", "fused-fc"):
        return (Fused if part == "fused" else FusedFc)(spec["width"])
    made = Projected(part, HiddenProjection(arrays["projection_HK"]))
    if made.spec() != spec:
        raise ValueError(f"the projection of the state {part} is {made.spec()}, expected {spec}: the file is broken")
    return made


def joined_on_device(tensors: Sequence[Tensor]) -> np.ndarray:
    """The tensors side by side on the host: the one copy from the device."""
    first = tensors[0]
    if len(tensors) == 1:
        return first.float().cpu().numpy()
    return torch.cat([one.to(first.device, torch.float32) for one in tensors]).cpu().numpy()
