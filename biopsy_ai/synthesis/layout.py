"""Lay out a synthetic section: fascicles, fibers, fat, infiltrates, vessels, nerves."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates

from biopsy_ai.synthesis.arrangement import arrange, is_arranged, room_taken
from biopsy_ai.synthesis.fascicles import draw_fascicles, fascicle_of
from biopsy_ai.synthesis.geometry import (
    FiberShape,
    Geometry,
    Points,
    draw_condition,
    with_hybrids,
)
from biopsy_ai.synthesis.packing import power_cells, relax_circles
from biopsy_ai.synthesis.parameters import TissueParams
from biopsy_ai.synthesis.places import Places, draw_places
from biopsy_ai.synthesis.texture import smooth_noise

MIN_GAP_UM = 1.0
"""Fibers of one section stay this far apart, or half the endomysium where that is less, µm."""

LONGEST_SIDE_UM = 400.0
"""Longer sides belong to cells at the rim and stay straight, µm."""

MIN_WIDTH_UM = 3.0
"""Thinner fibers are not drawn, µm. [default]"""


def build_geometry(
    tissue: TissueParams, size_um: tuple[float, float], rng: np.random.Generator
) -> Geometry:
    """Lay out a section.

    Circles with the wanted sizes are packed, their power diagram gives the cells, shared sides
    bow towards the smaller of two fibers (so that squeezed angular fibers get concave sides), and
    each cell shrinks by its share of endomysium and is rounded.
    """
    margin = 90.0 + max(tissue.diameter_um)
    box = (size_um[0] + 2 * margin, size_um[1] / tissue.stretch + 2 * margin)
    arranged = is_arranged(tissue)
    places = draw_places(room_taken(tissue) if arranged else tissue, box, rng)
    centers = relax_circles(places.centers, places.radii, box)
    places = replace(places, centers=centers)
    fascicles = draw_fascicles(tissue, box, rng)
    if arranged:
        # from a stream of its own: sections that need none of it stay the same
        places = arrange(places, fascicles, tissue, box, rng.spawn(1)[0])
    cells, septa = _cells(tissue, places, rng)
    geometry = _shapes(tissue, places, cells, fascicles, rng)
    if tissue.hybrid_share > 0:
        (aside,) = rng.spawn(1)
        geometry = replace(geometry, fibers=with_hybrids(geometry.fibers, tissue, aside))
    septa = septa if tissue.endomysium_um > 0 else []
    vessels, nerves = _vessels_and_nerves(tissue, box, rng)
    return _place(
        replace(geometry, septa=septa, vessels=vessels, nerves=nerves),
        offset=margin,
        stretch=tissue.stretch,
        size_um=size_um,
        bend=_Bend.draw(box, float(rng.uniform(2, 9)), rng),
    )


@dataclass(frozen=True)
class _Bend:
    """A smooth displacement of the whole tissue: nothing in a muscle is straight."""

    shift: NDArray[np.float32]
    pixel_um: float

    @classmethod
    def draw(cls, box: tuple[float, float], amplitude_um: float, rng: np.random.Generator) -> _Bend:
        pixel = 8.0
        shape = (int(box[0] / pixel) + 2, int(box[1] / pixel) + 2)
        parts = [
            amplitude_um * smooth_noise(rng, shape, 110 / pixel)
            + 0.25 * amplitude_um * smooth_noise(rng, shape, 35 / pixel)
            for _ in range(2)
        ]
        return cls(np.stack(parts), pixel)

    def __call__(self, points: Points) -> Points:
        where = np.clip(points / self.pixel_um, 0, np.array(self.shift.shape[1:]) - 1).T
        return points + np.stack([map_coordinates(s, where, order=1) for s in self.shift], axis=1)


def _cells(
    tissue: TissueParams, places: Places, rng: np.random.Generator
) -> tuple[list[Points], list[tuple[Points, float]]]:
    """Cell outlines with bowed sides, and the same sides as strands of endomysium."""
    import shapely

    cells, corners, sides = power_cells(places.centers, places.radii)
    bows = {side: _bow(places, *pair, rng) for side, pair in sides.items()}
    flat = {side: np.zeros(2) for side in bows}
    full = np.array([i for i, cell in enumerate(cells) if len(cell) > 2], dtype=np.intp)
    straight = np.array([shapely.Polygon(_outline(cells[i], corners, flat)).area for i in full])
    for _ in range(4):
        lifts = {side: bow * _reach(corners, side) for side, bow in bows.items()}
        outlines = [_outline(cell, corners, lifts) for cell in cells]
        crossed = full[_crossed([outlines[i] for i in full], straight)]
        if not crossed.size:
            break
        for cell in crossed:
            for u, v in zip(cells[cell], np.roll(cells[cell], -1), strict=True):
                side = (min(u, v), max(u, v))
                if side in bows:
                    bows[side] = 0.5 * bows[side]
    septa = [
        (_arc(corners, side, lift), tissue.endomysium_um * float(rng.uniform(0.6, 1.4)))
        for side, lift in lifts.items()
        if _length(corners, side) <= LONGEST_SIDE_UM
    ]
    return outlines, septa


def _bow(places: Places, a: int, b: int, rng: np.random.Generator) -> Points:
    """How far the side between two cells bows, relative to its length, towards the smaller."""
    if places.radii[a] < places.radii[b]:
        a, b = b, a
    contrast = (places.radii[a] - places.radii[b]) / (places.radii[a] + places.radii[b])
    bow = 0.03 * rng.standard_normal() + 0.05 * contrast
    if places.angular[b]:
        bow += rng.uniform(0.15, 0.6) * contrast + 0.02
    elif places.radii[b] < 15:
        bow -= rng.uniform(0, 0.25) * contrast
    towards = places.centers[b] - places.centers[a]
    bowed: Points = bow * towards / max(float(np.hypot(*towards)), 1e-6)
    return bowed


def _length(corners: Points, side: tuple[int, int]) -> float:
    return float(np.hypot(*(corners[side[1]] - corners[side[0]])))


def _reach(corners: Points, side: tuple[int, int]) -> float:
    length = _length(corners, side)
    return min(length, 60.0) if length <= LONGEST_SIDE_UM else 0.0


def _arc(corners: Points, side: tuple[int, int], lift: Points) -> Points:
    t = np.linspace(0, 1, 9)[:, None]
    start, end = corners[side[0]], corners[side[1]]
    arc: Points = start + t * (end - start) + 4 * t * (1 - t) * lift
    return arc


def _outline(
    cell: NDArray[np.intp], corners: Points, lifts: dict[tuple[int, int], Points]
) -> Points:
    """Corners of a cell joined by its bowed sides."""
    if not len(cell):
        return np.empty((0, 2))
    parts = []
    for u, v in zip(cell, np.roll(cell, -1), strict=True):
        side = (min(u, v), max(u, v))
        if side in lifts:
            arc = _arc(corners, side, lifts[side])
            parts.append((arc if u < v else arc[::-1])[:-1])
        else:
            parts.append(corners[u][None])
    return np.vstack(parts)


def _crossed(outlines: list[Points], straight_um2: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which cells have sides that bow past each other, or leave less than 0.35 of the cell."""
    import shapely

    bowed = np.array([shapely.Polygon(outline) for outline in outlines], dtype=object)
    crossed: NDArray[np.bool_] = ~shapely.is_valid(bowed)
    return crossed | (shapely.area(bowed) < 0.35 * straight_um2)


