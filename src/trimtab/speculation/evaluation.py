"""Does the learned policy pay, on prompts it has never seen? Real decoding beside every baseline, and the oracle.

Rows: default (60, 7, 10), the best static tree (chosen on the training table), the cost-model greedy rule, the learned
policy, each decoded for real and interleaved; below them what replay says of the best static tree per prompt, of the
clairvoyant and of the oracle. The verdict is a paired bootstrap interval over prompts of speed against the best static
tree.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from trimtab import machine
from trimtab.console import Table, progress_bar, say
from trimtab.parallel import ALONE, Workers
from trimtab.records import bar
from trimtab.speculation import fidelity, oracle
from trimtab.speculation.actions import TreeShape
from trimtab.speculation.contest import POLICY, STATIC, Contest, contest
from trimtab.speculation.context import PositionFeatures
from trimtab.speculation.costs import CostModel
from trimtab.speculation.gathering import gather_race, gather_turns
from trimtab.speculation.learning import replayed
from trimtab.speculation.level_builder import build as build_levels
from trimtab.speculation.level_replay import FlatLevels, flatten
from trimtab.speculation.level_replay import oracle as level_oracle
from trimtab.speculation.race import Entry, Turn, by_engine, race, speed_ratio, turns
from trimtab.speculation.replay import ReplayTable
from trimtab.speculation.replay_builder import build
from trimtab.speculation.stages import Prepared, load_pair
from trimtab.speculation.tasks import PromptTask
from trimtab.speculation.tree_policy import TreePolicy
from trimtab.statistics import Interval, verdict

if TYPE_CHECKING:
    from trimtab.speculation.recipe import Pair

OVERHEAD_BOUND = 0.02
COLUMNS = (
    "name",
    "tokens_per_second",
    "tau",
    "against_best_static",
    "low",
    "high",
    "share_of_oracle_gain",
    "policy_overhead",
    "identical_text_float32",
    "note",
)


@dataclass(frozen=True)
class Evaluation:
    """One evaluation: the decoded entries, the replayed bounds, and what follows from them."""

    entries: list[Entry]
    turns: list[Turn]
    bounds: oracle.Bounds
    replayed_policy: float
    level_oracle: float | None
    identical: dict[str, float | None]
    interval: Interval
    costs: CostModel
    table: ReplayTable
    best_static: TreeShape
    levels: FlatLevels | None = None
    """Every stop after any level, where the policy decides on that."""

    def entry(self, name: str) -> Entry:
        """The decoded row of that name."""
        return next(entry for entry in self.entries if entry.name == name)

    @property
    def verdict(self) -> str:
        """``better``, ``worse`` or ``undecided`` than the best static tree."""
        return verdict(self.interval, even=1.0)

    def ratio(self, name: str) -> Interval:
        """Speed of a decoded row over the best static tree's, with its interval over prompts."""
        return speed_ratio(self.entry(name), self.entry(STATIC), self.turns)

    @property
    def ceiling(self) -> float:
        """The oracle's speed over the best static tree's, the oracle deciding as often as the policy does."""
        return (self.level_oracle or self.bounds.oracle) / self.bounds.best_static

    def rows(self) -> list[dict[str, Any]]:
        """The table, unrounded."""
        made = [self._decoded(entry) for entry in self.entries]
        scale = self.entry("eagle-best-static").tokens_per_second / self.bounds.best_static
        for name, rate, note in (
            ("best-static-per-prompt", self.bounds.best_static_each, "known afterwards only"),
            ("clairvoyant", self.bounds.clairvoyant, "looks one round ahead"),
            ("oracle", self.bounds.oracle, "dynamic programming, a tree of the menu each round"),
            ("level-oracle", self.level_oracle, "dynamic programming, stopping after any level"),
        ):
            if rate is None:
                continue
            shares = {"share_of_oracle_gain": self._share(rate / self.bounds.best_static)}
            ratio = {"against_best_static": rate / self.bounds.best_static}
            row = dict.fromkeys(COLUMNS) | {"name": name, "tokens_per_second": rate * scale} | ratio | shares
            made.append(row | {"note": f"replayed: {note}"})
        return made

    def _decoded(self, entry: Entry) -> dict[str, Any]:
        interval = self.ratio(entry.name)
        return {
            "name": entry.name,
            "tokens_per_second": entry.tokens_per_second,
            "tau": entry.tau,
            "against_best_static": interval.estimate,
            "low": interval.low,
            "high": interval.high,
            "share_of_oracle_gain": self._share(interval.estimate),
            "policy_overhead": entry.share("policy"),
            "identical_text_float32": self.identical.get(entry.name),
            "note": entry.note,
        }

    def _share(self, ratio: float) -> float | None:
        return (ratio - 1) / (self.ceiling - 1) if self.ceiling > 1 else None

    def bars(self) -> list[dict[str, Any]]:
        """The bars of the product: name, value, bound, holds."""
        overhead = self.entry(POLICY).share("policy")
        checked = [share for share in self.identical.values() if share is not None]
        bars = [
            bar("policy against best static, lower end of the interval", self.interval.low, 1.0, above=True),
            bar("policy overhead, share of the rounds' time", overhead, OVERHEAD_BOUND, above=False),
        ]
        if checked:
            bars.append(bar("identical text in float32, least share", min(checked), 1.0, above=True, equal=True))
        return bars

    def table_of_rows(self) -> Table:
        """The table as people read it."""
        columns = ("decoding", "tokens/s", "tau", "ratio", "95%_interval", "oracle's_gain", "policy", "same_text")
        table = Table(f"{len(self.turns)} held-out turns", columns, note=self.sentence())
        for row in self.rows():
            span = "replayed" if row["low"] is None else f"{row['low']:.3f} to {row['high']:.3f}"
            shares = [row["share_of_oracle_gain"], row["policy_overhead"], row["identical_text_float32"]]
            cells = [
                None if share is None else f"{100 * share:.{digits}f}%"
                for share, digits in zip(shares, (0, 1, 0), strict=True)
            ]
            table.add(row["name"], row["tokens_per_second"], row["tau"], row["against_best_static"], span, *cells)
        return table

    def notes(self) -> list[str]:
        """What each decoded row is, a line each."""
        return [f"{entry.name}: {entry.note}" for entry in self.entries]

    def sentence(self) -> str:
        """The verdict in words."""
        span = f"{self.interval.estimate:.3f}x the best static tree [{self.interval.low:.3f}, {self.interval.high:.3f}]"
        if self.verdict == "better":
            return f"The learned policy decodes at {span}; the oracle's ceiling is {self.ceiling:.2f}x."
        return (
            f"short: the learned policy decodes at {span}, so the gain is not shown. Use the fixed tree "
            f"{self.best_static}. The oracle's ceiling is {self.ceiling:.2f}x, with features that see one round ahead "
            f"{self.bounds.clairvoyant / self.bounds.best_static:.2f}x; in replay the policy reaches "
            f"{self.replayed_policy / self.bounds.best_static:.3f}x."
        )


