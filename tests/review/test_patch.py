"""Patches: what they keep, what they refuse, and that they are drawn whole or not at all."""

from __future__ import annotations

import base64
import json
import zlib

import numpy as np
import pytest

from biopsy_ai.packed_labels import CHUNK_PX
from biopsy_ai.review.patch import (
    MAX_PX,
    Patch,
    draw_patches,
    find_patch,
    patch_from_json,
    patch_to_json,
)


def random_labels(rng, shape=(40, 50)) -> np.ndarray:
    return rng.integers(0, 5, shape).astype(np.int32)


def test_a_patch_takes_a_label_image_from_before_to_after_and_back(rng):
    before, after = random_labels(rng), random_labels(rng)
    after[:, :7] = before[:, :7]
    patch = find_patch(before, after, (100, 200))
    assert patch.box[1] >= 207
    labels = np.zeros((300, 300), np.int32)
    labels[100:140, 200:250] = before
    draw_patches(labels, [patch])
    assert np.array_equal(labels[100:140, 200:250], after)
    draw_patches(labels, [patch.reversed()])
    assert np.array_equal(labels[100:140, 200:250], before)


def test_only_what_changes_is_kept():
    before, after = np.full((9, 9), 3, np.int32), np.full((9, 9), 3, np.int32)
    assert find_patch(before, after, (0, 0)) is None
    after[4, 5] = 0
    after[6, 5] = 7
    patch = find_patch(before, after, (10, 20))
    assert patch.box == (14, 25, 17, 26)
    old, new = patch.pixels()
    assert old.ravel().tolist() == [3, -1, 3]
    assert new.ravel().tolist() == [0, -1, 7]
    assert patch.labels == {3, 7}


def test_patches_that_follow_each_other_and_cross_many_squares(rng):
    labels = np.zeros((3 * CHUNK_PX, 2 * CHUNK_PX), np.int32)
    expected, patches = labels.copy(), []
    for number in range(1, 60):
        y, x = rng.integers(0, (2 * CHUNK_PX, CHUNK_PX))
        before = expected[y : y + 300, x : x + 200].copy()
        after = np.where(rng.random(before.shape) < 0.3, number, before).astype(np.int32)
        patches.append(find_patch(before, after, (int(y), int(x))))
        expected[y : y + 300, x : x + 200] = after
    draw_patches(labels, patches)
    assert np.array_equal(labels, expected)
    draw_patches(labels, [patch.reversed() for patch in patches[::-1]])
    assert not labels.any()


def test_what_does_not_fit_leaves_the_label_image_as_it_was(rng):
    labels = random_labels(rng, (2 * CHUNK_PX, 40))
    before = labels.copy()
    good = find_patch(labels[:30].copy(), np.full((30, 40), 9, np.int32), (0, 0))
    odd = labels[-30:].copy()
    odd[3, 3] = 77
    bad = find_patch(odd, np.full((30, 40), 9, np.int32), (2 * CHUNK_PX - 30, 0))
    with pytest.raises(ValueError, match="not as it was before"):
        draw_patches(labels, [good, bad])
    assert np.array_equal(labels, before)
    with pytest.raises(ValueError, match="outside"):
        draw_patches(labels[:, :20], [good])


def test_a_patch_goes_through_json(rng):
    patch = find_patch(random_labels(rng), random_labels(rng), (3, 4))
    read = patch_from_json(json.loads(json.dumps(patch_to_json(patch))))
    assert read == patch


def packed(pixels) -> str:
    return base64.b64encode(zlib.compress(np.asarray(pixels, "<i4").tobytes())).decode()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"box": [0, 0, 0, 4]}, "empty"),
        ({"box": [-1, 0, 2, 4]}, "empty"),
        ({"box": [0, 0, 1 << 14, 1 << 14]}, "too large"),
        ({"box": [0, 0, 2, True]}, "whole numbers"),
        ({"box": "0024"}, "whole numbers"),
        ({"before": None}, "text"),
        ({"before": "$$$"}, "damaged"),
    ],
)
def test_what_is_no_patch_is_refused(change, words):
    good = {"box": [0, 0, 2, 4], "before": packed(np.zeros(8)), "after": packed(np.ones(8))}
    assert patch_from_json(good).shape == (2, 4)
    with pytest.raises(ValueError, match=words):
        patch_from_json(good | change)


@pytest.mark.parametrize(
    "after",
    [
        np.ones(7),
        np.ones(9),
        # as much as would fill the memory
        np.zeros(40_000_000),
        np.full(8, -1),
        np.full(8, -5),
    ],
)
def test_pixels_that_do_not_fill_the_box_are_refused(after):
    patch = patch_from_json(
        {"box": [0, 0, 2, 4], "before": packed(np.zeros(8)), "after": packed(after)}
    )
    with pytest.raises(ValueError, match="do not fill|not of the same|no labels"):
        patch.pixels()


def test_bytes_that_are_no_packing_are_refused():
    with pytest.raises(ValueError, match="damaged"):
        Patch((0, 0, 2, 4), b"abc", b"abc").pixels()
    assert MAX_PX >= 4096**2
