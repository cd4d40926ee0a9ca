"""Does every program end? Steps, depth, memory and time run out with clear errors that no trap of q catches."""

from __future__ import annotations

import threading

import pytest

from trimtab.qcode.q.errors import LimitError, Limits, QError, Unsupported
from trimtab.qcode.q.session import Session

MEMORY = Limits(memory_bytes=1 << 27)


@pytest.mark.parametrize("text", ["while[1b;1]", "{x+1}/[{1b};0]", "do[10000000;1]", "{x}each til 100000"])
def test_steps_run_out(text: str) -> None:
    with pytest.raises(LimitError, match="limit"):
        Session(Limits(steps=50_000)).value(text)


def test_steps_are_counted_anew_for_each_text() -> None:
    q = Session(Limits(steps=50_000))
    for _ in range(3):
        assert q("{x+1}/[20000;0]").py() == 20000


def test_no_trap_catches_a_limit() -> None:
    with pytest.raises(LimitError):
        Session(Limits(steps=10_000)).value("@[{while[1b;1]};0;`caught]")


@pytest.mark.parametrize(
    "text",
    [
        "til 100000000000",
        "100000000000#1",
        "x:til 1000;do[60;x:x,x]",
        "{x,x}/[60;1 2]",
        "(til 100000)cross til 100000",
        "r:();while[1b;r,:enlist til 1000]",
        "1000000000?10",
    ],
)
def test_memory_runs_out(text: str) -> None:
    with pytest.raises(LimitError, match="wsfull"):
        Session(MEMORY).value(text)


def test_recursion_ends_in_stack_which_a_program_may_trap() -> None:
    q = Session()
    with pytest.raises(QError, match="stack"):
        q.value("f:{1+f x};f 0")
    assert q("@[f;0;`$]").py() == "stack"
    assert q("{$[x;1+.z.s x-1;0]}500").py() == 500


def test_deep_nesting_of_text_and_of_values_is_an_error_of_q() -> None:
    with pytest.raises(QError):
        Session().value("(" * 100_000 + "1" + ")" * 100_000)
    with pytest.raises(QError):
        Session().show("{enlist x}/[200000;1]")


def test_time_runs_out_also_outside_the_main_thread() -> None:
    caught: list[str] = []

    def work() -> None:
        try:
            Session(Limits(seconds=0.2)).value("while[1b;1]")
        except LimitError as error:
            caught.append(error.text)

    work()
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert caught == ["limit", "limit"]


@pytest.mark.parametrize("text", ['system"ls"', "read0`:x", "hopen 5000", "`:f set 1", "\\l x.q", "getenv`HOME", "k)1"])
def test_the_world_outside_is_out_of_reach(text: str) -> None:
    with pytest.raises(Unsupported):
        Session().value(text)
