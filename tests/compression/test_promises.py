"""Promises from a table to an answer: what is calibrated, kept in files, and refused."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from compression.made_tables import ACTIONS, made_table
from trimtab import cli
from trimtab.compression.judging import Split
from trimtab.compression.promise_verb import fixed_points, frontier, sentence
from trimtab.compression.promising import Promise, Takers, fit_takers, judged, promised
from trimtab.compression.table import RewardTable

ENCODER = "structural+hidden"


def _table(prompts: int = 400) -> RewardTable:
    """At 32 tokens half of the prompts (feature ``echo`` tells which) are answered badly, whatever is kept; at 64 none."""
    table = made_table(prompts)
    hard_P = np.random.default_rng(5).random(prompts) < 0.5
    tight_PA = np.where(hard_P[:, None], 0.3, 0.99).repeat(3, axis=1)
    quality = np.stack((tight_PA, np.full_like(tight_PA, 0.98)), axis=2).astype(np.float32)
    features = {**table.features, "echo": np.stack((hard_P, ~hard_P), axis=1).astype(np.float32)}
    return replace(table, parts={"fidelity": quality}, features=features)


@pytest.fixture(scope="module")
def made() -> Takers:
    return fit_takers(Split.of(_table(), 0.2, 0.4), "fidelity", ENCODER)


def test_the_budget_is_what_the_prompt_needs(made: Takers) -> None:
    row = judged(made, promised(made, 0.05, 0.1))
    hard = made.split.held_out.features["echo"][:, 0].mean()
    assert 0 < row["violations"] <= 0.12  # as many as delta allows are saved on
    assert row["mean_budget"] == pytest.approx(32 + 32 * (hard - row["violations"]))
    assert row["smallest_fixed_budget"] == 64
    assert "of the prompts: kept, " in sentence(row)
    assert "less than the smallest fixed budget" in sentence(row)


def test_what_no_budget_gives_is_answered_by_the_full_cache(made: Takers) -> None:
    row = judged(made, promised(made, 0.001, 0.1))
    assert (row["full_cache"], row["violations"], row["mean_budget"]) == (1.0, 0.0, 100.0)


def test_the_frontier_falls(made: Takers) -> None:
    promises, fixed = frontier(made, 0.05), fixed_points(made, 0.05)
    assert [point[0] for point in promises] == sorted((point[0] for point in promises), reverse=True)
    assert fixed[0] == (32.0, pytest.approx(made.split.held_out.features["echo"][:, 0].mean()))
    assert fixed[1] == (64.0, 0.0)


@pytest.mark.parametrize("eps", [0.05, 0.001])
def test_a_promise_comes_back_from_its_files(made: Takers, tmp_path: Path, eps: float) -> None:
    promise = Promise.of(made, promised(made, eps, 0.1), {"model": "none"})
    promise.save(tmp_path)
    back = Promise.load(tmp_path)
    table = made.split.held_out
    rows = [table.subset([row]).features for row in range(len(table.prompts))]
    chosen = [back.choose(row) for row in rows]
    assert chosen == [promise.choose(row) for row in rows]
    if eps == 0.001:
        assert set(chosen) == {None}
        return
    budgets = np.array([one[1] for one in chosen if one])
    hard_P = table.features["echo"][:, 0] > 0
    assert set(budgets[~hard_P]) == {32}
    assert (budgets[hard_P] == 64).mean() > 0.7
    assert {one[0] for one in chosen if one} <= set(ACTIONS)


def test_what_the_action_taken_would_keep_tells_the_budget(tmp_path: Path) -> None:
    """Which prompts are hard is said nowhere but in a number of the taken action at the budget in question."""
    table = _table()
    hard_P, random = table.features["echo"][:, 0], np.random.default_rng(1)
    features = {**table.features, "echo": np.zeros((len(hard_P), 2), np.float32)}
    for budget in table.budgets:
        block_PAK = random.standard_normal((len(hard_P), 3, 2)).astype(np.float32)
        block_PAK[:, :, 1] = hard_P[:, None] if budget == 32 else 0.5
        features[f"kept@{budget}"] = block_PAK.reshape(len(hard_P), -1)
    split = Split.of(replace(table, features=features), 0.2, 0.4)
    blind = judged(taken := fit_takers(split, "fidelity", ENCODER), promised(taken, 0.05, 0.1))
    made = fit_takers(split, "fidelity", ENCODER + "+kept")
    row = judged(made, given := promised(made, 0.05, 0.1))
    assert row["violations"] <= 0.12
    assert row["mean_budget"] < blind["mean_budget"] - 5
    promise = Promise.of(made, given, {})
    promise.save(tmp_path)
    rows = [split.held_out.subset([at]).features for at in range(20)]
    assert [Promise.load(tmp_path).choose(one) for one in rows] == [promise.choose(one) for one in rows]
    budgets = [found[1] for one in rows if (found := promise.choose(one))]
    places = given.choose(made.contexts[2][:20])
    assert budgets == [made.budgets[place] for place in places]


def test_bad_input(made: Takers, tmp_path: Path) -> None:
    with pytest.raises(
        FileNotFoundError, match=r"no promise\.json: expected a folder of `trimtab compression promise`"
    ):
        Promise.load(tmp_path)
    (tmp_path / "promise.json").write_text('{"format": "other"}')
    with pytest.raises(ValueError, match="format other: expected trimtab-compression-promise-1"):
        Promise.load(tmp_path)
    split = made.split
    with pytest.raises(ValueError, match="the table holds no features 'kept@32'"):
        fit_takers(split, "fidelity", "structural+kept")
    backwards = replace(split.train, budgets=(64, 32))
    with pytest.raises(ValueError, match="ascending order; tabulate so"):
        fit_takers(replace(split, train=backwards), "fidelity", ENCODER)
    nats = replace(split.train, parts={"kl": 3 * split.train.parts["fidelity"]})
    with pytest.raises(ValueError, match=r"kl runs from .* expected a quality of 0 to 1"):
        fit_takers(replace(split, train=nats), "kl", ENCODER)
    with pytest.raises(ValueError, match="choosers for 2 budgets"):
        replace(Promise.of(made, promised(made, 0.05, 0.1), {}), takers=())


def test_the_command_writes_what_generate_takes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table, out = tmp_path / "table", tmp_path / "promise"
    line = ["compression", "tabulate", "--prompt-count", "48", "--budgets", "64", "512", "--menu", "u5b"]
    assert cli.run([*line, "--scored-tokens", "2", "--out", str(table)]) == 0
    line = ["compression", "promise", "--table", str(table / "table.npz"), "--delta", "0.3", "--out", str(out)]
    assert cli.run([*line, "--calibration-share", "0.3"]) == 0
    assert "is promised for all but" in capsys.readouterr().err
    record = json.loads((out / "judged.json").read_text())
    assert {"rows", "bars", "hardware", "date"} <= set(record)
    assert "Mean budget against broken promises" in (out / "report.html").read_text()
    generate = ["compression", "generate", "@recall/1", "--promise", str(out), "--max-new-tokens", "2"]
    assert cli.run(generate) == 0
    shown = capsys.readouterr().err
    assert "per KV head" in shown or "the full cache answers" in shown
    assert cli.run([*generate, "--policy", "runs/x"]) == 2
    assert "expected one of them" in capsys.readouterr().err
    assert cli.run([*generate, "--model-name", "zoo:recall-1"]) == 2
    assert "was trained for zoo:recall" in capsys.readouterr().err
