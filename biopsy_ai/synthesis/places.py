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
    type1: NDArray[np.bool_]
    atrophic: NDArray[np.bool_]
    angular: NDArray[np.bool_]


def _field_at(
    centers: Points, box: tuple[float, float], grain_um: float, rng: np.random.Generator
) -> NDArray[np.float64]:
    pixel = 8.0
    shape = (int(box[0] / pixel) + 2, int(box[1] / pixel) + 2)
    noise = smooth_noise(rng, shape, max(grain_um / pixel, 2.0))
    index = (centers / pixel).astype(int)
    return noise[index[:, 0], index[:, 1]].astype(float)


def _chosen(
    score: NDArray[np.float64], share: float, among: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """The `share` of the places in `among` with the lowest score."""
    chosen = np.zeros(len(score), dtype=bool)
    if share > 0 and among.any():
        limit = np.quantile(score[among], min(share, 1.0))
        chosen[among] = score[among] <= limit
    return chosen


def draw_places(tissue: TissueParams, box: tuple[float, float], rng: np.random.Generator) -> Places:
    """Draw positions, sizes and kinds, so many that they fill the box."""
    gap = tissue.endomysium_um + 2 * min(tissue.crack_um, 4.0) * 0.5
    count = int(1.15 * box[0] * box[1] / (np.pi / 4 * (np.mean(tissue.diameter_um) + gap) ** 2))
    for _ in range(3):
        centers = rng.random((count, 2)) * np.asarray(box)
        white = rng.standard_normal((4, count))
        grouped = tissue.grouping
        score = grouped * 3 * _field_at(centers, box, 170, rng) + (1 - grouped) * white[0]
        everywhere = np.ones(count, dtype=bool)
        type1 = _chosen(score, tissue.type1_share, everywhere)
        may_atrophy = {0: everywhere, 1: type1, 2: ~type1}[tissue.atrophic_type]
        grouped = tissue.grouped_atrophy
        score = grouped * 3 * _field_at(centers, box, 110, rng) + (1 - grouped) * white[1]
        atrophic = _chosen(
            score, tissue.atrophic_share / max(may_atrophy.mean(), 1e-3), may_atrophy
        )
        large = _chosen(white[2], tissue.hypertrophic_share, ~atrophic)
        sigma = np.sqrt(np.log1p(tissue.diameter_cv**2))
        mean = np.where(type1, *tissue.diameter_um)
        diameter = mean * np.exp(sigma * rng.standard_normal(count) - sigma**2 / 2)
        diameter = np.where(atrophic, rng.uniform(*tissue.atrophic_diameter_um, count), diameter)
        diameter = np.where(large, mean * rng.uniform(1.35, 2.0, count), diameter)
        kind = np.zeros(count, dtype=np.int8)
        score = 2 * _field_at(centers, box, 120, rng) + 0.7 * white[3]
        kind[_chosen(score, tissue.fat, everywhere)] = 1
        kind[_chosen(-score, tissue.inflammation, everywhere)] = 2
        diameter = np.where(kind == 1, rng.uniform(35, 85, count), diameter)
        diameter = np.where(kind == 2, rng.uniform(15, 50, count), diameter)
        radii = np.clip(diameter, 6, 170) / 2 * 1.03 + gap / 2
        filled = np.pi * (radii**2).sum() / (box[0] * box[1])
        if 0.9 < filled < 1.1:
            break
        count = max(int(count / filled), 12)
    angular = atrophic & (rng.random(len(kind)) < tissue.angular_share) & (kind == 0)
    return Places(centers, radii, kind, type1, atrophic & (kind == 0), angular)
