"""What does a confined process say to its grader, and how is that read? A letter, then JSON or a line of text.

A process never says that a test passed: it gives a value, or tells how the call failed. ``load`` answers stand for
the whole program. Only a process of assertions, in which no program runs, says so of its own tests.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from trimtab.qcode.engine.protocol import Status

VALUE, FAILED, CALL, PASSED, NOT_PLAIN = b"v", b"f", b"c", b"p", b"n"
MOST_TEXT = 300
BAD_TEST = "bad test"
"""In the place of an exception's class: a test's own arguments fail, in q. Of python programs this means nothing."""


@dataclass(frozen=True)
class Failure:
    """How a call, or a whole program, failed."""

    status: Status
    detail: str
    kind: str = ""
    """The class of a python exception."""
    load: bool = False
    """Whether the program failed before any call."""


FAILURES = {s.value: s for s in (Status.WRONG, Status.ERROR, Status.MEMORY, Status.FORBIDDEN, Status.UNSUPPORTED)}
"""What a process may say of itself. The rest is seen from outside."""


def failed(status: Status, detail: str, kind: str = "", load: bool = False) -> bytes:
    """An answer that tells of a failure."""
    return FAILED + json.dumps([status.value, detail[:MOST_TEXT], kind[:80], load]).encode()


def read_failure(body: bytes) -> Failure:
    """What ``failed`` wrote, without its letter. Raises ValueError on anything else."""
    content: Any = json.loads(body)
    if type(content) is not list or len(content) != 4:
        raise ValueError("no failure")
    status, detail, kind, load = content
    if status not in FAILURES or type(detail) is not str or type(kind) is not str or type(load) is not bool:
        raise ValueError("no failure")
    return Failure(FAILURES[status], detail[:MOST_TEXT], kind[:80], load)
