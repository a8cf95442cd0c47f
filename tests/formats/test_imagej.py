from __future__ import annotations

import os
import zipfile

import numpy as np
import pytest
from roifile import ROI_TYPE, ImagejRoi

from biopsy_ai.errors import OutlineReadError
from biopsy_ai.formats.contours import fiber_polygons, fill_rings, from_image_xy, to_image_xy
from biopsy_ai.formats.imagej import read_roiset, write_roiset

TRIANGLE = np.array([(1.5, 2.25), (50.0, 2.0), (50.0, 80.75)])


def zipped(path, rois: dict[str, ImagejRoi]) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        for name, roi in rois.items():
            archive.writestr(name, roi.tobytes())


def polygon(points, kind: ROI_TYPE = ROI_TYPE.FREEHAND) -> ImagejRoi:
    roi = ImagejRoi.frompoints(points)
    roi.roitype = kind
    return roi


def box(kind: ROI_TYPE, left: int, top: int, width: int, height: int) -> ImagejRoi:
    return ImagejRoi(roitype=kind, left=left, top=top, right=left + width, bottom=top + height)


def mask_of(outline, shape=(60, 60)):
    return fill_rings([from_image_xy(ring, (1, 1), (1, 1)) for ring in outline.rings], shape)


def test_fibers_are_polygons_named_by_their_labels(tmp_path) -> None:
    assert write_roiset(tmp_path / "RoiSet.zip", [(7, TRIANGLE), (3, TRIANGLE + 10)]) is None
    first, second = ImagejRoi.fromfile(tmp_path / "RoiSet.zip")
    assert (first.name, second.name) == ("7", "3")
    assert first.roitype == ROI_TYPE.POLYGON
    assert first.subpixelresolution
    np.testing.assert_allclose(first.coordinates(), TRIANGLE)
    with zipfile.ZipFile(tmp_path / "RoiSet.zip") as archive:
        assert archive.namelist() == ["7.roi", "3.roi"]


def test_an_earlier_file_is_replaced_and_the_same_fibers_make_the_same_file(tmp_path) -> None:
    path = tmp_path / "RoiSet.zip"
    write_roiset(path, [(1, TRIANGLE), (2, TRIANGLE)])
    write_roiset(path, [(5, TRIANGLE)])
    first = path.read_bytes()
    write_roiset(path, [(5, TRIANGLE)])
    assert path.read_bytes() == first
    assert [outline.label for outline in read_roiset(path).outlines] == [5]


@pytest.mark.parametrize("image_mpp", [(0.5, 0.5), (0.2, 0.25)])
def test_outlines_and_labels_survive_the_round_trip(
    tmp_path, segmentation, drawn_labels, image_mpp
) -> None:
    outlines = [
        (label, to_image_xy(shape, segmentation.mpp, image_mpp))
        for label, shape in fiber_polygons(
            segmentation.labels, segmentation.ids, segmentation.boxes
        )
    ]
    write_roiset(tmp_path / "RoiSet.zip", outlines)
    read = read_roiset(tmp_path / "RoiSet.zip")
    drawn = np.zeros_like(drawn_labels)
    for outline in read.outlines:
        rings = [from_image_xy(ring, image_mpp, segmentation.mpp) for ring in outline.rings]
        drawn[fill_rings(rings, drawn.shape)] = outline.label
    assert (drawn == drawn_labels).all()


def test_far_coordinates_are_kept_up_to_the_limit_of_the_format(tmp_path) -> None:
    path = tmp_path / "RoiSet.zip"
    assert write_roiset(path, [(1, TRIANGLE + 60_000), (2, TRIANGLE + 40_000)]) is None
    for outline, shift in zip(read_roiset(path).outlines, (60_000, 40_000), strict=True):
        np.testing.assert_allclose(outline.rings[0], TRIANGLE + shift, atol=0.01)


def test_beyond_the_limit_no_file_is_left_and_a_warning_says_why(tmp_path) -> None:
    path = tmp_path / "RoiSet.zip"
    write_roiset(path, [(1, TRIANGLE)])
    warning = write_roiset(path, [(1, TRIANGLE), (2, TRIANGLE + 60_500)])
    assert warning is not None
    assert "60536" in warning
    assert os.listdir(tmp_path) == []


