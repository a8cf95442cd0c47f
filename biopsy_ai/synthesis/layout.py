"""Lay out a synthetic section: fascicles, fibers, fat, infiltrates, vessels, nerves."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates

from biopsy_ai.synthesis.geometry import FiberShape, Geometry, Points, draw_condition
from biopsy_ai.synthesis.packing import power_cells, relax_circles
from biopsy_ai.synthesis.parameters import TissueParams
from biopsy_ai.synthesis.places import Places, draw_places
from biopsy_ai.synthesis.texture import smooth_noise


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
    places = draw_places(tissue, box, rng)
    centers = relax_circles(places.centers, places.radii, box)
    places = replace(places, centers=centers)
    fascicles = _fascicles(tissue, box, rng)
    cells, septa = _cells(tissue, places, rng)
    geometry = _shapes(tissue, places, cells, fascicles, rng)
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
    cells, corners, sides = power_cells(places.centers, places.radii)
    t = np.linspace(0, 1, 9)[1:-1, None]
    arcs: dict[tuple[int, int], Points] = {}
    septa = []
    for (u, v), (a, b) in sides.items():
        start, end = corners[u], corners[v]
        length = float(np.hypot(*(end - start)))
        if length > 400:
            arcs[(u, v)] = start + t * (end - start)
            continue
        if places.radii[a] < places.radii[b]:
            a, b = b, a
        contrast = (places.radii[a] - places.radii[b]) / (places.radii[a] + places.radii[b])
        bow = 0.03 * rng.standard_normal() + 0.05 * contrast
        if places.angular[b]:
            bow += rng.uniform(0.15, 0.6) * contrast + 0.02
        elif places.radii[b] < 15:
            bow -= rng.uniform(0, 0.25) * contrast
        towards = places.centers[b] - places.centers[a]
        towards /= max(float(np.hypot(*towards)), 1e-6)
        lift = 4 * t * (1 - t) * bow * min(length, 60.0)
        arcs[(u, v)] = start + t * (end - start) + lift * towards
        width = tissue.endomysium_um * float(rng.uniform(0.6, 1.4))
        septa.append((np.vstack([start, arcs[(u, v)], end]), width))
    outlines: list[Points] = []
    for cell in cells:
        if not len(cell):
            outlines.append(np.empty((0, 2)))
            continue
        parts = []
        for u, v in zip(cell, np.roll(cell, -1), strict=True):
            arc = arcs.get((min(u, v), max(u, v)))
            parts.append(corners[u][None])
            if arc is not None:
                parts.append(arc if u < v else arc[::-1])
        outlines.append(np.vstack(parts))
    return outlines, septa


def _fascicles(
    tissue: TissueParams, box: tuple[float, float], rng: np.random.Generator
) -> list[Points]:
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


def _shapes(
    tissue: TissueParams,
    places: Places,
    cells: list[Points],
    fascicles: list[Points],
    rng: np.random.Generator,
) -> Geometry:
    import shapely

    regions = [shapely.Polygon(f).buffer(0) for f in fascicles]
    tree = shapely.STRtree(regions)
    homes = np.full(len(cells), -1)
    where, region = tree.query(shapely.points(places.centers), predicate="within")
    homes[where] = region
    fibers: list[FiberShape] = []
    fat: list[Points] = []
    infiltrates: list[Points] = []
    shares = [tissue.necrotic, tissue.regenerating, tissue.hypercontracted, tissue.vacuolated]
    bounds = np.cumsum([*shares, tissue.split])
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
        condition = draw_condition(bounds, rng)
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
        kind = "I" if places.type1[i] else str(rng.choice(["IIA", "IIX"]))
        fibers.append(
            FiberShape(
                outline,
                kind,
                condition,
                bool(places.atrophic[i]),
                bool(places.angular[i]),
                int(homes[i]) + 1,
            )
        )
    return Geometry((0.0, 0.0), fibers, fascicles=fascicles, fat=fat, infiltrates=infiltrates)


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
    for _ in range(rng.poisson(6 * area)):
        a = float(rng.uniform(8, 45))
        center, angle = rng.random(2) * np.asarray(box), float(rng.uniform(0, np.pi))
        b = a * float(rng.uniform(0.5, 1))
        wall = min(float(rng.uniform(2, 12)), 0.6 * b)
        vessels.append((_ellipse(center, a, b, angle), _ellipse(center, a - wall, b - wall, angle)))
    nerves = []
    for _ in range(rng.poisson(1.5 * area)):
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
        fascicles=moved(geometry.fascicles),
        fat=moved(geometry.fat),
        infiltrates=moved(geometry.infiltrates),
        vessels=[(move(o), move(i)) for o, i in geometry.vessels if inside(move(o))],
        nerves=moved(geometry.nerves),
    )
