"""What if drafting could be stopped after any level? The replay table of that finer action: continue, or stop and cut.

A round drafts level by level with one beam width. After each level the policy goes on, or stops and says how many nodes
to verify. At temperature 0 the outcome of every such round is known beforehand, as in ``replay``: ``needed_PDL[p, d, l]``
is the smallest tree that accepts l + 1 tokens at position p when drafting stopped after d levels.

Beside it stand the numbers that are known at that moment: the expected acceptance of a tree of each size (the sum of its
nodes' probabilities), and the scores of the beam that the next level would expand.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trimtab.checkpoints import replace_file
from trimtab.reading import refusing
from trimtab.speculation.actions import TreeShape

Ints = NDArray[np.int64]
Floats = NDArray[np.float32]

_FORMAT = 1
BEAM_SCORES = 4
_LAST: dict[tuple[tuple[int, ...], int], list[int]] = {}
TOTALS = (2, 4, 6, 8, 12, 16, 20, 24, 32, 48)


@dataclass(frozen=True)
class LevelMenu:
    """The rounds that exist: a beam of ``top_k``, 0 to ``depth`` levels, then one of ``totals`` nodes (root included).

    ``draft_temperature`` divides the head's logits (1: as published). Raises ValueError where no tree would exist.
    """

    top_k: int
    depth: int = 16
    totals: tuple[int, ...] = TOTALS
    draft_temperature: float = 1.0

    def __post_init__(self) -> None:
        if self.top_k < 1 or self.depth < 1 or not self.draft_temperature > 0:
            raise ValueError(f"{self}: expected top_k and depth of at least 1, and a draft temperature above 0")
        if not self.totals or min(self.totals) < 2 or list(self.totals) != sorted(set(self.totals)):
            raise ValueError(
                f"totals {self.totals}: expected ascending numbers of nodes from 2 (the root and one draft)"
            )
        if self.totals[0] - 1 > self.top_k:
            raise ValueError(
                f"the smallest tree has {self.totals[0]} nodes, and before any level there are {self.top_k} candidates: "
                "lower the smallest total, or raise top_k"
            )

    @cached_property
    def valid_DT(self) -> NDArray[np.bool_]:
        """Which trees exist: [depth + 1, totals]."""
        pool_D = self.top_k + np.arange(self.depth + 1) * self.top_k**2
        return np.array(self.totals)[None] - 1 <= pool_D[:, None]

    @cached_property
    def penalty_DT(self) -> NDArray[np.float32]:
        """Minus infinity for trees that do not exist, else 0: [depth + 1, totals]."""
        return np.where(self.valid_DT, 0.0, -np.inf).astype(np.float32)

    def last_T(self, candidates: int) -> list[int]:
        """The rank of each size's last node among so many candidates."""
        known = _LAST.get((self.totals, candidates))
        if known is None:
            known = _LAST[self.totals, candidates] = [min(total - 1, candidates) - 1 for total in self.totals]
        return known

    def shapes(self) -> list[TreeShape]:
        """All trees that a round may end with."""
        pairs = np.argwhere(self.valid_DT)
        return [TreeShape(self.totals[total], int(depth), self.top_k) for depth, total in pairs]


@dataclass(frozen=True)
class LevelReplay:
    """One prompt's greedy text of ``tokens`` new tokens, P = tokens - 1 positions, D = depth + 1 moments to stop at.

    ``needed_PDL`` (int16; 32767: never), ``mass_PDT``: expected acceptance of each size of tree; ``beam_PDK``: the
    ``BEAM_SCORES`` best cumulative log-probabilities of the beam; ``context_P``: committed tokens.
    """

    task: str
    category: str
    tokens: int
    needed_PDL: NDArray[np.int16]
    mass_PDT: Floats
    beam_PDK: Floats
    context_P: NDArray[np.int32]

    @property
    def positions(self) -> int:
        """P: the positions at which a round may begin."""
        return self.tokens - 1

    def accepted_PDT(self, totals: Sequence[int]) -> NDArray[np.int16]:
        """Drafted tokens accepted, as verified, for every moment of stopping and size of tree."""
        limits = np.array(totals)[None, None, :, None]
        return (self.needed_PDL[:, :, None, :] <= limits).sum(axis=-1, dtype=np.int16)


_ARRAYS = ("needed_PDL", "mass_PDT", "beam_PDK", "context_P")


@dataclass(frozen=True)
class LevelTable:
    """Level replays of many prompts for one menu. ``metadata`` says what was drafted by what."""

    menu: LevelMenu
    prompts: list[LevelReplay]
    metadata: Mapping[str, Any] = field(default_factory=dict[str, Any])

    def where(self, keep: Callable[[LevelReplay], bool]) -> LevelTable:
        """The same table over the prompts that ``keep`` accepts."""
        return LevelTable(self.menu, [prompt for prompt in self.prompts if keep(prompt)], self.metadata)

    def save(self, path: Path) -> None:
        """Write one npz file, atomically."""
        header = {
            "format": _FORMAT,
            "menu": asdict(self.menu),
            "prompts": [[p.task, p.category, p.tokens] for p in self.prompts],
            "metadata": dict(self.metadata),
        }
        arrays: dict[str, Any] = {name: np.concatenate([getattr(p, name) for p in self.prompts]) for name in _ARRAYS}

        def write(scratch: Path) -> None:
            with scratch.open("wb") as file:
                encoded = np.frombuffer(json.dumps(header).encode(), dtype=np.uint8)
                np.savez_compressed(file, header=encoded, **arrays)

        path.parent.mkdir(parents=True, exist_ok=True)
        replace_file(path, write)

    @classmethod
    def load(cls, path: Path) -> LevelTable:
        """Read what ``save`` wrote. Raises FileNotFoundError, or ValueError where the file is no level table."""
        with refusing(path, "level table", "delete it and build it again"):
            with np.load(path, allow_pickle=False) as file:
                header = json.loads(file["header"].tobytes())
                arrays = {name: file[name] for name in _ARRAYS}
            if header["format"] != _FORMAT:
                raise ValueError(
                    f"{path} is a level table of format {header['format']}; expected {_FORMAT}: build it again"
                )
            ends = np.cumsum([0, *(tokens - 1 for _, _, tokens in header["prompts"])])
            prompts = [
                LevelReplay(*named, *(array[first:last] for array in arrays.values()))
                for named, (first, last) in zip(header["prompts"], pairwise(ends), strict=True)
            ]
            raw = header["menu"]
            return cls(LevelMenu(**(raw | {"totals": tuple(raw["totals"])})), prompts, header["metadata"])


def joined(tables: Sequence[LevelTable]) -> LevelTable:
    """One table of all prompts. Raises ValueError where menus or metadata differ."""
    first = tables[0]
    if any((table.menu, table.metadata) != (first.menu, first.metadata) for table in tables):
        raise ValueError("level tables of other menus or models cannot be joined: build them alike")
    return LevelTable(first.menu, [prompt for table in tables for prompt in table.prompts], first.metadata)
