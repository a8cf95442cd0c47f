"""Fibers measured again: as the analysis would measure them, and what they take over."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from drawn_fibers import draw_labels, segmentation_of
from drawn_results import with_patterns

from biopsy_ai.config import AnalysisConfig
from biopsy_ai.errors import ReviewError
from biopsy_ai.labels import find_boxes
from biopsy_ai.measure import measure_fibers
from biopsy_ai.measure.nuclei import count_nuclei, measure_nuclei
from biopsy_ai.review.nuclei_inside import COUNTED
from biopsy_ai.review.remeasure import PlacedPiece, measure_again
from biopsy_ai.segmentation.nuclei import Nuclei


def saved_of(labels, nuclei_mpp: float | None = 0.5) -> SimpleNamespace:
    """An analysis of drawn fibers with many nuclei, some of which lie across borders."""
    segmentation = segmentation_of(labels)
    nuclei = table = None
    if nuclei_mpp is not None:
        nuclei = draw_nuclei(labels.shape, nuclei_mpp)
        segmentation = replace(segmentation, nuclei=nuclei)
        table = pd.DataFrame({"label": np.arange(1, len(nuclei) + 1)})
    fibers = measure_fibers(
        labels, segmentation.mpp, ids=segmentation.ids, boxes=segmentation.boxes
    )
    fibers = with_patterns(fibers)
    counts = count_nuclei(None, segmentation.ids)
    fibers = fibers.assign(**{name: counts[name] for name in COUNTED})
    return SimpleNamespace(
        segmentation=segmentation,
        fibers=fibers,
        nuclei=table,
        config=AnalysisConfig(),
        summary={"image": None},
    )


def draw_nuclei(shape, mpp: float) -> Nuclei:
    shape = tuple(round(side * 0.5 / mpp) for side in shape)
    rng = np.random.default_rng(3)
    labels = np.zeros(shape, np.int32)
    y, x = np.indices(shape)
    for label, center in enumerate(rng.uniform((0, 0), shape, (120, 2)), start=1):
        labels[np.hypot(y - center[0], 1.6 * (x - center[1])) < 2.4 / mpp] = label
    labels = np.unique(labels, return_inverse=True)[1].reshape(shape).astype(np.int32)
    ids, boxes = find_boxes(labels)
    n = len(ids)
    nothing = np.zeros(n)
    return Nuclei(labels, nothing.astype(int), np.zeros((n, 2)), boxes, nothing, (mpp, mpp))


@pytest.fixture(scope="module")
def labels() -> np.ndarray:
    return draw_labels((260, 320), fiber_px=44, seed=4)


@pytest.fixture(scope="module")
def saved(labels) -> SimpleNamespace:
    return saved_of(labels)


def around(segmentation, some) -> dict[int, tuple[int, ...]]:
    """Boxes that are a little too large."""
    height, width = segmentation.labels.shape
    found = {}
    for row in some:
        y0, x0, y1, x1 = segmentation.boxes[row].tolist()
        label = int(segmentation.ids[row])
        found[label] = (max(y0 - 3, 0), max(x0 - 5, 0), min(y1 + 4, height), min(x1 + 2, width))
    return found


def test_any_fibers_are_measured_as_all_of_them_are(saved, labels, rng):
    segmentation = saved.segmentation
    some = np.sort(rng.choice(len(segmentation.ids), 9, replace=False))
    found = measure_again(labels, around(segmentation, some), saved, saved.fibers)
    assert found.ids.tolist() == segmentation.ids[some].tolist()
    assert found.boxes.tolist() == segmentation.boxes[some].tolist()
    expected = saved.fibers.iloc[some].reset_index(drop=True)
    counted = count_nuclei(
        measure_nuclei(segmentation.nuclei.labels, labels, (0.5, 0.5)), found.ids
    )
    expected = expected.assign(**{name: counted[name].to_numpy() for name in COUNTED})
    expected = expected.assign(confidence=np.float32(np.nan)).astype(saved.fibers.dtypes)
    pd.testing.assert_frame_equal(found.rows, expected)
    assert found.rows["n_nuclei"].sum() > 5


@pytest.mark.parametrize("nuclei_mpp", [0.5, 0.4])
def test_nuclei_are_counted_one_fiber_at_a_time_or_all_together(labels, nuclei_mpp):
    saved = saved_of(labels, nuclei_mpp)
    segmentation = saved.segmentation
    every = around(segmentation, range(len(segmentation.ids)))
    together = measure_again(labels, every, saved, saved.fibers).rows
    alone = pd.concat(
        [
            measure_again(labels, {label: box}, saved, saved.fibers).rows
            for label, box in every.items()
        ],
        ignore_index=True,
    )
    pd.testing.assert_frame_equal(alone, together)
    if nuclei_mpp == 0.5:
        table = measure_nuclei(segmentation.nuclei.labels, labels, (0.5, 0.5))
        expected = count_nuclei(table, segmentation.ids)
        for name in COUNTED:
            assert together[name].tolist() == expected[name].tolist()


def test_a_section_without_nuclei_has_no_counts_of_zero(labels):
    saved = saved_of(labels, None)
    found = measure_again(labels, around(saved.segmentation, [3, 4]), saved, saved.fibers).rows
    assert found[list(COUNTED)].isna().all(axis=None)


def test_what_the_outline_does_not_tell_comes_from_the_fiber_that_shares_most_pixels(saved, labels):
    segmentation = saved.segmentation
    large = np.argsort(saved.fibers["area_um2"].to_numpy())[-6:]
    row = next(row for row in large if saved.fibers["type"][row] not in ("", "undetermined"))
    other = next(o for o in large if saved.fibers["type"][o] != saved.fibers["type"][row])
    edited = labels.copy()
    new = int(segmentation.ids.max()) + 1
    mask = labels == segmentation.ids[row]
    edited[mask] = new
    # a little of another one, and of the background
    y, x = np.argwhere(labels == segmentation.ids[other])[:30].T
    edited[y, x] = new
    found = measure_again(edited, {new: (0, 0, *labels.shape)}, saved, saved.fibers).rows
    names = ["type", "type_posterior", "group", "is_atrophic", "touches_tissue_edge"]
    expected = saved.fibers.loc[[row], names].reset_index(drop=True)
    pd.testing.assert_frame_equal(found[names], expected)
    assert found["label"][0] == new
    assert np.isnan(found["confidence"][0])
    assert found["area_um2"][0] == pytest.approx((mask.sum() + 30) / 4)


def test_reasons_to_leave_a_fiber_out_are_kept_but_for_the_border(saved, labels):
    original = saved.fibers.assign(excluded="in an artefact; cut by the image border")
    inner = np.flatnonzero(~saved.fibers["touches_border"])[:2]
    outer = np.flatnonzero(saved.fibers["touches_border"])[:2]
    found = measure_again(labels, around(saved.segmentation, inner), saved, original).rows
    assert found["excluded"].tolist() == ["in an artefact"] * 2
    found = measure_again(labels, around(saved.segmentation, outer), saved, original).rows
    assert found["excluded"].tolist() == ["cut by the image border; in an artefact"] * 2


def test_what_is_not_there_cannot_be_measured(saved, labels):
    none = measure_again(labels, {}, saved, saved.fibers)
    assert none.rows.empty
    assert none.rows.dtypes.equals(saved.fibers.dtypes)
    with pytest.raises(ReviewError, match="nothing would be left of fiber 9999"):
        measure_again(labels, {9999: (0, 0, 20, 20)}, saved, saved.fibers)


def test_a_piece_stands_in_the_place_of_the_whole(rng):
    whole = np.zeros((50, 60), np.int32)
    whole[10:30, 20:45] = rng.integers(1, 9, (20, 25))
    placed = PlacedPiece(whole[10:30, 20:45], (10, 20), (50, 60))
    for y0, x0, y1, x1 in [(0, 0, 50, 60), (12, 22, 15, 30), (5, 15, 20, 50), (40, 50, 50, 60)]:
        assert np.array_equal(placed[y0:y1, x0:x1], whole[y0:y1, x0:x1])
