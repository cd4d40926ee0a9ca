"""What ``--context-encoder-model`` may name, end to end: text encoders in tabulate, train, evaluate and generate."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from trimtab import cli
from trimtab.compression import context_encoders
from trimtab.compression.context_encoders import (
    KNOWN,
    check_fingerprints,
    costs,
    kept_columns,
    prompt_features,
    resolved,
)
from trimtab.compression.features import vectors_of
from trimtab.compression.model_names import load
from trimtab.compression.router import Router
from trimtab.compression.table import RewardTable
from trimtab.compression.tasks.recall import Recall
from trimtab.encoders import m2_bert_files
from trimtab.encoders.m2_bert import M2Bert, M2BertConfig
from trimtab.lm.load import load_tokenizer

TINY = M2BertConfig(hidden=16, layers=1, intermediate=32, vocabulary=300, positions=1024, filter_order=8)


@pytest.fixture
def m2_bert(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a small M2-BERT of random weights, and the tokenizer of zoo:recall."""
    torch.manual_seed(0)
    folder = tmp_path / "m2-bert"
    folder.mkdir()
    tensors = {f"bert.{name}": tensor.contiguous().clone() for name, tensor in M2Bert(TINY).state_dict().items()}
    save_file(tensors, folder / "model.safetensors")
    load_tokenizer("zoo:recall").save_pretrained(folder)
    monkeypatch.setattr(m2_bert_files, "M2BertConfig", lambda: TINY)
    monkeypatch.setattr("trimtab.encoders.m2_bert.M2BertConfig", lambda: TINY)
    return folder


def test_names_stand_for_vectors() -> None:
    assert resolved("kept+structural+m2-bert=/some/where", 64) == "structural+m2-bert+kept@64"
    assert vectors_of("hidden+structural+hidden")[:2] == ("hidden", "tail")
    table = {"kept@64": np.zeros((3, 12)), "hidden": np.zeros((3, 2))}
    assert kept_columns(table, "hidden+kept@64") == 12
    assert kept_columns(table, "hidden") == 0


@pytest.mark.parametrize("name", ["hiden", "m3-bert", "structural+minlm"])
def test_unknown_encoders_list_the_known(name: str) -> None:
    with pytest.raises(ValueError, match="no context encoder") as error:
        prompt_features(name)
    assert all(known in str(error.value) for known in KNOWN)


def test_sources_that_are_missing_or_surplus() -> None:
    with pytest.raises(ValueError, match="expected text=NAME"):
        prompt_features("text", load_tokenizer("zoo:recall"))
    with pytest.raises(ValueError, match="minilm is one model"):
        prompt_features("minilm=other", load_tokenizer("zoo:recall"))
    with pytest.raises(FileNotFoundError, match="is no folder"):
        prompt_features("m2-bert=/no/such/folder", load_tokenizer("zoo:recall"))


def test_m2_bert_from_a_folder_through_all_verbs(
    m2_bert: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    encoder = f"structural+m2-bert={m2_bert}"
    flags = ["--prompt-count", "24", "--menu", "u5b", "--context-encoder-model", encoder]
    out = tmp_path / "table"
    assert cli.run(["compression", "tabulate", *flags, "--budgets", "64", "--out", str(out)]) == 0
    shown = capsys.readouterr()
    assert "what a policy sees costs" in shown.out + shown.err
    table = RewardTable.load(out / "table.npz")
    assert table.features["m2-bert"].shape == (24, 16)
    line = ["--table", str(out / "table.npz"), "--menu", "u5b", "--context-encoder-model", encoder, "--track"]
    assert cli.run(["compression", "train", *line, "--save-dir", str(tmp_path), "--name", "run"]) == 0
    assert cli.run(["compression", "evaluate", "--run", str(tmp_path / "run"), "--no-needle"]) == 0
    assert "m2-bert" in (tmp_path / "run" / "report.html").read_text()
    router = Router.load(tmp_path / "run" / "policy")
    assert router.encoder == "structural+m2-bert"
    about = json.loads((tmp_path / "run" / "policy" / "policy.json").read_text())["about"]
    assert about["encoders"] == table.about["encoders"]
    capsys.readouterr()
    ask = [
        "compression",
        "generate",
        "@recall/1",
        "--policy",
        str(tmp_path / "run" / "policy"),
        "--max-new-tokens",
        "2",
    ]
    assert cli.run(ask) == 0
    assert "kept 64 of" in capsys.readouterr().err


def test_another_encoder_than_the_policys_is_refused(m2_bert: Path) -> None:
    features = prompt_features(f"m2-bert={m2_bert}", load_tokenizer("zoo:recall"))
    check_fingerprints(features, {"encoders": context_encoders.fingerprints(features)})
    with pytest.raises(ValueError, match="give that encoder"):
        check_fingerprints(features, {"encoders": {"m2-bert": "0" * 16}})


def test_what_is_kept_is_learned_from_and_bandits_refuse_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    line = ["compression", "train", "--prompt-count", "24", "--menu", "u5b", "--context-encoder-model", "hidden+kept"]
    assert cli.run([*line, "--save-dir", str(tmp_path), "--name", "run", "--track"]) == 0
    router = Router.load(tmp_path / "run" / "policy")
    assert router.encoder == "hidden+kept@64"
    assert cli.run(["compression", "evaluate", "--run", str(tmp_path / "run"), "--no-needle"]) == 0
    capsys.readouterr()
    again = [*line, "--table", str(tmp_path / "run" / "table" / "table.npz"), "--learner", "lin-ucb"]
    assert cli.run([*again, "--save-dir", str(tmp_path), "--name", "bandit", "--track"]) != 0
    assert "learns each action apart" in capsys.readouterr().err


def test_costs_are_told_part_by_part(m2_bert: Path) -> None:
    model, tokenizer = load("zoo:recall")
    features = prompt_features(f"structural+m2-bert={m2_bert}", tokenizer)
    found = costs(model, Recall().prompts(0, 1), features)
    assert [cost.part for cost in found] == ["reading the prompt", "structural+hidden", f"m2-bert={m2_bert}"]
    assert found[0].share == 1.0
    assert all(cost.share == pytest.approx(cost.seconds / found[0].seconds) for cost in found)
    assert found[2].seconds > 0


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("sentence_transformers") is None, reason="needs trimtab[text]")
def test_minilm_is_one_more_vector(tmp_path: Path) -> None:
    line = [
        "compression",
        "tabulate",
        "--prompt-count",
        "8",
        "--menu",
        "u5b",
        "--budgets",
        "64",
        "--out",
        str(tmp_path),
    ]
    assert cli.run([*line, "--context-encoder-model", "minilm"]) == 0
    assert RewardTable.load(tmp_path / "table.npz").features["minilm"].shape == (8, 384)
