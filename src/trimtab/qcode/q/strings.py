"""How are values made into text, and texts into others? ``string``, ``lower``, ``upper``, ``trim``, ``md5``, ``hsym``."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import numpy as np

from trimtab.qcode.q import formats
from trimtab.qcode.q.casts import over
from trimtab.qcode.q.errors import QError
from trimtab.qcode.q.lists import as_list, mask_of
from trimtab.qcode.q.patterns import data_of
from trimtab.qcode.q.registry import monad
from trimtab.qcode.q.values import (
    ATOMS,
    BYTE,
    CHAR,
    ENUM,
    SYM,
    Atom,
    Dict,
    Q,
    Table,
    Vec,
    chars,
    is_func,
    is_string,
    qtype,
    raw,
    syms,
    vec,
)


@monad("string", shown="$:")
def string(x: Q) -> Q:
    """The text of every atom, at any depth; of functions, their source."""
    if is_func(x):
        return chars(formats.function(x))
    if type(x) in ATOMS:
        return chars(_text(x))
    if type(x) is Vec and x.t != 0:
        if x.t == ENUM:
            return string(formats.enum_symbol(x))
        if x.t == CHAR:
            return Vec(0, [vec(CHAR, [v]) for v in x.a.tolist()])
        t = x.t
        return Vec(0, [chars(formats.bare(t, v)) for v in x.a.tolist()])
    if type(x) is Vec:
        return Vec(0, [string(v) for v in x.a])
    return over(string, x)


def _text(x: Q) -> str:
    if -qtype(x) == ENUM:
        x = formats.enum_symbol(x)
    return formats.bare(-qtype(x), raw(x))


def _by_letter(f: Callable[[bytes], bytes], g: Callable[[str], str]) -> Callable[[Q], Q]:
    def apply_to(x: Q) -> Q:
        if type(x) is str:
            return g(x)
        if is_string(x):
            return vec(CHAR, f(x.a.tobytes()))
        if type(x) is Atom and x.t == CHAR:
            return Atom(CHAR, f(bytes((x.v,)))[0])
        if abs(qtype(x)) == ENUM:
            return apply_to(formats.enum_symbol(x))
        if type(x) is Vec and x.t == SYM:
            return syms([g(v) for v in x.a])
        return over(apply_to, x)

    return apply_to


monad("lower")(_by_letter(bytes.lower, str.lower))
monad("upper")(_by_letter(bytes.upper, str.upper))


def _trimmed(left: bool, right: bool) -> Callable[[Q], Q]:
    def trim(x: Q) -> Q:
        if type(x) in ATOMS:
            return x
        if type(x) is Vec and x.t != 0:
            keep = np.flatnonzero(~mask_of(x).astype(bool))
            if not len(keep):
                return Vec(x.t, x.a[:0], "", x.dom)
            start = int(keep[0]) if left else 0
            end = int(keep[-1]) + 1 if right else len(x.a)
            return Vec(x.t, x.a[start:end], "", x.dom)
        if type(x) is Dict and type(x.v) is Vec and x.v.t:
            return x
        if type(x) is Table:
            return Table(x.names, [as_list(trim(c)) if c.t == 0 else c for c in x.cols])
        return over(trim, x)

    return trim


monad("trim")(_trimmed(True, True))
monad("ltrim")(_trimmed(True, False))
monad("rtrim")(_trimmed(False, True))


@monad("md5")
def md5(x: Q) -> Q:
    """The MD5 digest of a string, as 16 bytes."""
    return vec(BYTE, hashlib.md5(data_of(x), usedforsecurity=False).digest())


@monad("hsym")
def hsym(x: Q) -> Q:
    """Symbols as file handles: a colon before each that has none."""
    if type(x) is str:
        return x if x.startswith(":") else ":" + x
    if type(x) is Vec and x.t == SYM:
        return syms([v if v.startswith(":") else ":" + v for v in x.a])
    if type(x) in (Dict, Table) or (type(x) is Vec and x.t == 0):
        return over(hsym, x)
    raise QError("type")
