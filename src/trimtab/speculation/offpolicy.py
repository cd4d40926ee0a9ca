"""How fast would a policy be, before it is ever run? Estimates from logged decodes of another policy.

At temperature 0 the text of a prompt is fixed, so the policy decides only the seconds: speed = tokens / E[seconds],
with a state (prompt, position, history), actions (trees), and costs (seconds of rounds) summed to the text's end.

    is, pdis, wis   importance sampling over whole decodes, per decision, weighted: no model; hopeless over tens of
                    rounds, and here to show it
    dm              the direct method: a model of acceptance (``acceptance.py``) decodes in the logger's place
    dr              sequential doubly robust (Jiang and Li 2016): the model, corrected by products of ratios
    mdr             the same with ratios of visits in place of products over the past (Kallus and Uehara 2020)
    blend           mdr, its correction believed as far as it exceeds its own noise: what a policy should be judged by

Model and rounds never meet: decodes are dealt into folds, and each is corrected by a model of the others (which may hold
other decodes of the same prompt: the more often a prompt was decoded, the better the model knows it).

Judge a policy by prompts that it was not trained on: what it knows of these by heart, a model of them does not.

Intervals cover the chance of logging (``on these prompts``), or that of the prompts as well (``on prompts like these``),
from the spread over conversations.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from trimtab.maths import offpolicy as maths
from trimtab.speculation.acceptance import AcceptanceModel, Grid
from trimtab.speculation.chances import Chances, drawn
from trimtab.speculation.context import History, join
from trimtab.speculation.logged_rounds import Log
from trimtab.statistics import Interval

_NORMAL_95 = 1.959964
_SIMULATED = 8
_LEAST_VISITS = 0.02
_MOST_WEIGHT = 10.0
_LOOKING_BACK = 0.5
"""Of mdr's weights. On replayed logs the model's error in visits is most of mdr's error with 0, noise is with 1."""
METHODS = ("is", "pdis", "wis", "dm", "dr", "mdr", "blend")


@dataclass(frozen=True)
class Estimate:
    """Tokens per second of a policy, by one method; ``seconds`` of decoding every prompt once.

    ``here``: on these prompts. ``elsewhere``: on prompts like these. ``effective_decodes``: how many decodes by the new
    policy itself the weights amount to (of the products for is, pdis, wis and dr).
    """

    method: str
    seconds: float
    here: Interval
    elsewhere: Interval
    effective_decodes: float

    @property
    def tokens_per_second(self) -> float:
        return self.here.estimate


@dataclass(frozen=True, eq=False)
class Judged:
    """Logged rounds under a new policy: its chances, the model's seconds to the text's end by each tree (then the
    policy), and how much likelier it is to come there than the logger was."""

    log: Log
    chances_NA: np.ndarray
    q_NA: np.ndarray
    visits_N: np.ndarray

    @property
    def v_N(self) -> np.ndarray:
        """Seconds from where the round begins."""
        return (self.chances_NA * self.q_NA).sum(axis=1)

    @property
    def next_N(self) -> np.ndarray:
        """Seconds from where the round led: 0 where the text was complete."""
        going_N = np.append(self.log.decode_N[1:] == self.log.decode_N[:-1], False)
        return np.where(going_N, np.append(self.v_N[1:], 0.0), 0.0)


