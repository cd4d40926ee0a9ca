"""What does a compressed cache answer to one prompt, and what does the full one?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from trimtab.compression.actions import Action, parse
from trimtab.compression.context_encoders import check_fingerprints, prompt_features, sources_of
from trimtab.compression.engine.compressor import compress
from trimtab.compression.engine.prefill import prefill
from trimtab.compression.features import chosen
from trimtab.compression.model_names import load
from trimtab.compression.promising import Promise
from trimtab.compression.prompt_sets import FIRST_SEED, is_recall
from trimtab.compression.prompts import Prompt
from trimtab.compression.router import Router
from trimtab.compression.tasks.recall import Recall
from trimtab.console import say
from trimtab.lm import fingerprint
from trimtab.plain import Plain

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


def _seen(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    ids: Sequence[int],
    policy: Router | Promise,
    budgets: Sequence[int],
) -> dict[str, np.ndarray]:
    """What a policy may see of a prompt, named vectors [1, K]. Reads it once. Raises ValueError for other text encoders."""
    actions = [parse(name) for name in policy.actions]
    features = prompt_features(sources_of(policy), tokenizer, actions, budgets)
    check_fingerprints(features, policy.about)
    read = prefill(model, ids, features.weights)
    return {name: vector[None] for name, vector in features(read, Prompt("prompt", tuple(ids))).items()}


def _check_model(model: PreTrainedModel, about: Mapping[str, Plain], path: Path) -> None:
    """Raises ValueError where a policy was trained for another model."""
    made_for, given = about.get("fingerprint"), fingerprint.of_weights(model)
    if isinstance(made_for, str) and made_for != given:
        raise ValueError(
            f"{path} was trained for {about.get('model')} ({made_for}), this is model {given}: name that one"
        )


def routed(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, ids: Sequence[int], policy: Path
) -> tuple[Action, int]:
    """The action that a trained policy picks for a prompt, and its budget. Reads the prompt once.

    Raises ValueError where the policy is another model's, or sees what cannot be made anew.
    """
    router = Router.load(policy)
    _check_model(model, router.about, policy)
    features = _seen(model, tokenizer, ids, router, [router.budget])
    column = int(router.choose(chosen(features, router.encoder))[0])
    return parse(router.actions[column]), router.budget


def promised(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, ids: Sequence[int], folder: Path
) -> tuple[Action, int] | None:
    """The action and the budget that a promise picks; None: the full cache. Raises ValueError as ``routed``."""
    promise = Promise.load(folder)
    _check_model(model, promise.about, folder)
    found = promise.choose(_seen(model, tokenizer, ids, promise, promise.rule.budgets))
    return None if found is None else (parse(found[0]), found[1])


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


def _choice(command: Generate, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, ids: Sequence[int]) -> Any:
    """The action and the budget that the command means; None: the full cache."""
    if command.policy is not None and command.promise is not None:
        raise ValueError(f"--policy {command.policy} and --promise {command.promise}: expected one of them")
    if command.policy is not None:
        return routed(model, tokenizer, ids, command.policy)
    if command.promise is not None:
        return promised(model, tokenizer, ids, command.promise)
    return parse(command.action), command.budget_tokens


def generate(command: Generate) -> None:
    """``trimtab compression generate``."""
    model, tokenizer = load(command.model_name, command.gpus, command.dtype)
    ids = prompt_ids(command.prompt, tokenizer)
    plain: Any = tokenizer
    choice = _choice(command, model, tokenizer, ids)
    if choice is None:
        print(plain.decode(_answer(model, ids, command.max_new_tokens), skip_special_tokens=True))
        say("no budget is surely enough for this prompt: the full cache answers")
        return
    action, budget = choice
    with compress(model, action.method, budget_tokens=budget, every=command.every) as compression:
        answer = _answer(model, ids, command.max_new_tokens)
    print(plain.decode(answer, skip_special_tokens=True))
    say(f"{action}: {compression.report}")
    if command.compare:
        full = _answer(model, ids, command.max_new_tokens)
        same = "the same" if full == answer else repr(plain.decode(full, skip_special_tokens=True))
        say(f"the full cache answers: {same}")
