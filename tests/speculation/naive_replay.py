"""What does a tree accept? One pool and one text at a time, for the batched drafting to be held against."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from trimtab.speculation.engine.tree import Pool, best
from trimtab.speculation.replay import Ints


def true_path(pool: Pool, truth: Sequence[int]) -> list[int]:
    """Pool indices of the candidates that continue the root as ``truth`` (the tokens after it) does, as far as they go.

    The path ends where no sibling is right, or where the right one left the beam and was never expanded.
    """
    path: list[int] = []
    first_child = 0
    for level, token in enumerate(truth[: len(pool.frontiers_dk) + 1]):
        hits = np.flatnonzero(pool.tokens_C[first_child : first_child + pool.top_k] == token)
        if not len(hits):
            break
        path.append(first_child + int(hits[0]))
        if level == len(pool.frontiers_dk):
            break
        slots = np.flatnonzero(pool.frontiers_dk[level] == path[-1])
        if not len(slots):
            break
        first_child = pool.top_k + level * pool.top_k**2 + int(slots[0]) * pool.top_k
    return path


def accepted_by(pool: Pool, truth: Sequence[int], depths_A: Ints, totals_A: Ints) -> Ints:
    """Accepted tokens [A] of every (depth, total_tokens) with this pool's beam width, the text going on as ``truth``.

    A smaller depth's pool is a prefix of a larger one's, and a tree is the top of its pool: the node n on the true path
    is in the tree where fewer than total - 1 candidates of the prefix score higher. No candidate scores above its
    parent, so the nodes in the tree are the path's first ones. Where n ties with another, the drafter's own selection
    decides.
    """
    path = np.array(true_path(pool, truth), dtype=np.int64)
    sizes_A = pool.top_k + depths_A * pool.top_k**2
    own = pool.scores_C[path][:, None]
    if ((pool.scores_C == own).sum(axis=1) > 1).any():
        trees = [best(pool.scores_C[:size], total - 1) for size, total in zip(sizes_A, totals_A, strict=True)]
        return np.array([np.isin(path, tree).cumprod().sum() for tree in trees], dtype=np.int64)
    rank_LA = np.cumsum(pool.scores_C > own, axis=1)[:, sizes_A - 1]
    return ((rank_LA < totals_A - 1) & (path[:, None] < sizes_A)).sum(axis=0)
