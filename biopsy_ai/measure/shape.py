"""Shape of a fiber: roundness, concavity, corners."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from biopsy_ai.measure.feret import Hull
from biopsy_ai.measure.outline import interior_angles, simplify
from biopsy_ai.measure.reference import DEFAULTS, Limits

CURVATURE_SAMPLES = 128


@dataclass(frozen=True)
class Shape:
    """Shape of one fiber; all values are without unit except the angle.

    Attributes
    ----------
    circularity : float
        4πA/P²: circle 1, hexagon 0.907, square 0.785, triangle 0.605. Not clipped at 1.
    solidity : float
        Area / area of the convex hull, at most 1; low where sides are concave.
    convexity : float
        Perimeter of the hull / perimeter, at most 1.
    feret_aspect_ratio : float
        Max Feret / min Feret.
    roundness : float
        4A/(π max Feret²).
    triangularity : float
        Area / area of the least enclosing triangle: triangle 1, disc 0.605.
    min_angle_deg : float
        Sharpest corner of the Douglas-Peucker polygon.
    n_acute_angles : int
        Corners below the limit, 80° unless the user sets another.
    """

    circularity: float
    solidity: float
    convexity: float
    feret_aspect_ratio: float
    roundness: float
    triangularity: float
    min_angle_deg: float
    n_acute_angles: int


def measure_shape(
    outline: np.ndarray, hull: Hull, *, area: float, perimeter: float, limits: Limits = DEFAULTS
) -> Shape:
    """Measure the shape of a fiber from its sub-pixel outline.

    Parameters
    ----------
    outline : (n,) ndarray of complex
        Sub-pixel outline, axes of equal unit.
    hull : Hull
        Of the same outline.
    area : float
        Area that the outline encloses, same unit squared.
    perimeter : float
        Crofton perimeter, same unit.
    limits : Limits, optional

    Returns
    -------
    Shape

    Notes
    -----
    Area counts pixels and the hull is that of the sub-pixel outline; both are right on average,
    so that the solidity of a convex figure is about 1 at every size. The hull of pixel centers
    would give more than 1, that of pixel corners 0.97 for a disc 20 px across.
    """
    triangle_area = _enclosing_triangle_area(hull)
    polygon = simplify(outline, limits["corner_tolerance"] * 2.0 * np.sqrt(area / np.pi))
    angles = interior_angles(polygon) if len(polygon) >= 3 else np.zeros(1)
    return Shape(
        circularity=4.0 * np.pi * area / perimeter**2,
        solidity=min(area / hull.area, 1.0),
        convexity=min(hull.perimeter / perimeter, 1.0),
        feret_aspect_ratio=hull.max_feret / hull.min_feret,
        roundness=4.0 * area / (np.pi * hull.max_feret**2),
        triangularity=min(area / triangle_area, 1.0) if triangle_area > 0 else float("nan"),
        min_angle_deg=float(angles.min()),
        n_acute_angles=int(np.count_nonzero(angles < limits["acute_angle_deg"])),
    )


def _enclosing_triangle_area(hull: Hull) -> float:
    """Area of the least triangle that encloses a hull; NaN if there is none."""
    import cv2

    vertices = hull.vertices.astype(np.complex64).view(np.float32).reshape(-1, 1, 2)
    # Vertices that stand out by less than 1/500 of the width cost time and change nothing.
    thinned = cv2.approxPolyDP(vertices, 2e-3 * hull.min_feret, True)
    vertices = thinned if len(thinned) >= 3 else vertices
    for attempt in range(4):
        try:
            area = cv2.minEnclosingTriangle(vertices)[0]
        except cv2.error:
            # OpenCV gives up where two sides are exactly parallel, in one of a thousand fibers.
            area = 0.0
        if area > 0:
            return float(area)
        shift = 1e-3 * (attempt + 1) * hull.min_feret * np.sin(np.arange(vertices.size) ** 2)
        vertices = cv2.convexHull(vertices + shift.reshape(vertices.shape).astype(np.float32))
    return float("nan")


def resample_outline(outline: np.ndarray) -> np.ndarray:
    """Place `CURVATURE_SAMPLES` points at equal steps along a closed outline.

    Parameters
    ----------
    outline : (n,) ndarray of complex

    Returns
    -------
    (CURVATURE_SAMPLES,) ndarray of complex
    """
    points = np.concatenate([outline, outline[:1]])
    way = np.zeros(len(points))
    np.cumsum(np.abs(np.diff(points)), out=way[1:])
    at = np.arange(CURVATURE_SAMPLES) * (way[-1] / CURVATURE_SAMPLES)
    return np.interp(at, way, points)


def curvature_measures(
    outlines: np.ndarray, diameters: np.ndarray, limits: Limits = DEFAULTS
) -> tuple[np.ndarray, np.ndarray]:
    """Sharpness of the sharpest corner, and share of the outline that is concave.

    Outlines are smoothed by a Gaussian of 0.05 perimeters. Curvature is taken in units of
    1 / equivalent radius and freed of the shrinking of a circle by that smoothing, so that a
    circle has 1 everywhere at every size. Smoothing a convex outline leaves it convex.

    Parameters
    ----------
    outlines : (n, CURVATURE_SAMPLES) ndarray of complex
        From `resample_outline`.
    diameters : (n,) ndarray of float
        Equivalent diameters in the unit of the outlines.
    limits : Limits, optional

    Returns
    -------
    max_curvature, concave_fraction : (n,) ndarray of float
    """
    samples = outlines.shape[1]
    sigma = limits["curvature_smoothing"]
    frequency = 2j * np.pi * np.fft.fftfreq(samples)
    smoothing = np.exp(-0.5 * (np.abs(frequency) * sigma * samples) ** 2)
    spectrum = np.fft.fft(outlines, axis=1) * smoothing
    first = np.fft.ifft(spectrum * frequency, axis=1)
    second = np.fft.ifft(spectrum * frequency**2, axis=1)
    curvature = (first.conj() * second).imag / np.maximum(np.abs(first), 1e-12) ** 3
    # The sense of rotation decides the sign: a closed curve turns once in all.
    turning = np.sum(curvature * np.abs(first), axis=1, keepdims=True)
    shrinking = np.exp(-0.5 * (2 * np.pi * sigma) ** 2)
    relative = curvature * np.sign(turning) * (diameters[:, None] / 2) * shrinking
    return relative.max(axis=1), np.mean(relative < limits["concave_curvature"], axis=1)
