"""How was an evaluation measured? The part of its report that lets another person judge, and repeat, its numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trimtab import machine
from trimtab.pages import DASH, Html, element, explained, paragraph, percent, table, times
from trimtab.speculation.turnwise import POLICY, STATIC, differing_turns, predicted_over_measured

if TYPE_CHECKING:
    from trimtab.speculation.evaluation import Evaluation

_RESIDUALS = {
    "median": "Half of the calibration's rounds took within this share of what the fitted cost model says.",
    "p90": "Nine in ten of them were within this share.",
    "mean_over_typical": "The mean round over the typical one: interruptions make it larger than 1. Costs are scaled "
    "to the mean, as a decode's time is a sum.",
}


def described(evaluation: Evaluation) -> tuple[Html, ...]:
    """Procedure, texts, machine, cost model and versions, as parts of the page."""
    repeats = len(evaluation.entry(POLICY).decodes_TR[0])
    said = (
        f"Each of the {len(evaluation.turns)} turns was decoded by every contender one after another, in an order that "
        f"rotates, from a cold cache, in one process, {repeats} time{'s' if repeats > 1 else ''} each, after one "
        "decode to warm up. Best static tree, rule and policy were fixed beforehand, on the training prompts."
    )
    return (
        paragraph(said),
        paragraph(_texts_said(evaluation)),
        table(("circumstance", "this evaluation", "calibration"), _circumstance_rows(evaluation), words=(0, 1, 2)),
        *_warning(evaluation),
        element("h3", "The cost model"),
        explained(_costs_said(evaluation)),
        element("h3", "Versions"),
        table(("package", "version"), list(machine.versions().items()), words=(0, 1)),
    )


def _texts_said(evaluation: Evaluation) -> str:
    dtype = evaluation.costs.measured_on.get("dtype", "the pair's own precision")
    replayed = evaluation.table.metadata.get("dtype", "unstated")
    return (
        f"Timed in {dtype}; the replay table is of {replayed} texts. In {differing_turns(evaluation)} of "
        f"{len(evaluation.turns)} turns the timed texts differ between contenders: in low precision near-ties of two "
        "tokens may fall either way. In such turns the distance to the oracle compares different texts, per token."
    )


def _circumstance_rows(evaluation: Evaluation) -> list[tuple[str, str, str]]:
    there = evaluation.costs.measured_on
    here = machine.hardware() | {"date": machine.today(), "commit": _revision()}
    here |= {name: there[name] for name in ("device", "dtype") if name in there}  # both are the run's own pair
    here |= {f"replay table, {name}": value for name, value in evaluation.table.metadata.items()}
    names = list(dict.fromkeys((*here, *there)))
    return [(name.replace("_", " "), _plain(here.get(name)), _plain(there.get(name))) for name in names]


def _revision() -> str:
    """The commit, short."""
    revision, plus, changes = (machine.commit() or "no checkout").partition("+")
    return revision[:12] + plus + changes


def _plain(value: object) -> str:
    if isinstance(value, (list, tuple)):
        return ", ".join(map(str, value)) or "none"
    return DASH if value is None else str(value)


def _warning(evaluation: Evaluation) -> tuple[Html, ...]:
    """What to say where costs were measured under other circumstances."""
    here, there = machine.hardware(), evaluation.costs.measured_on
    named = ("processor", "cores", "threads", "accelerators")
    other = [name for name in named if name in there and _plain(there[name]) != _plain(here[name])]
    if not other:
        return ()
    said = (
        f"Calibration and evaluation differ in {', '.join(other)}: the replayed numbers, and what the policy was trained "
        "for, belong to the former. Calibrate and train again on this machine, with these settings."
    )
    return (element("div", paragraph(said), class_="verdict fair"),)


def _costs_said(evaluation: Evaluation) -> dict[str, object]:
    said: dict[str, object] = {}
    for name, value in evaluation.costs.residuals.items():
        shown = times(value) if name == "mean_over_typical" else percent(value, 1)
        said[f"{name.replace('_', ' ')}: {shown}"] = _RESIDUALS.get(name, "A residual of the fit.")
    for name in (STATIC, POLICY):
        ratio = predicted_over_measured(evaluation, name)
        said[f"predicted over measured, {name}: {times(ratio)}"] = (
            "The cost model's time for the rounds of this evaluation, over the time that they took (decisions left "
            "out of both): 1 would be exact."
        )
    return said
