from __future__ import annotations

import cv2
import numpy as np
import pytest

from biopsy_ai.segmentation.gathering import gather_parts
from biopsy_ai.segmentation.seeds import find_seeds, grow


def drops(count: int, shape: tuple[int, int] = (400, 3000), seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    mask = np.zeros(shape, np.uint8)
    for y, x, a, b in rng.integers((0, 0, 1, 1), (*shape, 12, 12), (count, 4)).tolist():
        cv2.ellipse(mask, (x, y), (a, b), 0, 0, 360, 255, cv2.FILLED)
    return mask


@pytest.mark.parametrize("count", [1, 40, 900])
def test_parts_stay_as_they_are_and_apart(count: int) -> None:
    mask = drops(count)
    field = np.arange(mask.size, dtype=np.int64).reshape(mask.shape) + 1
    gathered = gather_parts(mask)
    assert np.array_equal(gathered.pixels, np.flatnonzero(mask))
    core, brought = gathered.bring(mask), gathered.bring(field)
    assert np.array_equal(np.sort(brought[core > 0]), field[mask > 0])

    n, before = cv2.connectedComponents(mask, connectivity=8)
    n_after, after = cv2.connectedComponents(core, connectivity=8)
    assert n_after == n
    where = before.ravel()[gathered.pixels], after.ravel()[gathered.places]
    assert len(np.unique(np.stack(where), axis=1).T) == n - 1
    # neighbors stay neighbors: the same steps lead from pixel to pixel of a part
    down = (mask[1:] > 0) & (mask[:-1] > 0)
    beneath = {int(v): int(w) for v, w in zip(field[:-1][down], field[1:][down], strict=True)}
    rows, columns = np.nonzero(core)
    for y, x in zip(rows.tolist(), columns.tolist(), strict=True):
        if int(brought[y, x]) in beneath:
            assert brought[y + 1, x] == beneath[int(brought[y, x])]


def test_little_of_a_field_takes_a_small_canvas() -> None:
    mask = drops(30)
    height, width = gather_parts(mask).shape
    assert height * width < mask.size / 20


def test_a_part_as_wide_as_the_field() -> None:
    mask = drops(50)
    mask[200] = 255
    gathered = gather_parts(mask)
    assert gathered.shape[1] >= 3000
    assert (gathered.bring(mask) > 0).sum() == (mask > 0).sum()


def test_nothing() -> None:
    gathered = gather_parts(np.zeros((5, 7), np.uint8))
    assert gathered.pixels.size == 0
    assert not gathered.bring(np.ones((5, 7), np.uint8)).any()


def test_lines_whose_boxes_overlap_stay_where_they_are() -> None:
    mask = np.zeros((300, 300), np.uint8)
    for x in range(-300, 300, 6):
        cv2.line(mask, (x, 0), (x + 299, 299), 255, 1)
    gathered = gather_parts(mask)
    assert gathered.shape == mask.shape
    assert np.array_equal(gathered.bring(mask), mask)


def test_seeds_and_their_growth_are_those_of_the_field() -> None:
    mask = drops(300)
    depth = cv2.distanceTransform(mask, cv2.DIST_L2, 5)
    score = cv2.GaussianBlur(np.clip(depth * 25, 0, 255).astype(np.uint8), (0, 0), 1)
    how = {"seed_height": 0.05, "min_peak": 0.15, "thin": True}
    field = find_seeds(mask, score, **how)
    gathered = gather_parts(mask)
    core = gathered.bring(mask)
    canvas = find_seeds(core, gathered.bring(score), **how)
    assert field.max() > 100
    for inside, seeds in ((mask, field), (core, canvas)):
        grow(seeds, inside, 14)
    pairs = np.stack([field.ravel()[gathered.pixels], canvas.ravel()[gathered.places]])
    assert len(np.unique(pairs, axis=1).T) == len(np.unique(field))
    assert canvas.max() == field.max()
