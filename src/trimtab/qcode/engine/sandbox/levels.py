"""How strongly are programs kept apart from the machine? By named levels; asking for one that is not there raises.

``seccomp``: a filter of system calls (no processes, files, network, signals), limits, another user. ``bubblewrap``:
namespaces instead (no network, other processes unseen, read-only files), limits. ``bubblewrap+seccomp``: both.
``docker``: the filter, in a container without network, files or powers; the image brings its root only, python is the
machine's own. ``rlimits``: limits only; it stops accidents, not malice. ``auto``: seccomp, where the kernel lacks it
bubblewrap, and never less.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal, get_args

Isolation = Literal["auto", "seccomp", "bubblewrap", "bubblewrap+seccomp", "docker", "rlimits"]
IMAGE = "debian:stable-slim"
"""What a container is made of, unless TRIMTAB_SANDBOX_IMAGE names another image."""
AUTO = ("seccomp", "bubblewrap")
"""What ``auto`` tries, in this order."""


class Unavailable(ValueError):
    """A level of isolation does not exist on this machine."""


def candidates(isolation: str) -> Sequence[str]:
    """The levels that may serve a wish. Raises ValueError for a name that is not known."""
    if isolation not in get_args(Isolation):
        raise ValueError(f"isolation {isolation!r} is not known: expected one of {', '.join(get_args(Isolation))}")
    return AUTO if isolation == "auto" else (isolation,)


def filtered(level: str) -> bool:
    """Whether a level filters system calls."""
    return "seccomp" in level or level == "docker"


def contained(level: str) -> bool:
    """Whether a server runs where no descriptor can be handed to it: it connects to a socket by its path."""
    return level == "docker"


def _readable() -> list[str]:
    """What python needs to see of the file system."""
    system = [path for path in ("/usr", "/lib", "/lib64", "/bin", "/etc/ld.so.cache") if Path(path).exists()]
    python = [sys.prefix, sys.base_prefix, *(path for path in sys.path if path and Path(path).is_dir())]
    real = [str(Path(sys.executable).resolve().parent.parent)]
    return list(dict.fromkeys([*system, *python, *real]))


def _bubblewrap() -> list[str]:
    found = shutil.which("bwrap")
    if found is None:
        raise Unavailable("isolation by bubblewrap needs the program bwrap on PATH: install the package bubblewrap")
    apart = ["--unshare-ipc", "--unshare-pid", "--unshare-net", "--unshare-uts", "--unshare-cgroup-try"]
    if os.geteuid() == 0:  # the server keeps what it takes to hand processes to another user, and to end them
        powers = [part for name in ("SETUID", "SETGID", "KILL") for part in ("--cap-add", f"CAP_{name}")]
    else:
        powers = ["--unshare-user"]
    seen = [part for path in _readable() for part in ("--ro-bind", path, path)]
    made = ["--proc", "/proc", "--dev", "/dev", "--dir", "/tmp", "--remount-ro", "/"]  # noqa: S108
    return [found, *apart, *powers, *seen, *made, "--chdir", "/", "--"]


def _docker(folder: Path, environment: Mapping[str, str]) -> list[str]:
    found = shutil.which("docker")
    if found is None:
        raise Unavailable("isolation by docker needs the program docker on PATH, and its daemon running")
    apart = ["--network", "none", "--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges"]
    bounds = ["--pids-limit", "64", "--user", "65534:65534", "--workdir", "/", "--pull", "missing"]
    seen = [part for path in _readable() for part in ("--volume", f"{path}:{path}:ro")]
    known = [part for name, value in environment.items() for part in ("--env", f"{name}={value}")]
    image = os.environ.get("TRIMTAB_SANDBOX_IMAGE", IMAGE)
    return [found, "run", "--rm", *apart, *bounds, *seen, "--volume", f"{folder}:{folder}", *known, image]


def prefix(level: str, folder: Path | None = None, environment: Mapping[str, str] | None = None) -> list[str]:
    """What stands before the server's command at a level. Raises Unavailable.

    ``folder``, ``environment``: for a contained level, where the socket lies and what the server's environment is.
    """
    if contained(level):
        assert folder is not None
        return _docker(folder, environment or {})
    return _bubblewrap() if "bubblewrap" in level else []
