from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from drawn_tables import DrawnTable, draw_table

from biopsy_ai.score import load_evidence
from biopsy_ai.score.fiber_measures import (
    measure_conditions,
    measure_nuclei,
    measure_shape,
    measure_size,
)
from biopsy_ai.score.measurement import Measurement
from biopsy_ai.score.resampling import draw_replicates


def measured(drawn: DrawnTable) -> dict[str, Measurement]:
    section = drawn.section()
    replicates = draw_replicates(section, load_evidence().interval)
    return {
        name: found
        for measure in (measure_shape, measure_size, measure_nuclei, measure_conditions)
        for name, found in measure(section, replicates).items()
    }


def test_shares_of_small_and_large_fibers() -> None:
    drawn = draw_table(rows=10, columns=20)
    drawn.shrink(np.arange(10)).shrink(np.arange(10, 16), "round").shrink(
        np.arange(16, 20), "plain"
    )
    found = measured(drawn.enlarge(np.arange(20, 25)))
    expected = {
        "small_angular_fibers": 5.0,
        "small_round_fibers": 3.0,
        "atrophic_fibers": 10.0,
        "hypertrophy": 2.5,
    }
    for name, value in expected.items():
        assert found[name].value == pytest.approx(value)
        assert found[name].n == 200
        assert len(found[name].labels) == round(2 * value)
        assert found[name].values.shape == (401,)
        assert found[name].values[1:].std() > 0


def test_the_most_telling_fibers_come_first() -> None:
    drawn = draw_table(rows=10, columns=20).shrink(np.array([4, 7, 9]))
    drawn.mark("angularity", np.array([7]), 0.95)
    drawn.mark("min_feret_um", np.array([9]), 15.0)
    found = measured(drawn)
    assert found["small_angular_fibers"].labels == (8, 5, 10)
    assert found["atrophic_fibers"].labels == (10, 5, 8)


def test_fibers_whose_shape_cannot_be_judged_are_left_out_of_shapes_alone() -> None:
    drawn = draw_table(rows=10, columns=10).shrink(np.arange(20))
    drawn.mark("is_angular_atrophic", np.arange(10), pd.NA)
    found = measured(drawn)
    assert found["small_angular_fibers"].n == 90
    assert found["small_angular_fibers"].value == pytest.approx(100 * 10 / 90)
    assert found["atrophic_fibers"].value == pytest.approx(20)


def test_excluded_fibers_do_not_count() -> None:
    drawn = draw_table(rows=10, columns=10).shrink(np.arange(20))
    found = measured(drawn.mark("excluded", np.arange(10), "out of focus"))
    assert found["atrophic_fibers"].value == pytest.approx(100 * 10 / 90)
    assert set(found["atrophic_fibers"].labels) == set(range(11, 21))


def test_sizes_that_cannot_be_judged_are_no_zero() -> None:
    drawn = draw_table(rows=10, columns=10).mark("is_atrophic", np.arange(100), pd.NA)
    drawn.set("fibers/small_fibers", {"missing": "give the sex"})
    found = measured(drawn)
    for name in (
        *("small_angular_fibers", "small_round_fibers", "atrophic_fibers", "hypertrophy"),
    ):
        assert found[name].why_not == "give the sex"
        assert np.isnan(found[name].value)
    assert found["size_variability"].value > 0


def test_none_of_few_fibers_is_less_sure_than_none_of_many() -> None:
    few, many = (measured(draw_table(rows=rows, columns=20)) for rows in (2, 24))
    name = "small_angular_fibers"
    assert few[name].value == many[name].value == 0
    assert few[name].least_sd > 3 * many[name].least_sd > 0


def test_rounding_is_of_fibers_of_normal_size() -> None:
    drawn = draw_table(rows=10, columns=10).mark("circularity", np.arange(100), 0.88)
    drawn.mark("circularity", np.arange(40), 0.93)
    found = measured(drawn.shrink(np.arange(20), "angular"))["rounding"]
    assert found.n == 80
    assert found.value == pytest.approx((20 * 0.93 + 60 * 0.88) / 80)
    assert set(found.labels) == set(range(21, 41))
    few = draw_table(rows=10, columns=10).mark("shape_assessable", np.arange(91), False)
    assert measured(few)["rounding"].why_not == "only 9 fibers have a shape that can be judged"


def test_concave_sides_are_held_against_other_fibers() -> None:
    drawn = draw_table(rows=10, columns=10)
    found = measured(drawn.shrink(np.arange(12)))["concave_small_fibers"]
    assert found.value == pytest.approx(6.0 - 1.0)
    assert found.n == 12
    for n, told in ((9, "only 9 atrophic fibers"), (91, "only 91 atrophic fibers")):
        few = measured(draw_table(rows=10, columns=10).shrink(np.arange(n)))
        assert told in few["concave_small_fibers"].why_not


