"""What does ``value`` give of a lambda? Its parameters, local variables, globals, constants and source, as q lays them out.

The bytecode, and the positions in the source that belong to it, are empty: this interpreter has none.
"""

from __future__ import annotations

from collections.abc import Iterator

from trimtab.qcode.q.functions import Lambda
from trimtab.qcode.q.values import BYTE, ELIDED, LONG, NULL, SYM, Func, Q, Vec, chars, syms, vec


def structure(f: Lambda) -> Q:
    """Bytecode; parameters; locals; namespace and globals; each constant; positions, name, file, line; source."""
    known = {*f.params, *f.names}
    leaves = [leaf for statement in f.body for leaf in _leaves(statement)]
    named = dict.fromkeys([leaf for leaf in leaves if type(leaf) is str and leaf and leaf not in known])
    constants = [_constant(leaf) for leaf in leaves if type(leaf) is not str and not _is_code(leaf)]
    space = f.space.lstrip(".")
    place: list[Q] = [vec(LONG, []), chars(f"{f.space}."), chars(""), -1]
    names = syms([space, *named])
    return Vec(0, [vec(BYTE, []), syms(f.params), syms(f.names), names, *constants, *place, chars(f.source)])


def _leaves(tree: Q) -> Iterator[Q]:
    """The leaves of a parse tree, from left to right."""
    if type(tree) is Vec and tree.t == 0:
        for part in tree.a:
            yield from _leaves(part)
    else:
        yield tree


def _is_code(leaf: Q) -> bool:
    return leaf is ELIDED or leaf is NULL or (isinstance(leaf, Func) and not isinstance(leaf, Lambda))


def _constant(leaf: Q) -> Q:
    """A symbol stands enlisted in a parse tree."""
    return leaf.a[0] if type(leaf) is Vec and leaf.t == SYM and len(leaf.a) == 1 else leaf
