"""Straight sides and sharp corners of an outline, which the pixel grid and smoothing blur.

A sharp corner is where two straight sides meet, so it is looked for in its sides: a line is fitted
to the middles of the pixel sides before and after each turn of the outline, over the whole way to
the next turn where that is straight, and the two lines cross in the corner. Points are complex
numbers as in `biopsy_ai.measure.outline`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from biopsy_ai.measure.reference import DEFAULTS, Limits

_LEAST_TURN_DEG = 45.0
_SHARPEST_DEG, _BLUNTEST_DEG = 15.0, 118.0


@dataclass(frozen=True)
class _Lines:
    """Lines fitted to runs of an outline, as arrays of one shape.

    Attributes
    ----------
    center : ndarray of complex
    doubled : ndarray of complex
        Unit vector at twice the angle of the line.
    straight : ndarray of bool
        Whether the points keep to the line as well as the pixel sides of a straight edge do.
    """

    center: np.ndarray
    doubled: np.ndarray
    straight: np.ndarray


def straighten(
    smooth: np.ndarray,
    points: np.ndarray,
    diameter: float,
    *,
    blurred: int,
    limits: Limits = DEFAULTS,
) -> np.ndarray:
    """Draw the straight sides of a smoothed outline straight, and its sharp corners sharp.

    Parameters
    ----------
    smooth, points : (n,) ndarray of complex
        Middles of pixel sides, smoothed and as they are, at least 12.
    diameter : float
        Equivalent diameter, pixels.
    blurred : int
        Points on either side of a corner that smoothing has moved.
    limits : Limits, optional

    Returns
    -------
    (m,) ndarray of complex
        Points of the smoothed outline, of its sides only the ends, and the corners between them.
    """
    n = len(points)
    per_px = n / float(np.abs(smooth[1:] - smooth[:-1]).sum())
    near_px = max(1.5, min(0.06 * diameter, 2.0))
    near = round(near_px * per_px)
    least = round((near_px + 3.0) * per_px)
    far = max(least, round(min(0.38 * diameter, 14.0) * per_px))
    # Not from the whole of that reach, lest the two corners of a narrow end hide each other.
    at = _turns(smooth, max(round(0.75 * far), 3))
    if not len(at):
        return smooth

    # Each turn has three lines to choose from: the whole side ahead of it, which is the whole side
    # behind the next one as well, and of each of its two sides the part that is nearest to it.
    room = np.concatenate([at[1:], at[:1] + n]) - at - near
    ahead = np.minimum(np.maximum(room, least), far)
    behind = np.concatenate([ahead[-1:], ahead[:-1]])
    lines = _fit_lines(
        points,
        np.stack([at + near, at - behind, at + near]),
        np.stack([np.maximum(room, least), behind, ahead]) - near + 1,
        limits["straight_side_scatter_px"],
    )
    whole = lines.straight[0] & (room >= least)
    sharp, corners = _cross(points, at, lines, whole, near)

    # Smoothing has drawn the ends of a side, twice the way that is left out, towards the next one.
    start, end = at + 2 * near, at + room - near
    whole &= start < end
    if not (sharp.any() or whole.any()):
        return smooth
    keep = np.ones(n, dtype=bool)
    drawn = smooth.copy()
    for k in np.flatnonzero(whole):
        ends = np.array([start[k], end[k]]) % n
        off = drawn[ends] - lines.center[0, k]
        drawn[ends] = lines.center[0, k] + 0.5 * (off + lines.doubled[0, k] * off.conj())
        first, last = ends
        if first < last:
            keep[first + 1 : last] = False
        else:
            keep[first + 1 :] = keep[:last] = False
    keep[(at[sharp, None] + np.arange(-blurred, blurred + 1)) % n] = False
    kept = np.flatnonzero(keep)
    if len(kept) + len(corners) < 3:
        return smooth
    order = np.argsort(np.concatenate([kept, at[sharp]]), kind="stable")
    return np.concatenate([drawn[kept], corners])[order]


def _turns(smooth: np.ndarray, reach: int) -> np.ndarray:
    """Where an outline turns by more than 45° within a reach, and more than it does nearby."""
    import cv2

    around = np.concatenate([smooth[-reach:], smooth, smooth[:reach]])
    steps = around[reach:] - around[:-reach]
    turn = steps[reach:] * steps[:-reach].conj()
    cosine = turn.real / np.maximum(np.abs(turn), 1e-12)
    turning = cosine < np.cos(np.radians(_LEAST_TURN_DEG))
    if not turning.any():
        return np.empty(0, dtype=np.intp)
    around = np.concatenate([cosine[-reach:], cosine, cosine[:reach]])
    least = cv2.erode(around[None], np.ones((1, 2 * reach + 1), np.uint8))[0, reach:-reach]
    at = np.flatnonzero(turning & (cosine == least))
    if len(at) > 1:
        # Of two equals the later.
        at = at[np.concatenate([at[1:], at[:1] + len(smooth)]) - at > reach]
    return at


def _fit_lines(
    points: np.ndarray, first: np.ndarray, count: np.ndarray, scatter_px: float
) -> _Lines:
    """Fit lines to runs of a closed outline, given by first point and number of points.

    Total least squares: for complex deviations from the center, the angle of the line is half the
    angle of the mean of their squares, and what that mean lacks in length is twice the mean square
    distance from the line.

    On a straight edge at an angle θ to the rows, the pixel sides that it crosses steeply lie
    anywhere within half a pixel across, the others within half a pixel along: a mean square
    distance of (1 - |sin θ cos θ|) / 12 in all, half as much on a diagonal as on a row.
    """
    n = len(points)
    origin = points.mean()
    sums = np.zeros((3, 2 * n + 1), dtype=complex)
    powers = sums[:, 1 : n + 1]
    np.subtract(points, origin, out=powers[0])
    np.multiply(powers[0], powers[0], out=powers[1])
    np.multiply(powers[0], powers[0].conj(), out=powers[2])
    sums[:, n + 1 :] = powers
    sums = sums.cumsum(axis=1)

    first = first % n
    center, squares, lengths = (sums[:, first + count] - sums[:, first]) / count
    squares -= center * center
    size = np.abs(squares)
    doubled = squares / np.maximum(size, 1e-12)
    scatter = 0.5 * (lengths.real - center.real**2 - center.imag**2 - size)
    limit = scatter_px**2 * (1.0 - 0.5 * np.abs(doubled.imag))
    return _Lines(center + origin, doubled, scatter < limit)


def _cross(
    points: np.ndarray, at: np.ndarray, lines: _Lines, whole: np.ndarray, near: int
) -> tuple[np.ndarray, np.ndarray]:
    """Find the sharp corners among the turns of an outline.

    The crossing of the lines beside a turn is a sharp corner if both sides are straight, and if
    the outline comes as near to it as the grid lets it: between the lines, half the diagonal of a
    pixel.

    Parameters
    ----------
    points : (n,) ndarray of complex
        Middles of pixel sides.
    at : (k,) ndarray of int
        Turns.
    lines : _Lines
        (3, k) of them: the whole side after each turn, the near part of the side before it and of
        the side after it.
    whole : (k,) ndarray of bool
        Which turns to leave by the whole side.
    near : int
        Points on either side of a turn that no line was fitted to.

    Returns
    -------
    sharp : (k,) ndarray of bool
    corners : (number of sharp corners,) ndarray of complex
    """
    k = np.arange(len(at))
    come = np.where(whole[k - 1], 0, 1), np.where(whole[k - 1], k - 1, k)
    leave = np.where(whole, 0, 2), k
    sharp = lines.straight[come] & lines.straight[leave]
    if not sharp.any():
        return sharp, np.empty(0, dtype=complex)
    one, other = lines.center[come], lines.center[leave]
    back = _pointing(lines.doubled[come], one - points[at])
    forth = _pointing(lines.doubled[leave], other - points[at])
    turn = back.conj() * forth
    opening = np.abs(np.angle(turn))
    sine = np.where(turn.imag == 0, 1e-9, turn.imag)
    crossing = one - ((other - one) * forth.conj()).imag / sine * back
    around = points[(at[:, None] + np.arange(-near - 3, near + 4)) % len(points)]
    gap = np.abs(around - crossing[:, None]).min(axis=1)
    sharp &= (
        (opening > np.radians(_SHARPEST_DEG))
        & (opening < np.radians(_BLUNTEST_DEG))
        & (gap * np.sin(opening / 2.0) < np.sqrt(0.5))
    )
    return sharp, crossing[sharp]


def _pointing(doubled: np.ndarray, towards: np.ndarray) -> np.ndarray:
    """Unit vectors along lines given by twice their angle, on the side of other vectors."""
    line = np.sqrt(doubled)
    return np.where((line.conj() * towards).real < 0, -line, line)
