from __future__ import annotations

import numpy as np
import pytest

from biopsy_ai.measure.robust import median_and_spread


def test_extreme_values_move_neither_center_nor_spread() -> None:
    values = np.array([1.0, 2, 3, 4, 1e6])
    assert median_and_spread(values) == pytest.approx((3.0, 1.4826))
    normal = np.random.default_rng(0).normal(5, 2, 20_000)
    assert median_and_spread(normal) == pytest.approx((5.0, 2.0), abs=0.05)


def test_values_that_are_the_same_have_no_spread() -> None:
    assert median_and_spread(np.full(4, 0.7)) == (0.7, 0.0)
