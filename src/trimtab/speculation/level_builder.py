"""How is a level table built? As a replay table is, but drafting all positions of a text side by side, level by level.

The smallest tree that accepts so many tokens follows from the true path's ranks in the pool (``batch_drafting``); no tree
is verified. Exact in float32.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from trimtab.speculation.batch_drafting import BatchDrafter, needed_totals
from trimtab.speculation.engine.speculator import Speculator
from trimtab.speculation.level_context import mass
from trimtab.speculation.levels import BEAM_SCORES, LevelMenu, LevelReplay, LevelTable, joined
from trimtab.speculation.teaching import borrowed, check_greedy, fingerprint, taught
from trimtab.speculation.texts import Conversation, GreedyText, greedy_texts

Progress = Callable[[int, int], None]
_NONE = -50.0
_TEMPERATURES = np.geomspace(0.3, 1.5, 25)


def replay(speculator: Speculator, text: GreedyText, menu: LevelMenu) -> LevelReplay:
    """One text's level replay. The speculator's caches are empty afterwards."""
    positions, moments = len(text.tokens) - 1, menu.depth + 1
    context = np.arange(positions, dtype=np.int64) + len(text.ids)
    masses = np.zeros((positions, moments, len(menu.totals)), dtype=np.float32)
    beams = np.full((positions, moments, BEAM_SCORES), _NONE, dtype=np.float32)
    needed = np.zeros((positions, moments, moments), dtype=np.int16)
    if positions:
        truth = np.array([text.truth(position, moments) for position in range(positions)], dtype=np.int64)
        with borrowed(speculator):
            lesson = taught(speculator, text.ids, text.tokens)
            check_greedy(text.task, lesson.logits_LV, text.tokens)
            roots = lesson.states_TH[torch.from_numpy(context - 1).to(lesson.states_TH.device)]
            pools = None
            drafter = BatchDrafter(speculator.drafter, menu.draft_temperature)
            for moment, pools in enumerate(drafter.grow(roots, context, menu.depth, menu.top_k)):
                masses[:, moment] = [mass(scores, menu) for scores in pools.scores_BC]
                best = pools.beam_scores_Bk()[:, :BEAM_SCORES]
                beams[:, moment, : best.shape[1]] = best
        assert pools is not None
        needed = needed_totals(pools, truth)
    return LevelReplay(text.task, text.category, len(text.tokens), needed, masses, beams, context.astype(np.int32))


def calibrated_temperature(speculator: Speculator, texts: Sequence[GreedyText]) -> float:
    """The draft temperature at which the head's probabilities fit best what the target goes on to write.

    Heads learn the target's distribution, but greedy verification only asks for its argmax, so that their probabilities are
    too small; dividing the logits by this number (usually below 1) mends that. It minimises the negative log-likelihood
    of the greedy tokens behind every position (those in the draft vocabulary), over a grid.
    """
    losses = torch.zeros(len(_TEMPERATURES), dtype=torch.float64)
    target_ids = speculator.head.target_ids
    for text in texts:
        if len(text.tokens) < 2:
            continue
        with borrowed(speculator):
            states = taught(speculator, text.ids, text.tokens).states_TH[len(text.ids) - 1 :]
            losses += _losses(speculator.head.logits(states).float(), text.tokens[1:], target_ids)
    return float(_TEMPERATURES[int(losses.argmin())])


def _losses(logits_PD: Tensor, tokens: list[int], target_ids_D: Tensor) -> Tensor:
    """The summed loss at every temperature of the grid, of the tokens that the head can draft."""
    wanted = torch.tensor(tokens, device=logits_PD.device)
    hits_PD = target_ids_D[None] == wanted[:, None]
    known = hits_PD.any(dim=1)
    labels = hits_PD[known].int().argmax(dim=1)
    rows = [F.cross_entropy(logits_PD[known] / float(t), labels, reduction="sum") for t in _TEMPERATURES]
    return torch.stack(rows).double().cpu()


def build(
    speculator: Speculator,
    prompts: Sequence[Conversation],
    menus: Sequence[LevelMenu],
    max_new_tokens: int,
    *,
    folder: Path | None = None,
    progress: Progress | None = None,
) -> list[LevelTable]:
    """The level tables of ``prompts``, one for each menu. With ``folder``, an interrupted build goes on where it ended.

    Raises ValueError without prompts or menus, and for a prompt too long for the context.
    """
    if not prompts or not menus:
        raise ValueError(f"{len(prompts)} prompts and {len(menus)} menus: expected at least one of each")
    metadata: dict[str, Any] = {
        "max_new_tokens": max_new_tokens,
        "dtype": str(speculator.model.dtype).removeprefix("torch."),
        "weights": fingerprint(speculator),
    }
    made: list[list[LevelTable]] = [[] for _ in menus]
    beyond = max(menu.depth for menu in menus) + 1
    for done, given in enumerate(prompts, start=1):
        paths = [_shard(folder, given, menu, metadata) if folder else None for menu in menus]
        if all(path and path.exists() for path in paths):
            for tables, path in zip(made, paths, strict=True):
                assert path is not None
                tables.append(LevelTable.load(path))
        else:
            texts = list(greedy_texts(speculator, given, max_new_tokens, beyond))
            for tables, menu, path in zip(made, menus, paths, strict=True):
                tables.append(LevelTable(menu, [replay(speculator, text, menu) for text in texts], metadata))
                if path:
                    tables[-1].save(path)
        if progress:
            progress(done, len(prompts))
    return [joined(tables) for tables in made]


def _shard(folder: Path, given: Conversation, menu: LevelMenu, metadata: dict[str, Any]) -> Path:
    turns = [turn if isinstance(turn, str) else list(turn) for turn in given.turns]
    content = repr((given.task, given.category, turns, asdict(menu), metadata))
    return folder / f"{hashlib.sha256(content.encode()).hexdigest()[:24]}.npz"
