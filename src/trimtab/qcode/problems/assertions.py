"""How do Python assertions about a q function become calls with q values?

``assert candidate(1, [2]) == 3`` and its kin (a bare call, ``not`` a call, ``is``, ``abs(candidate(x) - y) < 1e-6``)
do; what computes, loops or raises does not, and is reported.
"""

from __future__ import annotations

import ast
import math
from typing import Any

from trimtab.qcode.engine.protocol import CallTest
from trimtab.qcode.problems import qtext
from trimtab.qcode.problems.format import Place


class Refused(Exception):
    """An assertion has no form as a call with values."""


def to_q(value: Any) -> str:
    """A Python value as a q expression, its type guessed: a list of one kind of atom is a vector. Raises Refused."""
    if value is None:
        return "(::)"
    for kind, letter in ((bool, "b"), (int, "j"), (float, "f")):
        if isinstance(value, kind):
            return qtext.write(value, letter)
    if isinstance(value, str):
        return qtext.write(value, "C")
    if isinstance(value, dict):
        return f"({to_q(list(value))})!{to_q(list(value.values()))}"
    if isinstance(value, (list, tuple)):
        return _list(list(value))
    raise Refused(f"a {type(value).__name__} has no q value")


def _list(items: list[Any]) -> str:
    kinds = {type(item) for item in items}
    letter = {frozenset({bool}): "B", frozenset({int}): "J", frozenset({float}): "F", frozenset({int, float}): "F"}.get(
        frozenset(kinds)
    )
    if letter:
        return qtext.write(items, letter)
    texts = [to_q(item) for item in items]
    return f"enlist {texts[0]}" if len(texts) == 1 else f"({';'.join(texts)})"


_ARITHMETIC: dict[type[ast.operator], Any] = {
    ast.Add: lambda a, b: a + b,
    ast.Sub: lambda a, b: a - b,
    ast.Mult: lambda a, b: a * b,
    ast.Div: lambda a, b: a / b,
    ast.Pow: lambda a, b: a**b if abs(b) < 100 and abs(a) < 10**6 else math.inf,
}


def constant(node: ast.expr) -> Any:
    """The value of a literal, with plain arithmetic of literals. Raises Refused."""
    if isinstance(node, ast.BinOp) and type(node.op) in _ARITHMETIC:
        left, right = constant(node.left), constant(node.right)
        try:
            return _ARITHMETIC[type(node.op)](left, right)
        except (TypeError, ArithmeticError):
            raise Refused(f"{ast.unparse(node)} has no value") from None
    try:
        return ast.literal_eval(node)
    except (ValueError, TypeError):
        raise Refused(f"{ast.unparse(node)[:60]} is no literal") from None


def _call(node: ast.expr, function: str) -> tuple[str, ...] | None:
    """The arguments of a call of ``function``, None for anything else."""
    if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == function):
        return None
    if node.keywords or any(isinstance(argument, ast.Starred) for argument in node.args):
        raise Refused(f"{ast.unparse(node)[:60]} has keywords or a star")
    return tuple(to_q(constant(argument)) for argument in node.args)


def _near(test: ast.Compare, function: str) -> CallTest | None:
    """Of ``abs(candidate(x) - y) < tolerance``."""
    left = test.left
    if not (
        isinstance(left, ast.Call) and isinstance(left.func, ast.Name) and left.func.id in ("abs", "fabs") and left.args
    ):
        return None
    inner = left.args[0]
    if isinstance(test.ops[0], (ast.Lt, ast.LtE)) and isinstance(inner, ast.BinOp) and isinstance(inner.op, ast.Sub):
        arguments = _call(inner.left, function)
        if arguments is not None:
            return CallTest(arguments, to_q(constant(inner.right)))
    return None


def _one(test: ast.expr, function: str) -> CallTest:
    if (arguments := _call(test, function)) is not None:
        return CallTest(arguments, "1b")
    if (
        isinstance(test, ast.UnaryOp)
        and isinstance(test.op, ast.Not)
        and (arguments := _call(test.operand, function)) is not None
    ):
        return CallTest(arguments, "0b")
    if isinstance(test, ast.Compare) and len(test.ops) == 1:
        if isinstance(test.ops[0], (ast.Eq, ast.Is)):
            for call, value in ((test.left, test.comparators[0]), (test.comparators[0], test.left)):
                if (arguments := _call(call, function)) is not None:
                    return CallTest(arguments, to_q(constant(value)))
        elif (near := _near(test, function)) is not None:
            return near
    raise Refused(f"{ast.unparse(test)[:60]} is no comparison of a call with a literal")


def to_calls(code: str, place: Place) -> tuple[list[CallTest], list[str]]:
    """The tests of a ``check(candidate)``, and what was refused and why. ValueError where the code is no Python."""
    try:
        tree = ast.parse(code)
    except SyntaxError as error:
        place.at("test").fail(code, f"Python assertions ({error.msg}, line {error.lineno})")
    checks = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) and node.name == "check"]
    body = checks[0].body if checks else tree.body
    function = checks[0].args.args[0].arg if checks and checks[0].args.args else "candidate"
    calls: list[CallTest] = []
    refused: list[str] = []
    for statement in body:
        if isinstance(statement, ast.Assert):
            test = statement.test
            if isinstance(test, ast.Constant) and test.value is True:
                continue  # HumanEval's `assert True`
            try:
                calls.append(_one(test, function))
            except Refused as why:
                refused.append(str(why))
        elif not isinstance(statement, (ast.Expr, ast.Pass)):
            refused.append(f"a {type(statement).__name__} statement is no assertion")
    return calls, refused
