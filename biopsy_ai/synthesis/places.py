"""Where a synthetic section gets a fiber, a fat cell or an infiltrate, and of what size."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from biopsy_ai.synthesis.geometry import Points
from biopsy_ai.synthesis.parameters import TissueParams
from biopsy_ai.synthesis.texture import smooth_noise


@dataclass(frozen=True)
class Places:
    """Circles to pack; arrays of length n, lengths in µm."""

    centers: Points
    radii: NDArray[np.float64]
    kind: NDArray[np.int8]
    """0 fiber, 1 fat cell, 2 infiltrate."""
    type: NDArray[np.str_]
    """I, IIA, IIX, or II where the subtype is not drawn yet."""
    atrophic: NDArray[np.bool_]
    angular: NDArray[np.bool_]
    unit: NDArray[np.int64]
    """Number of the motor unit, from 1; 0 where there are none."""


def gap_um(tissue: TissueParams) -> float:
    """What lies between two neighboring fibers, µm: endomysium and cracks."""
    return tissue.endomysium_um + 2 * min(tissue.crack_um, 4.0) * 0.5


def packed_radii(diameter_um: NDArray[np.float64], gap_um: float) -> NDArray[np.float64]:
    """Radii of the circles that leave fibers of these diameters and half the gap around them."""
    radii: NDArray[np.float64] = np.clip(diameter_um, 6, 170) / 2 * 1.03 + gap_um / 2
    return radii


def draw_diameters(
    tissue: TissueParams,
    type1: NDArray[np.bool_],
    atrophic: NDArray[np.bool_],
    large: NDArray[np.bool_],
    rng: np.random.Generator,
) -> NDArray[np.float64]:
    """Diameters of fibers, µm, by type and by what is wrong with their size; all (n,)."""
    count = len(type1)
    sigma = np.sqrt(np.log1p(tissue.diameter_cv**2))
    mean = np.where(type1, *tissue.diameter_um)
    diameter = mean * np.exp(sigma * rng.standard_normal(count) - sigma**2 / 2)
    diameter = np.where(atrophic, rng.uniform(*tissue.atrophic_diameter_um, count), diameter)
    return np.where(large, mean * rng.uniform(1.35, 2.0, count), diameter)


def field_at(
    centers: Points, box: tuple[float, float], grain_um: float, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Smooth noise with the given grain at the centers, (n,)."""
    pixel = 8.0
    shape = (int(box[0] / pixel) + 2, int(box[1] / pixel) + 2)
    noise = smooth_noise(rng, shape, max(grain_um / pixel, 2.0))
    index = (centers / pixel).astype(int)
    return noise[index[:, 0], index[:, 1]].astype(float)


def chosen(score: NDArray[np.float64], share: float, among: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The `share` of the places in `among` with the lowest score."""
    chosen = np.zeros(len(score), dtype=bool)
    if share > 0 and among.any():
        limit = np.quantile(score[among], min(share, 1.0))
        chosen[among] = score[among] <= limit
    return chosen


def draw_places(tissue: TissueParams, box: tuple[float, float], rng: np.random.Generator) -> Places:
    """Draw positions, sizes and kinds, so many that they fill the box."""
    gap = gap_um(tissue)
    count = int(1.15 * box[0] * box[1] / (np.pi / 4 * (np.mean(tissue.diameter_um) + gap) ** 2))
    for _ in range(3):
        centers = rng.random((count, 2)) * np.asarray(box)
        white = rng.standard_normal((4, count))
        grouped = tissue.grouping
        score = grouped * 3 * field_at(centers, box, 170, rng) + (1 - grouped) * white[0]
        everywhere = np.ones(count, dtype=bool)
        type1 = chosen(score, tissue.type1_share, everywhere)
        may_atrophy = {0: everywhere, 1: type1, 2: ~type1}[tissue.atrophic_type]
        grouped = tissue.grouped_atrophy
        score = grouped * 3 * field_at(centers, box, 110, rng) + (1 - grouped) * white[1]
        atrophic = chosen(score, tissue.atrophic_share / max(may_atrophy.mean(), 1e-3), may_atrophy)
        large = chosen(white[2], tissue.hypertrophic_share, ~atrophic)
        diameter = draw_diameters(tissue, type1, atrophic, large, rng)
        kind = np.zeros(count, dtype=np.int8)
        score = 2 * field_at(centers, box, 120, rng) + 0.7 * white[3]
        kind[chosen(score, tissue.fat, everywhere)] = 1
        kind[chosen(-score, tissue.inflammation, everywhere)] = 2
        diameter = np.where(kind == 1, rng.uniform(35, 85, count), diameter)
        diameter = np.where(kind == 2, rng.uniform(15, 50, count), diameter)
        radii = packed_radii(diameter, gap)
        filled = np.pi * (radii**2).sum() / (box[0] * box[1])
        if 0.9 < filled < 1.1:
            break
        count = max(int(count / filled), 12)
    angular = atrophic & (rng.random(len(kind)) < tissue.angular_share) & (kind == 0)
    return Places(
        centers,
        radii,
        kind,
        type=np.where(type1, "I", "II"),
        atrophic=atrophic & (kind == 0),
        angular=angular,
        unit=np.zeros(len(kind), dtype=np.int64),
    )
