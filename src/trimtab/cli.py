"""``trimtab <room> <verb> [recipe] [--field value]``: which command was meant, and how does it fail in one clear line?

A room is a module named in ``ROOMS``, imported only when it is asked for. It defines

- ``VERBS: dict[str, type]``: a frozen dataclass per verb. Its fields become flags (their docstrings the help), fields
  annotated ``tyro.conf.Positional[...]`` become positional arguments, and ``run(self) -> int | None`` does the work;
- optionally ``RECIPES: dict[str, dict[str, object]]``: for a verb, named instances of its class (``tiny``, ``paper``),
  from which the flags then depart.

Such a module imports no torch at its top level, so that help is immediate. ``trimtab demo | runs | report | completion``
stand above the rooms (``trimtab.commands``).
"""

from __future__ import annotations

import difflib
import importlib
import os
import sys
import traceback
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NoReturn

ROOMS: dict[str, tuple[str, str]] = {
    "speculation": ("trimtab.speculation.recipe", "faster decoding: draft trees chosen by a learned policy"),
    "compression": ("trimtab.compression.recipe", "a smaller KV cache: what is kept is chosen per prompt"),
    "dialogue": (
        "trimtab.dialogue.recipe",
        "an empathetic recommender: rewards that can be trusted, and training on them",
    ),
    "qcode": ("trimtab.qcode.recipe", "q programs: trained by running them, on an embedded interpreter"),
    "zoo": ("trimtab.zoo.recipe", "the embedded models: list them, build them anew"),
}

COMMANDS: dict[str, str] = {
    "demo": "run the main job of each room on the embedded models; end in one table and one page",
    "runs": "list runs with their newest numbers and their verdicts",
    "report": "put runs of any rooms side by side, on one page",
    "completion": "print what completes commands and flags in bash, zsh or fish",
}
"""What stands above the rooms, from ``trimtab.commands``, and its line in the help."""

USAGE = "usage: trimtab <room> <verb> [recipe] [--field value]"
USER_ERRORS = (ValueError, OSError)
"""What a user can mend: shown as one line. Everything else is a defect, and shows its traceback."""

HELP = ("-h", "--help")


class _Usage(Exception):
    """The command line names something that does not exist."""


def _choose(kind: str, name: str, known: Iterable[str]) -> None:
    """Raise _Usage, with a suggestion, where ``name`` is not ``known``."""
    names = list(known)
    if name not in names:
        close = difflib.get_close_matches(name, names, 1, cutoff=0.5)
        hint = f"Did you mean {close[0]!r}? " if close else ""
        raise _Usage(f"no {kind} {name!r}. {hint}Expected one of: {', '.join(names)}.")


def _summary(verb: object) -> str:
    """The first line of a verb's docstring."""
    return (getattr(verb, "__doc__", None) or "").strip().partition("\n")[0]


def _listing(usage: str, heading: str, entries: Mapping[str, str], closing: str) -> str:
    width = max(map(len, entries))
    rows = [f"  {name:<{width}}  {summary}".rstrip() for name, summary in entries.items()]
    return "\n".join([usage, "", f"{heading}:", *rows, "", closing])


def _help_of_all() -> str:
    rooms = {name: summary for name, (_, summary) in ROOMS.items()}
    above = _listing("", "over all rooms", COMMANDS, "").strip()
    closing = "`trimtab <room> --help` lists its verbs; TRIMTAB_TRACEBACK=1 shows where an error came from."
    return _listing(USAGE, "rooms", rooms, f"{above}\n\n{closing}")


def _help_of(room: str, verbs: Mapping[str, object]) -> str:
    usage = USAGE.replace("<room>", room)
    summaries = {name: _summary(verb) for name, verb in verbs.items()}
    return _listing(usage, "verbs", summaries, f"`trimtab {room} <verb> --help` lists its fields.")


def _parse(room: str, verb: str, module: Any, arguments: Sequence[str]) -> Any:
    """The verb's dataclass, filled in from a named recipe and the flags."""
    import tyro

    fill: Any = tyro.cli  # its overloads do not know a class chosen at run time
    recipes: Mapping[str, object] = getattr(module, "RECIPES", {}).get(verb, {})
    prog = f"trimtab {room} {verb}"
    if recipes and arguments and not arguments[0].startswith("-"):
        _choose("recipe", arguments[0], recipes)
        return fill(module.VERBS[verb], args=arguments[1:], prog=prog, default=recipes[arguments[0]])
    note = f" Recipes: {', '.join(recipes)} (`{prog} {next(iter(recipes))}`)." if recipes else ""
    return fill(module.VERBS[verb], args=arguments, prog=prog, description=_summary(module.VERBS[verb]) + note)


def parse(arguments: Sequence[str]) -> Any:
    """The recipe that a command line (without the program's name) means, not yet run.

    Raises an error that ``run`` tells in one line where a room, a command, a verb or a recipe does not exist; SystemExit
    where the flags are wrong, or ask for help.
    """
    room, *rest = arguments
    _choose("room or command", room, [*ROOMS, *COMMANDS])
    if room in COMMANDS:
        import tyro

        above = importlib.import_module("trimtab.commands")
        return tyro.cli(above.COMMANDS[room], args=rest, prog=f"trimtab {room}")
    module = importlib.import_module(ROOMS[room][0])
    verb, *flags = rest or [""]
    _choose(f"verb of {room}", verb, module.VERBS)
    return _parse(room, verb, module, flags)


def dispatch(arguments: Sequence[str]) -> int:
    """Carry out a command line (without the program's name); returns the exit status. Errors are raised."""
    if not arguments or arguments[0] in HELP:
        print(_help_of_all())
        return 0
    room, *rest = arguments
    if room == "--version":
        from importlib.metadata import version

        print(f"trimtab {version('trimtab')}")
        return 0
    if room in ROOMS and (not rest or rest[0] in HELP):
        print(_help_of(room, importlib.import_module(ROOMS[room][0]).VERBS))
        return 0
    return parse(arguments).run() or 0


def _fail(error: Exception) -> int:
    if os.environ.get("TRIMTAB_TRACEBACK") == "1":
        traceback.print_exception(error)
    else:
        red, plain = ("\033[31m", "\033[0m") if sys.stderr.isatty() else ("", "")
        line = " ".join(str(error).split()) or type(error).__name__
        print(f"{red}error: {line}{plain}", file=sys.stderr)
    return 2


def run(arguments: Sequence[str]) -> int:
    """Carry out a command line; what a user can mend is told in one line on standard error, with status 2."""
    try:
        return dispatch(arguments)
    except (_Usage, *USER_ERRORS) as error:
        return _fail(error)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130


def main() -> NoReturn:
    """The console script."""
    sys.exit(run(sys.argv[1:]))
