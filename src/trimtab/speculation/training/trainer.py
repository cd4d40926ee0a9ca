"""How is an EAGLE-3 head trained for any transformers decoder? Answers, vocabulary, windows, and the unrolled loss.

The target is frozen and runs online; nothing of it is stored but its answers. All that a step sees follows from the
recipe and the step's number, so a stopped training continues to the same weights. ``out`` receives ``answers/``,
``state.safetensors`` while training, ``training.json`` (what that belongs to), and ``head/`` in the published format.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from trimtab.lm.training import Metrics, fit
from trimtab.speculation.engine.head import EagleHead
from trimtab.speculation.engine.head_config import HeadConfig
from trimtab.speculation.engine.head_files import default_taps, save_head, share_target
from trimtab.speculation.training import decoder
from trimtab.speculation.training.answers import Answered, answer, fingerprint
from trimtab.speculation.training.data import Prompt, held_out
from trimtab.speculation.training.recipe import HeadRecipe
from trimtab.speculation.training.teacher import Batch, Lesson, Teacher
from trimtab.speculation.training.ttt import Outcome, UnrolledLoss
from trimtab.speculation.training.vocabulary import DraftVocabulary, most_frequent
from trimtab.speculation.training.windows import Windows, pack, suggested_rows

Log = Callable[[int, Metrics], None]
Resumed = Callable[[int], None]
"""Told the step to go on with: rows logged beyond it will be logged again."""


def head_config(target: PreTrainedModel, recipe: HeadRecipe) -> HeadConfig:
    """The head's architecture beside this target: its widths and heads, one layer, RoPE theta 10000 (notes 1.2).

    Raises ValueError for a target of fewer than 7 layers, or taps that it does not have.
    """
    config = target.config.get_text_config()
    layers, vocab_size = config.num_hidden_layers, len(decoder.embedding(target))
    taps = default_taps(layers) if recipe.taps is None else recipe.taps
    if not taps or not all(0 <= tap < layers for tap in taps) or len(set(taps)) < len(taps):
        raise ValueError(
            f"taps are {taps}: expected different layers of the target, which has {layers} (0..{layers - 1})"
        )
    if config.hidden_size % config.num_attention_heads:
        raise ValueError(
            f"the target's hidden size {config.hidden_size} is no multiple of its {config.num_attention_heads} heads, "
            "which the published head format needs"
        )
    return HeadConfig(
        version=3,
        hidden_size=config.hidden_size,
        intermediate_size=recipe.intermediate_size or config.intermediate_size,
        heads=config.num_attention_heads,
        key_value_heads=config.num_key_value_heads,
        vocab_size=vocab_size,
        draft_vocab_size=min(recipe.draft_vocab_size, vocab_size),
        rms_norm_eps=config.rms_norm_eps,
        rope={"rope_type": "default", "rope_theta": 10_000.0},
        max_position=config.max_position_embeddings,
        fc_bias=False,
        qkv_bias=False,
        taps=tuple(taps),
        target_hidden_size=config.hidden_size,
    )


@torch.no_grad()
def new_head(target: PreTrainedModel, config: HeadConfig, vocabulary: DraftVocabulary, seed: int) -> EagleHead:
    """A head to start from, in float32: random, but it writes the target's words, and the layer adds nothing yet.

    Final norm and output rows (of the draft vocabulary) are the target's own. A head that passes the last tap on, to
    start from the target's early exit, learns more slowly: that exit names the token which the head is given.
    """
    head = EagleHead(config)
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in head.named_parameters():
        if parameter.ndim == 2:
            silent = name.endswith(("o_proj.weight", "down_proj.weight"))
            parameter.normal_(generator=generator).mul_(0.0 if silent else parameter.shape[1] ** -0.5)
    head.norm.weight.copy_(decoder.final_norm(target))
    head.lm_head.weight.copy_(decoder.output(target).weight[vocabulary.target_ids.to(decoder.device(target))])
    head.target_ids = vocabulary.target_ids
    share_target(head, target)
    return head.to(decoder.device(target))


def window_order(windows: int, batch: int, step: int, seed: int) -> np.ndarray:
    """Indices [batch] of the windows of ``step``: a new shuffle each epoch, from (seed, epoch) alone.

    Fewer windows than a batch holds: the shuffles follow one another within it.
    """
    wanted = np.arange(step * batch, (step + 1) * batch)
    epochs, places = np.divmod(wanted, windows)
    orders = {epoch: np.random.default_rng((seed, int(epoch))).permutation(windows) for epoch in np.unique(epochs)}
    return np.asarray([orders[epoch][place] for epoch, place in zip(epochs, places, strict=True)])


class HeadTrainer:
    """A head beside its frozen target, ready to step. ``training`` and ``checking`` are the windows of both splits."""

    def __init__(
        self,
        target: PreTrainedModel,
        recipe: HeadRecipe,
        vocabulary: DraftVocabulary,
        training: Windows,
        checking: Windows | None,
    ) -> None:
        config = head_config(target, recipe)
        assert config.taps is not None
        target.requires_grad_(False).eval()
        self.recipe, self.training, self.checking = recipe, training, checking
        self.head = new_head(target, config, vocabulary, recipe.seed)
        self.teacher = Teacher(target, config.taps, vocabulary, recipe.window_tokens)
        self.loss = UnrolledLoss(
            self.head,
            window_tokens=recipe.window_tokens,
            unroll=recipe.unroll,
            discount=recipe.discount,
            autocast=recipe.autocast,
        )
        self._teach = _compiled(self.teacher, recipe.compile)
        self._unroll = _compiled(self.loss, recipe.compile)

    def outcome(self, windows: Windows) -> Outcome:
        """The loss of these windows. Call it within ``self.teacher.tapped()``."""
        batch = Batch.of(windows, self.teacher.device)
        with torch.no_grad():
            lesson = Lesson(*self._teach(batch.tokens_BT, batch.documents_BT, batch.positions_BT, batch.rows_BQ))
        return Outcome(*self._unroll(*vars(batch).values(), *vars(lesson).values()))

    def loss_of_step(self, step: int) -> tuple[Tensor, Metrics]:
        """The loss of training step ``step``, and its metrics."""
        indices = window_order(len(self.training), self.recipe.batch_windows, step, self.recipe.seed)
        outcome = self.outcome(self.training.take(indices))
        return outcome.loss, _metrics([outcome])

    def check(self) -> Metrics:
        """Held-out accuracies and accepted length (empty without held-out windows).

        Gradients stay on, though none is taken: without them the compiler would build the loss a second time.
        """
        if self.checking is None:
            return {}
        size = self.recipe.batch_windows
        count = min(len(self.checking), self.recipe.held_out_windows)
        outcomes: list[Outcome] = []
        for start in range(0, count, size):
            indices = np.arange(start, min(start + size, count))
            part = self.checking.take(np.resize(indices, size))
            part.learns_WQ[len(indices) :] = False  # repeated only to keep one shape for the compiler
            outcomes.append(_detached(self.outcome(part)))
        return {f"held_out/{name}": value for name, value in _metrics(outcomes).items()}

    def run(self, state: Path, log: Log, resumed: Resumed | None = None) -> None:
        """Train, or go on from ``state``; the held-out windows are checked every tenth line and at the end."""
        settings = self.recipe.fit

        def log_checked(step: int, metrics: Metrics) -> None:
            due = step % (10 * settings.log_every) == 0 or step == settings.steps
            tokens = step * self.recipe.batch_windows * self.training.answer_tokens / len(self.training)
            log(step, {**metrics, "answer_tokens": tokens, **(self.check() if due else {})})

        with self.teacher.tapped():
            fit(self.head, self.loss_of_step, settings, state, log=log_checked, resumed=resumed)


def _compiled(module: nn.Module, wanted: bool) -> Callable[..., tuple[Tensor, ...]]:
    return torch.compile(module, dynamic=False) if wanted else module


def _detached(outcome: Outcome) -> Outcome:
    return replace(outcome, loss=outcome.loss.detach())


def _metrics(outcomes: Sequence[Outcome]) -> Metrics:
    """Means over batches, weighted by positions. ``tau``: 1 + tokens that a chain of drafts gets accepted."""
    correct = torch.stack([outcome.correct_S for outcome in outcomes]).sum(0).tolist()
    counted = torch.stack([outcome.counted_S for outcome in outcomes]).sum(0).tolist()
    first = max(1, counted[0])
    loss = sum(float(outcome.loss.detach()) * int(outcome.counted_S[0]) for outcome in outcomes) / first
    accepted = sum(float(outcome.accepted) for outcome in outcomes) / first
    accuracies = {f"acc_{j}": hits / max(1, n) for j, (hits, n) in enumerate(zip(correct, counted, strict=True))}
    return {"loss": loss, "chain_tau": 1.0 + accepted, **accuracies}


def _claim(path: Path, contents: dict[str, str]) -> None:
    """Record what a folder's state belongs to, or raise where it belongs to something else."""
    if path.exists():
        found = json.loads(path.read_text(encoding="utf-8"))
        if found != contents:
            changed = ", ".join(name for name in contents if found.get(name) != contents[name])
            raise ValueError(
                f"{path.parent} holds a half-trained head of another {changed}: give another --out, or delete "
                f"{path.name} and state.safetensors there to begin anew"
            )
        return
    scratch = path.with_suffix(".partial")
    scratch.write_text(json.dumps(contents, indent=2) + "\n", encoding="utf-8")
    scratch.replace(path)


