"""Collected decodes as columns: what estimates and learners work on.

A prompt is a question's turn with its context; at temperature 0 all its decodes write the same text, whose positions they
share. Of each round: where it began, what was known, the tree and the logger's probabilities, what it brought and cost.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from trimtab.speculation.actions import TreeShape
from trimtab.speculation.collect import PHASES
from trimtab.speculation.collected import Collected
from trimtab.speculation.context import HISTORY_NAMES

_PER_ROUND = (
    "decode_N",
    "position_N",
    "features_NF",
    "action_N",
    "probabilities_NA",
    "accepted_N",
    "tokens_N",
    "seconds_N",
)


@dataclass(frozen=True, eq=False)
class Log:
    """Decodes as columns: E decodes of Q prompts, N rounds in order of play, F joined features, A trees.

    ``positions_Q``: the positions of each prompt's text (its tokens but one); ``context_Q``: committed tokens at
    position 0. ``seconds_N`` are the models' (draft, verify, rest), without the logger's own.
    """

    actions: list[TreeShape]
    feature_names: list[str]
    prompts: list[str]
    positions_Q: np.ndarray
    context_Q: np.ndarray
    prompt_E: np.ndarray
    decode_N: np.ndarray
    position_N: np.ndarray
    features_NF: np.ndarray
    action_N: np.ndarray
    probabilities_NA: np.ndarray
    accepted_N: np.ndarray
    tokens_N: np.ndarray
    seconds_N: np.ndarray

    @property
    def decodes(self) -> int:
        return len(self.prompt_E)

    @property
    def rounds(self) -> int:
        return len(self.action_N)

    @cached_property
    def prompt_N(self) -> np.ndarray:
        return self.prompt_E[self.decode_N]

    @cached_property
    def probability_N(self) -> np.ndarray:
        return self.probabilities_NA[np.arange(self.rounds), self.action_N]

    @cached_property
    def depth_A(self) -> np.ndarray:
        return np.array([action.depth for action in self.actions])

    @property
    def position_width(self) -> int:
        """How many of the features belong to the position; those of the history follow."""
        return len(self.feature_names) - len(HISTORY_NAMES)

    @cached_property
    def conversation_Q(self) -> np.ndarray:
        """Equal numbers for the turns of one conversation, which are no independent samples."""
        return np.unique([name.split("/turn")[0] for name in self.prompts], return_inverse=True)[1]

    def rounds_where(self, keep_N: np.ndarray) -> Log:
        """Some of the rounds; prompts and decodes keep their numbers."""
        return replace(self, **{name: getattr(self, name)[keep_N] for name in _PER_ROUND})

    def prompts_where(self, keep_Q: np.ndarray) -> Log:
        """The decodes of the prompts that ``keep_Q`` marks; prompts and decodes are numbered anew."""
        number_Q, kept_E = np.cumsum(keep_Q) - 1, keep_Q[self.prompt_E]
        number_E = np.cumsum(kept_E) - 1
        kept = self.rounds_where(kept_E[self.decode_N])
        return replace(
            kept,
            prompts=[name for name, wanted in zip(self.prompts, keep_Q.tolist(), strict=True) if wanted],
            positions_Q=self.positions_Q[keep_Q],
            context_Q=self.context_Q[keep_Q],
            prompt_E=number_Q[self.prompt_E[kept_E]],
            decode_N=number_E[kept.decode_N],
        )


def as_log(collected: Collected) -> Log:
    """The decodes as columns. Raises ValueError for none, for sampled texts, or for prompts that ended differently."""
    header, decodes = collected.header, [d for d in collected.decodes if d.rounds]
    sampled = [d.prompt for d in decodes if d.answer.temperature > 0]
    if sampled:
        raise ValueError(
            f"{len(sampled)} decodes were sampled (temperature above 0), {sampled[0]} first: their text depends on "
            "chance, so that rounds of other trees cannot be compared. Collect at temperature 0"
        )
    if not decodes:
        raise ValueError("the files hold no decode with a round: expected texts of at least 2 tokens")
    first = {decode.prompt: decode for decode in reversed(decodes)}
    for decode in decodes:
        if decode.answer.tokens != first[decode.prompt].answer.tokens:
            raise ValueError(
                f"{decode.prompt} was answered with {decode.answer.tokens} and with "
                f"{first[decode.prompt].answer.tokens} tokens: expected one text at temperature 0. Was max_new_tokens "
                "changed, or do ties in bf16 flip? Keep such sessions apart, or collect in float32"
            )
    names = list(dict.fromkeys(decode.prompt for decode in decodes))
    number = {name: index for index, name in enumerate(names)}
    rounds = [r for decode in decodes for r in decode.rounds]
    return Log(
        list(header.menu),
        list(header.features),
        names,
        np.array([first[name].answer.tokens - 1 for name in names]),
        np.array([first[name].rounds[0].context_tokens - first[name].rounds[0].position for name in names]),
        np.array([number[decode.prompt] for decode in decodes]),
        np.repeat(np.arange(len(decodes)), [len(decode.rounds) for decode in decodes]),
        np.array([r.position for r in rounds]),
        np.array([r.features for r in rounds], dtype=np.float32),
        np.array([r.action for r in rounds]),
        np.array([r.probabilities for r in rounds]),
        np.array([r.accepted for r in rounds]),
        np.array([r.tokens for r in rounds]),
        np.array([sum(r.seconds[p] for p in PHASES if p != "policy") for r in rounds]),
    )
