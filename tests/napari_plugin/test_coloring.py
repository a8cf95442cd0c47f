from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from biopsy_ai.formats.qupath import TYPE_COLORS
from biopsy_ai.report.pictures import CONDITION_COLORS
from napari_plugin.coloring import (
    COLORINGS,
    MANY,
    UNKNOWN,
    color_by,
    first_coloring,
    known_colorings,
)


def colors(key: str, table: pd.DataFrame) -> list[tuple[int, ...]]:
    found = color_by(key, table)
    return [tuple(int(part) for part in found.palette[place]) for place in found.index]


def test_types_have_the_colors_of_the_report() -> None:
    table = pd.DataFrame({"label": [1, 2, 3, 4], "type": ["I", "IIA", "", "I"]})
    assert colors("type", table) == [
        TYPE_COLORS["I"],
        TYPE_COLORS["IIA"],
        UNKNOWN,
        TYPE_COLORS["I"],
    ]
    texts = [swatch.text for swatch in color_by("type", table).swatches]
    assert texts == ["I (2)", "IIA (1)", "not typed (1)"]


def test_of_several_conditions_the_first_counts() -> None:
    table = pd.DataFrame({"label": [1, 2], "condition": ["split; necrotic", "normal"]})
    assert colors("condition", table)[0] == CONDITION_COLORS["split"]


def test_numbers_run_from_dark_to_bright() -> None:
    sizes = [np.nan, *np.linspace(20, 80, 200)]
    table = pd.DataFrame({"label": range(201), "min_feret_um": sizes})
    found = color_by("min_feret_um", table)
    shown = colors("min_feret_um", table)
    assert shown[0] == UNKNOWN
    brightness = [sum(color) for color in shown[1:]]
    assert brightness[0] < brightness[100] < brightness[-1]
    assert found.scale is not None
    assert found.scale.low == pytest.approx(20.6, abs=0.1)
    assert found.scale.high == pytest.approx(79.4, abs=0.1)
    assert found.scale.open_low
    assert found.scale.open_high
    assert [swatch.text for swatch in found.swatches] == ["not known (1)"]
    assert found.title == "min Feret (µm)"


def test_counts_have_whole_steps() -> None:
    table = pd.DataFrame({"label": [1, 2, 3], "n_nuclei": pd.array([0, 4, pd.NA], "Int64")})
    found = color_by("n_nuclei", table)
    assert found.scale is not None
    assert (found.scale.low, found.scale.high, len(found.scale.colors)) == (0, 4, 5)
    assert found.index.tolist() == [1, 5, 0]


def test_one_value_only() -> None:
    table = pd.DataFrame({"label": [1, 2], "area_um2": [300.0, 300.0]})
    scale = color_by("area_um2", table).scale
    assert scale is not None
    assert scale.low < 300 < scale.high


def test_certainty_of_the_type_begins_at_a_half() -> None:
    table = pd.DataFrame({"label": [1, 2], "type_posterior": [0.5, 1.0]})
    scale = color_by("type_posterior", table).scale
    assert scale is not None
    assert (scale.low, scale.high) == (0.5, 1.0)


def test_groups_take_turns() -> None:
    numbers = pd.array([1, 2, 8, pd.NA], "Int64")
    table = pd.DataFrame({"label": [1, 2, 3, 4], "group": numbers})
    assert colors("group", table) == [MANY[0], MANY[1], MANY[0], UNKNOWN]
    assert "in none (1)" in [swatch.text for swatch in color_by("group", table).swatches]


def test_the_legend_names_the_largest_groups() -> None:
    numbers = [group for group in range(1, 13) for _ in range(group)]
    table = pd.DataFrame({"label": range(len(numbers)), "group": numbers})
    found = color_by("group", table)
    assert len(found.swatches) == 7
    assert found.swatches[-1].text == "type group 12 (12)"
    assert "12" in found.note


def test_reasons_for_exclusion() -> None:
    reasons = ["", "out of focus", "out of focus; artefact", "artefact", ""]
    table = pd.DataFrame({"label": range(5), "excluded": reasons})
    texts = [swatch.text for swatch in color_by("excluded", table).swatches]
    assert texts == ["in the statistics (2)", "out of focus (2)", "artefact (1)"]
    assert "several" in color_by("excluded", table).note


def test_atrophy_knows_what_was_not_judged() -> None:
    flags = pd.array([True, True, False, pd.NA], "boolean")
    angular = pd.array([True, False, False, pd.NA], "boolean")
    table = pd.DataFrame({"label": range(4), "is_atrophic": flags, "is_angular_atrophic": angular})
    texts = [swatch.text for swatch in color_by("size_class", table).swatches]
    assert texts == ["atrophic (1)", "angular atrophic (1)", "others (1)", "not judged (1)"]


def test_only_what_is_known_is_offered() -> None:
    table = pd.DataFrame(
        {
            "label": [1, 2],
            "type": ["", ""],
            "min_feret_um": [30.0, np.nan],
            "n_nuclei": pd.array([pd.NA, pd.NA], "Int64"),
            "excluded": ["", ""],
        }
    )
    assert known_colorings(table) == ["outline", "min_feret_um", "excluded"]
    assert first_coloring(table) == "excluded"
    assert first_coloring(table[["label"]]) == "outline"
    table["type"] = ["I", ""]
    assert first_coloring(table) == "type"


@pytest.mark.parametrize("key", list(COLORINGS))
def test_every_coloring_takes_a_table_of_no_fibers(key: str) -> None:
    columns = {column for _, _, column in COLORINGS.values() if column}
    numbers = {"type", "condition", "excluded", "corrected"}
    table = pd.DataFrame(
        {
            name: pd.Series([], dtype=object if name in numbers else float)
            for name in {"label", *columns}
        }
    )
    assert len(color_by(key, table).index) == 0
