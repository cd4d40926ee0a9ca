"""What is gained by nothing but choosing? The best of n replies by the rubric: a baseline that trains nothing.

Its KL to the model it draws from is at most ``log n - (n - 1) / n`` (Beirami et al. 2024, arXiv:2401.01879), at n times the
tokens for every reply.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from trimtab.dialogue.answering import Manner, answer
from trimtab.dialogue.example import Example, Reply
from trimtab.rewards import Rubric


def kl_bound(count: int) -> float:
    """The most that the best of ``count`` can be away from its model, in nats. Raises ValueError for less than one."""
    if count < 1:
        raise ValueError(f"the best of {count}: expected one at least")
    return math.log(count) - (count - 1) / count


def best_of(
    model: Any, tokenizer: Any, examples: Sequence[Example], rubric: Rubric[Reply], count: int, manner: Manner
) -> list[Reply]:
    """The reply to each example that the rubric values most among ``count`` samples; the earliest of equals.

    ``tokens`` of the reply are those of all its samples. Raises ValueError for a greedy manner with more than one.
    """
    if count > 1 and manner.greedy:
        raise ValueError(f"the best of {count} greedy replies: they are all the same. Expected a temperature above 0")
    kl_bound(count)
    draws = [answer(model, tokenizer, examples, manner, draw=draw) for draw in range(count)]
    # draw by draw: parts that look at many replies together see one reply to each example
    values = [[grade.value for grade in rubric(replies)] for replies in draws]
    found: list[Reply] = []
    for index, example in enumerate(examples):
        best = max(range(count), key=lambda draw: values[draw][index])
        spent = sum(draws[draw][index].tokens or 0 for draw in range(count))
        found.append(Reply(example, draws[best][index].text, draws[best][index].ended, spent))
    return found
