"""What does ``trimtab compression train`` do? Read or make a table (or play live), learn, keep the policy, say if it pays.

The prompts are split by a hash of their names: learnt from, judged by while learning (calibration), held out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from trimtab.compression import learners, menus
from trimtab.compression.bandit_training import BanditSchedule, BanditTraining, Deployment
from trimtab.compression.context_encoders import embedder, fingerprints, kept_columns, prompt_features, resolved
from trimtab.compression.judging import Split, announce, judged, settle
from trimtab.compression.learners import BANDITS, FULL_INFORMATION, Centred, LearnerSettings
from trimtab.compression.model_names import load
from trimtab.compression.prompt_sets import named, rows_by_part
from trimtab.compression.prompts import Prompt
from trimtab.compression.router import Router, Scaler
from trimtab.compression.scoring import FORCED, ScoreSettings
from trimtab.compression.sources import LiveSource, Source, TableSource
from trimtab.compression.table import RewardTable
from trimtab.compression.tabulating import tabulate
from trimtab.compression.text_measures import measures_for
from trimtab.console import say
from trimtab.lm import fingerprint
from trimtab.parallel import workers
from trimtab.plain import Plain
from trimtab.runs import Run

if TYPE_CHECKING:
    from trimtab.compression.train_recipe import Train

SCALED_BY = 64
"""Live prompts whose features say how to scale all others'."""


def train(command: Train, *, announced: bool = True) -> None:
    """``trimtab compression train``. ``announced``: print the first judgement; an evaluation that follows makes its own."""
    command = resumed(command) if command.resume else command
    if workers().count > 1:
        raise ValueError(
            "training runs in one process: `trimtab compression tabulate` spreads over processes; give its table by --table"
        )
    learners.check(command.learner)
    if command.online and command.learner not in BANDITS:
        raise ValueError(
            f"{command.learner} learns from the rewards of all actions, which live episodes do not give: expected one "
            f"of {', '.join(BANDITS)}"
        )
    with _run(command) as run:
        if command.online:
            router = _online(command, run)
            router.save(run.path / "policy")
            say(f"the policy is in {run.path / 'policy'}; judge it by `trimtab compression evaluate --table TABLE`")
            return
        table = table_of(command, run.path)
        split = Split.of(table, command.calibration_share, command.held_out_share)
        menus.check_teachers(table.about, split.held_out.prompts)
        router = learned(command, split, run)
        found = judged(router, split, command.reward)
        settle(router, found, run.path / "policy")
        if not announced:
            return
        announce(found, run.path / "policy")
        say(f"the run is in {run.path}; `trimtab compression evaluate --run {run.path}` writes its report")


def resumed(command: Train) -> Train:
    """The recipe of the run to go on with, tracked as asked now. Raises FileNotFoundError where it is no run."""
    path = command.resume
    assert path is not None
    if not (path / "recipe.yaml").is_file():
        raise FileNotFoundError(f"{path} is no run: expected a directory with recipe.yaml, made by `compression train`")
    return replace(recipe_in(path), resume=path, track=command.track, tracking=command.tracking)


def recipe_in(path: Path) -> Train:
    """The recipe of a run's directory."""
    from trimtab.compression.train_recipe import Train
    from trimtab.trackers import TrackSettings

    plain: dict[str, Any] = yaml.safe_load((path / "recipe.yaml").read_text(encoding="utf-8"))
    plain.pop("class", None)
    tracking = plain.pop("tracking", {})
    tracking.pop("class", None)
    for name in ("table", "save_dir"):
        plain[name] = None if plain[name] is None else Path(plain[name])
    for name in ("gpus", "track"):
        plain[name] = tuple(plain[name])
    return Train(**plain, tracking=TrackSettings(**tracking))


def _run(command: Train) -> Run:
    recipe = replace(command, resume=None)
    if command.resume:
        return Run.resume(command.resume, track=command.track, tracking=command.tracking)
    return Run.begin(command.save_dir, recipe, name=command.name, track=command.track, tracking=command.tracking)


def table_of(command: Train, folder: Path) -> RewardTable:
    """The table to replay: the one named, or one made of the command's prompts in ``folder``."""
    if command.table is not None:
        table = RewardTable.load(command.table)
        table.rewards(command.reward, command.budget)
        return table
    check_reward(command)
    model, tokenizer = load(command.model_name, command.gpus, command.dtype)
    prompts = named(command.prompts, tokenizer, command.prompt_count, command.max_tokens)
    actions, taught = menus.actions_of(
        command.menu,
        model,
        prompts,
        command.budget,
        scored_tokens=command.scored_tokens,
        shares=(command.calibration_share, command.held_out_share),
    )
    features = prompt_features(command.context_encoder_model, tokenizer, actions, [command.budget])
    say(f"tabulating {len(prompts)} prompts, {len(actions)} actions at a budget of {command.budget} tokens")
    return tabulate(
        model,
        prompts,
        actions,
        [command.budget],
        folder / "table",
        settings=ScoreSettings(scored_tokens=command.scored_tokens),
        texts=measures_for(prompts, tokenizer, command.new_tokens, embedder(command.cosine_model)),
        features=features,
        about={
            "model": command.model_name,
            "encoders": fingerprints(features),
            "cosine_model": command.cosine_model,
            **taught,
        },
    )


