"""How is what was trained written, and is what is read back the same? Weights as safetensors, checked by their logits.

The policy in transformers' layout (a LoRA adapter both by itself, in ``adapter/``, and merged), its tokenizer, and the
critic in ``critic.safetensors`` with the names of its heads. A file is trusted only after it was read again: a tie that
no config declares is dropped on saving and comes back random.
"""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import AutoModelForCausalLM, PreTrainedModel

from trimtab.checkpoints import replace_file
from trimtab.dialogue.critic.heads import Critic, ValueHeads
from trimtab.dialogue.ppo.learner import Learner
from trimtab.lm.load import quiet

CRITIC = "critic.safetensors"
ADAPTER = "adapter"


def is_adapted(policy: Any) -> bool:
    """Whether the policy is a LoRA adapter over a frozen model."""
    return hasattr(policy, "peft_config")


def _probe(model: Any) -> Tensor:
    ids = torch.arange(24).reshape(2, 12) * 7 % model.config.vocab_size
    with torch.no_grad():
        return model(input_ids=ids.to(next(model.parameters()).device)).logits.float().cpu()


def save_policy(policy: Any, tokenizer: Any, folder: Path) -> None:
    """Write a policy and its tokenizer. Raises RuntimeError where what is read back has other logits."""
    folder.mkdir(parents=True, exist_ok=True)
    plain = policy
    if is_adapted(policy):
        policy.save_pretrained(folder / ADAPTER)
        plain = copy.deepcopy(policy).merge_and_unload()
    with quiet(wanted=True):
        plain.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        check_equal(plain, folder)


def check_equal(model: Any, folder: Path) -> None:
    """Raises RuntimeError where the model in ``folder`` has other logits than ``model``."""
    again: Any = AutoModelForCausalLM.from_pretrained(folder, dtype=model.dtype)
    again = again.to(model.device).eval()
    apart = float((_probe(model) - _probe(again)).abs().max())
    if apart > 0:
        raise RuntimeError(
            f"the model written to {folder} was read back with logits that differ by {apart:.2g}: it must not be used. "
            "A tie of weights that the config does not declare is the usual cause"
        )


def save_critic(critic: Critic | ValueHeads, folder: Path) -> None:
    """Write the critic's weights and the names of its heads."""
    header = {"parts": json.dumps(critic.parts), "kind": "own" if isinstance(critic, Critic) else "trunk"}
    tensors = {name: tensor.detach().contiguous().cpu().clone() for name, tensor in critic.state_dict().items()}
    replace_file(folder / CRITIC, lambda scratch: save_file(tensors, scratch, metadata=header))


def load_critic(folder: Path, policy: PreTrainedModel) -> Critic | ValueHeads:
    """The critic that was trained beside ``policy``. Raises ValueError where there is none."""
    path = folder / CRITIC
    if not path.exists():
        raise ValueError(f"{folder} holds no critic ({CRITIC}): expected the folder of a model trained by PPO")
    with safe_open(path, framework="pt") as file:
        header = file.metadata()
    parts = json.loads(header["parts"])
    own = header["kind"] == "own"
    critic = Critic.like(policy, parts) if own else ValueHeads(policy.config.hidden_size, parts)
    critic.load_state_dict(load_file(path))
    return critic.eval()


def save_all(learner: Learner, tokenizer: Any, folder: Path) -> None:
    """Write policy, tokenizer and critic."""
    save_policy(learner.policy, tokenizer, folder)
    save_critic(learner.critic, folder)
