"""Do several specialised policies answer better than one? Adapters over one backbone that write a reply in turns.

The emotion agent opens (so many sentences), the recommendation agent goes on, the response agent finishes; any of them may
end the reply. All are trained at once, on the same replies, with one critic: its heads value the parts of the reward, and
each agent weighs them by its own taste. Parts that are an agent's own count in full at its tokens, the others by
``cooperation``. (Compared with a single policy at equal samples by ``benchmarks/dialogue.py``.)
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from trimtab.dialogue.critic.heads import KL, Critic
from trimtab.dialogue.ppo.batches import Tokens, joined
from trimtab.dialogue.ppo.building import Lora
from trimtab.dialogue.ppo.learner import Evaluated, Learner, Reference, chosen_logprobs, reply_logits
from trimtab.dialogue.ppo.losses import token_entropy
from trimtab.dialogue.ppo.sampling import Sampled, sample

SENTENCE_ENDS = (".", "?", "!")


@dataclass(frozen=True)
class Agent:
    """A policy that speaks ``sentences`` sentences (None: to the end), and the parts of the reward that are its own."""

    name: str
    parts: tuple[str, ...]
    sentences: int | None = None


AGENTS = (
    Agent("emotion", ("empathy",), 2),
    Agent("recommendation", ("recommendation",), 2),
    Agent("response", ("bleu", "distinct")),
)


@dataclass(frozen=True)
class Cast:
    """The agents in their order of speaking. ``cooperation``: how much the others' parts count."""

    agents: tuple[Agent, ...] = AGENTS
    cooperation: float = 0.3

    def __post_init__(self) -> None:
        names = [agent.name for agent in self.agents]
        endless = [agent.sentences is None for agent in self.agents]
        if len(set(names)) < len(names) or not names or endless != [False] * (len(names) - 1) + [True]:
            raise ValueError(
                f"agents {self.agents}: expected names of their own, and that the last one alone has no limit"
            )
        if not 0 <= self.cooperation <= 1:
            raise ValueError(f"cooperation {self.cooperation}: expected from 0 to 1")

    @property
    def turns(self) -> list[int]:
        """Which agent speaks each sentence; the last one all that follow."""
        return [number for number, agent in enumerate(self.agents) for _ in range(agent.sentences or 1)]

    def weights(self, parts: Sequence[str]) -> np.ndarray:
        """How much each agent minds each part, [agents, P]: 1 for its own and for what is nobody's (the KL cost)."""
        owned = {part for agent in self.agents for part in agent.parts}
        rows = [
            [1.0 if part in agent.parts or part not in owned else self.cooperation for part in parts]
            for agent in self.agents
        ]
        return np.array(rows)


def sentence_end_ids(tokenizer: Any) -> list[int]:
    """Tokens whose text ends a sentence. Raises ValueError where the tokenizer has none."""
    words = tokenizer.get_vocab()
    found = sorted(
        i for word, i in words.items() if tokenizer.convert_tokens_to_string([word]).strip() in SENTENCE_ENDS
    )
    if not found:
        raise ValueError(f"no token of the tokenizer reads {' or '.join(SENTENCE_ENDS)}: agents cannot take turns")
    return found


