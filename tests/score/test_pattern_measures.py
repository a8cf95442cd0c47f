from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from drawn_tables import DrawnTable, draw_table, findings_of, with_type_2_atrophy

from biopsy_ai.score import load_evidence
from biopsy_ai.score.finding import make_finding
from biopsy_ai.score.measurement import Measurement
from biopsy_ai.score.pattern_measures import (
    is_selective,
    measure_grouped_atrophy,
    measure_grouping,
    measure_perifascicular,
    measure_types,
)
from biopsy_ai.score.resampling import draw_replicates

EVIDENCE = load_evidence()
TRAPS = EVIDENCE.traps


def measured(drawn: DrawnTable, *, elderly: bool = False) -> dict[str, Measurement]:
    section = drawn.section()
    replicates = draw_replicates(section, EVIDENCE.interval)
    return {
        "type_grouping": measure_grouping(section, replicates),
        "grouped_atrophy": measure_grouped_atrophy(section, replicates, TRAPS),
        "perifascicular_atrophy": measure_perifascicular(section, replicates),
        **measure_types(section, replicates, TRAPS, elderly=elderly),
    }


def test_grouping_is_the_value_of_the_test_scattered_by_replicates() -> None:
    drawn = draw_table().grouped_types(0.21).mark("group", np.arange(10, 22), 1)
    found = measured(drawn)["type_grouping"]
    assert found.value == pytest.approx(0.21)
    assert found.n == len(drawn.pairs)
    assert found.labels == tuple(range(11, 23))
    assert 0.01 < found.values[1:].std() < 0.2
    assert found.values[1:].mean() == pytest.approx(0.21, abs=0.03)


def test_grouping_without_types() -> None:
    assert "(he)" in measured(draw_table("he"))["type_grouping"].why_not


def test_grouped_atrophy() -> None:
    drawn = draw_table().shrink(np.arange(30)).grouped_atrophy(0.3)
    found = measured(drawn.mark("atrophy_cluster", np.arange(25), 1))["grouped_atrophy"]
    assert found.value == pytest.approx(0.3)
    assert found.labels == tuple(range(1, 26))
    assert found.values[1:].std() > 0.005


def test_hardly_any_atrophic_fiber_is_no_grouped_atrophy() -> None:
    found = measured(draw_table().shrink(np.arange(4)))["grouped_atrophy"]
    assert found.absent
    assert found.value == 0
    few = draw_table(rows=9, columns=11).shrink(np.arange(4))
    assert "too few to lie in groups" in measured(few)["grouped_atrophy"].why_not


def test_grouped_atrophy_that_was_not_tested() -> None:
    drawn = draw_table().shrink(np.arange(30))
    drawn.set("patterns/grouped_atrophy", {"assessable": False, "why_not": "no contacts"})
    assert measured(drawn)["grouped_atrophy"].why_not == "no contacts"
    unknown = draw_table().mark("is_atrophic", np.arange(480), pd.NA)
    unknown.set("patterns/grouped_atrophy", {"cannot_tell": "which are small"})
    assert measured(unknown)["grouped_atrophy"].why_not == "which are small"


def test_perifascicular_atrophy() -> None:
    drawn = draw_table().set("patterns/perifascicular_atrophy/ratio", 0.7)
    edge = np.flatnonzero(drawn.table["layer"] == 1)
    found = measured(drawn.shrink(edge[:30]))["perifascicular_atrophy"]
    assert found.value == pytest.approx(0.7)
    assert set(found.labels) == set(edge[:30] + 1)
    assert found.values[1:].mean() == pytest.approx(0.7, abs=0.05)
    assert found.values.min() > 0
    unknown = measured(draw_table(side=None))["perifascicular_atrophy"]
    assert unknown.why_not


def test_predominance() -> None:
    drawn = draw_table(rows=20, columns=20)
    drawn.table["type"] = np.where(np.arange(400) < 300, "I", "IIA")
    drawn.set("types/predominance", {"assessable": True, "predominant": "I"})
    found = measured(drawn)["type_predominance"]
    assert (found.value, found.n, found.grade) == (75.0, 400, "mild")
    drawn.set("types/predominance", {"assessable": True, "predominant": None})
    assert measured(drawn)["type_predominance"].grade == "absent"
    drawn.set("types/predominance", {"assessable": False, "why_not": "give the muscle"})
    assert measured(drawn)["type_predominance"].grade == "not assessable"
    drawn.set("types", {"assessable": False, "why_not": "no channel parts type I from type II"})
    for name in ("type_predominance", "type_2_atrophy", "type_1_atrophy"):
        assert measured(drawn)[name].why_not.startswith("no channel parts")


def test_selective_type_2_atrophy() -> None:
    drawn = with_type_2_atrophy(draw_table())
    found = measured(drawn)
    second = found["type_2_atrophy"]
    assert second.value == pytest.approx(22 / 56, rel=0.05)
    assert not second.absent
    assert make_finding("type_2_atrophy", second, EVIDENCE).grade == "severe"
    assert set(second.labels) == set(drawn.table["label"][drawn.table["type"] == "II"])
    assert second.words["atrophic"] == "100 % of type II and 0 % of type I are atrophic"
    first = found["type_1_atrophy"]
    assert first.value == pytest.approx(1 / second.value)
    assert first.absent
    assert first.labels == ()


def test_sizes_that_cannot_be_judged_are_told_in_words() -> None:
    drawn = with_type_2_atrophy(draw_table())
    drawn.mark("is_atrophic", np.flatnonzero(drawn.table["type"] == "II"), pd.NA)
    result = drawn.score()
    found = findings_of(result)
    assert result.score["type2_atrophy"]["present"]
    assert result.score["type2_atrophy"]["text"] == (
        "Selective type II atrophy: present; 0 % of type I are atrophic, how many of type II are "
        "atrophic cannot be told."
    )
    for name in ("type_2_atrophy", "type_1_atrophy"):
        assert "nan" not in found[name]["sentence"]
    drawn.mark("is_atrophic", np.arange(len(drawn)), pd.NA)
    words = measured(drawn)["type_1_atrophy"].words["atrophic"]
    assert words == "how many of type I and type II are atrophic cannot be told"


def test_few_fibers_of_a_type() -> None:
    drawn = draw_table(rows=20, columns=20)
    drawn.table["type"] = np.where(np.arange(400) < TRAPS.type_2_least_fibers - 1, "II", "I")
    found = measured(drawn)
    for name in ("type_2_atrophy", "type_1_atrophy"):
        assert f"only {TRAPS.type_2_least_fibers - 1} fibers" in found[name].why_not
    assert not found["type_predominance"].why_not
    assert "(outlines)" in measured(draw_table("outlines"))["type_2_atrophy"].why_not


@pytest.mark.parametrize(
    ("ratio", "own", "other", "selective"),
    [
        (-0.01, 40.0, 5.0, True),
        (+0.01, 40.0, 5.0, False),
        (-0.01, 40.0, 25.0, False),
        (-0.01, TRAPS.type_2_atrophic_from - 1, 0.0, False),
        (-0.01, float("nan"), 5.0, True),
        (-0.01, 40.0, float("nan"), True),
    ],
)
def test_what_is_selective(ratio: float, own: float, other: float, selective: bool) -> None:
    for elderly, limit in (
        (False, TRAPS.type_2_ratio_below),
        (True, TRAPS.type_2_ratio_below_elderly),
    ):
        assert is_selective(limit + ratio, own, other, TRAPS, elderly=elderly) is selective
