"""Nuclei and ice-crystal holes of a synthetic section."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from biopsy_ai.synthesis.geometry import Geometry
from biopsy_ai.synthesis.parameters import ImagingParams, TissueParams
from biopsy_ai.synthesis.raster import Layers
from biopsy_ai.synthesis.texture import smooth_noise

KINDS = ("subsarcolemmal", "internal", "interstitial", "inflammatory", "clumped")


@dataclass(frozen=True)
class Nuclei:
    """Nuclei as ellipses; arrays of length n."""

    center_um: NDArray[np.float64]
    """(n, 2) row, column."""
    axes_um: NDArray[np.float64]
    """(n, 2) half length along and across."""
    angle: NDArray[np.float64]
    """Direction of the long axis, radians from the column axis."""
    kind: NDArray[np.int8]
    """Index into `KINDS`."""
    fiber: NDArray[np.int64]
    """Label of the fiber that holds the nucleus, 0 for none."""


def place_nuclei(
    geometry: Geometry, layers: Layers, tissue: TissueParams, mpp: float, rng: np.random.Generator
) -> Nuclei:
    """Put nuclei under the sarcolemma, inside fibers, between fibers and in infiltrates."""
    rows: list[tuple[float, float, float, float, float, int, int]] = []
    scale = float(rng.uniform(0.8, 1.2))
    for label, fiber in enumerate(geometry.fibers, start=1):
        ring = fiber.outline
        middle = ring.mean(0)
        reach = float(np.hypot(*(ring - middle).T).mean())
        crowd = {"regenerating": 2.5, "necrotic": 3.0}.get(fiber.condition, 1.0)
        count = rng.poisson(tissue.nuclei_per_fiber * crowd * np.clip(reach / 28, 0.35, 2))
        for i in rng.integers(0, len(ring), count):
            before, after = ring[i - 2], ring[(i + 2) % len(ring)]
            tangent = after - before
            inward = middle - ring[i]
            inward /= max(float(np.hypot(*inward)), 1e-6)
            across = float(rng.uniform(0.9, 1.8)) * scale
            rows.append(
                (
                    *(ring[i] + inward * across * float(rng.uniform(0.5, 1.3))),
                    float(rng.uniform(2.2, 4.6)) * scale,
                    across,
                    float(np.arctan2(tangent[0], tangent[1])),
                    0,
                    label,
                )
            )
        chance = tissue.internal_nuclei * (1 if reach > 8 else 0.5)
        internal = rng.random() < (max(chance, 0.5) if fiber.condition == "whorled" else chance)
        extra = fiber.condition in ("regenerating", "necrotic")
        for _ in range(int(internal) + (rng.poisson(4) if extra else 0)):
            spot = middle + rng.normal(0, (0.35 if extra else 0.15) * reach, 2)
            a, b = rng.uniform(2.0, 4.2) * scale, rng.uniform(1.8, 3.2) * scale
            rows.append((*spot, float(a), float(b), float(rng.uniform(0, np.pi)), 1, label))
    rows += _between(layers, tissue, mpp, scale, rng)
    table = np.asarray(rows, dtype=float).reshape(-1, 7)
    return Nuclei(
        table[:, :2],
        table[:, 2:4],
        table[:, 4],
        table[:, 5].astype(np.int8),
        table[:, 6].astype(np.int64),
    )


def _between(
    layers: Layers, tissue: TissueParams, mpp: float, scale: float, rng: np.random.Generator
) -> list[tuple[float, float, float, float, float, int, int]]:
    area = layers.labels.size * mpp**2 / 1e6
    found = []
    free = (layers.labels == 0) & (layers.fat == 0) & ~layers.vessel_lumen
    for where, per_mm2, kind in (
        (free & layers.fascicle, 350 * tissue.nuclei_per_fiber, 2),
        (free & ~layers.fascicle, 260, 2),
        (layers.vessel_wall, 400, 2),
        (layers.nerve, 400, 2),
        (layers.infiltrate, 0, 3),
    ):
        spots = np.argwhere(where)
        if not len(spots):
            continue
        if kind == 3:
            count = int(len(spots) * mpp**2 / rng.uniform(50, 110))
        else:
            count = rng.poisson(per_mm2 * area * where.mean() * 2.5)
        chosen = spots[rng.integers(0, len(spots), min(count, 4000))]
        for y, x in (chosen + 0.5) * mpp:
            thin = kind == 2 and rng.random() < 0.7
            a = float(rng.uniform(2.0, 5.5 if thin else 3.6)) * scale
            b = float(rng.uniform(0.7, 1.4) if thin else rng.uniform(1.6, 3.0)) * scale
            found.append((float(y), float(x), a, b, float(rng.uniform(0, np.pi)), kind, 0))
    return found


def lesion_nuclei(
    geometry: Geometry, layers: Layers, nuclei: Nuclei, mpp: float, rng: np.random.Generator
) -> Nuclei:
    """Add the nuclei of clumps, of macrophages in fibers, and of spindles."""
    taken = layers.vessel_wall | layers.vessel_lumen | layers.nerve | layers.spindle
    taken |= (layers.labels > 0) | (layers.fat > 0)
    rows: list[tuple[float, float, float, float, float, int, int]] = []

    def add(center: NDArray[np.float64], spread: float, size: float, kind: int, label: int) -> None:
        spot = center + rng.normal(0, 1, 2).clip(-1.6, 1.6) * spread
        a = size * float(rng.uniform(0.8, 1.25))
        b = a * float(rng.uniform(0.6, 1.0))
        rows.append((*spot, a, b, float(rng.uniform(0, np.pi)), kind, label))

    for label, fiber in enumerate(geometry.fibers, start=1):
        if fiber.condition == "phagocytosed":
            middle = fiber.outline.mean(0)
            reach = float(np.hypot(*(fiber.outline - middle).T).mean())
            for _ in range(rng.poisson(min(0.02 * reach**2, 40)) + 4):
                add(middle, 0.45 * reach, 2.6, KINDS.index("inflammatory"), label)
    for clump in geometry.clumps:
        y, x = np.clip((clump.center_um / mpp).astype(int), 0, np.array(taken.shape) - 1)
        if taken[y, x]:
            continue
        for _ in range(int(rng.integers(4, 10))):
            add(clump.center_um, 0.5 * clump.radius_um, 2.2, KINDS.index("clumped"), 0)
    for spindle in geometry.spindles:
        for outline in spindle.fibers:
            if rng.random() < 0.5:
                add(outline.mean(0), 1.0, 2.0, KINDS.index("interstitial"), 0)
    table = np.asarray(rows, dtype=float).reshape(-1, 7)
    return Nuclei(
        np.concatenate([nuclei.center_um, table[:, :2]]),
        np.concatenate([nuclei.axes_um, table[:, 2:4]]),
        np.concatenate([nuclei.angle, table[:, 4]]),
        np.concatenate([nuclei.kind, table[:, 5].astype(np.int8)]),
        np.concatenate([nuclei.fiber, table[:, 6].astype(np.int64)]),
    )


def draw_nuclei(nuclei: Nuclei, shape: tuple[int, int], mpp: float) -> NDArray[np.int32]:
    """Label image of the nuclei, numbered from 1 in their order."""
    import cv2

    labels = np.zeros(shape, dtype=np.int32)
    points = zip(nuclei.center_um, nuclei.axes_um, nuclei.angle, strict=True)
    for i, ((y, x), (a, b), angle) in enumerate(points, start=1):
        cv2.ellipse(
            labels,
            (round((x / mpp - 0.5) * 16), round((y / mpp - 0.5) * 16)),
            (max(round(a / mpp * 16), 8), max(round(b / mpp * 16), 8)),
            float(np.degrees(angle)),
            0,
            360,
            i,
            -1,
            shift=4,
        )
    return labels


def freezing_holes(
    layers: Layers, imaging: ImagingParams, mpp: float, rng: np.random.Generator
) -> NDArray[np.bool_]:
    """Clear clefts and holes of ice crystals inside a share of the fibers."""
    shape = layers.labels.shape
    count = int(layers.labels.max())
    if imaging.freezing_holes <= 0 or count == 0:
        return np.zeros(shape, dtype=bool)
    severity = np.zeros(count + 1, dtype=np.float32)
    hit = rng.random(count) < imaging.freezing_holes
    severity[1:][hit] = rng.uniform(0.3, 1.0, int(hit.sum()))
    small, large = imaging.hole_um
    grain = smooth_noise(rng, shape, max(small / mpp, 1.5))
    coarse = smooth_noise(rng, shape, max(large / mpp, 2.0))
    weight = float(rng.uniform(0.2, 0.9))
    mixed = (1 - weight) * grain + weight * coarse
    limit = np.quantile(mixed[::4, ::4], 1 - np.linspace(0, 0.35, 8))
    wanted = severity[layers.labels]
    threshold = np.interp(wanted, np.linspace(0, 1, 8), limit)
    return (wanted > 0) & (mixed > threshold)
