"""What is a prompt to compress? Its tokens, the answer that is scored, and what a task's own metric compares with."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Prompt:
    """One prompt, tokenized. ``name`` tells it from all others.

    ``answer_ids``: the answer that is teacher-forced, two tokens or more (the first is free: it comes from the full
    cache); none: the full cache's own greedy answer. ``references``: right answers, for a task's metric. ``group``: the
    kind of task, which a metadata lookup may know. ``metric``: the task's own (``tasks.metrics``), none where it is empty;
    ``classes`` and ``first_line``: what it grades by. Raises ValueError.
    """

    name: str
    token_ids: tuple[int, ...]
    answer_ids: tuple[int, ...] = ()
    references: tuple[str, ...] = ()
    group: str = ""
    metric: str = ""
    classes: tuple[str, ...] = ()
    first_line: bool = False

    def __post_init__(self) -> None:
        if not self.token_ids:
            raise ValueError(f"prompt {self.name!r} has no tokens: expected one at least")
        if len(self.answer_ids) == 1:
            raise ValueError(
                f"the answer to {self.name!r} is one token, which the full cache gives in any case: expected two or more, "
                "or none (the full cache's own greedy answer is then scored)"
            )
