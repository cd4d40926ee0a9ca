"""Where does a q process listen? ``HOST:PORT``, as the command line gives it; the password comes by the environment."""

from __future__ import annotations

import os
from typing import Any

CREDENTIALS = "TRIMTAB_Q_CREDENTIALS"
"""The environment variable that holds ``user:password``; it is on no command line and in no record of a run."""
EXAMPLE = "localhost:5000"


def options(address: str | None) -> dict[str, Any]:
    """Host, port and credentials of ``HOST:PORT``. Raises ValueError for an address that is none, or is missing."""
    if address is None:
        raise ValueError(f"the engine q-ipc needs the address of a running q process: --q-ipc HOST:PORT, as {EXAMPLE}")
    host, _, port = address.lstrip(":").rpartition(":")
    if not port.isdecimal() or not 0 < int(port) < 65536:
        raise ValueError(f"--q-ipc {address!r}: expected HOST:PORT, as {EXAMPLE}")
    return {"host": host or "localhost", "port": int(port), "credentials": os.environ.get(CREDENTIALS, "")}
