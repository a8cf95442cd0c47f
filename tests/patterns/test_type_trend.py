import numpy as np
import pytest
from drawn_mosaics import clumped, contacts_of, hexagons, inside, types_of

from biopsy_ai.patterns.assortativity import assortativity
from biopsy_ai.patterns.stratified_moments import moments_within_strata
from biopsy_ai.patterns.type_mosaic import read_mosaic
from biopsy_ai.patterns.type_trend import (
    contact_distance,
    smooth_share,
    strata_of_trend,
    summarize_trend,
    trend_assortativity,
)


def summarize(is_type_i: np.ndarray, centers: np.ndarray, pairs: np.ndarray) -> dict:
    table = types_of(is_type_i, centers)
    mosaic = read_mosaic(contacts_of(pairs, inside(centers)), table)
    return summarize_trend(mosaic, np.random.default_rng(0))


def test_the_smooth_share_follows_a_gradient():
    rng = np.random.default_rng(0)
    centers, pairs = hexagons(60, 60)
    share = 0.2 + 0.6 * centers[:, 1] / centers[:, 1].max()
    types = rng.random(3600) < share
    assert contact_distance(pairs, centers) == pytest.approx(1)
    found = smooth_share(centers, types, 8.0)
    middle = inside(centers, 10)
    assert found[middle] == pytest.approx(share[middle], abs=0.08)
    expected = np.mean((share - 0.5) ** 2) / 0.25
    assert trend_assortativity(pairs, types, share) == pytest.approx(expected, abs=0.02)


def test_a_gradient_is_told_from_groups():
    rng = np.random.default_rng(1)
    centers, pairs = hexagons(60, 60)
    share = 0.1 + 0.8 * centers[:, 1] / centers[:, 1].max()
    gradient = summarize(rng.random(3600) < share, centers, pairs)
    assert gradient["share"] > 0.7
    assert gradient["within_trend"]["p"] > 0.05
    groups = summarize(clumped(pairs, 3600, rng, 1), centers, pairs)
    assert groups["share"] < 0.1
    assert groups["within_trend"]["p"] < 0.01


def test_small_sections_and_unknown_places():
    rng = np.random.default_rng(2)
    centers, pairs = hexagons(12, 12)
    small = summarize(rng.random(144) < 0.5, centers, pairs)
    assert small["within_trend"] is None
    assert "too small" in small["why_not"]
    mosaic = read_mosaic(contacts_of(pairs, inside(centers)), types_of(rng.random(144) < 0.5))
    assert summarize_trend(mosaic, rng) is None


def test_strata_follow_the_rank():
    share = np.array([0.9, 0.1, 0.5, 0.5, 0.3, 0.7])
    assert strata_of_trend(share, 2).tolist() == [2, 0, 1, 1, 0, 2]
    assert strata_of_trend(share, 50).tolist() == [0] * 6


def test_a_gradient_raises_no_more_alarms_than_chance():
    """Exact moments stand for permutations."""
    rng = np.random.default_rng(4)
    centers, pairs = hexagons(40, 40)
    share = 0.2 + 0.6 * centers[:, 1] / centers[:, 1].max()
    z = []
    for _ in range(150):
        types = rng.random(1600) < share
        strata = strata_of_trend(smooth_share(centers, types, 8.0))
        moments = moments_within_strata(pairs, types.astype(float), strata)
        joins = np.count_nonzero(types[pairs[:, 0]] != types[pairs[:, 1]])
        z.append((joins - moments.mean) / moments.sd)
    assert abs(np.mean(z)) < 0.25
    assert np.std(z) == pytest.approx(1, abs=0.15)


def test_the_trend_of_random_types_is_next_to_nothing():
    rng = np.random.default_rng(3)
    centers, pairs = hexagons(50, 50)
    types = rng.random(2500) < 0.5
    trend = summarize(types, centers, pairs)
    assert abs(trend["assortativity"]) < 0.01
    if assortativity(pairs, types.astype(int)) <= 0:
        assert trend["share"] is None
