"""What is published of an evaluation? One page: the verdict, the comparison, controls, plots, and how it was measured."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from trimtab import machine
from trimtab.compression import plots
from trimtab.compression.contest import BEST_FIXED, ORACLE, TIE, Contest
from trimtab.compression.judging import LEARNED, SHUFFLED, best_fixed, sentence
from trimtab.compression.pictures import Pictures
from trimtab.pages import (
    DASH,
    Html,
    element,
    explained,
    figure,
    figures,
    join,
    page,
    paragraph,
    percent,
    section,
    table,
    write_page,
)
from trimtab.statistics import RESAMPLES, Interval, paired_difference

if TYPE_CHECKING:
    from trimtab.compression.evaluation import Evaluation

TITLE = "What to keep in the cache: the evaluation"
FEWEST = 5
"""A kind of task with fewer prompts gets no interval."""
_MOODS = {"better": "good", "undecided": "fair", "worse": "bad"}
_VERDICTS = {
    "better": "Better: use the learned policy.",
    "undecided": "Undecided: use the fixed action.",
    "worse": "Worse: use the fixed action.",
}


def write_report(folder: Path, evaluation: Evaluation) -> Path:
    """Write ``folder/report.html``, atomically, and return its path."""
    found = evaluation.found
    content = page(
        TITLE,
        _circumstances(found),
        _verdict(found),
        section("The comparison", _comparison(found), _terms(found)),
        section("By kind of task", *_groups(found)),
        section("Which actions were taken", *_actions(found)),
        section("Controls", *_controls(found)),
        *([section("Over the budgets", *_frontier(evaluation))] if evaluation.others else []),
        *_pictures(evaluation.pictures),
        section("How it was measured", *_measured(evaluation)),
    )
    return write_page(folder / "report.html", content)


def _circumstances(found: Contest) -> Html:
    hardware = machine.hardware()
    device = ", ".join(hardware["accelerators"]) or f"{hardware['processor']}"
    said = f"{machine.today()}. {len(found.rewards_PA)} held-out prompts, {len(found.actions)} actions; {device}."
    return paragraph(said, class_="muted")


def _verdict(found: Contest) -> Html:
    verdict = found.verdict(LEARNED)
    words = (paragraph(element("strong", _VERDICTS[verdict])), paragraph(sentence(found)))
    return element("div", *words, class_=f"verdict {_MOODS[verdict]}")


def _spread(gain: Interval) -> str:
    return f"[{gain.low:+.3f}, {gain.high:+.3f}]"


def _comparison(found: Contest) -> Html:
    rows, kinds = [], []
    for row in found.rows():
        first = row["name"] == BEST_FIXED
        share = row["share_of_oracle_gain"]
        rows.append(
            (
                row["name"],
                f"{row[found.part]:.3f}",
                DASH if first else f"{row['against_best_fixed']:+.3f}",
                DASH if first else f"[{row['low']:+.3f}, {row['high']:+.3f}]",
                percent(share) if share is not None and not first else DASH,
                row["note"],
            )
        )
        kinds.append("chosen" if row["name"] == LEARNED else "aside" if row["name"] in (ORACLE, SHUFFLED) else None)
    columns = ("contender", found.part, "against best fixed", "95 % interval", "oracle's gain", "what it is")
    return table(columns, rows, words=(0, 5), classes=kinds)


def _terms(found: Contest) -> Html:
    return explained(
        {
            found.part: "Mean over the held-out prompts. fidelity is exp(−KL): the mean divergence of the compressed "
            "cache's predictions from the full cache's over the answer's tokens, without the first, which is free.",
            "against best fixed": "The mean difference to the action that is best throughout on the training prompts.",
            "95 % interval": f"Paired bootstrap of that difference over prompts ({RESAMPLES} resamples).",
            "oracle's gain": "0 % is the best fixed action, 100 % the best action of each prompt, known afterwards.",
        }
    )


def _groups(found: Contest) -> list[Html]:
    if not found.groups:
        return [paragraph("The table names no kinds of task.")]
    named, learned, fixed = np.array(found.groups), found.earned(LEARNED), found.earned(BEST_FIXED)
    rows = []
    for group in sorted(set(found.groups)):
        own = named == group
        gain = paired_difference(learned[own], fixed[own]) if own.sum() >= FEWEST else None
        rows.append(
            (
                group,
                int(own.sum()),
                f"{fixed[own].mean():.3f}",
                f"{learned[own].mean():.3f}",
                DASH if gain is None else f"{gain.estimate:+.3f}",
                DASH if gain is None else _spread(gain),
                f"{found.earned(ORACLE)[own].mean():.3f}",
            )
        )
    columns = ("kind", "prompts", "best fixed", "learned", "difference", "95 % interval", "oracle")
    return [table(columns, rows)]


def _actions(found: Contest) -> list[Html]:
    caption = "Actions that the learned choice took on the held-out prompts."
    best = "Actions that were best, prompt by prompt (the first of equals)."
    return [
        figures(
            (
                figure(plots.histogram_plot(found, LEARNED), caption),
                figure(Html(plots.histogram_plot(found, ORACLE).replace("histogram-", "oracle-")), best),
            )
        )
    ]


def _controls(found: Contest) -> list[Html]:
    shuffled = [c.name for c in found.contenders if c.name == SHUFFLED]
    said = [
        f"{percent(found.ties)} of the prompts tie: their two best actions are within {TIE} of each other, and no choice "
        "between those matters."
    ]
    if shuffled:
        gain = found.against(SHUFFLED)
        leaks = gain.low > 0
        said.append(
            f"The same policy with the features of other prompts earns {gain.estimate:+.3f} {_spread(gain)} over the best "
            f"fixed action: {'more than nothing, so something leaks' if leaks else 'no gain, as it must be'}."
        )
    return [paragraph(one) for one in said]


def _frontier(evaluation: Evaluation) -> list[Html]:
    frontier = evaluation.frontier
    rows = []
    for one in frontier:
        gain = one.against(LEARNED)
        rows.append(
            (
                one.budget,
                f"{one.earned(BEST_FIXED).mean():.3f}",
                f"{one.earned(LEARNED).mean():.3f}",
                f"{gain.estimate:+.3f}",
                _spread(gain),
                f"{one.earned(ORACLE).mean():.3f}",
                one.verdict(LEARNED),
            )
        )
    columns = ("budget", "best fixed", "learned", "difference", "95 % interval", "oracle", "verdict")
    lines = "The nearer the best fixed action comes to the oracle, the less there is to choose."
    gains = "Learned over best fixed, with 95 % intervals over prompts: where one holds 0, the fixed action is as good."
    return [
        figures(
            (
                figure(plots.frontier_plot(frontier), lines, plots.frontier_legend(frontier)),
                figure(plots.gain_plot(frontier), gains),
            )
        ),
        table(columns, rows, words=(0, 6)),
    ]


def _pictures(drawn: Pictures) -> list[Html]:
    parts: list[Html] = []
    if drawn.needles is not None:
        needles = drawn.needles
        each = f"Mean over {needles.each} needles in each cell."
        both = (
            figure(
                plots.needle_plot("needle-learned", "Needles, learned", needles.policy_DL, needles), f"Learned. {each}"
            ),
            figure(
                plots.needle_plot("needle-fixed", "Needles, fixed", needles.fixed_DL, needles), f"Best fixed. {each}"
            ),
        )
        parts.append(section("Needles by depth and length", figures(both)))
    texts = [join((element("h3", label), plots.kept_text(drawn.kept, label))) for label in drawn.kept.shares]
    said = paragraph(
        f"The prompt {drawn.kept.prompt}; the stronger a token's ground, the more layers and KV heads keep it.",
        class_="muted",
    )
    parts.append(section("Kept tokens over a prompt's text", said, *texts))
    return parts


def _measured(evaluation: Evaluation) -> list[Html]:
    about = evaluation.router.about
    lines = {
        "policy": f"{about.get('learner')}, reading {evaluation.router.encoder}; budget {evaluation.router.budget}",
        "best fixed action": best_fixed(evaluation.found),
        "model": str(about.get("model", "as the table says")),
        "fingerprint of the weights": str(about.get("fingerprint", DASH)),
        "table learnt from": str(about.get("table", DASH)),
        "split": "by a hash of each prompt's document, or of its name: no prompt is learnt from and judged",
        "intervals": f"paired bootstrap over prompts, {RESAMPLES} resamples, 95 %",
    }
    costs = [
        table(
            ("what the policy may see", "ms per prompt", "of reading it"),
            [(cost.part, f"{1000 * cost.seconds:.1f}", percent(cost.share)) for cost in evaluation.pictures.costs],
        )
    ]
    return [explained(lines), *costs]
