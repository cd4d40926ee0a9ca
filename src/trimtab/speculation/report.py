"""What is published of an evaluation? One page: the verdict, the comparison, the plots, and how it was measured.

Every number stands beside a sentence that says what it is; what was replayed or priced, not timed, says so.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from trimtab import machine
from trimtab.console import number
from trimtab.pages import (
    DASH,
    MARKERS,
    Html,
    element,
    explained,
    figure,
    figures,
    join,
    legend,
    page,
    paragraph,
    percent,
    section,
    table,
    times,
    write_page,
)
from trimtab.speculation import measurement, plots
from trimtab.speculation.mtbench import tau_of
from trimtab.speculation.plots import CATEGORY_STYLES, PHASES, Rate
from trimtab.speculation.race import speed_ratio
from trimtab.speculation.turnwise import (
    POLICY,
    STATIC,
    TurnView,
    chosen,
    held_oracles,
    views,
)
from trimtab.statistics import RESAMPLES, Interval

if TYPE_CHECKING:
    from trimtab.speculation.evaluation import Evaluation

TITLE = "Which tree to draft: the evaluation"
TREE_PLOTS = 3
TREE_ROWS = 12
FEWEST_TURNS = 5
"""A category of fewer turns gets no interval: a bootstrap over so few says little, and looks sure."""

_MOODS = {"better": "good", "undecided": "fair", "worse": "bad"}
_VERDICTS = {
    "better": "Better: use the learned policy.",
    "undecided": "Undecided: use the fixed tree.",
    "worse": "Worse: use the fixed tree.",
}
_MARKS = tuple(MARKERS.values())


def write_report(folder: Path, evaluation: Evaluation) -> Path:
    """Write ``folder/report.html``, atomically, and return its path.

    Raises ValueError where the evaluation's replay table lacks one of its turns.
    """
    seen = views(evaluation)
    content = page(
        TITLE,
        _circumstances(evaluation),
        _verdict(evaluation),
        section("The comparison", _comparison(evaluation), _ratios(evaluation), _categories(evaluation)),
        section("What deciding more often could bring", *_frequency(evaluation)),
        section("Trees chosen over the text", *_trees(evaluation, seen)),
        section("Speed of each turn, and its distance to the oracle", _speeds_and_distances(evaluation, seen)),
        section("Where a round's time goes", *_time(evaluation)),
        section("How it was measured", *measurement.described(evaluation)),
    )
    return write_page(folder / "report.html", content)


# -- the verdict -------------------------------------------------------------------------------------------------------


def _circumstances(evaluation: Evaluation) -> Html:
    hardware = machine.hardware()
    device = ", ".join(hardware["accelerators"]) or f"{hardware['processor']} (threads: {hardware['threads']})"
    tokens = int(evaluation.entry(POLICY).tokens_T.sum())
    said = f"{machine.today()}. {len(evaluation.turns)} turns, {tokens} new tokens, decoded greedily on {device}."
    return paragraph(said, class_="muted")


def spread(interval: Interval) -> str:
    """An interval of ratios."""
    return f"[{interval.low:.3f}, {interval.high:.3f}]"


def _verdict(evaluation: Evaluation) -> Html:
    rows = [
        (bar["name"], number(bar["value"], 4), number(bar["bound"]), _holds(holds=bar["holds"]))
        for bar in evaluation.bars()
    ]
    words = (paragraph(element("strong", _VERDICTS[evaluation.verdict])), paragraph(evaluation.sentence()))
    return join(
        (
            element("div", *words, class_=f"verdict {_MOODS[evaluation.verdict]}"),
            table(("what was asked for", "value", "bound", "holds"), rows, words=(0, 3)),
            paragraph(
                "The verdict is better, or worse, where the whole interval lies on one side of 1; else it is undecided. "
                "Replayed numbers are computed from tables of accepted tokens and from measured costs; they bound what "
                "a policy could reach, and decide nothing.",
                class_="muted",
            ),
        )
    )


def _holds(*, holds: bool) -> Html:
    return element("span", "yes" if holds else "no", class_="good" if holds else "bad")


# -- the comparison ----------------------------------------------------------------------------------------------------

_COLUMNS = {
    "contender": "A way of choosing the trees. All write the target's own greedy text; speed is what differs. Rows "
    "tagged “replayed” were computed, not timed.",
    "tokens/s": "New tokens over seconds, each summed over all turns (the median of a turn's repeats), from prompt to "
    "last token. For replayed rows: their ratio times the measured speed of the best static tree.",
    "τ": "Mean tokens that a round commits: the drafted tokens accepted as verified, and the target's own one.",
    "against best static": "Speed over that of the best static tree, which was chosen on the training prompts. For "
    "replayed rows both speeds are replayed, and leave out the prompt's forward.",
    "95 % interval": f"Paired bootstrap of that ratio over prompts ({RESAMPLES} resamples): where it includes 1, the "
    "difference may be chance.",
    "oracle's gain": "The share of the oracle's gain over the best static tree: 0 % is that tree, 100 % the oracle that "
    "decides as often as the policy does (level-oracle, where there is such a row). The oracle knows beforehand where "
    "drafts will fail; no policy can.",
    "policy overhead": "The share of the rounds' time that went into deciding on trees.",
    "identical text": "The share of texts that, in float32, are token for token those of plain greedy decoding.",
}


def _comparison(evaluation: Evaluation) -> Html:
    rows = evaluation.rows()
    kinds = ["aside" if _replayed(row) else "chosen" if row["name"] == POLICY else None for row in rows]
    said = (
        "A tree is written (total tokens, depth, top_k): its nodes, the root included; how often the beam of candidates "
        "was expanded; and the beam's width."
    )
    contenders = {row["name"]: _contender(row) for row in rows}
    return join(
        (
            table(tuple(_COLUMNS), [_row(row) for row in rows], classes=kinds),
            explained(_COLUMNS),
            element("h3", "The contenders"),
            explained(contenders),
            paragraph(said),
        )
    )


_CONTENDERS = {
    "eagle-default": "The tree that EAGLE publishes, throughout.",
    "eagle-best-static": "One tree throughout: the one that is fastest on the training prompts. The baseline to beat.",
    "best-static-sharpened": "One tree throughout, the draft head's probabilities sharpened (its logits divided by a "
    "number below 1): the fastest of these on the training prompts. What the policy gains beyond it is its own doing.",
    "cost-model-greedy": "A rule without learning: each round, the tree of the largest expected worth at its cost.",
    "eagle-policy": "The learned policy: it shapes each round's tree by the features of the decoding state.",
    "best-static-per-prompt": "For each prompt the one tree that is the fastest for it.",
    "clairvoyant": "Each round, the tree of most tokens per second in that round.",
    "oracle": "The fastest sequence of trees of the menu that there is: a shortest path over the text.",
    "level-oracle": "The same where drafting may stop after any level, as the policy may stop it.",
}


def _contender(row: Mapping[str, Any]) -> str:
    """What a row is, and its own note."""
    meaning, note = _CONTENDERS.get(row["name"], ""), str(row["note"]).removeprefix("replayed: ")
    return f"{meaning} Here: {note}." if note else meaning


def _replayed(row: Mapping[str, Any]) -> bool:
    return row["low"] is None


def _row(row: Mapping[str, Any]) -> tuple[object, ...]:
    name = row["name"]
    low, high, tau, same = row["low"], row["high"], row["tau"], row["identical_text_float32"]
    return (
        join((name, " ", element("span", "replayed", class_="tag"))) if _replayed(row) else name,
        f"{row['tokens_per_second']:.1f}",
        DASH if tau is None else f"{tau:.2f}",
        times(row["against_best_static"]),
        DASH if low is None or name == STATIC else spread(Interval(row["against_best_static"], low, high)),
        percent(row["share_of_oracle_gain"]),
        percent(row["policy_overhead"], 2),
        percent(same, 1),
    )


def _ratios(evaluation: Evaluation) -> Html:
    rates = [Rate(row["name"], row["against_best_static"], row["low"], row["high"]) for row in evaluation.rows()]
    policy = Rate("eagle-policy (replayed)", evaluation.replayed_policy / evaluation.bounds.best_static)
    caption = (
        f"Speed over the best static tree's (dashed line). In replay, where the machine's moods and the decisions' own "
        f"time do not count, the policy reaches {times(policy.ratio)}."
    )
    key = legend((("ink", "●", "measured, with 95 % interval"), ("ink", "◇", "replayed")))
    return figure(plots.ratios([*rates, policy]), caption, key)


def _frequency(evaluation: Evaluation) -> tuple[Html, ...]:
    """The oracle that holds its decisions, and the one that decides after every level."""
    held, finer, static = held_oracles(evaluation), evaluation.level_oracle, evaluation.bounds.best_static
    every_level = None if finer is None else finer / static
    gain = max(held.values()) - 1
    rows = [(f"every {n} rounds" if n > 1 else "every round", ratio) for n, ratio in held.items()]
    if every_level is not None:
        rows.insert(0, ("after every level", every_level))
    cells = [(name, times(ratio), percent((ratio - 1) / gain) if gain > 0 else DASH) for name, ratio in rows]
    said = (
        "Oracles that know the text, replayed: the fastest decode whose every decision is kept for so many rounds. What "
        "holding costs them, a policy's better guesses cannot win back; what it saves in decisions is not counted here."
    )
    if every_level is not None:
        said += " After every level means: with the policy's own beam and draft temperature."
    key = [("s3", "◇", "oracle"), (plots.STATIC_COLOUR, "╌", "best static tree")]
    if every_level is not None:
        key.insert(1, ("s3", "┈", "deciding after every level"))
    caption = "Speed over the best static tree's (dashed line), by how long each decision is held."
    columns = ("the oracle decides", "against best static", "gain, of that each round")
    return paragraph(said), table(columns, cells), figure(plots.held(held, every_level), caption, legend(tuple(key)))


def _categories(evaluation: Evaluation) -> Html:
    rows = [_category(evaluation, name) for name in dict.fromkeys(turn.category for turn in evaluation.turns)]
    columns = (
        "category",
        "turns",
        "tokens/s, best static",
        "tokens/s, policy",
        "policy / best static",
        "95 % interval",
    )
    said = (
        "The same comparison within each category of prompts. Each of these intervals rests on few turns (none is given "
        f"below {FEWEST_TURNS}), and they are not corrected for being several: the verdict is that over all prompts. τ "
        "counts the tokens that a round commits."
    )
    made = table((*columns, "τ, best static", "τ, policy"), rows)
    return join((element("h3", "By category"), made, paragraph(said)))


def _category(evaluation: Evaluation, category: str) -> tuple[object, ...]:
    mine = np.array([turn.category == category for turn in evaluation.turns])
    policy, static = evaluation.entry(POLICY), evaluation.entry(STATIC)
    tokens, seconds = policy.tokens_T[mine], policy.seconds_T[mine]
    fixed_tokens, fixed_seconds = static.tokens_T[mine], static.seconds_T[mine]
    interval = speed_ratio(policy, static, evaluation.turns, mine)
    return (
        category,
        str(int(mine.sum())),
        f"{fixed_tokens.sum() / fixed_seconds.sum():.1f}",
        f"{tokens.sum() / seconds.sum():.1f}",
        times(interval.estimate),
        spread(interval) if mine.sum() >= FEWEST_TURNS else DASH,
        _tau(evaluation, STATIC, mine),
        _tau(evaluation, POLICY, mine),
    )


def _tau(evaluation: Evaluation, name: str, turns_T: np.ndarray) -> str:
    tau = tau_of(evaluation.entry(name), turns_T)
    return DASH if tau is None else f"{tau:.2f}"


# -- plots -------------------------------------------------------------------------------------------------------------


def _trees(evaluation: Evaluation, seen: list[TurnView]) -> tuple[Html, ...]:
    key = legend(
        (
            (plots.POLICY_COLOUR, "━", "policy's tree"),
            ("pale", "█", "tokens that its round committed"),
            (plots.ORACLE_COLOUR, "━", "oracle's tree (replayed)"),
        )
    )
    said = (
        "Each step is one round, from the position where it began to that where the next one did; its height is the "
        "size of the tree (total tokens, root included), the bar under it the tokens that it committed: accepted ones "
        "and the target's own. The oracle knew what would be accepted, and decided as often as the policy. Shown is the "
        f"first turn of each category, up to {TREE_PLOTS}, whatever it looks like."
    )
    made = [
        figure(
            plots.trees(f"trees{index}", view),
            join((element("b", view.turn.category), ", task ", view.turn.task, ": ", _trees_said(view))),
        )
        for index, view in enumerate(_shown(seen))
    ]
    return paragraph(said), key, figures(made, small=True), _trees_table(evaluation)


def _trees_said(view: TurnView) -> str:
    tokens = sum(span.tokens for span in view.policy)
    return f"{tokens} tokens in {len(view.policy)} rounds; the oracle takes {len(view.oracle)} over its text."


def _shown(seen: list[TurnView]) -> list[TurnView]:
    """The first turn of each category; where there are fewer categories than plots, the second ones after them."""
    met: Counter[str] = Counter()
    ranks: list[int] = []
    for view in seen:
        ranks.append(met[view.turn.category])
        met[view.turn.category] += 1
    order = sorted(range(len(seen)), key=lambda index: ranks[index])
    return [seen[index] for index in order[:TREE_PLOTS]]


def _trees_table(evaluation: Evaluation) -> Html:
    trees = chosen(evaluation, POLICY)
    total = sum(count for count, _ in trees.values())
    rows = [
        ("no drafting" if shape is None else str(shape), percent(count / total, 1), f"{accepted:.2f}")
        for shape, (count, accepted) in list(trees.items())[:TREE_ROWS]
    ]
    said = (
        f"The policy drafted {len(trees)} different trees in {total} rounds; listed are the {len(rows)} most frequent, "
        "with their share of the rounds and the mean drafted tokens accepted by them. Trees were chosen where they "
        "promised most, so that these means do not compare trees with one another."
    )
    columns = ("tree", "share of rounds", "accepted")
    return join((element("h3", "Trees of the policy"), table(columns, rows), paragraph(said)))


def _speeds_and_distances(evaluation: Evaluation, seen: list[TurnView]) -> Html:
    static, policy = evaluation.entry(STATIC), evaluation.entry(POLICY)
    static_T, policy_T = (entry.tokens_T / entry.seconds_T for entry in (static, policy))
    categories_T = [turn.category for turn in evaluation.turns]
    styles = {name: min(i, len(CATEGORY_STYLES) - 1) for i, name in enumerate(dict.fromkeys(categories_T))}
    faster = int((policy_T > static_T).sum())
    speed = figure(
        plots.speeds(static_T.tolist(), policy_T.tolist(), categories_T, styles),
        f"Measured tokens per second of each turn: above the dashed line the policy is faster, as in {faster} of "
        f"{len(static_T)} turns.",
        legend(tuple((CATEGORY_STYLES[i][0], _MARKS[i], name) for name, i in styles.items())),
    )
    return figures((speed, _distances(seen)))


def _distances(seen: list[TurnView]) -> Html:
    static, policy = (np.array([getattr(v, f"{who}_over_oracle") for v in seen]) for who in ("static", "policy"))
    caption = (
        f"Time per token over the oracle's (the line at 1), by the cost model: the policy's own rounds and decisions, "
        f"the best static tree replayed. Medians: policy {times(float(np.median(policy)))}, best static "
        f"{times(float(np.median(static)))}."
    )
    key = (
        (plots.STATIC_COLOUR, "□", "best static"),
        (plots.POLICY_COLOUR, "●", "policy"),
        (plots.ORACLE_COLOUR, "━", "oracle"),
    )
    return figure(plots.distances(seen), caption, legend(key))


def _time(evaluation: Evaluation) -> tuple[Html, ...]:
    per_round, per_token = _milliseconds(evaluation)
    said = (
        "Draft and verify are the forwards of the head and of the target; policy is deciding on a tree; rest is "
        "cutting trees, masks and bookkeeping. A large tree may cost more per round and yet less per token."
    )
    policy = evaluation.entry(POLICY)
    outside = (
        f"Outside the two models' forwards the policy's rounds spend {percent(policy.share('policy', 'rest'), 1)} of "
        f"their time, {percent(policy.share('policy'), 2)} on the policy itself."
    )
    key = legend(tuple((colour, "■", phase) for phase, colour in PHASES.items()))
    both = (
        figure(plots.round_times("rounds", per_round, "round"), "Mean over all rounds; at the bar's end, their sum."),
        figure(plots.round_times("tokens", per_token, "token"), "The same, divided by τ: per token committed."),
    )
    return paragraph(said), key, figures(both), paragraph(outside)


def _milliseconds(evaluation: Evaluation) -> tuple[dict[str, dict[str, float]], dict[str, dict[str, float]]]:
    """Contender -> phase -> mean milliseconds per round, and per token committed."""
    per_round: dict[str, dict[str, float]] = {}
    per_token: dict[str, dict[str, float]] = {}
    for entry in evaluation.entries:
        if entry.tau is None:
            continue
        rounds = entry.rounds
        means = {phase: 1e3 * float(np.mean([getattr(r.seconds, phase) for r in rounds])) for phase in PHASES}
        per_round[entry.name] = means
        per_token[entry.name] = {phase: mean / entry.tau for phase, mean in means.items()}
    return per_round, per_token
