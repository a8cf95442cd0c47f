from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import zarr

from biopsy_ai import labels as boxes_room
from biopsy_ai.config import MeasurementConfig
from biopsy_ai.errors import Cancelled
from biopsy_ai.measure import COLUMNS, SHAPE_COLUMNS, SIZE_COLUMNS, measure_fibers
from biopsy_ai.measure.exclusion import is_excluded


class Slices:
    """A label image that refuses to be read whole."""

    def __init__(self, labels: np.ndarray) -> None:
        self._labels = labels
        self.shape = labels.shape
        self.dtype = labels.dtype
        self.reads: list[tuple[int, ...]] = []

    def __getitem__(self, key: tuple[slice, slice]) -> np.ndarray:
        part = self._labels[key]
        self.reads.append(part.shape)
        assert part.size < self._labels.size / 2
        return part

    def __array__(self, *_: object, **__: object) -> np.ndarray:
        raise AssertionError("the label image was read whole")


def place(labels: np.ndarray, mask: np.ndarray, y: int, x: int, label: int) -> None:
    labels[y : y + mask.shape[0], x : x + mask.shape[1]][mask] = label


@pytest.fixture
def section(draw) -> np.ndarray:
    """Disc 1, square 5, triangle 9 and a disc cut by the right border, 12."""
    labels = np.zeros((220, 300), dtype=np.int32)
    place(labels, draw.mask(draw.scaled("disc", diameter=80)), 10, 10, 1)
    place(labels, draw.mask(draw.scaled("square", min_feret=60), angle=0.4), 110, 20, 5)
    place(labels, draw.mask(draw.scaled("triangle", diameter=60), angle=0.2), 20, 150, 9)
    cut = draw.mask(draw.scaled("disc", diameter=50))
    place(labels, cut[:, :30], 140, 270, 12)
    return labels


def test_known_sizes_in_micrometers(section: np.ndarray) -> None:
    fibers = measure_fibers(section, (0.5, 0.5)).set_index("label")
    disc, square, triangle = fibers.loc[1], fibers.loc[5], fibers.loc[9]
    assert disc["area_um2"] == pytest.approx(np.pi * 20**2, rel=0.01)
    assert disc["min_feret_um"] == pytest.approx(40, rel=0.01)
    assert disc["max_feret_um"] == pytest.approx(40, rel=0.02)
    assert disc["equivalent_diameter_um"] == pytest.approx(40, rel=0.01)
    assert disc["perimeter_um"] == pytest.approx(np.pi * 40, rel=0.01)
    assert disc["axis_major_length_um"] == pytest.approx(40, rel=0.01)
    assert disc["circularity"] == pytest.approx(1, abs=0.01)
    assert disc["centroid_y_um"] == pytest.approx((10 + 2 + 40) * 0.5, abs=0.2)
    assert disc["centroid_x_um"] == pytest.approx((10 + 2 + 40) * 0.5, abs=0.2)
    assert square["area_um2"] == pytest.approx(900, rel=0.01)
    assert square["min_feret_um"] == pytest.approx(30, rel=0.02)
    assert square["lesser_diameter_um"] == pytest.approx(30 * np.sqrt(2), rel=0.03)
    assert square["orthogonal_diameter_um"] == pytest.approx(30 * np.sqrt(2), rel=0.03)
    assert triangle["n_acute_angles"] == 3
    assert triangle["triangularity"] > 0.97


def test_columns_order_and_types(section: np.ndarray) -> None:
    fibers = measure_fibers(section, (0.5, 0.5))
    assert tuple(fibers.columns) == COLUMNS
    assert fibers["label"].tolist() == [1, 5, 9, 12]
    assert fibers["shape_assessable"].dtype == bool
    assert fibers["confidence"].isna().all()
    assert fibers["touches_tissue_edge"].isna().all(), "unknown"
    assert fibers["angularity"].isna().all(), "four fibers are no reference"


def test_fiber_at_the_border_is_kept_and_excluded(section: np.ndarray) -> None:
    fibers = measure_fibers(section, (0.5, 0.5)).set_index("label")
    assert fibers["touches_border"].tolist() == [False, False, False, True]
    assert fibers["excluded"].tolist() == ["", "", "", "cut by the image border"]
    assert fibers.loc[12, "area_um2"] > 0
    kept = measure_fibers(
        section, (0.5, 0.5), config=MeasurementConfig(exclude_border_fibers=False)
    )
    assert kept["touches_border"].any()
    assert (kept["excluded"] == "").all()


@pytest.mark.parametrize("edge", ["top", "bottom", "left", "right"])
def test_each_border_counts(edge: str) -> None:
    labels = np.zeros((40, 50), dtype=np.int32)
    labels[10:30, 10:30] = 1
    rows = {"top": slice(0, 3), "bottom": slice(37, 40)}.get(edge, slice(10, 30))
    cols = {"left": slice(0, 3), "right": slice(47, 50)}.get(edge, slice(31, 40))
    labels[rows, cols] = 2
    assert measure_fibers(labels, (1, 1))["touches_border"].tolist() == [False, True]


