from __future__ import annotations

import numpy as np

from biopsy_ai.serial.refinement import LocalMap


def test_an_affine_map_is_followed_exactly() -> None:
    rng = np.random.default_rng(0)
    source = rng.uniform(0, 500, (40, 2))
    linear, shift = np.array([[0.9, -0.3], [0.2, 1.1]]), np.array([30.0, -50.0])
    found = LocalMap(source, source @ linear.T + shift)
    points = rng.uniform(-300, 800, (100, 2))
    mapped, local = found.follow(points)
    np.testing.assert_allclose(mapped, points @ linear.T + shift, atol=1e-6)
    np.testing.assert_allclose(local, np.broadcast_to(linear, (100, 2, 2)), atol=1e-6)
    np.testing.assert_allclose(found.inverse()(mapped), points, atol=1e-5)


def test_stretched_tissue_is_followed() -> None:
    y, x = np.mgrid[0:1000:50, 0:1000:50]
    source = np.stack([y, x], -1).reshape(-1, 2).astype(float)

    def bend(points: np.ndarray) -> np.ndarray:
        return points + 15 * np.sin(points[:, ::-1] / 120)

    found = LocalMap(source, bend(source))
    points = np.random.default_rng(1).uniform(100, 900, (200, 2))
    away = np.hypot(*(found(points) - bend(points)).T)
    assert np.median(away) < 2
    assert away.max() < 6


def test_far_from_all_pairs_the_map_stays_near_the_whole() -> None:
    rng = np.random.default_rng(2)
    source = rng.uniform(0, 300, (30, 2))
    found = LocalMap(source, source + rng.normal(0, 2, source.shape))
    away = np.hypot(*(found(np.array([[3000.0, 3000.0]])) - 3000).T)
    assert away[0] < 200
