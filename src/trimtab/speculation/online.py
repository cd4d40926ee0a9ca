"""How is a policy learned while questions are answered, without harm to them? A bandit beside a static tree, guarded.

Linear Thompson sampling over the menu (Agrawal and Goyal 2013): the reward of a round is its tokens less what the
fallback would have written in its seconds. Rounds go by in stretches; a share of them is decoded by the fallback, the
best static tree, as a control, and the guard (``guard.py``) compares the two. Greedy decoding writes the same text
whatever is tried, so answers are right from the first; only their speed is at stake.

The state is saved as a whole after each question, the answers are rows of one file: killed and resumed, it goes on from
the last question answered.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from trimtab.checkpoints import Bookkeeping, Checkpoint, Checkpoints
from trimtab.console import say
from trimtab.plain import Plain
from trimtab.policies.linear import LinearThompson, ThompsonBandit
from trimtab.speculation.actions import TreeShape
from trimtab.speculation.context import HISTORY_NAMES, FeatureSet, History, PositionFeatures, join
from trimtab.speculation.engine.generation import Generation, Round, RoundState
from trimtab.speculation.engine.speculator import Speculator
from trimtab.speculation.guard import Guard, GuardSettings
from trimtab.speculation.states import Features
from trimtab.speculation.tasks import PromptTask
from trimtab.speculation.texts import conversation
from trimtab.speculation.tree_policy import TreePolicy, Widths
from trimtab.tracking import Jsonl

if TYPE_CHECKING:
    from trimtab.speculation.recipe import Online

_KEPT_STATES = 2


@dataclass(frozen=True)
class OnlineSettings:
    """``stretch_rounds``: rounds between two dealings. The first ``warmup_rounds`` are the fallback's: they tell its
    rate and what features are normal."""

    stretch_rounds: int = 8
    warmup_rounds: int = 64
    bandit: LinearThompson = field(default_factory=lambda: LinearThompson(0.5, 5.0))
    guard: GuardSettings = field(default_factory=GuardSettings)
    seed: int = 0

    def __post_init__(self) -> None:
        if self.stretch_rounds < 1 or self.warmup_rounds < 2:
            raise ValueError(f"{self}: expected stretch_rounds of at least 1 and warmup_rounds of at least 2")


@dataclass
class _Stretch:
    """Rounds in a row that are one side's."""

    learner: bool
    rounds: int = 0
    tokens: float = 0.0
    seconds: float = 0.0