@pytest.mark.parametrize(("mpp", "gap_px"), [((0.5, 0.5), 2), ((0.25, 0.25), 4), ((2, 0.2), 5)])
def test_outlines_that_stop_short_of_the_border_touch_it(
    mpp: tuple[float, float], gap_px: int
) -> None:
    """Within 1 µm, on each side; rows of 2 µm touch only in the last one."""
    labels = np.zeros((60, 60), dtype=np.int32)
    labels[20:40, gap_px : gap_px + 6] = 1
    labels[20:40, 54 - gap_px : 60 - gap_px] = 2
    labels[1:9, 20:40] = 3
    labels[10:19, gap_px + 1 : 59 - gap_px] = 4
    touching = measure_fibers(labels, mpp)["touches_border"].tolist()
    assert touching == [True, True, mpp[0] < 2, False]
    assert measure_fibers(labels.T, mpp[::-1])["touches_border"].tolist() == touching


def test_limits_of_the_user_decide(section: np.ndarray) -> None:
    def measure(**limits: float) -> pd.DataFrame:
        config = MeasurementConfig(limits=limits)
        return measure_fibers(section, (0.5, 0.5), config=config).set_index("label")

    usual = measure()
    assert usual["touches_border"].tolist() == [False, False, False, True]
    assert measure(border_um=6.0)["touches_border"].tolist() == [True, False, False, True]
    assert measure(min_diameter_px_values=70.0)["circularity"].notna().sum() == 1
    assert measure(acute_angle_deg=95.0).loc[5, "n_acute_angles"] == 4
    assert measure(curvature_smoothing=0.02).loc[9, "max_curvature"] > (
        1.5 * usual.loc[9, "max_curvature"]
    )
    assert measure(size_normal_min_fibers=1.0)["angularity"].notna().any()
    unsmoothed = measure(outline_smoothing_px=0.1)
    assert unsmoothed.loc[5, "max_feret_um"] < usual.loc[5, "max_feret_um"]


def test_a_loose_box_at_the_border_does_not_touch() -> None:
    labels = np.zeros((40, 40), dtype=np.int32)
    labels[10:30, 10:30] = 1
    fibers = measure_fibers(labels, (1, 1), boxes=np.array([[0, 0, 40, 40]]))
    assert not fibers.loc[0, "touches_border"]
    assert fibers.loc[0, "centroid_y_um"] == 20


def test_no_fibers_give_an_empty_table() -> None:
    fibers = measure_fibers(np.zeros((30, 40), dtype=np.int32), (0.5, 0.5))
    assert fibers.empty
    assert tuple(fibers.columns) == COLUMNS
    assert not is_excluded(fibers).size


def test_facts_of_the_segmentation_are_copied(section: np.ndarray) -> None:
    fibers = measure_fibers(
        section,
        (0.5, 0.5),
        ids=np.array([5, 9]),
        confidence=np.array([0.5, 0.75]),
        touches_tissue_edge=np.array([True, False]),
    )
    assert fibers["label"].tolist() == [5, 9]
    assert fibers["confidence"].tolist() == [0.5, 0.75]
    assert fibers["touches_tissue_edge"].tolist() == [True, False]


def test_small_fibers_have_no_shape(draw) -> None:
    labels = np.zeros((60, 160), dtype=np.int32)
    for label, diameter in enumerate((10, 16, 24), start=1):
        place(labels, draw.mask(draw.scaled("disc", diameter=diameter)), 5, 45 * label - 40, label)
    fibers = measure_fibers(labels, (0.5, 0.5))
    assert fibers["shape_assessable"].tolist() == [False, False, True]
    assert fibers.loc[0, list(SHAPE_COLUMNS)].isna().all()
    assert fibers.loc[1:, list(SHAPE_COLUMNS[:-1])].notna().all().all()
    assert fibers[list(SIZE_COLUMNS)].notna().all().all()
    assert fibers["min_feret_um"].to_numpy() == pytest.approx([5, 8, 12], rel=0.06)
    lenient = measure_fibers(labels, (0.5, 0.5), config=MeasurementConfig(min_shape_diameter_px=15))
    assert lenient["shape_assessable"].tolist() == [False, True, True]


@pytest.mark.parametrize("image_mpp", [1.6, (1.6, 1.6), (1.0, 1.6)])
def test_coarse_image_has_sizes_and_no_shapes(section: np.ndarray, image_mpp) -> None:
    fibers = measure_fibers(section, (0.5, 0.5), image_mpp=image_mpp)
    assert fibers[list(SHAPE_COLUMNS)].isna().all().all()
    assert not fibers["shape_assessable"].any()
    assert fibers[list(SIZE_COLUMNS)].notna().all().all()
    finer = measure_fibers(section, (0.5, 0.5), image_mpp=1.4)
    assert finer["shape_assessable"].any()


