"""How are policy, critic and reference made of one model? With full weights, or as LoRA adapters over frozen ones."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any, Literal

from trimtab.dialogue.critic.heads import Critic, ValueHeads
from trimtab.dialogue.ppo.learner import Learner, Reference


@dataclass(frozen=True)
class Lora:
    """A low-rank adapter (Hu et al. 2021, arXiv:2106.09685) on every linear layer. Rank 0: none, all weights train."""

    rank: int = 0
    alpha: int = 0
    """0: twice the rank."""

    def __post_init__(self) -> None:
        if self.rank < 0 or self.alpha < 0:
            raise ValueError(f"{self}: expected 0 or above")

    def adapt(self, model: Any, name: str = "default") -> Any:
        """The model with an adapter that changes nothing yet; its own weights are frozen. Needs peft."""
        peft = _peft()
        config = peft.LoraConfig(
            r=self.rank, lora_alpha=self.alpha or 2 * self.rank, lora_dropout=0.0, target_modules="all-linear"
        )
        return peft.get_peft_model(model, config, adapter_name=name)


def _peft() -> Any:
    try:
        import peft
    except ModuleNotFoundError as error:
        raise ValueError("LoRA needs the package peft: pip install 'trimtab[train]'") from error
    return peft


def make_learner(
    model: Any,
    parts: tuple[str, ...],
    *,
    critic: Literal["own", "trunk"] = "own",
    lora: Lora | None = None,
    temperature: float = 1.0,
    reference: Any | None = None,
) -> tuple[Learner, Reference]:
    """A policy that begins as ``model``, its critic with a head for each of ``parts``, and the reference.

    ``reference`` None: the model as it is now (a frozen copy, or the model beneath the adapter). With LoRA a critic of its
    own is the model's trunk with an adapter as well. Raises ValueError for a reference of another vocabulary.
    """
    if lora is None or lora.rank == 0:
        frozen = copy.deepcopy(model) if reference is None else reference
        heads = Critic.like(model, parts) if critic == "own" else ValueHeads(model.config.hidden_size, parts)
        model.requires_grad_(True)
        return Learner(model, heads, temperature), Reference(model, frozen)
    heads = _adapted_critic(model, parts, lora) if critic == "own" else ValueHeads(model.config.hidden_size, parts)
    policy = lora.adapt(model)
    return Learner(policy, heads, temperature), Reference(policy, reference)


def _adapted_critic(model: Any, parts: tuple[str, ...], lora: Lora) -> Critic:
    critic = Critic.like(model, parts)
    adapted = lora.adapt(critic.trunk)
    return Critic(adapted, model.config.hidden_size, parts)
