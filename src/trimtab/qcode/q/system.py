"""What do ``\\P``, ``\\c`` and the other system commands do, and what is ``.z``? Nothing leaves the interpreter."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from trimtab.qcode.q.errors import Exit, QError, Unsupported
from trimtab.qcode.q.patterns import data_of
from trimtab.qcode.q.registry import monad
from trimtab.qcode.q.state import State, current
from trimtab.qcode.q.values import (
    DATE,
    DATETIME,
    EMPTY,
    INT,
    NJ,
    NULL,
    TIME,
    TIMESPAN,
    TIMESTAMP,
    Atom,
    Dict,
    Q,
    Vec,
    is_func,
    longs,
    syms,
    vec,
)
from trimtab.qcode.q.variables import SPECIAL, View, members, names_in

_DAY = 86_400_000_000_000
_EPOCH = 10957 * _DAY


@monad("system")
def system(x: Q) -> Q:
    """A system command as a string."""
    return command(data_of(x).decode("utf-8", "surrogateescape"))


def command(text: str) -> Q:
    """Carry out a system command (without the backslash): its value, ``::`` where it has none."""
    name, _, rest = text.strip().partition(" ")
    rest = rest.strip()
    if name not in ("t", "ts") and ":" not in name:
        rest = "" if rest.startswith("/") else rest.split(" /")[0].strip()
    if name.startswith(("t:", "ts:")):
        return _timed(name.partition(":")[0], rest, name.partition(":")[2])
    handler = _COMMANDS.get(name)
    if handler is None:
        raise Unsupported(f"system command \\{name}")
    return handler(rest)


def _whole(text: str) -> int:
    try:
        return int(text.rstrip("ij"))
    except ValueError:
        raise QError("type") from None


def _int(v: int) -> Q:
    return Atom(INT, v)


def _precision(rest: str) -> Q:
    state = current()
    if not rest:
        return _int(state.precision)
    state.precision = max(0, min(_whole(rest), 17))
    return NULL


def _size(rest: str) -> Q:
    state = current()
    if not rest:
        return longs([state.rows, state.cols])
    parts = [_whole(p) for p in rest.split()]
    if len(parts) != 2:
        raise QError("length")
    state.rows, state.cols = (max(10, min(p, 2000)) for p in parts)
    return NULL


def _seed(rest: str) -> Q:
    import numpy as np

    state = current()
    if not rest:
        return _int(state.seed)
    state.seed = _whole(rest)
    state.random = np.random.default_rng(abs(state.seed))
    return NULL


def _setting(name: str, default: int) -> Callable[[str], Q]:
    """A number that is kept and shown, and changes nothing else."""

    def handle(rest: str) -> Q:
        settings: dict[str, int] = current().__dict__.setdefault("settings", {})
        if not rest:
            return settings.get(name, default) if name == "z" else _int(settings.get(name, default))
        settings[name] = _whole(rest)
        if name == "z":
            setattr(current(), "date_order", settings[name])  # noqa: B010
        return NULL

    return handle


def _space(rest: str) -> Q:
    state = current()
    if not rest:
        return state.space
    if not rest.startswith(".") or rest.count(".") > 1:
        raise QError(rest)
    state.space = rest
    return NULL


def _names(keep: Callable[[Any], bool]) -> Callable[[str], Q]:
    def handle(rest: str) -> Q:
        state = current()
        space = rest or state.space
        if space != "." and not members(state, space):
            if rest:
                raise QError(rest)
            return syms([])
        prefix = "" if space == "." else space + "."
        found = [n for n in names_in(state, space).a if n and prefix + n in state.names]
        return syms(sorted(n for n in found if keep(state.names[prefix + n])))

    return handle


def _load(rest: str) -> Q:
    """An example script; files are out of reach."""
    from trimtab.qcode.q.examples import SCRIPTS
    from trimtab.qcode.q.operators import run_text

    if rest not in SCRIPTS:
        raise Unsupported(f"loading of files (\\l {rest})")
    run_text(SCRIPTS[rest].strip())
    return NULL


def _leave(rest: str) -> Q:
    raise Exit(0)


def _expunge(rest: str) -> Q:
    """Forget a handler of ``.z``."""
    if not rest.startswith(".z."):
        raise QError("type")
    current().names.pop(rest, None)
    return NULL


def _is_table(x: Any) -> bool:
    from trimtab.qcode.q.namespaces import is_table

    return is_table(x)


def _timed(kind: str, rest: str, times: str = "1") -> Q:
    from trimtab.qcode.q.compiler import evaluate
    from trimtab.qcode.q.parser import parse_tree

    state = current()
    if not rest:
        return _int(0)
    start = time.perf_counter()
    tree = parse_tree(rest, state.space)
    for _ in range(max(1, _whole(times))):
        evaluate(tree, state)
        if time.perf_counter() - start > 1:
            break
    elapsed = int((time.perf_counter() - start) * 1000)
    return elapsed if kind == "t" else longs([elapsed, 0])


_COMMANDS: dict[str, Callable[[str], Q]] = {
    "P": _precision,
    "c": _size,
    "S": _seed,
    "d": _space,
    "a": _names(_is_table),
    "v": _names(lambda x: not is_func(x) and type(x) is not View),
    "f": _names(is_func),
    "b": _names(lambda x: type(x) is View),
    "B": _names(lambda x: type(x) is View and x.pending()),
    "\\": _leave,
    "l": _load,
    "x": _expunge,
    "t": lambda rest: _timed("t", rest),
    "ts": lambda rest: _timed("ts", rest),
    "o": lambda rest: NULL if rest else NJ,
    "w": lambda rest: longs([371_376, 67_108_864, 67_108_864, 0, 0, 8_589_934_592]),
    "_": lambda rest: False,
    "C": lambda rest: NULL if rest else vec(INT, [36, 2000]),
    **{name: _setting(name, default) for name, default in (("z", 0), ("W", 2), ("s", 0), ("e", 0), ("g", 0), ("p", 0))},
    **{name: _setting(name, default) for name, default in (("T", 0), ("r", 0), ("u", 0))},
}


def _now(local: bool) -> int:
    """Nanoseconds since 2000.01.01."""
    now = time.time_ns()
    if local:
        now += time.localtime(now // 1_000_000_000).tm_gmtoff * 1_000_000_000
    return now - _EPOCH


def _clocks(local: bool) -> dict[str, Callable[[State], Q]]:
    return {
        "p": lambda _: Atom(TIMESTAMP, _now(local)),
        "n": lambda _: Atom(TIMESPAN, _now(local) % _DAY),
        "d": lambda _: Atom(DATE, _now(local) // _DAY),
        "t": lambda _: Atom(TIME, _now(local) % _DAY // 1_000_000),
        "z": lambda _: Atom(DATETIME, _now(local) // 1_000_000 / 86_400_000),
    }


def _undefined(name: str) -> Callable[[State], Q]:
    def look(_: State) -> Q:
        raise QError(name)

    return look


def _dependencies(state: State) -> Q:
    """Which views look at each variable."""
    found: dict[str, list[str]] = {}
    for name, value in state.names.items():
        if type(value) is View:
            for other in value.depends():
                found.setdefault(other, []).append(name)
    return Dict(syms(list(found)), Vec(0, [syms(v) for v in found.values()]))


def _enter() -> None:
    for letter, look in _clocks(False).items():
        SPECIAL[".z." + letter] = look
    for letter, look in _clocks(True).items():
        SPECIAL[".z." + letter.upper()] = look
    constants: dict[str, Q] = {
        "K": 4.1,
        "k": Atom(DATE, 8809),
        "i": _int(1),
        "h": "localhost",
        "o": "l64",
        "u": "user",
        "a": _int(2_130_706_433),
        "f": "",
        "x": EMPTY,
        "X": EMPTY,
        "c": _int(1),
        "w": _int(0),
        "q": False,
        "l": EMPTY,
        "H": vec(INT, []),
        "W": Dict(vec(INT, []), EMPTY),
    }
    for letter, value in constants.items():
        SPECIAL[".z." + letter] = lambda _, value=value: value
    SPECIAL[".z.b"] = _dependencies
    for name in [
        "pi",
        "ph",
        "pg",
        "ps",
        "pc",
        "po",
        "pp",
        "pw",
        "ts",
        "exit",
        "ac",
        "bm",
        "vs",
        "zd",
        "ws",
        "wo",
        "wc",
        "pd",
        "pq",
        "pm",
    ]:
        SPECIAL[".z." + name] = _undefined(".z." + name)


_enter()
