"""How fast is the embedded q interpreter? Beside numpy and pandas on vectors, in steps of lambdas, and at its start.

python benchmarks/q_interpreter.py [--json OUT]

Times are the least of several turns, q and its peer in turn within one process.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import tyro

from trimtab import machine
from trimtab.checkpoints import replace_file
from trimtab.console import Table, say
from trimtab.qcode.q.session import Session

STEPS = 100_000
LOOPS = {
    "sum of squares": "{x+y*y}/[0;til 100000]",
    "collatz": "{$[x mod 2;1+3*x;x div 2]}/[100000;27]",
    "while with locals": "{[n] a:0;b:1;i:0;while[i<n;c:(a+b)mod 1000007;a:b;b:c;i+:1];a} 100000",
    "indexed assignment": "{[n] r:n#0;i:1;while[i<n;r[i]:(r[i-1]+i)mod 97;i+:1];sum r} 100000",
    "append in a scan": "{[n] r:();i:0;do[n;r,:i*2;i+:1];count r} 100000",
}
"""Five lambdas of 100,000 steps each."""


@dataclass(frozen=True)
class Interpreter:
    """Measure vector operations, loops and the start of an interpreter."""

    turns: Annotated[int, tyro.conf.arg(help="How often each is run.")] = 5
    json: Path | None = None
    """Where to write rows and bars."""


def least(turns: int, *runs: Callable[[], Any]) -> list[float]:
    """The least seconds of each of several functions, run in turn."""
    best = [float("inf")] * len(runs)
    for _ in range(turns):
        for i, run in enumerate(runs):
            start = time.perf_counter()
            run()
            best[i] = min(best[i], time.perf_counter() - start)
    return best


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
        ours, theirs = least(turns, lambda text=text: q.value(text), peer)
        rows.append({"what": name, "seconds": ours, "peer_seconds": theirs, "ratio": ours / theirs})
    return rows


def loops(turns: int) -> list[dict[str, Any]]:
    """Scalar loops of 100,000 steps."""
    q = Session()
    return [
        {"what": f"{name}, {STEPS} steps", "seconds": least(turns, lambda text=text: q.value(text))[0]}
        for name, text in LOOPS.items()
    ]


def main(command: Interpreter) -> None:
    """Measure, print, write."""
    Session().value("1+1")
    start = least(command.turns * 4, lambda: Session().value("1+1"))[0]
    fast, slow = vectors(command.turns), loops(command.turns)
    rows = [*fast, *slow, {"what": "a new interpreter, and 1+1", "seconds": start}]
    table = Table("the embedded q interpreter", ("what", "seconds", "peer_seconds", "ratio"))
    for row in rows:
        table.add(*(row.get(column) for column in table.columns))
    table.print()
    bars = [_bar(f"{row['what']}: times numpy or pandas", row["ratio"], 5.0) for row in fast]
    bars += [_bar(f"{row['what']}: seconds", row["seconds"], 0.5) for row in slow]
    bars.append(_bar("start of an interpreter: seconds", start, 0.005))
    for bar in bars:
        say(f"{'holds' if bar['holds'] else 'FAILS'}: {bar['name']} {bar['value']:.4f} (at most {bar['bound']})")
    if command.json:
        record = {"date": machine.today(), "hardware": machine.hardware(), "rows": rows, "bars": bars}
        text = json.dumps(record, indent=1) + "\n"
        replace_file(command.json, lambda scratch: scratch.write_text(text, encoding="utf-8"))


def _bar(name: str, value: float, bound: float) -> dict[str, Any]:
    return {"name": name, "value": value, "bound": bound, "holds": bool(value <= bound)}


if __name__ == "__main__":
    main(tyro.cli(Interpreter))
