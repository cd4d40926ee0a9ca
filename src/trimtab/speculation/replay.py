"""What would every tree have accepted at every position of a text? Deterministic replay of greedy speculative decoding.

At temperature 0 the text does not depend on the trees, so neither do its prefixes, the target's features, nor the
head's committed keys and values. Hence the tokens accepted at position p by action a are a table, ``accepted_PA``,
found by drafting once per position and beam width, without verifying a single tree.

Position p (0 to L - 2, for a text of L tokens y): y_0 .. y_{p-1} are committed behind the prompt, y_p is the pending
root (y_0 comes from the prompt's forward). A round leads to position p + accepted + 1; the text is complete at L - 1.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from trimtab.checkpoints import replace_file
from trimtab.reading import refusing
from trimtab.speculation.actions import TreeShape

Ints = NDArray[np.int64]

_FORMAT = 1


class ReplayRound(NamedTuple):
    """One replayed round: where it began, the index of its action, and the drafted tokens accepted, as verified."""

    position: int
    action: int
    accepted: int


Chooser = Callable[[int, Sequence[ReplayRound]], int]
"""(position, the rounds before) -> index of the action."""


@dataclass(frozen=True)
class PromptReplay:
    """One prompt's greedy text of ``tokens`` new tokens (L), and what each action accepts at its P = L - 1 positions.

    ``accepted_PA``: as verified, that is beyond the text's end too; ``next_PA`` and ``tokens_PA`` count within the
    text. ``features_PF``: what the extractor says of each position; ``context_P``: committed tokens, those of the
    prompt included.
    """

    task: str
    category: str
    tokens: int
    accepted_PA: NDArray[np.int16]
    features_PF: NDArray[np.float32]
    context_P: NDArray[np.int32]

    def __post_init__(self) -> None:
        rows = {len(self.accepted_PA), len(self.features_PF), len(self.context_P), self.tokens - 1}
        if len(rows) != 1:
            raise ValueError(
                f"the replay of {self.task!r} has {len(self.accepted_PA)} rows of acceptances, {len(self.features_PF)} "
                f"of features and {len(self.context_P)} of contexts; a text of {self.tokens} tokens has "
                f"{self.tokens - 1}"
            )

    @property
    def positions(self) -> int:
        """P: the positions at which a tree may be drafted."""
        return self.tokens - 1

    @cached_property
    def next_PA(self) -> Ints:
        """The position after each action; P where the text is complete."""
        return np.minimum(np.arange(self.positions)[:, None] + self.accepted_PA + 1, self.positions)

    @cached_property
    def tokens_PA(self) -> Ints:
        """Tokens that each action commits, those beyond the text's end not counted."""
        return self.next_PA - np.arange(self.positions)[:, None]

    def rounds(self, choose: Chooser) -> list[ReplayRound]:
        """The rounds of a decode in which ``choose`` names each action."""
        history: list[ReplayRound] = []
        position = 0
        while position < self.positions:
            action = choose(position, history)
            accepted = int(self.accepted_PA[position, action])
            history.append(ReplayRound(position, action, accepted))
            position = int(self.next_PA[position, action])
        return history


