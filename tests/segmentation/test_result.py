from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from biopsy_ai.segmentation.result import Segmentation


def segmentation(**changes: Any) -> Segmentation:
    values: dict[str, Any] = {
        "labels": np.zeros((10, 10), np.int32),
        "mpp": (0.5, 0.5),
        "ids": np.array([1, 4]),
        "boxes": np.zeros((2, 4), np.int64),
        "confidence": np.ones(2, np.float32),
        "touches_tissue_edge": np.zeros(2, bool),
        "provenance": {},
    }
    return Segmentation(**{**values, **changes})


def test_length_is_the_number_of_fibers() -> None:
    assert len(segmentation()) == 2


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"boxes": np.zeros((3, 4))}, "boxes"),
        ({"confidence": np.ones(1)}, "confidence"),
        ({"touches_tissue_edge": np.zeros((2, 1))}, "touches_tissue_edge"),
        ({"ids": np.array([4, 1])}, "ascend"),
        ({"ids": np.array([4, 4])}, "ascend"),
    ],
)
def test_parts_that_do_not_fit_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        segmentation(**changes)
