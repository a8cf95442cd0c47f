"""Size, position and shape of all nuclei of a window at once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Shapes:
    """What the pixels of nuclei say about their shape.

    Attributes
    ----------
    values : (n, 6) ndarray of float
        Centroid (y, x), µm from the corner of the section; area, µm²; axes of the ellipse with the
        same second moments, µm; circularity.
    pixels : (n,) ndarray of int
        Number of pixels.
    plain : (n,) ndarray of bool
        Whether the nucleus is one part without holes, of pixels that touch along their sides; else
        its circularity is not quite right.
    """

    values: NDArray[np.float64]
    pixels: NDArray[np.int64]
    plain: NDArray[np.bool_]


def measure_shapes(
    piece: NDArray[np.integer],
    at: NDArray[np.intp],
    row: NDArray[np.intp],
    n: int,
    origin: tuple[int, int],
    mpp: tuple[float, float],
) -> Shapes:
    """Measure the shapes of nuclei.

    Parameters
    ----------
    piece : (h, w) ndarray of int
        Label image.
    at, row : (m,) ndarray of int
        Flat places of its pixels that belong to nuclei, and the nucleus of each, below n.
    n : int
        Number of nuclei; those without pixels get NaN.
    origin : (y, x) tuple of int
        Where the first pixel of the piece lies in the section.
    mpp : (y, x) tuple of float
        Pixel size in µm.

    Returns
    -------
    Shapes

    Notes
    -----
    As `measure_size` and `crofton_perimeter` have it. The Euler number of a union of pixels tells
    whether it is one part without holes: corners less sides plus pixels.
    """
    wide = np.pad(piece, 1)
    step = wide.shape[1]
    y, x = np.divmod(at, piece.shape[1])
    flat, here = wide.ravel(), (y + 1) * step + x + 1
    own = flat[here]
    west, east, north, northwest, northeast = (
        flat[here + to] != own for to in (-1, 1, -step, -step - 1, 1 - step)
    )
    at_corner = north & ((west & ~northwest) | (east & ~northeast))

    def count(where: NDArray[np.bool_]) -> NDArray[np.int64]:
        return np.bincount(row[where], minlength=n)

    pixels = np.bincount(row, minlength=n)
    in_rows, in_columns = count(west), count(north)
    corners = pixels + in_rows + count(north & northeast) + count(west & north & northwest)
    sides = 2 * pixels + in_rows + in_columns
    euler = corners - sides + pixels

    some = np.maximum(pixels, 1)
    # from a place near the nucleus, lest the squares lose digits
    first = np.zeros(n, np.intp)
    first[row] = np.arange(len(row))
    start_y, start_x = (axis[first] if len(axis) else np.zeros(n, np.intp) for axis in (y, x))
    dy, dx = (y - start_y[row]).astype(float), (x - start_x[row]).astype(float)
    mean_y, mean_x = (np.bincount(row, axis, n) / some for axis in (dy, dx))
    height, width = mpp
    rows = (np.bincount(row, dy * dy, n) / some - mean_y**2) * height**2
    columns = (np.bincount(row, dx * dx, n) / some - mean_x**2) * width**2
    mixed = (np.bincount(row, dy * dx, n) / some - mean_y * mean_x) * height * width
    middle, half = (rows + columns) / 2, np.hypot((rows - columns) / 2, mixed)

    diagonal, angle = float(np.hypot(height, width)), float(np.arctan2(height, width))
    perimeter = (
        angle * height * in_rows
        + (np.pi / 2 - angle) * width * in_columns
        + (np.pi / 4) * (height * width / diagonal) * (count(northwest) + count(northeast))
    )
    area = pixels * height * width
    values = np.stack(
        [
            (origin[0] + start_y + mean_y + 0.5) * height,
            (origin[1] + start_x + mean_x + 0.5) * width,
            area,
            4.0 * np.sqrt(np.maximum(middle + half, 0.0)),
            4.0 * np.sqrt(np.maximum(middle - half, 0.0)),
            np.minimum(4.0 * np.pi * area / np.maximum(perimeter, 1e-9) ** 2, 1.0),
        ],
        axis=1,
    )
    values[pixels == 0] = np.nan
    return Shapes(values, pixels, (euler == 1) & (count(at_corner) == 0))
