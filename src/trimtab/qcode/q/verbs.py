"""What do the commands of q print? The console, a script's run, and the conformance table."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from trimtab.checkpoints import replace_file
from trimtab.console import Table, say
from trimtab.qcode.q.conformance import Report, measure
from trimtab.qcode.q.errors import Exit, Limits, QError, Unsupported
from trimtab.qcode.q.scripts import statements, unfinished
from trimtab.qcode.q.session import Session

HISTORY = Path.home() / ".trimtab_q_history"
ATTENDED = Limits(steps=1 << 62, memory_bytes=8 << 30, seconds=None)
"""For somebody who sits at the console, or runs a script of their own, and can interrupt it."""


def run_file(path: Path) -> int:
    """Run a script; what it prints goes to standard output. An error ends it with status 1."""
    session = Session(ATTENDED, _write)
    try:
        for statement in statements(path.read_text(encoding="utf-8", errors="surrogateescape")):
            session(statement)
    except Exit as end:
        return end.status
    except QError as error:
        _write(f"'{error.text}\n")
        return 1
    except Unsupported as error:
        raise ValueError(f"{path}: this interpreter has no {error}") from None
    return 0


def _write(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


def answer(session: Session, text: str) -> str:
    """What the console prints for a text: output of the program, then the value or the error."""
    try:
        return session.show(text)
    except Exit:
        raise
    except QError as error:
        failure = f"'{error.text}\n"
    except Unsupported as error:
        failure = f"unsupported: {error}\n"
    return "".join(session.state.output) + failure


def interact() -> int:
    """Read lines and print their values until ``\\\\``, exit or the end of input; lines are kept in a history.

    A line that leaves a bracket or a string open goes on in the next; an empty line ends it.
    """
    session = Session(ATTENDED, _write)
    interactive = sys.stdin.isatty()
    if interactive:
        _remember()
        print("trimtab q; leave by \\\\")
    while True:
        space = session.state.space
        try:
            text = _read("q" + ("" if space == "." else space) + ")", interactive)
        except EOFError:
            return 0
        except KeyboardInterrupt:
            print()
            continue
        try:
            _write(answer(session, text))
        except Exit as end:
            _write("".join(session.state.output))
            return end.status
        except KeyboardInterrupt:
            _write("'stop\n")


def _read(prompt: str, interactive: bool) -> str:
    """A statement, of one line or several."""
    text = input(prompt if interactive else "")
    while unfinished(text):
        try:
            line = input(" " * len(prompt) if interactive else "")
        except EOFError:
            break
        if not line.strip():
            break
        text += "\n " + line
    return text


def _remember() -> None:
    """Line editing, with the lines of earlier sessions."""
    try:
        import atexit
        import readline
    except ImportError:
        return
    if HISTORY.exists():
        readline.read_history_file(HISTORY)
    readline.set_history_length(2000)
    atexit.register(readline.write_history_file, HISTORY)


def conformance(path: Path, out: Path | None, failures: bool) -> int:
    """Replay a file of examples and print how many pass, by section and by reason of failure."""
    report = measure(path)
    if failures:
        _print_failures(report)
    for title, what in (("section", "section"), ("tag", "tag")):
        table = Table(f"passed by {title}", (title, "passed", "testable", "share"))
        for name, (passed, testable) in report.by(what).items():
            table.add(name, passed, testable, passed / testable)
        table.print()
    reasons = Table("failed by reason", ("reason", "count"))
    for reason, count in report.reasons().most_common():
        reasons.add(reason, count)
    reasons.print()
    causes = Table("failed by the cause on record", ("cause", "all", "pure expressions"))
    for cause, counts in report.causes().items():
        causes.add(cause, *counts)
    causes.print()
    data = report.as_json()
    passed, testable = data["passed"], data["testable"]
    kept = data["without_known_bad"]
    print(f"passed {passed} of {testable} testable examples ({passed / max(testable, 1):.1%})")
    print(f"without {testable - kept['testable']} known to be bad: {kept['passed']} of {kept['testable']}")
    if out:
        text = json.dumps(data, indent=1, ensure_ascii=True) + "\n"
        replace_file(out, lambda scratch: scratch.write_text(text, encoding="utf-8"))
        say(f"written to {out}")
    return 0


def _print_failures(report: Report) -> None:
    for o in report.outcomes:
        if not o.passed:
            mark = " (known bad)" if report.is_bad(o) else ""
            print(f"--- {o.row['page']}:{o.row.get('line')}  {o.reason}{mark}\nq){o.row['input']}")
            print(f"expected:\n{o.row['expected']}\ngot:\n{o.got.rstrip()}\n")
