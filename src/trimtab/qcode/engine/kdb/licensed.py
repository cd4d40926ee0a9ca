"""How is a licensed PyKX used (``pykx``)? Each program has a python process that imports it, asked over two pipes."""

from __future__ import annotations

import importlib.util
import os
import sys
import time
from pathlib import Path

from trimtab.qcode.engine.kdb import pykx_child
from trimtab.qcode.engine.kdb.fresh import Child, Fresh, Unusable
from trimtab.qcode.engine.kdb.link import Link, LinkError

LICENCE_TODO = (
    "install a licence (kc.lic or k4.lic; python -c 'import pykx' asks for one), or take the engine q-embedded"
)


def found() -> None:
    """Raises Unusable where the package is not installed. It is not imported here."""
    if importlib.util.find_spec("pykx") is None:
        raise Unusable("the package pykx is not installed: pip install pykx (it needs a licence of KX)")


class Pykx(Fresh):
    """The engine ``pykx``."""

    name = "pykx"

    def _start(self, folder: str) -> tuple[Child, Link]:
        found()
        there, away = os.pipe()  # requests
        back, here = os.pipe()  # answers
        link = Link(back, away, lambda: _close(back, away))
        try:
            child = Child(_command(there, here, self.limits.result_bytes), _environment(), folder, (there, here))
        except BaseException:
            link.close()
            raise
        finally:
            _close(there, here)
        try:
            self._ready(link, child)
            return child, link
        except BaseException:
            link.close()
            child.close()
            raise

    def _ready(self, link: Link, child: Child) -> None:
        """Wait for the line that says how the import went."""
        end, line = time.monotonic() + self.start_seconds, b""
        try:
            while not line.endswith(b"\n"):
                line += link.read(1, end)
        except TimeoutError:
            raise TimeoutError(f"pykx was not imported in {self.start_seconds:g} s ({child.said()})") from None
        except LinkError:
            raise LinkError(f"the process that imports pykx ended ({child.said()})") from None
        word, _, said = line.decode("utf-8", "replace").strip().partition(" ")
        if word == pykx_child.UNLICENSED:
            raise Unusable(f"pykx is installed, but has no licence ({said}): {LICENCE_TODO}")
        if word != pykx_child.READY:
            raise Unusable(f"pykx is installed, but cannot be imported: {said}")


def _close(*descriptors: int) -> None:
    for descriptor in descriptors:
        os.close(descriptor)


def _command(*numbers: int) -> list[str]:
    return [sys.executable, "-B", str(Path(pykx_child.__file__)), *map(str, numbers)]


def _environment() -> dict[str, str]:
    """The variables that PyKX and the search for it need, no others."""
    from trimtab.qcode.engine.kdb.binary import PASSED_ON

    kept = {name: text for name, text in os.environ.items() if name in PASSED_ON or name.startswith("PYKX_")}
    return kept | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
