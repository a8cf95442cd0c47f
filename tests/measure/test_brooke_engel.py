from __future__ import annotations

import json

import numpy as np
import pytest

from biopsy_ai.measure.brooke_engel import (
    atrophy_factor,
    hypertrophy_factor,
    share_of,
    size_limits,
    summarize_factors,
    variability_coefficient,
    wilson_interval,
)


def test_variability_coefficient() -> None:
    assert variability_coefficient(np.array([40.0, 50, 60])) == pytest.approx(200)
    assert np.isnan(variability_coefficient(np.array([40.0])))


def test_atrophy_factor_of_men_by_hand() -> None:
    diameters = np.array([39.9, 30, 29.9, 20, 19.9, 10, 9.9, 1, 40, 60])
    assert atrophy_factor(diameters, 40) == pytest.approx(
        1000 * (1 + 1 + 2 + 2 + 3 + 3 + 4 + 4) / 10
    )


def test_atrophy_factor_of_women_has_three_classes() -> None:
    assert atrophy_factor(np.array([25.0, 15, 5, 30]), 30) == pytest.approx(1000 * (1 + 2 + 3) / 4)


def test_hypertrophy_factor_by_hand() -> None:
    diameters = np.array([80, 80.1, 90, 90.1, 100, 110, 110.1, 200])
    assert hypertrophy_factor(diameters, 80) == pytest.approx(
        1000 * (1 + 1 + 2 + 2 + 3 + 4 + 4) / 8
    )


def test_normal_gaussian_sizes_stay_near_the_published_check() -> None:
    # Type 1 of men, mean 61 µm and a variability coefficient of 250: about 108 and 139.
    diameters = np.random.default_rng(0).normal(61, 61 * 0.25, 200_000)
    assert atrophy_factor(diameters, 40) == pytest.approx(108, abs=4)
    assert hypertrophy_factor(diameters, 80) == pytest.approx(139, abs=4)


def test_factors_without_fibers_are_missing() -> None:
    assert np.isnan(atrophy_factor(np.empty(0), 40))
    assert "missing" in summarize_factors(np.empty(0), "male")


def test_without_sex_the_user_is_told_how_to_give_it() -> None:
    assert "--sex" in summarize_factors(np.array([50.0]), None)["missing"]


@pytest.mark.parametrize(("sex", "low", "high"), [("male", 40, 80), ("female", 30, 70)])
def test_limits_by_sex_carry_their_source(sex, low: float, high: float) -> None:
    limits = size_limits(sex)
    assert [limit.value for limit in limits] == [low, high]
    assert all("Dubowitz" in limit.source and limit.mark == "P-ocr" for limit in limits)
    summary = summarize_factors(np.array([10.0, 50, 50, 100]), sex)
    assert summary["below_low_limit"]["n"] == 1
    assert summary["above_high_limit"]["share"] == 0.25
    assert ("limit_type_2" in summary["hypertrophy_factor"]) == (sex == "male")
    json.dumps(summary, allow_nan=False)


def test_wilson_interval_of_a_textbook_case() -> None:
    assert wilson_interval(15, 148) == pytest.approx((0.0624, 0.1605), abs=2e-4)
    assert wilson_interval(0, 10)[0] == 0
    assert wilson_interval(10, 10)[1] == pytest.approx(1)
    assert share_of(0, 0) == {"n": 0, "of": 0, "share": None, "wilson_95": None}