def test_a_finer_grid_than_the_image_adds_no_detail(draw) -> None:
    labels = draw.mask(draw.scaled("hexagon", diameter=30)).astype(np.int32)
    assert measure_fibers(labels, (0.5, 0.5)).loc[0, "shape_assessable"]
    assert measure_fibers(labels, (0.5, 0.5), image_mpp=0.7).loc[0, "shape_assessable"]
    assert not measure_fibers(labels, (0.5, 0.5), image_mpp=1.0).loc[0, "shape_assessable"]


def test_pixels_that_are_not_square(draw) -> None:
    ellipse = draw.scaled("ellipse", min_feret=60)
    labels = draw.mask(ellipse * np.exp(0.5j)).astype(np.int32)
    squeezed_polygon = ellipse * np.exp(0.5j)
    squeezed_polygon = squeezed_polygon.real / 0.7 + 1j * squeezed_polygon.imag
    squeezed = draw.mask(squeezed_polygon).astype(np.int32)
    even = measure_fibers(labels, (0.5, 0.5)).loc[0]
    uneven = measure_fibers(squeezed, (0.35, 0.5)).loc[0]
    for column in ("area_um2", "perimeter_um", "min_feret_um", "max_feret_um"):
        assert uneven[column] == pytest.approx(even[column], rel=0.02), column
    for column in ("circularity", "solidity", "triangularity"):
        assert uneven[column] == pytest.approx(even[column], abs=0.03), column
    assert uneven["axis_major_length_um"] == pytest.approx(even["axis_major_length_um"], rel=0.01)
    assert uneven["orientation_deg"] == pytest.approx(even["orientation_deg"], abs=1)


def test_holes_and_stray_pixels_change_the_area_and_not_the_shape(draw) -> None:
    mask = draw.mask(draw.scaled("disc", diameter=60), margin=10)
    labels = mask.astype(np.int32)
    whole = measure_fibers(labels, (0.5, 0.5)).loc[0]
    labels[35:45, 35:45] = 0
    labels[1, 1:3] = 1
    damaged = measure_fibers(labels, (0.5, 0.5)).loc[0]
    assert damaged["area_um2"] == pytest.approx(whole["area_um2"] - 98 * 0.25)
    for column in ("perimeter_um", "min_feret_um", "circularity", "solidity", "max_curvature"):
        assert damaged[column] == pytest.approx(whole[column], rel=0.02), column


def test_only_parts_of_a_label_image_are_read(
    draw, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(boxes_room, "WINDOW_PX", 128)
    labels = np.zeros((520, 520), dtype=np.int32)
    mask = draw.mask(draw.scaled("hexagon", diameter=60))
    for k in range(36):
        place(labels, mask, 5 + 86 * (k // 6), 5 + 86 * (k % 6), k + 1)
    whole = measure_fibers(labels, (0.5, 0.5))
    lazy = Slices(labels)
    pd.testing.assert_frame_equal(measure_fibers(lazy, (0.5, 0.5)), whole)
    boxes = boxes_room.find_boxes(labels)[1]
    lazy.reads.clear()
    measure_fibers(lazy, (0.5, 0.5), boxes=boxes)
    assert len(lazy.reads) <= 25
    stored = zarr.create_array(tmp_path / "l.zarr", shape=labels.shape, dtype="i4", chunks=(64, 64))
    stored[:] = labels
    pd.testing.assert_frame_equal(measure_fibers(stored, (0.5, 0.5), boxes=boxes), whole)


def test_progress_and_cancelling(section: np.ndarray) -> None:
    calls: list[tuple[str, int, int]] = []
    measure_fibers(section, (0.5, 0.5), progress=lambda *call: calls.append(call))
    assert calls[0] == ("measure", 0, 4)
    assert calls[-1] == ("measure", 4, 4)

    def cancel(*_: object) -> None:
        raise Cancelled("stopped")

    with pytest.raises(Cancelled):
        measure_fibers(section, (0.5, 0.5), progress=cancel)


def test_arguments_that_do_not_fit_are_errors(section: np.ndarray) -> None:
    with pytest.raises(ValueError, match="whole numbers"):
        measure_fibers(section.astype(float), (0.5, 0.5))
    with pytest.raises(ValueError, match="two axes"):
        measure_fibers(section[None], (0.5, 0.5))
    with pytest.raises(ValueError, match="do not occur"):
        measure_fibers(section, (0.5, 0.5), ids=np.array([1, 2]))
    with pytest.raises(ValueError, match="1 labels with 2 boxes"):
        measure_fibers(section, (0.5, 0.5), ids=np.array([1]), boxes=np.zeros((2, 4), dtype=int))
    with pytest.raises(ValueError, match="does not occur in its box"):
        measure_fibers(section, (0.5, 0.5), boxes=np.array([[0, 0, 5, 5]]))
    with pytest.raises(ValueError, match="3 values"):
        measure_fibers(section, (0.5, 0.5), confidence=np.ones(3))