class OnlineController:
    """A controller that learns from its own rounds. ``finish`` must be told of every generation that it steered.

    A decode's first round is neither learned from nor compared: the head reads the whole prompt in it. Raises ValueError
    where the fallback is not in the menu.
    """

    def __init__(
        self, actions: Sequence[TreeShape], fallback: TreeShape, position: Features, settings: OnlineSettings
    ) -> None:
        if fallback not in actions:
            raise ValueError(f"the fallback {fallback} is not in the menu {', '.join(map(str, actions))}: add it")
        self.actions, self.fallback, self.position, self.settings = list(actions), fallback, position, settings
        self.guard = Guard(settings.guard)
        self.features: FeatureSet | None = None
        self.rounds, self.scale, self.answered = 0, 1.0, 0
        width = len(position.names) + len(HISTORY_NAMES)
        self.bandit: ThompsonBandit[TreeShape] = settings.bandit.build(self.actions, width, settings.seed)
        self._generator = np.random.default_rng(settings.seed + 1)
        self._warm: list[np.ndarray] = []
        self._outcomes: list[tuple[float, float]] = []
        self._history = History()
        self._stretch: _Stretch | None = None
        self._chosen: tuple[np.ndarray | None, int] = (None, 0)

    # -- deciding ------------------------------------------------------------------------------------------------------

    def __call__(self, state: RoundState, /) -> TreeShape:
        if not state.rounds:
            self._history.reset()
            self._close()
        else:
            self._observe(state.rounds[-1], len(state.rounds) - 1, state.rounds[-1].accepted + 1)
        if self._stretch is None or self._stretch.rounds >= self.settings.stretch_rounds:
            self._close()
            self._stretch = _Stretch(self._dealt())
        return self._decide(state)

    def _dealt(self) -> bool:
        """Whether the next stretch is the learner's."""
        if self.features is None or self.guard.fallen:
            return False
        return bool(self._generator.random() >= self.settings.guard.control_share)

    def _decide(self, state: RoundState) -> TreeShape:
        assert self._stretch is not None
        column = self.actions.index(self.fallback)
        if not self._stretch.learner and self.features is not None:  # the control costs what the static tree costs
            self._chosen = None, column
            return self.fallback
        known = join(self.position.read(state)[None], self._history.features())
        if self.features is None:
            self._warm.append(known[0])
            self._chosen = known, column
            return self.fallback
        normal = self.features.normalise(known)
        column = int(self.bandit.choose(normal)[0])
        self._chosen = normal, column
        return self.actions[column]

    # -- learning ------------------------------------------------------------------------------------------------------

    def _observe(self, done: Round, number: int, tokens: int) -> None:
        """The round that has just ended, the ``number``-th of its decode, and the tokens it brought."""
        assert self._stretch is not None
        assert done.shape is not None
        self._history.observe_one(done.accepted, done.shape.depth)
        self._stretch.rounds += 1
        if number == 0:
            return
        seconds = done.seconds.total
        self._stretch.tokens += tokens
        self._stretch.seconds += seconds
        known, column = self._chosen
        if self.features is None:
            self._warming(tokens, seconds)
        elif known is not None:
            self.rounds += 1
            reward = (tokens - self.guard.rate * seconds) / self.scale
            self.bandit.observe(known, np.array([column]), np.array([reward]))

    def _warming(self, tokens: float, seconds: float) -> None:
        self.guard.measured(tokens, seconds)
        self._outcomes.append((tokens, seconds))
        if len(self._outcomes) < self.settings.warmup_rounds:
            return
        self.features = FeatureSet.fit(self.position.names, np.stack(self._warm))
        made = np.array(self._outcomes)
        self.scale = float((made[:, 0] - self.guard.rate * made[:, 1]).std()) or 1.0
        self._warm, self._outcomes, self._stretch = [], [], _Stretch(False, self.settings.stretch_rounds)

    def _close(self) -> None:
        """End the stretch, and let the guard see it."""
        stretch, self._stretch = self._stretch, None
        if stretch is None or self.features is None or stretch.seconds == 0:
            return
        if self.guard.observe(stretch.learner, stretch.tokens, stretch.seconds):
            say(f"the learner is slower than the static tree {self.fallback}: {self.guard.says()}")

    def finish(self, made: Generation) -> None:
        """The generation that it steered has ended: its last round is learned from too."""
        if made.rounds:
            committed = 1 + sum(done.accepted + 1 for done in made.rounds[:-1])
            self._observe(made.rounds[-1], len(made.rounds) - 1, max(0, len(made.tokens) - committed))
        self._close()
        self.answered += 1

    def policy(self, widths: Widths | None = None) -> TreePolicy:
        """What it has learned so far, without exploring. Raises ValueError before it has learned anything."""
        if self.features is None:
            raise ValueError(f"still warming up ({self.settings.warmup_rounds} rounds): answer more questions first")
        about: dict[str, Plain] = {"learned_online": True, "rounds": self.rounds, "best_static": str(self.fallback)}
        return TreePolicy(self.actions, self.bandit.mlp(), self.features, self.position, widths, about)

    # -- keeping -------------------------------------------------------------------------------------------------------

    def arrays(self) -> dict[str, np.ndarray]:
        """Between two questions: all that was learned."""
        made = {f"bandit.{name}": array for name, array in self.bandit.arrays().items()}
        if self.features is not None:
            return made | {f"features.{name}": array for name, array in self.features.arrays().items()}
        warm = np.stack(self._warm) if self._warm else np.zeros((0, self.bandit.features), np.float32)
        return made | {"warm_NF": warm, "outcomes_N2": np.array(self._outcomes).reshape(-1, 2)}

    def state(self) -> dict[str, Plain]:
        return {
            "settings": asdict(self.settings),
            "menu": [[a.total_tokens, a.depth, a.top_k] for a in self.actions],
            "guard": self.guard.plain(),
            "bandit": self.bandit.state(),
            "generator": self._generator.bit_generator.state,
            "counts": [self.rounds, self.answered],
            "scale": self.scale,
        }

    def restore(self, checkpoint: Checkpoint) -> None:
        """Go on from a saved state. Raises ValueError where it is of other settings or another menu."""
        arrays, state = checkpoint.arrays(), checkpoint.state
        mine = self.state()
        for what in ("settings", "menu"):
            if state[what] != mine[what]:
                raise ValueError(f"{checkpoint.path} was saved with {what} {state[what]}; given are {mine[what]}")
        self.guard = Guard.from_plain(state["guard"])
        learned = {name.removeprefix("bandit."): a for name, a in arrays.items() if name.startswith("bandit.")}
        self.bandit.restore(learned, state["bandit"])
        self._generator.bit_generator.state = state["generator"]
        self.rounds, self.answered = state["counts"]
        self.scale = state["scale"]
        names = [*self.position.names, *HISTORY_NAMES]
        normal = {name: arrays[f"features.{name}"] for name in ("mean_F", "scale_F") if f"features.{name}" in arrays}
        self.features = FeatureSet.from_arrays(names, normal) if normal else None
        if self.features is None:
            self._warm = list(arrays["warm_NF"])
            self._outcomes = [(float(tokens), float(seconds)) for tokens, seconds in arrays["outcomes_N2"]]