def split(answered: Sequence[Answered], share: float) -> tuple[list[Answered], list[Answered]]:
    """Answers to train on, and held-out ones, by the hash of each conversation."""
    checking = [item for item in answered if held_out(item.key, share)]
    return [item for item in answered if not held_out(item.key, share)], checking


def train_on(
    target: PreTrainedModel,
    answered: Sequence[Answered],
    recipe: HeadRecipe,
    out: Path,
    log: Log,
    resumed: Resumed | None = None,
) -> EagleHead:
    """Train a head on the target's answers (or go on in ``out``), write it to ``out/head``, and return it."""
    learnt, checked = split(answered, recipe.held_out_share)
    if not learnt:
        raise ValueError(
            f"of {len(answered)} answers none is left to train on at held_out_share {recipe.held_out_share}"
        )
    vocabulary = most_frequent(
        (item.answer for item in learnt), len(decoder.embedding(target)), recipe.draft_vocab_size
    )
    rows = recipe.window_rows or suggested_rows(learnt, recipe.window_tokens, recipe.unroll)
    shape = {"window_tokens": recipe.window_tokens, "window_rows": rows, "unroll": recipe.unroll}
    trainer = HeadTrainer(
        target, recipe, vocabulary, pack(learnt, **shape), pack(checked, **shape) if checked else None
    )
    used = trainer.training
    log(0, {"coverage": vocabulary.coverage, "windows": len(used), "window_rows": rows, "tokens": used.answer_tokens})
    out.mkdir(parents=True, exist_ok=True)
    _claim(out / "training.json", {"target": fingerprint(target), "recipe": recipe.fingerprint()})
    trainer.run(out / "state.safetensors", log, resumed)
    save_head(trainer.head, out / "head")
    return trainer.head


def train_head(
    target: PreTrainedModel,
    prompts: Sequence[Prompt],
    recipe: HeadRecipe,
    out: Path,
    *,
    log: Log,
    log_answers: Callable[[int, int], None] = lambda _shards, _tokens: None,
    resumed: Resumed | None = None,
) -> EagleHead:
    """The whole way: the target answers ``prompts``, and a head learns from the answers. Resumable at every point.

    ``log(step, metrics)`` while training, ``log_answers(shards, tokens)`` while the target answers. Raises ValueError
    for a target that does not fit before any work is done, and for a folder with another head's state.
    """
    head_config(target, recipe)
    answered = answer(target.eval(), prompts, recipe.answers, out / "answers", log=log_answers)
    return train_on(target, answered, recipe, out, log, resumed)
