"""What came out of a run, in words that all rooms share? ``outcome.json``: what was learned, beside what it has to beat.

A room writes one where a run ends in a claim (``evaluate``, ``demo``). ``trimtab runs | report | demo`` read them, and need
to know nothing of the room.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, cast, get_args

from trimtab.records import write_json
from trimtab.statistics import Interval

FILE = "outcome.json"

Verdict = Literal["improved", "not shown", "worse", "hacked"]
"""What was learned against the best fixed choice: better, worse, undecided, or better by a proxy while the aim suffered."""
Kind = Literal["ratio", "difference"]
EVEN: Mapping[str, float] = {"ratio": 1.0, "difference": 0.0}


@dataclass(frozen=True)
class Level:
    """How well one way of choosing did. ``value``: by the outcome's measure. ``what``: the way, in a few words."""

    value: float
    what: str


@dataclass(frozen=True)
class Outcome:
    """A run's claim.

    ``learned``: what is learned here. ``measure``: what the levels count; more is better. ``default``: the setting that
    the reference publishes, None where it has none. ``fixed``: the best choice without learning, picked on the training
    split. ``policy``: what was learned. ``ceiling``: the oracle, or another bound; None where none is known. ``gain``:
    95% interval of ``policy`` over ``fixed``, as ``kind`` says. ``over``: what the interval is drawn over. ``note``: how
    all this was measured. ``seconds``: wall time, learning included.
    """

    room: str
    learned: str
    measure: str
    default: Level | None
    fixed: Level
    policy: Level
    ceiling: Level | None
    gain: Interval
    kind: Kind
    over: str
    verdict: Verdict
    sentence: str
    seconds: float
    note: str = ""

    def write(self, folder: Path) -> Path:
        """Write ``folder/outcome.json``, atomically, and return its path."""
        write_json(folder / FILE, asdict(self))
        return folder / FILE


def verdict_of(gain: Interval, kind: Kind) -> Verdict:
    """``improved`` or ``worse`` where the whole interval lies on one side of no gain, else ``not shown``."""
    if gain.contains(EVEN[kind]):
        return "not shown"
    return "improved" if gain.low > EVEN[kind] else "worse"


def read_outcome(folder: Path) -> Outcome | None:
    """The outcome of the run in ``folder``, None where it has none.

    Raises ValueError, naming the file and what is wrong in it, where it is not as ``Outcome.write`` leaves it.
    """
    path = folder / FILE
    if not path.is_file():
        return None
    try:
        return _outcome(json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise ValueError(f"{path} is no outcome of a run: {error}. Evaluate the run again.") from error


def _outcome(fields: Any) -> Outcome:
    """Check and build; the errors are read by ``read_outcome``."""
    texts = {name: _text(fields, name) for name in ("room", "learned", "measure", "over", "sentence", "note")}
    kind, verdict = _one_of(fields, "kind", get_args(Kind)), _one_of(fields, "verdict", get_args(Verdict))
    gain = fields["gain"]
    interval = Interval(*(_number(gain, name) for name in ("estimate", "low", "high")))
    levels = {name: _level(fields[name], name) for name in ("default", "fixed", "policy", "ceiling")}
    fixed, policy = levels["fixed"], levels["policy"]
    if fixed is None or policy is None:
        raise ValueError("fixed and policy are expected to be given")
    return Outcome(
        **texts,
        default=levels["default"],
        fixed=fixed,
        policy=policy,
        ceiling=levels["ceiling"],
        gain=interval,
        kind=cast("Kind", kind),
        verdict=cast("Verdict", verdict),
        seconds=_number(fields, "seconds"),
    )


def _text(fields: Any, name: str) -> str:
    if not isinstance(fields[name], str):
        raise ValueError(f"{name} is {fields[name]!r:.60}, expected text")
    return fields[name]


def _number(fields: Any, name: str) -> float:
    value = fields[name]
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise ValueError(f"{name} is {value!r:.60}, expected a number")
    return float(value)


def _one_of(fields: Any, name: str, known: tuple[str, ...]) -> str:
    if fields[name] not in known:
        raise ValueError(f"{name} is {fields[name]!r:.60}, expected one of {', '.join(known)}")
    return fields[name]


def _level(fields: Any, name: str) -> Level | None:
    if fields is None:
        return None
    if not isinstance(fields, dict):
        raise ValueError(f"{name} is {fields!r:.60}, expected value and what")
    return Level(_number(fields, "value"), _text(fields, "what"))
