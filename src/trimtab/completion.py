"""What completes ``trimtab`` in a shell? A script of its own for bash, zsh or fish, with every room, verb, recipe and flag.

The script is static: it is made once from the command line's own help, and starts no Python while somebody types.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import os
import re
from collections.abc import Sequence
from typing import Any

from trimtab import cli

FLAG = re.compile(r"^(?:  |[│|] )(--[\w.-]+)(?:, (--[\w.-]+))?", re.MULTILINE)
"""Where the help names a flag (and its negation): at the beginning of a line, boxed or not."""
Words = dict[str, list[str]]
"""What may follow a line so far: ``""`` the rooms, ``"dialogue"`` its verbs, ``"dialogue train"`` recipes and flags."""


def flags_of(arguments: Sequence[str]) -> list[str]:
    """The flags of a command (``["dialogue", "train"]``), in the order of its help."""
    shown = io.StringIO()
    with contextlib.redirect_stdout(shown), contextlib.suppress(SystemExit):
        cli.parse([*arguments, "--help"])
    found = [name for pair in FLAG.findall(shown.getvalue()) for name in pair if name]
    return list(dict.fromkeys([*found, "--help"]))


def words() -> Words:
    """All that can be completed. (Sets COLUMNS, which the help is laid out by.)"""
    os.environ["COLUMNS"] = "80"  # wider, the help sets its groups side by side
    made: Words = {"": [*cli.ROOMS, *cli.COMMANDS, "--version", "--help"]}
    for room, (name, _) in cli.ROOMS.items():
        module: Any = importlib.import_module(name)
        made[room] = [*module.VERBS, "--help"]
        for verb in module.VERBS:
            made[f"{room} {verb}"] = [*getattr(module, "RECIPES", {}).get(verb, {}), *flags_of([room, verb])]
    for command in cli.COMMANDS:
        made[command] = [*(cli.ROOMS if command == "demo" else ()), *flags_of([command])]
    return made


BASH = """\
_trimtab() {{
    local typed=${{COMP_WORDS[COMP_CWORD]}} known
    case "${{COMP_WORDS[*]:1:$(( COMP_CWORD < 3 ? COMP_CWORD - 1 : 2 ))}}" in
{cases}
        *) case "${{COMP_WORDS[1]}}" in
{commands}
        esac ;;
    esac
    COMPREPLY=($(compgen -W "$known" -- "$typed"))
}}
complete -o default -F _trimtab trimtab
"""


def bash(known: Words) -> str:
    """The script for bash; what it does not know is completed as a file."""
    cases = "\n".join(f'        "{line}") known="{" ".join(then)}" ;;' for line, then in known.items())
    above = "\n".join(f'            {line}) known="{" ".join(known[line])}" ;;' for line in cli.COMMANDS)
    return BASH.format(cases=cases, commands=above)


def zsh(known: Words) -> str:
    """The script for zsh, which reads bash's."""
    return f"autoload -U +X compinit && compinit\nautoload -U +X bashcompinit && bashcompinit\n{bash(known)}"


def fish(known: Words) -> str:
    """The script for fish."""
    lines: list[str] = []
    for line, then in known.items():
        seen = " && ".join(f"__fish_seen_subcommand_from {word}" for word in line.split()) or "__fish_use_subcommand"
        if line in cli.ROOMS:
            seen += f" && not __fish_seen_subcommand_from {' '.join(known[line][:-1])}"
        names = [word for word in then if not word.startswith("-")]
        if names:
            lines.append(f"complete -c trimtab -n '{seen}' -f -a '{' '.join(names)}'")
        lines += [f"complete -c trimtab -n '{seen}' -l {word[2:]}" for word in then if word.startswith("--")]
    return "\n".join(lines) + "\n"


SHELLS = {"bash": bash, "zsh": zsh, "fish": fish}
