"""Does serving learn, fall back where learning harms, and go on after a kill as if nothing had happened?"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from speculation import tiny
from speculation.synthetic import SHAPES
from trimtab.speculation.actions import TreeShape, named_menu
from trimtab.speculation.chances import uniform
from trimtab.speculation.collect import Collector, Header
from trimtab.speculation.collected import read_collected
from trimtab.speculation.context import PositionFeatures
from trimtab.speculation.engine.generation import Generation, Round, RoundState, Seconds
from trimtab.speculation.engine.speculator import Speculator
from trimtab.speculation.guard import Guard, GuardSettings
from trimtab.speculation.logged_rounds import as_log
from trimtab.speculation.online import OnlineController, OnlineSettings, serve
from trimtab.speculation.recording import Recorder, Where, context_hash, feature_names, record, spread
from trimtab.speculation.tasks import PromptTask

MENU = SHAPES[:4]
FALLBACK = MENU[2]
TASKS = [PromptTask(str(index), "x", (f"{index} {index + 1} {index + 5}",)) for index in range(12)]

Outcome = Callable[[np.ndarray, TreeShape, np.random.Generator], tuple[int, float]]


class _Position:
    """Features that the fake decode below hands over in place of the head's."""

    @property
    def names(self) -> list[str]:
        return ["easy", "noise"]

    def read(self, state: Any) -> np.ndarray:
        return state.known

    def bind(self, _speculator: object) -> _Position:
        return self

    def spec(self) -> str:
        return "statistics"

    def arrays(self) -> dict[str, np.ndarray]:
        return {}


class _State:
    def __init__(self, known: np.ndarray, rounds: list[Round]) -> None:
        self.known, self.rounds = known, rounds


class _Fake:
    """A speculator whose rounds bring what ``outcome`` says: no models, no clock."""

    chats = False

    def __init__(self, outcome: Outcome, tokens: int = 400) -> None:
        self.outcome, self.tokens = outcome, tokens
        self.shapes: list[TreeShape] = []
        self.easy: list[bool] = []

    def forget(self) -> None: ...

    def generate(self, prompt: str, _limit: int, *, policy: OnlineController) -> Generation:
        rng = np.random.default_rng(sum(map(ord, prompt)))
        rounds: list[Round] = []
        written = 1
        while written < self.tokens:
            known = np.array([rng.random() < 0.5, rng.standard_normal()], dtype=np.float32)
            shape = policy(_State(known, rounds))  # type: ignore[arg-type]
            accepted, seconds = self.outcome(known, shape, rng)
            rounds.append(Round(shape, shape.drafted, accepted, Seconds(verify=seconds)))
            written += accepted + 1
            self.shapes.append(shape)
            self.easy.append(bool(known[0]))
        return Generation([1] * min(written, self.tokens), prompt, rounds, 0.01, 1.0, 0)


def _telling(known: np.ndarray, shape: TreeShape, rng: np.random.Generator) -> tuple[int, float]:
    """Where it is easy the deepest tree is right, else the shallowest; the fallback is middling in both."""
    deep, easy = shape == MENU[3], known[0] > 0.5
    accepted = (6 if easy else 0) if deep else (1 if shape == MENU[0] else 2)
    return accepted, (0.02 if deep else 0.008 if shape == MENU[0] else 0.012) * rng.gamma(100, 0.01)


def _useless(_known: np.ndarray, shape: TreeShape, rng: np.random.Generator) -> tuple[int, float]:
    """The features tell nothing, and whatever is not the fallback is slow: deciding alone costs."""
    return 2, (0.010 if shape == FALLBACK else 0.03) * rng.gamma(100, 0.01)


def _controller(**settings: Any) -> OnlineController:
    chosen = OnlineSettings(**({"warmup_rounds": 40, "seed": 3} | settings))
    return OnlineController(MENU, FALLBACK, _Position(), chosen)  # type: ignore[arg-type]


