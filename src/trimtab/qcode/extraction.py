"""Which part of an answer is the program? For direct, fenced and ``<reasoning>``/``<answer>`` answers.

Only whole tags in the reasoning format and whole fence lines count: a variable named ``answer``, a comparison such as
``x<answer`` or three backticks within a line are code. Of several fenced blocks the last that defines the wanted function
is the program; fences inside a block belong to it. What was cut off is told apart from what was never there.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from trimtab.qcode.prompts import Format

_FENCE = re.compile(r"^ {0,3}(?P<mark>`{3,}|~{3,})[ \t]*(?P<info>[\w+#.-]*)[ \t]*$")
OPEN_REASONING, CLOSE_REASONING, OPEN, CLOSE = "<reasoning>", "</reasoning>", "<answer>", "</answer>"
LABELS = {"q": ("q", "kdb", "kdb+", "k"), "python": ("python", "py", "python3")}


@dataclass(frozen=True)
class Extraction:
    """A program, and how the answer held to its format."""

    code: str
    well_formed: bool
    """The answer has the format's form, no more and no less."""
    truncated: bool = False
    """A tag or fence was opened and never closed."""


@dataclass(frozen=True)
class Block:
    """A fenced block: its label, its lines, and whether it was closed."""

    info: str
    code: str
    closed: bool


def blocks(text: str) -> tuple[list[Block], bool]:
    """The outermost fenced blocks, and whether there is other text beside them.

    As in CommonMark, a fence is closed by one of the same character, at least as long, without a label. A labelled fence
    within a block opens a nested one.
    """
    found: list[Block] = []
    lines: list[str] = []
    opened: list[tuple[str, str]] = []
    beside = False
    for line in text.split("\n"):
        fence = _FENCE.match(line)
        mark, info = (fence["mark"], fence["info"]) if fence else ("", "")
        if not opened:
            if fence:
                opened, lines = [(mark, info)], []
            else:
                beside = beside or bool(line.strip())
        elif fence and not info and _closes(mark, opened[-1][0]):
            label = opened.pop()[1]
            if opened:
                lines.append(line)
            else:
                found.append(Block(label.lower(), "\n".join(lines), True))
        else:
            if fence and info and _closes(mark, opened[0][0]):
                opened.append((mark, info))
            lines.append(line)
    if opened:
        found.append(Block(opened[0][1].lower(), "\n".join(lines), False))
    return found, beside


def _closes(mark: str, opening: str) -> bool:
    return mark[0] == opening[0] and len(mark) >= len(opening)


def _defines(code: str, entry_point: str) -> bool:
    name = re.escape(entry_point)
    return bool(re.search(rf"(?<![\w.]){name}\s*:|def\s+{name}\s*\(", code))


def best_block(found: Sequence[Block], language: str, entry_point: str) -> Block:
    """The last of the best: those of the language that define the function, those that define it, those of the language."""
    labels = LABELS.get(language, (language,))

    def rank(block: Block) -> tuple[bool, bool, bool]:
        defines = _defines(block.code, entry_point)
        return defines and block.info in labels, defines, block.info in labels

    return max(reversed(found), key=rank)


def _fenced(text: str, language: str, entry_point: str) -> Extraction:
    found, beside = blocks(text)
    if not found:
        return Extraction(text.strip(), False)
    block = best_block(found, language, entry_point)
    formed = len(found) == 1 and block.closed and not beside and bool(block.code.strip())
    return Extraction(block.code.strip(), formed, not block.closed)


def _direct(text: str, language: str, entry_point: str) -> Extraction:
    found, _ = blocks(text)
    if found and any(block.closed or _defines(block.code, entry_point) for block in found):
        taken = _fenced(text, language, entry_point)
        return Extraction(taken.code, False, taken.truncated)
    return Extraction(text.strip(), bool(text.strip()))


def _answer_part(text: str) -> tuple[str, bool, bool] | None:
    """(what stands between the answer's tags, whether they were closed, whether reasons came before); None without."""
    head, closing, tail = text.rpartition(CLOSE_REASONING)
    reasoned = bool(closing) and OPEN_REASONING in head
    if closing and OPEN in tail:
        inner = tail.partition(OPEN)[2]
    elif not closing and OPEN in text:
        starts = [m.end() for m in re.finditer(rf"(?m)^[ \t]*{OPEN}", text)]
        inner = text[starts[-1] :] if starts else text.partition(OPEN)[2]
    else:
        return None
    code, closed, _ = inner.rpartition(CLOSE)
    return (code, True, reasoned) if closed else (inner, False, reasoned)


_WHOLE = re.compile(r"\s*<reasoning>.*\S.*</reasoning>\s*<answer>.*</answer>\s*", re.DOTALL)


def _reasoning(text: str, language: str, entry_point: str) -> Extraction:
    part = _answer_part(text)
    if part is None:
        if OPEN_REASONING in text:  # reasons that never came to an answer are no program
            return Extraction("", False, True)
        taken = _direct(text, language, entry_point)
        return Extraction(taken.code, False, taken.truncated)
    code, closed, reasoned = part
    inner = _direct(code, language, entry_point)
    formed = closed and reasoned and inner.well_formed and bool(_WHOLE.fullmatch(text))
    return Extraction(inner.code, formed, not closed or inner.truncated)


def extract(text: str, form: Format, *, language: str = "q", entry_point: str = "solve") -> Extraction:
    """The program in an answer. Code is never cut at anything but whole tags and fence lines."""
    read = {"direct": _direct, "fenced": _fenced, "reasoning": _reasoning}[form]
    return read(text.replace("\r\n", "\n"), language, entry_point)
