"""How types and small fibers lie beside each other in the fascicles of a packed section."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from biopsy_ai.synthesis.fascicles import fascicle_of
from biopsy_ai.synthesis.geometry import Points
from biopsy_ai.synthesis.motor_units import denervate, grow_motor_units
from biopsy_ai.synthesis.packing import power_cells, relax_circles
from biopsy_ai.synthesis.parameters import TissueParams
from biopsy_ai.synthesis.places import (
    Places,
    chosen,
    draw_diameters,
    field_at,
    gap_um,
    packed_radii,
)

PERIFASCICULAR_SIZE = (0.3, 0.65)
"""Diameter of small fibers under the perimysium over that of others. [default]"""

SECOND_LAYER = 0.4
"""Share of small fibers in the second layer over that in the outer one. [default]"""

_ROUNDS = 4
"""Small fibers let others slip to the border; after so many rounds few more do."""


def is_arranged(tissue: TissueParams) -> bool:
    """Whether types or sizes depend on what lies beside a fiber."""
    return max(tissue.motor_units_lost, tissue.border_type2, tissue.perifascicular_atrophy) > 0


def room_taken(tissue: TissueParams) -> TissueParams:
    """Tissue whose fibers, scattered, take about the room that they will take once arranged."""
    if tissue.motor_units_lost > 0:
        # a unit is lost with all that it had captured, so that losses compound
        orphaned = 1 - tissue.motor_units_lost
        share = 1 - orphaned ** (1 - tissue.recapture) if orphaned > 0 else 1.0
        tissue = replace(tissue, atrophic_share=share, atrophic_type=0, grouped_atrophy=0.0)
    if tissue.perifascicular_atrophy > 0:
        layer = min(4 * float(np.mean(tissue.diameter_um)) / tissue.fascicle_um, 1.0)
        low, high = PERIFASCICULAR_SIZE
        saved = tissue.perifascicular_atrophy * (1 - (low**2 + low * high + high**2) / 3)
        scale = np.sqrt(1 - layer * saved)
        type1, type2 = (float(d * scale) for d in tissue.diameter_um)
        tissue = replace(tissue, diameter_um=(type1, type2))
    return tissue


def arrange(
    places: Places,
    fascicles: list[Points],
    tissue: TissueParams,
    box: tuple[float, float],
    rng: np.random.Generator,
) -> Places:
    """Settle types and sizes by what lies beside each fiber, and pack again.

    Motor units are laid out over the whole section, but nerves sprout within a fascicle only.
    Without losses the types stay as they were drawn, but for those that the border changes.
    """
    is_fiber = places.kind == 0
    if tissue.motor_units_lost > 0:
        places = _unhurt(places, tissue, box, rng)
    mosaic = _Mosaic.of(places, fascicles)
    if tissue.motor_units_lost > 0:
        places = _innervated(places, mosaic, tissue, rng)
    elif tissue.border_type2 > 0:
        # of the type 1 fibers in the outer layer so many change that the share falls as wanted
        changes = rng.random(len(is_fiber)) * max(tissue.type1_share, 1e-9) < tissue.border_type2
        changes &= mosaic.outer & (places.type == "I")
        places = replace(places, type=np.where(changes, "II", places.type))
    large = is_fiber & ~places.atrophic & (rng.random(len(is_fiber)) < tissue.hypertrophic_share)
    diameter = draw_diameters(tissue, places.type == "I", places.atrophic, large, rng)
    if tissue.perifascicular_atrophy > 0:
        return _perifascicular(places, fascicles, diameter, tissue, box, rng)
    return _packed(places, diameter, tissue, box)


@dataclass(frozen=True)
class _Mosaic:
    """What lies beside what among the places."""

    pairs: NDArray[np.int64]
    """(m, 2) places that share a side of their cells."""
    same_fascicle: NDArray[np.bool_]
    """(m,) whether both lie in one fascicle."""
    outer: NDArray[np.bool_]
    """(n,) fibers of the outer layer of a fascicle."""
    second: NDArray[np.bool_]
    """(n,) fibers of the layer beneath."""

    @classmethod
    def of(cls, places: Places, fascicles: list[Points]) -> _Mosaic:
        _, _, sides = power_cells(places.centers, places.radii)
        pairs = np.unique(np.sort(np.array(list(sides.values())).reshape(-1, 2)), axis=0)
        homes = fascicle_of(places.centers, fascicles)
        same = (homes[pairs[:, 0]] == homes[pairs[:, 1]]) & (homes[pairs[:, 0]] >= 0)
        inside = (homes >= 0) & (places.kind == 0)
        outer = np.zeros(len(homes), dtype=bool)
        outer[pairs[~same]] = True
        outer &= inside
        second = np.zeros(len(homes), dtype=bool)
        second[pairs[same & outer[pairs].any(axis=1)]] = True
        return cls(pairs, same, outer, second & inside & ~outer)


def _unhurt(
    places: Places, tissue: TissueParams, box: tuple[float, float], rng: np.random.Generator
) -> Places:
    """Pack fibers without atrophy, as they lay when nerves sprouted, in the room that there is."""
    none = np.zeros(len(places.kind), dtype=bool)
    radii = packed_radii(
        draw_diameters(tissue, places.type == "I", none, none, rng), gap_um(tissue)
    )
    radii = np.where(places.kind == 0, radii, places.radii)
    radii *= np.sqrt((places.radii**2).sum() / (radii**2).sum())
    return replace(places, centers=relax_circles(places.centers, radii, box), radii=radii)


def _innervated(
    places: Places, mosaic: _Mosaic, tissue: TissueParams, rng: np.random.Generator
) -> Places:
    """Lay out motor units, lose some, and let types and atrophy follow."""
    fibers = np.flatnonzero(places.kind == 0)
    number = np.full(len(places.kind), -1, dtype=np.int64)
    number[fibers] = np.arange(len(fibers))
    between = (number[mosaic.pairs] >= 0).all(axis=1)
    n_units = max(round(len(fibers) / tissue.motor_unit_fibers), 1)
    units, is_type1 = grow_motor_units(
        number[mosaic.pairs[between]],
        len(fibers),
        n_units,
        tissue.type1_share,
        rng,
        reach=tissue.motor_unit_reach,
        type1_odds=np.where(mosaic.outer[fibers], _border_odds(tissue), 1.0),
    )
    units, denervated = denervate(
        number[mosaic.pairs[between & mosaic.same_fascicle]],
        units,
        tissue.motor_units_lost,
        tissue.recapture,
        rng,
        n_units=n_units,
    )
    of_unit = np.where(is_type1, "I", rng.choice(["IIA", "IIX"], n_units))
    types, unit = places.type.astype("U3"), np.zeros_like(places.unit)
    atrophic = np.zeros_like(places.atrophic)
    types[fibers], unit[fibers], atrophic[fibers] = of_unit[units], units + 1, denervated
    angular = atrophic & (rng.random(len(atrophic)) < tissue.angular_share)
    return replace(places, type=types, unit=unit, atrophic=atrophic, angular=angular)


def _border_odds(tissue: TissueParams) -> float:
    """Factor on the odds of type 1 in the outer layer that takes `border_type2` off its share."""
    share = tissue.type1_share
    wanted = max(share - tissue.border_type2, 0.0)
    return wanted * (1 - share) / max((1 - wanted) * share, 1e-9) if share < 1 else 1.0


def _perifascicular(
    places: Places,
    fascicles: list[Points],
    diameter: NDArray[np.float64],
    tissue: TissueParams,
    box: tuple[float, float],
    rng: np.random.Generator,
) -> Places:
    """Make fibers under the perimysium small, in stretches, and pack until they lie there."""
    count = len(diameter)
    size = rng.uniform(*PERIFASCICULAR_SIZE, count)
    score = 0.7 * field_at(places.centers, box, 150, rng) + 0.7 * rng.standard_normal(count)
    angled = rng.random(count) < tissue.angular_share
    for _ in range(_ROUNDS):
        mosaic = _Mosaic.of(places, fascicles)
        share = tissue.perifascicular_atrophy
        small = chosen(score, share, mosaic.outer)
        small |= chosen(score, SECOND_LAYER * share, mosaic.second)
        small &= ~places.atrophic
        places = _packed(places, np.where(small, diameter * size, diameter), tissue, box)
    return replace(
        places,
        atrophic=places.atrophic | small,
        angular=places.angular | (small & angled),
    )


def _packed(
    places: Places, diameter: NDArray[np.float64], tissue: TissueParams, box: tuple[float, float]
) -> Places:
    """Give the fibers their diameters and pack all places again."""
    radii = np.where(places.kind == 0, packed_radii(diameter, gap_um(tissue)), places.radii)
    return replace(places, centers=relax_circles(places.centers, radii, box), radii=radii)
