"""Crops vary as laboratories and scanners do."""

from __future__ import annotations

import numpy as np

from biopsy_ai.training.dataset import low_detail, normalized_section


def picture(side: int = 128) -> np.ndarray:
    """Colored blobs, from 0 to 1."""
    y, x = np.mgrid[:side, :side] / side
    waves = [np.sin(9 * x + 5 * y), np.cos(7 * y), np.sin(12 * x * y)]
    return (0.5 + 0.5 * np.stack(waves, axis=-1)).astype(np.float32)


def test_losing_detail_keeps_the_picture() -> None:
    before = picture()
    for seed in range(40):
        after = before.copy()
        low_detail(after, np.random.default_rng(seed))
        assert np.isfinite(after).all()
        assert (after != before).any()
        assert np.corrcoef(after.ravel(), before.ravel())[0, 1] > 0.95
        assert np.abs(after.mean((0, 1)) - before.mean((0, 1))).max() < 0.03, "colors stay apart"


def test_some_crops_are_compressed_at_coarse_pixels() -> None:
    # A flat picture stays as it is when it is blurred or made coarse; JPEG leaves its own steps.
    flat = np.full((128, 128, 3), (0.3337, 0.6123, 0.4571), np.float32)
    changed = 0
    for seed in range(200):
        after = flat.copy()
        low_detail(after, np.random.default_rng(seed))
        noisy = after.std((0, 1)).max() > 0.005
        changed += bool(not noisy and np.abs(after - flat).max() > 1e-4)
    assert 30 < changed < 90, "three in ten"


def test_bright_picture_is_not_cut_off_by_compression() -> None:
    bright = np.full((64, 64, 3), 1.15, np.float32)
    for seed in range(60):
        after = bright.copy()
        low_detail(after, np.random.default_rng(seed))
        assert np.abs(after.mean() - 1.15) < 0.02


def test_a_section_is_scaled_as_a_slide_is() -> None:
    image = (255 * picture()).astype(np.uint8)
    scaled = normalized_section(image, np.random.default_rng(0))
    assert scaled.dtype == np.float32
    assert scaled.shape == image.shape
    assert -0.2 < np.percentile(scaled, 1) < 0.2
    assert 0.8 < np.percentile(scaled, 99) < 1.2
    gray = normalized_section(image[..., 0], np.random.default_rng(0))
    assert gray.shape == image.shape
    assert (gray[..., 0] == gray[..., 2]).all()
