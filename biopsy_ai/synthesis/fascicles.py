"""Fascicles of a synthetic section, and which of them a place lies in."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from biopsy_ai.synthesis.geometry import Points
from biopsy_ai.synthesis.packing import power_cells, relax_circles
from biopsy_ai.synthesis.parameters import TissueParams


def draw_fascicles(
    tissue: TissueParams, box: tuple[float, float], rng: np.random.Generator
) -> list[Points]:
    """Outlines of the fascicles of a box, inset by their share of the perimysium."""
    import shapely

    area = np.asarray(box) + 4 * tissue.fascicle_um
    count = max(int(area[0] * area[1] / tissue.fascicle_um**2), 9)
    centers = rng.random((count, 2)) * area
    radii = np.full(count, tissue.fascicle_um / 2) * rng.uniform(0.6, 1.2, count)
    centers = relax_circles(centers, radii, (float(area[0]), float(area[1])))
    cells, corners, _ = power_cells(centers - 2 * tissue.fascicle_um, radii)
    found = []
    for cell in cells:
        if not len(cell):
            continue
        inset = tissue.perimysium_um * float(rng.uniform(0.2, 0.8))
        shape = shapely.Polygon(corners[cell]).buffer(-inset - 15).buffer(15)
        found += [
            np.asarray(part.segmentize(10.0).exterior.coords)[:-1]
            for part in shapely.get_parts(shape)
            if part.area > 2000
        ]
    return found


def fascicle_of(centers: Points, fascicles: list[Points]) -> NDArray[np.int64]:
    """Index of the fascicle that each center lies in, -1 for none."""
    import shapely

    tree = shapely.STRtree([shapely.Polygon(f).buffer(0) for f in fascicles])
    homes = np.full(len(centers), -1, dtype=np.int64)
    where, region = tree.query(shapely.points(centers), predicate="within")
    homes[where] = region
    return homes
