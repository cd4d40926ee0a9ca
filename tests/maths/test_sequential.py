"""Does the interval hold at all times?"""

from __future__ import annotations

import math

import numpy as np
import pytest

from trimtab.maths.sequential import half_width


def test_it_covers_at_all_times_at_once() -> None:
    rng = np.random.default_rng(0)
    samples = rng.gamma(2.0, 1.0, (300, 1000)) - 2.0  # skewed, of mean 0
    looked_at = np.arange(30, 1001, 10)
    means = (samples.cumsum(axis=1) / np.arange(1, 1001))[:, looked_at - 1]
    variances = ((samples**2).cumsum(axis=1) / np.arange(1, 1001))[:, looked_at - 1] - means**2
    unit = np.array([half_width(n, 1.0) for n in looked_at.tolist()])
    missed = (np.abs(means) > unit * np.sqrt(variances)).any(axis=1).mean()
    fixed = (np.abs(means) > 1.96 * np.sqrt(variances / looked_at)).any(axis=1).mean()
    assert missed <= 0.05
    assert fixed > 0.2  # what looking again and again at the usual interval does


def test_it_tightens() -> None:
    widths = [half_width(n, 1.0) for n in (10, 100, 1000, 10_000)]
    assert widths == sorted(widths, reverse=True)
    assert half_width(0, 1.0) == math.inf
    assert half_width(100, 4.0) == pytest.approx(2 * half_width(100, 1.0))
    assert half_width(200, 1.0, level=0.99) > half_width(200, 1.0)
