"""What does a learner play? Decoding as a Markov decision process over a table, exact and free of noise.

At temperature 0 the text does not depend on the trees, so what every action accepts at every position is known
beforehand. A step is a round: draft with the action, verify that same tree. Its reward is

    (tokens - rate * seconds) / scale,        rate = tokens per second of the best static shape:

a sum that is positive exactly where the whole decode is faster than ``rate`` (Dinkelbach 1967: the ratio of sums
sum(tokens) / sum(seconds) is maximal where the maximum of this difference is zero). A mean of per-round ratios would
reward the wrong thing. Tokens and seconds stay apart in ``info``.

A learner that looks no further than the round (a bandit) needs to know what landing somewhere is worth. Potential-based
shaping (Ng, Harada and Russell 1999) adds V(next) - V(here), V being the value of going on with the best static shape. All
tokens will be committed in the end, so they cancel, and what is left is free of the rate but for the unit:

    rate * (S(here) - S(next) - seconds) / scale,    S = the best static shape's seconds to the end

the time that the round saved. Summed over a decode both rewards differ by a constant, so the best policy is the same; the
best action for the round alone is one step of policy improvement over the static shape.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces
from stable_baselines3.common.vec_env import VecEnv
from stable_baselines3.common.vec_env.base_vec_env import VecEnvIndices, VecEnvObs, VecEnvStepReturn

from trimtab.speculation.context import CLIP, FeatureSet, History, join
from trimtab.speculation.flat_replay import FlatReplay


@dataclass(frozen=True)
class Objective:
    """What a round is worth. ``rate``: tokens per second to beat; ``scale`` brings rewards to order 1.

    ``decision_seconds``: the policy's own time per round.
    """

    rate: float
    decision_seconds: float = 0.0
    scale: float = 1.0

    def __post_init__(self) -> None:
        if not (self.rate > 0 and self.decision_seconds >= 0 and self.scale > 0):
            raise ValueError(f"{self}: expected rate > 0, decision_seconds >= 0 and scale > 0")

    def reward(self, tokens: Any, seconds: Any) -> Any:
        """Of one round or of an array of rounds."""
        return (tokens - self.rate * (seconds + self.decision_seconds)) / self.scale

    def rewards_NA(self, replay: FlatReplay, to_go_N: np.ndarray | None = None) -> np.ndarray:
        """Of every action at every row; shaped, where ``to_go_N`` gives the seconds that are left (``seconds_to_go``)."""
        if to_go_N is None:
            return self.reward(replay.tokens_NA, replay.seconds_NA)
        saved = to_go_N[:-1, None] - to_go_N[_landing(replay)] - replay.seconds_NA - self.decision_seconds
        return self.rate * saved / self.scale


def _landing(replay: FlatReplay) -> np.ndarray:
    """The row that each action leads to, [N, A]; N where the text is complete."""
    over = replay.tokens_NA >= replay.remaining_N[:, None]
    return np.where(over, replay.rows, np.arange(replay.rows)[:, None] + replay.tokens_NA)


def seconds_to_go(replay: FlatReplay, column: int, decision_seconds: float = 0.0) -> np.ndarray:
    """Seconds from each row to its text's end with one action throughout, [N + 1]; the last entry is the end's, 0."""
    landing_N, to_go = _landing(replay)[:, column], np.zeros(replay.rows + 1)
    seconds_N = replay.seconds_NA[:, column] + decision_seconds
    for row in reversed(range(replay.rows)):  # a text's rows come in order, and lead forward only
        to_go[row] = seconds_N[row] + to_go[landing_N[row]]
    return to_go


def _spaces(features: FeatureSet, replay: FlatReplay) -> tuple[spaces.Box, spaces.Discrete]:
    if list(features.names[: len(replay.feature_names)]) != list(replay.feature_names):
        raise ValueError(f"the table holds the features {replay.feature_names}, expected {list(features.names)}")
    return spaces.Box(-CLIP, CLIP, (features.width,), np.float32), spaces.Discrete(len(replay.actions))


class ReplayEnv(gymnasium.Env[np.ndarray, np.int64]):
    """One prompt at a time. ``reset(options={"prompt": i})`` chooses it, otherwise chance does."""

    def __init__(self, replay: FlatReplay, features: FeatureSet, objective: Objective) -> None:
        self.replay, self.features, self.objective = replay, features, objective
        self.observation_space, self.action_space = _spaces(features, replay)  # type: ignore[assignment]
        self._history = History()
        self._row = -1

    def _observation(self) -> np.ndarray:
        joined = join(self.replay.features_NF[self._row][None], self._history.features())
        return self.features.normalise(joined)[0]

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Begin a prompt. Raises ValueError where there is no such prompt."""
        super().reset(seed=seed)
        prompt = (options or {}).get("prompt", self.np_random.integers(self.replay.prompts))
        if not 0 <= prompt < self.replay.prompts:
            raise ValueError(f"no prompt {prompt}: the replay has {self.replay.prompts}, counted from 0")
        self._history.reset()
        self._row = int(self.replay.start_R[prompt])
        return self._observation(), {"prompt": int(prompt)}

    def step(self, action: Any) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """A round. At the end the observation is that of the last position."""
        row, action = self._row, int(action)
        tokens, seconds = int(self.replay.tokens_NA[row, action]), float(self.replay.seconds_NA[row, action])
        accepted = int(self.replay.accepted_NA[row, action])
        self._history.observe(accepted, self.replay.depth_A[action])
        done = tokens >= int(self.replay.remaining_N[row])
        self._row = row if done else row + tokens
        info = {"tokens": tokens, "seconds": seconds, "accepted": accepted}
        return self._observation(), float(self.objective.reward(tokens, seconds)), done, False, info


