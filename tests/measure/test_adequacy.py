from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from biopsy_ai.measure.adequacy import (
    FASCICLE_COLUMNS,
    count_fibers,
    describe_fascicles,
    requirement,
    summarize_adequacy,
)
from biopsy_ai.measure.brooke_engel import wilson_interval
from biopsy_ai.measure.reference import Limits

MARKS = {"P", "P-ocr", "S", "M", "D", "E", "default"}


def section(n: int = 300, n_fascicles: int = 3, seed: int = 0) -> pd.DataFrame:
    """Make fibers without a direction, in fascicles of equal size."""
    rng = np.random.default_rng(seed)
    small = rng.normal(50, 5, n)
    return pd.DataFrame(
        {
            "label": np.arange(1, n + 1),
            "min_feret_um": small,
            "max_feret_um": 1.25 * small,
            "orientation_deg": rng.uniform(-90, 90, n),
            "touches_border": False,
            "shape_assessable": True,
            "excluded": "",
            "fascicle": 1 + np.arange(n) * n_fascicles // n,
            "type": np.where(np.arange(n) % 3, "II", "I"),
        }
    )


def test_every_minimum_has_a_source_and_a_mark() -> None:
    statistics = summarize_adequacy(section())["statistics"]
    assert len(statistics) > 8
    for name in statistics:
        minimum, recommended = requirement(name), requirement(name, "recommended")
        assert minimum is not None
        for entry in filter(None, (minimum, recommended)):
            assert entry.mark in MARKS, name
            assert len(entry.source) > 10, name
        assert recommended is None or recommended.value > minimum.value
    with pytest.raises(KeyError):
        requirement("no such statistic")


def test_internal_nuclei_need_what_the_wilson_interval_needs() -> None:
    minimum = requirement("internal_nuclei")
    assert minimum is not None
    low, high = wilson_interval(round(0.03 * minimum.value), int(minimum.value))
    assert (high - low) / 2 == pytest.approx(0.03, abs=0.003)


def test_enough_is_told_by_statistic() -> None:
    found = summarize_adequacy(section(260))
    assert found["counts"]["fibers"] == found["counts"]["typed fibers"] == 260
    assert found["counts"]["by type"] == {"I": 87, "II": 173}
    enough = {name: entry["enough"] for name, entry in found["statistics"].items()}
    assert enough["size_distribution"]
    assert enough["type_proportions"]
    assert enough["type_grouping"]
    assert enough["perifascicular_atrophy"]
    assert enough["size_by_type"] is False  # 87 fibers of type I
    assert enough["enclosed_fibers"] is False
    assert enough["fascicle_scatter"] is False
    text = found["statistics"]["size_by_type"]["text"]
    assert text in found["notes"]
    assert "too few, 87 fibers of the rarer type; at least 100 are needed" in text
    assert found["statistics"]["type_grouping"]["text"] not in found["notes"]
    json.dumps(found, allow_nan=False)


def test_few_more_than_the_minimum_are_noted() -> None:
    entry = summarize_adequacy(section(120))["statistics"]["size_distribution"]
    assert entry["enough"]
    assert "enough, but few, 120 fibers" in entry["text"]
    assert "and 200 recommended" in entry["text"]
    found = summarize_adequacy(section(220))
    entry = found["statistics"]["size_distribution"]
    assert ": enough, 220 fibers" in entry["text"]
    assert entry["text"] not in found["notes"]


def test_the_limits_of_the_user_decide() -> None:
    limits = Limits({"min_fibers": 250.0, "oblique_aspect_above": 1.2})
    found = summarize_adequacy(section(220), limits=limits)
    entry = found["statistics"]["size_distribution"]
    assert entry["enough"] is False
    assert entry["minimum"]["mark"] == "user"
    assert "too few, 220 fibers; at least 250 are needed" in entry["text"]
    assert found["fascicles"]["limits"]["oblique_aspect_above"]["value"] == 1.2
    few = describe_fascicles(section(220), limits=Limits({"size_normal_min_fibers": 100.0}))
    assert few["oblique"].isna().all()