def test_variability_is_within_types_where_they_are_known() -> None:
    drawn = draw_table("all", rows=20, columns=20)
    second = np.flatnonzero(drawn.table["type"] == "II")
    drawn.table.loc[second, "min_feret_um"] *= 0.5
    size, fast = drawn.table["min_feret_um"], drawn.table["type"] == "II"
    parts = [size[fast], size[~fast]]
    squares = sum(len(part) * (part.std() / part.mean()) ** 2 for part in parts)
    expected = 1000 * np.sqrt(squares / 400)
    found = measured(drawn)["size_variability"]
    assert found.value == pytest.approx(expected)
    drawn.table["type"] = ""
    pooled = measured(drawn)["size_variability"]
    assert pooled.value == pytest.approx(1000 * size.std() / size.mean())
    assert pooled.value > 1.5 * expected
    assert pooled.n == found.n == 400


def test_few_types_do_not_part_the_sizes() -> None:
    drawn = draw_table("all", rows=20, columns=20)
    drawn.mark("type", np.arange(81), "")
    size = drawn.table["min_feret_um"]
    expected = 1000 * size.std() / size.mean()
    assert measured(drawn)["size_variability"].value == pytest.approx(expected)
    few = draw_table(rows=3, columns=3)
    assert measured(few)["size_variability"].why_not == "only 9 fibers were measured"


def test_two_modes() -> None:
    drawn = draw_table()
    one = measured(drawn)["bimodality"]
    assert (one.value, one.absent, one.words) == (0.0, True, {"modes": "one mode"})
    drawn.set(
        "patterns/size_modes/all",
        {"assessable": True, "two_modes": True, "mixture": {"ashman_d": 3.4}, "n": 480},
    )
    two = measured(drawn)["bimodality"]
    assert (two.value, two.absent, two.words) == (3.4, False, {"modes": "two modes"})
    drawn.set("patterns/size_modes/all", {"assessable": False, "why_not": "too few"})
    assert measured(drawn)["bimodality"].why_not == "too few"


def test_nuclei() -> None:
    drawn = draw_table(rows=20, columns=20)
    drawn.with_internal_nuclei(np.arange(20)).with_internal_nuclei(np.arange(8), central=True)
    drawn.mark("n_internal_nuclei", np.array([390]), np.nan)
    found = measured(drawn.set("nuclei/clumps", {"n": 4}))
    assert found["internal_nuclei"].value == pytest.approx(100 * 20 / 399)
    assert found["central_nuclei"].value == pytest.approx(100 * 8 / 399)
    assert set(found["central_nuclei"].labels) == set(range(1, 9))
    clumps = found["nuclear_clumps"]
    assert clumps.value == pytest.approx(10.0)
    assert clumps.values[1:].std() == pytest.approx(1000 * 2 / 400, rel=0.15)
    assert clumps.values.min() >= 0


def test_nuclei_that_are_not_seen() -> None:
    names = ("internal_nuclei", "central_nuclei", "nuclear_clumps")
    found = measured(draw_table("atpase"))
    for name in names:
        assert "atpase" in found[name].why_not
    drawn = draw_table()
    drawn.table["n_internal_nuclei"] = np.nan
    found = measured(drawn)
    for name in names:
        assert found[name].why_not == "no measured fiber is known with its nuclei"


def test_conditions() -> None:
    drawn = draw_table(rows=20, columns=20)
    drawn.sicken("necrotic", np.arange(4)).sicken("split", np.arange(10, 20))
    drawn.mark("regenerating", np.array([30]), 0.49).mark("vacuolated", np.array([31]), np.nan)
    found = measured(drawn)
    assert found["necrosis"].value == pytest.approx(1.0)
    assert found["necrosis"].labels == (1, 2, 3, 4)
    assert found["splitting"].value == pytest.approx(2.5)
    assert found["regeneration"].value == 0
    assert found["vacuoles"].n == 399
    assert found["hypercontraction"].value == 0
    for name in ("target_fibers", "core_like_fibers"):
        assert found[name].why_not


def test_conditions_that_the_stain_does_not_show() -> None:
    found = measured(draw_table("atpase"))
    for name in ("necrosis", "regeneration", "hypercontraction"):
        assert found[name].why_not == "this stain or picture does not show it"
    assert found["splitting"].value == 0


def test_targets_and_cores() -> None:
    drawn = draw_table(rows=20, columns=20).set("cores", {"assessable": True})
    drawn.mark("core_depth_ratio", np.arange(200), 0.9)
    drawn.mark("core", np.arange(10), "target").mark("core", np.arange(10, 14), "core-like")
    drawn.mark("core_depth_ratio", np.array([6]), 0.2)
    found = measured(drawn)
    assert found["target_fibers"].value == pytest.approx(5.0)
    assert found["target_fibers"].n == 200
    assert found["target_fibers"].labels[0] == 7
    assert found["core_like_fibers"].value == pytest.approx(2.0)
