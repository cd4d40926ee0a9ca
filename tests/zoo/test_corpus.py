"""Conversations are read as they were meant, and what is held out does not depend on the order."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from trimtab.zoo import corpus


def test_dialogues_alternate_and_half_become_scripts(tmp_path: Path) -> None:
    turns = [
        ["assistant", "skip"],
        ["user", "hi"],
        ["user", "there"],
        ["assistant", "a"],
        ["user", "b"],
        ["assistant", "c"],
    ]
    path = tmp_path / "dialogues.jsonl.gz"
    with gzip.open(path, "wt", encoding="utf-8") as file:
        for number in range(60):
            file.write(json.dumps({"id": number, "turns": turns}) + "\n")
    read = list(corpus.dialogues(path, "dialogue"))
    chats = [c for c in read if len(c.messages) == 4]
    scripts = [c for c in read if len(c.messages) == 2]
    assert len(read) == 60
    assert min(len(chats), len(scripts)) > 15
    assert chats[0].messages[0] == ("user", "hi there")
    assert scripts[0].messages[1] == ("assistant", "Assistant: a\nUser: b\nAssistant: c")


def test_arithmetic_loses_its_annotations(tmp_path: Path) -> None:
    path = tmp_path / "sums.jsonl"
    path.write_text(json.dumps({"question": "Q?", "answer": "It is 2*3=<<2*3=6>>6.\n#### 6"}) + "\n")
    (conversation,) = corpus.arithmetic(path)
    assert conversation.messages == (("user", "Q?"), ("assistant", "It is 2*3=6.\nThe answer is 6."))


def test_functions_are_split_at_their_first_statement(tmp_path: Path) -> None:
    source = '''
class A:
    def one(self, x):
        """Add one."""
        y = x + 1
        return y

    def bare(self):
        """Only words."""

    def short(self): return 1
'''
    (tmp_path / "module.py").write_text(source)
    (conversation,) = corpus.standard_library(tmp_path)
    request, head = conversation.messages[0][1].split("\n\n", 1)
    assert request in corpus.CODE_REQUESTS
    assert head == 'def one(self, x):\n    """Add one."""'
    assert conversation.messages[1][1] == "    y = x + 1\n    return y"


def test_the_split_depends_on_the_key_alone() -> None:
    keys = [f"code/{number}" for number in range(4000)]
    held = [corpus.Conversation(key, "code", ()).held_out for key in keys]
    assert 0.02 < sum(held) / len(held) < 0.04
    assert held == [corpus.Conversation(key, "other", (("user", "x"),)).held_out for key in keys]


def test_broken_and_missing_files_are_named(tmp_path: Path) -> None:
    (tmp_path / "sums.jsonl").write_text('{"question": "Q", "answer": "A #### 1"}\n{oops\n')
    with pytest.raises(ValueError, match="line 2"):
        list(corpus.arithmetic(tmp_path / "sums.jsonl"))
    with pytest.raises(FileNotFoundError, match=r"train\.jsonl\.gz.*tm4_coffee.*gsm8k"):
        corpus.read(tmp_path)
