from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from biopsy_ai.measure.brooke_engel import wilson_interval
from biopsy_ai.measure.reference import Limits
from biopsy_ai.patterns.muscles import find_muscle, muscle_names
from biopsy_ai.patterns.type_summary import summarize_types


def section(n_1=150, n_2=250, mean_1=60.0, mean_2=60.0, sd=6.0, seed=0) -> pd.DataFrame:
    """Make fibers of two types in ten fascicles, of which the whole is seen."""
    rng = np.random.default_rng(seed)
    n = n_1 + n_2
    slow = np.arange(n) < n_1
    small = np.where(slow, rng.normal(mean_1, sd, n), rng.normal(mean_2, sd, n))
    return pd.DataFrame(
        {
            "label": np.arange(1, n + 1),
            "area_um2": np.pi * small**2 / 4,
            "min_feret_um": small,
            "max_feret_um": 1.2 * small,
            "orientation_deg": rng.uniform(-90, 90, n),
            "equivalent_diameter_um": small,
            "circularity": 0.85,
            "solidity": 0.95,
            "feret_aspect_ratio": 1.2,
            "shape_assessable": True,
            "touches_border": False,
            "fascicle": 1 + rng.permutation(n) % 10,
            "type": np.where(slow, "I", np.where(np.arange(n) % 2, "IIA", "IIX")),
            "type_posterior": 0.98,
            "type_i_posterior": np.where(slow, 0.98, 0.01),
            "excluded": "",
        }
    )


def test_shares_by_number_and_by_area():
    table = section(mean_2=30)
    table.loc[0, "excluded"] = "in an artefact"
    table.loc[399, "type"] = "undetermined"
    found = summarize_types(table)
    json.dumps(found, allow_nan=False)
    share = found["type_1_share"]
    assert (share["n"], share["of"]) == (149, 398)
    assert share["wilson_95"] == pytest.approx(wilson_interval(149, 398))
    area = table["area_um2"].to_numpy()
    by_area = area[1:150].sum() / area[1:399].sum()
    assert share["by_area"]["share"] == pytest.approx(by_area)
    low, high = share["by_area"]["interval_95"]
    assert low < by_area < high
    assert share["by_area"]["method"] == "fascicles drawn anew"
    low, high = share["fascicles_95"]
    assert low < share["share"] < high
    assert found["shares"]["II"]["n"] == 249
    assert found["shares"]["IIA"]["n"] + found["shares"]["IIX"]["n"] == 249
    assert found["n_undetermined"] == 1
    assert found["enough"]
    assert summarize_types(table) == found
    assert summarize_types(table, seed=1)["type_1_share"] != share


def test_intervals_without_fascicles_take_fibers_as_independent():
    table = section().drop(columns="fascicle")
    share = summarize_types(table)["type_1_share"]
    assert share["fascicles_95"] is None
    assert share["by_area"]["method"] == "fibers taken as independent"
    low, high = share["by_area"]["interval_95"]
    assert high - low == pytest.approx(2 * 1.96 * np.sqrt(0.375 * 0.625 / 400), rel=0.1)


