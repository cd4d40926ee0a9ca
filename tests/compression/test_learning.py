"""Learners, routers, and the promise that a run killed anywhere ends as if it had not been."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from compression.made_tables import ACTIONS, made_table
from trimtab.compression import bandit_training, training
from trimtab.compression.bandit_training import curves_of
from trimtab.compression.judging import LEARNED, Split, judged, settle
from trimtab.compression.learners import BANDITS, LEARNERS, Centred, LearnerSettings, check, scores_of
from trimtab.compression.regression import Perceptron, Ridge, earned, solve
from trimtab.compression.router import Router, Scaler, Scores
from trimtab.compression.sources import TableSource
from trimtab.compression.train_recipe import Train
from trimtab.policies.neural_ucb import NeuralUCB
from trimtab.tracking import read_jsonl

TINY = Train(
    learner="lin-ucb",
    budget=32,
    iterations=12,
    episodes_per_update=8,
    eval_frequency=4,
    eval_samples=20,
    log_frequency=100,
    held_out_share=0.4,
    track=(),
)


def test_ridge_is_the_closed_form() -> None:
    contexts = np.array([[-1.0], [0.0], [1.0]])
    mlp = solve(contexts, 2 * contexts + 1, 0.0)
    assert mlp.scores(np.array([[3.0]])) == pytest.approx(np.array([[7.0]]))
    shrunk = solve(contexts, 2 * contexts + 1, 2 / 3)  # x'x = 2, strength * 3 = 2: half the slope, the same mean
    assert shrunk.scores(np.array([[3.0]])) == pytest.approx(np.array([[4.0]]))


@pytest.mark.parametrize("learner", [Ridge(), Perceptron(epochs=60)])
def test_full_information_finds_what_features_tell(learner: Ridge | Perceptron) -> None:
    source = TableSource(made_table(240), "fidelity", 32, "structural+hidden")
    contexts = Scaler.of(source.features_PF)(source.features_PF)
    mlp = learner.fit(contexts[:160], source.rewards_PA[:160])
    assert earned(mlp, contexts[160:], source.rewards_PA[160:]) > 0.75


@pytest.mark.parametrize("name", ["lin-ucb", "lin-ts", "neural-linear-ucb", "neural-linear-ts", "neural-ucb"])
def test_bandits_learn_by_replay(name: str) -> None:
    source = TableSource(made_table(240), "fidelity", 32, "tail")
    contexts = Scaler.of(source.features_PF)(source.features_PF)
    bandit = Centred(BANDITS[name](ACTIONS, contexts.shape[1], LearnerSettings(ucb_beta=0.3)))
    random = np.random.default_rng(0)
    for _ in range(40):
        rows = random.integers(160, size=16)
        columns = bandit.choose(contexts[rows])
        bandit.observe(contexts[rows], columns, source.rewards_PA[rows, columns])
    assert earned(bandit.scores().mlp, contexts[160:], source.rewards_PA[160:]) > 0.7


def test_lower_bounds_shun_what_is_unknown() -> None:
    bandit = BANDITS["lin-ucb"](ACTIONS, 1, LearnerSettings(ucb_beta=0.0))
    context = np.ones((1, 1))
    for _ in range(50):
        bandit.observe(context, np.array([0]), np.array([0.5]))
    bandit.observe(context, np.array([1]), np.array([8.0]))
    scores = scores_of(bandit)
    assert scores.bounds(context, 0.0).argmax() == 1
    assert scores.bounds(context, 5.0).argmax() == 0
    with pytest.raises(ValueError, match="deploys no uncertainty"):
        Scores(bandit.mlp()).bounds(context, 1.0)


@pytest.mark.parametrize("covariance", ["diagonal", "full"])
def test_neural_ucb_deploys_its_deviations(covariance: Any) -> None:
    """What is deployed doubts as the bandit does, from a file too, and after the bandit went on."""
    random = np.random.default_rng(0)
    bandit = NeuralUCB(0.1, 0.1, covariance=covariance, width=4, train_every=8, steps=40).build(["a", "b"], 3)
    contexts, columns = random.standard_normal((16, 3)), random.integers(2, size=16)
    bandit.observe(contexts, columns, random.random(16))
    scores, expected = scores_of(bandit), bandit.deviations(contexts)
    bandit.observe(contexts, columns, random.random(16))
    assert not np.allclose(bandit.deviations(contexts), expected)
    for one in (scores, Scores.from_arrays(scores.arrays())):
        assert one.deviations(contexts) == pytest.approx(expected, rel=1e-5)
        assert one.bounds(contexts, 0.5) == pytest.approx(one.means(contexts) - 0.5 * expected, rel=1e-5)


def test_a_router_comes_back_from_its_files(tmp_path: Path) -> None:
    split = Split.of(made_table(300), 0.2, 0.4)
    source = TableSource(split.train, "fidelity", 32, "tail")
    scaler = Scaler.of(source.features_PF)
    scores = Scores(Ridge().fit(scaler(source.features_PF), source.rewards_PA))
    router = Router(ACTIONS, 32, "tail", scaler, scores, about={"learner": "ridge"})
    found = judged(router, split, "fidelity")
    assert found.verdict(LEARNED) == "better"
    assert settle(router, found, tmp_path).fixed is None
    again = Router.load(tmp_path)
    features = split.held_out.features["tail"]
    assert (again.choose(features) == router.learned(features)).all()
    assert again.about_verdict("verdict") == "better"
    with pytest.raises(ValueError, match="other actions"):
        again.check(("h2o", "tova"))
    with pytest.raises(ValueError, match=r"trained on \(3,\)"):
        again.choose(np.zeros((1, 5)))
    with pytest.raises(FileNotFoundError, match=r"policy\.json"):
        Router.load(tmp_path / "nothing")


def test_what_does_not_pay_is_exported_as_the_fixed_action(tmp_path: Path) -> None:
    split = Split.of(made_table(300, informative=False), 0.2, 0.4)
    source = TableSource(split.train, "fidelity", 32, "tail")
    scaler = Scaler.of(source.features_PF)
    router = Router(ACTIONS, 32, "tail", scaler, Scores(Ridge().fit(scaler(source.features_PF), source.rewards_PA)))
    settled = settle(router, judged(router, split, "fidelity"), tmp_path)
    best = int(split.train.rewards("fidelity", 32).mean(0).argmax())
    assert settled.fixed == ACTIONS[best]
    assert set(Router.load(tmp_path).choose(split.held_out.features["tail"]).tolist()) == {best}


@pytest.mark.parametrize("learner", ["lin-ucb", "lin-ts", "neural-linear-ts", "neural-ucb"])
def test_a_killed_run_ends_as_an_uninterrupted_one(
    learner: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made_table(200).save(tmp_path / "table")
    command = replace(TINY, learner=learner, table=tmp_path / "table.npz", save_dir=tmp_path / "runs")
    training.train(replace(command, name="whole"))

    iterate = bandit_training.BanditTraining._iterate

    def dying(self: bandit_training.BanditTraining) -> None:
        if self.iteration == 6:
            raise KeyboardInterrupt
        iterate(self)

    monkeypatch.setattr(bandit_training.BanditTraining, "_iterate", dying)
    with pytest.raises(KeyboardInterrupt):
        training.train(replace(command, name="cut"))
    monkeypatch.setattr(bandit_training.BanditTraining, "_iterate", iterate)
    training.train(Train(resume=tmp_path / "runs" / "cut", track=()))
    whole, cut = tmp_path / "runs" / "whole", tmp_path / "runs" / "cut"
    for log in ("progress.jsonl", "evaluation.jsonl"):
        assert list(read_jsonl(whole / log)) == list(read_jsonl(cut / log))
    for name in ("policy_12/policy.safetensors", "policy/policy.safetensors"):
        assert (whole / name).read_bytes() == (cut / name).read_bytes()
    assert len(list(read_jsonl(whole / "progress.jsonl"))) == 12
    assert [row["iteration"] for row in read_jsonl(whole / "evaluation.jsonl")] == [4, 8, 12]


def test_curves_are_logged_as_the_reference_does() -> None:
    logged = curves_of(["sigmoid(0.1,16)", "tova", "streaming"])
    assert logged == {"actions_a": [0.1, None, None], "actions_b": [16.0, 1.0, None]}


def test_bad_input(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"no learner 'lin_ucb'.*Did you mean 'lin-ucb'"):
        check("lin_ucb")
    assert set(BANDITS) < set(LEARNERS)
    with pytest.raises(ValueError, match="live episodes do not give"):
        training.train(Train(learner="ridge", online=True, save_dir=tmp_path))
    made_table(60).save(tmp_path / "table")
    command = replace(TINY, table=tmp_path / "table.npz", save_dir=tmp_path)
    with pytest.raises(ValueError, match="no budget 48 in the table"):
        training.train(replace(command, budget=48))
    with pytest.raises(ValueError, match="no features 'text'"):
        training.train(replace(command, context_encoder_model="text"))
    with pytest.raises(ValueError, match="knows no uncertainty"):
        training.train(replace(command, learner="ridge", uncertainty_coef=1.0))
    with pytest.raises(FileNotFoundError, match="is no run"):
        training.train(Train(resume=tmp_path / "none"))
