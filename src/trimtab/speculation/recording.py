"""How does a live decode leave a log? A controller that draws each tree by known chances, and remembers what it knew."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np

from trimtab import machine
from trimtab.console import progress_bar, say
from trimtab.parallel import Workers, quietly, workers
from trimtab.plain import Plain
from trimtab.speculation.actions import TreeShape
from trimtab.speculation.chances import Chances, always, drawn, explored, of_policy, uniform
from trimtab.speculation.collect import PHASES, Answer, Collector, Decision, Header
from trimtab.speculation.context import HISTORY_NAMES, History, PositionFeatures, join
from trimtab.speculation.engine.generation import Controller, Generation, Round, RoundState
from trimtab.speculation.engine.speculator import Speculator
from trimtab.speculation.gathering import join_parts, part_path, question_of
from trimtab.speculation.level_policy import LevelPolicy
from trimtab.speculation.race import turns
from trimtab.speculation.saved import SavedPolicy, load_tree_policy
from trimtab.speculation.stages import asked_shapes, load_pair, prompts_of
from trimtab.speculation.states import Features
from trimtab.speculation.tasks import PromptTask
from trimtab.speculation.tree_policy import Widths

if TYPE_CHECKING:
    from trimtab.speculation.recipe import Collect, Generate, Pair


@dataclass(frozen=True)
class Where:
    """Which decode it is: session, question, turn, the how-manieth decode of it, and the hash of its prompt."""

    session: str
    question: str
    turn: int
    decode: int
    context_hash: str


@dataclass(frozen=True, eq=False)
class _Known:
    """What was known and done when a round began."""

    features_F: np.ndarray
    chances_A: np.ndarray
    action: int
    context_tokens: int
    new_tokens: int


@dataclass
class Recorder:
    """A controller that draws each tree by ``chances`` and remembers all that a log needs.

    ``position`` reads the features of the position; the history joins them. ``take`` hands over one decode's rounds.
    """

    actions: Sequence[TreeShape]
    chances: Chances
    position: Features
    generator: np.random.Generator
    _history: History = field(default_factory=History)
    _known: list[_Known] = field(default_factory=list[_Known])

    def __call__(self, state: RoundState, /) -> TreeShape:
        if not state.rounds:
            self._history.reset()
            self._known.clear()
        else:
            done = state.rounds[-1]
            assert done.shape is not None
            self._history.observe_one(done.accepted, done.shape.depth)
        features = join(self.position.read(state)[None], self._history.features())
        chances = self.chances(features)
        action = int(drawn(chances, self.generator)[0])
        self._known.append(_Known(features[0], chances[0], action, state.context_tokens, state.new_tokens))
        return self.actions[action]

    def take(self, made: Generation, where: Where) -> list[Decision]:
        """The rounds of the decode that has just ended. Raises ValueError where ``made`` is another one."""
        if len(self._known) != len(made.rounds):
            raise ValueError(f"{len(self._known)} decisions for {len(made.rounds)} rounds: expected this decode's own")
        ends = [known.new_tokens for known in self._known[1:]] + [len(made.tokens)]
        rounds = zip(self._known, made.rounds, ends, strict=True)
        return [self._decision(number, *one, where) for number, one in enumerate(rounds)]

    def _decision(self, number: int, known: _Known, done: Round, end: int, where: Where) -> Decision:
        return Decision(
            **asdict(where),
            round=number,
            position=known.new_tokens - 1,
            context_tokens=known.context_tokens,
            features=[float(value) for value in known.features_F],
            action=known.action,
            shape=self.actions[known.action],
            probability=float(known.chances_A[known.action]),
            probabilities=[float(value) for value in known.chances_A],
            accepted=done.accepted,
            tokens=end - known.new_tokens,
            seconds={phase: getattr(done.seconds, phase) for phase in PHASES},
        )


def feature_names(position: Features) -> tuple[str, ...]:
    """The names of the joined features."""
    return (*position.names, *HISTORY_NAMES)


def context_hash(ids: Sequence[int]) -> str:
    """Of a prompt's token ids: equal prompts, equal hashes."""
    return hashlib.sha256(np.asarray(ids, dtype="<i8").tobytes()).hexdigest()[:16]


def record(
    recorder: Recorder, collector: Collector, made: Generation, where: Where, *, category: str, temperature: float = 0.0
) -> None:
    """Append the decode that has just ended to the log."""
    ended = Answer(
        **asdict(where),
        category=category,
        tokens=len(made.tokens),
        rounds=len(made.rounds),
        temperature=temperature,
        prefill_seconds=made.prefill_seconds,
        seconds=made.seconds,
    )
    collector.write(recorder.take(made, where), ended)


# -- the command -------------------------------------------------------------------------------------------------------


def spread(shapes: Sequence[TreeShape], size: int) -> list[TreeShape]:
    """At most ``size`` of the trees, spread evenly over them from small to large. Raises ValueError below 1."""
    if size < 1:
        raise ValueError(f"a menu of {size} trees: expected at least 1")
    shapes = sorted(shapes, key=lambda shape: (shape.total_tokens, shape.depth, shape.top_k))
    places = np.unique(np.linspace(0, len(shapes) - 1, min(size, len(shapes))).round().astype(int))
    return [shapes[place] for place in places.tolist()]


