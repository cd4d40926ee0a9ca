"""Which ways of compressing are there to choose among? The reference's grid of curves, and the published methods.

All are points of one family (``trimtab.compression.engine.method.Method``), so that a bandit may pick among methods:

| action | weights | beside |
|---|---|---|
| sigmoid(a,b) | A2SF's sigmoid over the queries | |
| h2o | all queries alike (arXiv:2306.14048) | half of the budget is the newest tokens |
| tova | the last query (arXiv:2401.06104) | all heads of a layer keep the same; no sinks |
| snapkv | a window of queries (arXiv:2404.14469) | scores max-pooled over 7 tokens |
| pyramidkv | as snapkv (arXiv:2406.02069) | budgets fall from layer to layer |
| streaming | none: the newest tokens (arXiv:2309.17453) | sinks |
| geometric(alpha) | alpha^distance (arXiv:2407.20485) | |

A name may end in what always stays, how scores are smoothed, and how the budget is split over the layers:
``sigmoid(10,16)+keep(1,2)`` (the first token and the last two), ``sigmoid(10,16)+pool(7)``, ``snapkv+pyramid(20)``,
``sigmoid(10,64)+pool(7)+shares(1,4,1,1)``, ``pyramidkv+uniform``.
"""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Callable
from dataclasses import dataclass, replace

from trimtab.compression.engine.layers import Allocation, Pyramid, Shares, Uniform
from trimtab.compression.engine.method import Method, Pool
from trimtab.compression.engine.weights import Curve, Geometric, Newest

SEED_A = (0.0, 0.001, 0.01, 0.1, 10.0)
SEED_B = (1, 2, 4, 8, 16, 32, 64, 128, 512, 1024, 4096, 8192)
WINDOW = 16


@dataclass(frozen=True)
class Action:
    """A named method. Actions compare by name and method, and print as their name."""

    name: str
    method: Method

    def __str__(self) -> str:
        return self.name


def curve(a: float, b: float) -> Action:
    """Sigmoid forgetting with steepness ``a`` and window ``b``."""
    return Action(str(Curve(a, b)), Method(Curve(a, b)))


def geometric(alpha: float) -> Action:
    """A2SF's geometric forgetting."""
    return Action(str(Geometric(alpha)), Method(Geometric(alpha)))


def smoothed(action: Action, kernel: int) -> Action:
    """The action with its scores max-pooled over ``kernel`` tokens."""
    return Action(f"{action.name}+pool({kernel})", replace(action.method, pool=Pool(kernel)))


def guarded(action: Action, sinks: int, recent: int) -> Action:
    """The action with the first ``sinks`` and the last ``recent`` tokens protected."""
    return Action(f"{action.name}+keep({sinks},{recent})", replace(action.method, sinks=sinks, recent=recent))


def split_by(action: Action, layers: Allocation) -> Action:
    """The action with its budget split over the layers by ``layers``."""
    return Action(f"{action.name}+{layers or 'uniform'}", replace(action.method, layers=layers))


METHODS: dict[str, Method] = {
    "h2o": Method(Curve(0.0, 1), recent=0.5),
    "tova": Method(Curve(math.inf, 1), sinks=0, recent=1, share_heads=True),
    "snapkv": Method(Curve(math.inf, WINDOW), pool=Pool(7)),
    "pyramidkv": Method(Curve(math.inf, WINDOW), pool=Pool(7), layers=Pyramid()),
    "streaming": Method(Newest()),
}


def _seed() -> list[Action]:
    """The 60 points of A2SF's grid at commit 8d751d8; the 12 with a = 0 keep the same tokens."""
    return [curve(a, b) for a in SEED_A for b in SEED_B]


def _waits() -> list[Action]:
    """The 13 points of its successor's menu."""
    return [curve(0.0, 1), *(curve(a, b) for a in (0.01, 0.1, 10.0) for b in (1, 16, 32, 128))]


def _u5b() -> list[Action]:
    """Its menu of five: accumulated attention, gentle forgetting, long forgetting, last query, window."""
    return [curve(a, b) for a, b in ((0.0, 1), (0.01, 128), (1.0, 16), (10.0, 1), (10.0, 16))]


def _methods() -> list[Action]:
    return [*(Action(name, method) for name, method in METHODS.items()), geometric(0.2)]


def _default() -> list[Action]:
    """Curves of every reach without repetitions, and the published methods."""
    curves = [curve(0.0, 1), *(curve(10.0, b) for b in (1, 2, 4, 8, 16, 32, 64, 128))]
    gentle = [curve(a, b) for a in (0.01, 0.1) for b in (1, 16, 64)]
    return [*curves, *gentle, *_methods()]


LAYERED_B = (2, 4, 8, 16, 32, 64, 128)
"""Windows of the layered menu, beside accumulated attention."""
LAYERED_POOLS = (3, 7, 15, 31)
"""How far neighbours of what was looked at are kept."""
LAYERED_KEEP = (1, 2)
"""First and last tokens that always stay: in layers with little budget they are most of it."""


