from __future__ import annotations

import pytest

from biopsy_ai.errors import ModelError
from biopsy_ai.segmentation.thresholds import InstanceThresholds, threshold_set


def test_mapping_and_back() -> None:
    thresholds = InstanceThresholds(border=0.4, min_area_um2=30)
    assert InstanceThresholds.from_mapping(thresholds.as_dict()) == thresholds


def test_missing_entries_take_their_default() -> None:
    assert InstanceThresholds.from_mapping({"border": 0.4}) == InstanceThresholds(border=0.4)


@pytest.mark.parametrize(
    "values", [{"border": 1.2}, {"border": "high"}, {"min_area_um2": -1}, {"min_peak": None}]
)
def test_values_out_of_range(values: dict[str, object]) -> None:
    with pytest.raises(ModelError, match=next(iter(values))):
        InstanceThresholds.from_mapping(values)


def test_unknown_names() -> None:
    with pytest.raises(ModelError, match="unknown threshold luck"):
        InstanceThresholds.from_mapping({"luck": 1})


@pytest.mark.parametrize(
    ("stain", "fluorescent", "name"),
    [
        ("auto", False, "thresholds"),
        ("he", False, "thresholds"),
        ("atpase:4.6", False, "enzyme_thresholds"),
        ("cox", False, "enzyme_thresholds"),
        ("auto", True, "fluorescence_thresholds"),
        ("if", True, "fluorescence_thresholds"),
    ],
)
def test_set_that_suits_a_section(stain: str, fluorescent: bool, name: str) -> None:
    assert threshold_set(stain, fluorescent=fluorescent) == name
