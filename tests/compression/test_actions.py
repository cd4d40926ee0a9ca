"""Actions by name: what is written is what is kept, and mistakes are told."""

from __future__ import annotations

import pytest

from trimtab.compression import menus
from trimtab.compression.actions import MENUS, layered, menu, parse, short
from trimtab.compression.engine.layers import Pyramid, Shares, Uniform
from trimtab.compression.engine.method import Pool
from trimtab.compression.engine.weights import Curve


def test_changes_are_read_from_the_name() -> None:
    action = parse("sigmoid(10,16)+keep(1,2)+pool(7)+shares(1,4,1,1)")
    assert action.method.weights == Curve(10.0, 16)
    assert (action.method.sinks, action.method.recent) == (1, 2)
    assert action.method.pool == Pool(7)
    assert action.method.layers == Shares((1.0, 4.0, 1.0, 1.0))
    assert parse("snapkv+pyramid(20)").method == parse("pyramidkv").method
    assert parse("pyramidkv + uniform").method == parse("snapkv").method
    assert parse("snapkv+pyramid").method.layers == Pyramid()
    assert parse("h2o").method.layers == Uniform()


@pytest.mark.parametrize("name", MENUS)
def test_all_menus_can_be_read_back(name: str) -> None:
    assert [parse(action.name) for action in menu(name)] == list(menu(name))


def test_the_layered_menu_is_read_back_with_its_layers() -> None:
    actions = layered(Shares((0.0429, 3.87, 0.0429, 0.0429)))
    assert [parse(action.name) for action in actions] == list(actions)
    assert len({action.method for action in actions}) == len(actions)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("snapky", "Did you mean 'snapkv'"),
        ("snapkv+pol(3)", r"no change of an action 'pol\(3\)'"),
        ("snapkv+pool(4)", "expected an odd number"),
        ("snapkv+pool(3.5)", "expected a whole number"),
        ("snapkv+pool(x)", "could not convert"),
        ("snapkv+keep(1)", r"expected keep\(sinks,recent\)"),
        ("snapkv+shares(1,0)", "above 0"),
        ("sigmoid(-1,2)", "expected 0 or more"),
    ],
)
def test_mistakes_are_told(name: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse(name)


def test_short_names_are_for_reading() -> None:
    assert short("sigmoid(10,16)+keep(1,2)+pool(7)+shares(1,4,1,1)") == "sigmoid(10,16)+pool(7)+layers"
    assert short("snapkv") == "snapkv"


def test_unknown_menus_list_the_known() -> None:
    with pytest.raises(ValueError, match=r"no menu 'sed'\. Did you mean 'seed'"):
        menus.check("sed")
    menus.check("layered")
