"""What becomes of a file that is broken, or was made to do harm? One clear error that names it; nothing in it is ever run.

Readers of what trimtab writes (safetensors, JSON, npz without objects) put their work under ``refusing``: whatever a broken
file makes them stumble over is told as one ValueError.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from zipfile import BadZipFile

from safetensors import SafetensorError

STUMBLES = (
    ValueError, KeyError, IndexError, TypeError, AttributeError, ArithmeticError, AssertionError, EOFError, MemoryError,
    NotImplementedError, RuntimeError, SafetensorError, BadZipFile, zlib.error,
)  # fmt: skip
"""What reading a broken file may raise. (A RecursionError, of JSON nested too deep, is a RuntimeError.) Files that are not
there or cannot be opened raise OSError, which is clear in itself."""


@contextmanager
def refusing(path: Path | str, what: str, do: str) -> Generator[None]:
    """Raise ValueError, saying that ``path`` is no ``what`` and what to ``do``, for whatever goes wrong within.

    A ValueError that names the file already says more, and passes as it is.
    """
    try:
        yield
    except STUMBLES as error:
        if type(error) is ValueError and str(path) in str(error):
            raise
        told = " ".join(str(error).split()) or type(error).__name__
        raise ValueError(f"{path} is no {what} that can be read ({told[:300]}): {do}") from error


def read_object(path: Path, what: str, do: str) -> dict[str, object]:
    """The JSON object in ``path``. Raises ValueError where it holds anything else; OSError where it cannot be opened."""
    with refusing(path, what, do):
        found = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(found, dict):
            raise TypeError(f"a {type(found).__name__}, not an object")
        return found
