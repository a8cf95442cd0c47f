from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from biopsy_ai.measure.reference import Limits
from biopsy_ai.measure.small_fibers import (
    angular_signs,
    summarize_obliquity,
    summarize_small_fibers,
)


@pytest.fixture
def fibers() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    n = 300
    table = pd.DataFrame(
        {
            "label": np.arange(1, n + 1),
            "min_feret_um": rng.lognormal(np.log(58), 0.1, n),
            "max_feret_um": 80.0,
            "orientation_deg": rng.uniform(-90, 90, n),
            "circularity": 0.84,
            "min_angle_deg": 100.0,
            "n_acute_angles": 0.0,
            "solidity": 0.97,
            "feret_aspect_ratio": 1.3,
            "shape_assessable": True,
        }
    )
    shape = ["min_feret_um", "circularity", "min_angle_deg", "n_acute_angles", "solidity"]
    table.loc[0, shape] = [20, 0.6, 55, 2, 0.88]
    table.loc[1, shape] = [20, 0.95, 110, 0, 0.99]
    table.loc[2, shape] = [20, 0.80, 100, 0, 0.97]
    table.loc[3, [*shape, "shape_assessable"]] = [8, np.nan, np.nan, np.nan, np.nan, False]
    table.loc[4, shape] = [60, 0.6, 55, 2, 0.88]
    return table


def test_signs_are_counted(fibers: pd.DataFrame) -> None:
    assert angular_signs(fibers)[:5].tolist() == [3, 0, 0, 0, 3]


@pytest.mark.parametrize("sex", ["male", "female", None])
def test_small_fibers_are_sorted(fibers: pd.DataFrame, sex) -> None:
    summary = summarize_small_fibers(fibers, sex)
    assert summary["angular_labels"] == [1]
    assert summary["round_labels"] == [2]
    assert summary["not_assessable"]["n"] == 1
    assert summary["small"]["n"] == sum(
        summary[kind]["n"] for kind in ("angular", "round", "neither", "not_assessable")
    )
    limit = summary["size_limit_um"]
    assert limit["origin"] == "section"
    assert 40 < limit["value"] < 55
    assert limit["source"]
    assert [limit["origin"] for limit in summary["size_limits_um"]] == ["sex", "section"][not sex :]


def test_small_is_either_below_the_limit_of_the_sex_or_far_from_the_center(
    fibers: pd.DataFrame,
) -> None:
    own = summarize_small_fibers(fibers, None)
    male = summarize_small_fibers(fibers, "male")
    assert own["size_limit_um"]["value"] > 40
    assert male["small"] == own["small"], "knowing the sex makes no small fiber normal"
    fibers["min_feret_um"] *= 0.7
    smaller = summarize_small_fibers(fibers, "male")
    assert smaller["size_limit_um"]["origin"] == "sex"
    assert smaller["size_limit_um"]["value"] == 40
    assert smaller["small"]["n"] == (fibers["min_feret_um"] < 40).sum()
    assert smaller["small"]["n"] > summarize_small_fibers(fibers, None)["small"]["n"]


def test_with_sex_and_few_fibers_the_limit_of_the_sex_stands(fibers: pd.DataFrame) -> None:
    few = summarize_small_fibers(fibers[:10], "male")
    assert few["size_limit_um"] == few["size_limits_um"][0]
    assert few["size_limit_um"]["value"] == 40


def test_limits_of_the_user(fibers: pd.DataFrame) -> None:
    limits = Limits({"angular_signs_needed": 4, "female_low_um": 35, "small_z": -50})
    summary = summarize_small_fibers(fibers, "female", limits)
    assert summary["angular_labels"] == []
    assert summary["limits"]["angular_signs_needed"]["mark"] == "user"
    assert summary["size_limit_um"]["value"] == 35
    assert summary["size_limit_um"]["mark"] == "user"
    assert "50 robust" in summary["size_limits_um"][1]["source"]
    assert angular_signs(fibers, Limits({"angular_circularity_below": 0.5}))[0] == 2


def test_without_sex_and_with_few_fibers_there_is_no_limit(fibers: pd.DataFrame) -> None:
    assert "missing" in summarize_small_fibers(fibers[:10], None)
    assert "missing" in summarize_small_fibers(fibers[:0], None)
    assert summarize_small_fibers(fibers[:0], "female")["small"]["share"] is None


def test_oblique_needs_length_and_one_direction(fibers: pd.DataFrame) -> None:
    fibers["max_feret_um"] = 1.8 * fibers["min_feret_um"]
    scattered = summarize_obliquity(fibers)
    assert scattered is not None
    assert not scattered["oblique"]
    # -88° and 88° are nearly the same direction.
    fibers["orientation_deg"] = np.where(np.arange(len(fibers)) % 2, -86.0, 86.0)
    aligned = summarize_obliquity(fibers)
    assert aligned is not None
    assert aligned["alignment"] > 0.95
    assert aligned["oblique"]
    fibers["max_feret_um"] = 1.2 * fibers["min_feret_um"]
    short = summarize_obliquity(fibers)
    assert short is not None
    assert not short["oblique"]
    assert summarize_obliquity(fibers[:0]) is None
