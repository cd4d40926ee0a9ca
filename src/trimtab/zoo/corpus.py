"""Which conversations is the embedded chat model trained on, and which are held out?

Four sources, each turned into chat messages (``Conversation``): Schema-Guided Dialogues and Taskmaster coffee orders
(talk), GSM8K training questions (arithmetic), and the functions of Python's own standard library, completed from
signature and docstring (code). Every reader yields in the file's order; the held-out part is chosen by a hash of the
conversation's own key, so that it does not depend on the order, the seed, or how many rows were read.
"""

from __future__ import annotations

import ast
import gzip
import hashlib
import json
import random
import re
import sysconfig
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

HELD_OUT_SHARE = 0.03
SOURCES = ("dialogue", "coffee", "arithmetic", "code")
CODE_REQUESTS = (
    "Complete the code I provided.",
    "Complete the following Python function.",
    "Write the body of this function.",
    "Please implement this function.",
)
SCRIPT_REQUESTS = (
    "Continue this conversation to its end.",
    "Write the rest of this dialogue.",
    "How does this conversation go on?",
)
_CALCULATOR = re.compile(r"<<.*?>>")
_SKIPPED_PACKAGES = {"test", "tests", "idle_test", "site-packages", "__pycache__", "ensurepip"}
_MAX_CODE_CHARACTERS = 2_000


@dataclass(frozen=True)
class Conversation:
    """Alternating messages that begin with the user's. ``key`` names its origin and decides its split."""

    key: str
    source: str
    messages: tuple[tuple[str, str], ...]

    @property
    def held_out(self) -> bool:
        digest = hashlib.sha256(self.key.encode()).digest()
        return int.from_bytes(digest[:4], "big") / 2**32 < HELD_OUT_SHARE


def _rows(path: Path) -> Iterator[dict[str, object]]:
    with gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else path.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            try:
                yield json.loads(line)
            except json.JSONDecodeError as error:
                raise ValueError(f"{path}, line {number}: not JSON ({error.msg}); mend or remove that line") from error


def _alternating(turns: list[list[str]]) -> list[tuple[str, str]]:
    """Turns as (role, text), beginning with the user, neighbours of one speaker joined, ending with the assistant."""
    merged: list[tuple[str, str]] = []
    for role, text in turns:
        text = text.strip()
        if not text or (not merged and role != "user"):
            continue
        if merged and merged[-1][0] == role:
            merged[-1] = (role, f"{merged[-1][1]} {text}")
        else:
            merged.append((role, text))
    return merged[:-1] if merged and merged[-1][0] == "user" else merged


def as_script(messages: list[tuple[str, str]], request: str) -> tuple[tuple[str, str], ...]:
    """A dialogue as one request (its opening) and one long reply (the rest, written out with speakers' names)."""
    names = {"user": "User", "assistant": "Assistant"}
    lines = [f"{names[role]}: {text}" for role, text in messages]
    return (("user", f"{request}\n\n{lines[0]}"), ("assistant", "\n".join(lines[1:])))


def dialogues(path: Path, source: str) -> Iterator[Conversation]:
    """Rows ``{id, turns: [[speaker, text], ...]}``: about half as chats, half as scripts (chosen by the row's id)."""
    for row in _rows(path):
        messages = _alternating(row["turns"])  # type: ignore[arg-type]
        if len(messages) < 2:
            continue
        key = f"{source}/{row['id']}"
        draw = random.Random(key)
        if len(messages) >= 4 and draw.random() < 0.5:
            yield Conversation(key, source, as_script(messages, draw.choice(SCRIPT_REQUESTS)))
        else:
            yield Conversation(key, source, tuple(messages))


def arithmetic(path: Path) -> Iterator[Conversation]:
    """GSM8K rows ``{question, answer}``, calculator annotations removed, the final line spelt out."""
    for number, row in enumerate(_rows(path)):
        steps, _, result = _CALCULATOR.sub("", str(row["answer"])).partition("####")
        reply = f"{steps.strip()}\nThe answer is {result.strip()}."
        yield Conversation(
            f"arithmetic/{number}", "arithmetic", (("user", str(row["question"]).strip()), ("assistant", reply))
        )


def standard_library(root: Path | None = None) -> Iterator[Conversation]:
    """Functions of the standard library found under ``root`` (default: the running Python's), signature to body."""
    root = root or Path(sysconfig.get_paths()["stdlib"])
    for path in sorted(root.rglob("*.py")):
        relative = path.relative_to(root)
        if _SKIPPED_PACKAGES & set(relative.parts):
            continue
        try:
            text = path.read_text(encoding="utf-8")
            tree = ast.parse(text)
        except (UnicodeDecodeError, SyntaxError):
            continue  # lib2to3 carries files that are deliberately not Python 3
        yield from _functions(text, tree, relative.as_posix())


def _functions(text: str, tree: ast.Module, name: str) -> Iterator[Conversation]:
    lines = text.splitlines()
    for node in ast.walk(tree):
        if not isinstance(node, ast.FunctionDef) or (len(node.body) < 2 and ast.get_docstring(node)):
            continue
        documented = ast.get_docstring(node) is not None
        first = node.body[1] if documented else node.body[0]
        start, stop = node.lineno - 1, first.lineno - 1
        if stop <= start or first.end_lineno is None or node.end_lineno is None:
            continue  # written on one line
        decorated = isinstance(first, ast.FunctionDef | ast.ClassDef) and first.decorator_list
        stop = first.decorator_list[0].lineno - 1 if decorated else stop  # type: ignore[union-attr]
        block = textwrap.dedent("\n".join(lines[start : node.end_lineno])).splitlines()
        head, body = "\n".join(block[: stop - start]), "\n".join(block[stop - start :])
        if not body.strip() or len(head) + len(body) > _MAX_CODE_CHARACTERS or (not documented and len(body) < 80):
            continue
        key = f"code/{name}:{node.lineno}"
        request = random.Random(key).choice(CODE_REQUESTS)
        yield Conversation(key, "code", (("user", f"{request}\n\n{head.rstrip()}"), ("assistant", body.rstrip())))


def read(data: Path, *, stdlib: Path | None = None) -> list[Conversation]:
    """All conversations of a data folder laid out as ``sgd/train.jsonl.gz``, ``taskmaster/tm4_coffee.jsonl.gz``,
    ``gsm8k/train.jsonl``; and the standard library's functions.

    Raises FileNotFoundError naming every missing file.
    """
    sgd, coffee = data / "sgd" / "train.jsonl.gz", data / "taskmaster" / "tm4_coffee.jsonl.gz"
    gsm8k = data / "gsm8k" / "train.jsonl"
    missing = [str(path) for path in (sgd, coffee, gsm8k) if not path.is_file()]
    if missing:
        raise FileNotFoundError(
            f"training data missing: {', '.join(missing)}. Download Schema-Guided Dialogues, Taskmaster-4 and GSM8K "
            "from their publishers and lay them out as docs/zoo.md describes, or name the folder with --data."
        )
    return [
        *dialogues(sgd, "dialogue"),
        *dialogues(coffee, "coffee"),
        *arithmetic(gsm8k),
        *standard_library(stdlib),
    ]
