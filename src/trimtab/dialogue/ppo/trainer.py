"""How does PPO train a language model? Write replies, grade them, credit their tokens, learn; checkpoint; look for alarms.

On accelerate: one process on a CPU or a GPU, several by ``accelerate launch``. Every process writes its share of the
replies; the main one grades them all (rewards may look at many replies together); then each learns on its share of every
minibatch. What comes out does not depend on how many there are, but for rounding.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor

from trimtab import randomness
from trimtab.checkpoints import Checkpoint
from trimtab.console import print_update, say
from trimtab.dialogue.critic.heads import KL
from trimtab.dialogue.ppo.alarms import Alarms, AlarmSettings, refuse_nan
from trimtab.dialogue.ppo.grading import UNFINISHED, Graded, Grader, Written, check_grades, with_unfinished
from trimtab.dialogue.ppo.keeping import restore_arrays, training_arrays
from trimtab.dialogue.ppo.learner import Learner, Reference
from trimtab.dialogue.ppo.rollouts import Replies, Targets, targets
from trimtab.dialogue.ppo.sampling import uniform_noise
from trimtab.dialogue.ppo.settings import PPOSettings
from trimtab.dialogue.ppo.updating import Updating
from trimtab.maths.divergences import adapted_coefficient, k3
from trimtab.plain import Plain
from trimtab.runs import Run
from trimtab.types import Metrics


def head_names(parts: tuple[str, ...]) -> tuple[str, ...]:
    """The heads that a critic needs for a reward of these parts, in their order."""
    return (*parts, UNFINISHED, KL)


def make_accelerator(*, bf16: bool = False) -> Accelerator:
    """Who this process is, and where it computes: a CUDA device where there is one, else the CPU.

    Several processes: ``accelerate launch`` (on a CPU with ``--multi_gpu --num_processes N``: gloo between them).
    """
    return Accelerator(cpu=not torch.cuda.is_available(), mixed_precision="bf16" if bf16 else "no")


def prompt_rows(seed: int, update: int, per_update: int, available: int) -> list[int]:
    """Which prompts an update is about: a new order of all of them, pass after pass, told by the seed."""
    rows: list[int] = []
    for number in range(update * per_update, (update + 1) * per_update):
        generator = np.random.default_rng([seed, number // available])
        rows.append(int(generator.permutation(available)[number % available]))
    return rows


@dataclass(frozen=True)
class Update:
    """One update: its metrics, its replies and their grades."""

    step: int
    metrics: Metrics
    replies: Replies
    written: list[Written]
    graded: Graded
    alarms: list[str]


class PPOTrainer:
    """Trains ``learner`` on ``grader``'s prompts. Use ``fit``, or ``update`` one by one.

    ``ends``: ids of the tokens that end a reply. Raises ValueError where the critic's heads are not those that the
    grader's parts need, or where a minibatch cannot be dealt evenly to the processes.
    """

    def __init__(
        self,
        settings: PPOSettings,
        learner: Learner,
        reference: Reference,
        grader: Grader,
        ends: Collection[int],
        *,
        accelerator: Accelerator | None = None,
        alarms: AlarmSettings | None = None,
    ) -> None:
        self.settings, self.learner, self.grader = settings, learner, grader
        self.accelerator = accelerator or make_accelerator()
        self._reference, self._ends = reference, frozenset(ends)
        learner.entropy_gradient = settings.entropy_coefficient != 0
        self._check(learner, grader)
        self.kl_coefficient = settings.kl_coefficient
        self.alarms = Alarms(settings.kl_target if settings.kl_coefficient else None, alarms or AlarmSettings())
        self.tokens_generated = 0
        self._prepare()

    def _check(self, learner: Learner, grader: Grader) -> None:
        expected = head_names(grader.parts)
        if learner.parts != expected:
            raise ValueError(
                f"the critic has heads for {learner.parts}: expected {expected}, one for each part in order"
            )
        piece = self.settings.minibatch_size // self.settings.accumulation
        if piece % self.accelerator.num_processes:
            raise ValueError(
                f"minibatches of {self.settings.minibatch_size} in {self.settings.accumulation} pieces cannot be dealt to "
                f"{self.accelerator.num_processes} processes: choose sizes that divide evenly"
            )

    def _prepare(self) -> None:
        groups = [
            {"params": self.learner.policy_parameters(), "lr": self.settings.learning_rate},
            {"params": self.learner.critic_parameters(), "lr": self.settings.critic_learning_rate},
        ]
        self._rates = [self.settings.learning_rate, self.settings.critic_learning_rate]
        fused = self.accelerator.device.type in ("cpu", "cuda")
        optimizer = torch.optim.AdamW(groups, eps=1e-5, weight_decay=0.0, fused=fused)
        self._model, self._optimizer = self.accelerator.prepare(self.learner, optimizer)
        if self._reference.model is not None:
            self._reference.model.to(self.accelerator.device)

    # -- one update ----------------------------------------------------------------------------------------------------

    def update(self, step: int) -> Update:
        """Update number ``step`` (0-based). Raises ValueError for a reward or a loss that is no finite number."""
        clock = _Clock()
        replies = self.collect(step)
        clock.lap("seconds/writing")
        written, graded = self.grade(replies, step / self.settings.steps)
        clock.lap("seconds/grading")
        aims = targets(replies, graded, self.kl_coefficient, self.settings, self.learner.token_weights)
        self._set_rates(self.settings.rate(step))
        passes = Updating(self.accelerator, self._model, self.learner, self._optimizer, self.settings)
        learnt = passes.run(replies, aims, step)
        clock.lap("seconds/learning")
        self.tokens_generated += int(replies.mask_BT.sum())
        metrics = {**self._metrics(replies, graded, aims), **learnt, **clock.laps}
        refuse_nan(metrics, step)
        self._steer(metrics["kl"], len(written))
        found = self.alarms.look(metrics)
        metrics |= {f"alarm/{name}": float(holds) for name, holds in found.items()}
        return Update(step, metrics, replies, written, graded, self.alarms.new(found))

    def collect(self, step: int) -> Replies:
        """Write and evaluate the replies of an update: this process's share, then all processes' together."""
        settings, team = self.settings, self.accelerator
        per_update = settings.batch_size // settings.samples_per_prompt
        prompts = prompt_rows(settings.seed, step, per_update, len(self.grader.prompts))
        rows_B = torch.tensor(prompts).repeat_interleave(settings.samples_per_prompt)
        noise_BT = uniform_noise(settings.seed, step, settings.batch_size, settings.reply_max_length)
        mine = slice(team.process_index, None, team.num_processes)
        return self.write(rows_B[mine], noise_BT[mine]).exchanged(self._exchange)

    def write(self, rows_B: Tensor, noise_BT: Tensor | None) -> Replies:
        """Replies to the prompts ``rows_B``, evaluated; in this process alone."""
        settings = self.settings
        with self.accelerator.autocast():
            sampled = self.learner.write(
                [self.grader.prompts[row] for row in rows_B.tolist()],
                noise_BT,
                width=settings.reply_max_length,
                ends=self._ends,
                context=settings.context_max_length,
            )
        pieces = torch.arange(len(rows_B)).split(self._piece)
        evaluated = [self._evaluate(sampled.tokens.rows(piece)) for piece in pieces]
        logprobs, reference, values = (torch.cat(tensors) for tensors in zip(*evaluated, strict=True))
        return Replies(rows_B, sampled.tokens, sampled.ended_B, sampled.logprobs_BT, logprobs, reference, values)

    @property
    def _piece(self) -> int:
        """Rows that go through a model at once."""
        return max(1, self.settings.minibatch_size // self.settings.accumulation // self.accelerator.num_processes)

    @torch.no_grad()
    def _evaluate(self, rows: Any) -> tuple[Tensor, Tensor, Tensor]:
        """Log-probabilities of policy and reference, and values, each as wide as replies may be, on the CPU."""
        tokens = rows.trimmed().to(self.accelerator.device)
        with self.accelerator.autocast():
            now = self.learner(tokens.ids_BS, tokens.mask_BS, tokens.reply_width)
            reference_BT = self._reference.logprobs(tokens, self.settings.temperature)
        missing = self.settings.reply_max_length - tokens.reply_width
        pad = torch.nn.functional.pad
        logprobs_BT, reference_BT = (pad(t.float().cpu(), (0, missing)) for t in (now.logprobs_BT, reference_BT))
        return logprobs_BT, reference_BT, pad(now.values_BTP.float().cpu(), (0, 0, 0, missing))

    def _exchange(self, mine: Tensor) -> Tensor:
        """The rows of all processes in the order of the prompts; ``mine`` is every n-th of them."""
        if self.accelerator.num_processes == 1:
            return mine
        gathered: Any = self.accelerator.gather(mine.to(self.accelerator.device))
        by_process = gathered.cpu().reshape(self.accelerator.num_processes, len(mine), *mine.shape[1:])
        return by_process.transpose(0, 1).reshape(-1, *mine.shape[1:])

    def grade(self, replies: Replies, progress: float) -> tuple[list[Written], Graded]:
        """Have the main process grade the replies, and all know it. ``progress``: see ``Grader.grade``."""
        ids = replies.tokens.reply_lists()
        told = zip(replies.prompts_B.tolist(), ids, replies.ended_B.tolist(), strict=True)
        written = [Written(prompt, reply, bool(ended)) for prompt, reply, ended in told]
        graded: list[Graded | None] = [None]
        if self.accelerator.is_main_process:
            by_grader = self.grader.grade(written, progress)
            check_grades(by_grader, written, self.grader)
            graded = [by_grader]
        if self.accelerator.num_processes > 1:
            from accelerate.utils import broadcast_object_list

            broadcast_object_list(graded)
        assert graded[0] is not None
        return written, with_unfinished(graded[0], written, self.settings.unfinished_penalty)

    def _set_rates(self, factor: float) -> None:
        for group, rate in zip(self._optimizer.param_groups, self._rates, strict=True):
            group["lr"] = rate * factor

    def _steer(self, kl: float, count: int) -> None:
        if self.settings.kl_target is not None:
            self.kl_coefficient = adapted_coefficient(
                self.kl_coefficient,
                kl,
                target=float(self.settings.kl_target),
                samples=count,
                horizon=float(self.settings.kl_horizon),
            )

    def _metrics(self, replies: Replies, graded: Graded, aims: Targets) -> Metrics:
        mask_BT, ratio_BT = replies.mask_BT, replies.log_ratio_BT
        means = dict(zip(graded.parts, graded.raw_BP.mean(axis=0).tolist(), strict=True))
        weights = dict(zip(graded.parts, graded.weights_P.tolist(), strict=True))
        explained = {name: value for name, value in aims.explained.items() if name != "total"}
        return {
            "reward": float(graded.values_B.mean()),
            **{f"reward/{name}": value for name, value in means.items()},
            **{f"reward_weight/{name}": value for name, value in weights.items()},
            "kl": float(ratio_BT.sum(axis=1).mean()),
            "kl_k3": float(np.where(mask_BT, k3(ratio_BT), 0.0).sum(axis=1).mean()),
            "kl_coefficient": self.kl_coefficient,
            "explained_variance": aims.explained["total"],
            **{f"explained_variance/{name}": value for name, value in explained.items()},
            "length": float(mask_BT.sum(axis=1).mean()),
            "ended_share": float(replies.ended_B.float().mean()),
            "sampling_error": replies.sampling_error,
            "learning_rate": float(self._optimizer.param_groups[0]["lr"]),
            "tokens_generated": float(self.tokens_generated),
        }

    # -- a whole training ----------------------------------------------------------------------------------------------

    def fit(
        self, run: Run | None = None, *, told: Callable[[Update], object] | None = None, until: int | None = None
    ) -> None:
        """All updates, from the run's newest checkpoint on where it has one; ``until``: stop before that update.

        Every process calls this; the run is the main one's. ``told`` hears of each update.
        """
        first = self._resume(run)
        last = min(self.settings.steps, until if until is not None else self.settings.steps)
        for step in range(first, last):
            done = self.update(step)
            if self.accelerator.is_main_process:
                self._tell(run, done)
                if told is not None:
                    told(done)
            if (step + 1) % self.settings.checkpoint_every == 0 or step + 1 == last:
                self._checkpoint(run, step)

    def _resume(self, run: Run | None) -> int:
        """Restore the newest checkpoint; the update to go on with. Processes without the run are told by the main one."""
        box: list[Checkpoint | None] = [run.latest_checkpoint() if run is not None else None]
        if self.accelerator.num_processes > 1:
            from accelerate.utils import broadcast_object_list

            broadcast_object_list(box)
        checkpoint = box[0]
        if checkpoint is None:
            return 0
        self.restore(checkpoint.tensors(), checkpoint.state)
        return checkpoint.step + 1

    def _checkpoint(self, run: Run | None, step: int) -> None:
        arrays = self.arrays()
        if run is not None and self.accelerator.is_main_process:
            run.checkpoint(step, arrays, self.state())

    def arrays(self) -> dict[str, Any]:
        """Arrays of a checkpoint. All processes must call this together."""
        # of the learner itself: no wrapper's prefix is in the names, and any number of processes can go on
        return {**training_arrays(self.learner, self._optimizer.optimizer), **randomness.capture()}

    def state(self) -> dict[str, Plain]:
        """State of a checkpoint, as plain data."""
        return {
            "kl_coefficient": self.kl_coefficient,
            "tokens_generated": self.tokens_generated,
            "alarms": self.alarms.state(),
            "grader": self.grader.state(),
            "parts": list(self.grader.parts),
        }

    def restore(self, arrays: dict[str, Any], state: dict[str, Plain]) -> None:
        """Go on from a checkpoint. Raises ValueError where it belongs to another model or other rewards."""
        if tuple(state["parts"]) != tuple(self.grader.parts):
            raise ValueError(
                f"the training was begun with the rewards {state['parts']}, now there are {list(self.grader.parts)}: "
                "resume with the same"
            )
        restore_arrays(self.learner, self._optimizer.optimizer, arrays)
        randomness.restore(arrays)
        self.kl_coefficient = float(state["kl_coefficient"])
        self.tokens_generated = int(state["tokens_generated"])
        self.alarms.restore(state["alarms"])
        self.grader.restore(state["grader"])

    def _tell(self, run: Run | None, done: Update) -> None:
        for name in done.alarms:
            say(f"alarm at update {done.step}: {name.replace('_', ' ')} (docs/dialogue.md says what to do)")
        if run is not None:
            run.log(done.step, {name: value for name, value in done.metrics.items() if np.isfinite(value)})


def console_line(done: Update, seconds: float) -> None:
    """Print the line of an update."""
    shown = ("reward", "kl", "kl_coefficient", "explained_variance", "length", "policy_loss", "clipped_share")
    print_update(done.step, {name: done.metrics[name] for name in shown}, seconds)


class _Clock:
    def __init__(self) -> None:
        self.laps: dict[str, float] = {}
        self._last = time.perf_counter()

    def lap(self, name: str) -> None:
        now = time.perf_counter()
        self.laps[name], self._last = now - self._last, now


def short(settings: PPOSettings, steps: int) -> PPOSettings:
    """The same settings over fewer updates."""
    return replace(settings, steps=steps)