class OffPolicy:
    """Logged decodes, and models of them, ready to judge policies. ``folds``: into how many the decodes are dealt.

    Raises ValueError where there are fewer decodes than folds, or folds than 2.
    """

    def __init__(self, log: Log, *, folds: int = 4, seed: int = 0) -> None:
        if not 2 <= folds <= log.decodes:
            raise ValueError(f"{folds} folds of {log.decodes} decodes: expected at least 2, and a decode for each")
        self.log, self.folds, self.seed = log, folds, seed
        self.grid = Grid(log.positions_Q, log.context_Q)
        self.row_N = self.grid.row(log)
        self.fold_E = _dealt(log.prompt_E, folds)
        self.models = [self._model(fold) for fold in range(folds)]
        self._logger_visits = [self._by_logger(model) for model in self.models]

    def _model(self, fold: int) -> AcceptanceModel:
        kept_N = (self.fold_E != fold)[self.log.decode_N]
        return AcceptanceModel.fit(self.log.rounds_where(kept_N), self.grid, self.row_N[kept_N], seed=self.seed)

    def _by_logger(self, model: AcceptanceModel) -> np.ndarray:
        """How often the logger comes to each row: by its logged chances there (their mean where no round began)."""
        sums, counts = np.zeros((self.grid.rows, len(self.log.actions))), np.zeros(self.grid.rows)
        np.add.at(sums, self.row_N, self.log.probabilities_NA)
        np.add.at(counts, self.row_N, 1)
        mean_A = self.log.probabilities_NA.mean(axis=0)
        return visits(model, np.where(counts[:, None] > 0, sums / np.maximum(counts, 1)[:, None], mean_A))

    # -- estimates -----------------------------------------------------------------------------------------------------

    def estimates(
        self, chances: Chances, *, decision_seconds: float = 0.0, methods: Sequence[str] = METHODS
    ) -> dict[str, Estimate]:
        """By each method. ``decision_seconds``: the new policy's own time per round (the logger's is not counted).

        A method that has nothing to weigh (no decode agrees with the policy far enough) is left out. Raises ValueError
        for an unknown method.
        """
        unknown = set(methods) - set(METHODS)
        if unknown:
            raise ValueError(f"no method {sorted(unknown)[0]!r}; known methods: {', '.join(METHODS)}")
        padded = self._padded(chances, decision_seconds)
        made = {method: padded.estimate(method) for method in methods}
        made = {m: parts for m, parts in made.items() if parts and (m == "blend" or parts[0].sum() > 0)}
        return {method: self._estimate(method, *parts, padded) for method, parts in made.items()}

    def estimate(self, chances: Chances, *, decision_seconds: float = 0.0) -> Estimate:
        """By the method ``blend``."""
        return self.estimates(chances, decision_seconds=decision_seconds, methods=("blend",))["blend"]

    def under(self, chances: Chances, decision_seconds: float = 0.0) -> Judged:
        """Every logged round as the models see it, were the new policy to go on from there."""
        log = self.log
        chances_NA = chances(log.features_NF)
        q_NA, visits_N = np.zeros(chances_NA.shape), np.zeros(log.rounds)
        for fold, model in enumerate(self.models):
            charged = replace(model, seconds_RA=model.seconds_RA + decision_seconds)
            chances_RA, _ = simulated(charged, chances, self.seed)
            mine = (self.fold_E == fold)[log.decode_N]
            rows = self.row_N[mine]
            q_NA[mine] = values(charged, chances_RA)[rows]
            by_policy, by_logger = visits(charged, chances_RA)[rows], self._logger_visits[fold][rows]
            visits_N[mine] = np.minimum((by_policy + _LEAST_VISITS) / (by_logger + _LEAST_VISITS), _MOST_WEIGHT)
        return Judged(log, chances_NA, q_NA, visits_N)

    def _padded(self, chances: Chances, decision_seconds: float) -> _Padded:
        log, seen = self.log, self.under(chances, decision_seconds)
        rounds = np.arange(log.rounds)
        ratios_N = seen.chances_NA[rounds, log.action_N] / log.probability_N
        step_N = rounds - np.searchsorted(log.decode_N, log.decode_N)
        seconds_N, q_N = log.seconds_N + decision_seconds, seen.q_NA[rounds, log.action_N]
        return _Padded(log.decode_N, step_N, seconds_N, ratios_N, seen.visits_N, q_N, seen.v_N)

    def _estimate(self, method: str, total_E: np.ndarray, model_E: np.ndarray, padded: _Padded) -> Estimate:
        total_Q, model_Q = self._by_prompt(total_E), self._by_prompt(model_E)
        logged = self._deviation(total_Q - model_Q)
        if method == "blend":
            share = maths.blend_share(float((total_Q - model_Q).sum()), logged)
            share = share if total_Q.sum() > 0 else 0.0  # a correction below no time at all is noise of a small log
            total_Q = model_Q + share * (total_Q - model_Q)
        seconds, tokens = float(total_Q.sum()), float(self.log.positions_Q.sum())
        drawn_too = self._deviation(total_Q - self.log.positions_Q * (seconds / tokens))
        weights = padded.weights_E(method)
        return Estimate(
            method,
            seconds,
            _speed(tokens, seconds, logged),
            _speed(tokens, seconds, max(logged, drawn_too)),
            maths.effective_size(weights),
        )

    def _by_prompt(self, values_E: np.ndarray) -> np.ndarray:
        """Means [Q] over the decodes of each prompt."""
        count = np.bincount(self.log.prompt_E, minlength=len(self.log.prompts))
        return np.bincount(self.log.prompt_E, values_E, len(self.log.prompts)) / count

    def _deviation(self, values_Q: np.ndarray) -> float:
        """Standard deviation of the sum over prompts, conversations being independent; of one, nobody knows."""
        sums = np.bincount(self.log.conversation_Q, values_Q)
        if len(sums) < 2:
            return float("inf")
        return float(np.sqrt(len(sums) * sums.var(ddof=1)))


