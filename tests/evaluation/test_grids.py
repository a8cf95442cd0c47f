from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from biopsy_ai.errors import OutlineReadError
from biopsy_ai.evaluation.grids import LabelField, match_grids, to_grid


def disc(shape: tuple[int, int], mpp: float, center_um: tuple[float, float], radius_um: float):
    """Draw a disc by its place and size in µm."""
    y, x = (np.arange(side) * mpp + mpp / 2 for side in shape)
    return (np.hypot(y[:, None] - center_um[0], x[None] - center_um[1]) < radius_um).astype(int)


def file(labels: np.ndarray, mpp: float | None, name: str = "a.tif") -> LabelField:
    return LabelField(Path(name), labels, None if mpp is None else (mpp, mpp))


def test_labels_stay_in_place_on_the_other_grid() -> None:
    fine = disc((361, 433), 0.2773, (60, 80), 30)
    coarse = disc((200, 240), 0.5, (60, 80), 30)
    found, true = match_grids(file(coarse, 0.5), file(fine, 0.2773))
    assert found.labels.shape == fine.shape
    assert found.mpp == true.mpp == (0.2773, 0.2773)
    iou = (found.labels & fine).sum() / (found.labels | fine).sum()
    assert iou > 0.98
    center = [indices.mean() for indices in np.nonzero(found.labels)]
    assert center == pytest.approx([i.mean() for i in np.nonzero(fine)], abs=0.3)


def test_the_pixel_size_of_the_truth_follows_from_the_prediction() -> None:
    found, true = match_grids(file(np.ones((8, 16), int), 0.5), file(np.ones((4, 8), int), None))
    assert true.mpp == found.mpp == (1.0, 1.0)
    nothing, _ = match_grids(file(np.ones((9, 9), int), None), file(np.ones((9, 9), int), None))
    assert nothing.mpp is None


@pytest.mark.parametrize(
    ("predicted", "truth", "message"),
    [
        (file(np.ones((100, 100), int), 0.5), file(np.ones((100, 104), int), 0.5), "52 µm"),
        (
            file(np.ones((100, 100), int), 0.5),
            file(np.ones((100, 100), int), 1.0, "b.tif"),
            "b.tif",
        ),
        (file(np.ones((100, 100), int), None), file(np.ones((100, 110), int), 0.5), "proportion"),
        (file(np.ones((100, 100), int), None), file(np.ones((0, 110), int), 0.5), "two dimensions"),
        (file(np.ones((9, 9, 3), int), None), file(np.ones((9, 9), int), 0.5), "two dimensions"),
    ],
)
def test_different_fields_are_refused(
    predicted: LabelField, truth: LabelField, message: str
) -> None:
    with pytest.raises(OutlineReadError, match=message):
        match_grids(predicted, truth)


def test_rounding_to_whole_pixels_is_no_difference() -> None:
    # 50 px of 1 µm against 17 px of 3 µm: 50 and 51 µm.
    match_grids(file(np.ones((17, 17), int), 3.0), file(np.ones((50, 50), int), 1.0))
    match_grids(file(np.ones((99, 100), int), 0.5), file(np.ones((100, 100), int), 0.5))


def test_to_grid_repeats_and_skips_whole_pixels() -> None:
    image = np.arange(6).reshape(2, 3)
    np.testing.assert_array_equal(to_grid(image, (4, 6)), image.repeat(2, 0).repeat(2, 1))
    np.testing.assert_array_equal(to_grid(to_grid(image, (4, 6)), (2, 3)), image)
    assert to_grid(image, (2, 3)) is image
    # A step of less than the ratio of the shapes leaves the far end out.
    np.testing.assert_array_equal(to_grid(image, (2, 3), (1.0, 0.5)), image[:, [0, 0, 1]])
