"""What does a compressed cache answer to one prompt, and what does the full one?"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from trimtab.compression.actions import Action, parse
from trimtab.compression.context_encoders import check_fingerprints, prompt_features, sources_of
from trimtab.compression.engine.compressor import compress
from trimtab.compression.engine.prefill import prefill
from trimtab.compression.features import chosen
from trimtab.compression.model_names import load
from trimtab.compression.prompt_sets import FIRST_SEED, is_recall
from trimtab.compression.prompts import Prompt
from trimtab.compression.router import Router
from trimtab.compression.tasks.recall import Recall
from trimtab.console import say

if TYPE_CHECKING:
    from trimtab.compression.use_recipe import Generate


def prompt_ids(text: str, tokenizer: PreTrainedTokenizerBase) -> tuple[int, ...]:
    """The prompt's tokens: ``@recall/N``, ``@FILE``, or the text itself. Raises ValueError, FileNotFoundError."""
    plain: Any = tokenizer
    if text.startswith("@recall/"):
        number = text.removeprefix("@recall/")
        if not is_recall(tokenizer) or not number.isdecimal():
            raise ValueError(f"no prompt {text}: expected zoo:recall as the model, and @recall/N with a number N")
        return Recall().prompt(FIRST_SEED, int(number)).token_ids
    if text.startswith("@"):
        text = Path(text[1:]).read_text(encoding="utf-8")
    if plain.chat_template:
        messages = [{"role": "user", "content": text}]
        ids = plain.apply_chat_template(messages, add_generation_prompt=True, return_dict=False)
    else:
        ids = plain(text)["input_ids"]
    if not ids:
        raise ValueError("the prompt has no tokens: expected some text")
    if is_recall(tokenizer) and plain.unk_token_id is not None and plain.unk_token_id in ids:
        raise ValueError("the prompt has words that zoo:recall does not know: expected @recall/N, or its own language")
    return tuple(map(int, ids))


def routed(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, ids: Sequence[int], policy: Path
) -> tuple[Action, int]:
    """The action that a trained policy picks for a prompt, and its budget. Reads the prompt once.

    Raises ValueError where the policy sees what cannot be made anew.
    """
    router = Router.load(policy)
    actions = [parse(name) for name in router.actions]
    features = prompt_features(sources_of(router), tokenizer, actions, [router.budget])
    check_fingerprints(features, router.about)
    read = prefill(model, ids, features.weights)
    named = {name: vector[None] for name, vector in features(read, Prompt("prompt", tuple(ids))).items()}
    column = int(router.choose(chosen(named, router.encoder))[0])
    return parse(router.actions[column]), router.budget


@torch.no_grad()
def _answer(model: Any, ids: Sequence[int], new_tokens: int) -> list[int]:
    given = torch.tensor([list(ids)], device=model.device)
    pad = model.generation_config.pad_token_id
    written = model.generate(
        given,
        attention_mask=torch.ones_like(given),
        max_new_tokens=new_tokens,
        do_sample=False,
        pad_token_id=0 if pad is None else pad,
    )
    return written[0, len(ids) :].tolist()


def generate(command: Generate) -> None:
    """``trimtab compression generate``."""
    model, tokenizer = load(command.model_name, command.gpus, command.dtype)
    ids = prompt_ids(command.prompt, tokenizer)
    action, budget = parse(command.action), command.budget_tokens
    if command.policy is not None:
        action, budget = routed(model, tokenizer, ids, command.policy)
    with compress(model, action.method, budget_tokens=budget, every=command.every) as compression:
        answer = _answer(model, ids, command.max_new_tokens)
    plain: Any = tokenizer
    print(plain.decode(answer, skip_special_tokens=True))
    say(f"{action}: {compression.report}")
    if command.compare:
        full = _answer(model, ids, command.max_new_tokens)
        same = "the same" if full == answer else repr(plain.decode(full, skip_special_tokens=True))
        say(f"the full cache answers: {same}")