def logger_of(command: Collect, speculator: Speculator) -> tuple[list[TreeShape], Chances, Features]:
    """The menu, the logger's chances and the features that a command asks for.

    Raises ValueError where the policy is not among the menu's, or holds its actions.
    """
    if command.policy is None:
        actions = spread(asked_shapes(command), command.menu_size)
        return actions, uniform(len(actions)), PositionFeatures().bind(speculator)
    policy = load_tree_policy(command.policy, speculator)
    chances = explored(of_policy(policy, policy.actions), command.epsilon, len(policy.actions))
    return policy.actions, chances, policy.position


def _session(seed: int) -> str:
    return f"{datetime.now(UTC):%Y%m%dT%H%M%S.%f}-{seed}"


def _about(speculator: Speculator, pair: Pair, max_new_tokens: int, logger: str) -> dict[str, Plain]:
    origin = {"widths": asdict(Widths.of(speculator)), "pair": asdict(pair)}
    return {"logger": logger, **origin, "max_new_tokens": max_new_tokens, "hardware": machine.hardware()}


def collect(command: Collect) -> None:
    """``trimtab speculation collect``: decode prompts by a randomised logger, and append what happened to the log.

    The trees drawn depend on the seed, the question and the decode alone. Of several processes each decodes its share of
    the questions into a log beside ``out``; the main one joins them.
    """
    team = workers()
    with quietly(team):
        _collect(command, team)


def _collect(command: Collect, team: Workers) -> None:
    speculator = load_pair(command.pair)
    actions, chances, position = logger_of(command, speculator)
    tasks = prompts_of(command.prompts, command.prompt_count)
    logger = f"{command.policy}, {command.epsilon:g} at random" if command.policy else "trees drawn alike"
    about = _about(speculator, command.pair, command.max_new_tokens, logger)
    header = Header(team.from_main(_session(command.seed)), feature_names(position), tuple(actions), about)
    recorder = Recorder(actions, chances, position, np.random.default_rng(command.seed))
    out = command.out if team.count == 1 else part_path(command.out, header.session, team.rank)
    with Collector(out, header) as collector:
        decodes = _decodes(command, speculator, recorder, collector, tasks, team)
    team.wait()
    if team.main and team.count > 1:
        with Collector(command.out, header) as collector:
            join_parts(collector, command.out, tasks, team)
    shared = f", the share of one of {team.count} processes," if team.count > 1 else ""
    say(f"{decodes} decodes{shared} by {logger} appended to {command.out}")


def _decodes(
    command: Collect,
    speculator: Speculator,
    recorder: Recorder,
    collector: Collector,
    tasks: Sequence[PromptTask],
    team: Workers,
) -> int:
    """Decode this process's share of the tasks; how many decodes that were."""
    place = {task.task.partition("/turn")[0]: index for index, task in enumerate(tasks)}
    prompts = turns(speculator, team.share(tasks), command.max_new_tokens)
    jobs = [(number, turn) for number in range(command.decodes) for turn in prompts]
    with progress_bar("collecting") as advance:
        for done, (number, turn) in enumerate(jobs, 1):
            question, which = question_of(turn)
            recorder.generator = np.random.default_rng([command.seed, number, place[question], which])
            speculator.forget()
            made = speculator.generate(turn.ids, command.max_new_tokens, policy=recorder)
            where = Where(collector.header.session, question, which, number, context_hash(turn.ids))
            record(recorder, collector, made, where, category=turn.category)
            advance(done / len(jobs))
    return len(jobs)


def record_answer(
    command: Generate,
    speculator: Speculator,
    policy: SavedPolicy | None,
    shape: TreeShape | None,
    reply: Callable[[Controller], Generation],
) -> None:
    """Have ``reply`` answer by the policy (or the static tree) and append what happened to ``command.collect``.

    Raises ValueError where nothing is drafted, or the policy holds its actions (``chances.of_policy``).
    """
    assert command.collect is not None
    if isinstance(policy, LevelPolicy):
        raise ValueError(
            f"{policy} chooses no tree of a menu, which is what a log records: collect with a static --shape, or with a "
            "policy of another learner"
        )
    actions = policy.actions if policy else [shape] if shape else []
    if not actions:
        raise ValueError("without drafting there is nothing to collect: give --shape or --policy")
    chances = of_policy(policy, actions) if policy else always(0, 1)
    position = policy.position if policy else PositionFeatures().bind(speculator)
    recorder = Recorder(actions, chances, position, np.random.default_rng(command.seed))
    about = _about(speculator, command.pair, command.max_new_tokens, str(command.policy or shape))
    header = Header(_session(command.seed), feature_names(position), tuple(actions), about)
    with Collector(command.collect, header) as collector:
        made = reply(recorder)
        hashed = context_hash(speculator.encode(command.prompt))
        where = Where(header.session, hashed, 1, 0, hashed)
        record(recorder, collector, made, where, category="none", temperature=command.temperature)
