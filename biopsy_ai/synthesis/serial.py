"""Serial sections of one block: the same fibers in several stains, with the true correspondence."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates

from biopsy_ai.errors import ConfigError
from biopsy_ai.synthesis.geometry import FiberShape, Geometry, Points
from biopsy_ai.synthesis.layout import build_geometry
from biopsy_ai.synthesis.parameters import SectionParams
from biopsy_ai.synthesis.raster import rasterize
from biopsy_ai.synthesis.section import SyntheticSection, synthesize_section
from biopsy_ai.synthesis.texture import smooth_noise
from biopsy_ai.synthesis.truth import largest_parts, renumbered

PIXEL_UM = 10.0
"""Grid on which the stretching is drawn, µm."""

TEAR_REACH_UM = 200.0
"""Up to here a tear pushes the tissue beside it, µm. [default]"""


@dataclass(frozen=True)
class Cut:
    """How a section lies on its glass, beside the one before it in the block.

    Attributes
    ----------
    angle_deg
        Rotation, counted from the row axis to the column axis.
    mirrored
        Whether it lies upside down.
    shift_um
        (row, column) of its middle beside the middle of the field.
    stretch
        Largest local change of length, as a share.
    grain_um
        Distance over which the stretching changes.
    tears
        Number of tears that gape.
    tear_um
        Width of these.
    vanished, appeared
        Share of the fibers of the block that end before this section, and of those that begin in
        it: short, tapering fibers.
    """

    angle_deg: float = 0.0
    mirrored: bool = False
    shift_um: tuple[float, float] = (0.0, 0.0)
    stretch: float = 0.0
    grain_um: float = 400.0
    tears: int = 0
    tear_um: float = 20.0
    vanished: float = 0.0
    appeared: float = 0.0


@dataclass(frozen=True, eq=False)
class SerialGeometry:
    """One section of a block before it is stained.

    Attributes
    ----------
    geometry
        What lies in the field of this section.
    numbers : (n,) ndarray of int64
        Number in the block of each fiber of it; the same number in two sections is one fiber.
    """

    geometry: Geometry
    numbers: NDArray[np.int64]
    _number: dict[int, int] = field(default_factory=dict, repr=False)

    def number_of(self, fibers: Sequence[FiberShape]) -> NDArray[np.int64]:
        """Number in the block of fibers that were taken from `geometry`, -1 for others."""
        return np.array([self._number.get(id(fiber.outline), -1) for fiber in fibers], np.int64)


@dataclass(frozen=True, eq=False)
class SerialSection:
    """A stained section of a block.

    Attributes
    ----------
    section
        Picture and truth.
    numbers : (n,) ndarray of int64
        Number in the block of fiber ``i + 1`` of it.
    cut
        How it lies.
    """

    section: SyntheticSection
    numbers: NDArray[np.int64]
    cut: Cut


def cut_block(
    params: SectionParams, cuts: Sequence[Cut], seed: int | np.random.Generator = 0
) -> list[SerialGeometry]:
    """Cut a block of muscle into sections of the same field.

    The tissue goes on beyond the field, so that a section that is turned shows other tissue in its
    corners.

    Parameters
    ----------
    params
        Tissue and field.
    cuts
        How each section lies.
    seed
        The same seed gives the same block.

    Returns
    -------
    list of SerialGeometry
        One per cut. Fibers are left out where no part of them lies in the field.

    Raises
    ------
    ConfigError
        If a share of fibers, or the stretching, is not one.
    """
    for cut in cuts:
        if not (0 <= cut.vanished < 1 and 0 <= cut.appeared < 1 and 0 <= cut.stretch < 0.5):
            raise ConfigError(
                "vanished and appeared are shares from 0 to 1, stretch one from 0 to 0.5"
            )
    rng = np.random.default_rng(seed)
    height, width = params.size_um
    side = float(np.hypot(height, width) * 1.1 + 2 * max(_farthest(cut) for cut in cuts))
    block = build_geometry(params.tissue, (side, side), rng)
    n = len(block.fibers)
    # those that begin in one section are missing from all others
    begins = np.full(n, -1)
    for number, cut in enumerate(cuts):
        begins[rng.random(n) < cut.appeared] = number
    sections = []
    for number, cut in enumerate(cuts):
        kept = (begins < 0) | (begins == number)
        kept &= rng.random(n) >= cut.vanished
        sections.append(_section(block, np.flatnonzero(kept), cut, params.size_um, rng))
    return sections


def synthesize_block(
    params: SectionParams,
    stains: Sequence[str],
    cuts: Sequence[Cut],
    seed: int = 0,
) -> list[SerialSection]:
    """Make the stained sections of a block, with the true correspondence of their fibers.

    Parameters
    ----------
    params
        Tissue, imaging, field and pixel size; its stain does not count. Lesions, which are drawn
        anew in each section, are refused.
    stains
        Stain of each section.
    cuts
        How each section lies, as many.
    seed
        The same seed gives the same block.

    Returns
    -------
    list of SerialSection

    Raises
    ------
    ConfigError
        If there are not as many stains as cuts, or lesions are asked for.
    """
    if len(stains) != len(cuts):
        raise ConfigError(f"{len(stains)} stains for {len(cuts)} sections: give one for each")
    tissue = params.tissue
    if tissue.fibrosis or tissue.clumped or tissue.lobules or tissue.spindles_per_mm2:
        raise ConfigError("a block has no fibrosis, clumps, lobules or spindles: set them to 0")
    sections = []
    for number, (drawn, stain) in enumerate(
        zip(cut_block(params, cuts, seed), stains, strict=True)
    ):
        section = synthesize_section(
            replace(params, stain=stain), seed + number, geometry=drawn.geometry
        )
        numbers = drawn.number_of(section.geometry.fibers)
        sections.append(SerialSection(section, numbers, cuts[number]))
    return sections


def draw_labels(drawn: SerialGeometry, mpp: float) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Draw the fibers of a section without staining it.

    Returns
    -------
    labels : (H, W) ndarray of int32
        1..n.
    numbers : (n,) ndarray of int64
        Number in the block of fiber ``i + 1``.
    """
    labels, kept = renumbered(largest_parts(rasterize(drawn.geometry, mpp).labels))
    return labels, drawn.numbers[kept - 1]