def check_reward(command: Train) -> None:
    """Raises ValueError for a reward that the table to be made would not hold, before it is made."""
    free = ("rouge_l", "metric", *(["cosine"] if command.cosine_model else [])) if command.new_tokens else ()
    if command.reward not in (*FORCED, *free):
        raise ValueError(
            f"no reward {command.reward!r} here: expected one of {', '.join((*FORCED, *free))}. For rouge_l and metric let "
            "the caches answer freely (--new-tokens 16), for cosine also name a text encoder (--cosine-model minilm)"
        )


def settings_of(command: Train) -> LearnerSettings:
    """The learner's settings, as the command spells them."""
    return LearnerSettings(command.ucb_beta, command.lr, seed=command.seed)


def deployment_of(command: Train, about: Mapping[str, Plain]) -> Deployment:
    """What the router is told beside what was learned."""
    said: dict[str, Plain] = {"learner": command.learner, "reward": command.reward, "seed": command.seed}
    said |= {"calibration_share": command.calibration_share, "held_out_share": command.held_out_share}
    said["context_encoder_model"] = command.context_encoder_model
    encoder = resolved(command.context_encoder_model, command.budget)
    return Deployment(command.budget, encoder, command.uncertainty_coef, {**said, **about})


def learned(command: Train, split: Split, run: Run) -> Router:
    """The policy that the learner makes of the training part."""
    encoder = resolved(command.context_encoder_model, command.budget)
    source = TableSource(split.train, command.reward, command.budget, encoder)
    scaler = Scaler.of(source.features_PF)
    deployment = deployment_of(command, {"table": split.train.content_hash, **_model_of(split.train)})
    settings = replace(settings_of(command), kept=kept_columns(split.train.features, encoder))
    if settings.kept and command.learner in BANDITS:
        raise ValueError(
            f"{command.learner} learns each action apart: expected ridge or mlp for what each action keeps"
        )
    if command.learner in FULL_INFORMATION:
        if command.uncertainty_coef:
            raise ValueError(f"{command.learner} knows no uncertainty: expected --uncertainty-coef 0, or a bandit")
        scores = FULL_INFORMATION[command.learner](scaler(source.features_PF), source.rewards_PA, settings)
        return deployment.router(source.actions, scaler, scores)
    judged = TableSource(split.calibration, command.reward, command.budget, encoder)
    return _bandit(command, source, judged, scaler, deployment, run)


def _model_of(table: RewardTable) -> dict[str, Plain]:
    return {name: table.about[name] for name in ("fingerprint", "model", "encoders") if name in table.about}


def _bandit(command: Train, source: Source, judged: Source, scaler: Scaler, deployment: Deployment, run: Run) -> Router:
    bandit = Centred(BANDITS[command.learner](source.actions, len(scaler.mean_F), settings_of(command)))
    schedule = BanditSchedule(
        command.iterations,
        command.episodes_per_update,
        command.eval_frequency,
        command.eval_samples,
        command.log_frequency,
    )
    return BanditTraining(bandit, source, judged, scaler, schedule, deployment, run, command.seed).train()


def _online(command: Train, run: Run) -> Router:
    model, tokenizer = load(command.model_name, command.gpus, command.dtype)
    prompts = named(command.prompts, tokenizer, command.prompt_count, command.max_tokens)
    rows = rows_by_part(
        [prompt.name for prompt in prompts], calibration=command.calibration_share, held_out=command.held_out_share
    )
    actions, _ = menus.actions_of(
        command.menu,
        model,
        prompts,
        command.budget,
        scored_tokens=command.scored_tokens,
        shares=(command.calibration_share, command.held_out_share),
    )
    features = prompt_features(command.context_encoder_model, tokenizer, actions, [command.budget])
    encoder = resolved(command.context_encoder_model, command.budget)
    settings = ScoreSettings(scored_tokens=command.scored_tokens)

    def live(part: str) -> LiveSource:
        own: list[Prompt] = [prompts[row] for row in rows[part]]
        return LiveSource(model, own, actions, command.reward, command.budget, encoder, features, settings)

    source = live("train")
    scaler = Scaler.of(source.features(range(min(SCALED_BY, source.count))))
    made_with: dict[str, Plain] = {
        "model": command.model_name,
        "fingerprint": fingerprint.of_weights(model),
        "encoders": fingerprints(features),
    }
    deployment = deployment_of(command, {**made_with, "online": True})
    return _bandit(command, source, live("calibration"), scaler, deployment, run)
