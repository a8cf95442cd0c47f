from __future__ import annotations

import json
import uuid

import numpy as np
import pandas as pd
import pytest

from biopsy_ai.formats.qupath import measurement_name, write_geojson
from biopsy_ai.formats.read_qupath import read_geojson


def test_features_are_as_qupath_expects_them(tmp_path) -> None:
    triangle = np.array([(1.234567, 2.0), (5.0, 2.0), (5.0, 8.0)])
    fibers = pd.DataFrame(
        {
            "label": [12],
            "area_um2": [1234.56789],
            "min_feret_um": [np.nan],
            "n_acute_angles": np.array([3], dtype=np.int32),
            "shape_assessable": [True],
            "touches_tissue_edge": pd.array([pd.NA], dtype="boolean"),
            "n_nuclei": pd.array([pd.NA], dtype="Int64"),
            "n_internal_nuclei": pd.array([2], dtype="Int64"),
            "is_centrally_nucleated": pd.array([False], dtype="boolean"),
            "condition": [None],
            "excluded": ["cut by the image border; torn"],
        }
    )
    write_geojson(tmp_path / "f.geojson", [(12, triangle)], image_id="abc", fibers=fibers)
    text = (tmp_path / "f.geojson").read_text(encoding="utf-8")
    content = json.loads(text, parse_constant=pytest.fail)
    (only,) = content["features"]
    assert content["type"] == "FeatureCollection"
    assert only["type"] == "Feature"
    assert uuid.UUID(only["id"]).version == 5
    assert only["geometry"] == {
        "type": "Polygon",
        "coordinates": [[[1.23, 2.0], [5.0, 2.0], [5.0, 8.0], [1.23, 2.0]]],
    }
    properties = only["properties"]
    assert properties["objectType"] == "detection"
    assert properties["name"] == "fiber 12"
    assert properties["classification"] == {"name": "Excluded fiber", "color": [230, 159, 0]}
    assert properties["measurements"] == {
        "Area µm^2": 1234.57,
        "Min Feret µm": "NaN",
        "N Acute Angles": 3,
        "Shape Assessable": 1,
        "Touches Tissue Edge": "NaN",
        "N Nuclei": "NaN",
        "N Internal Nuclei": 2,
        "Is Centrally Nucleated": 0,
    }
    assert properties["metadata"] == {"label": "12", "excluded": "cut by the image border; torn"}


@pytest.mark.parametrize("nothing", ["", None, np.nan])
def test_a_fiber_without_a_reason_is_not_excluded(tmp_path, nothing) -> None:
    triangle = np.array([(1.0, 2.0), (5.0, 2.0), (5.0, 8.0)])
    fibers = pd.DataFrame({"label": [3], "excluded": pd.Series([nothing], dtype=object)})
    write_geojson(tmp_path / "f.geojson", [(3, triangle)], image_id="a", fibers=fibers)
    (only,) = json.loads((tmp_path / "f.geojson").read_text("utf-8"))["features"]
    assert only["properties"]["classification"]["name"] == "Fiber"
    assert only["properties"]["metadata"] == {"label": "3"}


@pytest.mark.parametrize(
    ("kind", "excluded", "name", "color"),
    [
        ("IIA", "", "Fiber: IIA", [213, 94, 0]),
        ("I/IIA", "", "Fiber: I/IIA", [204, 121, 167]),
        ("undetermined", "", "Fiber: undetermined", [153, 153, 153]),
        ("IIB", "", "Fiber: IIB", [0, 158, 115]),
        ("", "", "Fiber", [0, 158, 115]),
        (None, "", "Fiber", [0, 158, 115]),
        ("I", "torn", "Excluded fiber", [230, 159, 0]),
    ],
)
def test_typed_fibers_have_a_class_of_their_own_and_are_read_back(
    tmp_path, kind, excluded, name, color
) -> None:
    triangle = np.array([(1.0, 2.0), (5.0, 2.0), (5.0, 8.0)])
    fibers = pd.DataFrame(
        {
            "label": [7],
            "type": pd.Series([kind], dtype=object),
            "type_posterior": [0.875],
            "group": pd.array([3], dtype="Int64"),
            "excluded": [excluded],
        }
    )
    path = tmp_path / "f.geojson"
    write_geojson(path, [(7, triangle)], image_id="a", fibers=fibers)
    (only,) = json.loads(path.read_text("utf-8"))["features"]
    properties = only["properties"]
    assert properties["classification"] == {"name": name, "color": color}
    assert properties["measurements"] == {"Type Posterior": 0.875, "Group": 3}
    assert properties["metadata"].get("type") == (kind or None)
    (outline,) = read_geojson(path).outlines
    assert outline.label == 7


def test_ids_are_stable_and_differ_between_fibers_and_images(tmp_path, fibers) -> None:
    triangle = np.array([(1.0, 2.0), (5.0, 2.0), (5.0, 8.0)])

    def ids(image_id: str) -> list[str]:
        path = tmp_path / "f.geojson"
        write_geojson(path, [(1, triangle), (4, triangle)], image_id=image_id, fibers=fibers)
        return [item["id"] for item in json.loads(path.read_text("utf-8"))["features"]]

    assert ids("a") == ids("a")
    assert len({*ids("a"), *ids("b")}) == 4


def test_corners_of_any_layout_are_written_and_must_be_numbers(tmp_path) -> None:
    path = tmp_path / "fibers.geojson"
    corners = np.array([[0, 0], [10, 0], [10, 10], [0, 10]], float)
    write_geojson(path, [(1, corners)], image_id="a")
    expected = path.read_bytes()
    for layout in (np.asfortranarray(corners), corners.astype(">f8"), corners.astype(np.float32)):
        write_geojson(path, [(1, layout)], image_id="a")
        assert path.read_bytes() == expected
    corners[0, 0] = np.nan
    with pytest.raises(ValueError, match="fiber 1"):
        write_geojson(path, [(1, corners)], image_id="a")
    assert path.read_bytes() == expected, "what was there stays"


def test_no_fibers_make_an_empty_collection(tmp_path) -> None:
    write_geojson(tmp_path / "f.geojson", [], image_id="a")
    content = json.loads((tmp_path / "f.geojson").read_text())
    assert content == {"type": "FeatureCollection", "features": []}
    assert read_geojson(tmp_path / "f.geojson").outlines == ()


@pytest.mark.parametrize(
    ("column", "name"),
    [
        ("area_um2", "Area µm^2"),
        ("min_feret_um", "Min Feret µm"),
        ("min_angle_deg", "Min Angle °"),
        ("circularity", "Circularity"),
    ],
)
def test_measurements_are_named_as_in_qupath(column: str, name: str) -> None:
    assert measurement_name(column) == name
