"""How is a replay table built? One text per prompt, a pass of each model over it, a drafting per position and beam.

1. The greedy text, by the speculator itself, and a few tokens beyond it (a last tree may reach past the end).
2. One teacher-forced pass of the target: its features and logits at all positions.
3. One causal pass of the head: its keys, values and states at all positions.
4. At each position, from the last to the first (drafting overwrites what lies behind), one pool per beam width, to the
   deepest tree of the menu; all other trees of that width are tops of its prefixes (``replay.accepted_by``).

Exact in float32. In bf16 near-ties may flip an argmax, and the table is an approximation of what decoding would do.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from trimtab.speculation.actions import TreeShape
from trimtab.speculation.engine.drafter import TreeDrafter
from trimtab.speculation.engine.speculator import Message, Prompt, Speculator
from trimtab.speculation.replay import PromptReplay, ReplayTable, accepted_by, joined

_TIE = {torch.float32: 1e-3}
_COARSE_TIE = 0.5
_SAMPLED_WEIGHTS = 1024

Progress = Callable[[int, int], None]
"""(conversations done, conversations in all)."""


class Extractor(Protocol):
    """Features of a decoding state, from what is known before drafting (see ``RoundState``)."""

    @property
    def names(self) -> Sequence[str]: ...

    def __call__(
        self, root_logprobs_D: Tensor, target_logits_V: Tensor, state_H: Tensor, context_tokens: int
    ) -> NDArray[np.float32]: ...


class Conversation(Protocol):
    """A prompt of one or more turns: texts, or (a single turn only) token ids."""

    @property
    def task(self) -> str: ...
    @property
    def category(self) -> str: ...
    @property
    def turns(self) -> Sequence[Any]: ...


@dataclass(frozen=True)
class _Width:
    """The menu's trees of one beam width: their columns, depths and sizes."""

    top_k: int
    columns: NDArray[np.int64]
    depths: NDArray[np.int64]
    totals: NDArray[np.int64]

    def accepted(self, drafter: TreeDrafter, truth: list[int]) -> NDArray[np.int64]:
        """Accepted tokens of these trees where the drafter stands. Drafts only if one of them starts right."""
        assert drafter.root_logprobs is not None
        first = drafter.head.target_ids[drafter.root_logprobs.topk(self.top_k).indices]
        if truth[0] not in first.tolist():
            return np.zeros_like(self.columns)
        pool = drafter.pool(int(self.depths.max()), self.top_k)
        return accepted_by(pool, truth, self.depths, self.totals)


def _widths(actions: Sequence[TreeShape]) -> list[_Width]:
    numbers = np.array([[a.total_tokens, a.depth, a.top_k] for a in actions], dtype=np.int64)
    columns = {int(k): np.flatnonzero(numbers[:, 2] == k) for k in np.unique(numbers[:, 2])}
    return [_Width(k, which, numbers[which, 1], numbers[which, 0]) for k, which in columns.items()]


