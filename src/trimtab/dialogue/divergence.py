"""How far is a policy from its reference, on the replies that it gave? The KL divergence, in nats per reply and token."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from trimtab.dialogue.example import Reply
from trimtab.dialogue.ppo.batches import joined
from trimtab.dialogue.ppo.learner import chosen_logprobs, refuse_other_vocabulary, reply_logits
from trimtab.dialogue.ppo.rubric_grader import prompt_ids


@torch.no_grad()
def kl_on_replies(
    policy: Any,
    reference: Any,
    tokenizer: Any,
    replies: Sequence[Reply],
    *,
    context: int = 256,
    batch_size: int = 32,
    reference_tokenizer: Any = None,
) -> dict[str, float]:
    """``kl`` and ``kl_per_token``: means of log policy - log reference over the policy's own replies, temperature 1.

    An unbiased estimate where the replies were sampled at temperature 1 from the whole distribution. ``context``: tokens
    of a prompt that the policy read. Raises ValueError for a reference of another vocabulary.
    """
    names = () if reference_tokenizer is None else (tokenizer, reference_tokenizer)
    refuse_other_vocabulary(policy, reference, names)
    total, count = 0.0, 0
    for start in range(0, len(replies), batch_size):
        some = replies[start : start + batch_size]
        said = [_said(tokenizer, reply) for reply in some]
        prompts = [prompt_ids(tokenizer, reply.example.prompt) for reply in some]
        tokens = joined(prompts, said, context=context, reply=max(map(len, said))).to(policy.device)
        own_BT, other_BT = (
            chosen_logprobs(reply_logits(m, tokens)[0], tokens.reply_ids_BT) for m in (policy, reference)
        )
        total += float(((own_BT - other_BT) * tokens.reply_mask_BT).sum())
        count += int(tokens.reply_mask_BT.sum())
    return {"kl": total / len(replies), "kl_per_token": total / count}


def _said(tokenizer: Any, reply: Reply) -> list[int]:
    """The tokens of a reply. One that was cut and is empty cannot have been sampled: it raises ValueError."""
    ids = [*prompt_ids(tokenizer, reply.text), *([int(tokenizer.eos_token_id)] if reply.ended else [])]
    if not ids:
        raise ValueError(f"the reply to {reply.example.key!r} is empty and did not end: no policy gave it")
    return ids
