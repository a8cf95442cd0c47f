import numpy as np
import pytest

from biopsy_ai.synthesis.packing import power_cells, relax_circles


def polygon_area(points: np.ndarray) -> float:
    y, x = points.T
    return abs(float(np.dot(y, np.roll(x, 1)) - np.dot(x, np.roll(y, 1)))) / 2


def test_equal_circles_on_a_grid_get_square_cells():
    grid = np.stack(np.meshgrid(np.arange(5.0), np.arange(5.0), indexing="ij"), -1).reshape(-1, 2)
    grid += np.random.default_rng(0).normal(0, 1e-4, grid.shape)
    cells, corners, _ = power_cells(10 * grid, np.full(25, 3.0))
    inner = [i for i in range(25) if 0 < i // 5 < 4 and 0 < i % 5 < 4]
    areas = [polygon_area(corners[cells[i]]) for i in inner]
    assert areas == pytest.approx([100.0] * 9, rel=1e-3)


def test_side_between_two_circles_lies_on_their_radical_axis():
    rng = np.random.default_rng(1)
    centers, radii = rng.random((60, 2)) * 100, rng.uniform(2, 8, 60)
    _, corners, sides = power_cells(centers, radii)
    for (u, v), (a, b) in sides.items():
        for corner in corners[[u, v]]:
            power_a = ((corner - centers[a]) ** 2).sum() - radii[a] ** 2
            power_b = ((corner - centers[b]) ** 2).sum() - radii[b] ** 2
            assert power_a == pytest.approx(power_b, rel=1e-6, abs=1e-4)


def test_relaxing_removes_most_overlap():
    rng = np.random.default_rng(2)
    centers, radii = rng.random((80, 2)) * 100, np.full(80, 5.0)

    def overlap(points: np.ndarray) -> float:
        delta = points[:, None] - points[None]
        delta -= 100 * np.round(delta / 100)
        distance = np.hypot(*np.moveaxis(delta, -1, 0))
        return float(np.clip(10 - distance[np.triu_indices(80, 1)], 0, None).sum())

    relaxed = relax_circles(centers, radii, (100.0, 100.0))
    assert overlap(relaxed) < 0.1 * overlap(centers)
    assert ((relaxed >= 0) & (relaxed <= 100)).all()
