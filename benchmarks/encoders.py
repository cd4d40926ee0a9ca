"""What does it cost to turn a prompt into a vector? Seconds by tokens; and M2-BERT against its bar (2,048 tokens in 10 s).

python benchmarks/encoders.py [--threads 2] [--m2-bert FOLDER] [--json OUT]

Without a folder M2-BERT has random weights: its time does not depend on them. The target's own hidden states and the
structural features come from the prefill that happens in any case; their cost is measured with the reward table.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import numpy as np
import torch
import tyro

from trimtab import machine
from trimtab.console import Table, say
from trimtab.encoders.hidden import HiddenProjection
from trimtab.encoders.m2_bert import M2Bert
from trimtab.encoders.m2_bert_files import load_m2_bert, vectors
from trimtab.encoders.minilm import TextEncoder
from trimtab.records import bar, write_json

BOUND_SECONDS = 10.0


@dataclass(frozen=True)
class Bench:
    """Time every encoder."""

    threads: int = 2
    """Cores used."""
    repeats: int = 3
    """Times that each is run; the median counts."""
    m2_bert: Path | None = None
    """A folder with the published checkpoint."""
    json: Path | None = None
    """Where to write rows and bars."""


def seconds_of(action: Callable[[], object], repeats: int) -> float:
    """The median of ``repeats`` runs, after one that does not count."""
    action()
    taken: list[float] = []
    for _ in range(repeats):
        begun = time.perf_counter()
        action()
        taken.append(time.perf_counter() - begun)
    return median(taken)


def measure(command: Bench) -> Table:
    """A row for each encoder and length."""
    table = Table(
        "Cost of encoders", ("encoder", "width", "tokens", "seconds"), note=f"{command.threads} threads, float32"
    )
    model = load_m2_bert(command.m2_bert) if command.m2_bert else M2Bert().eval()
    rng = np.random.default_rng(0)
    for tokens in (256, 1024, 2048):
        row = rng.integers(1000, 30000, tokens).tolist()
        taken = seconds_of(lambda row=row: vectors(model, [row]), command.repeats)
        table.add("m2-bert-80M-8k", model.config.hidden, tokens, taken)
    minilm = TextEncoder(device="cpu")
    text = " ".join(["word"] * 254)
    table.add("all-MiniLM-L6-v2", minilm.width, 256, seconds_of(lambda: minilm.encode([text]), command.repeats))
    projection, state = HiddenProjection.random(4096, 64), torch.randn(4096)
    table.add("projection of a hidden state (4096)", 64, 1, seconds_of(lambda: projection(state), command.repeats))
    return table


def main(command: Bench) -> None:
    """Measure, print, write."""
    torch.set_num_threads(command.threads)
    table = measure(command)
    table.print()
    (value,) = (row["seconds"] for row in table.plain_rows() if row["tokens"] == 2048)
    assert isinstance(value, float)
    name = "M2-BERT, seconds for 2,048 tokens"
    bars = [bar(name, value, BOUND_SECONDS, above=False)]
    say(f"{'holds' if bars[0]['holds'] else 'FAILS'}  {name}: {value:.2f} (bound {BOUND_SECONDS:.0f})")
    if command.json:
        about = {"date": machine.today(), "hardware": machine.hardware(), "versions": machine.versions()}
        record = {**about, "commit": machine.commit(), "rows": table.plain_rows(), "bars": bars}
        write_json(command.json, record)
        say(f"written to {command.json}")


if __name__ == "__main__":
    main(tyro.cli(Bench, description=__doc__))
