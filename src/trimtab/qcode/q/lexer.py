"""Which tokens does a q text hold? Numbers, names, symbols, strings, operators, brackets, and where blanks matter."""

from __future__ import annotations

import re
from typing import NamedTuple

from trimtab.qcode.q.errors import QError


class Token(NamedTuple):
    """A token: its kind, its text, where it starts, and whether a blank stands before it."""

    kind: str
    text: str
    start: int
    spaced: bool


_NUMBER = re.compile(
    r"0x[0-9a-fA-F]*"
    r"|[0-9][0-9A-Za-z.:]*(?:(?<=[eE])[-+][0-9]+)?[a-zA-Z]?|\.[0-9][0-9A-Za-z.:]*(?:(?<=[eE])[-+][0-9]+)?[a-zA-Z]?"
)
_GUID = re.compile(r"[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}")
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*(?:\.[A-Za-z0-9][A-Za-z0-9_]*)*\.?|(?:\.[A-Za-z][A-Za-z0-9_]*)+")
_SYMBOL = re.compile(r"`(?::[A-Za-z0-9_.:/\\-]*|[A-Za-z0-9.][A-Za-z0-9_.:]*(?:/[A-Za-z0-9_.:/]*)?)?")
_PLAIN_SYMBOL = re.compile(r"`(?::[A-Za-z0-9_.:/]*|[A-Za-z0-9.][A-Za-z0-9_.:]*)?")
_STRING = re.compile(r'"(?:[^"\\]|\\.)*"', re.DOTALL)
_FILE_OP = re.compile(r"[0-6]:(?![0-9])")
_OPERATOR = re.compile(r"<>|<=|>=|::|/:|\\:|':|[-+*%&|^=<>$,#_~!?@.:/\\']")
_ADVERBS = ("'", "/", "\\", "':", "/:", "\\:")


def strip_comments(text: str) -> str:
    """A script's text without block comments: from a line ``/`` to a line ``\\``; a lone ``\\`` ends the script."""
    out: list[str] = []
    inside = False
    for line in text.split("\n"):
        bare = line.rstrip()
        if inside:
            inside = bare != "\\"
            out.append("")
        elif bare == "/":
            inside = True
            out.append("")
        elif bare == "\\":
            break
        else:
            out.append(line)
    return "\n".join(out)


def tokens(text: str) -> list[Token]:
    """The tokens of a text; 'parse errors are signalled with what could not be read."""
    out: list[Token] = []
    i, n = 0, len(text)
    spaced = True
    while i < n:
        c = text[i]
        if c in " \t\r\n\u00a0":
            spaced = True
            i += 1
            continue
        if c == "/" and (spaced or not out):
            end = text.find("\n", i)
            i = n if end < 0 else end
            continue
        token = _token(text, i, spaced, out)
        out.append(token)
        i += len(token.text)
        spaced = False
    return out


def _token(text: str, i: int, spaced: bool, before: list[Token]) -> Token:
    c = text[i]
    if c == '"':
        m = _STRING.match(text, i)
        if m is None:
            raise QError('"')
        return Token("string", m.group(), i, spaced)
    if c == "`":
        m = _PLAIN_SYMBOL.match(text, i)
        assert m is not None
        return Token("symbol", m.group(), i, spaced)
    if c in "()[]{};":
        return Token(c, c, i, spaced)
    number = _number(text, i, spaced, before)
    if number:
        return Token("number", number, i, spaced)
    m = _NAME.match(text, i)
    if m and (c != "." or len(m.group()) > 1):
        return Token("name", m.group(), i, spaced)
    m = _FILE_OP.match(text, i) or _OPERATOR.match(text, i)
    if m is None:
        raise QError(c if c.isprintable() else "parse")
    kind = "adverb" if m.group() in _ADVERBS else "op"
    return Token(kind, m.group(), i, spaced)


def _number(text: str, i: int, spaced: bool, before: list[Token]) -> str:
    """The text of a number that starts here, with its sign; empty where none does."""
    c = text[i]
    if c == "-":
        follows = text[i + 1 : i + 3]
        digit = follows[:1].isdigit() or (follows[:1] == "." and follows[1:2].isdigit())
        if not digit or not (spaced or _opens(before)):
            return ""
        body = _number(text, i + 1, False, [])
        return "-" + body if body and not body.endswith(":") else ""
    m = _GUID.match(text, i)
    if m:
        return m.group()
    if c.isdigit() or (c == "." and text[i + 1 : i + 2].isdigit() and not _indexes(before, spaced)):
        if _FILE_OP.match(text, i) and not _FILE_OP.match(text, i + 2):
            return ""
        m = _NUMBER.match(text, i)
        return m.group() if m else ""
    return ""


def _opens(before: list[Token]) -> bool:
    """Whether what precedes cannot be the left argument of an operator."""
    return not before or before[-1].kind in ("op", "adverb", "(", "[", "{", ";")


def _indexes(before: list[Token], spaced: bool) -> bool:
    return bool(before) and not spaced and before[-1].kind in (")", "]", "}")
