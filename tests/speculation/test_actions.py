"""Which trees exist?"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trimtab.speculation.actions import MENU_BINS, TreeShape, exists, menu, named_menu


def test_the_bound_is_the_beams_pool() -> None:
    assert TreeShape(11, 2, 2).pool == 10
    assert not exists(12, 2, 2)
    with pytest.raises(ValueError, match="at most 11"):
        TreeShape(12, 2, 2)


@given(st.integers(-1, 200), st.integers(-1, 12), st.integers(-1, 20))
def test_a_shape_is_made_exactly_where_it_exists(total: int, depth: int, top_k: int) -> None:
    if exists(total, depth, top_k):
        assert TreeShape(total, depth, top_k).drafted <= top_k + depth * top_k**2
    else:
        with pytest.raises(ValueError, match=r"exist|no tree"):
            TreeShape(total, depth, top_k)


def test_menus_hold_what_exists() -> None:
    assert len(named_menu("resps")) == 180  # the reference excludes three of these by a wrong rule
    assert len(named_menu("seed")) == sum(
        exists(t, d, k) for t in (32, 48, 64, 80, 96) for d in (2, 4, 6, 8, 10) for k in (4, 8, 12, 16, 20)
    )
    smallest = named_menu("default")[0]
    assert smallest.total_tokens == 4
    assert all(set(MENU_BINS[name][0]) == {s.total_tokens for s in named_menu(name)} for name in MENU_BINS)


def test_unknown_menus_and_empty_ones_are_refused() -> None:
    with pytest.raises(ValueError, match="known menus: seed, resps, small, default"):
        named_menu("sed")
    with pytest.raises(ValueError, match="no tree exists"):
        menu([100], [1], [2])
