"""How is a replay table built? One text per prompt, a pass of each model over it, a drafting per beam width.

1. The greedy text, by the speculator itself, and a few tokens beyond it (a last tree may reach past the end).
2. One teacher-forced pass of the target: its features and logits at all positions.
3. One causal pass of the head: its keys, values and states at all positions.
4. For each beam width, the pools of all positions side by side, to the deepest tree of the menu; all other trees of that
   width are tops of its prefixes (``batch_drafting``).

Exact in float32. In bf16 near-ties may flip an argmax, and the table is an approximation of what decoding would do.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from trimtab.plain import Plain
from trimtab.speculation.actions import TreeShape
from trimtab.speculation.batch_drafting import BatchDrafter, needed_totals
from trimtab.speculation.engine.drafter import TreeDrafter
from trimtab.speculation.engine.generation import RoundState
from trimtab.speculation.engine.speculator import Speculator
from trimtab.speculation.replay import PromptReplay, ReplayTable, joined
from trimtab.speculation.teaching import Lesson, borrowed, check_greedy, fingerprint, taught
from trimtab.speculation.texts import Conversation, GreedyText, greedy_texts

Ints = NDArray[np.int64]
_SIDE_BY_SIDE = 64

Progress = Callable[[int, int], None]
"""(conversations done, conversations in all)."""


class Extractor(Protocol):
    """Features of a decoding state, from what is known before drafting (see ``RoundState``)."""

    @property
    def names(self) -> Sequence[str]: ...

    def __call__(
        self, root_logprobs_D: Tensor, target_logits_V: Tensor, state_H: Tensor, context_tokens: int
    ) -> NDArray[np.float32]: ...


@runtime_checkable
class Reader(Protocol):
    """The same from a whole ``RoundState``, as in a live decode (``states.Features``)."""

    @property
    def names(self) -> Sequence[str]: ...

    def read(self, state: RoundState) -> NDArray[np.float32]: ...


@runtime_checkable
class Foresees(Protocol):
    """A reader that prepares all positions of a reply at once, where that is cheaper (texts, embedded in batches)."""

    def foresee(self, committed: Sequence[int], prompt_tokens: int) -> None: ...

    def spec(self) -> Plain: ...


def _reading(extractor: Extractor | Reader) -> Callable[[RoundState], NDArray[np.float32]]:
    if isinstance(extractor, Reader):
        return extractor.read
    return lambda state: extractor(
        state.root_logprobs_D, state.target_logits_V, state.root_state_H, state.context_tokens
    )


@dataclass(frozen=True)
class _Width:
    """The menu's trees of one beam width: their columns, depths and sizes."""

    top_k: int
    columns: NDArray[np.int64]
    depths: NDArray[np.int64]
    totals: NDArray[np.int64]

    def accepted(self, drafter: TreeDrafter, states_BH: Tensor, committed_B: Ints, truth_BL: Ints) -> Ints:
        """Accepted tokens [B, columns] of these trees at B positions."""
        pools = BatchDrafter(drafter).pools(states_BH, committed_B, int(self.depths.max()), self.top_k)
        needed_BCL = needed_totals(pools, truth_BL)[:, self.depths]
        return (needed_BCL <= self.totals[:, None]).sum(axis=-1)


def _widths(actions: Sequence[TreeShape]) -> list[_Width]:
    numbers = np.array([[a.total_tokens, a.depth, a.top_k] for a in actions], dtype=np.int64)
    columns = {int(k): np.flatnonzero(numbers[:, 2] == k) for k in np.unique(numbers[:, 2])}
    return [_Width(k, which, numbers[which, 1], numbers[which, 0]) for k, which in columns.items()]


