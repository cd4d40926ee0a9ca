"""Does a person see what they should?"""

from __future__ import annotations

import io
import math

import pytest
from rich.console import Console

from trimtab.console import Table, duration, number, print_update, progress, update_line
from trimtab.statistics import Interval


def test_the_line_of_an_update(capsys: pytest.CaptureFixture[str]) -> None:
    metrics = {"reward": Interval(0.61, 0.58, 0.64), "kl": 0.0123}
    assert update_line(120, metrics, 41.2) == "update 120 | reward 0.61 +-0.03 | kl 0.0123 | 41 s"
    print_update(120, metrics, 41.2)
    assert capsys.readouterr().out == "update 120 | reward 0.61 +-0.03 | kl 0.0123 | 41 s\n"


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0.61, "0.61"),
        (0.012345, "0.0123"),
        (999.9, "1000"),
        (1234.5, "1234"),
        (12345, "12345"),
        (1.999, "2"),
        (-2.5049, "-2.5"),
        (0.0, "0"),
        (1.234e-7, "1.23e-07"),
        (math.nan, "nan"),
        (math.inf, "inf"),
    ],
)
def test_numbers(value: float, shown: str) -> None:
    assert number(value) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0.423, "0.42 s"),
        (9.96, "10 s"),
        (41.2, "41 s"),
        (59.7, "1 min 0 s"),
        (725, "12 min 5 s"),
        (12_000, "3 h 20 min"),
    ],
)
def test_durations(seconds: float, shown: str) -> None:
    assert duration(seconds) == shown


def test_a_table_for_people_and_for_programs() -> None:
    table = Table("Speed", ["name", "tokens_per_second", "identical_text", "tau"], note="two cores")
    table.add("plain [greedy]", 123.456, True, None)
    table.add("eagle", 2.0, False, 3.5)
    output = io.StringIO()
    table.print(Console(file=output, width=80))
    shown = output.getvalue()
    for text in ("Speed", "tokens per second", "plain [greedy]", "123", "yes", "no", "-", "3.5", "two cores"):
        assert text in shown
    assert table.plain_rows()[0] == {
        "name": "plain [greedy]",
        "tokens_per_second": 123.456,
        "identical_text": True,
        "tau": None,
    }
    with pytest.raises(ValueError, match="2 cells for the columns name, tokens_per_second"):
        table.add("short", 1)


def test_progress_passes_items_on_and_keeps_output_clean(capsys: pytest.CaptureFixture[str]) -> None:
    assert list(progress(range(3), "counting")) == [0, 1, 2]
    assert capsys.readouterr().out == ""
