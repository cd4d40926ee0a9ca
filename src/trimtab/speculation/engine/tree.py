"""What is a draft tree? Its tokens, and who descends from whom, cut from a pool of candidates.

The pool (EAGLE-2, arXiv:2406.16858): ``k`` children of the root, then ``k * k`` children of each level's beam. The tree is
the best ``total_tokens - 1`` of the pool by cumulative log-probability, in the pool's own order, which is breadth first.
All of it is arithmetic on a few hundred integers, done on the host in numpy.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Pool:
    """Candidates of one drafting: ``scores_C`` (cumulative log-probabilities) and ``tokens_C``, C = k + d * k * k.

    ``frontiers_dk``: the pool indices of the beam that was expanded at each level.
    """

    top_k: int
    scores_C: NDArray[np.float32]
    tokens_C: Ints
    frontiers_dk: Ints

    @cached_property
    def order_C(self) -> Ints:
        """Pool indices from the likeliest candidate to the least; of equal ones the earlier first (see ``best``)."""
        return np.argsort(-self.scores_C, kind="stable")

    @property
    def depth(self) -> int:
        """Levels that were expanded."""
        return len(self.frontiers_dk)

    def beam_scores(self) -> NDArray[np.float32]:
        """Cumulative log-probabilities [k] of the beam that a further level would expand, best first."""
        last = self.scores_C[-(self.top_k**2) :] if self.depth else self.scores_C
        return -np.sort(-last)[: self.top_k]

    @cached_property
    def parents_C(self) -> Ints:
        """Pool index of every candidate's parent; -1 for the root's children."""
        below = np.repeat(self.frontiers_dk.ravel(), self.top_k)
        return np.concatenate((np.full(self.top_k, -1, dtype=np.int64), below))


@dataclass(frozen=True)
class Tree:
    """A draft tree, breadth first, root first. N counts the root; ``parents_N[0]`` is -1."""

    tokens_N: Ints
    parents_N: Ints
    depths_N: Ints
    ancestors_NN: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.tokens_N)

    def children(self, row: int) -> list[int]:
        """Rows of the children of ``row``, in tree order."""
        return [int(child) for child in np.flatnonzero(self.parents_N == row)]

    def follow(self, next_N: Ints) -> list[int]:
        """Rows of the path from the root along which each child's token is its parent's entry in ``next_N``."""
        known = {key: row for row, key in enumerate(zip(self.parents_N.tolist(), self.tokens_N.tolist(), strict=True))}
        wanted = next_N.tolist()
        path, row = [0], known.get((0, wanted[0]))
        while row is not None:
            path.append(row)
            row = known.get((row, wanted[row]))
        return path


def root_only(token: int) -> Tree:
    """The tree of plain decoding: the root and nothing drafted."""
    one = np.ones(1, dtype=np.int64)
    return Tree(one * token, -one, one * 0, np.ones((1, 1), dtype=np.bool_))


def best(scores_C: NDArray[np.float32], count: int) -> Ints:
    """Indices of the ``count`` highest scores, ascending; of equal ones the earlier.

    A parent stands before its child in the pool, so that a child of probability 1 never takes its parent's place.
    """
    return np.sort(np.argsort(-scores_C, kind="stable")[:count])


def cut(pool: Pool, drafted: int, root: int) -> Tree:
    """The tree of the pool's ``drafted`` best candidates below the token ``root``.

    A child never scores above its parent, so the best candidates are closed under parents.
    """
    selected_N = np.sort(pool.order_C[:drafted])
    parents = pool.parents_C[selected_N]
    rows = np.concatenate(([-1], np.searchsorted(selected_N, parents) + 1))
    rows[1:][parents < 0] = 0
    nodes = len(rows)
    depths = np.zeros(nodes, dtype=np.int64)
    ancestors = np.eye(nodes, dtype=np.bool_)
    ancestors[:, 0] = True
    level = rows == 0
    depth = 1
    while level.any():
        members = np.flatnonzero(level)
        depths[members] = depth
        ancestors[members] |= ancestors[rows[members]]
        reached = np.zeros(nodes + 1, dtype=np.bool_)
        reached[members] = True
        level = reached[rows]  # row -1 reads the last entry, which is never reached
        depth += 1
    tokens = np.concatenate(([root], pool.tokens_C[selected_N]))
    return Tree(tokens, rows, depths, ancestors)
