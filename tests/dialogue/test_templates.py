"""Are prompts written in the form that models were trained in?"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from dialogue.samples import example
from trimtab.dialogue.example import Turn
from trimtab.dialogue.tasks.moods import Moods
from trimtab.dialogue.tasks.moods_tokenizer import moods_tokenizer
from trimtab.dialogue.templates import INSTRUCTION, llama2, messages, plain, rendered, template_of

ASKED = (Turn("user", "Hi"), Turn("system", "Hello"), Turn("user", "Something funny?"))


def test_llama2_as_meta_wrote_it() -> None:
    assert llama2("Be kind.", ASKED) == (
        "<s>[INST] <<SYS>>\nBe kind.\n<</SYS>>\n\nHi [/INST] Hello </s><s>[INST] Something funny? [/INST]"
    )
    assert llama2("", ASKED[:1]) == "<s>[INST] Hi [/INST]"
    opened = llama2("Be kind.", (Turn("system", "Hello"), Turn("user", "Hi")))
    assert opened == "<s>[INST] <<SYS>>\nBe kind.\n<</SYS>>\n\n [/INST] Hello </s><s>[INST] Hi [/INST]"
    assert llama2("", (Turn("user", "a"), Turn("user", "b"))) == "<s>[INST] a\nb [/INST]"


def test_plain_lines() -> None:
    assert plain("Be kind.", ASKED) == "Be kind.\n\nUser: Hi\nSystem: Hello\nUser: Something funny?\nSystem:"


def test_the_embedded_models_own_template_is_the_worlds_form() -> None:
    tokenizer: Any = moods_tokenizer()
    for made in Moods().examples("test", 10):
        assert template_of("chat", tokenizer)("", made.turns) == template_of("moods")("", made.turns) == made.prompt


def test_a_tokenizers_own_template_gets_roles() -> None:
    heard: list[Any] = []

    def apply(told: Any, **options: Any) -> str:
        heard.append((told, options))
        return "prompt"

    render = template_of("chat", SimpleNamespace(chat_template="x", apply_chat_template=apply))
    assert render("Be kind.", ASKED) == "prompt"
    assert [m["role"] for m in heard[0][0]] == ["system", "user", "assistant", "user"]
    assert heard[0][1] == {"tokenize": False, "add_generation_prompt": True}
    assert messages("", ASKED[1:2])[0] == {"role": "user", "content": ""}


def test_unknown_templates_list_the_known() -> None:
    with pytest.raises(
        ValueError, match=r"no template 'llama'. Did you mean 'llama2'\? Expected one of plain, llama2, moods, chat"
    ):
        template_of("llama")
    with pytest.raises(ValueError, match="has no chat template: choose one of plain, llama2, moods"):
        template_of("chat", SimpleNamespace(chat_template=None, name_or_path="bare"))


def test_an_examples_own_instruction_goes_first() -> None:
    made = rendered(example("x", "hi"), plain)
    assert made.prompt.startswith(INSTRUCTION)
