from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from biopsy_ai.measure.angularity import angularity_scores, sign_strength, size_center
from biopsy_ai.measure.reference import Limits


def table(n: int = 200, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "min_feret_um": rng.lognormal(np.log(55), 0.15, n),
            "circularity": rng.normal(0.86, 0.04, n),
            "solidity": rng.normal(0.97, 0.01, n),
            "triangularity": rng.normal(0.65, 0.03, n),
            "shape_assessable": True,
            "excluded": "",
        }
    )


def test_a_sign_counts_by_its_distance_from_normal_and_never_comes_to_an_end() -> None:
    normal = np.array([1.0, 2, 3, 4, 5])  # median 3, median distance 1
    values = 3 + 1.4826 * np.array([-2.0, 0, 2, 4, 40])
    found = sign_strength(values, normal, softness=2.0)
    assert found[:4] == pytest.approx([0.2689, 0.5, 0.7311, 0.8808], abs=1e-4)
    assert found[3] < found[4] < 1


def test_signs_that_all_share_are_equal() -> None:
    found = sign_strength(np.array([0.7, 0.7 + 1e-12, 0.9]), np.full(30, 0.7))
    assert found == pytest.approx([0.5, 0.5, 1.0])


def test_center_ignores_a_tail_of_atrophic_fibers() -> None:
    rng = np.random.default_rng(1)
    normal = rng.lognormal(np.log(55), 0.15, 800)
    atrophic = rng.lognormal(np.log(18), 0.2, 200)
    center = size_center(np.concatenate([normal, atrophic]))
    assert center is not None
    assert np.exp(center.log_median) == pytest.approx(53, abs=2)
    assert center.log_sd == pytest.approx(0.16, abs=0.03)
    assert 35 < center.at(-2) < 45
    assert center.z(np.array([center.at(-2)])) == pytest.approx(-2)


@pytest.mark.parametrize("sizes", [np.full(50, 40.0), np.arange(1.0, 6.0), np.empty(0)])
def test_no_center_without_spread_or_fibers(sizes: np.ndarray) -> None:
    assert size_center(sizes) is None


def test_normal_fibers_average_one_half() -> None:
    scores = angularity_scores(table(2000))
    assert np.nanmean(scores) == pytest.approx(0.5, abs=0.02)
    assert np.isfinite(scores).all()


def test_small_angular_fiber_scores_high_and_round_one_low() -> None:
    fibers = table()
    fibers.loc[0, ["min_feret_um", "circularity", "solidity", "triangularity"]] = 15, 0.5, 0.85, 0.9
    fibers.loc[1, ["min_feret_um", "circularity", "solidity", "triangularity"]] = 15, 0.98, 1.0, 0.6
    scores = angularity_scores(fibers)
    assert scores[0] > 0.9
    assert scores[1] < 0.35


def test_more_angular_fibers_score_higher_however_angular_they_are() -> None:
    fibers = table()
    steps = np.linspace(0, 1, 5)
    fibers.loc[:4, "circularity"] = 0.7 - 0.4 * steps
    fibers.loc[:4, "solidity"] = 0.9 - 0.2 * steps
    fibers.loc[:4, "triangularity"] = 0.8 + 0.15 * steps
    assert (np.diff(angularity_scores(fibers)[:5]) > 0.005).all()


def test_fibers_that_cannot_be_judged_have_no_score() -> None:
    fibers = table()
    fibers.loc[0, "shape_assessable"] = False
    fibers.loc[1, "excluded"] = "torn"
    fibers.loc[2, "circularity"] = 0.1
    scores = angularity_scores(fibers)
    assert np.isnan(scores[:2]).all()
    assert np.isfinite(scores[2:]).all()


def test_too_few_fibers_have_no_score() -> None:
    assert np.isnan(angularity_scores(table(10))).all()
    assert np.isfinite(angularity_scores(table(10), Limits({"size_normal_min_fibers": 5}))).all()
    assert len(angularity_scores(table(10)[:0])) == 0
