"""Is a state the same live and in a table, part by part, and refused where it does not belong?"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch

from speculation import tiny
from trimtab.encoders.minilm import MINILM
from trimtab.speculation import state_parts
from trimtab.speculation.actions import TreeShape, menu
from trimtab.speculation.context import HISTORY_NAMES, STATISTICS, FeatureSet, PositionFeatures
from trimtab.speculation.engine.generation import RoundState
from trimtab.speculation.engine.speculator import Speculator
from trimtab.speculation.replay import PromptReplay, ReplayTable
from trimtab.speculation.replay_builder import build
from trimtab.speculation.state_parts import Text
from trimtab.speculation.state_tables import StateSettings, fitted, narrow, select, tabulating
from trimtab.speculation.states import STATES, Features, StateFeatures, StateSpec, from_parts

MENU = menu((4, 8, 16), (1, 3), (2, 4))
TOKENS = 22
SETTINGS = StateSettings(compressed_width=3, text_refresh_tokens=4)


class Encoder:
    """Counts what it reads: a text becomes how often it has each of seven numerals."""

    name, width, fingerprint = MINILM, 7, "abc"

    def __init__(self, name: str = MINILM, *, keep: str = "start", device: Any = None) -> None:
        assert keep == "end"
        assert str(device or "cpu") == "cpu"
        self.name, self.batches = name, list[list[str]]()

    def tensor(self, texts: Sequence[str]) -> torch.Tensor:
        self.batches.append(list(texts))
        return torch.tensor([[text.count(str(digit)) for digit in range(7)] for text in texts], dtype=torch.float32)


class Tokenizer:
    """Spells a token by its number."""

    chat_template = None

    def decode(self, ids: Sequence[int], *, skip_special_tokens: bool) -> str:
        assert skip_special_tokens
        return " ".join(map(str, ids))


@dataclass(frozen=True)
class Conversation:
    task: str
    category: str
    turns: Sequence[Any]


PROMPTS = [Conversation(f"p/{index}", "noise", [[3 + index, 20, 31, 50, 7]]) for index in range(4)]


@pytest.fixture(autouse=True)
def _fake_encoder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(state_parts, "TextEncoder", Encoder)


def _pair(version: int = 3, **settings: Any) -> Speculator:
    pair = tiny.speculator(version=version, **settings)
    pair.tokenizer = Tokenizer()  # type: ignore[assignment]
    return pair


def _everything(version: int) -> StateSpec:
    parts = [part for part in STATES if part != "fused-learned" and (version == 3 or part != "fused-fc")]
    return StateSpec(tuple(parts))


def _live(pair: Speculator, features: Features, ids: list[int]) -> tuple[list[int], np.ndarray]:
    """The positions that a real decode visits, and what the features are there."""
    positions, read = list[int](), list[np.ndarray]()
    draw = np.random.default_rng(0)

    def control(state: RoundState) -> TreeShape:
        positions.append(state.context_tokens - len(ids))
        read.append(features.read(state))
        return MENU[draw.integers(len(MENU))]

    pair.forget()
    pair.generate(ids, TOKENS, policy=control)
    return positions, np.stack(read)


def _table(pair: Speculator, spec: StateSpec) -> tuple[ReplayTable, Features]:
    held = tabulating(spec, pair, SETTINGS)
    return build(pair, PROMPTS, MENU, TOKENS, held), held


# -- names -------------------------------------------------------------------------------------------------------------


def test_a_state_is_a_sum_of_parts_in_one_order() -> None:
    spec = StateSpec.parse("fused-learned + statistics")
    assert spec == StateSpec.parse("statistics+fused-learned")
    assert str(spec) == "statistics+fused-learned"
    assert str(spec.tabulated) == "statistics+fused"
    assert str(StateSpec.parse("text").tabulated) == "statistics+text"


@pytest.mark.parametrize("text", ["statistic", "text+sbert", "", "text+text"])
def test_an_unknown_state_lists_the_known_ones(text: str) -> None:
    expected = (
        "twice" if text == "text+text" else r"known states: statistics, text, fused, fused-fc, fused-learned, head"
    )
    with pytest.raises(ValueError, match=expected):
        StateSpec.parse(text)


def test_columns_of_a_wide_table_by_hand() -> None:
    names = [*STATISTICS, "text_0", "text_1", "fused_0", "fused_1", "fc_0", "state_0", "state_1"]
    first = len(STATISTICS)
    assert StateSpec.parse("statistics").columns(names) == list(range(first))
    assert StateSpec.parse("fused+text").columns(names) == [first, first + 1, first + 2, first + 3]
    assert StateSpec.parse("fused-fc").columns(names) == [first + 4]
    assert StateSpec.parse("head").columns(names) == [first + 5, first + 6]
    with pytest.raises(ValueError, match=r"no columns of the state 'fused-learned'; it holds .*head: .*learned from"):
        StateSpec.parse("fused-learned").columns(names)
    with pytest.raises(ValueError, match="it holds none that is known"):
        StateSpec.parse("text").columns(["f"])


# -- live equals tabulated ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", [3, 1])
def test_every_part_is_the_same_live_and_tabulated(version: int) -> None:
    pair = _pair(version)
    table, held = _table(pair, _everything(version))
    sizes = {"statistics": 10, "text": 7, "fused": 96 if version == 3 else 32, "fused-fc": 32, "head": 3}
    for index, given in enumerate(PROMPTS[:2]):
        positions, live = _live(pair, held, given.turns[0])
        tabulated = table.prompts[index].features_PF[positions]
        np.testing.assert_allclose(live, tabulated, rtol=1e-5, atol=1e-5)
        for part in _everything(version).parts:
            columns = StateSpec((part,)).columns(table.feature_names)
            assert len(columns) == sizes[part]
            assert np.ptp(tabulated[:, columns], axis=0).max() > 0, part  # it says something
    assert len(table.feature_names) == sum(sizes[part] for part in _everything(version).parts)


@pytest.mark.parametrize("text", ["text", "head", "statistics+text", "fused+fused-fc", "statistics"])
def test_a_narrowed_state_reads_what_the_narrowed_table_holds(text: str) -> None:
    pair, spec = _pair(), StateSpec.parse(text)
    table, held = _table(pair, _everything(3))
    features = fitted(spec, held, table, SETTINGS)
    narrowed = narrow(table, features)
    assert narrowed.feature_names == list(features.names) == select(table, spec).feature_names
    np.testing.assert_array_equal(narrowed.features_NF, select(table, spec).features_NF)
    positions, live = _live(pair, features, PROMPTS[0].turns[0])
    np.testing.assert_allclose(live, narrowed.prompts[0].features_PF[positions], rtol=1e-5, atol=1e-5)


def test_a_learned_compression_is_the_same_live_and_narrowed() -> None:
    pair, spec, said = _pair(), StateSpec.parse("statistics+fused-learned"), list[str]()
    table, held = _table(pair, spec)
    features = fitted(spec, held, table, SETTINGS, say=said.append)
    narrowed = narrow(table, features)
    assert narrowed.feature_names == [*STATISTICS, "learned_0", "learned_1", "learned_2"]
    positions, live = _live(pair, features, PROMPTS[1].turns[0])
    np.testing.assert_allclose(live, narrowed.prompts[1].features_PF[positions], rtol=1e-5, atol=1e-5)
    assert "96 target features to 3" in said[0]
    direct = build(pair, PROMPTS[1:2], MENU, TOKENS, features)  # a table built with the learned features themselves
    np.testing.assert_allclose(direct.features_NF, narrowed.prompts[1].features_PF, rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(narrow(direct, features).features_NF, direct.features_NF)


def test_position_features_read_the_statistics_of_a_state() -> None:
    pair = _pair()
    table, held = _table(pair, StateSpec.parse("statistics+head"))
    assert isinstance(tabulating(StateSpec.parse("statistics"), pair), PositionFeatures)
    positions, live = _live(pair, PositionFeatures(), PROMPTS[0].turns[0])
    np.testing.assert_allclose(
        live, narrow(table, PositionFeatures()).prompts[0].features_PF[positions], rtol=1e-5, atol=1e-5
    )
    assert held.names[:10] == PositionFeatures().names


# -- text --------------------------------------------------------------------------------------------------------------


def test_text_is_embedded_once_per_refresh_and_in_one_batch_for_a_table() -> None:
    pair, text, encoder = _pair(), Text(refresh_tokens=4), Encoder(keep="end")
    text.use(encoder)  # type: ignore[arg-type]
    features = StateFeatures(StateSpec.parse("text"), {"text": text}, {}).bind(pair)
    positions, _ = _live(pair, features, PROMPTS[0].turns[0])
    ends = [5 + position // 4 * 4 for position in positions]
    assert [len(batch) for batch in encoder.batches] == [1] * len(set(ends))
    assert [len(batch[0].split()) for batch in encoder.batches] == sorted(set(ends))
    live, encoder.batches = encoder.batches, []
    build(pair, PROMPTS[:1], MENU, TOKENS, features)
    (batch,) = encoder.batches
    assert [len(text.split()) for text in batch] == [5, 9, 13, 17, 21, 25]
    assert {texts[0] for texts in live} <= set(batch)


def test_the_end_of_a_long_conversation_is_what_is_read() -> None:
    pair, text, encoder = _pair(), Text(), Encoder(keep="end")
    text.use(encoder)  # type: ignore[arg-type]
    text.bind(pair)
    ids = list(range(3000))
    state = RoundState(3000, 1, [], 0, *[torch.zeros(9)] * 4, ids)
    text.read(state)
    assert encoder.batches == [[" ".join(map(str, ids[-1024:]))]]
    with pytest.raises(ValueError, match="at least 1"):
        Text(refresh_tokens=0)


# -- cost and devices --------------------------------------------------------------------------------------------------


def test_a_decision_copies_once_from_the_device(monkeypatch: pytest.MonkeyPatch) -> None:
    pair = _pair()
    table, held = _table(pair, _everything(3))
    learned = fitted(StateSpec(STATES), held, table, SETTINGS)
    copies, cpu = [0], torch.Tensor.cpu

    def counted(self: torch.Tensor, *args: Any, **kwargs: Any) -> torch.Tensor:
        copies[0] += 1
        return cpu(self, *args, **kwargs)

    def reading(state: RoundState) -> TreeShape:
        with monkeypatch.context() as patched:
            patched.setattr(torch.Tensor, "cpu", counted)
            for forbidden in ("item", "tolist", "__bool__", "__float__"):  # what would wait for the device
                patched.setattr(torch.Tensor, forbidden, None)
            copies[0] = 0
            learned.read(state)
            assert copies == [1]
        return MENU[0]

    assert pair.generate(PROMPTS[0].turns[0], 12, policy=reading).rounds


# -- files and refusals ------------------------------------------------------------------------------------------------


def test_a_state_survives_a_file() -> None:
    pair, spec = _pair(), StateSpec(STATES)
    table, held = _table(pair, _everything(3))
    features = fitted(spec, held, table, SETTINGS)
    restored = from_parts(json.loads(json.dumps(features.spec())), features.arrays())
    assert restored.names == features.names
    assert restored.spec() == features.spec()
    ids = PROMPTS[0].turns[0]
    np.testing.assert_array_equal(_live(pair, restored.bind(pair), ids)[1], _live(pair, features, ids)[1])
    plain = PositionFeatures.random(32, 4)
    again = from_parts(plain.spec(), plain.arrays())
    np.testing.assert_array_equal(_live(pair, again.bind(pair), ids)[1], _live(pair, plain, ids)[1])


def test_what_does_not_belong_is_refused_with_both_named() -> None:
    pair = _pair()
    features = tabulating(StateSpec.parse("fused+text"), pair, SETTINGS)
    spec: Any = features.spec()
    with pytest.raises(ValueError, match=r"made for models with vocabulary 96, .*these have vocabulary 120"):
        from_parts(spec, {}).bind(_pair(vocabulary=120))
    with pytest.raises(
        ValueError, match=r"head version 3, target features 96; these have head version 1, target fea.* 32"
    ):
        from_parts(spec, {}).bind(_pair(1))
    other = json.loads(json.dumps(spec))
    other["parts"]["text"]["fingerprint"] = "def"
    with pytest.raises(ValueError, match=r"all-MiniLM-L6-v2 \(width 7, weights def\); found is .*weights abc"):
        from_parts(other, {}).bind(pair)
    with pytest.raises(ValueError, match=r"of width 16, this head's has 32"):
        PositionFeatures.random(16, 4).bind(pair)
    with pytest.raises(ValueError, match="known states: statistics, text"):
        from_parts("sbert", {})


def test_another_projection_than_the_files_is_refused() -> None:
    pair = _pair()
    features = tabulating(StateSpec.parse("head"), pair, SETTINGS)
    arrays = {name: array + 1 for name, array in features.arrays().items()}
    with pytest.raises(ValueError, match="the file is broken"):
        from_parts(features.spec(), arrays)


def test_what_a_pair_cannot_provide_is_refused() -> None:
    with pytest.raises(ValueError, match=r"EAGLE-1 head.*use fused"):
        tabulating(StateSpec.parse("fused-fc"), _pair(1))
    with pytest.raises(ValueError, match="no tokenizer"):
        tabulating(StateSpec.parse("text"), tiny.speculator())
    state = RoundState(5, 1, [], 0, *[torch.zeros(9)] * 4, [1, 2, 3, 4, 5])
    spec: Any = tabulating(StateSpec.parse("text+fused-fc"), _pair(), SETTINGS).spec()
    for part in ("text", "fused-fc"):
        alone = {"state": part, "parts": {part: spec["parts"][part]}, "made_for": {}}
        with pytest.raises(ValueError, match=r"call bind\(speculator\) before"):
            from_parts(alone, {}).read(state)
    fused: Any = tabulating(StateSpec.parse("fused"), _pair(), SETTINGS)
    with pytest.raises(ValueError, match=r"\(9,\), the state expects 96"):
        fused.read(state)


def test_tables_of_other_states_are_refused() -> None:
    pair = _pair()
    table, held = _table(pair, StateSpec.parse("fused"))
    with pytest.raises(ValueError, match="has no part text"):
        fitted(StateSpec.parse("text"), held, table)
    with pytest.raises(ValueError, match="was built with the state"):
        fitted(StateSpec.parse("fused"), tabulating(StateSpec.parse("fused+head"), pair), table)
    with pytest.raises(ValueError, match=r"made for the state statistics, wanted is text"):
        fitted(StateSpec.parse("text"), PositionFeatures(), table)
    with pytest.raises(ValueError, match="lacks 7 of the 17 features, text_0"):
        narrow(table, tabulating(StateSpec.parse("text"), pair))
    learned = fitted(StateSpec.parse("fused-learned"), held, table, SETTINGS)
    thinner = select(table, StateSpec.parse("fused"))
    thinner = ReplayTable(thinner.actions, thinner.feature_names[:50], [_cut(p, 50) for p in thinner.prompts])
    with pytest.raises(ValueError, match=r"holds 50 columns of fused, .* learned from 96"):
        narrow(thinner, learned)


def _cut(prompt: PromptReplay, width: int) -> PromptReplay:
    features = prompt.features_PF[:, :width]
    return PromptReplay(prompt.task, prompt.category, prompt.tokens, prompt.accepted_PA, features, prompt.context_P)


def test_the_history_is_hidden_from_a_state_without_statistics() -> None:
    draw = np.random.default_rng(0)
    rows = draw.normal(2.0, 3.0, (200, 2 + len(HISTORY_NAMES))).astype(np.float32)
    normal = FeatureSet.fit(["text_0", "fused_1"], rows).normalise(rows)
    np.testing.assert_array_equal(normal[:, 2:], 0.0)
    assert normal[:, :2].std() == pytest.approx(1.0, abs=0.05)
    seen = FeatureSet.fit(["log_context", "fused_1"], rows).normalise(rows)
    assert (seen[:, 2:].std(axis=0) > 0.5).all()
