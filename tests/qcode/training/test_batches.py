"""Do the numbers of completions fit together, and is what does not fit refused with the nearest that does?"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trimtab.qcode.training.batches import boundary, solve

small = st.integers(min_value=1, max_value=12)


@given(st.integers(min_value=2, max_value=12), small, small, st.none() | small)
def test_what_is_solved_is_what_trl_accepts(
    group: int, per_device: int, processes: int, eval_group: int | None
) -> None:
    found = solve(group=group, per_device=per_device, processes=processes, eval_group=eval_group)
    assert found.completions == per_device * processes * found.accumulation
    assert found.completions % group == 0
    assert (found.eval_per_device * processes) % found.eval_group == 0
    assert found.prompts * group == found.completions


def test_the_originals_numbers() -> None:
    found = solve(group=8, per_device=1, processes=7, accumulation=8, eval_group=4)
    assert (found.completions, found.prompts, found.eval_per_device) == (56, 7, 4)


def test_prompts_decide_the_accumulation() -> None:
    assert solve(group=8, per_device=16, prompts=8).accumulation == 4


@pytest.mark.parametrize(
    ("given_", "told"),
    [
        ({"group": 8, "per_device": 1, "processes": 7, "accumulation": 7}, "give --gradient-accumulation-steps 8"),
        ({"group": 8, "per_device": 1, "processes": 7, "accumulation": 12}, "accumulation-steps 8 or 16"),
        ({"group": 8, "per_device": 12, "prompts": 8}, "--prompts-per-step 6 or 9"),
        ({"group": 8, "per_device": 8, "prompts": 8, "accumulation": 3}, "need 8 gradient accumulation steps, but 3"),
        ({"group": 1, "per_device": 8}, "at least 2"),
        ({"group": 4, "per_device": 0}, "per_device_train_batch_size 0"),
        ({"group": 8, "per_device": 8, "eval_group": 4, "eval_per_device": 6}, "--per-device-eval-batch-size 4 or 8"),
    ],
)
def test_contradictions_are_refused_with_numbers_that_fit(given_: dict[str, int], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        solve(**given_)


@given(
    st.integers(min_value=1, max_value=50), st.integers(min_value=1, max_value=6), st.integers(min_value=1, max_value=4)
)
def test_checkpoints_lie_between_generations(every: int, steps: int, iterations: int) -> None:
    if every % (steps * iterations):
        with pytest.raises(ValueError, match="could not be resumed exactly"):
            boundary(every, steps, iterations, 1, "save_steps")
    else:
        assert boundary(every, steps, iterations, 1, "save_steps") == every
