"""Where does a statement of a script end? Lines that begin with a blank go on; comments are left out."""

from __future__ import annotations

from trimtab.qcode.q.errors import QError
from trimtab.qcode.q.lexer import strip_comments, tokens


def statements(text: str) -> list[str]:
    """The statements of a script, in order; comment lines and empty ones are left out."""
    out: list[str] = []
    for line in strip_comments(text.replace("\r\n", "\n")).split("\n"):
        bare = line.rstrip()
        if not bare:
            continue
        if out and (line[0] in " \t" or bare[0] == "}"):
            if bare.lstrip()[0] != "/":
                out[-1] += "\n" + bare
        elif bare[0] != "/":
            out.append(bare)
    return out


def unfinished(text: str) -> bool:
    """Whether a text leaves a bracket, a brace or a string open: a console then reads on."""
    try:
        kinds = [token.kind for token in tokens(text)]
    except QError as error:
        return error.text == '"'
    opened = sum(kind in ("(", "[", "{") for kind in kinds)
    return opened > sum(kind in (")", "]", "}") for kind in kinds)
