from __future__ import annotations

import numpy as np
import pytest

from biopsy_ai.measure.two_modes import fit_two_modes


def test_two_gaussians_are_found() -> None:
    rng = np.random.default_rng(0)
    values = np.concatenate([rng.normal(0, 1, 300), rng.normal(6, 0.5, 700)])
    modes = fit_two_modes(rng.permutation(values))
    assert modes is not None
    assert modes.weights == pytest.approx((0.3, 0.7), abs=0.01)
    assert modes.means == pytest.approx((0, 6), abs=0.1)
    assert modes.sds == pytest.approx((1, 0.5), abs=0.1)
    assert modes.ashman_d == pytest.approx(np.sqrt(2) * 6 / np.sqrt(1.25), rel=0.05)
    assert modes.are_apart()


def test_one_gaussian_is_none() -> None:
    modes = fit_two_modes(np.random.default_rng(1).normal(size=2000))
    assert modes is not None
    assert modes.delta_bic < 10
    assert not modes.are_apart()


def test_delta_bic_of_far_modes() -> None:
    rng = np.random.default_rng(2)
    n = 500
    values = np.concatenate([rng.normal(0, 1, n), rng.normal(1000, 1, n)])
    modes = fit_two_modes(values)
    assert modes is not None
    one = -n * (np.log(2 * np.pi * values.var()) + 1)
    # bins of the sample are wider than the modes, which do not fall below a twentieth of its sd
    sd = 0.05 * values.std()
    two = -n * (np.log(2 * np.pi * sd**2) + 2 * np.log(2) + (1 / sd) ** 2)
    assert modes.delta_bic == pytest.approx(2 * (two - one) - 3 * np.log(2 * n), rel=0.01)


def test_nothing_to_fit() -> None:
    assert fit_two_modes(np.arange(9.0)) is None
    assert fit_two_modes(np.ones(50)) is None
