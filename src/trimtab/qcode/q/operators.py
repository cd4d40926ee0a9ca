"""The operators with many meanings: ``! ? @ .``, and ``value``, ``eval``, ``parse``, ``key``, ``show``, ``set``."""

from __future__ import annotations

from typing import Any

import numpy as np

from trimtab.qcode.q import amend, apply, display, finding, formats, variables
from trimtab.qcode.q.compiler import evaluate
from trimtab.qcode.q.errors import Exit, LimitError, QError, Unsupported
from trimtab.qcode.q.functions import Composition, Derived, Iterator, Lambda, Prim, Projection
from trimtab.qcode.q.joins import is_keyed, unkeyed
from trimtab.qcode.q.listops import WHOLE, rekey, sized, whole
from trimtab.qcode.q.lists import as_list, collect, items, pick
from trimtab.qcode.q.parser import parse_tree
from trimtab.qcode.q.registry import PRIMS, dyad, function, monad
from trimtab.qcode.q.scripts import statements
from trimtab.qcode.q.state import current
from trimtab.qcode.q.values import (
    ATOMS,
    BOOL,
    CHAR,
    DTYPES,
    EMPTY,
    ENUM,
    FLOAT,
    GUID,
    INT,
    LONG,
    NULL,
    REAL,
    SYM,
    Atom,
    Dict,
    Func,
    Q,
    Table,
    Vec,
    chars,
    count,
    is_string,
    longs,
    objects,
    qtype,
    raw,
    syms,
    text_of,
)


@dyad("!", infix=False)
def bang(x: Q, y: Q) -> Q:
    """``keys!values``, ``n!table``, ``domain!positions``, and the internal functions of negative numbers."""
    if type(x) is Table or (type(x) is Vec and type(y) in (Vec, Table)) or (type(x) is Dict and type(y) is Dict):
        if count(x) != count(y) or type(y) in ATOMS:
            raise QError("length")
        return Dict(x, y)
    if type(x) is str:
        if type(y) is Vec and y.t in (INT, LONG):
            return Vec(ENUM, y.a.astype(np.int64), "", x)
        raise QError("type")
    if type(x) in ATOMS and -qtype(x) in WHOLE:
        n = whole(x)
        if n < 0:
            return _internal(n, y)
        return _key_by(n, y)
    if type(x) is Vec and type(y) in ATOMS:
        raise QError("length")
    if type(x) is Vec and type(y) is Dict:
        raise QError("length")
    raise QError("type")


def _key_by(n: int, y: Q) -> Q:
    if type(y) is str:
        state = current()
        state.names[variables.full_name(y, state.space)] = _key_by(n, variables.lookup(state, y))
        return y
    if type(y) is not Table and not is_keyed(y):
        raise QError("type")
    table = unkeyed(y)
    if n == 0:
        return table
    if n >= len(table.names) + 1:
        raise QError("length")
    return rekey(table, table.names[:n])


def _internal(n: int, y: Q) -> Q:
    from trimtab.qcode.q.internals import INTERNAL

    handler = INTERNAL.get(n)
    if handler is None:
        raise Unsupported(f"internal function {n}!")
    return handler(y)


@function("0N!", 1)
def printed(x: Q) -> Q:
    """Print the one-line form; the value itself."""
    current().write(formats.one_line(x) + "\n")
    return x


@dyad("?", infix=False)
def query(x: Q, y: Q) -> Q:
    """``list?item`` finds; ``n?list`` and ``n?number`` draw; ``name?symbols`` extends a domain."""
    if type(x) is str:
        from trimtab.qcode.q import enums

        if x.startswith(":"):
            return _files().extended(x, y)
        return enums.extend(x, y)
    if type(x) in ATOMS and -qtype(x) in WHOLE:
        return draw(whole(x), y)
    if type(x) is Dict:
        where = finding.find(x.v, y)
        from trimtab.qcode.q.indexing import index1

        return index1(x.k, where)
    if type(x) not in (Vec, Table):
        raise QError("type")
    return finding.find(x, y)


_LETTERS = np.frombuffer(b"abcdefghijklmnop", dtype=np.uint8)


