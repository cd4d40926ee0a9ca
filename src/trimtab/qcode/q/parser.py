"""What is q's parse tree of a text? Right to left, verbs between nouns, juxtaposition as application.

A tree is a q value, as ``parse`` returns it: a general list whose first item is the function; names are symbols, symbol
constants are enlisted. ``eval`` and the compiler read the same trees.
"""

from __future__ import annotations

from typing import NamedTuple

from trimtab.qcode.q import literals
from trimtab.qcode.q.errors import QError
from trimtab.qcode.q.functions import Iterator, Lambda, Prim
from trimtab.qcode.q.lexer import Token, tokens
from trimtab.qcode.q.registry import INFIX, PRIMS
from trimtab.qcode.q.values import CHAR, ELIDED, NULL, Atom, Func, Q, Vec, syms

SEQUENCE = Atom(CHAR, ord(";"))
"""Head of a tree of statements."""
CONTROL = frozenset(("if", "do", "while"))
OPERATORS = frozenset("+-*%&|^~!,#_=<>?@.$") | {"<=", ">=", "<>"}
TEMPLATES = frozenset(("select", "exec", "update", "delete"))
UNARY = {
    "+:": "flip",
    "-:": "neg",
    "*:": "first",
    "%:": "reciprocal",
    "&:": "where",
    "|:": "reverse",
    "^:": "null",
    "~:": "not",
    "!:": "key",
    ",:": "enlist",
    "#:": "count",
    "_:": "floor",
    "=:": "group",
    "<:": "<::",
    ">:": ">::",
    "?:": "distinct",
    "@:": "type",
    ".:": "value",
    "$:": "string",
}
"""Keywords by the k text of their unary operator."""


class Term(NamedTuple):
    """A tree, and whether it may stand between two arguments."""

    tree: Q
    verb: bool


class _Names:
    """Names that a lambda uses and assigns."""

    def __init__(self) -> None:
        self.used: set[str] = set()
        self.globals: set[str] = set()
        self.assigned: list[str] = []


def tree(*parts: Q) -> Vec:
    """A general list as it stands."""
    return Vec(0, list(parts))


def quote(x: Q) -> Q:
    """The tree of a constant: symbols and general lists enlisted."""
    if type(x) is str:
        return syms([x])
    if type(x) is Vec and x.t in (0, 11) and len(x):
        return Vec(0, [x])
    return x