def _identical(
    pair: Pair, contest_: Contest, tasks: Sequence[PromptTask], max_new_tokens: int, team: Workers, folder: Path | None
) -> dict[str, float | None]:
    """The share of texts that each contender writes exactly as plain greedy decoding does, in float32."""
    speculator = load_pair(pair, "float32")
    plain = by_engine(speculator, max_new_tokens)
    decoders = {name: one.decoder(speculator, max_new_tokens) for name, one in contest_.contenders().items()}
    counts: list[Any] = []
    for task in team.share(tasks):
        prompts = turns(speculator, [task], max_new_tokens)
        truth, ids = [plain(turn).tokens for turn in prompts], [turn.ids for turn in prompts]
        texts = {name: [decode(turn).tokens for turn in prompts] for name, decode in decoders.items()}
        agreeing = [fidelity.compare(speculator.model, ids, written, truth).identical for written in texts.values()]
        counts.append([len(prompts), *agreeing])
    texts_in_all, *agreeing = np.sum(team.gather(counts, folder, "identical"), axis=0).tolist()
    return {name: count / texts_in_all for name, count in zip(decoders, agreeing, strict=True)}


def _replayed(
    prepared: Prepared,
    pair: Pair,
    dtype: str,
    tasks: Sequence[PromptTask],
    max_new_tokens: int,
    table: ReplayTable,
    team: Workers,
    folder: Path | None,
) -> tuple[float, FlatLevels | None]:
    """Tokens per second of the policy in replay, and the replay of every stop after any level (where the policy decides on
    that)."""
    policy = prepared.policy
    if isinstance(policy, TreePolicy):
        if policy.position.names != table.feature_names:
            speculator = load_pair(pair, dtype)
            position, parts = policy.position.bind(speculator), folder / "wide" if folder else None
            wide = team.shared(
                tasks, lambda some: build(speculator, some, policy.actions, max_new_tokens, position, folder=parts)
            )
            return oracle.tokens_per_second(replayed(policy, wide, prepared.costs)), None
        return oracle.tokens_per_second(replayed(policy, table, prepared.costs)), None
    speculator, parts = load_pair(pair, dtype), folder / "levels" if folder else None
    (level_table,) = team.shared(
        tasks, lambda some: build_levels(speculator, some, [policy.menu], max_new_tokens, folder=parts)
    )
    levels = flatten(level_table, prepared.costs)
    return policy.replay(levels).rate(), levels


