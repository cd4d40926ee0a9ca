"""How is a checkpoint written so that a kill, a power cut or a full disk cannot harm it, or the one before?

One file each: arrays as safetensors, the state as JSON in that file's metadata. It is written under another name,
forced to the disk, and renamed; older ones are removed only then.
"""

from __future__ import annotations

import errno
import json
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import load_file as load_numpy
from safetensors.numpy import save_file as save_numpy

from trimtab.plain import Plain
from trimtab.reading import refusing

SUFFIX = ".safetensors"


def _sync(path: Path) -> None:
    """Return when the file or directory ``path`` is on the disk itself."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def replace_file(path: Path, write: Callable[[Path], object]) -> None:
    """Have ``write`` make a file under another name, force it to the disk, and give it the name ``path``.

    Whatever goes wrong, ``path`` holds its old content or the new one, whole, and nothing else is left behind.
    """
    scratch = path.with_name(path.name + ".partial")
    try:
        write(scratch)
        _sync(scratch)
        scratch.replace(path)
    finally:
        scratch.unlink(missing_ok=True)
    _sync(path.parent)


@dataclass(frozen=True)
class Bookkeeping:
    """What a run had recorded when a checkpoint was taken."""

    metrics_rows: int = 0
    steps_rows: int = 0
    elapsed_seconds: float = 0.0


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint on disk: the step it was taken after, the state given to it, and what the run noted for itself."""

    path: Path
    step: int
    state: dict[str, Plain]
    bookkeeping: Bookkeeping

    def arrays(self) -> dict[str, np.ndarray]:
        """The arrays, as numpy's."""
        return load_numpy(self.path)

    def tensors(self) -> dict[str, Any]:
        """The arrays, as torch tensors on the host."""
        from safetensors.torch import load_file

        return load_file(self.path)


def _read(path: Path) -> Checkpoint:
    with refusing(path, "checkpoint", "Delete it to go on from the one before it"):
        with safe_open(path, framework="numpy") as file:
            header = json.loads(file.metadata()["checkpoint"])
        return Checkpoint(path, _whole(header["step"]), dict(header["state"]), _bookkeeping(header["bookkeeping"]))


def _whole(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ValueError(f"{value!r} where a count is expected")
    return value


def _bookkeeping(told: Mapping[str, Any]) -> Bookkeeping:
    seconds = float(told["elapsed_seconds"])
    if not 0 <= seconds < float("inf"):
        raise ValueError(f"{seconds} elapsed seconds")
    return Bookkeeping(_whole(told["metrics_rows"]), _whole(told["steps_rows"]), seconds)


def _save(path: Path, arrays: Mapping[str, Any], metadata: dict[str, str]) -> None:
    """Write numpy arrays, or torch tensors (or both), to ``path``."""
    if all(isinstance(array, np.ndarray) for array in arrays.values()):
        save_numpy({name: np.asarray(array, order="C") for name, array in arrays.items()}, path, metadata)
        return
    import torch
    from safetensors.torch import save_file

    tensors = {name: torch.as_tensor(array).detach().contiguous() for name, array in arrays.items()}
    save_file(tensors, path, metadata)


def _errno(error: Exception) -> int:
    """The system's number of an error; safetensors tells it in its message only."""
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno
    told = re.search(r"os error (\d+)", str(error))
    return int(told[1]) if told else errno.EIO


class Keeper(Protocol):
    """Where a training keeps its checkpoints: a folder of its own (``Checkpoints``), or a run."""

    def latest(self) -> Checkpoint | None: ...
    def write(
        self, step: int, arrays: Mapping[str, Any], state: Mapping[str, Plain], bookkeeping: Bookkeeping, /
    ) -> Path: ...


class Checkpoints:
    """The newest ``keep`` checkpoints of a run, in ``folder``."""

    def __init__(self, folder: Path, *, keep: int) -> None:
        self._folder = folder
        self._keep = keep

    def _paths(self) -> list[Path]:
        return sorted(self._folder.glob(f"*{SUFFIX}"))

    def latest(self) -> Checkpoint | None:
        """The newest one. Raises ValueError where it cannot be read."""
        paths = self._paths()
        return _read(paths[-1]) if paths else None

    def write(self, step: int, arrays: Mapping[str, Any], state: Mapping[str, Plain], bookkeeping: Bookkeeping) -> Path:
        """Write the checkpoint of ``step`` and remove what is too old. Raises as ``Run.checkpoint`` says."""
        paths = self._paths()
        if paths and step < int(paths[-1].stem):
            raise ValueError(
                f"checkpoint of step {step}: the newest one, {paths[-1]}, is later. Steps must not go backwards."
            )
        try:
            header = json.dumps({"step": step, "state": dict(state), "bookkeeping": asdict(bookkeeping)})
        except TypeError as error:
            raise ValueError(f"the state at step {step} is no JSON ({error}): put arrays into `arrays`.") from error
        path = self._folder / f"{step:08d}{SUFFIX}"
        try:
            self._folder.mkdir(exist_ok=True)
            replace_file(path, lambda scratch: _save(scratch, arrays, {"checkpoint": header}))
        except (OSError, SafetensorError) as error:
            raise OSError(_errno(error), self._refusal(step, paths, error)) from error
        for old in self._paths()[: -self._keep]:
            old.unlink()
        return path

    def _refusal(self, step: int, paths: list[Path], error: Exception) -> str:
        intact = f"the checkpoint before it, {paths[-1].name}, is intact" if paths else "there is none before it"
        return (
            f"the checkpoint of step {step} could not be written to {self._folder} ({error}); {intact}. "
            f"Make room (or mend the disk), then resume the run in {self._folder.parent}."
        )
