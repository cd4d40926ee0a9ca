"""Does an outcome come back as it was written, and is a broken one refused in a clear line?"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from trimtab.outcomes import FILE, Kind, Level, Outcome, Verdict, read_outcome, verdict_of
from trimtab.statistics import Interval

OUTCOME = Outcome(
    room="speculation",
    learned="which tree",
    measure="tokens per second",
    default=Level(229.0, "the published tree"),
    fixed=Level(278.0, "one tree"),
    policy=Level(289.0, "the policy"),
    ceiling=None,
    gain=Interval(1.04, 1.01, 1.07),
    kind="ratio",
    over="49 turns",
    verdict="improved",
    sentence="It pays.",
    seconds=12.5,
    note="Timed.",
)


def test_what_is_written_is_read(tmp_path: Path) -> None:
    assert read_outcome(tmp_path) is None
    OUTCOME.write(tmp_path)
    assert read_outcome(tmp_path) == OUTCOME
    other = replace(OUTCOME, default=None, ceiling=Level(400.0, "the oracle"), kind="difference", verdict="hacked")
    other.write(tmp_path)
    assert read_outcome(tmp_path) == other


@pytest.mark.parametrize(
    ("low", "high", "kind", "verdict"),
    [
        (1.01, 1.07, "ratio", "improved"),
        (0.9, 1.07, "ratio", "not shown"),
        (1.0, 1.07, "ratio", "not shown"),
        (0.9, 0.99, "ratio", "worse"),
        (0.01, 0.2, "difference", "improved"),
        (-0.01, 0.2, "difference", "not shown"),
        (-0.2, -0.1, "difference", "worse"),
    ],
)
def test_the_verdict_needs_the_whole_interval(low: float, high: float, kind: Kind, verdict: Verdict) -> None:
    assert verdict_of(Interval((low + high) / 2, low, high), kind) == verdict


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"verdict": "great"}, "verdict is 'great', expected one of improved, not shown, worse, hacked"),
        ({"kind": 3}, "kind is 3, expected one of ratio, difference"),
        ({"fixed": None}, "fixed and policy are expected to be given"),
        ({"policy": {"value": "1", "what": "x"}}, "value is '1', expected a number"),
        ({"policy": {"value": True, "what": "x"}}, "value is True, expected a number"),
        ({"default": 7}, "default is 7, expected value and what"),
        ({"seconds": float("nan")}, "seconds is nan, expected a number"),
        ({"room": ["x"]}, "expected text"),
    ],
)
def test_a_broken_outcome_says_what_is_wrong(change: dict[str, Any], told: str, tmp_path: Path) -> None:
    path = OUTCOME.write(tmp_path)
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(ValueError, match=r"outcome\.json is no outcome of a run: .*Evaluate the run again") as raised:
        read_outcome(tmp_path)
    assert told in str(raised.value)


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3),
    max_leaves=5,
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.dictionaries(st.sampled_from(["room", "gain", "fixed", "policy", "kind", "seconds", "note"]), JSON) | JSON)
def test_hostile_json_ends_in_an_outcome_or_a_value_error(tmp_path: Path, change: Any) -> None:
    path = OUTCOME.write(tmp_path)
    path.write_text(json.dumps(json.loads(path.read_text()) | change if isinstance(change, dict) else change))
    try:
        read: Outcome | None = read_outcome(tmp_path)
    except ValueError as error:
        told = str(error)
    else:
        assert isinstance(read, Outcome)
        return
    assert FILE in told


@given(st.binary(max_size=60))
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_hostile_bytes_end_in_a_value_error(tmp_path: Path, content: bytes) -> None:
    (tmp_path / FILE).write_bytes(content)
    with pytest.raises(ValueError, match="no outcome of a run"):
        read_outcome(tmp_path)