def draw(n: int, y: Q) -> Q:  # noqa: C901 one case after another
    """``n`` random items; without repetition where negative, all shuffled where null."""
    random = current().random
    if n == -(2**63):
        if type(y) not in ATOMS and type(y) not in (Vec, Table, Dict):
            raise QError("type")
        size = whole(y) if type(y) in ATOMS else len(y)
        order = random.permutation(sized(size))
        return longs(order) if type(y) in ATOMS else pick(y, order)
    sized(n)
    if type(y) is Vec or type(y) is Table:
        if n < 0 and -n > len(y):
            raise QError("length")
        if not len(y):
            return y
        return pick(y, random.permutation(len(y))[:-n] if n < 0 else random.integers(0, len(y), n))
    if type(y) is Dict:
        return draw(n, y.v)
    t, v = -qtype(y), raw(y)
    if t == SYM:
        size = int(y) if y.isdigit() else len(y)
        if not 0 < size <= 8:
            raise QError("length")
        return syms(["".join([chr(c) for c in _LETTERS[random.integers(0, 16, size)]]) for _ in range(abs(n))])
    if t == GUID:
        return Vec(GUID, objects([int.from_bytes(random.bytes(16), "big") for _ in range(abs(n))]))
    if t in (FLOAT, REAL):
        return Vec(t, (random.random(abs(n)) * v).astype(DTYPES[t]))
    if t == BOOL:
        return Vec(BOOL, random.integers(0, 2, abs(n)).astype(bool))
    if t == CHAR:
        return Vec(CHAR, random.integers(97, 123, abs(n)).astype(np.uint8))
    if t not in DTYPES or t in (ENUM,):
        raise QError("type")
    top = int(v)
    if top <= 0:
        low, high = (-(2**62), 2**62) if t == LONG else (-(2**30), 2**30)
        return Vec(t, random.integers(low, high, abs(n)).astype(DTYPES[t]))
    if n < 0:
        if -n > top:
            raise QError("length")
        picked = random.permutation(top)[:-n] if top <= 1 << 22 else random.choice(top, -n, replace=False)
        return Vec(t, picked.astype(DTYPES[t]))
    return Vec(t, random.integers(0, top, n).astype(DTYPES[t]))


@monad("rand")
def rand(x: Q) -> Q:
    """One random item."""
    from trimtab.qcode.q.listops import first

    return first(draw(1, x))


@dyad("@", infix=False)
def at_(x: Q, y: Q) -> Q:
    """Apply or index at the top level."""
    return apply.call(x, [y])


@function("@", 3)
def at_three(x: Q, y: Q, z: Q) -> Q:
    """Amend by a function of one argument, or apply with a trap."""
    if isinstance(x, Func):
        return trapped(x, [y], z)
    if y is NULL and type(x) is Vec:
        y = longs(np.arange(len(x)))
    return _amended(x, [y], amend.step_one(z), NULL)


@function("@", 4)
def at_four(x: Q, i: Q, f: Q, y: Q) -> Q:
    """Amend by a function of two arguments."""
    return _amended(x, [i], amend.step(f), y)


@dyad(".", infix=False)
def dot(x: Q, y: Q) -> Q:
    """Apply to a list of arguments, or index at depth."""
    args = items(y) if type(y) is Vec else None
    if args is None:
        raise QError("type")
    if not args and type(x) in (Vec, Dict, Table):
        return x
    if type(x) is str and not x.startswith("."):
        x = variables.lookup(current(), x)
    return apply.call(x, args if args else [NULL])


@function(".", 3)
def dot_three(x: Q, y: Q, z: Q) -> Q:
    """Amend at depth by a function of one argument, or apply with a trap."""
    if isinstance(x, Func):
        return trapped(x, items(as_list(y)), z)
    return _amended(x, items(as_list(y)), amend.step_one(z), NULL)


@function(".", 4)
def dot_four(x: Q, i: Q, f: Q, y: Q) -> Q:
    """Amend at depth by a function of two arguments."""
    return _amended(x, items(as_list(i)), amend.step(f), y)


