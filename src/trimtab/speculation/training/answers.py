"""What does the target say to each prompt? Its own answers, decoded in batches and kept shard by shard.

A head must predict the target, not the data's author. Answers are greedy, a share of them may be sampled at temperature
1. Within a shard prompts are sorted by length and left-padded; rows that have ended leave the batch. A shard is one
file, written atomically; a stopped run goes on with the first missing shard and ends with the same files.
"""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor
from transformers import DynamicCache, PreTrainedModel

from trimtab.speculation.training import decoder
from trimtab.speculation.training.data import Prompt
from trimtab.speculation.training.recipe import AnswerSettings

_COMPACT_BELOW = 0.75


@dataclass(frozen=True)
class Answered:
    """A prompt and the target's answer to it: ids [T] int32, of which the first ``prompt_tokens`` are the prompt."""

    key: str
    ids: np.ndarray
    prompt_tokens: int

    @property
    def answer(self) -> np.ndarray:
        return self.ids[self.prompt_tokens :]


def fingerprint(target: PreTrainedModel) -> str:
    """A hash that tells targets apart: the names, shapes and first values (as bf16) of all parameters."""
    digest = hashlib.sha256()
    for name, parameter in target.named_parameters():
        digest.update(f"{name}{list(parameter.shape)}".encode())
        sample = parameter.detach().flatten()[:64].to("cpu", torch.bfloat16).view(torch.int16)
        digest.update(sample.numpy().tobytes())
    return digest.hexdigest()[:16]


def stop_ids(target: PreTrainedModel) -> tuple[int, ...]:
    """The ids that end an answer, from the generation config or else the model's."""
    ids = target.generation_config.eos_token_id if target.generation_config else None
    ids = target.config.get_text_config().eos_token_id if ids is None else ids
    return () if ids is None else (ids,) if isinstance(ids, int) else tuple(ids)


def _left_padded(prompts: Sequence[Sequence[int]], device: torch.device) -> tuple[Tensor, Tensor]:
    """Ids and mask [B, T] of prompts of different lengths, padded on the left by id 0."""
    width = max(map(len, prompts))
    ids = torch.tensor([[0] * (width - len(p)) + list(p) for p in prompts], device=device)
    mask = torch.tensor([[0] * (width - len(p)) + [1] * len(p) for p in prompts], device=device)
    return ids, mask


class _Chooser:
    """The next token of each row: the likeliest, or for sampled rows a draw at temperature 1 (Gumbel maximum)."""

    def __init__(self, sampled_B: Tensor, seed: int) -> None:
        self.sampled_B = sampled_B
        self._generator = torch.Generator(sampled_B.device).manual_seed(seed)

    def __call__(self, logits_BV: Tensor) -> Tensor:
        logits_BV = logits_BV.float()
        if bool(self.sampled_B.any()):
            uniform = torch.rand(logits_BV.shape, generator=self._generator, device=logits_BV.device)
            gumbel = -torch.log(-torch.log(uniform.clamp_(1e-20, 1 - 1e-7)))
            logits_BV = logits_BV + gumbel * self.sampled_B[:, None]
        return logits_BV.argmax(-1)


@torch.inference_mode()
def decode(
    target: PreTrainedModel,
    prompts: Sequence[Sequence[int]],
    max_new_tokens: int,
    *,
    sampled: Sequence[bool] | None = None,
    seed: int = 0,
) -> list[list[int]]:
    """The target's answers (stop id included) of at most ``max_new_tokens`` to a batch of prompts, decoded together."""
    device = decoder.device(target)
    ids, mask = _left_padded(prompts, device)
    stops = torch.tensor(stop_ids(target), dtype=torch.long, device=device)
    choose = _Chooser(torch.tensor(sampled or [False] * len(prompts), device=device), seed)
    cache = DynamicCache(config=target.config)
    answers: list[list[int]] = [[] for _ in prompts]
    rows = torch.arange(len(prompts), device=device)
    alive = torch.ones(len(prompts), dtype=torch.bool, device=device)
    for step in range(max_new_tokens):
        positions = (mask.cumsum(-1) - 1).clamp_(min=0)[:, -ids.shape[1] :]
        output = target(
            ids, attention_mask=mask, position_ids=positions, past_key_values=cache, use_cache=True, logits_to_keep=1
        )
        chosen = choose(output.logits[:, -1])
        for row, token, going in zip(rows.tolist(), chosen.tolist(), alive.tolist(), strict=True):
            if going:
                answers[row].append(token)
        alive &= ~torch.isin(chosen, stops)
        living = int(alive.sum())
        if living == 0 or step + 1 == max_new_tokens:
            break
        ids, mask = chosen[:, None], torch.cat((mask, mask.new_ones(len(mask), 1)), dim=1)
        if living <= _COMPACT_BELOW * len(alive):
            kept = alive.nonzero().flatten()
            cache.batch_select_indices(kept)
            ids, mask, rows, alive, choose.sampled_B = (x[kept] for x in (ids, mask, rows, alive, choose.sampled_B))
    return answers


