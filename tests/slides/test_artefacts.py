from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from biopsy_ai.slides.artefacts import edge_width, find_folds, find_tears, fold_limits

SIDE = 240
TISSUE = np.ones((SIDE, SIDE), bool)


def squares(pitch: int = 40) -> np.ndarray:
    """Draw a checkerboard of 0 and 1."""
    y, x = np.indices((SIDE, SIDE)) // pitch
    return ((y + x) % 2).astype(np.float32)


@pytest.mark.parametrize("contrast", [1.0, 0.2])
@pytest.mark.parametrize("blur", [1.5, 2.0, 3.0])
def test_edge_width_of_a_blurred_step(blur: float, contrast: float) -> None:
    # pixels of 1 µm; the measurement itself blurs by 1 µm, and sees 6 µm to either side
    plane = contrast * ndimage.gaussian_filter(squares(), blur)
    expected = np.sqrt(2 * np.pi * (blur**2 + 1))
    assert edge_width(plane, 1.0) == pytest.approx(expected, rel=0.1)


def test_edge_width_is_in_micrometers_and_stands_noise() -> None:
    plane = ndimage.gaussian_filter(squares(), 4)
    width = edge_width(plane, 0.5)
    assert width == pytest.approx(np.sqrt(2 * np.pi * (2**2 + 1)), rel=0.1)
    noisy = plane + np.random.default_rng(0).normal(0, 0.02, plane.shape)
    assert edge_width(noisy, 0.5) == pytest.approx(width, rel=0.15)


def test_edge_width_of_nothing_is_unknown() -> None:
    assert np.isnan(edge_width(np.zeros((50, 50)), 1.0))
    assert np.isnan(edge_width(squares(), 1.0, np.zeros((SIDE, SIDE), bool)))


def tissue(color: tuple[float, float, float] = (0.05, 0.3, 0.2)) -> np.ndarray:
    """Draw the optical density of tissue with some texture."""
    noise = ndimage.gaussian_filter(np.random.default_rng(1).normal(0, 1, (SIDE, SIDE)), 2)
    return (np.array(color) * (1 + 0.1 * noise / noise.std())[..., None]).astype(np.float32)


def limits(densities: np.ndarray) -> np.ndarray:
    return fold_limits(densities.reshape(-1, densities.shape[-1]), 1.25)


@pytest.mark.parametrize("color", [(0.05, 0.3, 0.2), (0.3, 0.3, 0.3)], ids=["he", "gray"])
def test_folds_are_found(color: tuple[float, float, float]) -> None:
    densities = tissue(color)
    densities[100:120] *= 1.9
    found = find_folds(densities, limits(densities), 1.0)
    assert found[104:116].mean() > 0.98
    assert found[:95].sum() == found[130:].sum() == 0


def test_dark_fibers_and_crowded_nuclei_are_no_folds() -> None:
    densities = tissue()
    clean = limits(densities)
    densities[100:160, 100:160] *= 2  # as large as a fiber, 85 µm across the corners
    densities[:, 20:40] += (0.5, 0.3, 0.0)  # hematoxylin
    assert not find_folds(densities, clean, 1.0).any()


def test_without_stain_there_are_no_limits() -> None:
    none = fold_limits(np.zeros((0, 3), np.float32), 1.25)
    assert np.isinf(none).all()
    assert not find_folds(tissue(), none, 1.0).any()


def test_gray_pictures_have_folds() -> None:
    densities = tissue()[..., 1:2].copy()
    densities[:, 50:70] *= 2
    assert find_folds(densities, limits(densities), 1.0)[:, 54:66].mean() > 0.98


def test_tears_are_found() -> None:
    densities = tissue()
    densities[20:200, 60:72] = 0.01
    found = find_tears(densities, TISSUE, 1.0)
    assert found[25:195, 62:70].mean() > 0.98
    assert found.sum() <= 180 * 12


def test_fat_cells_cracks_and_glass_are_no_tears() -> None:
    densities = tissue()
    y, x = np.indices((SIDE, SIDE))
    # the membrane between the first two is broken
    for cy, cx, radius in ((60, 60, 45), (60, 140, 45), (170, 60, 45)):
        densities[np.hypot(y - cy, x - cx) < radius] = 0.01
    densities[:, 200:203] = 0.01
    densities[:, 220:] = 0.01
    inside = TISSUE.copy()
    inside[:, 220:] = False
    assert not find_tears(densities, inside, 1.0).any()
