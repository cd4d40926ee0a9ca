"""Do messages hold their values? Bytes by hand from the published format, and values that come back."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trimtab.qcode.q.errors import QError, Unsupported
from trimtab.qcode.q.session import Session

VALUES = [
    "1",
    "1 0N 3",
    "`a`b",
    '"abc"',
    "101b",
    "2.5 0n 0w",
    "1 2h",
    "3i",
    "0x0102",
    "2020.01.01 0Nd",
    "2020.01.01D10:00",
    "0D01:00",
    "12:30",
    "12:30:15.123",
    "2000.01m",
    "0Ng",
    "`s#1 2 3",
    '(1;`a;"x";(1 2;`b))',
    "`a`b!(1 2;`x)",
    "([]a:1 2;b:`x`y)",
    "([k:1 2]v:3 4f)",
    "{x+y}",
    "(::)",
    "()",
    '""',
]


@pytest.mark.parametrize("text", VALUES)
def test_a_value_comes_back_from_its_message(text: str) -> None:
    q = Session()
    assert q(f"x:{text};x~-9!-8!x").py() is True
    assert q("x~-9!-18!x").py() is True
    assert q("attr[x]~attr -9!-8!x").py() is True


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1i", "010000000d000000fa01000000"),
        ("1 2", "010000001e00000007000200000001000000000000000200000000000000"),
        ("`ab", "010000000c000000f5616200"),
        ("(::)", "010000000a0000006500"),
    ],
)
def test_messages_are_those_of_the_format(text: str, message: str) -> None:
    q = Session()
    assert q(f"-8!{text}").np().tobytes().hex() == message


def test_a_long_message_is_compressed_as_q_does() -> None:
    q = Session()
    assert q("count -8!til 1000").py() == 8014
    assert q("count -18!til 1000").py() == 3276


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=40), st.sampled_from(["-9!", "-9!0x01000100,"]))
def test_damaged_messages_are_errors_of_q(data: bytes, head: str) -> None:
    q = Session()
    q["x"] = 0
    with contextlib.suppress(QError, Unsupported):
        q.value(f"{head}0x{data.hex()}")


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(-3, 3), max_size=400))
def test_what_is_compressed_expands_again(numbers: list[int]) -> None:
    from trimtab.qcode.q.squeeze import compressed, expanded

    message = bytes(8) + bytes(n & 255 for n in numbers)
    message = message[:4] + len(message).to_bytes(4, "little") + message[8:]
    short = compressed(message)
    assert short == message or expanded(short) == message


def test_bytes_are_read_in_records_of_either_order() -> None:
    q = Session()
    assert q('("ij";4 8) 1: 0x010000000200000000000000').py() == [[1], [2]]
    assert q('(4 8;"ij") 1: 0x000000010000000000000002').py() == [[1], [2]]
    with pytest.raises(Unsupported):
        q('("i";4) 1: `:file')
