"""Put lesions into a section that is laid out: fat lobules, fibrosis, nuclear clumps, spindles."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from biopsy_ai.synthesis.geometry import Clump, FiberShape, Geometry, Points, Spindle
from biopsy_ai.synthesis.packing import power_cells, relax_circles
from biopsy_ai.synthesis.parameters import TissueParams
from biopsy_ai.synthesis.raster import Layers
from biopsy_ai.synthesis.texture import smooth_noise

ADIPOCYTE_UM = (40.0, 90.0)
"""Diameter of the fat cells of a lobule, µm. [default]"""

SHRUNKEN_SHARE = 0.55
"""Fibrosis leaves at least this share of the radius of a fiber. [default]"""

_PIXEL_UM = 8.0
"""Grid on which the outlines of lesions are drawn, µm."""


def add_lesions(geometry: Geometry, tissue: TissueParams, rng: np.random.Generator) -> Geometry:
    """Add what `tissue` asks for; nothing is drawn from `rng` for what is switched off."""
    if tissue.fibrosis > 0:
        geometry = _fibrosis(geometry, tissue, rng)
    if tissue.clumped > 0:
        geometry = _clumps(geometry, tissue, rng)
    if tissue.lobules > 0:
        geometry = _lobules(geometry, tissue, rng)
    if tissue.spindles_per_mm2 > 0:
        geometry = replace(geometry, spindles=_spindles(geometry, tissue, rng))
    return geometry


def patches(
    size_um: tuple[float, float], share: float, grain_um: float, rng: np.random.Generator
) -> list[Points]:
    """Outlines of irregular places that together take about a share of the field."""
    import cv2

    shape = (int(size_um[0] / _PIXEL_UM) + 3, int(size_um[1] / _PIXEL_UM) + 3)
    field = smooth_noise(rng, shape, grain_um / _PIXEL_UM)
    field += 0.15 * smooth_noise(rng, shape, 0.2 * grain_um / _PIXEL_UM)
    mask = (field > np.quantile(field, 1 - share)).astype(np.uint8)
    contours, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    # The first pixel lies outside, so that places reach across the edge of the field.
    return [
        (c[:, 0, ::-1] - 0.5) * _PIXEL_UM for c in contours if len(c) > 8 and cv2.contourArea(c) > 9
    ]


def _within(centers: Points, places: list[Points]) -> np.ndarray:
    """Which of the centers lie in one of the places."""
    import shapely

    inside = np.zeros(len(centers), dtype=bool)
    for place in places:
        inside |= shapely.contains_xy(shapely.Polygon(place).buffer(0), centers)
    return inside


def _centers(outlines: list[Points]) -> Points:
    return np.array([outline.mean(0) for outline in outlines]).reshape(-1, 2)


def _fibrosis(geometry: Geometry, tissue: TissueParams, rng: np.random.Generator) -> Geometry:
    """Let the fibers of some places draw back from each other; collagen fills the room."""
    import shapely

    places = patches(geometry.size_um, tissue.fibrosis, 180.0, rng)
    inside = _within(_centers([f.outline for f in geometry.fibers]), places)
    fibers: list[FiberShape] = []
    for fiber, fibrotic in zip(geometry.fibers, inside, strict=True):
        if not fibrotic:
            fibers.append(fiber)
            continue
        shape = shapely.Polygon(fiber.outline).buffer(0)
        radius = float(np.sqrt(shape.area / np.pi))
        inset = 0.5 * tissue.fibrosis_um * float(rng.uniform(0.6, 1.4))
        inset = min(inset, (1 - SHRUNKEN_SHARE) * radius)
        parts = shapely.get_parts(shape.buffer(-inset))
        if not len(parts):
            continue
        largest = max(parts, key=lambda part: part.area)
        if largest.area > 30:
            ring = np.asarray(largest.segmentize(3.0).exterior.coords)[:-1]
            fibers.append(replace(fiber, outline=ring))
    return replace(geometry, fibers=fibers, fibrosis=places)


def _clumps(geometry: Geometry, tissue: TissueParams, rng: np.random.Generator) -> Geometry:
    """Let some atrophic fibers shrink to a clump of nuclei; they are no fibers any more."""
    gone = [f.atrophic and rng.random() < tissue.clumped for f in geometry.fibers]
    clumps = []
    for fiber, lost in zip(geometry.fibers, gone, strict=True):
        if lost:
            reach = float(np.hypot(*(fiber.outline - fiber.outline.mean(0)).T).mean())
            clumps.append(Clump(fiber.outline.mean(0), min(reach, float(rng.uniform(5, 9)))))
    kept = [f for f, lost in zip(geometry.fibers, gone, strict=True) if not lost]
    return replace(geometry, fibers=kept, clumps=clumps)


def _lobules(geometry: Geometry, tissue: TissueParams, rng: np.random.Generator) -> Geometry:
    """Replace the fibers of some places by fat cells, packed side by side.

    Fat takes the places and all the room of the fibers that go: no gap is left, which would look
    like fat and be none.
    """
    import shapely

    places = patches(geometry.size_um, tissue.lobules, float(rng.uniform(100, 260)), rng)
    lost = _within(_centers([f.outline for f in geometry.fibers]), places)
    shapes = [shapely.Polygon(f.outline).buffer(0) for f in geometry.fibers]
    stays = shapely.union_all([s for s, gone in zip(shapes, lost, strict=True) if not gone])
    room = shapely.union_all(
        [shapely.Polygon(place).buffer(0) for place in places]
        + [s.buffer(3.0) for s, gone in zip(shapes, lost, strict=True) if gone]
    ).difference(stays.buffer(2.0))
    room = room.buffer(-1.5).buffer(1.5)
    margin = 2 * ADIPOCYTE_UM[1]
    box = (geometry.size_um[0] + 2 * margin, geometry.size_um[1] + 2 * margin)
    mean = float(rng.uniform(*ADIPOCYTE_UM))
    count = max(int(1.1 * box[0] * box[1] / (np.pi / 4 * mean**2)), 16)
    radii = np.clip(mean * rng.lognormal(0, 0.2, count), *ADIPOCYTE_UM) / 2
    centers = relax_circles(rng.random((count, 2)) * np.asarray(box), radii, box)
    cells, corners, _ = power_cells(centers, radii)
    rim = float(rng.uniform(0.3, 1.2))
    grown = []
    for cell in cells:
        if not len(cell):
            continue
        whole = shapely.Polygon(corners[cell] - margin).buffer(0).intersection(room)
        for part in shapely.get_parts(whole):
            corner = 0.3 * float(np.sqrt(part.area / np.pi))
            grown += _rings(part.buffer(-rim - corner).buffer(corner), 60.0)
    kept = _within(_centers(geometry.fat), places)
    return replace(
        geometry,
        fibers=[f for f, gone in zip(geometry.fibers, lost, strict=True) if not gone],
        fat=[f for f, gone in zip(geometry.fat, kept, strict=True) if not gone] + grown,
        lobules=_rings(room, 60.0),
    )


def _rings(shape: object, least_um2: float) -> list[Points]:
    """Outer rings of the parts of a shapely geometry that are not too small."""
    import shapely

    return [
        np.asarray(part.segmentize(3.0).exterior.coords)[:-1]
        for part in shapely.get_parts(shape)
        if part.geom_type == "Polygon" and part.area > least_um2
    ]


def fill_gaps(layers: Layers, reach_um: float, mpp: float) -> Layers:
    """Let perimysium fill wide gaps between the fibers of a fascicle.

    Fibers that yield to a vessel, or to the rim of a fascicle, leave gaps as wide and as clear as
    a fat cell; in muscle there is connective tissue.

    Parameters
    ----------
    layers
        Of the section.
    reach_um
        Gaps up to twice as wide stay endomysium, µm.
    mpp
        Pixel size, µm.
    """
    import cv2

    held = (layers.labels > 0) | (layers.fat > 0) | layers.infiltrate
    away = cv2.distanceTransform((~held).astype(np.uint8), cv2.DIST_L2, 3) * mpp
    near = (away <= reach_um).astype(np.uint8)
    # What is left of the near once the reach is taken back from it belongs to the fibers.
    inside = cv2.distanceTransform(near, cv2.DIST_L2, 3) * mpp > reach_um
    return replace(layers, fascicle=layers.fascicle & (inside | held))


def _spindles(geometry: Geometry, tissue: TissueParams, rng: np.random.Generator) -> list[Spindle]:
    """Capsules with a few thin fibers inside."""
    area = geometry.size_um[0] * geometry.size_um[1] / 1e6
    turn = np.linspace(0, 2 * np.pi, 48, endpoint=False)
    ring = np.column_stack([np.sin(turn), np.cos(turn)])
    spindles = []
    for _ in range(rng.poisson(tissue.spindles_per_mm2 * area)):
        center = rng.random(2) * np.asarray(geometry.size_um)
        half = float(rng.uniform(25, 70)) * np.array([1.0, float(rng.uniform(0.6, 1.0))])
        wall = float(rng.uniform(2.5, 7))
        count = int(rng.integers(3, 12))
        places = 0.45 * half * rng.normal(0, 0.6, (count, 2)).clip(-1, 1)
        radii = rng.uniform(3.5, 8.0, count)
        places = relax_circles(places + 500, radii + 1.0, (1000.0, 1000.0), steps=15) - 500
        held = np.hypot(*(places / (half - wall - radii[:, None])).T) < 1
        fibers = [center + p + r * ring for p, r in zip(places[held], radii[held], strict=True)]
        spindles.append(Spindle(center + half * ring, center + (half - wall) * ring, fibers))
    return spindles