@dataclass(frozen=True)
class _Builder:
    speculator: Speculator
    actions: list[TreeShape]
    max_new_tokens: int
    extractor: Extractor

    @property
    def beyond(self) -> int:
        """Tokens past a text's end that the deepest tree can reach: its root may be the text's last but one token."""
        return max(action.depth for action in self.actions)

    def table(self, prompts: list[PromptReplay]) -> ReplayTable:
        metadata = {
            "max_new_tokens": self.max_new_tokens,
            "dtype": str(self.speculator.model.dtype).removeprefix("torch."),
            "weights": fingerprint(self.speculator),
        }
        return ReplayTable(self.actions, list(self.extractor.names), prompts, metadata)

    def conversation(self, given: Conversation) -> ReplayTable:
        """The replays of one conversation: one per turn, each in the context of the greedy answers before it."""
        messages: list[Message] = []
        replays: list[PromptReplay] = []
        for number, turn in enumerate(given.turns, start=1):
            prompt: Prompt = turn
            if isinstance(turn, str) and (messages or self._chats):
                messages.append({"role": "user", "content": turn})
                prompt = messages
            elif number > 1:
                raise ValueError(f"prompt {given.task!r} has several turns given as token ids: give texts, or one turn")
            task = given.task if len(given.turns) == 1 else f"{given.task}/turn{number}"
            replay, text = self._turn(task, given.category, prompt)
            replays.append(replay)
            messages.append({"role": "assistant", "content": text})
        return self.table(replays)

    @property
    def _chats(self) -> bool:
        return self.speculator.tokenizer is not None and bool(self.speculator.tokenizer.chat_template)

    def _turn(self, task: str, category: str, prompt: Prompt) -> tuple[PromptReplay, str]:
        ids = self.speculator.encode(prompt)
        needed, room = len(ids) + self.max_new_tokens + self.beyond, self.speculator.context_tokens
        if needed > room:
            raise ValueError(
                f"prompt {task!r} has {len(ids)} tokens; with max_new_tokens {self.max_new_tokens} and the "
                f"{self.beyond} tokens that a tree may reach beyond the end that makes {needed}, and the target's "
                f"context ends at {room}: lower max_new_tokens, or leave this prompt out"
            )
        shape = self.actions[len(self.actions) // 2]  # any tree gives the same text
        generation = self.speculator.generate(ids, self.max_new_tokens, shape=shape)
        so_far = ids + generation.tokens
        after = self.speculator.generate(so_far, self.beyond, shape=shape, stop_at_eos=False).tokens
        accepted, features = self._accept(task, ids, generation.tokens, after)
        context = np.arange(len(accepted), dtype=np.int32) + np.int32(len(ids))
        return PromptReplay(task, category, len(generation.tokens), accepted, features, context), generation.text

    def _accept(
        self, task: str, ids: list[int], text: list[int], after: list[int]
    ) -> tuple[NDArray[np.int16], NDArray[np.float32]]:
        """Acceptances [P, A] and features [P, F] at all positions of ``text``."""
        positions, widths, drafter = len(text) - 1, _widths(self.actions), self.speculator.drafter
        accepted = np.zeros((positions, len(self.actions)), dtype=np.int16)
        features = np.zeros((positions, len(self.extractor.names)), dtype=np.float32)
        if not positions:
            return accepted, features
        with _borrowed(self.speculator):
            logits_LV, states_TH = _taught(self.speculator, ids, text)
            _check_greedy(task, logits_LV, text)
            for position in reversed(range(positions)):
                committed = len(ids) + position
                drafter.revisit(committed, states_TH[committed - 1])
                assert drafter.root_logprobs is not None
                assert drafter.root_state is not None
                features[position] = self.extractor(
                    drafter.root_logprobs, logits_LV[position], drafter.root_state[0], committed
                )
                truth = (text + after)[position + 1 : position + 2 + self.beyond]
                for width in widths:
                    accepted[position, width.columns] = width.accepted(drafter, truth)
        return accepted, features


@contextmanager
def _borrowed(speculator: Speculator) -> Generator[None]:
    """Within, both caches are ours; before and after, they are empty."""
    speculator.forget()
    try:
        with torch.inference_mode(), speculator.target.tapped():
            yield
    finally:
        speculator.forget()


def _taught(speculator: Speculator, ids: list[int], text: list[int]) -> tuple[Tensor, Tensor]:
    """Teacher-forced: the logits [L, V] that chose each token of ``text``; the head's states [T, H], T = n + L - 2."""
    target, device = speculator.target, speculator.target.device
    tokens_T = torch.tensor(ids + text[:-1], device=device)
    first_logits, prompt_features = target.prefill(tokens_T[: len(ids)])
    rows = torch.arange(len(text) - 1, device=device)
    logits, text_features = target.forward(tokens_T[len(ids) :], rows, rows[:, None] >= rows[None, :])
    features_TF = torch.cat((prompt_features, text_features))[:-1]
    states_TH = speculator.drafter.extend(tokens_T[1:], features_TF)
    return torch.cat((first_logits[None], logits)), states_TH


def _check_greedy(task: str, logits_LV: Tensor, text: list[int]) -> None:
    """Whether the text is what the target would say; ties within rounding may have been broken either way."""
    chosen = logits_LV[torch.arange(len(text)), torch.tensor(text)]
    gap = (logits_LV.max(dim=-1).values - chosen).float()
    tolerance = _TIE.get(logits_LV.dtype, _COARSE_TIE)
    if float(gap.max()) > tolerance:
        worst = int(gap.argmax())
        raise RuntimeError(
            f"the greedy text of {task!r} is not the target's own at token {worst} (logits differ by "
            f"{float(gap[worst]):.3g}, ties by at most {tolerance}): generation and a plain forward pass of this model "
            "disagree. Does its attention depend on more than mask and positions?"
        )


def fingerprint(speculator: Speculator) -> str:
    """A digest of both models' weights (samples of every tensor): tables of other weights do not apply."""
    digest = hashlib.sha256()
    for model in (speculator.model, speculator.head):
        for name, tensor in sorted(model.state_dict().items()):
            flat = tensor.detach().flatten()
            sample = flat[:: max(1, len(flat) // _SAMPLED_WEIGHTS)].to("cpu", torch.float64)
            digest.update(f"{name} {tuple(tensor.shape)}".encode() + sample.numpy().tobytes())
    return digest.hexdigest()[:16]


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
    extractor: Extractor,
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