def _dealt(prompt_E: np.ndarray, folds: int) -> np.ndarray:
    """The fold of each decode: decodes of one prompt in different ones, and prompts begin in different ones."""
    order = np.argsort(prompt_E, kind="stable")
    within = np.empty(len(prompt_E), dtype=np.int64)
    within[order] = np.arange(len(prompt_E)) - np.searchsorted(prompt_E[order], prompt_E[order])
    return (within + prompt_E) % folds


def _speed(tokens: float, seconds: float, deviation: float) -> Interval:
    """Tokens per second; the interval is that of the seconds, turned round (infinite where these may be none)."""
    least, most = seconds - _NORMAL_95 * deviation, seconds + _NORMAL_95 * deviation
    estimate = tokens / seconds if seconds > 0 else np.inf
    return Interval(estimate, tokens / most if most > 0 else 0.0, tokens / least if least > 0 else np.inf)


@dataclass(frozen=True, eq=False)
class _Padded:
    """Logged rounds, laid out as [decodes, steps] on demand."""

    decode_N: np.ndarray
    step_N: np.ndarray
    seconds_N: np.ndarray
    ratios_N: np.ndarray
    visits_N: np.ndarray
    q_N: np.ndarray
    v_N: np.ndarray

    def _laid(self, values_N: np.ndarray, fill: float) -> np.ndarray:
        made = np.full((int(self.decode_N.max()) + 1, int(self.step_N.max()) + 1), fill)
        made[self.decode_N, self.step_N] = values_N
        return made

    def weights_E(self, method: str) -> np.ndarray:
        """What each decode weighs as a whole."""
        if method == "dm":
            return np.ones(int(self.decode_N.max()) + 1)
        if method in ("mdr", "blend"):
            return (self._visits() * self._laid(self.ratios_N, 0.0)).sum(axis=1)
        return self._laid(self.ratios_N, 1.0).prod(axis=1)

    def estimate(self, method: str) -> tuple[np.ndarray, np.ndarray] | None:
        """Seconds [E] by each decode, and the model's part of them (0 without a model)."""
        seconds, ratios = self._laid(self.seconds_N, 0.0), self._laid(self.ratios_N, 1.0)
        if method in ("is", "pdis", "wis"):
            weigh = {"is": maths.importance_sampling, "pdis": maths.per_decision, "wis": maths.weighted_per_decision}
            if method == "wis" and (maths.cumulative_ratios(ratios).mean(axis=0) <= 0).any():
                return None
            total = weigh[method](seconds, ratios)
            return total, np.zeros_like(total)
        q, v = self._laid(self.q_N, 0.0), self._laid(self.v_N, 0.0)
        if method == "dm":
            return v[:, 0], np.zeros(len(v))
        if method == "dr":
            return maths.doubly_robust(seconds, ratios, q, v), v[:, 0]
        return maths.marginal_doubly_robust(seconds, ratios, self._visits(), q, v), v[:, 0]

    def _visits(self) -> np.ndarray:
        return maths.looking_back(self._laid(self.visits_N, 1.0), self._laid(self.ratios_N, 1.0), _LOOKING_BACK)