class AgentsLearner(Learner):
    """The agents as one learner: each token is evaluated, and written, by the agent whose turn it is."""

    def __init__(
        self, policy: Any, critic: Critic, cast: Cast, stops: Collection[int], temperature: float = 1.0
    ) -> None:
        super().__init__(policy, critic, temperature)
        self.cast = cast
        self._stops = sorted(stops)
        self._speak(0)

    def _speak(self, agent: int) -> None:
        """Let one adapter be active, and all of them trainable."""
        self.policy.set_adapter(self.cast.agents[agent].name)
        for name, parameter in self.policy.named_parameters():
            if "lora_" in name:
                parameter.requires_grad_(True)

    def speakers(self, reply_ids_BT: Tensor) -> Tensor:
        """The number of the agent that speaks each token: told by the sentences that ended before it."""
        ended_BT = torch.isin(reply_ids_BT, torch.tensor(self._stops, device=reply_ids_BT.device)).long()
        before_BT = ended_BT.cumsum(dim=1) - ended_BT
        turns = torch.tensor(self.cast.turns, device=reply_ids_BT.device)
        return turns[before_BT.clamp(max=len(turns) - 1)]

    def token_weights(self, tokens: Tokens, weights_P: np.ndarray) -> np.ndarray:
        minded_AP = self.cast.weights(self.parts)
        return minded_AP[self.speakers(tokens.reply_ids_BT).cpu().numpy()] * weights_P

    def write(
        self, prompts: list[list[int]], noise_BT: Tensor | None, *, width: int, ends: Collection[int], context: int
    ) -> Sampled:
        """Sentence by sentence: a new agent reads all that was said, and goes on."""
        prompts = [prompt[-context:] for prompt in prompts]
        said: list[list[int]] = [[] for _ in prompts]
        logprobs: list[list[float]] = [[] for _ in prompts]
        ended = [False] * len(prompts)
        turns = self.cast.turns
        for number, agent in enumerate(turns):
            rows = [row for row in range(len(prompts)) if not ended[row] and len(said[row]) < width]
            if not rows:
                break
            stops = set(ends) if number == len(turns) - 1 else {*ends, *self._stops}
            self._speak(agent)
            part = sample(
                self.policy,
                [prompts[row] + said[row] for row in rows],
                noise_BT=None if noise_BT is None else _shifted(noise_BT, rows, said),
                width=width,
                ends=stops,
                context=context + width,
                temperature=self.temperature,
            )
            for row, ids, chosen in zip(rows, part.tokens.reply_lists(), part.logprobs_BT.tolist(), strict=True):
                room = width - len(said[row])
                said[row] += ids[:room]
                logprobs[row] += chosen[: len(ids)][:room]
                ended[row] = said[row][-1] in ends
        return _put_together(prompts, said, logprobs, ended, context=context, width=width)

    def forward(self, ids_BS: Tensor, mask_BS: Tensor, reply_width: int) -> Evaluated:
        tokens = Tokens(ids_BS, mask_BS, reply_width)
        speakers_BT = self.speakers(tokens.reply_ids_BT)
        logprobs_BT = ids_BS.new_zeros(speakers_BT.shape, dtype=torch.float32)
        entropy_BT = logprobs_BT
        for agent in range(len(self.cast.agents)):
            self._speak(agent)
            logits_BTV = reply_logits(self.policy, tokens)[0].float() / self.temperature
            chosen_BT = chosen_logprobs(logits_BTV, tokens.reply_ids_BT)
            logprobs_BT = torch.where(speakers_BT == agent, chosen_BT, logprobs_BT)
            entropy_BT = torch.where(speakers_BT == agent, token_entropy(logits_BTV), entropy_BT)
        return Evaluated(logprobs_BT, entropy_BT, self.critic(tokens))


def _shifted(noise_BT: Tensor, rows: list[int], said: list[list[int]]) -> Tensor:
    """Each row's uniform numbers from its next token on (what is beyond its end is not used)."""
    return torch.stack([noise_BT[row].roll(-len(said[row])) for row in rows])


def _put_together(
    prompts: list[list[int]],
    said: list[list[int]],
    logprobs: list[list[float]],
    ended: list[bool],
    *,
    context: int,
    width: int,
) -> Sampled:
    logprobs_BT = torch.zeros(len(prompts), width)
    for row, chosen in enumerate(logprobs):
        logprobs_BT[row, : len(chosen)] = torch.tensor(chosen)
    return Sampled(joined(prompts, said, context=context, reply=width), logprobs_BT, torch.tensor(ended))


def make_agents(
    model: Any, parts: tuple[str, ...], cast: Cast, stops: Collection[int], *, lora: Lora, temperature: float = 1.0
) -> tuple[AgentsLearner, Reference]:
    """The agents over ``model``, a critic of their own with a head for each part, and the model itself as reference.

    Raises ValueError for a LoRA rank of 0, or for agents whose parts the reward does not have.
    """
    known = {*parts, KL}
    unknown = [part for agent in cast.agents for part in agent.parts if part not in known]
    if unknown or lora.rank == 0:
        raise ValueError(
            f"agents with a LoRA rank of {lora.rank} that mind {unknown or 'known parts'}: expected a rank above 0, and "
            f"parts among {', '.join(parts)}"
        )
    critic = Critic.like(model, parts)
    policy = lora.adapt(model, cast.agents[0].name)
    for agent in cast.agents[1:]:
        policy.add_adapter(agent.name, policy.peft_config[cast.agents[0].name])
    return AgentsLearner(policy, critic, cast, stops, temperature), Reference(policy)
