from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from biopsy_ai.measure.reference import Limits
from biopsy_ai.measure.size_reference import SizeReference, find_size_reference
from biopsy_ai.measure.small_fibers import find_size_sets, summarize_small_fibers


def section(*parts: tuple[int, float, str], spread: float = 0.1) -> pd.DataFrame:
    """Fibers of several sizes; each part a number, a median in µm and a type."""
    rng = np.random.default_rng(0)
    sizes = [median * rng.lognormal(0, spread, n) for n, median, _ in parts]
    table = pd.DataFrame({"min_feret_um": np.concatenate(sizes)})
    table["type"] = np.repeat([name for *_, name in parts], [n for n, *_ in parts])
    table["label"] = np.arange(1, len(table) + 1)
    table["shape_assessable"] = True
    table["circularity"], table["min_angle_deg"], table["n_acute_angles"] = 0.84, 100.0, 0.0
    table["solidity"], table["feret_aspect_ratio"] = 0.97, 1.3
    return table


def reference(table: pd.DataFrame, **given: Any) -> SizeReference:
    return find_size_reference(table, np.ones(len(table), bool), **given)


def test_adults_are_held_to_the_limits_of_their_sex_and_the_own_center() -> None:
    found = reference(section((300, 50, "")), sex="male")
    assert [entry["origin"] for entry in found.lows] == ["sex", "section"]
    assert found.low_um[0] == pytest.approx(max(40, 50 * np.exp(-0.2)), rel=0.05)
    assert found.high_um[0] == pytest.approx(50 * np.exp(0.2), rel=0.05)
    assert found.why_not == ""
    assert "as no age is given" in " ".join(found.words)


@pytest.mark.parametrize(("age", "mean"), [(0, 11.0), (8.5, 30.5), (16.9, 49.8)])
def test_children_are_held_to_interpolated_limits_that_say_so(age: float, mean: float) -> None:
    found = reference(section((300, mean, "")), sex="male", age=age)
    low = found.lows[0]
    assert low["origin"] == "age"
    assert low["value"] == pytest.approx(0.6 * mean, abs=0.1)
    assert found.highs[0]["value"] == pytest.approx(1.4 * mean, abs=0.2)
    assert low["mark"] == "D"
    assert "interpolated" in low["source"]
    assert reference(section((300, 50, "")), sex="male", age=17).lows[0]["origin"] == "sex"


def test_no_muscle_has_limits_of_its_own_and_this_is_said() -> None:
    with_muscle = reference(section((300, 50, "")), sex="male", muscle="soleus")
    assert "for soleus alone" in " ".join(with_muscle.words)
    assert with_muscle.low_um[0] == reference(section((300, 50, "")), sex="male").low_um[0]


def test_each_type_is_held_to_its_own_center() -> None:
    found = reference(section((200, 60, "I"), (200, 48, "IIA"), (10, 50, "undetermined")))
    one, two, rest = found.low_um[[0, 250, 405]]
    assert one == pytest.approx(60 * np.exp(-0.2), rel=0.08)
    assert two == pytest.approx(48 * np.exp(-0.2), rel=0.08)
    assert rest != one
    assert [entry["type"] for entry in found.lows] == ["I", "II", None]


@pytest.mark.parametrize(
    ("parts", "why"),
    [
        (((80, 60, ""), (220, 28, "")), "least limit"),
        (((100, 75, ""), (200, 34, "")), "two modes"),
        (((10, 60, ""),), "too few"),
    ],
)
def test_mostly_small_fibers_are_no_reference_for_themselves(parts, why: str) -> None:
    table = section(*parts)
    found = reference(table)
    assert np.isnan(found.low_um).all()
    assert "cannot be told" in found.why_not
    assert why in found.why_not
    sets = find_size_sets(table)
    assert not sets.judged.any()
    assert not sets.atrophic.any()
    assert "--sex" in summarize_small_fibers(table, None)["missing"]


def test_with_the_sex_mostly_small_fibers_are_told() -> None:
    table = section((80, 60, ""), (220, 28, ""))
    sets = find_size_sets(table, "male")
    assert sets.atrophic.sum() == pytest.approx(220, abs=3)
    assert "more than half of them lie below 40 µm" in " ".join(sets.reference.words)


def test_a_type_that_is_small_as_a_whole_is_no_reference_for_itself() -> None:
    table = section((200, 60, "I"), (200, 34, "IIA"))
    sets = find_size_sets(table)
    assert "fibers of type II" in sets.reference.why_not
    assert sets.judged[:200].all()
    assert not sets.judged[200:].any()
    known = find_size_sets(table, "female")
    assert known.judged.all()
    # 42 µm women's type 2B beside 53 µm of type 1 are normal
    usual = find_size_sets(section((200, 53, "I"), (200, 42, "IIX")))
    assert usual.reference.why_not == ""


def test_fibers_on_the_edge_and_sick_or_excluded_ones_are_in_no_set() -> None:
    table = section((200, 60, ""), (6, 20, ""), (3, 100, ""))
    table["excluded"], table["condition"], table["touches_border"] = "", "normal", False
    table.loc[200, "excluded"] = "in an artefact"
    table.loc[201, "condition"] = "regenerating"
    table.loc[202, "condition"] = "necrotic;vacuolated"
    table.loc[203, "touches_border"] = True
    table.loc[204, "condition"] = pd.NA
    sets = find_size_sets(table, "male")
    assert np.flatnonzero(sets.atrophic[200:206]).tolist() == [4, 5]
    assert np.flatnonzero(sets.hypertrophic[200:]).tolist() == [6, 7, 8]
    assert summarize_small_fibers(table, "male")["small"]["n"] == int(sets.atrophic.sum())
    assert summarize_small_fibers(table, "male")["large"]["n"] == int(sets.hypertrophic.sum())


def test_limits_of_the_user() -> None:
    table = section((300, 50, ""))
    found = reference(table, age=8.5, limits=Limits({"growing_diameter_sd": 0.1}))
    assert found.lows[0]["value"] == pytest.approx(0.8 * 30.5, abs=0.1)
