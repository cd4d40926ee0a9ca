"""How do prompts and replies of unequal length lie in one array, and how is a rollout put together?

Prompts are padded on the left, replies on the right: the reply begins at the same column in every row. Padding is told
by masks, never by an id, so that a padding token may be the end token.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Tokens:
    """Rows of prompt and reply: ``ids_BS`` with S = L + T, ``mask_BS`` (True: real), T columns of reply at the end."""

    ids_BS: Tensor
    mask_BS: Tensor
    reply_width: int

    def __len__(self) -> int:
        return len(self.ids_BS)

    @property
    def reply_ids_BT(self) -> Tensor:
        return self.ids_BS[:, self.ids_BS.shape[1] - self.reply_width :]

    @property
    def reply_mask_BT(self) -> Tensor:
        return self.mask_BS[:, self.ids_BS.shape[1] - self.reply_width :]

    def positions_BS(self) -> Tensor:
        """Position of each token in its row, padding left out."""
        return (self.mask_BS.cumsum(dim=1) - 1).clamp(min=0)

    def rows(self, chosen: Tensor | slice) -> Tokens:
        """Some of the rows."""
        return Tokens(self.ids_BS[chosen], self.mask_BS[chosen], self.reply_width)

    def to(self, device: torch.device | str) -> Tokens:
        return Tokens(self.ids_BS.to(device), self.mask_BS.to(device), self.reply_width)

    def trimmed(self) -> Tokens:
        """Without the columns that are padding in every row."""
        real_S = self.mask_BS.any(dim=0)
        first = int(real_S.int().argmax())
        replies = max(1, int(self.reply_mask_BT.sum(dim=1).max()))
        end = self.ids_BS.shape[1] - self.reply_width + replies
        return Tokens(self.ids_BS[:, first:end], self.mask_BS[:, first:end], replies)

    def reply_lists(self) -> list[list[int]]:
        """The real tokens of each reply."""
        pairs = zip(self.reply_ids_BT.tolist(), self.reply_mask_BT.sum(dim=1).tolist(), strict=True)
        return [ids[:length] for ids, length in pairs]


def left_padded(rows: Sequence[Sequence[int]], width: int) -> tuple[Tensor, Tensor]:
    """The last ``width`` ids of each row on the right of an array, and the mask. Raises ValueError for an empty row."""
    empty = [index for index, row in enumerate(rows) if not row]
    if empty:
        raise ValueError(
            f"prompt {empty[0]} has no token: expected one at least (a beginning-of-sequence token will do)"
        )
    ids_BL = torch.zeros(len(rows), width, dtype=torch.long)
    mask_BL = torch.zeros(len(rows), width, dtype=torch.bool)
    for index, row in enumerate(rows):
        kept = list(row)[-width:]
        ids_BL[index, width - len(kept) :] = torch.tensor(kept)
        mask_BL[index, width - len(kept) :] = True
    return ids_BL, mask_BL


def right_padded(rows: Sequence[Sequence[int]], width: int) -> tuple[Tensor, Tensor]:
    """The first ``width`` ids of each row on the left of an array, and the mask."""
    ids_BT = torch.zeros(len(rows), width, dtype=torch.long)
    mask_BT = torch.zeros(len(rows), width, dtype=torch.bool)
    for index, row in enumerate(rows):
        kept = list(row)[:width]
        ids_BT[index, : len(kept)] = torch.tensor(kept, dtype=torch.long)
        mask_BT[index, : len(kept)] = True
    return ids_BT, mask_BT


def joined(prompts: Sequence[Sequence[int]], replies: Sequence[Sequence[int]], *, context: int, reply: int) -> Tokens:
    """Prompts and replies given as lists of ids, in one array of ``context + reply`` columns."""
    ids_BL, prompt_mask_BL = left_padded(prompts, context)
    ids_BT, mask_BT = right_padded(replies, reply)
    return Tokens(torch.cat((ids_BL, ids_BT), dim=1), torch.cat((prompt_mask_BL, mask_BT), dim=1), reply)
