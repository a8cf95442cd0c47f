from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from biopsy_ai.segmentation.folds import find_crossing_folds

SIDE = 200  # pixels of 2 µm
PITCH, GAP = 25, 2
COLOR = np.array((0.05, 0.3, 0.2), np.float32)
Image = NDArray[np.float32]


def fibers(pitch: int = PITCH) -> NDArray[np.int32]:
    """Squares in rows, numbered from 1, with endomysium between them."""
    y, x = np.indices((SIDE, SIDE))
    inside = (y % pitch >= GAP) & (x % pitch >= GAP)
    return np.where(inside, 1 + y // pitch * (SIDE // pitch) + x // pitch, 0).astype(np.int32)


def section(labels: NDArray[np.int32], mosaic: float = 1.0, texture: float = 0.05) -> Image:
    """Draw optical densities; every third fiber is `mosaic` times as dense."""
    rng = np.random.default_rng(0)
    noise = ndimage.gaussian_filter(rng.normal(0, 1, labels.shape), 1)
    density = np.where(labels > 0, 1.0, 0.3) * np.where(labels % 3 == 1, mosaic, 1.0)
    density = density * (1 + texture * noise / noise.std())
    return (density[..., None] * COLOR).astype(np.float32)


def slanted_band(width_px: float) -> NDArray[np.bool_]:
    y, x = np.indices((SIDE, SIDE))
    return np.abs(y * np.cos(0.2) - x * np.sin(0.2) - 80) < width_px / 2


@pytest.mark.parametrize("mosaic", [1.0, 3.0], ids=["one stain", "dark and pale fibers"])
@pytest.mark.parametrize("width_px", [6, 12])
def test_a_fold_across_fibers_is_found(mosaic: float, width_px: float) -> None:
    labels = fibers()
    densities = section(labels, mosaic)
    band = slanted_band(width_px)
    densities[band] *= 1.8
    found = find_crossing_folds(densities, labels)
    assert found[band].mean() > 0.85
    away = ndimage.distance_transform_edt(~band) > 3
    assert found[away].mean() < 0.005


def test_gray_pictures_have_folds() -> None:
    labels = fibers()
    densities = section(labels)[..., 1:2].copy()
    band = slanted_band(10)
    densities[band] *= 1.8
    assert find_crossing_folds(densities, labels)[band].mean() > 0.85


def test_dark_fibers_are_no_fold() -> None:
    labels = fibers()
    densities = section(labels)
    densities[50:75] *= 1.8  # a whole row of fibers
    assert not find_crossing_folds(densities, labels).any()


def test_nuclei_along_a_line_are_no_fold() -> None:
    labels = fibers()
    densities = section(labels)
    densities[slanted_band(8)] += (0.35, 0.3, 0.1)  # hematoxylin
    assert not find_crossing_folds(densities, labels).any()


def test_rims_of_fibers_are_no_fold() -> None:
    labels = fibers()
    densities = section(labels)
    depth = ndimage.distance_transform_edt(labels > 0)
    densities[(depth > 0) & (depth <= 5)] *= 1.7
    assert not find_crossing_folds(densities, labels).any()


def test_holes_and_coarse_texture_make_no_fold() -> None:
    labels = fibers()
    rng = np.random.default_rng(1)
    coarse = ndimage.gaussian_filter(rng.normal(0, 1, labels.shape), 3)
    densities = section(labels)
    densities[coarse > np.quantile(coarse, 0.7)] *= 0.2
    assert not find_crossing_folds(densities, labels).any()
    assert not find_crossing_folds(section(labels, texture=0.3), labels).any()


def test_a_network_helps_where_the_fold_was_outlined() -> None:
    labels = fibers()
    densities = section(labels)
    band = slanted_band(10)
    densities[band] *= 1.8
    own = band & (labels > 0)
    own[:, :75] = own[:, 125:] = False
    labels[own] += labels.max()  # two fibers of the fold are outlined apart from the rest
    alone = find_crossing_folds(densities, labels)
    helped = find_crossing_folds(densities, labels, votes=band)
    assert alone[own].mean() < 0.3
    assert helped[own].mean() > 0.85
    none = find_crossing_folds(section(labels), labels, votes=band)
    assert not none.any(), "where nothing is dense a vote is not heard"


def test_a_network_alone_is_not_believed() -> None:
    labels = fibers()
    densities = section(labels)
    densities[50:75] *= 1.8
    votes = np.zeros(labels.shape, bool)
    votes[50:75] = True
    assert not find_crossing_folds(densities, labels, votes=votes).any()


def test_without_fibers_there_are_no_folds() -> None:
    labels = fibers()
    densities = section(labels)
    densities[slanted_band(10)] *= 1.8
    assert not find_crossing_folds(densities, np.zeros_like(labels)).any()
