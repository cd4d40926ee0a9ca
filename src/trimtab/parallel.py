"""Which part of the work is this process's, where ``accelerate launch`` or ``torchrun`` started several of them?

Work is dealt by index, so that it does not depend on how many processes there are; results meet in files that all can
read, so that a killed process loses no more than the item it was at. Nothing is averaged and no tensor is sent: the
processes only wait for each other (gloo, on the CPU, so that a GPU's queue stays empty while the main one measures).
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from trimtab.checkpoints import replace_file
from trimtab.console import say
from trimtab.plain import Plain

T = TypeVar("T")
S = TypeVar("S")
_SIZES = ("WORLD_SIZE", "PMI_SIZE", "OMPI_COMM_WORLD_SIZE", "MV2_COMM_WORLD_SIZE")
_PATIENCE = timedelta(days=7)  # for the main process's learning; where one process fails, the launcher ends the others


@dataclass(frozen=True)
class Workers:
    """``count`` processes, of which this is number ``rank``; number 0 is the main one."""

    rank: int = 0
    count: int = 1

    @property
    def main(self) -> bool:
        """Whether this process measures, joins, learns and reports."""
        return self.rank == 0

    def share(self, items: Sequence[T]) -> list[T]:
        """This process's items: every ``count``-th, from number ``rank`` on."""
        return list(items[self.rank :: self.count])

    def wait(self) -> None:
        """Return when all processes have come here."""
        if self.count > 1:
            import torch.distributed

            torch.distributed.barrier()

    def from_main(self, value: T) -> T:
        """The main process's ``value``, in all processes."""
        if self.count == 1:
            return value
        import torch.distributed

        box: list[Any] = [value]
        torch.distributed.broadcast_object_list(box, src=0)
        return box[0]

    def gather(self, mine: Sequence[Plain], folder: Path | None, name: str) -> list[Plain]:
        """All processes' results in the order of the items, given those of this process's ``share``.

        They meet as JSON in ``folder``, which all processes see (not needed where there is one process).
        """
        if self.count == 1:
            return list(mine)
        assert folder is not None, "several processes need a folder to meet in"
        text = json.dumps(list(mine))
        replace_file(folder / f"{name}-{self.rank}.json", lambda file: file.write_text(text, encoding="utf-8"))
        self.wait()
        parts = [json.loads((folder / f"{name}-{rank}.json").read_text("utf-8")) for rank in range(self.count)]
        return [parts[index % self.count][index // self.count] for index in range(sum(map(len, parts)))]

    def shared(self, items: Sequence[T], make: Callable[[Sequence[T]], S]) -> S:
        """``make(items)``, where ``make`` keeps what it makes of each item in a file and takes it up from there.

        Every process makes its share; when all have, each joins the files.
        """
        mine = self.share(items)
        if self.count > 1:
            if mine:
                make(mine)
            self.wait()
        return make(items)

    @contextmanager
    def meeting(self, root: Path) -> Generator[Path | None]:
        """A folder below ``root`` for results to meet in, removed afterwards; None where there is one process."""
        if self.count == 1:
            yield None
            return
        made = tempfile.TemporaryDirectory(prefix=".parts-", dir=root) if self.main else None
        try:
            yield Path(self.from_main(made.name if made else ""))
            self.wait()
        finally:
            if made:
                made.cleanup()


ALONE = Workers()


@cache
def workers() -> Workers:
    """Who this process is, as its launcher says: the only one where there is no launcher.

    On CUDA, ``cuda`` means this process's own device from now on.
    """
    sizes = [int(os.environ.get(name, "1")) for name in _SIZES]
    if max(sizes) == 1:
        if os.environ.get("ACCELERATE_USE_CPU") == "True" and "MASTER_PORT" in os.environ:
            say(
                "accelerate launch --cpu starts one process, whatever --num_processes says (MPI aside); for several on a "
                "CPU: accelerate launch --multi_gpu --num_processes N -m trimtab ..."
            )
        return ALONE
    import torch
    from accelerate import PartialState

    state = PartialState(cpu=True, timeout=_PATIENCE)
    if torch.cuda.is_available():
        torch.cuda.set_device(state.local_process_index % torch.cuda.device_count())
    return Workers(int(state.process_index), int(state.num_processes))


@contextmanager
def quietly(team: Workers) -> Generator[None]:
    """Within, only the main process prints; an error is told by the process that it happens in."""
    if team.main:
        yield
        return
    shown = sys.stdout, sys.stderr
    with Path(os.devnull).open("w", encoding="utf-8") as nowhere:
        sys.stdout = sys.stderr = nowhere
        try:
            yield
        finally:
            sys.stdout, sys.stderr = shown
