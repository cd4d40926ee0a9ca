"""What does it cost to grade a program in a process of its own, and does a batch with attackers in it end as it must?

python benchmarks/sandbox.py [--programs 10000] [--rounds 15] [--humaneval HumanEval.jsonl.gz] [--json OUT]

Cost: processor time of everything that takes part (the grader, the fork server, the program's process) for a small program
with three tests, in interleaved rounds. The bar is on the least of the rounds, for neighbours on the machine only add; the
median stands beside it. Batch: endless loops, memory bombs, fork bombs and killers of the parent, 1% each, among honest
programs that are right, wrong or raise; every verdict is known beforehand. HumanEval, where its file is given: published
solutions all pass, prompts alone all fail.
"""

from __future__ import annotations

import os
import resource
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import tyro

from trimtab import machine
from trimtab.console import Table, progress_bar, say
from trimtab.qcode.engine.protocol import CallTest, Limits, Program, Status, Verdict
from trimtab.qcode.engine.sandboxed import Sandboxed
from trimtab.qcode.problems.readers import read_humaneval
from trimtab.records import bar, write_json

BOUND_MS, GROWTH_MIB = 2.5, 8.0
HERTZ = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True)
class Bench:
    """Measure the sandbox."""

    programs: int = 10_000
    """In the batch."""
    rounds: int = 15
    """Of the cost, for each engine."""
    each: int = 300
    """Programs in a round."""
    workers: int = 2
    """At a time, in the batch. (Cost is measured with one.)"""
    humaneval: Path | None = None
    """HumanEval's file (.jsonl or .jsonl.gz), to grade its solutions and its prompts alone."""
    json: Path | None = None
    """Where to write rows and bars."""


SMALL: dict[str, tuple[Program, list[CallTest]]] = {
    "q-embedded": (
        Program("solve:{[x] sum 2*x}", "solve"),
        [CallTest(("1 2 3",), "12"), CallTest(("4 5",), "18"), CallTest(("enlist 7",), "14")],
    ),
    "python": (
        Program("def solve(x):\n    return [y * 2 for y in x]", "solve", "python"),
        [CallTest(([1, 2, 3],), [2, 4, 6]), CallTest(([],), []), CallTest(([5],), [10])],
    ),
}


