"""Does every command that a document shows exist, with its flags? And do those of the README run?"""

from __future__ import annotations

import ast
import contextlib
import functools
import importlib
import io
import re
import shlex
from dataclasses import dataclass
from pathlib import Path

import pytest

from trimtab import cli, completion

ROOT = Path(__file__).parents[1]
DOCUMENTS = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    *sorted(ROOT.glob("docs/**/*.md")),
    *sorted(ROOT.glob("src/trimtab/*/README.md")),
]
FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
INLINE = re.compile(r"`(trimtab\s[^`]+)`")
CALL = re.compile(r"(?:^|\s|\()(?:trimtab|-m trimtab)\s+(?P<rest>.*)$")


@dataclass(frozen=True)
class Shown:
    """A command as a document shows it; ``whole`` where it stands as a block, to be typed as it is."""

    where: str
    text: str
    whole: bool

    def __str__(self) -> str:
        return f"{self.where}: {self.text[:60]}"


def _blocks(text: str) -> list[str]:
    """The contents of fenced blocks (but for Python, JSON), and of indented ones."""
    fenced = [body for language, body in FENCE.findall(text) if language in ("", "bash", "sh", "console")]
    rest = FENCE.sub("", text)
    indented = [line[4:] for line in rest.splitlines() if line.startswith("    ")]
    return [*fenced, "\n".join(indented)]


def _commands(block: str) -> list[str]:
    """What follows ``trimtab`` in each command of a block: continued lines joined, comments left out."""
    found: list[str] = []
    for line in re.sub(r"\\\n\s*", " ", block).splitlines():
        for part in re.split(r";|&&|\|\||\|(?= )", re.sub(r"\s#\s.*$", "", line)):
            call = CALL.search(part.strip())
            if call and not part.strip().startswith(("from ", "import ", "pip ")):
                found.append(re.sub(r"\s*(&|>.*|\)+)$", "", call["rest"].strip()))
    return found


def _shown(document: Path) -> list[Shown]:
    text, name = document.read_text(encoding="utf-8"), str(document.relative_to(ROOT))
    whole = [Shown(name, command, True) for block in _blocks(text) for command in _commands(block)]
    inline = [Shown(name, " ".join(found.split())[8:], False) for found in INLINE.findall(FENCE.sub("", text))]
    return [*whole, *inline]


SHOWN = [shown for document in DOCUMENTS for shown in _shown(document)]


def _filled(arguments: list[str]) -> list[str]:
    """Without ``...``, and without the brackets around what may be left out."""
    return [word.strip("[]") for word in arguments if word != "..."]


def _mentioned(arguments: list[str]) -> None:
    """A command named in passing: its room and verb exist, and its flags, though not all that it needs is given."""
    known = set(re.findall(r"--[\w.-]+", _help_of(arguments[:2])))
    for word in arguments:
        if word.startswith("--") and word != "--help":
            assert word in known, f"{' '.join(arguments[:2])} has no {word}"


def _help_of(arguments: list[str]) -> str:
    shown = io.StringIO()
    with contextlib.redirect_stdout(shown), contextlib.suppress(SystemExit):
        if len(arguments) == 1 and arguments[0] in cli.ROOMS:
            cli.dispatch(arguments)
        else:
            cli.parse([word for word in arguments if not word.startswith("-")] + ["--help"])
    return shown.getvalue()


def test_the_documents_show_commands() -> None:
    """The reading itself works: were the pattern wrong, there would be nothing to check."""
    assert len(SHOWN) > 80
    assert {"README.md", "docs/scale.md", "docs/dialogue.md"} <= {shown.where for shown in SHOWN}
    assert _commands("accelerate launch --x 2 -m trimtab a b --c d  # why\ntrimtab e f \\\n    --g; trimtab h i &") == [
        "a b --c d",
        "e f  --g",
        "h i",
    ]


