"""Groups of neighboring fibers drawn as one region."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from biopsy_ai.formats.contours import Polygon

DETAIL_UM = 1.0
"""How far the outline of a region may run from that of its fibers. [default]"""


@dataclass(frozen=True, eq=False)
class Region:
    """What neighboring fibers cover, with the gaps between them.

    Attributes
    ----------
    outlines
        (N, 2) arrays of (row, column), µm: each part of the region, and each hole in which other
        fibers lie.
    center_um
        (2,) row, column of the largest circle in the largest part, µm.
    room_um
        Its diameter, µm.
    """

    outlines: list[Polygon]
    center_um: NDArray[np.float64]
    room_um: float


def join_neighbors(
    members: Sequence[Polygon], others: NDArray[np.float64], gap_um: float
) -> Region | None:
    """Join the outlines of neighboring fibers.

    Parameters
    ----------
    members
        (N, 2) arrays of (row, column), µm.
    others : (n, 2) array
        Middles of the fibers that do not belong to them, row and column, µm.
    gap_um
        Fibers whose outlines come as close are joined.

    Returns
    -------
    Region or None
        None where nothing is large enough to be outlined.
    """
    import shapely
    from shapely.ops import polylabel

    shapes = [shapely.Polygon(points) for points in members if len(points) >= 3]
    thinned = shapely.simplify(np.array(shapes), DETAIL_UM, preserve_topology=False)
    # a little more than half the gap each, so that rounding leaves no slit
    grown = shapely.union_all(shapely.buffer(thinned, gap_um / 2 + 0.5, quad_segs=3))
    region = shapely.buffer(grown, -gap_um / 2, quad_segs=3)
    parts = [part for part in shapely.get_parts(region).tolist() if part.area > 0]
    if not parts:
        return None
    rings = [part.exterior for part in parts]
    for hole in (hole for part in parts for hole in part.interiors):
        # wide gaps are holes too, but nothing lies in them
        inside = shapely.contains_xy(shapely.Polygon(hole), others)
        if inside.any():
            rings.append(hole)
    largest = max(parts, key=lambda part: part.area)
    center = polylabel(largest, DETAIL_UM)
    return Region(
        outlines=[shapely.get_coordinates(ring)[:-1] for ring in rings],
        center_um=shapely.get_coordinates(center)[0],
        room_um=2 * float(shapely.distance(center, largest.boundary)),
    )
