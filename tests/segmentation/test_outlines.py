from __future__ import annotations

import json
import zipfile

import numpy as np
import pytest
import tifffile
from roifile import ImagejRoi

from biopsy_ai import labels as label_room
from biopsy_ai.errors import OutlineReadError, PixelSizeError
from biopsy_ai.formats.contours import fiber_polygons, to_image_xy
from biopsy_ai.formats.imagej import write_roiset
from biopsy_ai.formats.label_image import write_label_image
from biopsy_ai.formats.qupath import write_geojson
from biopsy_ai.measure import measure_fibers
from biopsy_ai.packed_labels import PackedLabels
from biopsy_ai.segmentation import outlines
from biopsy_ai.segmentation.outlines import draw_polygons, read_outlines


@pytest.fixture
def labels() -> np.ndarray:
    """Three fibers with gaps in their numbers, in 60 x 90 px."""
    image = np.zeros((60, 90), dtype=np.int32)
    y, x = np.indices(image.shape) + 0.5
    image[np.hypot(y - 20, x - 20) < 15] = 4
    image[20:50, 40:60] = 90_000
    image[5:9, 70:80] = 7
    return image


@pytest.fixture
def write(tmp_path, labels):
    """Write the labels, 0.5 µm per pixel, in one of the formats."""

    def write_as(kind: str, *, image_mpp=(0.5, 0.5)):
        if kind == "tif":
            path = tmp_path / "fibers.tif"
            write_label_image(path, labels, (0.5, 0.5))
            return path
        tifffile.imwrite(tmp_path / "plain.tif", labels)
        segmentation = read_outlines(tmp_path / "plain.tif", mpp=(0.5, 0.5))
        polygons = [
            (label, to_image_xy(polygon, (0.5, 0.5), image_mpp))
            for label, polygon in fiber_polygons(
                segmentation.labels, segmentation.ids, segmentation.boxes
            )
        ]
        if kind == "plain.tif":
            return tmp_path / "plain.tif"
        path = tmp_path / f"outlines.{kind}"
        if kind == "geojson":
            write_geojson(path, polygons, image_id="a")
        else:
            write_roiset(path, polygons)
        return path

    return write_as


def square(x: float, y: float, side: float, **properties) -> dict:
    ring = [[x, y], [x + side, y], [x + side, y + side], [x, y + side], [x, y]]
    return {
        "type": "Feature",
        "geometry": {"type": "Polygon", "coordinates": [ring]},
        "properties": properties,
    }


@pytest.fixture
def geojson(tmp_path):
    def write_features(*features: dict):
        path = tmp_path / "reviewed.geojson"
        path.write_text(json.dumps(features))
        return path

    return write_features


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("tif", "label image"),
        ("plain.tif", "label image"),
        ("geojson", "GeoJSON"),
        ("zip", "RoiSet"),
    ],
)
def test_every_format_gives_the_same_fibers(write, labels, kind: str, name: str) -> None:
    path = write(kind)
    result = read_outlines(path, mpp=(0.5, 0.5), shape=labels.shape)
    np.testing.assert_array_equal(result.labels, labels)
    assert result.labels.dtype == np.int32
    assert result.mpp == (0.5, 0.5)
    assert result.ids.tolist() == [4, 7, 90_000]
    assert result.boxes.tolist() == [[5, 5, 35, 35], [5, 70, 9, 80], [20, 40, 50, 60]]
    assert np.isnan(result.confidence).all()
    assert not result.touches_tissue_edge.any()
    assert result.provenance["method"] == "outlines"
    assert result.provenance["format"] == name
    assert result.provenance["file"] == path.name
    assert len(str(result.provenance["sha256"])) == 64
    assert result.provenance["n_skipped"] == 0


def test_without_an_image_polygons_are_drawn_with_room_around(write, labels) -> None:
    result = read_outlines(write("geojson"), mpp=(0.5, 0.5))
    rows, columns = result.labels.shape
    assert (rows, columns) == (60, 90)
    np.testing.assert_array_equal(result.labels[:60, :90], labels[:60, :90])
    assert result.provenance["field_known"] is False
    assert result.provenance["mpp_source"] == "given by the user"


def test_without_an_image_no_outline_is_cut_by_its_border(geojson) -> None:
    squares = [square(20 + 100 * i, 20 + 100 * i, 80) for i in range(3)]
    result = read_outlines(geojson(*squares), mpp=(0.5, 0.5))
    fibers = measure_fibers(result.labels, result.mpp)
    assert len(fibers) == 3
    assert not fibers["touches_border"].any()


