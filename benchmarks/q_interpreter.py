"""How fast is the embedded q interpreter? Beside numpy and pandas on vectors, in steps of lambdas, and at its start.

python benchmarks/q_interpreter.py [--json OUT]

Times are medians of several turns, q and its peer in turn within one process; ratios are the medians of each turn's. One
thread does all the work, so loops are judged by the processor's time, which other programs on the machine don't change.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Annotated, Any

import numpy as np
import tyro

from trimtab import machine
from trimtab.console import Table, say
from trimtab.qcode.q.session import Session
from trimtab.records import bar, write_json

STEPS = 100_000
LOOPS = {
    "over": "{x+y*y}/[0;til 100000]",
    "scan": "{(y+3*x)mod 1000007}\\[0;til 100000]",
    "each": "{$[x mod 2;1+3*x;x div 2]} each til 100000",
    "iterate": "{$[x mod 2;1+3*x;x div 2]}/[100000;27]",
    "while": "{[n] a:0;b:1;i:0;while[i<n;c:(a+b)mod 1000007;a:b;b:c;i+:1];a} 100000",
    "while with indexed assignment": "{[n] r:n#0;i:1;while[i<n;r[i]:(r[i-1]+i)mod 97;i+:1];sum r} 100000",
    "do with append": "{[n] r:();i:0;do[n;r,:i*2;i+:1];count r} 100000",
}
"""Lambdas of 100,000 steps each, under each form of loop."""


Clock = Callable[[], float]


@dataclass(frozen=True)
class Interpreter:
    """Measure vector operations, loops and the start of an interpreter."""

    turns: Annotated[int, tyro.conf.arg(help="How often each is run.")] = 7
    json: Path | None = None
    """Where to write rows and bars."""


def timed(turns: int, *runs: Callable[[], Any], clock: Clock = time.perf_counter) -> list[list[float]]:
    """The seconds of each turn of several functions, run in turn."""
    seconds: list[list[float]] = [[] for _ in runs]
    for _ in range(turns):
        for i, run in enumerate(runs):
            start = clock()
            run()
            seconds[i].append(clock() - start)
    return seconds


def vectors(turns: int) -> list[dict[str, Any]]:
    """q's vector operations beside the plain expression in numpy or pandas."""
    q = Session()
    q.value("t:([]k:1000000?1000;v:1000000?1f)")
    q.value("n:1000000?1000")
    frame = q["t"].pd()
    drawn = np.random.default_rng(0)
    pairs: dict[str, tuple[str, Callable[[], Any]]] = {
        "sum til 10000000": ("sum til 10000000", lambda: np.arange(10_000_000).sum()),
        "count distinct 1000000?1000": (
            "count distinct 1000000?1000",
            lambda: len(np.unique(drawn.integers(0, 1000, 1_000_000))),
        ),
        "group a million rows": ("select sum v by k from t", lambda: frame.groupby("k")["v"].sum()),
    }
    rows: list[dict[str, Any]] = []
    for name, (text, peer) in pairs.items():
        ours, theirs = timed(turns, lambda text=text: q.value(text), peer)
        ratio = median([a / b for a, b in zip(ours, theirs, strict=True)])
        rows.append({"what": name, "seconds": median(ours), "peer_seconds": median(theirs), "ratio": ratio})
    return rows


def loops(turns: int) -> list[dict[str, Any]]:
    """Scalar loops of 100,000 steps."""
    q = Session()
    return [
        {
            "what": f"{name}, {STEPS} steps",
            "seconds": median(timed(turns, lambda text=text: q.value(text))[0]),
            "processor_seconds": median(timed(turns, lambda text=text: q.value(text), clock=time.process_time)[0]),
        }
        for name, text in LOOPS.items()
    ]


def main(command: Interpreter) -> None:
    """Measure, print, write."""
    Session().value("1+1")
    start = median(timed(command.turns * 4, lambda: Session().value("1+1"))[0])
    fast, slow = vectors(command.turns), loops(command.turns)
    rows = [*fast, *slow, {"what": "a new interpreter, and 1+1", "seconds": start}]
    table = Table("the embedded q interpreter", ("what", "seconds", "processor_seconds", "peer_seconds", "ratio"))
    for row in rows:
        table.add(*(row.get(column) for column in table.columns))
    table.print()
    bars = [bar(f"{row['what']}: times numpy or pandas", row["ratio"], 5.0, above=False) for row in fast]
    bars += [bar(f"{row['what']}: processor seconds", row["processor_seconds"], 0.5, above=False) for row in slow]
    bars.append(bar("start of an interpreter: seconds", start, 0.005, above=False))
    for one in bars:
        say(f"{'holds' if one['holds'] else 'FAILS'}: {one['name']} {one['value']:.4f} (at most {one['bound']})")
    if command.json:
        record = {"date": machine.today(), "hardware": machine.hardware(), "rows": rows, "bars": bars}
        write_json(command.json, record)


if __name__ == "__main__":
    main(tyro.cli(Interpreter))