def test_it_learns_while_it_answers(tmp_path: Path) -> None:
    fake, controller = _Fake(_telling), _controller()
    serve(fake, TASKS, controller, tmp_path, max_new_tokens=400)  # type: ignore[arg-type]
    late = [(shape, easy) for shape, easy in zip(fake.shapes, fake.easy, strict=True)][-600:]
    deep = np.mean([shape == MENU[3] for shape, easy in late if easy])
    assert deep > 0.6
    assert np.mean([shape == MENU[3] for shape, easy in late if not easy]) < 0.1
    assert controller.guard.interval().low > 0
    assert not controller.guard.fallen
    guard = controller.guard
    assert guard.learner_tokens / guard.learner_seconds > 1.2 * guard.rate
    policy = controller.policy()
    assert policy.actions == MENU


def test_it_falls_back_where_learning_harms(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    class Stubborn(OnlineController):
        """Never learns: always the first tree."""

        def _decide(self, state: RoundState) -> TreeShape:
            super()._decide(state)
            assert self._stretch is not None
            return MENU[0] if self._stretch.learner else FALLBACK

    controller = Stubborn(MENU, FALLBACK, _Position(), OnlineSettings(warmup_rounds=40))  # type: ignore[arg-type]
    fake = _Fake(_useless)
    serve(fake, TASKS, controller, tmp_path, max_new_tokens=400)  # type: ignore[arg-type]
    assert controller.guard.fallen
    assert set(fake.shapes[-300:]) == {FALLBACK}
    said = capsys.readouterr().err
    assert said.count("the learner is slower than the static tree") == 1


def test_the_guard_seldom_cries_wolf() -> None:
    falls = 0
    for seed in range(60):
        rng, guard = np.random.default_rng(seed), Guard(GuardSettings())
        guard.measured(200, 1.0)
        for _ in range(600):
            tokens = float(rng.integers(10, 30))
            guard.observe(bool(rng.random() < 0.8), tokens, tokens / 200 * rng.gamma(50, 0.02))
        falls += guard.fallen
    assert falls <= 4


def _same(one: OnlineController, other: OnlineController) -> None:
    assert one.state() == other.state()
    for name, array in one.arrays().items():
        np.testing.assert_array_equal(array, other.arrays()[name])


def _rows(folder: Path) -> list[dict[str, Any]]:
    rows = [json.loads(line) for line in (folder / "answers.jsonl").read_text().splitlines()]
    return [{name: value for name, value in row.items() if name != "tstamp"} for row in rows]


@pytest.mark.parametrize("killed_at", [1, 4, 11])
def test_killed_and_resumed_it_ends_the_same(tmp_path: Path, killed_at: int) -> None:
    whole, first, second = _controller(), _controller(), _controller()
    serve(_Fake(_telling, 120), TASKS, whole, tmp_path / "a", max_new_tokens=120)  # type: ignore[arg-type]

    class Dies(_Fake):
        def generate(self, prompt: str, limit: int, *, policy: OnlineController) -> Generation:
            made = super().generate(prompt, limit, policy=policy)
            if prompt == TASKS[killed_at].turns[0]:
                raise KeyboardInterrupt  # its rounds are half learned by then
            return made

    with pytest.raises(KeyboardInterrupt):
        serve(Dies(_telling, 120), TASKS, first, tmp_path / "b", max_new_tokens=120)  # type: ignore[arg-type]
    assert len(_rows(tmp_path / "b")) == killed_at
    with (tmp_path / "b" / "answers.jsonl").open("a") as file:
        file.write('{"an answer whose state was never saved": 1}\n{"half')
    serve(_Fake(_telling, 120), TASKS, second, tmp_path / "b", max_new_tokens=120)  # type: ignore[arg-type]
    _same(whole, second)
    assert _rows(tmp_path / "a") == _rows(tmp_path / "b")


def test_answers_are_in_mt_benchs_format(tmp_path: Path) -> None:
    tasks = [PromptTask("81", "writing", ("one", "two"))]
    serve(_Fake(_telling, 60), tasks, _controller(), tmp_path, max_new_tokens=60, model_id="m")  # type: ignore[arg-type]
    (row,) = [json.loads(line) for line in (tmp_path / "answers.jsonl").read_text().splitlines()]
    assert row["question_id"] == 81
    assert row["choices"] == [{"index": 0, "turns": ["one", "one\n\none\n\ntwo"]}]  # the fake answers with its prompt
    assert {"answer_id", "model_id", "tstamp"} <= set(row)


def test_another_state_is_refused(tmp_path: Path) -> None:
    serve(_Fake(_telling, 60), TASKS[:2], _controller(), tmp_path, max_new_tokens=60)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="saved with settings"):
        serve(_Fake(_telling), TASKS, _controller(seed=4), tmp_path, max_new_tokens=60)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="2 answers, of 1 questions"):
        serve(_Fake(_telling), TASKS[:1], _controller(), tmp_path, max_new_tokens=60)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="not in the menu"):
        OnlineController(MENU[:2], FALLBACK, PositionFeatures(), OnlineSettings())
    with pytest.raises(ValueError, match="control_share"):
        GuardSettings(control_share=0.0)
    with pytest.raises(ValueError, match="still warming up"):
        _controller().policy()


