"""What is known of every position of a text? One teacher-forced pass of the target, one causal pass of the head."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import NamedTuple

import torch
from torch import Tensor

from trimtab.lm import fingerprint as fingerprints
from trimtab.speculation.engine.drafter import TreeDrafter
from trimtab.speculation.engine.generation import RoundState
from trimtab.speculation.engine.speculator import Speculator

_TIE = {torch.float32: 1e-3}
_COARSE_TIE = 0.5


@contextmanager
def borrowed(speculator: Speculator) -> Generator[None]:
    """Within, both caches are ours; before and after, they are empty."""
    speculator.forget()
    try:
        with torch.inference_mode(), speculator.target.tapped():
            yield
    finally:
        speculator.forget()


class Lesson(NamedTuple):
    """Teacher-forced: the logits [L, V] that chose each token of a text; the target's features and the head's states of
    all committed tokens but the last, T = n + L - 2."""

    logits_LV: Tensor
    features_TF: Tensor
    states_TH: Tensor

    def round_state(self, drafter: TreeDrafter, whole: list[int], prompt_tokens: int, position: int) -> RoundState:
        """What a policy would look at where the drafter stands, at a position of the text ``whole``, prompt included."""
        assert drafter.root_logprobs is not None
        assert drafter.root_state is not None
        committed = prompt_tokens + position
        return RoundState(
            context_tokens=committed,
            new_tokens=position + 1,
            rounds=[],
            root=whole[committed],
            root_logprobs_D=drafter.root_logprobs,
            root_state_H=drafter.root_state[0],
            fused_H=self.features_TF[committed - 1],
            target_logits_V=self.logits_LV[position],
            committed=whole,
        )


def taught(speculator: Speculator, ids: list[int], text: list[int]) -> Lesson:
    """One pass of each model over a prompt and its answer."""
    target, device = speculator.target, speculator.target.device
    tokens_T = torch.tensor(ids + text[:-1], device=device)
    first_logits, prompt_features = target.prefill(tokens_T[: len(ids)])
    rows = torch.arange(len(text) - 1, device=device)
    logits, text_features = target.forward(tokens_T[len(ids) :], rows, rows[:, None] >= rows[None, :])
    features_TF = torch.cat((prompt_features, text_features))[:-1]
    states_TH = speculator.drafter.extend(tokens_T[1:], features_TF)
    return Lesson(torch.cat((first_logits[None], logits)), features_TF, states_TH)


def check_greedy(task: str, logits_LV: Tensor, text: list[int]) -> None:
    """Whether the text is what the target would say; ties within rounding may have been broken either way."""
    chosen = logits_LV[torch.arange(len(text)), torch.tensor(text)]
    gap = (logits_LV.max(dim=-1).values - chosen).float()
    tolerance = _TIE.get(logits_LV.dtype, _COARSE_TIE)
    if float(gap.max()) > tolerance:
        worst = int(gap.argmax())
        raise RuntimeError(
            f"the greedy text of {task!r} is not the target's own at token {worst} (logits differ by "
            f"{float(gap[worst]):.3g}, ties by at most {tolerance}): generation and a plain forward pass of this model "
            "disagree. Does its attention depend on more than mask and positions?"
        )


def fingerprint(speculator: Speculator) -> str:
    """A digest of both models' weights (samples of every tensor): tables of other weights do not apply."""
    return fingerprints.of_weights(speculator.model, speculator.head)
