"""Perimeter by the Crofton formula."""

from __future__ import annotations

import numpy as np


def crofton_perimeter(sides: np.ndarray, mpp: tuple[float, float] = (1.0, 1.0)) -> float:
    """Perimeter of a traced outline by the Crofton formula in four directions.

    The perimeter of a figure is half the integral, over all directions, of the number of times
    that parallel lines of unit spacing cross its outline. Rows, columns and both diagonals of the
    pixel grid are such lines. Unlike the length of the chain of pixels, the result does not depend
    on the size of the figure: counting neighbors makes small fibers rounder and large fibers more
    angular than they are.

    Parameters
    ----------
    sides : (n,) ndarray of int
        Pixel sides of the outline in order: 0 east, 1 south, 2 west, 3 north.
    mpp : (y, x) tuple of float
        Pixel size. Where it is not square, the diagonals lie at other angles and each direction
        stands for the directions nearer to it than to the others (Lehmann and Legland 2012,
        Insight J 797).

    Returns
    -------
    float
        In the unit of ``mpp``. For square pixels this is
        ``skimage.measure.perimeter_crofton(mask, directions=4)`` of the outer outline, unless
        pixels meet only at a corner, through which the outline passes twice.
    """
    following = np.concatenate([sides[1:], sides[:1]])
    across_rows = np.count_nonzero(sides & 1)
    along_rows = len(sides) - across_rows
    straight = np.count_nonzero(following == sides)
    turns = len(sides) - straight
    # Where the outline turns, one pixel of the four around the corner differs from the others: it
    # lies on the rising diagonal if the two sides are east and north, or west and south.
    rising_turns = np.count_nonzero((following != sides) & (following + sides == 3))
    rising, falling = straight + rising_turns, straight + turns - rising_turns

    height, width = mpp
    diagonal = float(np.hypot(height, width))
    angle = float(np.arctan2(height, width))
    integral = (
        angle * height * along_rows
        + (np.pi / 2 - angle) * width * across_rows
        + (np.pi / 4) * (height * width / diagonal) * (rising + falling)
    )
    return float(0.5 * integral)
