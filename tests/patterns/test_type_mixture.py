from __future__ import annotations

import numpy as np
import pytest

from biopsy_ai.measure.reference import Limits
from biopsy_ai.patterns.stain_levels import find_levels, level_posteriors
from biopsy_ai.patterns.type_mixture import fit_levels

SIDE_UM = 1500.0


def mosaic(n=500, share=0.45, levels=(0.11, 0.49), sds=(0.015, 0.04), *, gradient=0.0, seed=0):
    """Values, places and the type of fibers whose pale share may change across the section."""
    rng = np.random.default_rng(seed)
    places = rng.uniform(0, SIDE_UM, (n, 2))
    across = 2 * places[:, 1] / SIDE_UM - 1
    dark = rng.random(n) > np.clip(share + 0.45 * gradient * across, 0.02, 0.98)
    values = np.where(dark, levels[1], levels[0])
    values = values + rng.normal(size=n) * np.where(dark, sds[1], sds[0])
    return values, places, dark


def found(values, places, most=3):
    return find_levels(values, places, most=most, rng=np.random.default_rng(0))


def called_dark(levels, values, places):
    shares, _ = level_posteriors(levels.mixture, values, places)
    return shares[:, -1] > 0.5


@pytest.mark.parametrize("share", [0.1, 0.2, 0.5, 0.8, 0.95])
def test_two_levels_are_found_at_any_share(share):
    values, places, dark = mosaic(share=share)
    levels = found(values, places)
    assert levels.mixture.levels == pytest.approx([0.11, 0.49], abs=0.02)
    assert np.mean(called_dark(levels, values, places) == dark) > 0.995


@pytest.mark.parametrize("gradient", [0.0, 1.0])
@pytest.mark.parametrize("shading", [-0.2, 0.2])
def test_shading_is_taken_off_and_a_gradient_of_shares_stays(shading, gradient):
    values, places, dark = mosaic(gradient=gradient)
    y, x = (2 * places / SIDE_UM - 1).T
    shaded = values + shading * (x + 0.5 * y**2)
    levels = found(shaded, places)
    called = called_dark(levels, shaded, places)
    assert np.mean(called == dark) > 0.99
    if not gradient:
        best = max(np.mean((shaded > cut) == dark) for cut in np.linspace(-0.2, 0.8, 200))
        assert best < 0.97, "one threshold for all does as well"
    thirds = [np.abs(x - middle) < 1 / 3 for middle in (-2 / 3, 2 / 3)]
    for third in thirds:
        assert np.mean(called[third]) == pytest.approx(np.mean(dark[third]), abs=0.02)


def test_a_gradient_of_shares_alone_is_no_shading():
    values, places, _ = mosaic(gradient=1.0)
    levels = found(values, places)
    assert levels.mixture.order == 0


def test_uneven_incubation_scales_the_density():
    values, places, dark = mosaic()
    scaled = values * (1 + 0.5 * (2 * places[:, 0] / SIDE_UM - 1))
    levels = found(scaled, places)
    assert np.mean(called_dark(levels, scaled, places) == dark) > 0.99
    local = levels.mixture.local_levels(np.array([[0.0, 750.0], [SIDE_UM, 750.0]]))
    assert np.diff(local[1])[0] > 2 * np.diff(local[0])[0]


@pytest.mark.parametrize(
    "draw",
    [
        lambda rng, n: rng.normal(0.3, 0.05, n),
        lambda rng, n: 0.3 * np.exp(rng.normal(0, 0.3, n)),
        lambda rng, n: rng.uniform(0.1, 0.5, n),
        lambda rng, n: rng.gamma(3, 0.1, n),
        lambda rng, n: 0.3 + 0.03 * rng.standard_t(3, n),
    ],
    ids=["normal", "lognormal", "uniform", "gamma", "heavy tails"],
)
@pytest.mark.parametrize("n", [60, 300])
def test_one_population_is_not_split(draw, n):
    rng = np.random.default_rng(4)
    places = rng.uniform(0, SIDE_UM, (n, 2))
    levels = found(draw(rng, n), places, most=2)
    assert levels.mixture is None
    assert "no two levels" in levels.why_not
    assert levels.as_dict()["why_not"] == levels.why_not


def test_one_shaded_population_is_not_split():
    rng = np.random.default_rng(1)
    places = rng.uniform(0, SIDE_UM, (400, 2))
    values = 0.3 + 0.02 * rng.normal(size=400) + 0.3 * places[:, 0] / SIDE_UM
    assert found(values, places).mixture is None


def test_three_levels_and_their_separation():
    rng = np.random.default_rng(2)
    kind = rng.integers(0, 3, 600)
    values = np.array([0.1, 0.25, 0.5])[kind] + 0.02 * rng.normal(size=600)
    places = rng.uniform(0, SIDE_UM, (600, 2))
    levels = found(values, places)
    assert levels.mixture.levels == pytest.approx([0.1, 0.25, 0.5], abs=0.01)
    assert levels.separations == pytest.approx([7.5, 12.5], rel=0.2)
    assert len(found(values, places, most=2).mixture.levels) == 2


def test_beyond_the_ends_and_between_the_levels():
    values, places, _ = mosaic(n=2500)
    mixture = found(values, places).mixture
    at = np.array([-0.2, 0.0, 0.11, 0.28, 0.49, 0.9, np.nan])
    shares, between = level_posteriors(mixture, at, np.full((7, 2), 750.0))
    assert (shares + 0)[:6].sum(axis=1) + between[:6, 0] == pytest.approx(1)
    # the dark level scatters more widely, and yet the palest fibers are pale
    assert shares[:3, 0].min() > 0.99
    assert shares[4:6, 1].min() > 0.99
    assert between[3, 0] > 0.8
    assert np.isnan(shares[6]).all()


def test_too_few_and_equal_values():
    values, places, _ = mosaic(n=20)
    assert "only 20 fibers" in found(values, places).why_not
    assert "alike" in found(np.full(60, 0.3), np.zeros((60, 2))).why_not
    strict = Limits({"typing_min_fibers": 10})
    rng = np.random.default_rng(0)
    assert find_levels(values, places, most=2, rng=rng, limits=strict).n_fitted == 20


def test_fits_do_not_depend_on_the_unit_or_the_order():
    values, places, _ = mosaic(n=300)
    (one, *_), _ = fit_levels(values, places, 2)
    (other, *_), _ = fit_levels(1000 * values[::-1], places[::-1] + 5e4, 2)
    assert other.levels == pytest.approx(1000 * one.levels, rel=1e-4)
    assert other.bic - one.bic == pytest.approx(2 * 300 * np.log(1000), rel=1e-4)
