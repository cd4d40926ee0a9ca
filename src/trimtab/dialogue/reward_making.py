"""Which rubric does the command line spell out, for which dialogues? Settings become parts with their models and items."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from trimtab.console import say
from trimtab.dialogue.example import Catalogue, Example, Reply, references
from trimtab.dialogue.formats.reading import catalogue_of
from trimtab.dialogue.reward_recipe import RewardSettings
from trimtab.dialogue.rewards.parts import Materials, rubric_of
from trimtab.dialogue.tasks import moods_words
from trimtab.dialogue.tasks.moods_judge import CATALOGUE
from trimtab.rewards import Measure, Rubric


def of_moods(replies: Sequence[Reply]) -> bool:
    """Whether all replies answer dialogues of the embedded task, which the exact judge knows."""
    moods = {mood.name for mood in moods_words.MOODS}
    return all(reply.example.facts.emotion in moods and reply.example.facts.liked_tags for reply in replies)


def catalogue_for(examples: Sequence[Example]) -> Catalogue:
    """The embedded task's catalogue for its dialogues, else the items that the data speaks of."""
    return CATALOGUE if of_moods(references(examples)) else catalogue_of(examples)


def catalogue_if_any(examples: Sequence[Example]) -> Catalogue | None:
    """``catalogue_for``, None where the data names no item."""
    try:
        return catalogue_for(examples)
    except ValueError:
        return None


def rubric_for(settings: RewardSettings, examples: Sequence[Example]) -> Rubric[Reply]:
    """The rubric that the command line spells out, for these dialogues. Raises ValueError for a part without its model."""
    if settings.counts("empathy") and settings.empathy_head is None and not of_moods(references(examples)):
        say(
            "note: the shipped empathy head knows the embedded task alone; fit one to such dialogues "
            "(`trimtab dialogue fit-empathy --data FILE --out HEAD`, then --empathy-head HEAD), or --empathy-weight 0"
        )
    catalogue = catalogue_for(examples) if settings.counts("recommendation") else None
    return rubric_with(settings, settings.weights(), catalogue)


def rubric_with(settings: RewardSettings, weights: Mapping[str, str], catalogue: Catalogue | None) -> Rubric[Reply]:
    """The rubric of these weights, its other settings as given."""
    materials = Materials(
        catalogue=catalogue,
        empathy=settings.empathy_head,
        fluency=fluency_of(settings) if settings.counts("fluency") or "fluency" in settings.gate else None,
        judge=_judge(settings) if settings.counts("judge") or "judge" in settings.gate else None,
        window=settings.window,
        blocklist=settings.blocklist,
    )
    return rubric_of(weights, materials, gates=settings.gate)


def fluency_of(settings: RewardSettings) -> Measure[Reply] | None:
    """The measure of fluency under ``fluency_model``, None where none is named."""
    if settings.fluency_model is None:
        return None
    from trimtab.dialogue import models
    from trimtab.dialogue.rewards.fluency import Fluency

    model, tokenizer = models.load(settings.fluency_model)
    return Fluency(model, tokenizer)


def _judge(settings: RewardSettings) -> Measure[Reply] | None:
    if settings.judge_model is None:
        return None
    from trimtab.dialogue.judge import JudgePart, judge_of

    return JudgePart(
        judge_of(settings.judge_model, settings.judge_endpoint, settings.judge_key_variable, settings.judge_cache)
    )
