from __future__ import annotations

import gzip
import json
import uuid
import zipfile
from typing import Any

import numpy as np
import pandas as pd
import pytest

from biopsy_ai.errors import OutlineReadError
from biopsy_ai.formats.contours import fiber_polygons, fill_rings, from_image_xy, to_image_xy
from biopsy_ai.formats.qupath import measurement_name, read_geojson, write_geojson

SQUARE = [[0, 0], [10, 0], [10, 10], [0, 10], [0, 0]]


def moved(by: float) -> list[list[float]]:
    return [[x + by, y] for x, y in SQUARE]


def feature(kind: str = "Polygon", coordinates=None, /, **properties) -> dict:
    geometry = {"type": kind, "coordinates": [SQUARE] if coordinates is None else coordinates}
    return {"type": "Feature", "geometry": geometry, "properties": properties}


@pytest.fixture
def read(tmp_path):
    """Write a value as GeoJSON and read it."""

    def write_and_read(content):
        path = tmp_path / "reviewed.geojson"
        path.write_text(json.dumps(content))
        return read_geojson(path)

    return write_and_read


def labels_of(read_outlines) -> list[int]:
    return [outline.label for outline in read_outlines.outlines]


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
    corners = np.array(SQUARE[:-1], float)
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


@pytest.mark.parametrize("image_mpp", [(0.5, 0.5), (0.2, 0.25), (0.92, 0.92)])
def test_outlines_and_labels_survive_the_round_trip(
    tmp_path, segmentation, drawn_labels, fibers, image_mpp
) -> None:
    outlines = [
        (label, to_image_xy(polygon, segmentation.mpp, image_mpp))
        for label, polygon in fiber_polygons(
            segmentation.labels, segmentation.ids, segmentation.boxes
        )
    ]
    write_geojson(tmp_path / "f.geojson", outlines, image_id="a", fibers=fibers)
    read = read_geojson(tmp_path / "f.geojson")
    assert read.n_skipped == 0
    drawn = np.zeros_like(drawn_labels)
    for outline in read.outlines:
        rings = [from_image_xy(ring, image_mpp, segmentation.mpp) for ring in outline.rings]
        drawn[fill_rings(rings, drawn.shape)] = outline.label
    assert (drawn == drawn_labels).all()


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


def test_collections_lists_single_features_and_geometries_are_read(read) -> None:
    one = feature(objectType="detection")
    for content in (
        {"type": "FeatureCollection", "features": [one]},
        [one],
        one,
        one["geometry"],
        [{"type": "FeatureCollection", "features": [one]}],
    ):
        (outline,) = read(content).outlines
        assert outline.label == 1
        np.testing.assert_array_equal(outline.rings[0], SQUARE[:-1])


def test_annotations_detections_and_cells_of_old_and_new_files_are_read(read) -> None:
    result = read(
        [
            feature("Polygon", [moved(0)], objectType="annotation"),
            feature("Polygon", [moved(20)], objectType="detection"),
            {
                **feature("Polygon", [moved(40)], objectType="cell"),
                "nucleusGeometry": feature()["geometry"],
            },
            feature("Polygon", [moved(60)], object_type="PathDetectionObject"),
            feature("Polygon", [moved(80)]),
        ]
    )
    assert labels_of(result) == [1, 2, 3, 4, 5]
    assert all(len(outline.rings) == 1 for outline in result.outlines)


def test_labels_come_from_metadata_then_name_then_order(read) -> None:
    result = read(
        [
            feature(name="no number"),
            feature(name="fiber 12"),
            feature(name="fiber 3", metadata={"label": "40"}),
            feature(name="12"),
            feature(name="-4"),
            feature(),
        ]
    )
    assert labels_of(result) == [41, 12, 40, 42, 4, 43]


def test_holes_and_parts_are_rings_and_empty_geometries_are_skipped(read) -> None:
    hole = [[2, 2], [4, 2], [4, 4], [2, 2]]
    result = read(
        [
            feature("MultiPolygon", [[SQUARE, hole], [moved(50)]], name="5"),
            feature("Point", [1, 2]),
            feature("LineString", SQUARE),
            feature("Polygon", [[[0, 0], [1, 1], [2, 2], [0, 0]]]),
            feature("Polygon", []),
            {"type": "Feature", "geometry": None, "properties": {}},
        ]
    )
    assert labels_of(result) == [5]
    assert [len(ring) for ring in result.outlines[0].rings] == [4, 3, 4]
    assert result.n_skipped == 5