@dataclass(frozen=True)
class ReplayTable:
    """Replays of many prompts for one menu of ``actions``. ``metadata`` says what was drafted by what."""

    actions: list[TreeShape]
    feature_names: list[str]
    prompts: list[PromptReplay]
    metadata: Mapping[str, Any] = field(default_factory=dict[str, Any])

    def __post_init__(self) -> None:
        for prompt in self.prompts:
            widths = prompt.accepted_PA.shape[1:], prompt.features_PF.shape[1:]
            if widths != ((len(self.actions),), (len(self.feature_names),)):
                raise ValueError(
                    f"the replay of {prompt.task!r} has {widths[0]} acceptances and {widths[1]} features per position; "
                    f"the table names {len(self.actions)} actions and {len(self.feature_names)} features"
                )

    def __len__(self) -> int:
        return len(self.prompts)

    @property
    def positions(self) -> int:
        """N: the positions of all prompts."""
        return sum(prompt.positions for prompt in self.prompts)

    @cached_property
    def accepted_NA(self) -> NDArray[np.int16]:
        """Acceptances at all positions, prompt after prompt."""
        return np.concatenate([np.empty((0, len(self.actions)), np.int16), *(p.accepted_PA for p in self.prompts)])

    @cached_property
    def features_NF(self) -> NDArray[np.float32]:
        """Features at all positions, prompt after prompt."""
        return np.concatenate(
            [np.empty((0, len(self.feature_names)), np.float32), *(p.features_PF for p in self.prompts)]
        )

    @cached_property
    def context_N(self) -> NDArray[np.int32]:
        """Committed tokens at all positions, prompt after prompt."""
        return np.concatenate([np.empty(0, np.int32), *(p.context_P for p in self.prompts)])

    def feature(self, name: str) -> int:
        """The column of a feature. Raises ValueError listing the known names."""
        if name not in self.feature_names:
            raise ValueError(f"the table has no feature {name!r}; it has {', '.join(self.feature_names)}")
        return self.feature_names.index(name)

    def rounds(self, prompt: PromptReplay, choose: Chooser) -> list[ReplayRound]:
        """The rounds of one prompt's decode in which ``choose`` names each action by its index."""
        return prompt.rounds(choose)

    def subset(self, actions: Sequence[TreeShape]) -> ReplayTable:
        """The same table over fewer actions, in the order given. Raises ValueError naming those it does not hold."""
        missing = [str(action) for action in actions if action not in self.actions]
        if missing or not actions:
            raise ValueError(f"the table holds no {', '.join(missing) or 'empty menu'}: build it over a menu that does")
        columns = [self.actions.index(action) for action in actions]
        prompts = [
            PromptReplay(p.task, p.category, p.tokens, p.accepted_PA[:, columns], p.features_PF, p.context_P)
            for p in self.prompts
        ]
        return ReplayTable(list(actions), self.feature_names, prompts, self.metadata)

    def where(self, keep: Callable[[PromptReplay], bool]) -> ReplayTable:
        """The same table over the prompts that ``keep`` accepts (a split, a category)."""
        return ReplayTable(self.actions, self.feature_names, [p for p in self.prompts if keep(p)], self.metadata)

    def save(self, path: Path) -> None:
        """Write one npz file, atomically: concatenated arrays, and all else as JSON inside."""
        header = {
            "format": _FORMAT,
            "actions": [[a.total_tokens, a.depth, a.top_k] for a in self.actions],
            "feature_names": list(self.feature_names),
            "prompts": [[p.task, p.category, p.tokens] for p in self.prompts],
            "metadata": dict(self.metadata),
        }

        def write(scratch: Path) -> None:
            with scratch.open("wb") as file:
                np.savez_compressed(
                    file,
                    header=np.frombuffer(json.dumps(header).encode(), dtype=np.uint8),
                    accepted_NA=self.accepted_NA,
                    features_NF=self.features_NF,
                    context_N=self.context_N,
                )

        path.parent.mkdir(parents=True, exist_ok=True)
        replace_file(path, write)

    @classmethod
    def load(cls, path: Path) -> ReplayTable:
        """Read what ``save`` wrote. Raises FileNotFoundError, or ValueError where the file is no replay table."""
        with refusing(path, "replay table", "delete it and build it again"):
            with np.load(path, allow_pickle=False) as file:
                header = json.loads(file["header"].tobytes())
                arrays = {name: file[name] for name in ("accepted_NA", "features_NF", "context_N")}
            if header["format"] != _FORMAT:
                raise ValueError(
                    f"{path} is a replay table of format {header['format']}; expected {_FORMAT}: build it again"
                )
            ends = np.cumsum([0, *(tokens - 1 for _, _, tokens in header["prompts"])])
            prompts = [
                PromptReplay(*named, *(array[first:last] for array in arrays.values()))
                for named, (first, last) in zip(header["prompts"], pairwise(ends), strict=True)
            ]
            actions = [TreeShape(*numbers) for numbers in header["actions"]]
            return cls(actions, header["feature_names"], prompts, header["metadata"])


def joined(tables: Sequence[ReplayTable]) -> ReplayTable:
    """One table of all prompts. Raises ValueError where actions, features or metadata differ."""
    first = tables[0]
    for table in tables[1:]:
        if (table.actions, table.feature_names, table.metadata) != (first.actions, first.feature_names, first.metadata):
            raise ValueError("replay tables of other actions, features or models cannot be joined: build them alike")
    return ReplayTable(
        first.actions, first.feature_names, [prompt for table in tables for prompt in table.prompts], first.metadata
    )
