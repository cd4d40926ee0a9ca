"""Which state does a policy act upon? A sum of named parts, ``statistics+fused-learned``, the same live and in replay.

statistics      the head's confidence at the root, its entropy, the masses of the best 2, 4, 8 tokens (the frontier of
                beams that wide before anything is drafted), the context's length; and with them the acceptance history
text            an embedding of the conversation so far (all-MiniLM-L6-v2: 384 numbers)
fused           the target's features of the last committed token: low, mid, high (3k numbers; EAGLE-1: one state)
fused-fc        these, reduced to k numbers by the head's own fc (EAGLE-3 only)
fused-learned   these, compressed to a chosen width; fitted to what trees accept, saved with the policy
head            the head's own state, by a random projection of chosen width

A replay table may hold the columns of several parts and train many states: ``state_tables``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Protocol

import numpy as np
from torch import Tensor

from trimtab.encoders.hidden import HiddenProjection
from trimtab.plain import Plain
from trimtab.speculation.context import COPIED, STATISTICS, PositionFeatures, root_tops, write_statistics
from trimtab.speculation.engine.generation import RoundState
from trimtab.speculation.engine.speculator import Speculator
from trimtab.speculation.state_parts import (
    PREFIXES,
    Part,
    Projected,
    Text,
    column_names,
    joined_on_device,
    measures,
    part_from,
)

STATES = ("statistics", *PREFIXES)
LEARNED = "fused-learned"
_PARTS = {prefix: part for part, prefix in PREFIXES.items()}


class Features(Protocol):
    """What a policy sees of a position: ``PositionFeatures``, ``StateFeatures``."""

    @property
    def names(self) -> list[str]: ...

    def read(self, state: RoundState) -> np.ndarray:
        """The features [F], float32, when a round begins."""
        ...

    @property
    def with_statistics(self) -> bool:
        """Whether the first of ``tensors`` are the log-probabilities that the statistics are made from."""
        ...

    def tensors(self, state: RoundState) -> list[Tensor]:
        """What the features are made from, on the device: nothing is copied, nothing waited for."""
        ...

    def bind(self, speculator: Speculator) -> Features:
        """Itself, ready for this pair. Raises ValueError where it was made for another, naming both."""
        ...

    def spec(self) -> Plain: ...

    def arrays(self) -> dict[str, np.ndarray]: ...


@dataclass(frozen=True)
class StateSpec:
    """The names of a state's parts, each once, in the order of ``STATES``."""

    parts: tuple[str, ...]

    def __post_init__(self) -> None:
        for part in self.parts:
            if part not in STATES:
                near = get_close_matches(part, STATES, n=1)
                hint = f" (did you mean {near[0]!r}?)" if near else ""
                raise ValueError(f"no state {part!r}{hint}; known states: {', '.join(STATES)}; join them by +")
        if not self.parts or len(set(self.parts)) != len(self.parts):
            raise ValueError(f"the state {str(self)!r} names no part, or one twice: expected each of its parts once")
        object.__setattr__(self, "parts", tuple(sorted(self.parts, key=STATES.index)))

    @classmethod
    def parse(cls, text: str) -> StateSpec:
        """``statistics+fused-learned``. Raises ValueError listing the known states."""
        return cls(tuple(part.strip() for part in text.split("+")))

    def __str__(self) -> str:
        return "+".join(self.parts)

    @property
    def tabulated(self) -> StateSpec:
        """What a table must hold to train this state: what a compression is learned from instead of it, and always the
        statistics, which the rules that a policy is compared with act upon."""
        return StateSpec(tuple({"statistics", *("fused" if part == LEARNED else part for part in self.parts)}))

    def columns(self, feature_names: Sequence[str]) -> list[int]:
        """Where a table of these features has this state's. Raises ValueError for a part that it does not hold."""
        return [column for part in self.parts for column in columns_of(part, feature_names)]


def columns_of(part: str, names: Sequence[str]) -> list[int]:
    """Where a table of these features has a part's. Raises ValueError naming the parts that it holds instead."""
    found = [column for column, name in enumerate(names) if part_of(name) == part]
    if not found:
        held = [state for state in STATES if state in map(part_of, names)]
        raise ValueError(
            f"the table holds no columns of the state {part!r}; it holds {', '.join(held) or 'none that is known'}: "
            f"build it with that state{' (a compression is learned from the columns of fused)' * (part == LEARNED)}"
        )
    return found


def part_of(name: str) -> str | None:
    """The part that a column belongs to; None for one of no known part."""
    if name in STATISTICS:
        return "statistics"
    stem, _, number = name.rpartition("_")
    return _PARTS.get(stem) if number.isdigit() else None


