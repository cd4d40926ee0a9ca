"""Do projections keep what they should: the same for a seed, free of scale, and the direction that foretells?"""

from __future__ import annotations

import numpy as np
import pytest
import torch

from trimtab.encoders.hidden import HiddenProjection
from trimtab.encoders.projection import gaussian, reduced_rank, unit


def _sample(vectors: int = 400, inputs: int = 12, targets: int = 5, noise: float = 0.1) -> tuple[np.ndarray, ...]:
    """Targets that depend on one direction of the (unit) vectors alone; ten vectors to a group."""
    draw = np.random.default_rng(0)
    vectors_ND = draw.standard_normal((vectors, inputs)).astype(np.float32) * np.linspace(0.1, 30, inputs)
    direction = draw.standard_normal(inputs) / np.linspace(0.1, 30, inputs)
    signal = unit(vectors_ND) @ direction
    worth = np.arange(1, targets + 1)
    return (
        vectors_ND,
        signal[:, None] * worth + noise * draw.standard_normal((vectors, targets)),
        np.arange(vectors) // 10,
    )


def test_unit_vectors_have_unit_root_mean_square() -> None:
    made = unit(np.array([[3.0, -4.0], [0.0, 0.0]], dtype=np.float32))
    np.testing.assert_allclose(made, [[3 / np.sqrt(12.5), -4 / np.sqrt(12.5)], [0, 0]], rtol=1e-6)


def test_one_number_suffices_where_one_direction_decides() -> None:
    vectors, targets, groups = _sample()
    fitted = reduced_rank(vectors, targets, 1, groups)
    assert fitted.matrix_DK.shape == (12, 1)
    assert fitted.explained > 0.9
    kept = unit(vectors) @ fitted.matrix_DK
    assert abs(np.corrcoef(kept[:, 0], targets.sum(axis=1))[0, 1]) > 0.98


def test_full_rank_without_a_ridge_is_least_squares() -> None:
    """The identity of reduced-rank regression: with as many numbers as targets nothing is lost."""
    vectors, targets, groups = _sample(targets=3, noise=1.0)
    kept = unit(vectors) @ reduced_rank(vectors, targets, 3, groups).matrix_DK

    def residual(inputs: np.ndarray) -> float:
        design = np.column_stack((inputs, np.ones(len(inputs))))
        return float(np.square(targets - design @ np.linalg.lstsq(design, targets, rcond=None)[0]).sum())

    assert residual(kept) == pytest.approx(residual(unit(vectors)), rel=1e-2)


def test_noise_is_met_by_a_strong_ridge_and_foretells_nothing() -> None:
    draw = np.random.default_rng(1)
    vectors, targets = draw.standard_normal((120, 60)), draw.standard_normal((120, 4))
    fitted = reduced_rank(vectors, targets, 2, np.arange(120) // 4)
    assert fitted.strength >= 10.0
    assert -0.1 < fitted.explained < 0.05


def test_a_constant_column_gets_no_weight() -> None:
    vectors, targets, groups = _sample()
    vectors[:, 0] = 0.0
    assert reduced_rank(vectors, targets, 2, groups).matrix_DK[0].tolist() == [0.0, 0.0]


def test_widths_and_groups_that_cannot_be_are_refused() -> None:
    vectors, targets, groups = _sample()
    with pytest.raises(ValueError, match="expected 1 to 5"):
        reduced_rank(vectors, targets, 6, groups)
    with pytest.raises(ValueError, match="two prompts"):
        reduced_rank(vectors, targets, 2, np.zeros(len(vectors)))
    with pytest.raises(ValueError, match="at least one"):
        gaussian(0, 3)
    with pytest.raises(ValueError, match="expected"):
        HiddenProjection(np.zeros(3, np.float32))


def test_a_projection_is_the_same_for_one_state_and_for_many() -> None:
    torch.manual_seed(0)
    projection, states = HiddenProjection.random(32, 5, seed=3), 50 * torch.randn(7, 32)
    one_by_one = np.stack([projection(state).numpy() for state in states])
    np.testing.assert_allclose(projection.rows(states.numpy()), one_by_one, atol=1e-5)
    np.testing.assert_allclose(projection(states[0] / 100).numpy(), one_by_one[0], atol=1e-5)
    assert projection.digest == HiddenProjection.random(32, 5, seed=3).digest
    assert projection.digest != HiddenProjection.random(32, 5, seed=4).digest
    assert (projection.state_width, projection.width) == (32, 5)
    with pytest.raises(ValueError, match="made for width 32"):
        projection(torch.zeros(31))