def test_fascicles_that_differ_widen_the_interval():
    table = section()
    table = table.sort_values("type").assign(fascicle=1 + np.arange(400) // 40)
    share = summarize_types(table)["type_1_share"]
    fibers = share["wilson_95"]
    fascicles = share["fascicles_95"]
    assert fascicles[1] - fascicles[0] > 3 * (fibers[1] - fibers[0])


def test_sizes_and_factors_by_type():
    table = section(mean_1=60, mean_2=84)
    by_type = summarize_types(table, sex="male")["by_type"]
    assert by_type["I"]["quantities"]["min_feret_um"]["mean"] == pytest.approx(60, abs=1)
    assert by_type["II"]["n"] == 250
    assert by_type["I"]["variability_coefficient"]["value"] == pytest.approx(100, rel=0.15)
    assert by_type["I"]["variability_coefficient"]["normal"]
    # type 2 of men may be larger
    factor = by_type["II"]["atrophy_hypertrophy"]["hypertrophy_factor"]
    assert factor["limit"]["value"] == 400
    assert by_type["I"]["atrophy_hypertrophy"]["hypertrophy_factor"]["limit"]["value"] == 150
    assert "missing" in summarize_types(table)["by_type"]["I"]["atrophy_hypertrophy"]


@pytest.mark.parametrize(
    ("mean_1", "mean_2", "type_1", "type_2"),
    [(60, 60, False, False), (60, 36, False, True), (36, 60, True, False), (33, 28, False, False)],
)
def test_selective_atrophy(mean_1, mean_2, type_1, type_2):
    found = summarize_types(section(mean_1=mean_1, mean_2=mean_2, sd=4), sex="male")
    atrophy = found["selective_atrophy"]
    assert atrophy["type_1"]["selective"] is type_1
    assert atrophy["type_2"]["selective"] is type_2
    assert atrophy["type_2"]["ratio"] == pytest.approx(mean_2 / mean_1, rel=0.03)
    low, high = atrophy["type_2"]["ratio_95"]
    assert low < atrophy["type_2"]["ratio"] < high
    assert (atrophy["type_2"]["meaning"] is not None) == type_2


def test_selective_atrophy_needs_sex_age_and_fibers():
    assert "sex" in summarize_types(section())["selective_atrophy"]["why_not"]
    child = summarize_types(section(), sex="male", age=8)["selective_atrophy"]
    assert "adults" in child["why_not"]
    few = summarize_types(section(n_1=99), sex="male")["selective_atrophy"]
    assert "99 fibers of type I; 100" in few["why_not"]
    less = summarize_types(section(n_1=99), sex="male", limits=Limits({"min_fibers": 50}))
    assert less["selective_atrophy"]["assessable"]


def test_disproportion_and_its_criteria():
    found = summarize_types(section(mean_1=42, mean_2=60))["disproportion"]
    assert found["percent"] == pytest.approx(30, abs=2)
    low, high = found["interval_95"]
    assert low < found["percent"] < high
    assert found["smaller_type"] == "I"
    assert [entry["met"] for entry in found["criteria"]] == [True, True, False, False]
    assert found["criteria"][1]["interval_beyond"]
    # a small type 2 is no congenital fiber-type disproportion
    other = summarize_types(section(mean_1=60, mean_2=42))["disproportion"]
    assert [entry["met"] for entry in other["criteria"]] == [True, False, False, False]
    alone = section(n_1=400, n_2=100, mean_1=42, mean_2=60).drop(columns="fascicle")
    found = summarize_types(alone)["disproportion"]
    assert found["method"] == "fibers taken as independent"
    # nothing is known of the diameters of the age
    assert found["criteria"][3]["met"] is None


@pytest.mark.parametrize(
    ("n_1", "muscle", "predominant"),
    [(150, "biceps", None), (260, "M. biceps brachii", "I"), (260, "VL", None), (60, "ta", "II")],
)
def test_predominance_depends_on_the_muscle(n_1, muscle, predominant):
    table = section(n_1=n_1, n_2=400 - n_1)
    found = summarize_types(table, muscle=muscle)["predominance"]
    assert found["predominant"] == predominant
    assert found["reference"]["share"]["source"]
    assert found["usual"][0] < found["reference"]["share"]["value"] < found["usual"][1]


def test_predominance_says_what_is_missing():
    table = section(n_1=50, n_2=350)
    unknown = summarize_types(table)["predominance"]
    assert "give the muscle" in unknown["why_not"]
    assert [entry["met"] for entry in unknown["thresholds"]] == [False, True]
    assert (
        "no reference for 'tongue'"
        in summarize_types(table, muscle="tongue")["predominance"]["why_not"]
    )
    child = summarize_types(table, muscle="vl", age=6)["predominance"]
    assert not child["assessable"]
    assert child["thresholds"][0]["applies"]
    few = summarize_types(section(n_1=50, n_2=60), muscle="vl")["predominance"]
    assert "110 fibers" in few["why_not"]


def test_hybrids_only_where_the_stain_tells_them():
    table = section()
    table.loc[::40, "type"] = "I/IIA"
    found = summarize_types(table)
    assert found["hybrids"]["n"] == 10
    assert not found["hybrids"]["above_normal"]
    assert found["type_1_share"]["of"] == 390
    told = summarize_types(table, typing={"tells_hybrids": False, "notes": ["a note"]})
    assert not told["hybrids"]["assessable"]
    assert told["notes"] == ["a note"]


def test_nothing_typed():
    table = section()
    found = summarize_types(table.drop(columns="type"))
    assert (found["assessable"], found["why_not"]) == (False, "the fibers were not typed")
    table["type"] = "undetermined"
    found = summarize_types(table, typing={"why_not": "H&E tells no types"})
    assert found["why_not"] == "H&E tells no types"
    empty = summarize_types(table.iloc[:0])
    assert not empty["assessable"]
    out = summarize_types(section().assign(excluded="in an artefact"))
    assert (out["assessable"], out["why_not"]) == (False, "all 400 typed fibers are excluded")


def test_few_fibers_and_unnamed_subtypes_are_noted():
    table = section(n_1=20, n_2=40)
    table.loc[25:30, "type"] = "II"
    found = summarize_types(table, muscle="vl", sex="female")
    assert not found["enough"]
    assert any("Only 60 fibers have a type" in note for note in found["notes"])
    assert any("The subtype of 6 fibers" in note for note in found["notes"])
    assert not found["by_type"]["I"]["enough"]
    one = summarize_types(section(n_1=200, n_2=0), sex="male")
    assert one["type_1_share"]["share"] == 1
    assert not one["disproportion"]["assessable"]
    json.dumps([found, one], allow_nan=False)


def test_every_muscle_has_a_source_and_a_mark():
    assert len(muscle_names()) > 8
    for name in muscle_names():
        known = find_muscle(name)
        assert known is not None
        assert known.name == name
        assert 0.2 < known.share.value < 0.95
        assert known.share.mark in {"P", "P-ocr", "S", "M"}
        assert len(known.share.source) > 5
    men, women = (find_muscle("left vastus lateralis", sex) for sex in ("male", "female"))
    assert men is not None
    assert women is not None
    assert men.share.value > women.share.value
    assert find_muscle("tongue") is None