def _server_seconds(pid: int) -> float:
    """Of a server and the processes it has reaped."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / HERTZ


def _own_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


@dataclass(frozen=True)
class Round:
    """Milliseconds of each program in one round."""

    grader: float
    servers: float
    processes: float
    wall: float

    @property
    def total(self) -> float:
        return self.grader + self.servers


def one_round(executor: Sandboxed, count: int) -> Round:
    """Run a small program ``count`` times, and say what each cost. ``servers`` holds what the processes took."""
    program, tests = SMALL[executor.name]
    (server,) = executor.pool.servers
    own, served, begun = _own_seconds(), _server_seconds(server), time.perf_counter()
    verdicts = executor.run([program] * count, [tests] * count)
    per = 1000 / count
    wall, served, own = time.perf_counter() - begun, _server_seconds(server) - served, _own_seconds() - own
    assert all(verdict.passed for verdict in verdicts), verdicts[0]
    return Round(own * per, served * per, sum(v.cpu_seconds for v in verdicts) * per, wall * per)


def cost(command: Bench) -> tuple[Table, list[dict[str, object]]]:
    """A row and a bar for each engine."""
    table = Table(
        "One program, three tests, one fresh process (ms of processor time)",
        ("engine", "isolation", "least", "median", "grader", "server", "process", "wall"),
        note=f"{command.rounds} rounds of {command.each}; the parts are those of the least round",
    )
    executors = [Sandboxed(name, workers=1) for name in ("q-embedded", "python")]
    rounds: dict[str, list[Round]] = {executor.name: [] for executor in executors}
    for executor in executors:
        executor.isolation  # noqa: B018 - starts the worker
        one_round(executor, 20)
    for _ in range(command.rounds):
        for executor in executors:
            rounds[executor.name].append(one_round(executor, command.each))
    bars: list[dict[str, object]] = []
    for executor in executors:
        least = min(rounds[executor.name], key=lambda r: r.total)
        middle = median(r.total for r in rounds[executor.name])
        parts = (least.grader, least.servers - least.processes, least.processes, least.wall)
        table.add(executor.name, executor.isolation, least.total, middle, *parts)
        bars.append(bar(f"{executor.name}: ms of processor time a program", least.total, BOUND_MS, above=False))
        executor.close()
    return table, bars


ATTACKS: dict[str, tuple[str, Status]] = {
    "endless loop": ("def f(x):\n    while True: pass", Status.TIMEOUT),
    "memory bomb": ("def f(x):\n    a = []\n    while True: a.append(bytearray(1 << 20))", Status.MEMORY),
    "fork bomb": (
        "import os\nwhile True:\n    try: os.fork()\n    except BaseException: pass",
        Status.FORBIDDEN,
    ),
    "killer of the parent": ("import os\nfor n in (os.getppid(), -1): os.kill(n, 9)", Status.FORBIDDEN),
}


def batch(count: int) -> list[tuple[str, str, Status]]:
    """Kinds, codes and right verdicts of ``count`` programs: each attack 1%, the rest honest."""
    found: list[tuple[str, str, Status]] = []
    attacks = list(ATTACKS.items())
    for index in range(count):
        if index % 25 == 7:
            kind, (code, status) = attacks[index // 25 % len(attacks)]
            found.append((kind, f"{code}\n# {index}", status))
        elif index % 4 == 0:
            found.append(("wrong", f"def f(x): return x * {index} + 1", Status.WRONG))
        elif index % 4 == 1:
            found.append(("raises", f"def f(x): return x + {index} + 1 / 0", Status.ERROR))
        else:
            found.append(("right", f"def f(x):\n    # {index}\n    return 3 * x", Status.PASSED))
    return found


def _mib(pid: int | str) -> float:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE / 2**20


def _parents() -> dict[int, int]:
    """The parent of each process of this machine."""
    found: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        try:
            found[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
        except (ValueError, OSError):
            continue
    return found


def _below(pid: int) -> set[int]:
    """All processes below one."""
    parents, found = _parents(), {pid}
    while more := {child for child, parent in parents.items() if parent in found} - found:
        found |= more
    return found - {pid}


@dataclass(frozen=True)
class Outcome:
    """What became of the batch."""

    verdicts: list[Verdict]
    seconds: float
    grown_mib: float
    """Of the grader and its servers together, from the second tenth to the last."""
    leaked: int
    """Processes besides the servers."""
    left: int
    """Processes after the end."""
    replaced: int


def run_batch(programs: Sequence[tuple[str, str, Status]], workers: int) -> Outcome:
    """Grade a batch in ten parts, looking at memory and processes after each."""
    before = _below(os.getpid())
    limits = Limits(cpu_seconds=0.15, wall_seconds=10, memory_mib=64)
    tests = [CallTest((2,), 6), CallTest((5,), 15), CallTest((0,), 0)]
    executor = Sandboxed("python", limits, workers)
    verdicts: list[Verdict] = []
    memory: list[float] = []
    leaked, part, begun = 0, max(1, len(programs) // 10), time.perf_counter()
    with progress_bar("batch") as show:
        for start in range(0, len(programs), part):
            some = [Program(code, "f", "python") for _, code, _ in programs[start : start + part]]
            verdicts += executor.run(some, [tests] * len(some))
            servers = executor.pool.servers
            memory.append(_mib("self") + sum(map(_mib, servers)))
            leaked = max(leaked, len(_below(os.getpid()) - before - set(servers)))
            show(len(verdicts) / len(programs))
    seconds = time.perf_counter() - begun
    executor.close()
    left = len(_below(os.getpid()) - before)
    return Outcome(
        verdicts, seconds, memory[-1] - memory[min(1, len(memory) - 1)], leaked, left, executor.pool.replaced
    )


def judged(programs: Sequence[tuple[str, str, Status]], outcome: Outcome) -> tuple[Table, list[dict[str, object]]]:
    """A row for each kind of program, and the bars."""
    table = Table(
        f"{len(programs):,} programs, attackers among them",
        ("kind", "programs", "graded right", "others"),
        note=f"{outcome.seconds:.0f} s, {len(programs) / outcome.seconds:.0f} programs a second",
    )
    wrong = 0
    for kind in dict.fromkeys(kind for kind, _, _ in programs):
        pairs = [
            (status, verdict) for (a, _, status), verdict in zip(programs, outcome.verdicts, strict=True) if a == kind
        ]
        others = Counter(verdict.status.value for status, verdict in pairs if verdict.status != status)
        wrong += others.total()
        table.add(kind, len(pairs), len(pairs) - others.total(), str(dict(others)) if others else "")
    bars = [
        bar("verdicts that are not right", wrong, 0, above=False),
        bar("processes leaked", outcome.leaked + outcome.left, 0, above=False),
        bar("workers that died", outcome.replaced, 0, above=False),
        bar("growth of memory, MiB", outcome.grown_mib, GROWTH_MIB, above=False),
    ]
    return table, bars


def humaneval(file: Path, workers: int) -> tuple[Table, list[dict[str, object]]]:
    """Grade the published solutions, and the prompts alone."""
    problems = read_humaneval(file).problems
    tests = [problem.tests for problem in problems]
    with Sandboxed("python", Limits(cpu_seconds=5, wall_seconds=30), workers) as executor:
        solutions = executor.run([problem.program(problem.references[0]) for problem in problems], tests)
        prompts = executor.run([problem.program(problem.starter) for problem in problems], tests)
    table = Table("HumanEval", ("programs", "count", "pass", "weak"))
    for name, verdicts in (("solutions", solutions), ("prompts alone", prompts)):
        table.add(name, len(verdicts), sum(v.passed for v in verdicts), sum(v.weak for v in verdicts))
    failing, passing = sum(not v.passed for v in solutions), sum(v.passed for v in prompts)
    return table, [
        bar("HumanEval: problems", len(problems), 164, above=True, equal=True),
        bar("HumanEval: solutions that do not pass", failing, 0, above=False),
        bar("HumanEval: prompts alone that pass", passing, 0, above=False),
    ]


def main(command: Bench) -> None:
    """Measure, print, write."""
    load = os.getloadavg()[0]
    cost_table, bars = cost(command)
    cost_table.print()
    programs = batch(command.programs)
    batch_table, more = judged(programs, run_batch(programs, command.workers))
    batch_table.print()
    bars += more
    tables = [cost_table, batch_table]
    if command.humaneval:
        human_table, more = humaneval(command.humaneval, command.workers)
        human_table.print()
        tables.append(human_table)
        bars += more
    for one in bars:
        say(f"{'holds' if one['holds'] else 'FAILS'}  {one['name']}: {one['value']:.2f} (bound {one['bound']})")
    if command.json:
        about = {"date": machine.today(), "hardware": machine.hardware(), "versions": machine.versions()}
        rows = [row for table in tables for row in table.plain_rows()]
        write_json(command.json, {**about, "commit": machine.commit(), "load": load, "rows": rows, "bars": bars})
        say(f"written to {command.json}")


if __name__ == "__main__":
    main(tyro.cli(Bench, description=__doc__))