class StateFeatures:
    """A state's features, extracted from a ``RoundState``: only what its parts need, with one copy from the device.

    ``made_for`` are the measures of the pair that it was made for. Parts: all of ``spec`` but the statistics.
    """

    def __init__(self, spec: StateSpec, parts: Mapping[str, Part], made_for: Mapping[str, int]) -> None:
        self.state = spec
        self._parts = {name: parts[name] for name in spec.parts if name != "statistics"}
        self._statistics = "statistics" in spec.parts
        needed = {need for part in self._parts.values() for need in part.needs}
        needed |= {"draft vocabulary"} if self._statistics else set()
        self.made_for = {name: value for name, value in made_for.items() if name in needed}
        self._scalars = len(STATISTICS) if self._statistics else 0

    @property
    def names(self) -> list[str]:
        """The name of each feature, in order."""
        statistics = STATISTICS if self._statistics else []
        return [*statistics, *(name for part, made in self._parts.items() for name in column_names(part, made.width))]

    def read(self, state: RoundState) -> np.ndarray:
        """The features [F], float32, when a round begins."""
        raw = joined_on_device(self.tensors(state))
        if not self._statistics:
            return raw
        features = np.empty(self._scalars + len(raw) - COPIED, dtype=np.float32)
        write_statistics(raw[:COPIED], state.context_tokens, features)
        features[self._scalars :] = raw[COPIED:]
        return features

    @property
    def with_statistics(self) -> bool:
        """Whether the first of ``tensors`` are the log-probabilities that the statistics are made from."""
        return self._statistics

    def tensors(self, state: RoundState) -> list[Tensor]:
        """What the features are made from, on the device: nothing is copied, nothing waited for."""
        parts = [part.read(state) for part in self._parts.values()]
        return [root_tops(state.root_logprobs_D), *parts] if self._statistics else parts

    def foresee(self, committed: Sequence[int], prompt_tokens: int) -> None:
        """Prepare, in batches, for reading all positions of a reply (see ``state_parts.Text``)."""
        text = self._parts.get("text")
        if isinstance(text, Text):
            text.foresee(committed, prompt_tokens)

    # -- the pair ------------------------------------------------------------------------------------------------------

    def needs(self, speculator: Speculator) -> None:
        """Raises ValueError where this state was made for another pair of models, naming both."""
        given = measures(speculator)
        other = [name for name, value in self.made_for.items() if given[name] != value]
        if other:
            made = ", ".join(f"{name} {self.made_for[name]}" for name in other)
            found = ", ".join(f"{name} {given[name]}" for name in other)
            raise ValueError(
                f"the state {self.state} was made for models with {made}; these have {found}: train a policy for them"
            )

    def bind(self, speculator: Speculator) -> StateFeatures:
        """Itself, for use with this pair: the head's fc, the tokenizer and the text encoder are at hand from now on.

        Raises ValueError where it was made for another pair or text encoder, naming both.
        """
        self.needs(speculator)
        for part in self._parts.values():
            part.bind(speculator)
        return self

    # -- a policy's file -----------------------------------------------------------------------------------------------

    def spec(self) -> Plain:
        """What a file must say of it; ``from_parts`` reads it."""
        parts = {name: part.spec() for name, part in self._parts.items()}
        return {"state": str(self.state), "parts": parts, "made_for": dict(self.made_for)}

    def arrays(self) -> dict[str, np.ndarray]:
        """What a file must hold of it: the parts' projections."""
        held = {name: part.arrays() for name, part in self._parts.items()}
        return {f"{name}.{key}": array for name, arrays in held.items() for key, array in arrays.items()}

    def with_parts(self, spec: StateSpec, extra: Mapping[str, Part] | None = None) -> StateFeatures:
        """The state ``spec`` of this one's parts and ``extra`` ones. Raises ValueError where one is missing."""
        parts = self._parts | dict(extra or {})
        missing = [part for part in spec.parts if part not in parts and part != "statistics"]
        if missing:
            raise ValueError(f"the state {self.state} has no part {', '.join(missing)}: make it for {spec.tabulated}")
        return StateFeatures(spec, parts, self.made_for)

    @property
    def compression(self) -> HiddenProjection | None:
        """The learned compression of the target's features, where the state has one."""
        learned = self._parts.get(LEARNED)
        return learned.projection if isinstance(learned, Projected) else None


def from_parts(spec: Plain, arrays: Mapping[str, np.ndarray]) -> Features:
    """The features of which a file holds ``spec()`` and ``arrays()``. Raises ValueError where they do not fit.

    Nothing is loaded but numbers; ``bind`` fetches the rest.
    """
    if spec == "statistics":
        return PositionFeatures(arrays.get("projection_HK"))
    if not isinstance(spec, dict):
        raise ValueError(f"the policy needs the state {spec!r}; known states: {', '.join(STATES)}. Update trimtab.")
    state, parts = StateSpec.parse(spec["state"]), dict[str, Part]()
    for name, said in spec["parts"].items():
        prefix = f"{name}."
        held = {key.removeprefix(prefix): array for key, array in arrays.items() if key.startswith(prefix)}
        parts[name] = part_from(name, said, held)
    return StateFeatures(state, parts, spec["made_for"])
