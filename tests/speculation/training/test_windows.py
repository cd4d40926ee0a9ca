"""Does packing keep every token of every answer, once, in its own document?"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trimtab.speculation.training.answers import Answered
from trimtab.speculation.training.windows import pack, pieces, suggested_rows

LENGTHS = st.lists(st.tuples(st.integers(1, 60), st.integers(1, 60)), min_size=1, max_size=20)


def documents(lengths: list[tuple[int, int]]) -> list[Answered]:
    """Ids that are all different, so that each can be recognised."""
    made, start = [], 1
    for number, (prompt, reply) in enumerate(lengths):
        made.append(Answered(str(number), np.arange(start, start + prompt + reply, dtype=np.int32), prompt))
        start += prompt + reply
    return made


def test_a_document_that_fits_is_one_piece() -> None:
    (piece,) = pieces(documents([(5, 7)])[0], 32, 32, unroll=3)
    assert len(piece.ids) == 12
    assert piece.first == 5
    assert list(piece.rows(3)) == list(range(1, 10))  # from 5 - 2 - (3 - 1) on, to the last but two


def test_a_long_answer_is_cut_from_its_end() -> None:
    parts = list(pieces(documents([(4, 40)])[0], 20, 20, unroll=2))
    assert [(int(part.ids[0]), len(part.ids), part.first) for part in parts] == [(25, 20, 2), (7, 20, 2), (1, 8, 4)]


@settings(max_examples=60, deadline=None)
@given(LENGTHS, st.integers(12, 64), st.integers(1, 6), st.data())
def test_each_answer_token_is_predicted_once_in_its_context(lengths, window, unroll, data) -> None:
    rows = data.draw(st.integers(unroll + 1, window))
    given_ = documents(lengths)
    wanted = sorted(int(x) for item in given_ for x in item.ids[max(item.prompt_tokens, 2) :])
    if not wanted:
        with pytest.raises(ValueError, match="no tokens to learn from"):
            pack(given_, window_tokens=window, window_rows=rows, unroll=unroll)
        return
    packed = pack(given_, window_tokens=window, window_rows=rows, unroll=unroll)
    found = []
    for tokens, numbers, positions, row, learns in zip(
        packed.tokens_WT, packed.documents_WT, packed.positions_WT, packed.rows_WQ, packed.learns_WQ, strict=True
    ):
        for i in row[learns]:
            assert numbers[i] == numbers[i + 2] >= 0
            assert positions[i + 2] == positions[i] + 2
            assert tokens[i + 2] == tokens[i] + 2  # neighbours in the document are neighbours here
            found.append(int(tokens[i + 2]))
    assert sorted(found) == wanted
    assert packed.answer_tokens == len(wanted)


def test_windows_are_filled_well() -> None:
    draw = np.random.default_rng(0)
    given_ = documents([(int(draw.integers(5, 100)), int(draw.integers(5, 100))) for _ in range(400)])
    rows = suggested_rows(given_, 256, 7)
    packed = pack(given_, window_tokens=256, window_rows=rows, unroll=7)
    used = sum(len(item.ids) for item in given_)
    assert used / packed.tokens_WT.size > 0.85
    assert rows < 200


def test_rows_must_exceed_the_unrolled_steps() -> None:
    with pytest.raises(ValueError, match="window_rows is 7: expected more than unroll, 7"):
        pack(documents([(3, 9)]), window_tokens=16, window_rows=7, unroll=7)