class Parser:
    """A reader of tokens. ``space`` is the namespace in which lambdas are made."""

    def __init__(self, text: str, space: str = ".") -> None:
        self.text = text
        self.space = space
        self.tokens = tokens(text)
        self.tokens.append(Token("end", "", len(text), True))
        self.i = 0
        self.scopes: list[_Names] = []
        self.stops: frozenset[str] = frozenset()
        self.partial = False
        """Whether the expression just read ends in a verb without its right argument."""

    def program(self) -> list[Q]:
        """The statements of a text; ``ELIDED`` for empty ones."""
        out = self.sequence("end")
        if self.tokens[self.i].kind != "end":
            raise QError(self.tokens[self.i].text)
        return out

    def sequence(self, close: str) -> list[Q]:
        """Expressions between semicolons, up to the closing token, which is taken (but for the end)."""
        stops, self.stops = self.stops, frozenset()
        out = [self.expression()]
        while self.tokens[self.i].kind == ";":
            self.i += 1
            out.append(self.expression())
        self.stops = stops
        self.partial = False
        self._close(close)
        return out

    def _close(self, close: str) -> None:
        token = self.tokens[self.i]
        if token.kind != close:
            raise QError(token.text if token.text in ")]}" and token.text else "parse")
        if close != "end":
            self.i += 1

    def ended(self) -> bool:
        """Whether the expression stops before the next token."""
        kind, text, _, _ = self.tokens[self.i]
        return kind in (";", ")", "]", "}", "end") or (text in self.stops and kind in ("name", "op"))

    def expression(self) -> Q:
        """The tree of an expression; ``ELIDED`` where there is none."""
        self.partial = False
        if self.ended():
            return ELIDED
        kind, text, _, _ = self.tokens[self.i]
        following = self.tokens[self.i + 1]
        if kind == "op" and text == ":" and following.kind not in ("[", ")", "]", ";", "adverb", "end"):
            self.i += 1
            return tree(PRIMS[":"], self.expression())
        if kind == "adverb" and text == "'" and following.kind not in ("[", ")", "]", ";", "adverb"):
            self.i += 1
            return tree(Iterator("'"), self.expression())
        return self._from(self.term(prefix=True))

    def _from(self, first: Term) -> Q:
        if self.ended():
            self.partial = first.verb
            return first.tree
        if first.verb:
            self._check_prefix(first.tree)
            return self._applied(tree(first.tree), self.expression())
        if self._assigns_composition():
            self.i += 1
            return self._assign(PRIMS[":"], first.tree)
        second = self.term(prefix=False)
        if second.tree is IDENTITY and self.ended():
            return tree(IDENTITY, first.tree)
        if not second.verb:
            return self._applied(tree(first.tree), self._from(second))
        after = self.tokens[self.i]
        if after.text == ":" and not after.spaced and type(second.tree) is Prim and not second.tree.name[0].isalpha():
            self.i += 1
            if second.tree.name + ":" not in PRIMS:
                raise QError("assign")
            return self._assign(PRIMS[second.tree.name + ":"], first.tree)
        if type(second.tree) is Prim and second.tree.name in (":", "::"):
            return self._assign(second.tree, first.tree)
        if self.ended():
            self.partial = True
            return tree(second.tree, first.tree)
        return self._applied(tree(second.tree, first.tree), self.expression())

    def _assigns_composition(self) -> bool:
        """Whether ``:'[`` follows: the composition ``'[f;g]`` assigned."""
        texts = [token.text for token in self.tokens[self.i : self.i + 3]]
        return texts[:2] == [":", "'"] and self.tokens[self.i + 2].kind == "["

    def _check_prefix(self, verb: Q) -> None:
        """An operator needs a left argument, but for the unary forms of k (``#:``)."""
        if type(verb) is Prim and verb.name in OPERATORS and self.tokens[self.i - 1].text == verb.name:
            raise QError(verb.name)

    def _applied(self, head: Vec, argument: Q) -> Q:
        """A function (with its left argument, if any) and its right argument; a composition where that is partial."""
        if not self.partial:
            return tree(*head.a, argument)
        return tree(PRIMS["compose"], head.a[0] if len(head.a) == 1 else head, argument)

    def _assign(self, verb: Prim, target: Q) -> Q:
        value = self.expression()
        self.partial = False
        if self.scopes and verb.name == "::":
            self.scopes[-1].globals.update(n for n in _targets(target) if n not in self.scopes[-1].assigned)
        if self.scopes and verb.name == ":":
            for name in _targets(target):
                if name in self.scopes[-1].globals:
                    raise QError(name)
                if name not in self.scopes[-1].assigned:
                    self.scopes[-1].assigned.append(name)
        if type(target) is not str and type(target) is not Vec:
            raise QError("assign" if isinstance(target, Func) else "parse")
        return tree(verb, target) if value is ELIDED else tree(verb, target, value)

    def term(self, prefix: bool) -> Term:
        """A noun or verb with its brackets and iterators."""
        term = self._primary(prefix)
        while True:
            token = self.tokens[self.i]
            if token.kind == "[" and token.text not in self.stops:
                self.i += 1
                args = self.sequence("]")
                if len(args) == 1 and args[0] is ELIDED:
                    args = [NULL]
                term = Term(tree(term.tree, *args), False)
            elif token.kind == "adverb" and not token.spaced:
                self.i += 1
                term = Term(tree(Iterator(token.text), term.tree), True)
            else:
                return term

    def _primary(self, prefix: bool) -> Term:
        token = self.tokens[self.i]
        kind = token.kind
        if kind == "name":
            return self._name(token)
        self.i += 1
        if kind == "number":
            return Term(self._numbers(token.text), False)
        if kind == "op":
            return Term(self._operator(token.text, prefix), True)
        if kind == "symbol":
            return Term(self._symbols(token.text), False)
        if kind == "string":
            return Term(literals.string(token.text), False)
        if kind == "(":
            return Term(self._list(), False)
        if kind == "{":
            return Term(self._lambda(token.start), False)
        if kind == "[":
            return Term(self._block(), False)
        if kind == "adverb":
            return Term(Iterator(token.text), True)
        raise QError(token.text or "parse")

    def _numbers(self, first: str) -> Q:
        texts = [first]
        while self.tokens[self.i].kind == "number" and self.tokens[self.i].spaced:
            texts.append(self.tokens[self.i].text)
            self.i += 1
        return literals.numeral(texts)

    def _symbols(self, first: str) -> Q:
        names = [first[1:]]
        while self.tokens[self.i].kind == "symbol" and not self.tokens[self.i].spaced:
            names.append(self.tokens[self.i].text[1:])
            self.i += 1
        return syms(names) if len(names) == 1 else Vec(0, [syms(names)])

    def _operator(self, text: str, prefix: bool) -> Q:
        after = self.tokens[self.i]
        if prefix and after.text == ":" and not after.spaced and text + ":" in UNARY:
            self.i += 1
            return PRIMS[UNARY[text + ":"]]
        if text == "::":
            return PRIMS["::"] if not prefix else NULL
        if text not in PRIMS:
            raise QError(text)
        return PRIMS[text]

    def _name(self, token: Token) -> Term:
        text = token.text
        following = self.tokens[self.i + 1]
        if text in TEMPLATES and following.text != ":":
            from trimtab.qcode.q.templates import template

            self.i += 1
            return Term(template(self, text), False)
        self.i += 1
        if text in CONTROL and following.kind == "[":
            return Term(text, False)
        if text in PRIMS and "." not in text:
            return Term(PRIMS[text], text in INFIX and following.kind != "[")
        if self.scopes:
            self.scopes[-1].used.add(text.split(".")[0] or text)
        return Term(text, False)

    def _list(self) -> Q:
        if self.tokens[self.i].kind == "[":
            from trimtab.qcode.q.templates import table_literal

            return table_literal(self)
        items = self.sequence(")")
        if len(items) == 1:
            return EMPTY_TREE if items[0] is ELIDED else items[0]
        return tree(PRIMS["enlist"], *items)

    def _block(self) -> Q:
        """``[a;b;c]`` where an expression may stand: its statements, for the value of the last."""
        statements = self.sequence("]")
        return statements[0] if len(statements) == 1 else tree(SEQUENCE, *statements)

    def _lambda(self, start: int) -> Q:
        names = _Names()
        self.scopes.append(names)
        params: list[str] | None = None
        if self.tokens[self.i].kind == "[":
            self.i += 1
            params = self._params()
        body = self.sequence("}")
        self.scopes.pop()
        end = self.tokens[self.i - 1]
        if params is None:
            implicit = [n for n in ("x", "y", "z") if n in names.used or n in names.assigned]
            params = ["x", "y", "z"][: "xyz".index(implicit[-1]) + 1] if implicit else []
        local = [n for n in names.assigned if n not in params]
        return Lambda(self.text[start : end.start + 1], params, local, body, self.space)

    def _params(self) -> list[str]:
        out: list[str] = []
        while self.tokens[self.i].kind != "]":
            token = self.tokens[self.i]
            if token.kind == "name":
                out.append(token.text)
            elif token.kind != ";":
                raise QError("parse")
            self.i += 1
        self.i += 1
        if len(out) > 8:
            raise QError("params")
        return out


EMPTY_TREE = Vec(0, [])
IDENTITY = PRIMS.setdefault("::", Prim("::", "::", 101, 1))


def _targets(target: Q) -> list[str]:
    """Names that an assignment to a target makes local."""
    if type(target) is str:
        return [target] if "." not in target else []
    if type(target) is Vec and target.t == 0 and target.a and target.a[0] is PRIMS["enlist"]:
        return [n for part in target.a[1:] for n in _targets(part)]
    return []


def parse_statements(text: str, space: str = ".") -> list[Q]:
    """The trees of a text's statements."""
    return Parser(text, space).program()


def parse_tree(text: str, space: str = ".") -> Q:
    """What ``parse`` returns: the tree of one statement, or a sequence."""
    statements = parse_statements(text, space)
    if len(statements) == 1:
        return NULL if statements[0] is ELIDED else statements[0]
    return tree(SEQUENCE, *[NULL if s is ELIDED else s for s in statements])
