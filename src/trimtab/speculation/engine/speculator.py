"""How is text generated faster, and stay the same? Draft a tree, verify it in one pass, commit what the target would say.

prefill -> [ head.extend -> controller -> draft -> verify -> commit ] * rounds -> trim
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from trimtab.lm.load import embedding_weight, load_model, resolve
from trimtab.speculation.actions import EAGLE_DEFAULT, TreeShape
from trimtab.speculation.engine.compiled import check_mode
from trimtab.speculation.engine.drafter import TreeDrafter
from trimtab.speculation.engine.generation import Controller, Generation, Round, RoundState, Seconds, Trace
from trimtab.speculation.engine.head import EagleHead
from trimtab.speculation.engine.head_files import load_head
from trimtab.speculation.engine.target import Target, context_tokens
from trimtab.speculation.engine.tree import Tree, cut, root_only
from trimtab.speculation.engine.verify import Sampling, Verifier

_UNFIT_ROUNDS = 200
_UNFIT_TAU = 1.05
Message = dict[str, str]
Prompt = str | Sequence[int] | Sequence[Message] | Tensor


@dataclass
class _Loop:
    """One generation under way."""

    limit: int
    stops: frozenset[int]
    root: int
    root_logits: Tensor
    features: Tensor
    pending: Tensor
    tokens: list[int] = field(default_factory=list[int])
    drafted: list[bool] = field(default_factory=list[bool])
    rounds: list[Round] = field(default_factory=list[Round])
    finished: bool = False
    draft_temperature: float = 1.0

    def emit(self, tokens: list[int], drafted: list[bool]) -> list[int]:
        """Append committed tokens up to a stop or the limit; returns those that were taken."""
        taken: list[int] = []
        for token, was_drafted in zip(tokens, drafted, strict=True):
            if self.finished:
                break
            taken.append(token)
            self.drafted.append(was_drafted)
            self.finished = token in self.stops or len(self.tokens) + len(taken) >= self.limit
        self.tokens += taken
        return taken


class Speculator:
    """A target and its draft head. ``generate`` writes what the target alone would write (greedily: token for token)."""

    def __init__(
        self,
        model: PreTrainedModel,
        head: EagleHead,
        tokenizer: PreTrainedTokenizerBase | None = None,
        *,
        compile: str = "off",  # noqa: A002
    ) -> None:
        """``compile``: whether and how verification is compiled: off, dynamic or buckets (see ``engine.compiled``).

        Raises ValueError for another word, and for a model on several devices that is to be compiled.
        """
        self.model = model.eval()
        self.head = head
        self.tokenizer = tokenizer
        self.target = Target(model, head.config.taps if head.config.version == 3 else None, compile)
        self.drafter = TreeDrafter(head)
        self.context_tokens = context_tokens(model)
        self._committed: list[int] = []
        self._seen_rounds, self._seen_accepted, self._warned = 0, 0, False

    @classmethod
    def from_pretrained(
        cls,
        target: str | Path,
        head: str | Path,
        *,
        dtype: torch.dtype | str = "auto",
        device: str | torch.device | None = None,
        compile: str = "off",  # noqa: A002
        **model_options: Any,
    ) -> Speculator:
        """Load ``target`` (hub id, path, or ``zoo:name``) through transformers and a published EAGLE head for it.

        ``compile="dynamic"`` (CPU) or ``"buckets"`` (CUDA graphs) makes verification faster after a pause of about a
        minute at the first answer; the weights are held twice on a CPU.

        ``model_options`` go to transformers' ``from_pretrained`` (``device_map``, ``revision``, ...). Raises ValueError
        where head and target do not fit or ``compile`` is none of these, FileNotFoundError where a file is missing.
        """
        check_mode(compile)
        model, tokenizer = load_model(target, dtype=dtype, device=device, **model_options)
        return cls(model, load_head(resolve(head), model), tokenizer, compile=compile)

    @property
    def chats(self) -> bool:
        """Whether the tokenizer has a chat template."""
        return self.tokenizer is not None and bool(self.tokenizer.chat_template)

    # -- prompts ---------------------------------------------------------------------------------------------------

    def encode(self, prompt: Prompt) -> list[int]:
        """Token ids of a prompt: text (as one user message where the tokenizer has a chat template), messages, or ids.

        Raises ValueError where it is empty, or too long for the target's context.
        """
        ids = self._ids(prompt)
        if not ids:
            raise ValueError("the prompt is empty: expected text, chat messages or token ids, at least one token")
        vocabulary = embedding_weight(self.model).shape[0]
        if max(ids) >= vocabulary or min(ids) < 0:
            raise ValueError(
                f"the prompt holds token id {max(ids)}; the target embeds 0 to {vocabulary - 1}. "
                "Does the tokenizer belong to this model?"
            )
        if len(ids) >= self.context_tokens:
            raise ValueError(
                f"the prompt has {len(ids)} tokens and the target's context ends at {self.context_tokens}: "
                "shorten the prompt, or load a model with a longer context"
            )
        return ids

    def count(self, prompt: Prompt) -> int:
        """Tokens of a prompt, which may be longer than the context."""
        return len(self._ids(prompt))

    def _ids(self, prompt: Prompt) -> list[int]:
        if isinstance(prompt, Tensor):
            return [int(token) for token in prompt.flatten().tolist()]
        if not isinstance(prompt, str) and (not prompt or isinstance(prompt[0], int)):
            return [int(token) for token in prompt]  # type: ignore[arg-type]
        if self.tokenizer is None:
            raise ValueError("this Speculator has no tokenizer, so a prompt must be given as token ids")
        if isinstance(prompt, str):
            if not prompt.strip():
                return []
            if not self.chats:
                encoded: Any = self.tokenizer(prompt)["input_ids"]
                return list(encoded)
            prompt = [{"role": "user", "content": prompt}]
        messages: Any = list(prompt)
        ids: Any = self.tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_dict=False)
        return list(ids)

    def _stops(self) -> frozenset[int]:
        ids = self.model.generation_config.eos_token_id if self.model.generation_config else None
        ids = self.model.config.eos_token_id if ids is None else ids
        return frozenset(() if ids is None else [ids] if isinstance(ids, int) else ids)

    # -- generation ------------------------------------------------------------------------------------------------

    @torch.inference_mode()
    def generate(
        self,
        prompt: Prompt,
        max_new_tokens: int = 256,
        *,
        temperature: float = 0.0,
        top_p: float = 1.0,
        top_k: int = 0,
        seed: int = 0,
        shape: TreeShape | None = EAGLE_DEFAULT,
        policy: Controller | None = None,
        draft_temperature: float = 1.0,
        trace: bool = False,
        stream: Callable[[list[int]], None] | None = None,
        stop_at_eos: bool = True,
    ) -> Generation:
        """Continue ``prompt`` by at most ``max_new_tokens`` tokens.

        ``policy`` chooses each round's tree; without one all are of ``shape`` (None: no drafting). ``draft_temperature``
        divides the head's logits (1: as published; the text does not depend on it, how much is accepted does). ``stream``
        receives new tokens as they are committed. A prompt that begins as the last one ended (a chat) reuses its cache.
        Raises ValueError for an empty or too long prompt, and where prompt and new tokens exceed the context.
        """
        ids = self.encode(prompt)
        if max_new_tokens < 1:
            raise ValueError(f"max_new_tokens is {max_new_tokens}: expected at least 1")
        if not draft_temperature > 0:
            raise ValueError(f"draft_temperature is {draft_temperature}: expected a number above 0 (1: as published)")
        if len(ids) + max_new_tokens > self.context_tokens:
            raise ValueError(
                f"{len(ids)} prompt tokens and max_new_tokens {max_new_tokens} exceed the target's context of "
                f"{self.context_tokens}: lower max_new_tokens to at most {self.context_tokens - len(ids)}"
            )
        verifier = Verifier(Sampling(temperature, top_p, top_k, seed), self.target.device)
        controller = policy if policy is not None else None if shape is None else lambda _state: shape
        started = time.perf_counter()
        with self.target.tapped():
            stops = self._stops() if stop_at_eos else frozenset[int]()
            loop, reused = self._prefill(ids, verifier, max_new_tokens, stops, drafting=controller is not None)
            loop.draft_temperature = draft_temperature
            prefill_seconds = time.perf_counter() - started
            if stream:
                stream(list(loop.tokens))
            for taken in self._rounds(loop, verifier, controller, trace):
                if stream and taken:
                    stream(taken)
        self._warn_if_unfit(loop.rounds)
        text = self.tokenizer.decode(loop.tokens, skip_special_tokens=True) if self.tokenizer else ""
        seconds = time.perf_counter() - started
        return Generation(loop.tokens, str(text), loop.rounds, prefill_seconds, seconds, reused, loop.drafted)

    def forget(self) -> None:
        """Drop the cache that a following turn would reuse."""
        self._committed = []
        self.target.reset()
        self.drafter.reset()

    def _reusable(self, ids: list[int], drafting: bool) -> int:
        """Positions of the caches that stay valid for ``ids``: the common prefix but its last token."""
        common = 0
        for old, new in zip(self._committed, ids, strict=False):
            if old != new:
                break
            common += 1
        held = min(self.target.cache.length, self.drafter.length) if drafting else self.target.cache.length
        return max(0, min(common - 1, held))

    def _prefill(
        self, ids: list[int], verifier: Verifier, limit: int, stops: frozenset[int], *, drafting: bool
    ) -> tuple[_Loop, int]:
        reused = self._reusable(ids, drafting)
        self.target.cache.crop(reused)
        self.drafter.crop(min(reused, self.drafter.length))
        tokens = torch.tensor(ids, device=self.target.device)
        self._committed = list(ids)
        self.target.cache.reserve(len(ids) + 64)
        logits, features = self.target.prefill(tokens[reused:])
        root = verifier.first(logits)
        pending = torch.cat((tokens[reused + 1 :], tokens.new_tensor([root])))
        loop = _Loop(limit, stops, root, logits, features, pending)
        loop.emit([root], [False])
        return loop, reused

    def _rounds(
        self, loop: _Loop, verifier: Verifier, controller: Controller | None, trace: bool
    ) -> Iterator[list[int]]:
        while not loop.finished:
            yield self._round(loop, verifier, controller, trace)

    def _round(self, loop: _Loop, verifier: Verifier, controller: Controller | None, trace: bool) -> list[int]:
        """Draft, verify and commit once."""
        clock = _Clock(self.target.device)
        tree, shape, seconds = self._draft(loop, controller, clock)
        inputs = self._inputs(tree)
        seconds.rest += clock.lap()
        logits, features = self.target.forward(*inputs)
        seconds.verify = clock.lap()
        path, root = verifier.walk(tree, logits)
        taken = self._commit(loop, tree, path, root, logits, features)
        kept = Trace(tree, [int(tree.tokens_N[row]) for row in path]) if trace else None
        seconds.rest += clock.lap()
        loop.rounds.append(Round(shape, len(tree) - 1, len(path) - 1, seconds, kept))
        return taken

    def _draft(
        self, loop: _Loop, controller: Controller | None, clock: _Clock
    ) -> tuple[Tree, TreeShape | None, Seconds]:
        """The round's tree, its shape, and the seconds that both took. Without a controller the head stays idle."""
        if controller is None:
            return root_only(loop.root), None, Seconds(rest=clock.lap())
        self.drafter.extend(loop.pending, loop.features)
        extending = clock.lap()
        shape = controller(self._state(loop))
        deciding = clock.lap()
        if shape is None:
            return root_only(loop.root), None, Seconds(draft=extending, policy=deciding, rest=clock.lap())
        plan = None if isinstance(shape, TreeShape) else shape
        temperature = loop.draft_temperature if plan is None else plan.draft_temperature
        pool = self.drafter.pool(shape.depth, shape.top_k, plan, temperature)
        _ = pool.order_C  # whoever decides, the tree is cut along it
        drafting, planning = clock.lap(), self.drafter.decision_seconds
        select = 0.0 if clock.overlaps else drafting - self.drafter.forward_seconds - planning
        if not isinstance(shape, TreeShape):
            shape = TreeShape(shape.total_tokens(pool), pool.depth, shape.top_k)
            planning += clock.lap()
        tree = cut(pool, shape.drafted, loop.root)
        draft = extending + drafting - self.drafter.decision_seconds
        seconds = Seconds(draft=draft, policy=deciding + planning, select=select, rest=clock.lap())
        return tree, shape, seconds

    def _commit(
        self, loop: _Loop, tree: Tree, path: list[int], root: int, logits: Tensor, features: Tensor
    ) -> list[int]:
        """Take over the accepted rows ``path`` and the new ``root``; returns the tokens that this emits."""
        accepted = [int(tree.tokens_N[row]) for row in path[1:]]
        self.target.cache.keep(path)
        self._committed += [loop.root, *accepted]
        loop.features = features[torch.tensor(path, device=features.device)]
        loop.pending = torch.tensor([*accepted, root], device=self.target.device)
        loop.root, loop.root_logits = root, logits[path[-1]]
        return loop.emit([*accepted, root], [True] * len(accepted) + [False])

    def _inputs(self, tree: Tree) -> tuple[Tensor, Tensor, Tensor]:
        device = self.target.device
        return (
            torch.from_numpy(tree.tokens_N).to(device),
            torch.from_numpy(tree.depths_N).to(device),
            torch.from_numpy(tree.ancestors_NN).to(device),
        )

    def _state(self, loop: _Loop) -> RoundState:
        drafter = self.drafter
        assert drafter.root_logprobs is not None
        assert drafter.root_state is not None
        return RoundState(
            self.target.cache.length,
            len(loop.tokens),
            loop.rounds,
            loop.root,
            drafter.root_logprobs,
            drafter.root_state[0],
            loop.features[-1],
            loop.root_logits,
            self._committed,
        )

    def _warn_if_unfit(self, rounds: list[Round]) -> None:
        drafting = [r for r in rounds if r.drafted]
        self._seen_rounds += len(drafting)
        self._seen_accepted += sum(r.accepted for r in drafting)
        tau = 1.0 + self._seen_accepted / max(1, self._seen_rounds)
        if self._seen_rounds >= _UNFIT_ROUNDS and tau < _UNFIT_TAU and not self._warned:
            self._warned = True
            warnings.warn(
                f"tau is {tau:.2f} after {self._seen_rounds} rounds: this head does not draft for this target. Was it "
                "trained for another model, another revision, or other taps (eagle_aux_hidden_state_layer_ids)?",
                stacklevel=3,
            )


class _Clock:
    """Laps of wall time; on a GPU, of finished work."""

    def __init__(self, device: torch.device) -> None:
        self.overlaps = device.type == "cuda"
        self._last = time.perf_counter()

    def lap(self) -> float:
        if self.overlaps:
            torch.cuda.synchronize()
        now = time.perf_counter()
        seconds, self._last = now - self._last, now
        return seconds