# -- a model, decoding in the logger's place ---------------------------------------------------------------------------


def simulated(
    model: AcceptanceModel, chances: Chances, seed: int = 0, decodes: int = _SIMULATED
) -> tuple[np.ndarray, np.ndarray]:
    """The policy's mean chances [R, A] at each row, over the histories with which it comes there; visits [R].

    Rows that no simulated decode visits are given the mean history of all.
    """
    grid, generator = model.grid, np.random.default_rng(seed)
    row = np.repeat(grid.start_Q, decodes)
    history, sums, counts = History(len(row)), np.zeros(model.seconds_RA.shape), np.zeros(grid.rows)
    seen: list[np.ndarray] = []
    while len(row):
        remembered = history.features()
        known = chances(join(model.features_RP[row], remembered))
        seen.append(remembered.mean(axis=0, keepdims=True) * len(row))
        np.add.at(sums, row, known)
        np.add.at(counts, row, 1)
        action = drawn(known, generator)
        below = model.cumulative_RAL[row, action] <= generator.random((len(row), 1))
        accepted = np.minimum(below.sum(axis=1), model.accepted_RAL.shape[2] - 1)
        history.observe(accepted, model.depth_A[action])
        going = model.grid.remaining_R[row] > accepted + 1
        row = (row + accepted + 1)[going]
        history.state_BS = history.state_BS[going]
    unseen = np.flatnonzero(counts == 0)
    typical = np.concatenate(seen).sum(axis=0) / counts.sum()
    sums[unseen] = chances(join(model.features_RP[unseen], np.tile(typical, (len(unseen), 1))))
    return sums / np.maximum(counts, 1)[:, None], counts / decodes


def _landings(model: AcceptanceModel, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For rows and counts of accepted tokens: the row after [r, L], and whether the text is complete."""
    tokens = np.arange(model.accepted_RAL.shape[2]) + 1
    over = tokens >= model.grid.remaining_R[rows][:, None]
    return np.where(over, 0, rows[:, None] + tokens), over


def _by_distance(model: AcceptanceModel) -> list[np.ndarray]:
    """Rows that are equally far from their text's end, the nearest first."""
    remaining = model.grid.remaining_R
    order = np.argsort(remaining, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(remaining[order])) + 1)


def values(model: AcceptanceModel, chances_RA: np.ndarray) -> np.ndarray:
    """Expected seconds [R, A] to the text's end: an action, then ``chances_RA``. Exact for the model."""
    q_RA, v_R = model.seconds_RA.copy(), np.zeros(model.grid.rows)
    for rows in _by_distance(model):
        landing, over = _landings(model, rows)
        q_RA[rows] += np.einsum("ral,rl->ra", model.accepted_RAL[rows], np.where(over, 0.0, v_R[landing]))
        v_R[rows] = (chances_RA[rows] * q_RA[rows]).sum(axis=1)
    return q_RA


def visits(model: AcceptanceModel, chances_RA: np.ndarray) -> np.ndarray:
    """Chance [R] that a decode of the prompt begins a round at each row."""
    d_R = np.zeros(model.grid.rows)
    d_R[model.grid.start_Q] = 1.0
    for rows in reversed(_by_distance(model)):
        landing, over = _landings(model, rows)
        moved = d_R[rows, None] * np.einsum("ra,ral->rl", chances_RA[rows], model.accepted_RAL[rows])
        np.add.at(d_R, landing[~over], moved[~over])
    return d_R