def evaluate(
    pair: Pair,
    prepared: Prepared,
    tasks: Sequence[PromptTask],
    *,
    max_new_tokens: int,
    table_dtype: str = "float32",
    repeats: int = 1,
    float32_texts: int | None = None,
    team: Workers = ALONE,
    folder: Path | None = None,
) -> Evaluation:
    """Decode ``tasks`` with every contender, replay them for the bounds, and compare texts in float32.

    Of several processes (``team``) each decodes its share of the tasks; they meet in ``folder``, and all return the same.
    """
    contenders = contest(prepared)
    speculator = load_pair(pair)
    mine = turns(speculator, team.share(tasks), max_new_tokens)
    prompts = gather_turns(mine, tasks, team, folder)
    entries = [
        Entry(name, contender.decoder(speculator, max_new_tokens), contender.note)
        for name, contender in contenders.contenders().items()
    ]
    say(f"decoding {len(prompts)} turns with {len(entries)} contenders")
    with progress_bar("decoding") as advance:
        if mine:
            race(entries, mine, repeats=repeats, progress=lambda done, total: advance(done / total))
    gather_race(entries, mine, tasks, team, folder)
    say("replaying them for the oracle")
    with progress_bar("replaying") as advance:
        exact = load_pair(pair, table_dtype)
        table = team.shared(
            tasks,
            lambda some: build(
                exact,
                some,
                prepared.table.actions,
                max_new_tokens,
                PositionFeatures(),
                folder=folder / "table" if folder else None,
                progress=lambda done, total: advance(done / total),
            ),
        )
    static = table.actions.index(contenders.best_static)
    priced = oracle.price(table, prepared.costs)
    bounds = oracle.bounds(priced, static)
    rate, levels = _replayed(prepared, pair, table_dtype, tasks, max_new_tokens, table, team, folder)
    checked = list(tasks) if float32_texts is None else list(tasks[:float32_texts])
    identical: dict[str, float | None] = {}
    if checked:
        say(f"comparing texts in float32 on {len(checked)} prompts")
        identical = _identical(pair, contenders, checked, max_new_tokens, team, folder)
    ours, fixed = (next(e for e in entries if e.name == name) for name in (POLICY, STATIC))
    return Evaluation(
        entries,
        prompts,
        bounds,
        rate,
        level_oracle(levels).rate() if levels else None,
        identical,
        speed_ratio(ours, fixed, prompts),
        prepared.costs,
        table,
        contenders.best_static,
        levels,
    )


def as_json(made: Evaluation) -> dict[str, Any]:
    """Rows, bars and circumstances."""
    return {
        "rows": made.rows(),
        "bars": made.bars(),
        "verdict": made.verdict,
        "sentence": made.sentence(),
        "replayed_policy_against_best_static": made.replayed_policy / made.bounds.best_static,
        "turns": len(made.turns),
        "hardware": machine.hardware(),
        "versions": machine.versions(),
        "date": machine.today(),
    }
