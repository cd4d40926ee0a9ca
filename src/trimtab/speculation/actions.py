"""Which draft trees exist, and which of them may a policy choose among?

A tree of ``total_tokens`` nodes (the root, which is already known, included) is cut from a pool of candidates: ``top_k``
children of the root, and ``top_k ** 2`` more for each of ``depth`` expansions of the beam (EAGLE-2, arXiv:2406.16858).
A tree larger than its pool does not exist: ``total_tokens - 1 <= top_k + depth * top_k ** 2``.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, order=True)
class TreeShape:
    """A draft tree: nodes (root included), expansions of the beam, beam width. Its tokens reach ``depth + 1``; with no
    expansion there are the root's children alone.

    Raises ValueError where no such tree exists.
    """

    total_tokens: int
    depth: int
    top_k: int

    def __post_init__(self) -> None:
        if self.total_tokens < 2 or self.depth < 0 or self.top_k < 1:
            raise ValueError(
                f"{self} is no tree: expected total_tokens >= 2 (the root and one draft), depth >= 0 and top_k >= 1. "
                "To decode without drafting, pass shape=None."
            )
        if self.total_tokens - 1 > self.pool:
            raise ValueError(
                f"{self} does not exist: depth {self.depth} and top_k {self.top_k} propose only {self.pool} candidates, "
                f"so total_tokens may be at most {self.pool + 1}. Lower total_tokens, or raise depth or top_k."
            )

    @property
    def pool(self) -> int:
        """Candidates that drafting with this depth and beam proposes."""
        return self.top_k + self.depth * self.top_k**2

    @property
    def drafted(self) -> int:
        """Drafted tokens in the tree: all nodes but the root."""
        return self.total_tokens - 1

    def __str__(self) -> str:
        return f"({self.total_tokens}, {self.depth}, {self.top_k})"


EAGLE_DEFAULT = TreeShape(60, 7, 10)


def exists(total_tokens: int, depth: int, top_k: int) -> bool:
    """Whether a tree of these three numbers exists."""
    return total_tokens >= 2 and depth >= 0 and top_k >= 1 and total_tokens - 1 <= top_k + depth * top_k**2


def menu(total_tokens_bins: Sequence[int], depth_bins: Sequence[int], top_k_bins: Sequence[int]) -> list[TreeShape]:
    """All trees that exist over the given bins, sorted. Raises ValueError where there is none."""
    product = itertools.product(sorted(set(total_tokens_bins)), sorted(set(depth_bins)), sorted(set(top_k_bins)))
    shapes = [TreeShape(*bins) for bins in product if exists(*bins)]
    if not shapes:
        raise ValueError(
            f"no tree exists over total_tokens {list(total_tokens_bins)}, depth {list(depth_bins)}, "
            f"top_k {list(top_k_bins)}: each needs total_tokens - 1 <= top_k + depth * top_k^2"
        )
    return shapes


MENU_BINS: dict[str, tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]] = {
    # the reference's first menu, its final one, a short one, and ours with the small trees that a CPU or a weak head wants
    "seed": ((32, 48, 64, 80, 96), (2, 4, 6, 8, 10), (4, 8, 12, 16, 20)),
    "resps": ((32, 48, 64, 80, 96, 128), (3, 4, 5, 6, 7, 8), (8, 12, 16, 20, 32)),
    "small": ((4, 8, 12), (1, 2, 3), (1, 2, 4)),
    "default": ((4, 6, 8, 12, 16, 24, 32, 60), (1, 2, 3, 4, 5, 7), (1, 2, 4, 8)),
}


def menu_bins(name: str) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]:
    """The bins of a named menu. Raises ValueError listing the known names."""
    if name not in MENU_BINS:
        raise ValueError(f"no menu {name!r}; known menus: {', '.join(MENU_BINS)}. Or give bins of your own.")
    return MENU_BINS[name]


def named_menu(name: str) -> list[TreeShape]:
    """The trees of a named menu. Raises ValueError listing the known names."""
    return menu(*menu_bins(name))
