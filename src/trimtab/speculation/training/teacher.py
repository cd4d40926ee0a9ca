"""What does the frozen target show its head? Its inner features, and its distribution over the draft vocabulary."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from trimtab.speculation.engine.target import context_tokens
from trimtab.speculation.training import decoder
from trimtab.speculation.training.vocabulary import DraftVocabulary
from trimtab.speculation.training.windows import Windows


@dataclass(frozen=True)
class Batch:
    """``Windows`` on the target's device, as integers ready to index with."""

    tokens_BT: Tensor
    documents_BT: Tensor
    positions_BT: Tensor
    rows_BQ: Tensor
    learns_BQ: Tensor

    @classmethod
    def of(cls, windows: Windows, device: torch.device) -> Batch:
        def integers(array: np.ndarray) -> Tensor:
            return torch.from_numpy(array).long().to(device)

        return cls(
            integers(windows.tokens_WT),
            integers(windows.documents_WT),
            integers(windows.positions_WT),
            integers(windows.rows_WQ),
            torch.from_numpy(windows.learns_WQ).to(device),
        )


@dataclass(frozen=True)
class Lesson:
    """What the target shows. ``features_BTF``: its tapped layers' inputs at each token.

    ``targets_BQD``: for the learning position in row q, the distribution of the token that it predicts at step 0, over
    the draft vocabulary, renormalised. ``draftable_BQ``: whether the target's likeliest token is in that vocabulary.
    """

    features_BTF: Tensor
    targets_BQD: Tensor
    draftable_BQ: Tensor


def causal_bias(documents_BT: Tensor, rows_BQ: Tensor, dtype: torch.dtype) -> Tensor:
    """[B, Q, T], added to scores: 0 where position ``rows`` may attend (same document, not later), else the minimum."""
    columns = torch.arange(documents_BT.shape[1], device=documents_BT.device)
    same = documents_BT.gather(1, rows_BQ)[:, :, None] == documents_BT[:, None, :]
    allowed = same & (rows_BQ[:, :, None] >= columns)
    return torch.zeros(allowed.shape, dtype=dtype, device=allowed.device).masked_fill_(~allowed, torch.finfo(dtype).min)


class Teacher(nn.Module):
    """The frozen target. ``forward`` gives the fields of a batch's ``Lesson`` (a tuple, so that it can be compiled).

    Works on any transformers decoder whose logits are its output embedding applied to its last hidden state.
    Raises ValueError where that does not hold, where the attention takes no mask of its own, or where a window is
    longer than what the target can attend over.
    """

    draft_ids_D: Tensor
    draftable_V: Tensor

    def __init__(
        self, target: PreTrainedModel, taps: tuple[int, ...], vocabulary: DraftVocabulary, window_tokens: int
    ) -> None:
        super().__init__()
        _check(target, window_tokens)
        self.target, self.taps = target, taps
        self.register_buffer("draft_ids_D", vocabulary.target_ids.to(self.device), persistent=False)
        self.register_buffer("draftable_V", vocabulary.t2d.to(self.device), persistent=False)
        self._captured: dict[int, Tensor] = {}

    @property
    def device(self) -> torch.device:
        return decoder.device(self.target)

    @contextmanager
    def tapped(self) -> Generator[None]:
        """Within, the taps are recorded; outside, the target is as it was."""
        layers = decoder.layers(self.target)
        handles = [layers[tap].register_forward_pre_hook(self._hook(tap), with_kwargs=True) for tap in self.taps]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def _hook(self, tap: int) -> Any:
        def record(_module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            self._captured[tap] = args[0] if args else kwargs["hidden_states"]

        return record

    def forward(
        self, tokens_BT: Tensor, documents_BT: Tensor, positions_BT: Tensor, rows_BQ: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        everywhere = torch.arange(tokens_BT.shape[1], device=tokens_BT.device).expand_as(tokens_BT)
        hidden_BTH = self.target.get_decoder()(
            input_ids=tokens_BT,
            attention_mask=causal_bias(documents_BT, everywhere, self.target.dtype)[:, None],
            position_ids=positions_BT,
            use_cache=False,
        ).last_hidden_state
        features = torch.cat([self._captured[tap].to(hidden_BTH.device) for tap in self.taps], dim=-1)
        seen = (rows_BQ + 1).clamp_(max=tokens_BT.shape[1] - 1)[..., None].expand(-1, -1, hidden_BTH.shape[-1])
        logits_BQV = decoder.output(self.target)(hidden_BTH.gather(1, seen))
        targets = logits_BQV[..., self.draft_ids_D].float().softmax(-1)
        return features, targets, self.draftable_V[logits_BQV.argmax(-1)]


def _check(target: PreTrainedModel, window_tokens: int) -> None:
    """Whether windows of that length can be shown to the target, and its logits be computed from its hidden state."""
    attention = target.config._attn_implementation  # pyright: ignore[reportPrivateUsage]
    if attention not in ("sdpa", "eager"):
        raise ValueError(
            f"packed windows need a mask of their own, which attention {attention!r} does not take; "
            "load the target with attn_implementation='sdpa'"
        )
    if window_tokens > context_tokens(target):
        raise ValueError(f"window_tokens is {window_tokens}; the target attends over {context_tokens(target)}")
    with torch.no_grad():
        ids = torch.arange(4, device=decoder.device(target))[None]
        logits = target(ids, use_cache=False).logits
        ours = decoder.output(target)(target.get_decoder()(ids, use_cache=False).last_hidden_state)
    if not torch.allclose(logits, ours, rtol=1e-3, atol=1e-3):
        raise ValueError(
            f"the logits of {type(target).__name__} are not its output embedding applied to its last hidden state "
            "(a scaled or capped head?): head training does not support this architecture"
        )
