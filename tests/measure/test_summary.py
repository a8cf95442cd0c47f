from __future__ import annotations

import json
from typing import Any

import numpy as np
import pandas as pd
import pytest

from biopsy_ai.config import MeasurementConfig
from biopsy_ai.measure import measure_fibers, summarize_fibers
from biopsy_ai.measure.summary import describe, histogram

FIELD_UM2 = 1e6


@pytest.fixture(scope="module")
def fibers(draw) -> pd.DataFrame:
    """144 fibers, the 12 of the bottom row cut by the border."""
    rng = np.random.default_rng(0)
    labels = np.zeros((12 * 90, 12 * 90), dtype=np.int32)
    for k in range(144):
        shape = draw.scaled(("hexagon", "octagon", "ellipse")[k % 3], diameter=rng.normal(60, 6))
        mask = draw.mask(shape, angle=rng.uniform(0, 6), margin=1)[:85, :85]
        y, x = 90 * (k // 12) + 1, 90 * (k % 12) + 1
        labels[y : y + mask.shape[0], x : x + mask.shape[1]][mask] = k + 1
    return measure_fibers(labels[:1035], (1.0, 1.0))


def finite(value: Any) -> bool:
    json.dumps(value, allow_nan=False)
    return True


def test_a_fiber_without_diameter_is_in_no_statistic_of_it(fibers: pd.DataFrame) -> None:
    lacking = fibers.copy()
    lacking.loc[50, "min_feret_um"] = np.nan
    found = summarize_fibers(lacking, field_area_um2=FIELD_UM2, sex="male")
    without = summarize_fibers(fibers.drop(index=50), field_area_um2=FIELD_UM2, sex="male")
    assert finite(found)
    for name in ("variability_coefficient", "atrophy_hypertrophy", "obliquity"):
        assert found[name] == without[name]


def test_counts_and_density(fibers: pd.DataFrame) -> None:
    summary = summarize_fibers(fibers, field_area_um2=FIELD_UM2)
    assert summary["n_fibers"] == 144
    assert summary["n_measured"] == 132
    assert summary["excluded"] == {"cut by the image border": 12}
    assert summary["density"]["per"] == "field"
    assert summary["density"]["fibers_per_mm2"] == pytest.approx(144)
    assert summary["density"]["fibers_per_mm2_border_halved"] == pytest.approx(138)
    assert summary["fiber_area_fraction"] == pytest.approx(fibers["area_um2"].sum() / FIELD_UM2)
    unknown = summarize_fibers(fibers, field_area_um2=None)
    assert unknown["density"] is None
    assert unknown["fiber_area_fraction"] is None
    tissue = summarize_fibers(fibers, field_area_um2=FIELD_UM2, tissue_area_um2=FIELD_UM2 / 2)
    assert tissue["density"]["per"] == "tissue"
    assert tissue["density"]["fibers_per_mm2"] == pytest.approx(288)
    assert finite(summary)


def test_statistics_leave_excluded_fibers_out(fibers: pd.DataFrame) -> None:
    summary = summarize_fibers(fibers, field_area_um2=FIELD_UM2)
    sizes = fibers.loc[fibers["excluded"] == "", "min_feret_um"]
    feret = summary["quantities"]["min_feret_um"]
    assert feret["n"] == 132
    assert feret["mean"] == pytest.approx(sizes.mean())
    assert feret["sd"] == pytest.approx(sizes.std())
    coefficient = summary["variability_coefficient"]
    assert coefficient["value"] == pytest.approx(1000 * sizes.std() / sizes.mean())
    assert coefficient["normal"]
    assert coefficient["normal_below"]["value"] == 250
    assert "Dubowitz" in coefficient["normal_below"]["source"]
    assert summary["sd_of_circularity"] == summary["quantities"]["circularity"]["sd"]
    assert summary["quantities"]["angularity"]["mean"] == pytest.approx(0.5, abs=0.05)
    assert sum(summary["histograms"]["min_feret_um_5"]["counts"]) == 132


def test_few_fibers_are_noted(fibers: pd.DataFrame) -> None:
    def notes(table: pd.DataFrame) -> str:
        return " ".join(summarize_fibers(table, field_area_um2=FIELD_UM2)["notes"])

    assert "200 or more" in notes(fibers)
    assert "below 100" in notes(fibers[:50])
    assert notes(pd.concat([fibers] * 2, ignore_index=True)) == ""


def test_sex_decides_the_limits(fibers: pd.DataFrame) -> None:
    without = summarize_fibers(fibers, field_area_um2=FIELD_UM2)
    assert "--sex" in without["atrophy_hypertrophy"]["missing"]
    assert without["small_fibers"]["size_limit_um"]["origin"] == "section"
    male = summarize_fibers(fibers, field_area_um2=FIELD_UM2, sex="male")
    assert male["atrophy_hypertrophy"]["low_limit_um"]["value"] == 40
    limits = {limit["origin"]: limit["value"] for limit in male["small_fibers"]["size_limits_um"]}
    assert limits["sex"] == 40
    assert male["small_fibers"]["size_limit_um"]["value"] == max(limits.values())
    assert finite(male)
    with pytest.raises(ValueError, match="sex"):
        summarize_fibers(fibers, field_area_um2=FIELD_UM2, sex="f")  # type: ignore[arg-type]


def test_limits_of_the_user_decide_and_are_reported_as_theirs(fibers: pd.DataFrame) -> None:
    chosen = {
        "male_high_um": 58.0,
        "atrophy_factor_limit": 1e-6,
        "variability_coefficient_normal": 20.0,
        "oblique_aspect_above": 1.0,
        "min_fibers": 140.0,
        "class_step_um": 1.0,
    }
    usual = summarize_fibers(fibers, field_area_um2=FIELD_UM2, sex="male")
    config = MeasurementConfig(limits=chosen)
    summary = summarize_fibers(fibers, field_area_um2=FIELD_UM2, sex="male", config=config)
    assert finite(summary)
    factors, usual_factors = summary["atrophy_hypertrophy"], usual["atrophy_hypertrophy"]
    assert factors["high_limit_um"]["value"] == 58
    assert factors["high_limit_um"]["mark"] == "user"
    assert "80" in factors["high_limit_um"]["source"]
    assert factors["above_high_limit"]["n"] > usual_factors["above_high_limit"]["n"]
    assert factors["hypertrophy_factor"]["value"] > usual_factors["hypertrophy_factor"]["value"]
    assert factors["low_limit_um"] == usual_factors["low_limit_um"]
    assert factors["atrophy_factor"]["limit"]["value"] == 1e-6
    assert usual["variability_coefficient"]["normal"]
    assert not summary["variability_coefficient"]["normal"]
    assert summary["obliquity"]["limits"]["oblique_aspect_above"]["value"] == 1.0
    assert any("below 140" in note for note in summary["notes"])


@pytest.mark.parametrize("sex", ["female", None])
@pytest.mark.parametrize("n", [0, 1, 2])
def test_hardly_any_fibers(fibers: pd.DataFrame, n: int, sex) -> None:
    summary = summarize_fibers(fibers[:n], field_area_um2=FIELD_UM2, sex=sex)
    assert finite(summary)
    assert summary["n_fibers"] == n
    assert summary["quantities"]["area_um2"]["n"] == n
    if n < 2:
        assert summary["variability_coefficient"]["value"] is None
        assert summary["quantities"]["area_um2"]["sd"] is None


def test_empty_label_image_can_be_summarized() -> None:
    fibers = measure_fibers(np.zeros((64, 64), dtype=np.int32), (0.5, 0.5))
    summary = summarize_fibers(fibers, field_area_um2=1024.0, sex="male")
    assert finite(summary)
    assert summary["density"]["fibers_per_mm2"] == 0
    assert summary["excluded"] == {}


def test_fibers_without_shape_are_noted(fibers: pd.DataFrame) -> None:
    blurred = fibers.copy()
    blurred["shape_assessable"] = False
    blurred[["circularity", "solidity", "angularity"]] = np.nan
    summary = summarize_fibers(blurred, field_area_um2=FIELD_UM2)
    assert finite(summary)
    assert summary["quantities"]["circularity"] == describe(np.empty(0))
    assert any("shape of only 0" in note for note in summary["notes"])


def test_area_must_be_positive(fibers: pd.DataFrame) -> None:
    with pytest.raises(ValueError, match="tissue area"):
        summarize_fibers(fibers, field_area_um2=FIELD_UM2, tissue_area_um2=0.0)


def test_describe_by_hand() -> None:
    found = describe(np.array([1.0, 2, 3, 4, 10, np.nan]))
    assert found["n"] == 5
    assert found["mean"] == 4
    assert found["median"] == 3
    assert found["mad"] == 1
    assert found["sd"] == pytest.approx(np.sqrt(12.5))
    assert found["cv"] == pytest.approx(np.sqrt(12.5) / 4)
    assert found["p5"] == pytest.approx(1.2)


def test_histogram_bins_hold_their_lower_edge() -> None:
    found = histogram(np.array([0.0, 4.9, 5.0, 14.0, np.nan]), 5.0)
    assert found["edges"] == [0, 5, 10, 15]
    assert found["counts"] == [2, 1, 1]
    assert found["n_above"] == 0


def test_one_monster_does_not_make_a_million_bins() -> None:
    found = histogram(np.array([10.0, 1e9]), 500.0)
    assert len(found["counts"]) == 400
    assert found["n_above"] == 1
    assert sum(found["counts"]) == 1