def test_where_the_pixel_size_comes_from_is_kept(write, labels) -> None:
    alone = read_outlines(write("tif"), mpp=None)
    assert alone.provenance["mpp_source"] == "OME metadata"
    given = read_outlines(write("tif"), mpp=(0.5, 0.5))
    assert given.provenance["mpp_source"] == "given by the user"
    with_image = read_outlines(write("tif"), mpp=(0.5, 0.5), shape=labels.shape)
    assert with_image.provenance["mpp_source"] == "the image"


def test_outlines_of_a_finer_image_are_drawn_on_its_grid(write, labels) -> None:
    path = write("zip", image_mpp=(0.25, 0.25))
    result = read_outlines(path, mpp=(0.25, 0.25), shape=(120, 180))
    finer = np.kron(labels, np.ones((2, 2), dtype=np.int32))
    agreeing = [
        ((result.labels == label) & (finer == label)).sum()
        / ((result.labels == label) | (finer == label)).sum()
        for label in result.ids
    ]
    assert min(agreeing) > 0.97


@pytest.mark.parametrize("kind", ["geojson", "zip", "plain.tif"])
def test_without_a_pixel_size_the_user_is_asked(write, kind: str) -> None:
    with pytest.raises(PixelSizeError, match="--mpp"):
        read_outlines(write(kind), mpp=None)


def test_a_label_tiff_brings_its_pixel_size(write) -> None:
    assert read_outlines(write("tif"), mpp=None).mpp == pytest.approx((0.5, 0.5))


def test_a_given_pixel_size_wins_and_a_contradiction_is_noted(write) -> None:
    result = read_outlines(write("tif"), mpp=(0.7, 0.7))
    assert result.mpp == (0.7, 0.7)
    (warning,) = result.provenance["warnings"]
    assert "contradicts" in warning


@pytest.mark.parametrize("mpp", [(0.0, 0.0), (-1.0, 1.0), (80.0, 80.0)])
def test_an_absurd_pixel_size_is_refused(write, mpp) -> None:
    with pytest.raises(PixelSizeError, match=r"fibers\.tif"):
        read_outlines(write("tif"), mpp=mpp)


def test_labels_on_a_coarser_grid_fit_by_their_pixel_size(write, labels) -> None:
    result = read_outlines(write("tif"), mpp=(0.2, 0.25), shape=(150, 181))
    assert result.mpp == pytest.approx((0.5, 0.5))
    assert result.labels.shape == labels.shape


@pytest.mark.parametrize(("kind", "shape"), [("tif", (150, 200)), ("plain.tif", (120, 180))])
def test_labels_of_another_size_are_refused(write, kind: str, shape) -> None:
    with pytest.raises(OutlineReadError, match=r"90 × 60 px, the section .* px"):
        read_outlines(write(kind), mpp=(0.25, 0.25), shape=shape)


def test_outlines_beside_the_image_are_refused_and_those_across_its_edge_cut(geojson) -> None:
    path = geojson(square(10, 10, 20), square(90, 50, 20))
    with pytest.raises(OutlineReadError, match="1 of 2 outlines lie outside"):
        read_outlines(path, mpp=(0.5, 0.5), shape=(60, 90))
    result = read_outlines(
        geojson(square(-5, -5, 20), square(80, 50, 20)), mpp=(1, 1), shape=(60, 90)
    )
    assert result.boxes.tolist() == [[0, 0, 15, 15], [50, 80, 60, 90]]


def test_where_outlines_overlap_the_smaller_is_on_top(geojson) -> None:
    for features in (
        (square(20, 20, 10, name="2"), square(10, 10, 40, name="1")),
        (square(10, 10, 40, name="1"), square(20, 20, 10, name="2")),
    ):
        result = read_outlines(geojson(*features), mpp=(1, 1))
        assert (result.labels == 2).sum() == 100
        assert (result.labels == 1).sum() == 1500
        cut, holes = result.provenance["warnings"]
        assert "1 of 2 outlines lie partly under smaller ones" in cut
        assert "up to 6 %" in cut
        assert "1 of 2 labels have holes" in holes


def test_outlines_side_by_side_are_nothing_to_tell(geojson) -> None:
    result = read_outlines(geojson(square(10, 10, 20.3), square(30.3, 10, 20)), mpp=(1, 1))
    assert result.provenance["warnings"] == []