@pytest.mark.parametrize("shown", SHOWN, ids=str)
def test_a_command_shown_exists(shown: Shown) -> None:
    arguments = _filled(shlex.split(shown.text))
    if not arguments or arguments[0].startswith("<") or arguments[0] in ("--help", "--version", "ROOM"):
        return
    if "--help" in arguments or (arguments[0] in cli.ROOMS and len(arguments) == 1):
        assert _help_of(arguments)
    elif shown.whole:
        errors = io.StringIO()
        try:
            with contextlib.redirect_stderr(errors), contextlib.redirect_stdout(errors):
                cli.parse(arguments)
        except SystemExit:
            raise AssertionError(f"trimtab {shown.text}\n{errors.getvalue()}") from None
    else:
        _mentioned(arguments)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_python_in_a_document_can_be_read(document: Path) -> None:
    """And every name that it imports from trimtab exists."""
    for language, body in FENCE.findall(document.read_text(encoding="utf-8")):
        if language != "python":
            continue
        for node in ast.walk(ast.parse(body)):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("trimtab"):
                module = __import__(str(node.module), fromlist=[alias.name for alias in node.names])
                for alias in node.names:
                    assert hasattr(module, alias.name), f"{node.module} has no {alias.name}"


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_files_that_a_document_names_exist(document: Path) -> None:
    """Paths of the repository in backticks: benchmarks, docs, dev, examples, src."""
    text = document.read_text(encoding="utf-8")
    for named in re.findall(r"(?<![\w./-])((?:benchmarks|docs|dev|examples|src|tests)/[\w./-]+\.(?:py|md|yaml))", text):
        assert (ROOT / named).exists(), f"{document.relative_to(ROOT)} names {named}, which is not there"


def _cells(document: Path) -> list[str]:
    """The right-hand cells of a page's tables."""
    rows = [line for line in document.read_text(encoding="utf-8").splitlines() if line.startswith("|")]
    return [re.split(r"(?<!\\)\|", row)[2] for row in rows if not row.startswith("|---")]


@pytest.mark.parametrize("document", sorted(ROOT.glob("docs/migration/*.md")), ids=lambda path: path.stem)
def test_a_migration_table_names_verbs_and_flags_that_exist(document: Path) -> None:
    verbs = importlib.import_module(cli.ROOMS[document.stem][0]).VERBS
    seen = 0
    for cell in _cells(document):
        for named in re.findall(r"`([a-z][a-z-]*(?: --[\w.-]+)?)`", cell):
            verb, _, flag = named.partition(" ")
            if verb in verbs and flag:
                assert flag in _flags(document.stem, verb), f"{document.stem} {verb} has no {flag}"
                seen += 1
            elif flag:
                raise AssertionError(f"{document.stem} has no verb {verb}")
    assert seen > 10


@functools.cache
def _flags(room: str, verb: str) -> set[str]:
    return set(completion.flags_of([room, verb]))


@pytest.mark.parametrize("document", sorted(ROOT.glob("docs/troubleshooting/*.md")), ids=lambda path: path.stem)
def test_flags_of_a_troubleshooting_page_exist(document: Path) -> None:
    """Somewhere in the room; the alarms it names are those that runs ring."""
    verbs = importlib.import_module(cli.ROOMS[document.stem][0]).VERBS
    known = set[str]().union(*(_flags(document.stem, verb) for verb in verbs))
    text = document.read_text(encoding="utf-8")
    named = set(re.findall(r"`(?:\w+ )?(--[\w.-]+)", text))
    assert not named - known, named - known


def test_every_alarm_is_explained() -> None:
    from trimtab.dialogue.ppo.alarms import WATCHED, Alarms
    from trimtab.qcode.training.alarms import SIGNS

    rooms = {"dialogue": Alarms(kl_target=1.0).look(dict.fromkeys(WATCHED, 0.0)), "qcode": SIGNS}
    for room, alarms in rooms.items():
        text = (ROOT / f"docs/troubleshooting/{room}.md").read_text(encoding="utf-8")
        assert not [name for name in alarms if f"`{name}`" not in text]
