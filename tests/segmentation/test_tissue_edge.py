from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from biopsy_ai.segmentation.tissue_edge import TissueEdge


def contour(y: int, x: int, radius: int) -> NDArray[np.int32]:
    mask = np.zeros((y + radius + 2, x + radius + 2), np.uint8)
    cv2.circle(mask, (x, y), radius, 1, -1)
    (points,), _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    return points[:, 0, ::-1]


@pytest.fixture
def tissue() -> NDArray[np.bool_]:
    mask = np.ones((250, 250), bool)
    mask[:, 125:] = False  # 4 µm per pixel: glass from 500 µm, 1000 px of 0.5 µm, on
    return mask


def test_fibers_beside_glass_face_it(tissue: NDArray[np.bool_]) -> None:
    edge = TissueEdge.from_mask(tissue, 4.0)
    assert edge.is_faced_by(contour(500, 945, 50), 0.5)
    assert not edge.is_faced_by(contour(500, 850, 50), 0.5)


def test_margin_of_the_mask_is_taken_off(tissue: NDArray[np.bool_]) -> None:
    edge = TissueEdge.from_mask(tissue, 4.0, margin_um=30.0)
    assert edge.is_faced_by(contour(500, 885, 50), 0.5)
    assert not edge.is_faced_by(contour(500, 790, 50), 0.5)


def test_fibers_of_a_label_image_with_oblong_pixels(tissue: NDArray[np.bool_]) -> None:
    labels = np.zeros((500, 1000), np.int32)  # of 1 by 0.5 µm: glass from column 1000 on
    labels[250:300, 890:990] = 7
    labels[250:300, 700:850] = 3
    labels[10, 10] = 7  # a stray pixel
    edge = TissueEdge.from_mask(tissue, 4.0)
    ids, boxes = np.array([3, 7]), np.array([[250, 700, 300, 850], [10, 10, 300, 990]])
    assert edge.find_facing(labels, (1.0, 0.5), ids, boxes).tolist() == [False, True]
    whole = TissueEdge.from_mask(np.ones_like(tissue), 4.0)
    assert not whole.find_facing(labels, (1.0, 0.5), ids, boxes).any()


def test_cracks_are_no_edge() -> None:
    mask = np.ones((250, 250), bool)
    mask[100:104, 50:200] = False
    edge = TissueEdge.from_mask(mask, 4.0)
    assert not edge.is_faced_by(contour(780, 1000, 20), 0.5)


def test_what_lies_beyond_the_image_is_no_glass() -> None:
    edge = TissueEdge.from_mask(np.ones((50, 50), bool), 4.0)
    assert not edge.is_faced_by(contour(30, 30, 28), 0.5)
    assert not edge.is_faced_by(contour(420, 420, 28), 0.5)