def _shapes(
    tissue: TissueParams,
    places: Places,
    cells: list[Points],
    fascicles: list[Points],
    rng: np.random.Generator,
) -> Geometry:
    import shapely

    regions = [shapely.Polygon(f).buffer(0) for f in fascicles]
    homes = fascicle_of(places.centers, fascicles)
    fibers: list[FiberShape] = []
    fat: list[Points] = []
    infiltrates: list[Points] = []
    wobble = float(rng.choice([0.0, 0.0, rng.uniform(0.02, 0.05)]))
    for i, cell in enumerate(cells):
        if not len(cell) or homes[i] < 0 and places.kind[i] != 1:
            continue
        polygon = shapely.Polygon(cell).buffer(0)
        if places.kind[i] != 1:
            clipped = polygon.intersection(regions[homes[i]])
            if clipped.area < 0.35 * polygon.area:
                continue
            polygon = clipped
        if places.kind[i] == 2:
            infiltrates += _rings(polygon)
            continue
        radius = np.sqrt(max(polygon.area, 1) / np.pi)
        crack = tissue.crack_um * float(rng.uniform(0, 1.2)) if places.kind[i] == 0 else 0.0
        inset = tissue.endomysium_um / 2 * float(rng.uniform(0.7, 1.3)) + crack
        polygon = polygon.buffer(-min(inset, 0.45 * radius))
        condition = draw_condition(tissue, rng)
        rounding = tissue.rounding * float(rng.uniform(0.5, 1.2))
        if condition in ("hypercontracted", "regenerating") or places.kind[i] == 1:
            rounding = max(rounding, 0.8)
        if places.angular[i]:
            rounding = 0.06
        elif places.atrophic[i]:
            rounding = max(rounding, float(rng.uniform(0.1, 0.8)))
        corner = min(max(0.12 * radius, rounding * 0.9 * radius), 0.95 * radius)
        rounded = polygon.buffer(-corner).buffer(corner)
        if rounded.area > 0.5 * polygon.area:
            polygon = rounded
        rings = _rings(polygon)
        if not rings:
            continue
        outline = _wobbled(rings[0], wobble * radius, rng)
        if condition == "split":
            outline = _cleft(outline, rng)
        shape = shapely.Polygon(outline)
        if shape.area < 30 or not shape.is_valid:
            continue
        if places.kind[i] == 1:
            fat.append(outline)
            continue
        kind = str(places.type[i])
        if kind == "II":
            kind = str(rng.choice(["IIA", "IIX"]))
        fibers.append(
            FiberShape(
                outline,
                kind,
                condition,
                bool(places.atrophic[i]),
                bool(places.angular[i]),
                int(homes[i]) + 1,
                int(places.unit[i]),
            )
        )
    fibers = _parted(fibers, min(0.5 * tissue.endomysium_um, MIN_GAP_UM))
    return Geometry((0.0, 0.0), fibers, fascicles=fascicles, fat=fat, infiltrates=infiltrates)