def square(x: float, y: float, side: float) -> dict[str, Any]:
    ring = [[x, y], [x + side, y], [x + side, y + side], [x, y + side], [x, y]]
    return feature("Polygon", [ring])


def test_an_annotation_around_other_annotations_is_a_region(read) -> None:
    fibers = [square(12 * x, 12 * y, 10) for x in range(4) for y in range(3)]
    fascicle, tissue = square(-1, -1, 25), square(-5, -5, 99)
    outlines = read([tissue, fascicle, *fibers])
    assert (len(outlines.outlines), outlines.n_skipped) == (12, 2)
    # few fibers in a wide field
    outlines = read([square(-5, -5, 999), *fibers[:5]])
    assert (len(outlines.outlines), outlines.n_skipped) == (5, 1)


def test_objects_whose_class_says_so_are_no_fibers(read) -> None:
    def of_class(outline: dict[str, Any], given: Any) -> dict[str, Any]:
        return {**outline, "properties": {"objectType": "detection", "classification": given}}

    nuclei = [
        of_class(square(1, 1, 2), {"name": "Nucleus", "color": [0, 0, 0]}),
        of_class(square(6, 6, 2), {"names": ["nuclei"]}),
        of_class(square(20, 20, 5), "Ignore*"),
    ]
    typed = of_class(square(40, 0, 10), {"name": "Nucleated fiber"})
    outlines = read([square(0, 0, 10), typed, *nuclei])
    assert (len(outlines.outlines), outlines.n_skipped) == (2, 3)


def test_a_fiber_around_its_nuclei_or_drawn_twice_is_no_region(read) -> None:
    nuclei = [square(1, 1, 2), square(6, 6, 2)]
    assert len(read([square(0, 0, 10), *nuclei]).outlines) == 3
    assert len(read([square(0, 0, 10)] * 3).outlines) == 3


def test_an_annotation_around_several_fibers_is_a_region(read) -> None:
    region = feature("Polygon", [[[-5, -5], [99, -5], [99, 99], [-5, 99], [-5, -5]]])
    children = [feature("Polygon", [moved(n)], objectType="detection") for n in (0, 20, 40)]
    corrected = feature("Polygon", [moved(60)])
    nested = {**region, "properties": {"childObjects": children}}
    for content in ([region, *children, corrected], [nested, corrected]):
        result = read(content)
        assert len(result.outlines) == 4
        assert result.n_skipped == 1


@pytest.mark.parametrize("packing", ["gzip", "zip", "byte order mark"])
def test_packed_files_are_read(tmp_path, packing: str) -> None:
    text = json.dumps([feature(name="fiber 7")])
    path = tmp_path / "fibers.geojson"
    if packing == "gzip":
        path.write_bytes(gzip.compress(text.encode()))
    elif packing == "zip":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("fibers.geojson", text)
    else:
        path.write_text(text, encoding="utf-8-sig")
    assert labels_of(read_geojson(path)) == [7]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"label,area\n1,2\n",
        b'{"type": "FeatureCollection", "features": [',
        b'{"hello": 1}',
        b"[1, 2]",
        b'{"type": "Feature", "geometry": {"type": "Polygon", "coordinates": [[[1, "a"]]]}}',
        b'{"type": "Feature", "geometry": {"type": "Polygon", "coordinates": 4}}',
        b'{"type":"Feature","geometry":{"type":"Polygon","coordinates":[[[1,NaN],[2,3],[4,5]]]}}',
        b'{"type": "Feature", "geometry": null, "properties": [1]}',
        b"[" * 100_000,
        b"\x1f\x8b\x08\x00 broken",
        b"PK\x03\x04 broken",
        b"\xff\xfe\x00",
    ],
)
def test_damaged_files_are_reported_by_name(tmp_path, data: bytes) -> None:
    path = tmp_path / "outlines µ.geojson"
    path.write_bytes(data)
    with pytest.raises(OutlineReadError, match="outlines µ.geojson"):
        read_geojson(path)


def test_a_missing_file_is_reported(tmp_path) -> None:
    with pytest.raises(OutlineReadError, match="nothing.geojson"):
        read_geojson(tmp_path / "nothing.geojson")
