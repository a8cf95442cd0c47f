"""Any changes in any order: what is kept agrees with the label image and with the log."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from drawn_reviews import square

import biopsy_ai.review.edited_labels as edited_labels
from biopsy_ai.errors import ReviewError
from biopsy_ai.labels import find_boxes
from biopsy_ai.measure import measure_fibers
from biopsy_ai.review import Review


def act_at_random(review: Review, rng: np.random.Generator):
    """Try something; None where it could not be done."""
    some = rng.choice(review.ids, size=int(rng.integers(1, 4)), replace=False).tolist()
    box = review.boxes[np.searchsorted(review.ids, some[0])] * review.mpp[0]
    middle = (box[:2] + box[2:]) / 2
    x = float(rng.uniform(box[1], box[3]))
    shifted = tuple(middle + rng.normal(0, 10, 2))
    acts = [
        lambda: review.split(some[0], [(box[0] - 1, x), (box[2] + 1, x + rng.normal(0, 3))]),
        lambda: review.split(some[0], [(middle[0], box[1] - 1), (middle[0], box[3] + 1)]),
        lambda: review.merge(some),
        lambda: review.merge([some[0], _neighbor(review, some[0])]),
        lambda: review.delete(some) if len(review.ids) > 12 else None,
        lambda: review.redraw(some[0], square(shifted, float(rng.uniform(8, 40)))),
        lambda: review.draw(square(shifted, float(rng.uniform(8, 40)))),
        lambda: review.set_type(some, str(rng.choice(["I", "II", "IIA", "undetermined"]))),
        lambda: review.set_condition(some, str(rng.choice(["normal", "necrotic"]))),
        lambda: review.exclude(some, str(rng.choice(["torn", "folded"]))),
        lambda: review.include(some),
        lambda: review.accept(some),
        review.undo,
        review.undo,
        review.redo,
    ]
    try:
        return acts[rng.integers(len(acts))]()
    except ReviewError:
        return None


def _neighbor(review: Review, label: int) -> int:
    places = review.table[["centroid_y_um", "centroid_x_um"]].to_numpy()
    row = int(np.searchsorted(review.ids, label))
    far = np.hypot(*(places - places[row]).T)
    return int(review.ids[np.argsort(far)[1]])


@pytest.mark.parametrize("large", [False, True])
@pytest.mark.parametrize("seed", range(4))
def test_table_labels_and_log_agree(results, monkeypatch, seed, large):
    if large:
        # as a section is held that does not fit the memory
        monkeypatch.setattr(edited_labels, "fits_memory", lambda shape: False)
    rng = np.random.default_rng(seed)
    with Review.open(results) as review:
        for _ in range(60):
            before, labels = review.table.copy(), np.asarray(review.labels).copy()
            change = act_at_random(review, rng)
            after = review.table.set_index("label")
            before = before.set_index("label")
            if change is None:
                pd.testing.assert_frame_equal(after, before)
                assert np.array_equal(review.labels, labels)
                continue
            # the change tells all that is different, and nothing that is not there
            assert set(change.removed) == set(before.index) - set(after.index)
            assert set(change.changed) <= set(after.index)
            kept = after.index.difference(change.changed)
            pd.testing.assert_frame_equal(after.loc[kept], before.loc[kept])
            touched = np.asarray(review.labels) != labels
            if change.box is None:
                assert not touched.any()
            else:
                y0, x0, y1, x1 = change.box
                touched[y0:y1, x0:x1] = False
                assert not touched.any()
        ids, boxes = find_boxes(review.labels)
        assert review.ids.tolist() == ids.tolist()
        assert review.boxes.tolist() == boxes.tolist()
        expected = measure_fibers(review.labels, review.mpp, ids=ids, boxes=boxes)
        for name in ("area_um2", "min_feret_um", "circularity", "centroid_y_um"):
            np.testing.assert_allclose(review.table[name], expected[name], rtol=2e-5)
        state = np.asarray(review.labels).copy(), review.table.copy(), review.corrections()
    with Review.open(results) as review:
        assert np.array_equal(review.labels, state[0])
        pd.testing.assert_frame_equal(review.table, state[1])
        assert review.corrections() == state[2]