def _files() -> Any:
    from trimtab.qcode.q import files

    return files


def _amended(x: Q, path: list[Q], fn: Any, y: Q) -> Q:
    if type(x) is str and x.startswith(":"):
        return _amended_file(x, path, fn, y)
    if type(x) is str:
        state = current()
        key = variables.full_name(x, state.space)
        value = variables.lookup(state, x)
        variables.set_global(state, key, amend.amended(value, path, fn, y))
        return x
    if type(x) in ATOMS and path:
        raise QError("type")
    return amend.amended(x, path, fn, y)


def _amended_file(x: str, path: list[Q], fn: Any, y: Q) -> Q:
    files = _files()
    there = type(files.key(x)) is str or len(files.key(x)) > 0
    value = files.read(x) if there else EMPTY
    return files.write(x, amend.amended(value, path, fn, y) if there or path else y)


def trapped(f: Q, args: list[Q], handler: Q) -> Q:
    """The value of ``f`` of arguments; where it signals, the handler of the text, or the handler itself."""
    state = current()
    depth, space = state.depth, state.space
    try:
        return apply.call(f, args)
    except LimitError:
        raise
    except QError as error:
        text = error.text
    except RecursionError:
        text = "stack"
    state.depth, state.space = depth, space
    if isinstance(handler, Func) or (type(handler) in (Dict, Vec) and not is_string(handler)):
        return apply.call(handler, [chars(text)])
    return handler


def run_text(text: str) -> Q:
    """The value of a text, as ``value`` gives it."""
    state = current()
    out: Q = NULL
    for statement in statements(text) if "\n" in text else [text]:
        if statement.startswith("\\"):
            out = PRIMS["system"].fns[1](chars(statement[1:]))
        else:
            state.statement = statement
            out = evaluate(parse_tree(statement, state.space), state)
    return out


@monad("value", ".:")
def value(x: Q) -> Q:
    """What a text, a name, a list of function and arguments, a dictionary or an enumeration stands for."""
    if is_string(x) or (type(x) is Atom and x.t == CHAR):
        return run_text(text_of(x))
    if type(x) is str:
        if x.startswith(":"):
            return _files().read(x)
        return variables.lookup(current(), x) if x not in ("", ".") else variables.namespace(current(), ".") or NULL
    if type(x) is Dict:
        return x.v
    if abs(qtype(x)) == ENUM:
        return formats.enum_symbol(x)
    if isinstance(x, variables.ViewRef):
        return x.parts()
    if isinstance(x, Func):
        return _structure(x)
    if type(x) is Vec and len(x):
        head, *rest = items(x)
        if is_string(head) or (type(head) is Atom and head.t == CHAR):
            head = run_text(text_of(head))
        elif type(head) is str:
            head = variables.lookup(current(), head)
        return apply.call(head, rest or [NULL])
    raise QError("type")


monad("get")(value)


def _structure(x: Q) -> Q:
    if isinstance(x, Lambda):
        from trimtab.qcode.q.lambdas import structure

        return structure(x)
    if isinstance(x, Projection):
        return Vec(0, [x.f, *x.args])
    if isinstance(x, Composition):
        return Vec(0, list(x.fs))
    if isinstance(x, Derived):
        return x.f
    if x is NULL:
        return 0
    if isinstance(x, Prim):
        from trimtab.qcode.q import keywords

        return keywords.structure(x)
    if isinstance(x, Iterator):
        return ("'", "/", "\\", "':", "/:", "\\:").index(x.iterator)
    return x


@monad("eval")
def eval_(x: Q) -> Q:
    """The value of a parse tree."""
    return evaluate(x, current())


monad("reval")(eval_)


@monad("parse")
def parse(x: Q) -> Q:
    """The parse tree of a text."""
    return untyped(parse_tree(text_of(x), current().space))


def untyped(tree: Q) -> Q:
    """A parse tree as plain lists."""
    if isinstance(tree, Vec) and tree.t == 0:
        return Vec(0, [untyped(v) for v in tree.a])
    if type(tree) is Dict:
        return Dict(tree.k, untyped(tree.v))
    return tree