def _parted(fibers: list[FiberShape], gap_um: float) -> list[FiberShape]:
    """Let the larger of two fibers yield where bowed sides would cross or all but touch.

    Without this a squeezed fiber would be drawn over, and what is left of it would be a sliver
    without a membrane. Fibers thinner than `MIN_WIDTH_UM` are left out.
    """
    import shapely

    shapes = np.array([shapely.Polygon(f.outline) for f in fibers], dtype=object)
    if not len(shapes):
        return fibers
    area = shapely.area(shapes)
    first, second = shapely.STRtree(shapes).query(shapes, predicate="dwithin", distance=gap_um)
    yielding = area[first] > area[second]
    left = shapes.copy()
    for large, small in zip(first[yielding], second[yielding], strict=True):
        left[large] = left[large].difference(shapes[small].buffer(gap_um))
    kept = []
    for fiber, before, after in zip(fibers, shapes, left, strict=True):
        outline = fiber.outline
        if after is not before:
            rings = _rings(after.buffer(-0.5).buffer(0.5))
            if not rings:
                continue
            outline = rings[0]
        if not shapely.Polygon(outline).buffer(-MIN_WIDTH_UM / 2).is_empty:
            kept.append(replace(fiber, outline=outline))
    return kept


def _rings(shape: object) -> list[Points]:
    """Outer rings of a shapely geometry, largest first."""
    import shapely

    parts = [p for p in shapely.get_parts(shape) if p.geom_type == "Polygon" and p.area > 4]
    parts.sort(key=lambda p: -p.area)
    return [np.asarray(p.segmentize(3.0).exterior.coords)[:-1] for p in parts]


