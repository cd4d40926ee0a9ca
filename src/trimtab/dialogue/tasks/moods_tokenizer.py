"""How does a model read the world of moods? One word is one token, and there are few of them."""

from __future__ import annotations

from collections.abc import Iterable

from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from trimtab.dialogue.tasks import moods_words as words
from trimtab.dialogue.tasks.moods import BEGIN, END, PAD, SYSTEM, UNKNOWN, USER
from trimtab.dialogue.tasks.moods_judge import CATALOGUE

SPECIAL = (PAD, BEGIN, END, UNKNOWN, USER, SYSTEM)
CHAT_TEMPLATE = (
    "{{ '" + BEGIN + "' }}{% for message in messages %}"
    "{{ ' " + USER + " ' if message['role'] == 'user' else ' " + SYSTEM + " ' }}{{ message['content'] }}"
    "{% if message['role'] == 'assistant' and loop.last %}{{ ' " + END + "' }}{% endif %}"
    "{% endfor %}{% if add_generation_prompt %}{{ ' " + SYSTEM + "' }}{% endif %}"
)


def _texts() -> Iterable[str]:
    for mood in words.MOODS:
        yield from (*mood.told, *mood.acknowledging, *mood.supporting)
    for said in (words.GREETINGS, words.WANTS, words.WANTS_LIKE, words.AVOIDS, words.SEEN, words.ASKS_TASTE):
        yield from said
    for said in (words.ASKS_MOOD, words.OPENING, words.RECOMMENDING, words.REASONING, words.CLOSING, words.PROBING):
        yield from said
    yield from (*words.GENRES, *words.QUALITIES, *CATALOGUE.items)


def vocabulary() -> list[str]:
    """All tokens, special ones first, in the order of their ids."""
    found = dict.fromkeys(word for text in _texts() for word in text.split() if not word.startswith("{"))
    return [*SPECIAL, *found]


def moods_tokenizer(*, max_length: int = 160) -> PreTrainedTokenizerFast:
    """The tokenizer: words split at spaces, prompts padded on the left, a chat template of its own.

    A prompt begins with <begin> already; nothing is added when it is tokenised.
    """
    ids = {word: number for number, word in enumerate(vocabulary())}
    tokenizer = Tokenizer(models.WordLevel(ids, unk_token=UNKNOWN))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=BEGIN,
        eos_token=END,
        pad_token=PAD,
        unk_token=UNKNOWN,
        extra_special_tokens=[USER, SYSTEM],
        chat_template=CHAT_TEMPLATE,
        padding_side="left",
        model_max_length=max_length,
        clean_up_tokenization_spaces=False,
    )
