"""What borders a fascicle: walls of perimysium and glass, and how well they part the fibers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from biopsy_ai.measure.reference import DEFAULTS, Limits
from biopsy_ai.measure.tissue import BACKGROUND, ENDOMYSIUM, FIBER, PERIMYSIUM

GLASS_RADIUS_UM = 30.0
"""Empty places that no disc of this radius fits into are cracks and tears, which part no
fascicles. [default]"""
SPECK_UM2 = 1000.0
"""Smaller islands of wall part nothing. [default]"""
BRIDGE_UM = 80.0
"""Walls go on under fat, vessels and artefacts where a disc of this radius does not pass between
their ends. [default]"""

Mask = NDArray[np.bool_]
Labels = NDArray[np.int32]


def distances(mask: Mask) -> NDArray[np.float32]:
    """Distance of every pixel of a mask, which is not all, from the nearest one outside, pixels."""
    import cv2

    flat = np.ascontiguousarray(mask).view(np.uint8)
    found = cv2.distanceTransform(flat, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    # its last digit differs from call to call, and squares are whole numbers
    return np.asarray(np.sqrt(np.rint(found * found)), dtype=np.float32)


def find_walls(classes: NDArray, side: float) -> tuple[Mask, Mask]:
    """Find what parts fascicles: perimysium and open glass.

    Parameters
    ----------
    classes : (h, w) ndarray of int
        Tissue classes on a grid that fits the memory.
    side : float
        Its pixel size, µm.

    Returns
    -------
    wall, glass : (h, w) ndarray of bool
        The walls, which go on under fat, vessels and artefacts where these interrupt them, and the
        glass alone.
    """
    glass = _open_glass(classes == BACKGROUND, side)
    wall = _bridged((classes == PERIMYSIUM) | glass, classes, side)
    return _without_specks(wall, side), glass


def _open_glass(empty: Mask, side: float) -> Mask:
    """Empty places that a disc fits into."""
    radius = GLASS_RADIUS_UM / side
    pad = int(np.ceil(radius)) + 1
    # beyond the image it goes on
    wide = np.pad(empty, pad, mode="edge")
    if wide.all() or not wide.any():
        return empty
    core = distances(wide) > radius
    grown = distances(~core) <= radius if core.any() else core
    return np.asarray((grown & wide)[pad:-pad, pad:-pad])


def _without_specks(wall: Mask, side: float) -> Mask:
    """Leave out small islands; at the image border they may be the end of something larger."""
    from scipy.ndimage import label as connected_parts

    parts, n = connected_parts(wall, structure=np.ones((3, 3), bool))
    kept = np.bincount(parts.ravel(), minlength=n + 1) * side**2 >= SPECK_UM2
    for rim in (parts[0], parts[-1], parts[:, 0], parts[:, -1]):
        kept[rim] = True
    kept[0] = False
    return np.asarray(kept[parts])


def _bridged(wall: Mask, classes: NDArray, side: float) -> Mask:
    """Let walls go on under what is neither muscle nor wall: a closing, there alone."""
    hidden = ~wall & (classes != FIBER) & (classes != ENDOMYSIUM)
    if not hidden.any() or not wall.any():
        return wall
    radius = BRIDGE_UM / side
    pad = int(np.ceil(radius)) + 1
    near = distances(~np.pad(wall, pad)) <= radius
    closed = (distances(near) > radius)[pad:-pad, pad:-pad]
    return np.asarray(wall | (hidden & closed))


def find_inside(classes: NDArray, wall: Mask) -> Mask:
    """Find fibers and endomysium, and what lies nearer to these than to a wall.

    Parameters
    ----------
    classes, wall : (h, w) ndarray
        Tissue classes, and walls from `find_walls`.

    Returns
    -------
    (h, w) ndarray of bool
    """
    muscle = (classes == FIBER) | (classes == ENDOMYSIUM)
    other = ~muscle & ~wall
    if not muscle.any() or not other.any():
        return muscle
    if not wall.any():
        return np.ones_like(muscle)
    to_muscle = distances(~muscle)
    to_wall = distances(~wall)
    return np.asarray(muscle | (other & (to_muscle < to_wall)))


@dataclass(frozen=True, eq=False)
class Edges:
    """Pixel sides between each region (row 0 none) and what is beside it."""

    closed: NDArray[np.int64]
    """With the space between the fascicles."""
    open: NDArray[np.int64]
    """With another fascicle."""
    cut: NDArray[np.int64]
    """With glass or the image border."""

    @classmethod
    def between(cls, regions: Labels, glass: Mask) -> Edges:
        n = int(regions.max(initial=0)) + 1
        kinds = np.zeros((3, n), np.int64)
        framed = np.pad(regions, 1, constant_values=-1)
        beyond = np.pad(np.where(glass & (regions == 0), -1, regions), 1, constant_values=-1)
        for one, other in (
            (framed[:, :-1], beyond[:, 1:]),
            (framed[:, 1:], beyond[:, :-1]),
            (framed[:-1], beyond[1:]),
            (framed[1:], beyond[:-1]),
        ):
            at = (one > 0) & (one != other)
            region, beside = one[at], other[at]
            for k, kind in enumerate((beside == 0, beside > 0, beside < 0)):
                kinds[k] += np.bincount(region[kind], minlength=n)
        return cls(*kinds)


def measure_borders(
    classes: NDArray, labels: Labels, regions: Labels, edges: Edges, glass: Mask, side: float
) -> dict[str, float | None]:
    """Measure how much perimysium there is, what it parts, and how wide it is.

    Parameters
    ----------
    classes, labels, regions, glass : (h, w) ndarray
        Tissue classes, fibers, fascicles and open glass on the same grid.
    edges : Edges
        What lies beside the fascicles.
    side : float
        Pixel size of the grid, µm.

    Returns
    -------
    dict
        As `Fascicles.measures` says; None where there is nothing to measure.
    """
    perimysium = classes == PERIMYSIUM
    muscle = int(np.count_nonzero((classes == FIBER) | (classes == ENDOMYSIUM)))
    wall = int(np.count_nonzero(perimysium))
    share = wall / max(muscle + wall, 1)
    ends = float(edges.open.sum() + edges.closed.sum())
    area = np.bincount(labels[labels > 0]) if (labels > 0).any() else np.zeros(1, np.int64)
    around = float(2 * np.sqrt(np.pi * area).sum()) * side
    ratio = None
    if 0 < wall < perimysium.size and around > 0:
        # the mean distance to the sides of a strip is a quarter of its width
        depth = distances(perimysium)[perimysium].astype(float)
        endomysium = 2.0 * np.count_nonzero(classes == ENDOMYSIUM) * side**2 / around
        ratio = float(endomysium / (4.0 * depth.mean() * side))
    return {
        "perimysium_share": share,
        "island_share": island_share(perimysium, regions, glass),
        "open_share": float(edges.open.sum() / ends) if ends else None,
        "width_ratio": ratio,
    }


def island_share(perimysium: Mask, regions: Labels, glass: Mask) -> float | None:
    """Share of the perimysium in islands that lie inside one region and so part nothing.

    What reaches the image border or glass is no island, for its other end is not seen.
    """
    from scipy.ndimage import label as connected_parts

    parts, n = connected_parts(perimysium, structure=np.ones((3, 3), bool))
    if not n:
        return None
    # -1 is what lies beyond the muscle: an island does not reach it
    beside = np.pad(np.where(glass, -1, regions), 1, constant_values=-1)
    framed = np.pad(parts, 1)
    pairs = []
    for one, other in (
        ((slice(None), slice(None, -1)), (slice(None), slice(1, None))),
        ((slice(None, -1), slice(None)), (slice(1, None), slice(None))),
    ):
        for here, there in ((one, other), (other, one)):
            at = (framed[here] > 0) & (beside[there] != 0)
            pairs.append(np.unique(stacked(framed[here], beside[there], at), axis=0))
    part, region = np.unique(np.concatenate(pairs), axis=0).T
    alone = np.bincount(part, minlength=n + 1) == 1
    alone[part[region < 0]] = False
    sizes = np.bincount(parts.ravel(), minlength=n + 1)
    return float(sizes[1:][alone[1:]].sum() / sizes[1:].sum())


def why_dissolved(found: dict[str, float | None], limits: Limits = DEFAULTS) -> str:
    """Say why the fascicles that were found are not to be believed, or give an empty string.

    Parameters
    ----------
    found : dict
        From `measure_borders`.
    limits : Limits, optional
    """
    share, islands, opened, ratio = (
        found[name] for name in ("perimysium_share", "island_share", "open_share", "width_ratio")
    )
    if share is None or share < limits["perimysium_least_share"]:
        return "no perimysium is seen"
    if islands is not None and islands > limits["perimysium_island_share"]:
        return f"{100 * islands:.0f} % of the perimysium lies in islands that part nothing"
    if opened is not None and opened > limits["fascicle_open_share"]:
        return f"{100 * opened:.0f} % of the borders between fascicles are open"
    if ratio is not None and ratio > limits["fascicle_width_ratio"]:
        return f"the endomysium is {ratio:.2f} times as wide as the perimysium"
    return ""


def stacked(one: NDArray, other: NDArray, at: Mask) -> NDArray[np.int64]:
    """Pairs of values of two images where a mask says so, (n, 2)."""
    return np.stack([one[at], other[at]], axis=1).astype(np.int64)