# -- with models -------------------------------------------------------------------------------------------------------


def _ids(seed: int) -> list[int]:
    return np.random.default_rng(seed).integers(0, 90, 12).tolist()


def _pair() -> Speculator:
    model = tiny.target()
    return Speculator(model, tiny.echo(model))


def test_a_live_log_holds_what_happened(tmp_path: Path) -> None:
    speculator, position = _pair(), PositionFeatures()
    menu = [MENU[1], MENU[2], MENU[3]]
    recorder = Recorder(menu, uniform(3), position, np.random.default_rng(0))
    path = tmp_path / "log.jsonl"
    with Collector(path, Header("s", feature_names(position), tuple(menu))) as collector:
        for question, decode in [(q, d) for q in range(2) for d in range(2)]:
            ids = _ids(question)
            speculator.forget()
            made = speculator.generate(ids, 30, policy=recorder)
            where = Where("s", str(question), 1, decode, context_hash(ids))
            record(recorder, collector, made, where, category="x")
    log = as_log(read_collected([path]))
    assert log.decodes == 4
    for question in range(2):
        plain = speculator.generate(_ids(question), 30, shape=None)
        assert log.positions_Q[question] == len(plain.tokens) - 1
    assert log.context_Q.tolist() == [12, 12]
    assert len(set(log.action_N.tolist())) == 3
    assert (log.seconds_N > 0).all()
    np.testing.assert_allclose(log.probability_N, 1 / 3)
    same = (log.prompt_N[:, None] == log.prompt_N) & (log.position_N[:, None] == log.position_N)
    again = same & (log.action_N[:, None] == log.action_N)
    assert again.sum() > log.rounds  # two decodes of a prompt met the same tree at the same position
    assert (log.accepted_N[:, None] == log.accepted_N)[again].all()
    width = log.position_width
    for one, other in np.argwhere(same):
        np.testing.assert_allclose(log.features_NF[one, :width], log.features_NF[other, :width], rtol=1e-4)


def test_serving_writes_what_the_target_would_write(tmp_path: Path) -> None:
    speculator = _pair()
    controller = OnlineController(MENU, FALLBACK, PositionFeatures(), OnlineSettings(4, 8, seed=1))
    for seed in range(6):
        made = speculator.generate(_ids(seed), 40, policy=controller)
        controller.finish(made)
        speculator.forget()
        assert made.tokens == speculator.generate(_ids(seed), 40, shape=None).tokens
    assert controller.features is not None
    assert controller.answered == 6
    assert controller.policy()(_first_state(speculator)) in MENU


def _first_state(speculator: Speculator) -> RoundState:
    seen: list[RoundState] = []

    def keep(state: RoundState) -> TreeShape:
        seen.append(state)
        return FALLBACK

    speculator.generate(_ids(9), 4, policy=keep)
    return seen[0]


def test_a_spread_menu() -> None:
    assert spread(named_menu("small"), 1000) == spread(named_menu("small"), 10_000)
    five = spread(named_menu("default"), 5)
    assert len(five) == 5
    assert five == sorted(five)
    with pytest.raises(ValueError, match="at least 1"):
        spread(named_menu("default"), 0)
