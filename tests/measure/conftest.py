"""Polygons of known size, drawn on the pixel grid in any pose."""

from __future__ import annotations

import numpy as np
import pytest
from skimage.draw import polygon2mask

CIRCLE = np.exp(2j * np.pi * np.arange(240) / 240)


def _regular(n: int) -> np.ndarray:
    return np.exp(2j * np.pi * np.arange(n) / n)


def _concave() -> np.ndarray:
    """Triangle with hollow sides, circularity 0.419."""
    corners = _regular(3)
    along = np.linspace(0, 1, 30, endpoint=False)
    sides = []
    for k in range(3):
        start, end = corners[k], corners[(k + 1) % 3]
        middle = (start + end) / 2
        hollow = 0.109 * 4 * along * (1 - along)
        sides.append(start + (end - start) * along - middle / abs(middle) * hollow)
    return np.concatenate(sides)


SHAPES = {
    "disc": CIRCLE,
    "ellipse": CIRCLE.real + 1.5j * CIRCLE.imag,
    "long ellipse": CIRCLE.real + 2.5j * CIRCLE.imag,
    "square": np.array([1 + 1j, 1 - 1j, -1 - 1j, -1 + 1j]),
    "rectangle": np.array([1 + 2j, 1 - 2j, -1 - 2j, -1 + 2j]),
    "hexagon": _regular(6),
    "octagon": _regular(8),
    "pentagon": _regular(5),
    "triangle": _regular(3),
    "right triangle": np.array([0, 1, 1j]),
    "concave": _concave(),
}


def polygon_area(polygon: np.ndarray) -> float:
    return abs(float(np.sum((polygon.conj() * np.roll(polygon, -1)).imag))) / 2


def polygon_min_feret(polygon: np.ndarray) -> float:
    turned = polygon * np.exp(1j * np.linspace(0, np.pi, 3601))[:, None]
    return float(np.ptp(turned.real, axis=1).min())


class Drawer:
    """Draws shapes of known size."""

    names = tuple(SHAPES)

    def scaled(self, name: str, *, min_feret: float = 0.0, diameter: float = 0.0) -> np.ndarray:
        shape = SHAPES[name]
        if min_feret:
            return shape * (min_feret / polygon_min_feret(shape))
        return shape * np.sqrt(np.pi * diameter**2 / 4 / polygon_area(shape))

    def area(self, polygon: np.ndarray) -> float:
        return polygon_area(polygon)

    def circularity(self, name: str) -> float:
        shape = SHAPES[name]
        return 4 * np.pi * polygon_area(shape) / np.abs(np.diff(shape, append=shape[0])).sum() ** 2

    def mask(
        self, polygon: np.ndarray, *, angle: float = 0.0, shift: complex = 0, margin: int = 2
    ) -> np.ndarray:
        """Pixels whose centers lie inside, with a margin of background."""
        placed = polygon * np.exp(1j * angle)
        placed = placed - placed.real.min() - 1j * placed.imag.min() + margin * (1 + 1j) + shift
        shape = (int(placed.real.max()) + margin + 1, int(placed.imag.max()) + margin + 1)
        centers = np.stack([placed.real, placed.imag], axis=1) - 0.5
        return np.asarray(polygon2mask(shape, centers))

    def poses(self, polygon: np.ndarray, n: int, seed: int = 0) -> list[np.ndarray]:
        """Masks at random angles and sub-pixel positions."""
        rng = np.random.default_rng(seed)
        return [
            self.mask(
                polygon,
                angle=rng.uniform(0, 2 * np.pi),
                shift=complex(rng.uniform(), rng.uniform()),
            )
            for _ in range(n)
        ]


@pytest.fixture(scope="session")
def draw() -> Drawer:
    return Drawer()
