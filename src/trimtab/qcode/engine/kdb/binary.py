"""How is the ``q`` on PATH used (``q-binary``)? Each program has a process ``q -p PORT -u FILE``, asked over a socket.

``-u``: a password for the port; requests may give no system commands and reach no files above the process's own folder.
"""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import time
from pathlib import Path

from trimtab.qcode.engine.kdb.fresh import LICENCE, Child, Fresh, Unusable
from trimtab.qcode.engine.kdb.link import Link, LinkError, connect

PROGRAM = "q"
_LICENCES = ("QHOME", "QLIC", "QINIT", "KDB_LICENSE_B64", "KDB_K4LICENSE_B64")
PASSED_ON = ("PATH", "HOME", "LANG", "TZ", "LD_LIBRARY_PATH", *_LICENCES)
"""All that a process sees of the environment: no tokens, no keys."""
_LOOK = 0.02
LICENCE_TODO = "put k4.lic or kc.lic where QHOME or QLIC points, and see that `q` starts by hand"


def found() -> str:
    """The path of q. Raises Unusable."""
    path = shutil.which(PROGRAM)
    if path is None:
        raise Unusable("no program q on PATH: install kdb+ or KDB-X (it needs a licence) and put q on PATH")
    return path


class Binary(Fresh):
    """The engine ``q-binary``."""

    name = "q-binary"

    def _start(self, folder: str) -> tuple[Child, Link]:
        user, password = "trimtab", secrets.token_hex(16)
        users = Path(folder) / "users"
        users.write_text(f"{user}:{password}\n", encoding="ascii")
        users.chmod(0o600)
        port, path = _free_port(), found()
        command = [path, "-q", "-p", str(port), "-u", str(users)]
        known = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
        child = Child(command, known, folder)
        try:
            link = self._connected(child, path, port, f"{user}:{password}")
            users.unlink(missing_ok=True)
            return child, link
        except BaseException:
            child.close()
            raise

    def _connected(self, child: Child, path: str, port: int, credentials: str) -> Link:
        """A link to the process as soon as it listens."""
        end = time.monotonic() + self.start_seconds
        while True:
            if child.ended:
                raise _why(path, child)
            try:
                return connect("127.0.0.1", port, credentials, max(_LOOK, end - time.monotonic()))
            except LinkError:
                if time.monotonic() > end:
                    raise TimeoutError(_hangs(path, self.start_seconds, child)) from None
                time.sleep(_LOOK)
            except TimeoutError:
                raise TimeoutError(_hangs(path, self.start_seconds, child)) from None


def _hangs(path: str, seconds: float, child: Child) -> str:
    said = child.said()
    wrote = f" (it wrote: {said})" if said else ""
    return (
        f"{path} was started with -p and took no link in {seconds:g} s{wrote}: does it start by hand, and is it kdb+?"
    )


def _why(path: str, child: Child) -> Exception:
    """Why q ended at once."""
    said = child.said()
    lower = said.lower()
    if "daemon" in lower:
        return LinkError(f"{path} could not reach its licence daemon: {said}")
    if any(word in lower for word in LICENCE):
        return Unusable(f"{path} has no licence ({said}): {LICENCE_TODO}")
    if "address already in use" in lower:
        return LinkError(f"{path} could not listen: {said}")
    code = child.process.returncode
    wrote = said or "it wrote nothing"
    return Unusable(f"{path} ended at once with status {code} ({wrote}): is it kdb+? `q -p 5000` must listen")


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]