def test_what_the_section_does_not_tell_is_neither_enough_nor_too_little() -> None:
    fibers = section().drop(columns=["type", "fascicle"])
    found = summarize_adequacy(fibers)
    assert found["statistics"]["type_grouping"]["enough"] is None
    entry = found["statistics"]["perifascicular_atrophy"]
    assert entry["n"] is None
    assert "not known" in entry["text"]
    assert entry["text"] not in found["notes"], "what is not known is not too little"
    assert found["fascicles"] is None
    assert found["statistics"]["size_distribution"]["enough"]


def test_one_type_cannot_be_compared() -> None:
    fibers = section()
    fibers["type"] = ["I", "undetermined", None] * 100
    counts = count_fibers(fibers)
    assert counts["by type"] == {"I": 100}
    assert counts["fibers of the rarer type"] == 0


def test_no_fibers_at_all() -> None:
    found = summarize_adequacy(section()[:0])
    assert found["counts"]["fibers"] == 0
    assert found["fascicles"]["n"] == 0
    assert not found["statistics"]["size_distribution"]["enough"]
    assert found["exclusions"]["excluded"]["share"] is None


def test_excluded_fibers_count_for_nothing_but_stay_known() -> None:
    fibers = section(100)
    fibers.loc[:29, "excluded"] = "folded"
    fibers.loc[30:34, "excluded"] = "cut by the image border"
    found = summarize_adequacy(fibers)
    assert found["counts"]["fibers"] == 65
    assert found["exclusions"]["excluded"]["n"] == 35
    assert found["exclusions"]["by_reason"]["folded"]["share"] == pytest.approx(0.3)
    assert list(found["exclusions"]["by_reason"]) == ["cut by the image border", "folded"]


def test_fascicles_are_judged_one_by_one() -> None:
    fibers = section(120, n_fascicles=4)
    fibers.loc[fibers["fascicle"] == 1, "touches_border"] = [True] + [False] * 29
    lying = fibers["fascicle"] == 2
    fibers.loc[lying, "max_feret_um"] = 2.0 * fibers["min_feret_um"]
    # -86° and 86° are nearly the same direction
    fibers.loc[lying, "orientation_deg"] = np.where(np.arange(30) % 2, -86.0, 86.0)
    long = fibers["fascicle"] == 3
    fibers.loc[long, "max_feret_um"] = 2.0 * fibers["min_feret_um"]
    fibers.loc[fibers["fascicle"] == 4, "excluded"] = ["torn"] * 25 + [""] * 5
    table = describe_fascicles(fibers).set_index("fascicle")
    assert table["complete"].tolist() == [False, True, True, True]
    assert table["n_measured"].tolist() == [30, 30, 30, 5]
    assert table["oblique"].tolist()[:3] == [False, True, False]  # the third points everywhere
    assert table["oblique"].isna().tolist() == [False, False, False, True]
    found = summarize_adequacy(fibers)
    assert found["fascicles"]["oblique"] == [2]
    assert found["fascicles"]["n_complete"] == 3
    assert any("cut obliquely" in note for note in found["notes"])


def test_borders_that_were_seen_decide_what_is_complete() -> None:
    fibers = section(120, n_fascicles=4)
    fibers.loc[fibers["fascicle"] == 1, "touches_border"] = True
    borders = pd.DataFrame({"fascicle": [1, 2, 3], "complete": [True, False, True]})
    assert describe_fascicles(fibers, borders)["complete"].tolist() == [True, False, True, False]
    found = summarize_adequacy(fibers, borders)
    assert found["counts"]["complete fascicles"] == found["fascicles"]["n_complete"] == 2
    assert found["statistics"]["perifascicular_atrophy"]["enough"]


def test_small_and_missing_fascicles() -> None:
    fibers = section(60, n_fascicles=2)
    fibers.loc[fibers["fascicle"] == 2, "fascicle"] = 0
    fibers["fascicle"] = fibers["fascicle"].astype("Int64")
    fibers.loc[:14, "fascicle"] = pd.NA
    table = describe_fascicles(fibers)
    assert table["n_fibers"].tolist() == [15]
    assert not table["complete"].any()
    empty = describe_fascicles(fibers.drop(columns="fascicle"))
    assert tuple(empty.columns) == FASCICLE_COLUMNS
    assert len(empty) == 0