@dataclass(frozen=True)
class _Builder:
    speculator: Speculator
    actions: list[TreeShape]
    max_new_tokens: int
    extractor: Extractor | Reader

    @property
    def beyond(self) -> int:
        """Tokens past a text's end that the deepest tree can reach: its root may be the text's last but one token."""
        return max(action.depth for action in self.actions)

    def table(self, prompts: list[PromptReplay]) -> ReplayTable:
        metadata: dict[str, Plain] = {
            "max_new_tokens": self.max_new_tokens,
            "dtype": str(self.speculator.model.dtype).removeprefix("torch."),
            "weights": fingerprint(self.speculator),
        }
        if isinstance(self.extractor, Foresees):
            metadata["state"] = self.extractor.spec()
        return ReplayTable(self.actions, list(self.extractor.names), prompts, metadata)

    def conversation(self, given: Conversation) -> ReplayTable:
        """The replays of one conversation: one per turn, each in the context of the greedy answers before it."""
        return self.table(
            [self._replay(text) for text in greedy_texts(self.speculator, given, self.max_new_tokens, self.beyond)]
        )

    def _replay(self, text: GreedyText) -> PromptReplay:
        positions = len(text.tokens) - 1
        accepted = np.zeros((positions, len(self.actions)), dtype=np.int16)
        features = np.zeros((positions, len(self.extractor.names)), dtype=np.float32)
        committed = np.arange(positions, dtype=np.int64) + len(text.ids)
        if positions:
            with borrowed(self.speculator):
                lesson = taught(self.speculator, text.ids, text.tokens)
                check_greedy(text.task, lesson.logits_LV, text.tokens)
                self._accept(text, lesson, committed, accepted)
                self._look(text, lesson, features)
        context = committed.astype(np.int32)
        return PromptReplay(text.task, text.category, len(text.tokens), accepted, features, context)

    def _accept(self, text: GreedyText, lesson: Lesson, committed_P: Ints, accepted_PA: NDArray[np.int16]) -> None:
        """Fill in what each tree accepts, some positions at a time."""
        drafter, length = self.speculator.drafter, self.beyond + 1
        truth_PL = np.array([text.truth(position, length) for position in range(len(committed_P))], dtype=np.int64)
        for first in range(0, len(committed_P), _SIDE_BY_SIDE):
            rows = slice(first, first + _SIDE_BY_SIDE)
            committed_B = committed_P[rows]
            states_BH = lesson.states_TH[torch.from_numpy(committed_B - 1).to(lesson.states_TH.device)]
            for width in _widths(self.actions):
                accepted_PA[rows, width.columns] = width.accepted(drafter, states_BH, committed_B, truth_PL[rows])

    def _look(self, text: GreedyText, lesson: Lesson, features_PF: NDArray[np.float32]) -> None:
        """Fill in the features, from the last position to the first (going back forgets what lies behind)."""
        read, whole, drafter = _reading(self.extractor), text.ids + text.tokens[:-1], self.speculator.drafter
        if isinstance(self.extractor, Foresees):
            self.extractor.foresee(whole, len(text.ids))
        for position in reversed(range(len(features_PF))):
            committed = len(text.ids) + position
            drafter.revisit(committed, lesson.states_TH[committed - 1])
            features_PF[position] = read(lesson.round_state(drafter, whole, len(text.ids), position))


def _shard(folder: Path, given: Conversation) -> Path:
    content = repr(
        (given.task, given.category, [turn if isinstance(turn, str) else list(turn) for turn in given.turns])
    )
    return folder / f"{hashlib.sha256(content.encode()).hexdigest()[:24]}.npz"


def _resumed(path: Path, expected: ReplayTable) -> ReplayTable:
    """A conversation finished earlier. Raises ValueError where it belongs to another build."""
    table = ReplayTable.load(path)
    for what in ("actions", "feature_names", "metadata"):
        if getattr(table, what) != getattr(expected, what):
            raise ValueError(
                f"{path.parent} holds replays of another build ({what} differ): name an empty folder, or delete it"
            )
    return table


def build(
    speculator: Speculator,
    prompts: Sequence[Conversation],
    actions: Sequence[TreeShape],
    max_new_tokens: int,
    extractor: Extractor | Reader,
    *,
    folder: Path | None = None,
    progress: Progress | None = None,
) -> ReplayTable:
    """The replay table of ``prompts`` over ``actions``; turn n of a conversation of several is task ``<task>/turn<n>``.

    With ``folder`` each finished conversation is kept there, and an interrupted build goes on where it ended. Raises
    ValueError for an empty or repeated menu, a prompt too long for the context, or a folder of another build.
    """
    menu = list(actions)
    if not menu or len(set(menu)) != len(menu):
        raise ValueError(
            f"expected a menu of distinct trees, at least one; got {len(menu)}, {len(set(menu))} of them distinct"
        )
    if not prompts:
        raise ValueError("there are no prompts: expected at least one to build a replay table from")
    builder = _Builder(speculator, menu, max_new_tokens, extractor)
    expected, tables = builder.table([]), list[ReplayTable]()
    for done, given in enumerate(prompts, start=1):
        path = _shard(folder, given) if folder else None
        if path and path.exists():
            table = _resumed(path, expected)
        else:
            table = builder.conversation(given)
            if path:
                table.save(path)
        tables.append(table)
        if progress:
            progress(done, len(prompts))
    return joined(tables)