class ReplayVecEnv(VecEnv):
    """Many prompts side by side, numpy throughout. Prompts come in shuffled passes: each once per pass.

    ``rewards`` says what every action is worth at every row, [N, A], for an objective (default: its own reward).
    """

    def __init__(
        self,
        replay: FlatReplay,
        features: FeatureSet,
        objective: Objective,
        decodes: int = 128,
        seed: int = 0,
        rewards: Callable[[Objective], np.ndarray] | None = None,
    ) -> None:
        observations, actions = _spaces(features, replay)
        self.replay, self.features = replay, features
        self._rewards: Callable[[Objective], np.ndarray] = rewards or (lambda objective: objective.rewards_NA(replay))
        self.objective = objective
        self.tokens, self.seconds, self.rounds = 0, 0.0, 0
        self._rng = np.random.default_rng(seed)
        self._queue = np.empty(0, dtype=np.int64)
        self._history = History(decodes)
        self._row_B = np.zeros(decodes, dtype=np.int64)
        self._action_B = np.zeros(decodes, dtype=np.int64)
        self.render_mode = None
        super().__init__(decodes, observations, actions)

    @property
    def objective(self) -> Objective:
        """What rounds are worth, from now on."""
        return self._objective

    @objective.setter
    def objective(self, objective: Objective) -> None:
        self._objective, self._rewards_NA = objective, self._rewards(objective).astype(np.float32)

    def _draw(self, count: int) -> np.ndarray:
        """The next prompts of the shuffled passes."""
        while len(self._queue) < count:
            self._queue = np.concatenate((self._queue, self._rng.permutation(self.replay.prompts)))
        drawn, self._queue = self._queue[:count], self._queue[count:]
        return drawn

    def _begin(self, rows_b: np.ndarray, prompts_b: np.ndarray) -> None:
        self._row_B[rows_b] = self.replay.start_R[prompts_b]
        self._history.reset(rows_b)

    def _observation(self) -> np.ndarray:
        return self.features.normalise(join(self.replay.features_NF[self._row_B], self._history.features()))

    def seed(self, seed: int | None = None) -> list[int | None]:
        """Seed the order of prompts, from the next reset on."""
        self._rng = np.random.default_rng(seed)
        self._queue = self._queue[:0]
        return [seed] * self.num_envs

    def reset(self) -> VecEnvObs:
        """Begin a new prompt everywhere."""
        return self.begin(self._draw(self.num_envs))

    def begin(self, prompts_B: np.ndarray) -> np.ndarray:
        """Begin the given prompts, one for each decode; their first observations."""
        self._begin(np.arange(self.num_envs), np.asarray(prompts_B))
        self._count(0, 0.0, 0)
        return self._observation()

    def _count(self, tokens: int, seconds: float, rounds: int) -> None:
        self.tokens, self.seconds, self.rounds = tokens, seconds, rounds

    def take_rate(self) -> float:
        """Tokens per second since the last call (or reset), with the policy's own time; 0 before any round."""
        seconds = self.seconds + self.rounds * self.objective.decision_seconds
        rate = self.tokens / seconds if self.rounds else 0.0
        self._count(0, 0.0, 0)
        return rate

    def step_async(self, actions: np.ndarray) -> None:
        self._action_B = actions

    def step_wait(self) -> VecEnvStepReturn:
        row, action, replay = self._row_B, self._action_B, self.replay
        at = row, action
        tokens, seconds = replay.tokens_NA[row, action], replay.seconds_NA[row, action]
        accepted = replay.accepted_NA[row, action]
        self._history.observe(accepted, replay.depth_A[action])
        done = tokens >= replay.remaining_N[row]
        infos: list[dict[str, Any]] = [
            {"tokens": t, "seconds": s, "accepted": a}
            for t, s, a in zip(tokens.tolist(), seconds.tolist(), accepted.tolist(), strict=True)
        ]
        self._count(self.tokens + int(tokens.sum()), self.seconds + float(seconds.sum()), self.rounds + len(row))
        self._row_B = np.where(done, row, row + tokens)
        ended = np.flatnonzero(done)
        if len(ended):
            last = self._observation()
            for index in ended.tolist():
                infos[index]["terminal_observation"] = last[index]
                infos[index]["TimeLimit.truncated"] = False
            self._begin(ended, self._draw(len(ended)))
        return self._observation(), self._rewards_NA[at], done, infos

    def arrays(self) -> dict[str, np.ndarray]:
        """The decodes under way, for a checkpoint."""
        return {"row_B": self._row_B, "history_BS": self._history.state_BS, "queue": self._queue}

    def state(self) -> dict[str, Any]:
        """What a checkpoint needs besides ``arrays``: plain data."""
        counted = [self.tokens, self.seconds, self.rounds]
        return {"generator": self._rng.bit_generator.state, "counted": counted, "rate": self.objective.rate}

    def restore(self, arrays: dict[str, np.ndarray], state: dict[str, Any]) -> np.ndarray:
        """Go on from a checkpoint; the observations at that point. Raises ValueError for another number of decodes."""
        if arrays["row_B"].shape != (self.num_envs,):
            raise ValueError(
                f"the checkpoint holds {len(arrays['row_B'])} decodes side by side, expected {self.num_envs}"
            )
        self._row_B, self._queue = arrays["row_B"].copy(), arrays["queue"].copy()
        self._history.state_BS = arrays["history_BS"].copy()
        self._rng.bit_generator.state = state["generator"]
        self._count(*state["counted"])
        self.objective = Objective(state["rate"], self.objective.decision_seconds, self.objective.scale)
        return self._observation()

    # -- what else SB3 asks of a vectorised environment --------------------------------------------------------------

    def close(self) -> None:
        """Nothing is held open."""

    def get_attr(self, attr_name: str, indices: VecEnvIndices = None) -> list[Any]:
        return [getattr(self, attr_name)] * len(self._indices(indices))

    def set_attr(self, attr_name: str, value: Any, indices: VecEnvIndices = None) -> None:
        raise ValueError("the decodes of a ReplayVecEnv share their settings: set the attribute on the environment")

    def env_method(self, method_name: str, *args: Any, indices: VecEnvIndices = None, **kwargs: Any) -> list[Any]:
        raise ValueError(
            f"the decodes of a ReplayVecEnv are rows of arrays, with no method {method_name!r} of their own"
        )

    def env_is_wrapped(
        self, wrapper_class: type[gymnasium.Wrapper[Any, Any, Any, Any]], indices: VecEnvIndices = None
    ) -> list[bool]:
        return [False] * len(self._indices(indices))

    def _indices(self, indices: VecEnvIndices) -> Sequence[int]:
        return list(self._get_indices(indices))