def _wobbled(ring: Points, amplitude: float, rng: np.random.Generator) -> Points:
    """Add low-frequency unevenness to an outline."""
    if amplitude <= 0:
        return ring
    phase = np.linspace(0, 2 * np.pi, len(ring), endpoint=False)
    shift = sum(
        rng.standard_normal() / k * np.sin(k * phase + rng.uniform(0, 2 * np.pi))
        for k in range(2, 9)
    )
    middle = ring.mean(0)
    spokes = ring - middle
    return middle + spokes * (
        1 + amplitude * np.asarray(shift)[:, None] / np.maximum(np.hypot(*spokes.T), 1)[:, None]
    )


def _cleft(ring: Points, rng: np.random.Generator) -> Points:
    """Cut a narrow cleft from the border into a splitting fiber; the parts stay connected."""
    import shapely

    shape = shapely.Polygon(ring).buffer(0)
    middle = ring.mean(0)
    start = ring[int(rng.integers(len(ring)))]
    end = middle + (middle - start) * float(rng.uniform(-0.2, 0.45))
    bend = (start + end) / 2 + rng.normal(0, 4, 2)
    cleft = shapely.LineString([start + (start - middle) * 0.3, bend, end])
    left = shape.difference(cleft.buffer(float(rng.uniform(0.4, 1.0))))
    rings = _rings(left)
    return rings[0] if rings else ring


def _ellipse(center: Points, a: float, b: float, angle: float, n: int = 40) -> Points:
    t = np.linspace(0, 2 * np.pi, n, endpoint=False)
    c, s = np.cos(angle), np.sin(angle)
    return center + np.column_stack(
        [a * np.cos(t) * s + b * np.sin(t) * c, a * np.cos(t) * c - b * np.sin(t) * s]
    )


def _vessels_and_nerves(
    tissue: TissueParams, box: tuple[float, float], rng: np.random.Generator
) -> tuple[list[tuple[Points, Points]], list[Points]]:
    area = box[0] * box[1] / 1e6
    vessels = []
    for _ in range(rng.poisson(tissue.vessels_per_mm2 * area)):
        a = float(rng.uniform(8, 45))
        center, angle = rng.random(2) * np.asarray(box), float(rng.uniform(0, np.pi))
        b = a * float(rng.uniform(0.5, 1))
        wall = min(float(rng.uniform(2, 12)), 0.6 * b)
        vessels.append((_ellipse(center, a, b, angle), _ellipse(center, a - wall, b - wall, angle)))
    nerves = []
    for _ in range(rng.poisson(tissue.nerves_per_mm2 * area)):
        a = float(rng.uniform(15, 70))
        center, angle = rng.random(2) * np.asarray(box), float(rng.uniform(0, np.pi))
        nerves.append(_ellipse(center, a, a * float(rng.uniform(0.4, 1)), angle))
    return vessels, nerves


def _place(
    geometry: Geometry,
    *,
    offset: float,
    stretch: float,
    size_um: tuple[float, float],
    bend: _Bend,
) -> Geometry:
    """Bend the layout, move the field's corner to (0, 0), stretch, drop what lies outside."""

    def move(points: Points) -> Points:
        return (bend(points) - offset) * (1.0, stretch)

    def inside(points: Points) -> bool:
        low, high = points.min(0), points.max(0)
        return bool((high > 0).all() and (low < size_um).all())

    def moved(many: list[Points]) -> list[Points]:
        return [m for m in map(move, many) if inside(m)]

    return Geometry(
        size_um=size_um,
        fibers=[
            f
            for f in (replace(f, outline=move(f.outline)) for f in geometry.fibers)
            if inside(f.outline)
        ],
        septa=[(p, w) for p, w in ((move(p), w) for p, w in geometry.septa) if inside(p)],
        # all of them, also those beyond the field: fibers name them by number
        fascicles=[move(f) for f in geometry.fascicles],
        fat=moved(geometry.fat),
        infiltrates=moved(geometry.infiltrates),
        vessels=[(move(o), move(i)) for o, i in geometry.vessels if inside(move(o))],
        nerves=moved(geometry.nerves),
    )
