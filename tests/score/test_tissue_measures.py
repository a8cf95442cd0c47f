from __future__ import annotations

import numpy as np
import pytest
from drawn_tables import DrawnTable, draw_table

from biopsy_ai.score import load_evidence
from biopsy_ai.score.measurement import Measurement
from biopsy_ai.score.resampling import draw_replicates
from biopsy_ai.score.tissue_measures import measure_quality, measure_tissue

TISSUE = ("endomysial_fibrosis", "perimysial_fibrosis", "fat_replacement")


def measured(drawn: DrawnTable) -> dict[str, Measurement]:
    section = drawn.section()
    replicates = draw_replicates(section, load_evidence().interval)
    return {**measure_tissue(section, replicates), **measure_quality(section, replicates)}


def test_shares_of_the_tissue() -> None:
    found = measured(draw_table())
    assert [found[name].value for name in TISSUE] == [8.0, 10.0, 1.0]
    assert {found[name].n for name in TISSUE} == {480}


def test_tissue_that_is_not_known() -> None:
    drawn = draw_table("outlines")
    found = measured(drawn)
    for name in (*TISSUE, "inflammation", "artefact"):
        assert "(outlines)" in found[name].why_not
    one = draw_table().set("tissue/fat_percent", None)
    assert measured(one)["fat_replacement"].why_not == "the tissue is not known"
    assert measured(one)["endomysial_fibrosis"].value == 8.0


def test_clusters_of_nuclei() -> None:
    drawn = draw_table().set("nuclei/clusters", {"n": 16, "n_nuclei": 320})
    found = measured(drawn)["inflammation"]
    assert found.value == pytest.approx(200.0)
    assert found.n == 700
    assert found.values[1:].mean() == pytest.approx(200, rel=0.05)
    assert found.values[1:].std() == pytest.approx(200 / 4, rel=0.2)
    none = measured(draw_table().set("nuclei/clusters", {"n": 0, "n_nuclei": 0}))["inflammation"]
    assert not none.why_not
    assert not none.values.any()


def test_clusters_need_the_area_of_the_tissue() -> None:
    assert measured(draw_table().set("tissue/area_um2", None))["inflammation"].why_not


def test_quality() -> None:
    found = measured(draw_table())
    assert (found["obliquity"].value, found["obliquity"].grade) == (1.3, "absent")
    assert found["obliquity"].words == {"aligned": "have no common direction"}
    assert (found["artefact"].value, found["artefact"].n) == (1.0, 120)
    oblique = {"median_feret_aspect_ratio": 1.9, "oblique": True}
    found = measured(draw_table().set("fibers/obliquity", oblique))
    assert (found["obliquity"].value, found["obliquity"].grade) == (1.9, "moderate")
    assert "one direction" in found["obliquity"].words["aligned"]


def test_no_fiber_is_not_oblique() -> None:
    drawn = draw_table(rows=4, columns=4).set("fibers/obliquity", {})
    drawn.mark("excluded", np.arange(16), "cut")
    assert measured(drawn)["obliquity"].why_not == "no fiber was measured"
