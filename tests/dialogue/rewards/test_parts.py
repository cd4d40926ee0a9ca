"""Does each part measure what it says, on replies that hand can judge?"""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch

from dialogue.samples import embed, example, reply
from trimtab.dialogue.example import Catalogue, Reply
from trimtab.dialogue.metrics import distinct
from trimtab.dialogue.rewards.diversity import DistinctWindow
from trimtab.dialogue.rewards.empathy import EmpathyHead, HeadFit, fit
from trimtab.dialogue.rewards.empathy_fitting import MoodsLabels, labelled_examples
from trimtab.dialogue.rewards.fluency import FLOOR_NATS, Fluency
from trimtab.dialogue.rewards.form import Length, Repetition, ended
from trimtab.dialogue.rewards.items import Recommendation
from trimtab.dialogue.rewards.parts import DEFAULT_WEIGHTS, PARTS, Materials, rubric_of
from trimtab.dialogue.rewards.safety import Safety, read_blocklist
from trimtab.dialogue.tasks.moods import Moods
from trimtab.dialogue.tasks.moods_tokenizer import moods_tokenizer
from trimtab.zoo.models import initialise

CATALOGUE = Catalogue({"Silver Harbor": ("comedy",), "Paper Road": ("horror",), "Up": ("comedy",)}, mask="<movie>")


# -- diversity ---------------------------------------------------------------------------------------------------------


def test_the_mean_credit_is_the_windows_distinct() -> None:
    said = [reply("a b c"), reply("a b d"), reply("a a a")]
    shares = DistinctWindow(10, orders=(1,))(said)
    assert shares == pytest.approx([(1 / 5 + 1 / 2 + 1) / 3, (1 / 5 + 1 / 2 + 1) / 3, 1 / 5])
    assert sum(shares) / 3 == pytest.approx(distinct([r.words for r in said], 1))


def test_a_window_remembers_forgets_and_is_restored() -> None:
    window = DistinctWindow(2, orders=(1,))
    assert window([reply("a")]) == [1.0]
    assert window([reply("a")]) == [0.5]
    again = DistinctWindow(2, orders=(1,))
    again.restore(window.state())
    assert again([reply("a")]) == window([reply("a")]) == [0.5]  # the first is out of the window
    assert window([reply("b"), reply("c")]) == [1.0, 1.0]
    assert window([reply("a")]) == [1.0]
    assert window([reply("")]) == [0.0]
    assert DistinctWindow(1)([reply("x y"), reply("x y")]) == [0.5, 0.5]  # a batch larger than the window
    with pytest.raises(ValueError, match="at least 1 of each"):
        DistinctWindow(0)


# -- form --------------------------------------------------------------------------------------------------------------


def test_length_repetition_and_ending() -> None:
    band = Length(2, 4)
    assert band([reply("a " * n) for n in (0, 1, 2, 4, 6, 8, 9)]) == [0.0, 0.5, 1.0, 1.0, 0.5, 0.0, 0.0]
    assert Repetition()([reply("a b a b"), reply("a b c"), reply("")]) == pytest.approx([-1 / 3, 0.0, 0.0])
    assert ended([reply("a"), reply("a", ended=False), reply("")]) == [1.0, 0.0, 0.0]
    with pytest.raises(ValueError, match="0 < least <= most"):
        Length(5, 4)


# -- items -------------------------------------------------------------------------------------------------------------


def test_recommendations_by_hand() -> None:
    asked = example("x", "i know Up", liked_tags=("comedy",), disliked_tags=("horror",), disliked_items=())
    part = Recommendation(CATALOGUE, naming=0.25, most=1)

    def score(text: str) -> float:
        return part.score(Reply(asked, text))

    assert score("watch silver harbor !") == 1.0
    assert score("watch something") == score("") == 0.0
    assert score("watch Paper Road") == 0.0  # of a genre that is disliked
    assert score("watch Up") == 0.0  # named by the user, though no fact says so
    assert score("watch <movie>") == 0.25
    assert score("Silver Harbor or Paper Road") == 0.0
    assert part.score(Reply(example("x", "hi"), "Silver Harbor")) == 0.25  # exists, and nothing speaks for it
    liked = example("x", "hi", liked_items=("Silver Harbor",))
    assert Recommendation(CATALOGUE).score(Reply(liked, "Silver Harbor and <movie>")) == 0.25 + 0.75 / 2
    with pytest.raises(ValueError, match="at least one title"):
        Recommendation(CATALOGUE, most=0)
    with pytest.raises(ValueError, match="a catalogue of no items"):
        Catalogue({})


# -- safety ------------------------------------------------------------------------------------------------------------


def test_the_gate_knows_disguises_and_lets_titles_pass(tmp_path: Path) -> None:
    words = tmp_path / "words"
    words.write_text("# none of these\nsecret sauce  # ours\n")
    gate = Safety(blocklist=read_blocklist(words))
    said = ["you b1tch", "the Secret  sauce", "the secret sauce !", "classic assassin shitake", "hello"]
    assert gate([reply(text) for text in said]) == [0.0, 1.0, 0.0, 1.0, 1.0]
    assert Safety(allowed=("kill",))([reply("kill bill")]) == [1.0]
    (tmp_path / "none").write_text("# nothing\n")
    with pytest.raises(ValueError, match="blocks nothing"):
        read_blocklist(tmp_path / "none")
    with pytest.raises(ValueError, match="blocks nothing"):
        Safety(profanity=False)