# -- serving -----------------------------------------------------------------------------------------------------------

Report = Callable[[PromptTask, OnlineController], None]


def serve(
    speculator: Speculator,
    tasks: Sequence[PromptTask],
    controller: OnlineController,
    folder: Path,
    *,
    max_new_tokens: int,
    model_id: str = "trimtab",
    report: Report | None = None,
) -> None:
    """Answer the tasks into ``folder/answers.jsonl`` (MT-bench's format), learning on the way; go on where it stopped.

    Raises ValueError where the folder holds another menu's or settings' state, or answers to other tasks.
    """
    folder.mkdir(parents=True, exist_ok=True)
    states = Checkpoints(folder / "states", keep=_KEPT_STATES)
    latest = states.latest()
    if latest is not None:
        controller.restore(latest)
    done = 0 if latest is None else latest.step
    if done > len(tasks):
        raise ValueError(f"{folder} holds {done} answers, of {len(tasks)} questions: give the same question file")
    answers = Jsonl(folder / "answers.jsonl")
    answers.truncate(done)
    _check_answered(answers.path, tasks)
    try:
        for number, task in enumerate(tasks[done:], done + 1):
            answers.append(_answer(speculator, task, controller, max_new_tokens, model_id))
            answers.sync()
            states.write(number, controller.arrays(), controller.state(), Bookkeeping(steps_rows=number))
            if report:
                report(task, controller)
    finally:
        answers.close()


def _question_id(task: PromptTask) -> int | str:
    """As MT-bench writes it: a number, where it is one."""
    return int(task.task) if task.task.isdecimal() else task.task


def _check_answered(path: Path, tasks: Sequence[PromptTask]) -> None:
    """Raises ValueError where the answers so far are not those to the first of the tasks."""
    with path.open(encoding="utf-8") as lines:
        for number, (line, task) in enumerate(zip(lines, tasks, strict=False), 1):
            answered = json.loads(line)["question_id"]
            if answered != _question_id(task):
                raise ValueError(
                    f"{path}, line {number} answers the question {answered}; the {number}. question given is {task.task}: "
                    "go on with the same questions, or begin in another folder"
                )


def _answer(
    speculator: Speculator, task: PromptTask, controller: OnlineController, max_new_tokens: int, model_id: str
) -> dict[str, Any]:
    """One row of MT-bench's answer file: the turns of a conversation, one after another."""
    messages: list[dict[str, str]] = []
    texts: list[str] = []
    speculator.forget()
    for turn in task.turns:
        messages.append({"role": "user", "content": turn})
        made = speculator.generate(conversation(speculator, messages), max_new_tokens, policy=controller)
        controller.finish(made)
        texts.append(made.text)
        messages.append({"role": "assistant", "content": made.text})
    choice = {"index": 0, "turns": texts}
    return {
        "question_id": _question_id(task),
        "answer_id": f"{model_id}-{task.task}",
        "model_id": model_id,
        "choices": [choice],
        "tstamp": time.time(),
    }


def online(command: Online) -> None:
    """``trimtab speculation online``."""
    from trimtab.speculation.recording import spread
    from trimtab.speculation.stages import asked_shapes, load_pair, prompts_of

    speculator = load_pair(command.pair)
    fallback = TreeShape(*command.fallback)
    actions = list(dict.fromkeys([fallback, *spread(asked_shapes(command), command.menu_size)]))
    settings = OnlineSettings(
        guard=GuardSettings(command.control_share), warmup_rounds=command.warmup_rounds, seed=command.seed
    )
    controller = OnlineController(actions, fallback, PositionFeatures().bind(speculator), settings)

    def report(task: PromptTask, now: OnlineController) -> None:
        say(f"question {task.task} | {now.rounds} rounds learned from | {now.guard.says()}")

    tasks = prompts_of(command.prompts, command.prompt_count)
    name = command.pair.target
    serve(
        speculator,
        tasks,
        controller,
        command.out,
        max_new_tokens=command.max_new_tokens,
        model_id=name,
        report=report,
    )
    say(f"{len(tasks)} answers are in {command.out / 'answers.jsonl'}; {_verdict(controller.guard)}")
    if controller.features is not None and not controller.guard.fallen:
        controller.policy(Widths.of(speculator)).save(command.out / "policy")
        say(f"what was learned is in {command.out / 'policy'}")


def _verdict(guard: Guard) -> str:
    interval = guard.interval()
    found = "faster than" if interval.low > 0 else "slower than" if interval.high < 0 else "not told apart from"
    return f"the learner is {found} the static tree: {guard.says()}"
