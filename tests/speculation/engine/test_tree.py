"""Cutting a tree from a pool, by hand and against the naive way."""

from __future__ import annotations

import numpy as np

from trimtab.speculation.engine.tree import Pool, cut, root_only

# k = 2, d = 2: root -> {10: -0.1, 11: -1.0}; level 1 expands (10, 11); level 2 expands its best two (20 and 21)
POOL = Pool(
    top_k=2,
    scores_C=np.array([-0.1, -1.0, -0.3, -0.6, -1.2, -3.0, -0.4, -2.0, -0.7, -2.5], dtype=np.float32),
    tokens_C=np.array([10, 11, 20, 21, 22, 23, 30, 31, 32, 33]),
    frontiers_dk=np.array([[0, 1], [2, 3]]),
)


def test_parents_by_hand() -> None:
    assert POOL.parents_C.tolist() == [-1, -1, 0, 0, 1, 1, 2, 2, 3, 3]


def test_a_tree_by_hand() -> None:
    tree = cut(POOL, 5, root=7)  # the best five: 10, 20, 30, 21, 32
    assert tree.tokens_N.tolist() == [7, 10, 20, 21, 30, 32]
    assert tree.parents_N.tolist() == [-1, 0, 1, 1, 2, 3]
    assert tree.depths_N.tolist() == [0, 1, 2, 2, 3, 3]
    assert tree.ancestors_NN[4].tolist() == [True, True, True, False, True, False]
    assert tree.ancestors_NN[5].tolist() == [True, True, False, True, False, True]


def test_ancestors_are_the_parents_closure() -> None:
    tree = cut(POOL, 9, root=7)
    for row in range(len(tree)):
        ancestors, node = {row}, row
        while node > 0:
            node = int(tree.parents_N[node])
            ancestors.add(node)
        assert set(np.flatnonzero(tree.ancestors_NN[row])) == ancestors
        assert tree.depths_N[row] == len(ancestors) - 1


def test_following_the_targets_choices() -> None:
    tree = cut(POOL, 5, root=7)
    choices = np.array([10, 21, 99, 32, 0, 50])
    assert tree.follow(choices) == [0, 1, 3, 5]
    assert tree.follow(np.array([11, 0, 0, 0, 0, 0])) == [0]


def test_a_certain_child_does_not_take_its_parents_place() -> None:
    chain = Pool(1, np.zeros(6, np.float32), np.arange(100, 106), np.arange(5)[:, None])
    tree = cut(chain, 3, root=7)
    assert tree.tokens_N.tolist() == [7, 100, 101, 102]
    assert tree.parents_N.tolist() == [-1, 0, 1, 2]


def test_plain_decoding_is_a_tree_of_one() -> None:
    tree = root_only(5)
    assert (len(tree), tree.follow(np.array([9]))) == (1, [0])