def layered(shares: Shares) -> tuple[Action, ...]:
    """Curves of every reach, smoothed over few tokens or many, with the budget split by ``shares`` (``layer_budgets``
    learns them); and the published methods, split as published and by ``shares``."""
    curves = [guarded(action, *LAYERED_KEEP) for action in (curve(0.0, 1), *(curve(10.0, b) for b in LAYERED_B))]
    split = [split_by(smoothed(action, kernel), shares) for kernel in LAYERED_POOLS for action in curves]
    return (*split, split_by(Action("snapkv", METHODS["snapkv"]), shares), *_methods())


MENUS: dict[str, Callable[[], list[Action]]] = {
    "default": _default,
    "seed": _seed,
    "waits": _waits,
    "u5b": _u5b,
    "methods": _methods,
}


def short(name: str) -> str:
    """An action's name for a plot or a table: learned shares are ``layers``, what always stays is left out."""
    return re.sub(r"\+shares\([^()]*\)", "+layers", re.sub(r"\+keep\([^()]*\)", "", name))


def _unknown(kind: str, name: str, known: list[str]) -> ValueError:
    close = difflib.get_close_matches(name, known, 1)
    hint = f"Did you mean {close[0]!r}? " if close else ""
    return ValueError(f"no {kind} {name!r}. {hint}Expected one of: {', '.join(known)}")


def menu(name: str = "default", *, sinks: int | None = None, recent: int | float | None = None) -> tuple[Action, ...]:
    """The actions of a menu. ``sinks`` and ``recent``: protected tokens of the curves, instead of ``Method``'s defaults
    (published methods keep their own where they have them). Raises ValueError naming the menus."""
    if name not in MENUS:
        raise _unknown("menu", name, list(MENUS))
    return tuple(protecting(action, sinks=sinks, recent=recent) for action in MENUS[name]())


def protecting(action: Action, *, sinks: int | None = None, recent: int | float | None = None) -> Action:
    """The action with other protected tokens, except where its method has its own."""
    method, default = action.method, Method(Newest())
    if sinks is not None and method.sinks == default.sinks:
        method = replace(method, sinks=sinks)
    if recent is not None and method.recent == default.recent:
        method = replace(method, recent=recent)
    return Action(action.name, method)


def parse(name: str) -> Action:
    """The action called ``name``: a method, ``sigmoid(a,b)`` or ``geometric(alpha)``, and after it ``+keep(sinks,recent)``,
    ``+pool(kernel)``, ``+pyramid(slope)``, ``+shares(...)`` or ``+uniform``. Raises ValueError."""
    first, *changes = name.replace(" ", "").split("+")
    action = _plain(first)
    for change in changes:
        action = _changed(action, change)
    return action


def _plain(name: str) -> Action:
    if name in METHODS:
        return Action(name, METHODS[name])
    found = re.fullmatch(r"(sigmoid|geometric)\(([^,()]+)(?:,([^,()]+))?\)", name)
    try:
        if found and found[1] == "sigmoid" and found[3]:
            return curve(float(found[2]), float(found[3]))
        if found and found[1] == "geometric" and not found[3]:
            return geometric(float(found[2]))
    except ValueError as error:
        raise ValueError(f"action {name!r}: {error}") from error
    raise _unknown("action", name, [*METHODS, "sigmoid(a,b)", "geometric(alpha)"])


def _changed(action: Action, change: str) -> Action:
    found = re.fullmatch(r"(keep|pool|pyramid|shares|uniform)(?:\(([^()]*)\))?", change)
    made = CHANGES.get(found[1]) if found else None
    if found is None or made is None:
        raise _unknown("change of an action", change, [f"{name}(...)" for name in CHANGES])
    try:
        return made(action, [float(number) for number in found[2].split(",")] if found[2] else [])
    except (ValueError, TypeError, IndexError) as error:
        raise ValueError(f"action {action.name}+{change}: {error}") from error


def _whole(number: float) -> int:
    if number != int(number):
        raise ValueError(f"{number}: expected a whole number of tokens")
    return int(number)


def _kept(action: Action, numbers: list[float]) -> Action:
    if len(numbers) != 2:
        raise ValueError(f"{len(numbers)} numbers: expected keep(sinks,recent)")
    return guarded(action, _whole(numbers[0]), _whole(numbers[1]))


CHANGES: dict[str, Callable[[Action, list[float]], Action]] = {
    "keep": _kept,
    "pool": lambda action, numbers: smoothed(action, _whole(numbers[0])),
    "pyramid": lambda action, numbers: split_by(action, Pyramid(*numbers)),
    "shares": lambda action, numbers: split_by(action, Shares(tuple(numbers))),
    "uniform": lambda action, numbers: split_by(action, Uniform()),
}