def test_selections_of_every_area_kind_are_read_and_others_counted(tmp_path) -> None:
    path = tmp_path / "RoiSet.zip"
    square = [(10, 20), (30, 20), (30, 40), (10, 40)]
    line = ImagejRoi(roitype=ROI_TYPE.LINE, x1=1, y1=1, x2=5, y2=5)
    zipped(
        path,
        {
            "1.roi": polygon(square, ROI_TYPE.POLYGON),
            "2.roi": polygon(square, ROI_TYPE.TRACED),
            "3.roi": polygon(square, ROI_TYPE.FREEHAND),
            "4.roi": box(ROI_TYPE.RECT, 10, 20, 20, 20),
            "5.roi": box(ROI_TYPE.OVAL, 10, 20, 20, 10),
            "6.roi": polygon(square, ROI_TYPE.POINT),
            "7.roi": polygon(square, ROI_TYPE.POLYLINE),
            "8.roi": line,
            "__MACOSX/._1.roi": line,
            "notes.txt": line,
        },
    )
    read = read_roiset(path)
    assert [outline.label for outline in read.outlines] == [1, 2, 3, 4, 5]
    assert read.n_skipped == 3
    for outline in read.outlines[:4]:
        mask = mask_of(outline)
        assert mask[20:40, 10:30].all()
        assert mask.sum() == 400
    assert mask_of(read.outlines[4]).sum() == pytest.approx(np.pi * 10 * 5, rel=0.03)


def test_combined_selections_keep_their_holes(tmp_path) -> None:
    path = [0, 10, 10, 1, 40, 10, 1, 40, 40, 1, 10, 40, 4]
    hole = [0, 20, 20, 1, 30, 20, 1, 30, 30, 1, 20, 30, 4]
    roi = box(ROI_TYPE.RECT, 10, 10, 30, 30)
    roi.multi_coordinates = np.array(path + hole, dtype=np.float32)
    roi.shape_roi_size = len(path + hole)
    zipped(tmp_path / "RoiSet.zip", {"1.roi": roi})
    (outline,) = read_roiset(tmp_path / "RoiSet.zip").outlines
    assert mask_of(outline).sum() == 900 - 100


@pytest.mark.parametrize(
    ("names", "labels"),
    [
        (["3", "1", "2"], [3, 1, 2]),
        (["0001 - ID 0012", "0001 - ID 0003"], [12, 3]),
        (["2_Abnormal", "1_Normal"], [2, 1]),
        (["0123-0456", "0200-0100"], [1, 2]),
        (["fiber 8", "cell", "8-1"], [8, 9, 10]),
        (["0", "99999999999"], [1, 2]),
    ],
)
def test_labels_come_from_names_else_from_the_order(tmp_path, names, labels) -> None:
    rois = {f"{name}.roi": polygon([(0, 0), (9, 0), (9, 9)]) for name in names}
    zipped(tmp_path / "RoiSet.zip", rois)
    read = read_roiset(tmp_path / "RoiSet.zip")
    assert [outline.label for outline in read.outlines] == labels


def test_a_single_selection_is_read(tmp_path) -> None:
    roi = polygon([(0, 0), (9, 0), (9, 9)])
    roi.name = "fiber 4"
    (tmp_path / "x.roi").write_bytes(roi.tobytes())
    assert [outline.label for outline in read_roiset(tmp_path / "x.roi").outlines] == [4]


@pytest.mark.parametrize("data", [b"", b"Iout", b"PK\x03\x04", b"hello"])
def test_damaged_files_are_reported_by_name(tmp_path, data: bytes) -> None:
    (tmp_path / "x.zip").write_bytes(data)
    with pytest.raises(OutlineReadError, match=r"x\.zip"):
        read_roiset(tmp_path / "x.zip")


def test_an_archive_with_a_damaged_selection_is_reported(tmp_path) -> None:
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.writestr("1.roi", polygon([(0, 0), (9, 0), (9, 9)]).tobytes()[:70])
    with pytest.raises(OutlineReadError, match=r"x\.zip"):
        read_roiset(tmp_path / "x.zip")


def test_an_archive_without_selections_is_reported(tmp_path) -> None:
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.writestr("a.txt", "hello")
    with pytest.raises(OutlineReadError, match=r"no \.roi"):
        read_roiset(tmp_path / "x.zip")


def test_a_real_set_gives_back_the_published_labels(shared) -> None:
    from biopsy_ai.formats.label_image import read_label_image

    labels, _ = read_label_image(shared / "he_weichenchu" / "img_02_fibers.tif")
    read = read_roiset(shared / "he_weichenchu" / "img_02_RoiSet_classified.zip")
    assert len(read.outlines) == 35
    for outline in read.outlines:
        mask = mask_of(outline, labels.shape)
        published = labels == np.bincount(labels[mask]).argmax()
        assert (mask == published).all()