def test_outlines_that_cover_no_pixel_are_counted(geojson) -> None:
    path = geojson(square(10, 10, 20), square(10, 10, 20), square(40, 40, 0.3), square(1, 1, 0))
    result = read_outlines(path, mpp=(1, 1))
    assert len(result) == 1
    assert result.provenance["n_skipped"] == 3
    (warning,) = result.provenance["warnings"]
    assert "3 objects" in warning


def test_empty_files_are_refused(tmp_path, geojson) -> None:
    tifffile.imwrite(tmp_path / "zero.tif", np.zeros((20, 20), np.uint8))
    with zipfile.ZipFile(tmp_path / "points.zip", "w") as archive:
        roi = ImagejRoi.frompoints([(1, 2), (3, 4), (9, 9)])
        roi.roitype = type(roi.roitype).POINT
        archive.writestr("1.roi", roi.tobytes())
    for path in (
        tmp_path / "zero.tif",
        tmp_path / "points.zip",
        geojson(),
        geojson(square(1, 1, 0)),
    ):
        with pytest.raises(OutlineReadError, match=rf"{path.name}.*no fiber outlines"):
            read_outlines(path, mpp=(0.5, 0.5))


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty"),
        (b"label,area\n", "no file with outlines"),
        (b"\x93NUMPY\x01\x00", "_seg.npy"),
        (b"PK\x03\x04broken", "damaged"),
        (b"{broken", "GeoJSON"),
        (b"II*\x00broken", "damaged"),
        (b"\xff\xd8\xff\xe0", "JPEG"),
    ],
)
def test_damaged_and_foreign_files_are_reported_by_name(tmp_path, data: bytes, reason: str) -> None:
    path = tmp_path / "Umrisse ß 1.tif"
    path.write_bytes(data)
    with pytest.raises(OutlineReadError, match=rf"Umrisse ß 1\.tif.*{reason}"):
        read_outlines(path, mpp=(0.5, 0.5))


def test_a_missing_file_and_a_foreign_archive_are_reported(tmp_path) -> None:
    with pytest.raises(OutlineReadError, match="nothing.zip"):
        read_outlines(tmp_path / "nothing.zip", mpp=(0.5, 0.5))
    with zipfile.ZipFile(tmp_path / "other.zip", "w") as archive:
        archive.writestr("a.txt", "hello")
    with pytest.raises(OutlineReadError, match=r"other\.zip.*ROI Manager"):
        read_outlines(tmp_path / "other.zip", mpp=(0.5, 0.5))


def test_coordinates_beyond_any_section_are_refused(geojson) -> None:
    with pytest.raises(OutlineReadError, match="farther than any section"):
        read_outlines(geojson(square(1e7, 1e7, 10)), mpp=(0.5, 0.5))


def test_large_outlines_are_drawn_by_squares_with_the_same_result(
    write, labels, monkeypatch
) -> None:
    monkeypatch.setattr(label_room, "IN_MEMORY_PX", 100)
    monkeypatch.setattr(outlines, "RASTER_PX", 16)
    monkeypatch.setattr(label_room, "WINDOW_PX", 16)
    for kind in ("geojson", "tif"):
        result = read_outlines(write(kind), mpp=(0.5, 0.5), shape=labels.shape)
        assert isinstance(result.labels, PackedLabels)
        np.testing.assert_array_equal(result.labels[:], labels)
        assert result.boxes.tolist() == [[5, 5, 35, 35], [5, 70, 9, 80], [20, 40, 50, 60]]


def test_drawing_leaves_no_gap_between_neighbors() -> None:
    left = np.array([(0.0, 0.0), (0.0, 6.5), (10.0, 3.5), (10.0, 0.0)])
    right = np.array([(0.0, 6.5), (0.0, 10.0), (10.0, 10.0), (10.0, 3.5)])
    image = np.zeros((10, 10), dtype=np.int32)
    draw_polygons(image, [(1, [left]), (2, [right])])
    assert (image > 0).all()


@pytest.mark.parametrize("name", ["skm_hs_cw", "skm_rat_R7x10ta"])
def test_real_selections_agree_with_the_published_labels(shared, name: str) -> None:
    folder = shared / "if_fibersight"
    published = read_outlines(folder / f"{name}_fibers.tif", mpp=(0.922, 0.922))
    shape = published.labels.shape
    drawn = read_outlines(folder / f"{name}_RoiSet.zip", mpp=(0.922, 0.922), shape=shape)
    assert len(drawn) == len(published)
    assert drawn.provenance["n_skipped"] == 0
    both = (drawn.labels > 0) & (published.labels > 0)
    assert 2 * both.sum() / ((drawn.labels > 0).sum() + (published.labels > 0).sum()) > 0.97
