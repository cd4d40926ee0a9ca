"""Does the shell complete what the command line knows, and nothing else?"""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import fields

import pytest

from trimtab import cli, completion
from trimtab.qcode.training_recipe import Train


@pytest.fixture(scope="module")
def known() -> completion.Words:
    return completion.words()


def test_every_room_verb_recipe_and_flag_is_known(known: completion.Words) -> None:
    assert set(known[""]) == {*cli.ROOMS, *cli.COMMANDS, "--version", "--help"}
    assert "train-head" in known["speculation"]
    assert {"tiny", "7b", "--use-vllm", "--no-use-vllm", "--alarms.times"} <= set(known["qcode train"])
    nested = {"lora", "curriculum", "alarms", "engine", "tracking"}
    simple = {f"--{field.name.replace('_', '-')}" for field in fields(Train) if field.name not in nested}
    assert simple <= set(known["qcode train"])
    assert "--json" in known["runs"]


def _completed(script: str, *typed: str) -> list[str]:
    words = " ".join(f"'{word}'" for word in ("trimtab", *typed))
    code = f"{script}\nCOMP_WORDS=({words}); COMP_CWORD={len(typed)}; _trimtab; printf '%s\\n' \"${{COMPREPLY[@]}}\""
    done = subprocess.run(["bash", "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.split()


@pytest.mark.skipif(not shutil.which("bash"), reason="needs bash")
def test_bash_completes(known: completion.Words) -> None:
    script = completion.bash(known)
    assert _completed(script, "dia") == ["dialogue"]
    assert _completed(script, "dialogue", "tr") == ["train"]
    assert _completed(script, "dialogue", "train", "--kl") == ["--kl-coefficient", "--kl-target", "--kl-horizon"]
    assert _completed(script, "qcode", "train", "7b", "--gpu") == ["--gpu-gib"]
    assert _completed(script, "runs", "somewhere", "--j") == ["--json"]
    assert _completed(script, "demo", "qc") == ["qcode"]


def test_the_other_shells_get_the_same_words(known: completion.Words) -> None:
    assert completion.bash(known) in completion.zsh(known)
    fish = completion.fish(known)
    assert "-l kl-target" in fish
    assert "-a 'tiny demo default llama2'" in fish


def test_the_command_prints_the_script(capsys: pytest.CaptureFixture[str], known: completion.Words) -> None:
    assert cli.run(["completion", "bash"]) == 0
    assert capsys.readouterr().out == completion.bash(known)
