from __future__ import annotations

import pytest

from napari_plugin.column_names import column_title


@pytest.mark.parametrize(
    ("name", "title"),
    [
        ("area_um2", "area (µm²)"),
        ("equivalent_diameter_um", "equivalent diameter (µm)"),
        ("orientation_deg", "orientation (°)"),
        ("is_atrophic", "atrophic"),
        ("label", "fiber"),
        ("n_nuclei", "nuclei"),
    ],
)
def test_units_stand_in_brackets(name: str, title: str) -> None:
    assert column_title(name) == title