def _farthest(cut: Cut) -> float:
    return max(abs(value) for value in cut.shift_um) + cut.stretch * cut.grain_um


def _section(
    block: Geometry,
    kept: NDArray[np.int64],
    cut: Cut,
    size_um: tuple[float, float],
    rng: np.random.Generator,
) -> SerialGeometry:
    stretched = _stretching(block.size_um, cut, rng)
    torn = [_Tear.draw(size_um, cut.tear_um, rng) for _ in range(cut.tears)]
    turn = np.deg2rad(cut.angle_deg)
    rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    if cut.mirrored:
        rotation = rotation @ np.diag([1.0, -1.0])
    middle = np.array(block.size_um) / 2
    onto = np.array(size_um) / 2 + np.array(cut.shift_um)

    def place(points: Points) -> Points:
        return (stretched(points) - middle) @ rotation.T + onto

    def part(points: Points) -> Points:
        # what a tear pushes aside moves as a whole: it runs between the fibers
        placed = place(points)
        return np.asarray(placed + sum(tear(placed.mean(0)[None]) for tear in torn))

    def line(points: Points) -> Points:
        placed = place(points)
        return np.asarray(placed + sum(tear(placed) for tear in torn))

    fibers, numbers = [], []
    for number in kept:
        shape = replace(block.fibers[number], outline=part(block.fibers[number].outline))
        low, high = shape.outline.min(0), shape.outline.max(0)
        if (high > 0).all() and (low < np.array(size_um)).all():
            fibers.append(shape)
            numbers.append(int(number))
    geometry = Geometry(
        size_um=size_um,
        fibers=fibers,
        septa=[(line(points), width) for points, width in block.septa],
        fascicles=[line(points) for points in block.fascicles],
        fat=[part(points) for points in block.fat],
        infiltrates=[line(points) for points in block.infiltrates],
        vessels=[(line(outer), line(inner)) for outer, inner in block.vessels],
        nerves=[line(points) for points in block.nerves],
    )
    known = {id(f.outline): number for f, number in zip(fibers, numbers, strict=True)}
    return SerialGeometry(geometry, np.array(numbers, np.int64), known)


def _stretching(
    size_um: tuple[float, float], cut: Cut, rng: np.random.Generator
) -> Callable[[Points], Points]:
    """A smooth displacement that changes lengths by up to `cut.stretch`."""
    shape = (int(size_um[0] / PIXEL_UM) + 2, int(size_um[1] / PIXEL_UM) + 2)
    shift = np.stack([smooth_noise(rng, shape, cut.grain_um / PIXEL_UM) for _ in range(2)])
    slopes = np.stack([np.gradient(s, PIXEL_UM, axis=axis) for s in shift for axis in (0, 1)])
    strain = np.linalg.norm(slopes.reshape(2, 2, -1).transpose(2, 0, 1), 2, axis=(1, 2))
    shift *= cut.stretch / max(float(strain.max()), 1e-12)

    def move(points: Points) -> Points:
        where = np.clip(points / PIXEL_UM, 0, np.array(shape) - 1).T
        return points + np.stack([map_coordinates(s, where, order=1) for s in shift], axis=1)

    return move


@dataclass(frozen=True)
class _Tear:
    """A straight tear that gapes in its middle and closes at both ends."""

    middle: Points
    along: Points
    length_um: float
    width_um: float

    @classmethod
    def draw(cls, size_um: tuple[float, float], width_um: float, rng: np.random.Generator) -> _Tear:
        turn = rng.uniform(0, np.pi)
        middle = rng.uniform(0.25, 0.75, 2) * np.array(size_um)
        length = float(rng.uniform(0.3, 0.6) * min(size_um))
        return cls(middle, np.array([np.cos(turn), np.sin(turn)]), length, width_um)

    def __call__(self, points: Points) -> Points:
        """Give the (n, 2) displacement of (n, 2) points, µm."""
        across = np.array([-self.along[1], self.along[0]])
        beside = (points - self.middle) @ across
        part = np.clip(np.abs((points - self.middle) @ self.along) / (self.length_um / 2), 0, 1)
        gape = 0.5 * self.width_um * np.cos(0.5 * np.pi * part)
        push = gape * np.clip(1 - np.abs(beside) / TEAR_REACH_UM, 0, 1) * np.sign(beside)
        return np.asarray(push[:, None] * across)
