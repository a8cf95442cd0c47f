"""The parts of a synthetic section: fibers, septa, fat, infiltrates, vessels, nerves."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from biopsy_ai.synthesis.parameters import TissueParams

Points = NDArray[np.float64]

CONDITIONS = (
    "normal",
    "necrotic",
    "regenerating",
    "hypercontracted",
    "vacuolated",
    "split",
    "whorled",
    "phagocytosed",
)
"""What may be wrong with a fiber; each but the first is a share in `TissueParams`."""


_NEXT = {"I": ["I/IIA"], "IIA": ["I/IIA", "IIA/IIX"], "IIX": ["IIA/IIX"]}
"""Hybrids that a fiber of a type can be."""


@dataclass(frozen=True)
class FiberShape:
    """One fiber: its outline (row, column in µm, inner edge of the membrane) and what it is."""

    outline: Points
    type: str
    condition: str = "normal"
    atrophic: bool = False
    angular: bool = False
    fascicle: int = 0
    """Number of its fascicle, from 1 in the order of `Geometry.fascicles`; 0 for none."""
    unit: int = 0
    """Number of its motor unit, from 1; 0 where there are none."""


@dataclass(frozen=True)
class Clump:
    """What is left of a fiber that is gone: pyknotic nuclei in a heap (row, column, µm)."""

    center_um: Points
    radius_um: float


@dataclass(frozen=True)
class Spindle:
    """A muscle spindle; outlines of (row, column) in µm."""

    capsule: Points
    lumen: Points
    """Inner edge of the capsule."""
    fibers: list[Points]
    """Intrafusal fibers, which do not count as muscle fibers."""


@dataclass(frozen=True)
class Geometry:
    """Everything placed in a section; coordinates are (row, column) in µm."""

    size_um: tuple[float, float]
    fibers: list[FiberShape]
    septa: list[tuple[Points, float]] = field(default_factory=list)
    """Strands of endomysium: polyline and width."""
    fascicles: list[Points] = field(default_factory=list)
    fat: list[Points] = field(default_factory=list)
    infiltrates: list[Points] = field(default_factory=list)
    vessels: list[tuple[Points, Points]] = field(default_factory=list)
    """Outer wall and lumen."""
    nerves: list[Points] = field(default_factory=list)
    lobules: list[Points] = field(default_factory=list)
    """Places that are fat as a whole, cells and what lies between them."""
    fibrosis: list[Points] = field(default_factory=list)
    """Places where collagen fills the endomysium."""
    clumps: list[Clump] = field(default_factory=list)
    spindles: list[Spindle] = field(default_factory=list)


def draw_condition(tissue: TissueParams, rng: np.random.Generator) -> str:
    """Draw what is wrong with a fiber."""
    bounds = np.cumsum([getattr(tissue, condition) for condition in CONDITIONS[1:]])
    drawn = rng.random()
    return CONDITIONS[1 + int(np.searchsorted(bounds, drawn))] if drawn < bounds[-1] else "normal"


def with_hybrids(
    fibers: list[FiberShape], tissue: TissueParams, rng: np.random.Generator
) -> list[FiberShape]:
    """Turn a share of the fibers into hybrids of their type and the next, I – IIA – IIX."""
    if tissue.hybrid_share <= 0:
        return fibers
    mixed = []
    for fiber in fibers:
        if rng.random() < tissue.hybrid_share and fiber.type in _NEXT:
            fiber = replace(fiber, type=str(rng.choice(_NEXT[fiber.type])))
        mixed.append(fiber)
    return mixed


def geometry_from_outlines(
    outlines: list[Points],
    tissue: TissueParams,
    size_um: tuple[float, float],
    rng: np.random.Generator,
) -> Geometry:
    """Use real fiber outlines (row, column in µm) in place of drawn ones.

    Types, conditions and the tissue between the fibers are drawn as in `build_geometry`, but no
    fiber is split, for that would change its outline.
    """
    tissue = replace(tissue, split=0.0)
    fibers = []
    for outline in outlines:
        condition = draw_condition(tissue, rng)
        kind = "I" if rng.random() < tissue.type1_share else str(rng.choice(["IIA", "IIX"]))
        fibers.append(FiberShape(outline, kind, condition, fascicle=1))
    field_box = np.array([[0, 0], [0, size_um[1]], list(size_um), [size_um[0], 0]], dtype=float)
    fibers = with_hybrids(fibers, tissue, rng)
    return Geometry(size_um, fibers, fascicles=[field_box])