# -- fluency -----------------------------------------------------------------------------------------------------------


def test_fluency_is_the_mean_logprob_of_the_reply_alone() -> None:
    from trimtab.dialogue.embedded_model import EmbeddedRecipe, model_of

    tokenizer = moods_tokenizer()
    model = model_of(EmbeddedRecipe(layers=1, width=16), tokenizer)
    initialise(model, 0)
    part = Fluency(model, tokenizer, batch_size=2)
    asked = Moods().examples("test", 1)[0]
    replies = [Reply(asked, "try Silver Harbor ."), Reply(asked, "have fun !", ended=False), Reply(asked, "")]
    for one, nats in zip(replies, part.mean_logprobs(replies), strict=True):
        prompt = tokenizer(asked.prompt, add_special_tokens=False)["input_ids"]
        said = tokenizer(one.text, add_special_tokens=False)["input_ids"] + (
            [tokenizer.eos_token_id] if one.ended else []
        )
        with torch.no_grad():
            logprobs = model(torch.tensor([[*prompt, *said]])).logits[0].log_softmax(-1)
        by_hand = [float(logprobs[len(prompt) - 1 + i, token]) for i, token in enumerate(said)]
        assert nats == pytest.approx(sum(by_hand) / len(by_hand), abs=1e-5)
    assert part([Reply(asked, "", ended=False)]) == [pytest.approx(math.exp(FLOOR_NATS))]


# -- empathy -----------------------------------------------------------------------------------------------------------


def test_a_head_is_fitted_told_apart_saved_and_read(tmp_path: Path) -> None:
    replies, labels = MoodsLabels(count=1500, noise=0.0).labelled()
    head = fit(
        replies, labels, embed=embed, encoder="hashed", settings=HeadFit(hidden=64, epochs=12, weight_decay=0.01)
    )
    assert float(str(head.about["held_out_auc"])) > 0.65
    head.save(tmp_path / "head")
    again = EmpathyHead.load(tmp_path / "head", embed)
    assert again(replies[:20]) == pytest.approx(head(replies[:20]), abs=2e-3)  # kept in half precision
    assert again([Reply(replies[0].example, " ")]) == [0.0]
    assert again([]) == []
    with pytest.raises(ValueError, match="some of them below 1/2 and some not"):
        fit(replies[:4], [1.0] * 4, embed=embed)
    with pytest.raises(ValueError, match="holds no empathy head"):
        EmpathyHead.load(tmp_path)
    with pytest.raises(ValueError, match="no example carries a label"):
        labelled_examples(replies)
    chosen = labelled_examples([reply("a"), Reply(example("x", label=1.0), "b")])
    assert [one.text for one in chosen[0]] == ["b"]


@pytest.mark.slow
def test_the_shipped_head_tells_empathy_in_the_embedded_task() -> None:
    from trimtab.dialogue.metrics import auc

    replies, labels = MoodsLabels(count=400, noise=0.0, seed=7).labelled()
    assert auc(EmpathyHead.load()(replies), [float(label >= 0.5) for label in labels]) > 0.9


# -- rubrics by name ---------------------------------------------------------------------------------------------------


def test_a_rubric_of_names_weights_and_schedules() -> None:
    rubric = rubric_of({"bleu": "linear(0, 2, until=0.5)", "length": 1, "rouge": "0"}, gates=("safety", "ended"))
    assert [part.name for part in rubric.parts] == ["bleu", "length"]
    assert rubric.weights_at(0.25) == {"bleu": 1.0, "length": 1.0}
    graded = rubric.breakdown([reply("try Silver Harbor ."), reply("you b1tch"), reply("try", ended=False), reply("")])
    assert graded.gated == [None, "safety", "ended", "ended"]
    assert graded.values == pytest.approx([2.0 + 4 / 5, -1.0, -1.0, -1.0])


def test_unknown_parts_and_schedules_list_the_known() -> None:
    with pytest.raises(
        ValueError, match=r"no part 'bluw'. Did you mean 'bleu'\? Expected one of bleu, rouge, distinct"
    ):
        rubric_of({"bluw": 1})
    with pytest.raises(ValueError, match=r"no schedule 'quadratic\(0, 1\)'.*constant\(1\), linear\(.*, steps\("):
        rubric_of({"bleu": "quadratic(0, 1)"})
    with pytest.raises(ValueError, match=r"no part 'saftey'. Did you mean 'safety'"):
        rubric_of({"bleu": 1}, gates=("saftey",))
    for name, lacks in (("recommendation", "a catalogue"), ("fluency", "a reference model"), ("judge", "a judge")):
        with pytest.raises(ValueError, match=f"the part '{name}' needs {lacks}"):
            rubric_of({name: 1})
    assert set(DEFAULT_WEIGHTS) <= set(PARTS)


def test_a_part_of_ones_own_by_its_entry_point() -> None:
    rubric = rubric_of({"dialogue.predecessor:distinct": 2}, Materials())
    assert rubric([reply("a b")])[0].value == 2.0
    with pytest.raises(ValueError, match="cannot be imported"):
        rubric_of({"dialogue.predecessor:nothing": 1})
