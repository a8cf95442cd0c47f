from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from biopsy_ai.config import STAINS
from biopsy_ai.patterns.stain_polarity import (
    HYBRIDS,
    TYPES,
    UNDETERMINED,
    check_border_layer,
    compare_typings,
    settle_polarity,
    stain_entry,
    why_no_types,
)

MARKS = {"P", "P-ocr", "S", "M", "D", "E", "default"}
EVEN = np.array([0.02, 0.02, 0.02])


def test_every_stain_tells_its_types_or_says_why_not():
    for stain in (*STAINS, "nadh_sdh", "unknown"):
        if stain == "auto":
            continue
        entry = stain_entry(stain)
        if why_no_types(stain):
            assert len(why_no_types(stain)) > 30
            continue
        assert entry["mark"] in MARKS, stain
        assert entry["source"], stain
        if stain == "if":
            continue
        for name in ("two", "three", "three_pale", "three_dark"):
            kinds = entry.get(name, [])
            assert set(kinds) <= set(TYPES)
            assert name not in entry or {"I"} <= set(kinds)
        assert entry["between"] in (*HYBRIDS, UNDETERMINED)


def test_type_i_is_pale_at_ph_9_4_and_dark_in_every_other_stain():
    for stain in ("atpase:9.4", "atpase:4.6", "atpase:4.3", "nadh", "sdh", "cox", "nadh_sdh"):
        pale_to_dark = settle_polarity(stain, np.array([0.1, 0.5]), EVEN[:2]).pale_to_dark
        assert pale_to_dark.index("I") == (0 if stain == "atpase:9.4" else 1)
        levels = stain_entry(stain)["levels"]
        pale_end = levels["I"][1] < levels["IIA"][0]
        assert pale_end == (stain == "atpase:9.4")


@pytest.mark.parametrize(
    ("stain", "middle", "types", "agrees"),
    [
        ("atpase:9.4", 0.4, ("I", "II", "II"), True),
        ("atpase:9.4", 0.2, ("I", "undetermined", "II"), False),
        ("atpase:4.6", 0.3, ("IIA", "IIX", "I"), True),
        ("atpase:4.6", 0.13, ("II", "undetermined", "I"), False),
        ("atpase:4.3", 0.3, ("II", "I/IIA", "I"), True),
        ("atpase:4.3", 0.15, ("II", "II", "I"), True),
        ("atpase:4.3", 0.45, ("II", "I", "I"), True),
        ("nadh", 0.2, ("IIX", "IIA", "I"), True),
    ],
)
def test_three_levels_by_the_place_of_the_middle_one(stain, middle, types, agrees):
    polarity = settle_polarity(stain, np.array([0.1, middle, 0.5]), EVEN)
    assert polarity.pale_to_dark == types
    assert polarity.agrees == agrees
    assert ("check the pH" in polarity.text) == (not agrees)


def test_a_dark_level_that_scatters_holds_two_types_in_stains_of_mitochondria():
    levels, sds = np.array([0.1, 0.32]), np.array([0.013, 0.13])
    assert "IIA beside I" in settle_polarity("nadh", levels, sds).why_not
    assert not settle_polarity("nadh", levels, np.array([0.03, 0.04])).why_not
    assert not settle_polarity("atpase:9.4", levels, sds).why_not


def fascicle(share_at_border: float, share_inside: float, n: int = 200) -> tuple:
    table = pd.DataFrame({"layer": np.repeat([1, 3], n), "excluded": ""})
    order = np.arange(n) / n
    type_i = np.concatenate([order < share_at_border, order < share_inside]).astype(float)
    return table, type_i


@pytest.mark.parametrize(
    ("at_border", "inside", "agrees"), [(0.3, 0.5, True), (0.48, 0.5, None), (0.7, 0.4, False)]
)
def test_type_2_lies_at_the_border_of_fascicles(at_border, inside, agrees):
    check = check_border_layer(*fascicle(at_border, inside))
    assert check["agrees"] is agrees
    assert (check["z"] > 0) == (at_border > inside)
    assert check["share_at_border"] == pytest.approx(at_border)


def test_the_border_tells_nothing_without_layers_or_with_few_fibers():
    table, type_i = fascicle(0.7, 0.3, n=20)
    assert check_border_layer(table, type_i)["agrees"] is None
    table, type_i = fascicle(0.7, 0.3)
    assert check_border_layer(table.drop(columns="layer"), type_i)["agrees"] is None
    assert check_border_layer(table, np.full(400, np.nan))["agrees"] is None
    table["layer"] = pd.array([pd.NA] * 400, dtype="Int64")
    assert check_border_layer(table, type_i)["z"] is None


def test_two_stains_of_the_same_fibers():
    rng = np.random.default_rng(0)
    one = (rng.random(200) < 0.4).astype(float)
    other = np.where(rng.random(200) < 0.05, 1 - one, one)
    found = compare_typings(one, other)
    assert found["agrees"] is True
    assert found["n"] == 200
    assert found["kappa"] == pytest.approx(0.9, abs=0.06)
    assert compare_typings(one, 1 - other)["agrees"] is False
    assert compare_typings(one, np.zeros(200))["agrees"] is None
    assert compare_typings(one[:20], other[:20])["agrees"] is None
    gaps = np.where(np.arange(200) < 100, np.nan, one)
    assert compare_typings(gaps, other)["n"] == 100
