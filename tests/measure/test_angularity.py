from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from biopsy_ai.measure.angularity import angularity_scores, midranks, size_center
from biopsy_ai.measure.reference import Limits


def table(n: int = 200, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "min_feret_um": rng.lognormal(np.log(55), 0.15, n),
            "circularity": rng.normal(0.86, 0.04, n),
            "feret_aspect_ratio": rng.normal(1.3, 0.1, n),
            "max_curvature": rng.normal(2.2, 0.4, n),
            "solidity": rng.normal(0.97, 0.01, n),
            "shape_assessable": True,
            "excluded": "",
        }
    )


def test_midranks_share_ties() -> None:
    ranks = midranks(np.array([-1.0, 0, 1, 2]), np.array([0.0, 0, 0, 1]))
    assert ranks.tolist() == [0, 0.375, 0.875, 1]


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
    fibers.loc[0, ["min_feret_um", "circularity", "feret_aspect_ratio"]] = 15, 0.5, 2.2
    fibers.loc[0, ["max_curvature", "solidity"]] = 6.0, 0.85
    fibers.loc[1, ["min_feret_um", "circularity", "feret_aspect_ratio"]] = 15, 0.98, 1.02
    fibers.loc[1, ["max_curvature", "solidity"]] = 1.1, 0.999
    scores = angularity_scores(fibers)
    assert scores[0] > 0.95
    assert scores[1] < 0.2


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
