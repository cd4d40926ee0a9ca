"""Which modules enter builtins? Importing this one enters them all."""

from __future__ import annotations

import importlib
from pathlib import Path

OTHERS = frozenset(("session", "builtins", "faces", "conformance", "verbs", "keywords", "__init__"))
"""Modules that need the builtins themselves."""


def enter_all() -> None:
    """Import every module of the package that may enter builtins."""
    for path in sorted(Path(__file__).parent.glob("*.py")):
        if path.stem not in OTHERS:
            importlib.import_module(f"trimtab.qcode.q.{path.stem}")
    importlib.import_module("trimtab.qcode.q.keywords")


enter_all()