def _decode_shard(target: PreTrainedModel, prompts: Sequence[Prompt], settings: AnswerSettings) -> list[Answered]:
    """Answers to one shard's prompts, in the shard's order."""
    found: dict[int, Answered] = {}
    order = sorted(range(len(prompts)), key=lambda index: len(prompts[index].ids))
    for start in range(0, len(order), settings.batch_rows):
        chosen = order[start : start + settings.batch_rows]
        draws = [random.Random(f"{settings.seed}/sampled/{prompts[index].key}") for index in chosen]
        sampled = [draw.random() < settings.sampled_share for draw in draws]
        seed = draws[0].getrandbits(32)
        texts = decode(target, [prompts[i].ids for i in chosen], settings.max_new_tokens, sampled=sampled, seed=seed)
        for index, text in zip(chosen, texts, strict=True):
            ids = np.asarray([*prompts[index].ids, *text], dtype=np.int32)
            found[index] = Answered(prompts[index].key, ids, len(prompts[index].ids))
    return [found[index] for index in range(len(prompts))]


def _origin(target_id: str, prompts: Sequence[Prompt], settings: AnswerSettings) -> str:
    """What a shard depends on beside its own prompts, as one line of JSON. ``tokens`` only says when to stop."""
    said = asdict(settings)
    del said["tokens"]
    keys = hashlib.sha256("\n".join(prompt.key for prompt in prompts).encode()).hexdigest()[:16]
    return json.dumps({"target": target_id, "prompts": keys, **said}, sort_keys=True)


def _write(path: Path, answered: Sequence[Answered], origin: str) -> None:
    tensors = {
        "ids": torch.from_numpy(np.concatenate([item.ids for item in answered])),
        "lengths": torch.tensor([len(item.ids) for item in answered], dtype=torch.int32),
        "prompt_lengths": torch.tensor([item.prompt_tokens for item in answered], dtype=torch.int32),
    }
    scratch = path.with_suffix(".partial")
    said = {"origin": origin, "keys": [item.key for item in answered]}
    save_file(tensors, scratch, metadata={"answers": json.dumps(said)})  # one entry: their order would be random
    scratch.replace(path)


def _differences(found: str, expected: str) -> str:
    old, new = json.loads(found), json.loads(expected)
    names = [name for name in new if old.get(name) != new[name]]
    return ", ".join(f"{name} {old.get(name)!r} there, {new[name]!r} here" for name in names)


def read_shard(path: Path, origin: str) -> list[Answered]:
    """The answers of one file. Raises ValueError where they were made from another target, prompts or settings."""
    with safe_open(path, framework="pt") as file:
        said = json.loads(file.metadata()["answers"])
        if said["origin"] != origin:
            raise ValueError(
                f"{path} holds answers of another origin ({_differences(said['origin'], origin)}): "
                "give another --out, or delete that folder's answers"
            )
        ids, lengths = file.get_tensor("ids").numpy(), file.get_tensor("lengths").numpy()
        prompt_lengths = file.get_tensor("prompt_lengths").tolist()
    parts = np.split(ids, np.cumsum(lengths)[:-1])
    return [Answered(key, part, tokens) for key, part, tokens in zip(said["keys"], parts, prompt_lengths, strict=True)]


def answer(
    target: PreTrainedModel,
    prompts: Sequence[Prompt],
    settings: AnswerSettings,
    folder: Path,
    *,
    log: Callable[[int, int], None] = lambda _shard, _tokens: None,
) -> list[Answered]:
    """The target's answers to ``prompts`` in order, until they hold ``settings.tokens`` tokens; shards in ``folder``.

    ``log(shards, answer_tokens)`` after each shard. Where the prompts run out first, all are answered.
    Raises ValueError where the folder's shards are of another target, other prompts, or other settings.
    """
    folder.mkdir(parents=True, exist_ok=True)
    origin = _origin(fingerprint(target), prompts, settings)
    answered: list[Answered] = []
    tokens = 0
    for number, part in enumerate(_shards(prompts, settings.shard_prompts)):
        path = folder / f"answers-{number:05d}.safetensors"
        if not path.exists():
            _write(path, _decode_shard(target, part, settings), origin)
        shard = read_shard(path, origin)
        answered += shard
        tokens += sum(len(item.answer) for item in shard)
        log(number + 1, tokens)
        if tokens >= settings.tokens:
            break
    return answered


def _shards(prompts: Sequence[Prompt], size: int) -> Iterator[Sequence[Prompt]]:
    for start in range(0, len(prompts), size):
        yield prompts[start : start + size]
