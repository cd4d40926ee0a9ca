"""Is the unrolled loss the published one? Against a literal loop over positions, one document at a time."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from trimtab.speculation.engine.head import EagleHead, rotary, rotate
from trimtab.speculation.training.answers import Answered
from trimtab.speculation.training.recipe import HeadRecipe
from trimtab.speculation.training.teacher import Batch, Lesson, Teacher
from trimtab.speculation.training.trainer import head_config, new_head
from trimtab.speculation.training.ttt import UnrolledLoss, consecutive, shifted
from trimtab.speculation.training.vocabulary import most_frequent
from trimtab.speculation.training.windows import Windows, pack

UNROLL, WINDOW = 4, 48
RECIPE = HeadRecipe("tiny", draft_vocab_size=25, unroll=UNROLL, window_tokens=WINDOW, batch_tokens=WINDOW)


def randomised(head: EagleHead) -> EagleHead:
    """Weights all different from zero and one, in float64."""
    torch.manual_seed(3)
    for parameter in head.parameters():
        parameter.data = torch.randn_like(parameter) * 0.3 + (1.0 if parameter.ndim == 1 else 0.0)
    head.embedding_weight = head.embedding_weight.double()
    return head.double()


def naive_attention(q: Tensor, keys: list[Tensor], values: list[Tensor]) -> Tensor:
    """One query [heads, d] over lists of keys and values [kv_heads, d]."""
    group = q.shape[0] // keys[0].shape[0]
    parts = []
    for number in range(q.shape[0]):
        scores = torch.stack([q[number] @ key[number // group] for key in keys]) / q.shape[1] ** 0.5
        parts.append(sum(w * value[number // group] for w, value in zip(scores.softmax(0), values, strict=True)))
    return torch.cat(parts)


def naive_states(head: EagleHead, ids: Tensor, features: Tensor, unroll: int) -> list[list[Tensor | None]]:
    """state[j][i]: the head's state at position i and step j, or None where its token lies beyond the document."""
    cos, sin = rotary(head.config, len(ids) + unroll, ids.device)
    keys: list[list[Tensor]] = [[] for _ in ids]  # of each position: step 0's, then its own later ones
    values: list[list[Tensor]] = [[] for _ in ids]
    given: list[Tensor | None] = [head.fuse(row) for row in features]
    states = []
    for step in range(unroll):
        made: list[Tensor | None] = []
        for i, before in enumerate(given):
            if before is None or i + 1 + step >= len(ids):
                made.append(None)
                continue

            def attend(q: Tensor, k: Tensor, v: Tensor, i: int = i, step: int = step) -> Tensor:
                place = (cos[i + step], sin[i + step])
                keys[i].append(rotate(k, *place))
                values[i].append(v)
                seen_keys = [keys[other][0] for other in range(i + 1)] + keys[i][1:]
                seen_values = [values[other][0] for other in range(i + 1)] + values[i][1:]
                return naive_attention(rotate(q, *place), seen_keys, seen_values)

            made.append(head.layer(ids[i + 1 + step], before, attend))
        states.append(made)
        given = made
    return states


def naive_loss(
    head: EagleHead, documents: list[Answered], lessons: list[tuple[Tensor, Tensor]], kept: Tensor, discount: float
) -> tuple[Tensor, list[int], list[int]]:
    """Loss, hits and positions by step. ``lessons``: features [T, F] and target logits [T, V] of each document."""
    total, positions = torch.zeros((), dtype=torch.float64), 0
    hits, counted = [0] * UNROLL, [0] * UNROLL
    for item, (features, logits) in zip(documents, lessons, strict=True):
        ids = torch.from_numpy(item.ids).long()
        states = naive_states(head, ids, features, UNROLL)
        predicted = range(max(item.prompt_tokens, 2), len(ids))
        positions += len(predicted)
        for step, made in enumerate(states):
            for i, state in enumerate(made):
                if i + 2 + step not in predicted:
                    continue
                counted[step] += 1
                truth = logits[i + 1 + step]
                if int(truth.argmax()) not in kept.tolist():
                    continue
                p, log_q = truth[kept].softmax(0), head.logits(state).log_softmax(0)
                total = total + discount**step * -(p * log_q).sum()
                hits[step] += int(p.argmax() == log_q.argmax())
    return total / positions, hits, counted


@pytest.fixture
def scene(make_target, answered):
    """Target and head in float64, packed windows, and the same documents apart."""
    target = make_target().double().requires_grad_(False)
    vocabulary = most_frequent([item.answer for item in answered], 40, 25)
    head = randomised(new_head(target, head_config(target, RECIPE), vocabulary, 0))
    windows = pack(answered, window_tokens=WINDOW, window_rows=WINDOW, unroll=UNROLL)
    return target, head, vocabulary, windows, answered


def lesson_of(target, head, vocabulary, windows: Windows) -> tuple[Batch, Lesson]:
    teacher = Teacher(target, head.config.taps, vocabulary, WINDOW)
    batch = Batch.of(windows, teacher.device)
    with teacher.tapped():
        parts = teacher(batch.tokens_BT, batch.documents_BT, batch.positions_BT, batch.rows_BQ)
    return batch, Lesson(parts[0], parts[1].double(), parts[2])


