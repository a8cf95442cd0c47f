"""How often the primary test of grouping rejects, by chance and where there is grouping."""

import numpy as np
import pytest
from drawn_mosaics import contacts_of, hexagons, irregular, square_fascicles, types_of
from scipy.special import ndtr

from biopsy_ai.patterns.assortativity import assortativity, assortativity_interval
from biopsy_ai.patterns.mosaic_statistics import MosaicStatistics, StatisticsOfMosaic
from biopsy_ai.patterns.permutation import measure_permuted, permutation_p
from biopsy_ai.patterns.stratified_moments import moments_within_strata
from biopsy_ai.patterns.type_mosaic import read_mosaic
from biopsy_ai.synthesis.motor_units import denervate, grow_motor_units

ALARMS = (0.035, 0.065)


def normal_p(pairs: np.ndarray, types: np.ndarray, strata: np.ndarray) -> float:
    """p of the primary test from its exact moments, which is as good and takes a hundredth."""
    moments = moments_within_strata(pairs, types.astype(float), strata)
    joins = np.count_nonzero(types[pairs[:, 0]] != types[pairs[:, 1]])
    return float(ndtr((joins - moments.mean) / moments.sd))


def fascicles(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Contacts within square fascicles, the fascicle of each fiber, and whether it is outermost."""
    centers, pairs = irregular(600, rng)
    fascicle, layer = square_fascicles(centers, 9)
    return pairs[fascicle[pairs[:, 0]] == fascicle[pairs[:, 1]]], fascicle, layer == 1


@pytest.mark.slow
def test_false_alarms_of_random_mosaics():
    rng = np.random.default_rng(0)
    centers, pairs = irregular(600, rng)
    strata = np.zeros(len(centers), int)
    p = [
        normal_p(pairs, rng.random(len(centers)) < rng.uniform(0.2, 0.8), strata)
        for _ in range(3000)
    ]
    assert ALARMS[0] <= np.mean(np.array(p) <= 0.05) <= ALARMS[1]


@pytest.mark.slow
def test_false_alarms_with_type_ii_at_the_borders_of_fascicles():
    rng = np.random.default_rng(1)
    pairs, fascicle, outer = fascicles(rng)
    p, naive = [], []
    for _ in range(1000):
        share = rng.uniform(0.2, 0.8) - 0.2 * outer * rng.random()
        types = rng.random(len(outer)) < share
        p.append(normal_p(pairs, types, 2 * fascicle + outer))
        naive.append(normal_p(pairs, types, np.zeros(len(outer), int)))
    assert ALARMS[0] <= np.mean(np.array(p) <= 0.05) <= ALARMS[1]
    assert np.mean(np.array(naive) <= 0.05) > 0.08


@pytest.mark.slow
def test_false_alarms_with_fascicles_of_different_shares():
    rng = np.random.default_rng(2)
    pairs, fascicle, outer = fascicles(rng)
    p, naive = [], []
    for _ in range(1000):
        share = rng.uniform(0.25, 0.75, fascicle.max() + 1)
        types = rng.random(len(outer)) < share[fascicle]
        p.append(normal_p(pairs, types, 2 * fascicle + outer))
        naive.append(normal_p(pairs, types, np.zeros(len(outer), int)))
    assert ALARMS[0] <= np.mean(np.array(p) <= 0.05) <= ALARMS[1]
    assert np.mean(np.array(naive) <= 0.05) > 0.3


@pytest.mark.slow
def test_permutations_agree_with_the_exact_moments():
    rng = np.random.default_rng(3)
    pairs, fascicle, outer = fascicles(rng)
    contacts = contacts_of(pairs, ~outer)
    for _ in range(12):
        table = types_of(rng.random(len(outer)) < rng.uniform(0.2, 0.8))
        table["fascicle"], table["layer"] = fascicle, np.where(outer, 1, 2)
        mosaic = read_mosaic(contacts, table)
        codes = mosaic.is_type_i.astype(np.int8)
        statistics = StatisticsOfMosaic(mosaic, 0.35)
        permuted = MosaicStatistics.from_columns(
            measure_permuted(statistics, codes, mosaic.strata, 1999, rng)
        )
        observed = MosaicStatistics.from_columns(statistics(codes[:, None]))
        p = permutation_p(float(observed.joins[0]), permuted.joins, tail="less")
        normal = normal_p(pairs, mosaic.is_type_i, mosaic.strata)
        # two of its standard errors, and half a join that the normal distribution does not count
        assert p == pytest.approx(normal, abs=0.01 + 2.5 * np.sqrt(0.25 / 1999))


@pytest.mark.slow
def test_lost_and_recaptured_motor_units_are_grouped():
    """The model of criteria §4.8: power at 600 fibers, and what the assortativity becomes."""
    rng = np.random.default_rng(4)
    centers, pairs = hexagons(25, 24)
    strata = np.zeros(len(centers), int)
    mean = {}
    for lost in (0.0, 0.2, 0.4, 0.6):
        p, values, covered = [], [], []
        for _ in range(60):
            units, is_type_i = grow_motor_units(pairs, len(centers), 40, 0.5, rng)
            units, _ = denervate(pairs, units, lost, 1.0, rng, n_units=40)
            types = is_type_i[units]
            values.append(assortativity(pairs, types.astype(int)))
            covered.append(assortativity_interval(pairs, types)[:2])
            p.append(normal_p(pairs, types, strata))
        mean[lost] = np.mean(values)
        low, high = np.array(covered).T
        assert np.mean((low <= mean[lost]) & (mean[lost] <= high)) >= 0.85
        rejected = np.mean(np.array(p) <= 0.05)
        assert rejected >= 0.95 if lost >= 0.4 else rejected <= 0.95
    assert mean == pytest.approx({0.0: 0.0, 0.2: 0.075, 0.4: 0.17, 0.6: 0.28}, abs=0.035)
