"""Caliper (Feret) diameters of an outline."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Hull:
    """Convex hull of an outline, and its calipers.

    Attributes
    ----------
    vertices : (n,) ndarray of complex
        In order, in the unit of the outline.
    area, perimeter : float
    min_feret : float
        Least distance between two parallel lines that enclose the outline. The primary diameter
        of a fiber: an oblique cut lengthens a fiber and leaves its least width as it is.
    max_feret : float
        Greatest distance between two points of the outline.
    across : float
        Width at a right angle to the max Feret: the classical lesser diameter.
    """

    vertices: np.ndarray
    area: float
    perimeter: float
    min_feret: float
    max_feret: float
    across: float


def measure_hull(outline: np.ndarray) -> Hull:
    """Take the convex hull of an outline and measure its Feret diameters.

    Parameters
    ----------
    outline : (n,) ndarray of complex
        Points of the outline, any unit with equal axes.

    Returns
    -------
    Hull

    Notes
    -----
    The least width of a convex polygon lies across one of its sides (Freeman and Shapira 1975,
    Commun ACM 18:409), so that rotating calipers need only look at right angles to each side.
    """
    import cv2

    flat = outline.astype(np.complex64).view(np.float32).reshape(-1, 2)
    corners = cv2.convexHull(flat).reshape(-1, 2).astype(float)
    vertices = corners.view(complex).ravel()
    following = np.concatenate([vertices[1:], vertices[:1]])
    sides = following - vertices
    lengths = np.abs(sides)
    if not lengths.any():
        return Hull(vertices, 0.0, 0.0, 0.0, 0.0, 0.0)
    ahead = sides[lengths > 0] / lengths[lengths > 0]
    heights = ahead.real[:, None] * vertices.imag - ahead.imag[:, None] * vertices.real
    widths = heights.max(axis=1) - heights.min(axis=1)

    down = vertices.real[:, None] - vertices.real
    along = vertices.imag[:, None] - vertices.imag
    squares = down * down + along * along
    first, second = divmod(int(squares.argmax()), len(vertices))
    max_feret = float(np.sqrt(squares[first, second]))
    longest = (vertices[second] - vertices[first]) / max_feret
    over = (vertices * longest.conjugate()).imag
    return Hull(
        vertices,
        0.5 * abs(float(np.sum((vertices.conj() * following).imag))),
        float(lengths.sum()),
        float(widths.min()),
        max_feret,
        float(over.max() - over.min()),
    )