def apart(target, head, item: Answered) -> tuple[Tensor, Tensor]:
    output = target(torch.from_numpy(item.ids)[None].long(), output_hidden_states=True, use_cache=False)
    return torch.cat([output.hidden_states[tap][0] for tap in head.config.taps], dim=-1), output.logits[0]


def unrolled(head: EagleHead, **changes: object) -> UnrolledLoss:
    settings = {"window_tokens": WINDOW, "unroll": UNROLL, "discount": 0.8, "autocast": False}
    return UnrolledLoss(head, **{**settings, **changes}).double()


def test_the_loss_and_its_gradient_are_those_of_the_literal_loop(scene) -> None:
    target, head, vocabulary, windows, documents = scene
    outcome = unrolled(head).outcome(*lesson_of(target, head, vocabulary, windows))
    outcome.loss.backward()
    gradients = {name: p.grad.clone() for name, p in head.named_parameters()}
    head.zero_grad()
    lessons = [apart(target, head, item) for item in documents]
    expected, hits, counted = naive_loss(head, documents, lessons, vocabulary.target_ids, 0.8)
    expected.backward()
    assert outcome.counted_S.tolist() == counted
    assert outcome.correct_S.tolist() == hits
    assert sum(hits) > 0
    torch.testing.assert_close(outcome.loss, expected, rtol=1e-6, atol=1e-6)
    for name, parameter in head.named_parameters():
        torch.testing.assert_close(gradients[name], parameter.grad, rtol=1e-5, atol=1e-6, msg=name)


def test_step_0_is_a_plain_causal_layer(scene) -> None:
    target, head, vocabulary, windows, _ = scene
    batch, lesson = lesson_of(target, head, vocabulary, windows.take(np.array([0])))
    got = next(unrolled(head, unroll=1)._logits(batch, lesson.features_BTF))

    def attend(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        cos, sin = (x[batch.positions_BT][:, :, None] for x in rotary(head.config, WINDOW, q.device))
        same = batch.documents_BT[:, :, None] == batch.documents_BT[:, None, :]
        causal = torch.ones(WINDOW, WINDOW, dtype=torch.bool).tril()
        out = torch.nn.functional.scaled_dot_product_attention(
            rotate(q, cos, sin).transpose(1, 2),
            rotate(k, cos, sin).transpose(1, 2),
            v.transpose(1, 2),
            attn_mask=(same & causal)[:, None],
            enable_gqa=True,
        )
        return out.transpose(1, 2).flatten(2)

    state = head.layer(shifted(batch.tokens_BT, 1), head.fuse(lesson.features_BTF), attend)
    expected = head.logits(state).gather(1, batch.rows_BQ[..., None].expand(-1, -1, 25))
    learns = batch.learns_BQ
    torch.testing.assert_close(got[learns], expected[learns], rtol=1e-6, atol=1e-6)


def test_what_a_document_is_packed_with_does_not_matter(scene) -> None:
    target, head, vocabulary, windows, documents = scene
    together = unrolled(head).outcome(*lesson_of(target, head, vocabulary, windows))
    alone = [
        unrolled(head).outcome(*lesson_of(target, head, vocabulary, pack([item], **_shape())))
        for item in documents
        if len(item.ids) > 2
    ]
    weights = torch.stack([outcome.counted_S[0] for outcome in alone])
    losses = torch.stack([outcome.loss for outcome in alone])
    torch.testing.assert_close(together.loss, (losses * weights).sum() / weights.sum(), rtol=1e-6, atol=1e-6)
    assert int(together.accepted) == sum(int(outcome.accepted) for outcome in alone)


def _shape() -> dict[str, int]:
    return {"window_tokens": WINDOW, "window_rows": WINDOW, "unroll": UNROLL}


def test_fewer_rows_per_window_give_the_same_loss(scene) -> None:
    target, head, vocabulary, windows, documents = scene
    narrow = pack(documents, **{**_shape(), "window_rows": 24})
    assert narrow.answer_tokens == windows.answer_tokens
    wide = unrolled(head).outcome(*lesson_of(target, head, vocabulary, windows))
    slim = unrolled(head).outcome(*lesson_of(target, head, vocabulary, narrow))
    torch.testing.assert_close(wide.loss, slim.loss, rtol=1e-6, atol=1e-6)
    assert torch.equal(wide.counted_S, slim.counted_S)


@pytest.mark.slow
def test_compiled_equals_eager(scene) -> None:
    target, head, vocabulary, windows, _ = scene
    head = head.float()
    head.embedding_weight = head.embedding_weight.float()
    batch, lesson = lesson_of(target, head, vocabulary, windows)
    lesson = replace(lesson, features_BTF=lesson.features_BTF.float(), targets_BQD=lesson.targets_BQD.float())
    module = unrolled(head, unroll=2).float()
    arguments = (*vars(batch).values(), *vars(lesson).values())
    eager, compiled = module(*arguments), torch.compile(module, dynamic=False)(*arguments)
    torch.testing.assert_close(compiled[0], eager[0], rtol=1e-4, atol=1e-4)
    assert torch.equal(compiled[2], eager[2])


def test_shifting_by_hand() -> None:
    rows = torch.tensor([[3, 4, 5, 9, 10]])
    assert shifted(rows, 2).tolist() == [[5, 9, 10, 0, 0]]
    assert consecutive(rows, 1).tolist() == [[True, True, False, True, False]]
    assert consecutive(rows, 0).all()