@monad("key", "!:")
def key(x: Q) -> Q:
    """Keys of a dictionary or table, names in a namespace, the domain or type of a list, ``til`` of a number."""
    if type(x) is Dict:
        return x.k
    if type(x) is str:
        return _key_of_name(x)
    if abs(qtype(x)) == ENUM:
        return x.dom
    if type(x) is Vec:
        return "" if x.t == 0 else formats.type_name(x.t)
    if type(x) is Table:
        raise QError("type")
    if type(x) in ATOMS and -qtype(x) in (INT, LONG) and whole(x) >= 0:
        return PRIMS["til"].fns[1](x)
    if type(x) in ATOMS:
        return formats.type_name(-qtype(x))
    raise QError("type")


def _key_of_name(x: str) -> Q:
    state = current()
    if x.startswith(":"):
        return _files().key(x)
    if x == "":
        made = [n.split(".")[1] for n in state.names if n.startswith(".") and n.count(".") > 1]
        return syms(list(dict.fromkeys(["q", "Q", "h", "j", "o", *made])))
    if x == ".q":
        return variables.SPECIAL[x](state).k
    full = variables.full_name(x, state.space)
    if full in state.names:
        found = variables.lookup(state, x)
        return found.k if type(found) is Dict else x if x.startswith("..") else full
    members = variables.namespace(state, full)
    return members.k if members is not None else EMPTY


@monad("show")
def show(x: Q) -> Q:
    """Print a value as the console does."""
    current().write(display.show(x) if x is not NULL else "::\n")
    return NULL


@dyad("set")
def set_(x: Q, y: Q) -> Q:
    """Assign a variable by its name."""
    if type(x) is not str:
        raise QError("type")
    if x.startswith(":"):
        return _files().write(x, y, "writing of files (set)")
    state = current()
    variables.set_global(state, variables.full_name(x, state.space), y)
    return x


@monad("attr")
def attr(x: Q) -> Q:
    """The attribute of a list, table or dictionary."""
    if type(x) is Dict and type(x.k) is not Table:
        return x.attr or getattr(x.k, "attr", "")
    return getattr(x, "attr", "")


@function("?", 3)
def vector_cond(x: Q, y: Q, z: Q) -> Q:
    """Items of y where x is true, of z elsewhere; or simple exec of a table."""
    if type(x) is Table or is_keyed(x) or (type(x) is str):
        return _simple_exec(x, y, z)
    if type(x) in ATOMS:
        return y if raw(x) else z
    if type(x) is not Vec or x.t != BOOL:
        raise QError("type")
    n = len(x)
    for v in (y, z):
        if type(v) in (Vec, Table) and len(v) != n:
            raise QError("length")
    if type(y) is Vec and type(z) is Vec and y.t == z.t and y.t and y.dom == z.dom:
        return Vec(y.t, np.where(x.a, y.a, z.a), "", y.dom)
    ys = items(y) if type(y) in (Vec, Table) else [y] * n
    zs = items(z) if type(z) in (Vec, Table) else [z] * n
    return collect([a if c else b for c, a, b in zip(x.a.tolist(), ys, zs, strict=True)])


def _simple_exec(x: Q, i: Q, phrase: Q) -> Q:
    from trimtab.qcode.q import qsql

    return qsql.simple_exec(x, i, phrase)


def _refused(name: str, feature: str, rank: int = 1, infix: bool = False) -> None:
    def f(*args: Q) -> Q:
        raise Unsupported(feature)

    (dyad(name) if infix else function(name, rank))(f)


for _name, _feature in {
    "hopen": "connections (hopen)",
    "hclose": "connections (hclose)",
    "getenv": "the environment (getenv)",
}.items():
    _refused(_name, _feature)


@monad("exit")
def leave(x: Q) -> Q:
    """Leave the process with a status."""
    if type(x) not in ATOMS or -qtype(x) not in WHOLE:
        raise QError("type")
    raise Exit(whole(x) & 255)


_refused("setenv", "setenv", 2, True)
for _name in ("2:",):
    _refused(_name, f"files ({_name})", 2)
