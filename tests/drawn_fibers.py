"""Fibers to report: shapes whose size, touch and numbering are awkward on purpose."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import cKDTree

from biopsy_ai.labels import find_boxes
from biopsy_ai.segmentation.result import Segmentation


def segmentation_of(labels, mpp: tuple[float, float] = (0.5, 0.5)) -> Segmentation:
    """Segmentation with the given label image."""
    ids, boxes = find_boxes(labels)
    return Segmentation(
        labels=labels,
        mpp=mpp,
        ids=ids,
        boxes=boxes,
        confidence=np.full(len(ids), 0.9, dtype=np.float32),
        touches_tissue_edge=np.zeros(len(ids), dtype=bool),
        provenance={"method": "network"},
    )


def draw_labels(
    shape: tuple[int, int] = (240, 300), *, fiber_px: int = 24, seed: int = 0
) -> NDArray[np.int32]:
    """Polygonal fibers, partly touching, from 3 px up, with gaps in their numbers."""
    rng = np.random.default_rng(seed)
    n = shape[0] * shape[1] // fiber_px**2
    centers = rng.uniform((0, 0), shape, size=(n, 2))
    pixels = np.indices(shape).reshape(2, -1).T + 0.5
    distance, nearest = cKDTree(centers).query(pixels, k=2)
    # a gap between some of the neighbors
    gap = (distance[:, 1] - distance[:, 0] < 1.5) & (nearest.sum(axis=1) % 3 > 0)
    numbers = 1 + 3 * rng.permutation(n)
    labels = np.where(gap, 0, numbers[nearest[:, 0]]).reshape(shape).astype(np.int32)
    labels[rng.uniform(size=shape) < 0.0005] = 0
    return largest_parts(labels)


def largest_parts(labels: NDArray[np.int32]) -> NDArray[np.int32]:
    """One part per fiber, holes filled: what a polygon can hold."""
    out = np.zeros_like(labels)
    for label in np.unique(labels[labels > 0]):
        parts, _ = ndimage.label(labels == label, np.ones((3, 3)))
        mask = parts == 1 + np.argmax(np.bincount(parts.ravel())[1:])
        out[ndimage.binary_fill_holes(mask) & ((labels == label) | (labels == 0))] = label
    return out


@pytest.fixture(scope="session")
def drawn_labels() -> NDArray[np.int32]:
    labels = draw_labels()
    labels.setflags(write=False)
    return labels


@pytest.fixture(scope="session")
def segmentation(drawn_labels) -> Segmentation:
    return segmentation_of(drawn_labels)


@pytest.fixture
def fibers(segmentation) -> pd.DataFrame:
    """A table as measure_fibers makes it, with a few of its columns."""
    n = len(segmentation)
    area = np.array([(segmentation.labels == label).sum() for label in segmentation.ids]) * 0.25
    table = pd.DataFrame(
        {
            "label": segmentation.ids,
            "area_um2": area,
            "min_feret_um": np.sqrt(area) * 1.2345678,
            "circularity": np.linspace(0.5, 0.9, n),
            "min_angle_deg": np.linspace(60.0, 140.0, n),
            "n_acute_angles": np.arange(n) % 4,
            "shape_assessable": np.arange(n) % 2 == 0,
            "excluded": np.where(np.arange(n) % 5 == 0, "cut by the image border", ""),
        }
    )
    table.loc[3, "circularity"] = np.nan
    return table
