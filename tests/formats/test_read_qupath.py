from __future__ import annotations

import gzip
import json
import zipfile
from typing import Any

import numpy as np
import pytest

from biopsy_ai.errors import OutlineReadError
from biopsy_ai.formats.contours import fiber_polygons, fill_rings, from_image_xy, to_image_xy
from biopsy_ai.formats.qupath import write_geojson
from biopsy_ai.formats.read_qupath import read_geojson

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
