"""Taking apart what each dye of a bright-field stain contributes to a picture.

A dye absorbs light in proportion to its amount, so optical densities of dyes add up, each in the
direction of its own color (Ruifrok & Johnston 2001, Anal Quant Cytol Histol 23:291). The
directions differ between laboratories and are estimated from the slide itself (Macenko et al.
2009, IEEE ISBI, 1107-1110), with published ones to start from and to fall back on.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from biopsy_ai.slides.stain_colors import optical_densities

MIN_DENSITY = 0.15
"""Pixels whose optical densities (base 10) sum to less say little about dyes. [default]"""
EXTREME_PERCENT = 1.0
"""Share of stained pixels beyond the directions taken for the dyes, percent (Macenko 2009)."""
MAX_TURN_DEG = 35.0
"""A direction that lies further from the published one is not believed; published directions of
eosin differ by up to 30° among themselves. [default]"""
MIN_APART_DEG = 12.0
"""Two dyes whose directions lie nearer to each other cannot be told apart. [default]"""
MIN_PIXELS = 500
"""So many stained pixels are needed to estimate directions. [default]"""


@dataclass(frozen=True, eq=False)
class StainSeparation:
    """The dyes of one slide.

    Attributes
    ----------
    names
        Name of each of the k dyes (2 or 3).
    vectors
        (k, 3) optical density of each dye in red, green and blue, of unit length.
    white
        (3,) intensity of empty glass.
    notes
        What was fallen back on, and why.
    """

    names: tuple[str, ...]
    vectors: NDArray[np.float64]
    white: NDArray[np.float32]
    notes: tuple[str, ...] = field(default=())

    def __post_init__(self) -> None:
        shape = (len(self.names), 3)
        if np.shape(self.vectors) != shape or not 2 <= len(self.names) <= 3:
            raise ValueError(
                f"{len(self.names)} dyes with vectors of shape {np.shape(self.vectors)}: two or "
                "three dyes are needed, each with a row of three densities"
            )
        if not np.allclose(np.linalg.norm(self.vectors, axis=1), 1.0, atol=1e-6):
            raise ValueError("the vectors of dyes must have unit length")
        if np.linalg.matrix_rank(self.vectors, tol=1e-3) < len(self.names):
            raise ValueError("two dyes have the same color: they cannot be told apart")


def separate_stains(
    image: NDArray[np.floating | np.integer], separation: StainSeparation
) -> NDArray[np.float32]:
    """Amount of each dye at every pixel.

    Parameters
    ----------
    image : (..., 3) ndarray
        Red, green and blue intensities, in the unit of ``separation.white``.
    separation : StainSeparation

    Returns
    -------
    (..., k) ndarray of float32
        Optical density (base 10) that the dye contributes, along its own direction; not negative.

    Notes
    -----
    With three dyes the densities are solved for; with two, the third direction is perpendicular
    to both and holds the residue, which is dropped (Ruifrok & Johnston 2001).
    """
    basis = separation.vectors
    if len(basis) == 2:
        residue = np.cross(*basis)
        basis = np.vstack([basis, residue / np.linalg.norm(residue)])
    unmix = np.linalg.inv(basis)[:, : len(separation.names)].astype(np.float32)
    amounts = optical_densities(np.asarray(image, np.float32), separation.white) @ unmix
    return np.asarray(np.maximum(amounts, 0.0), dtype=np.float32)


def fit_stain_separation(
    pixels: NDArray[np.floating | np.integer],
    names: tuple[str, str],
    start: ArrayLike,
    white: ArrayLike,
) -> StainSeparation:
    """Estimate the directions of two dyes from pixels of a slide.

    Parameters
    ----------
    pixels : (n, 3) ndarray
        Red, green and blue intensities; glass may be among them.
    names : tuple of str
        Names of the two dyes.
    start : (2, 3) array_like of float
        Their published directions, of unit length.
    white : (3,) array_like of float
        Intensity of empty glass.

    Returns
    -------
    StainSeparation
        Directions are those of Macenko et al. 2009: in the plane of the two largest singular
        vectors, the 1st and the 99th percentile of the angles of stained pixels. A direction
        further than `MAX_TURN_DEG` from the published one is replaced by it, and both are where
        they come out too close or where too few pixels are stained; ``notes`` say so.
    """
    start = np.asarray(start, dtype=np.float64)
    light = np.asarray(white, dtype=np.float32)
    flat = np.asarray(pixels, dtype=np.float32).reshape(-1, 3)
    density = optical_densities(flat, light).astype(np.float64)
    density = density[density.sum(axis=1) > MIN_DENSITY]
    if len(density) < MIN_PIXELS:
        return StainSeparation(
            names, start, light, (f"only {len(density)} stained pixels: published colors used",)
        )
    found = _extremes(density, start)
    notes = []
    for k, name in enumerate(names):
        turned = _angle_deg(found[k], start[k])
        if turned > MAX_TURN_DEG:
            notes.append(f"{name}: {turned:.0f}° from its published color, which is used instead")
            found[k] = start[k]
    if _angle_deg(found[0], found[1]) < MIN_APART_DEG:
        notes.append("the two dyes have nearly the same color here: published colors used")
        found = start
    return StainSeparation(names, found, light, tuple(notes))


def _extremes(density: NDArray[np.float64], start: NDArray[np.float64]) -> NDArray[np.float64]:
    """Outermost directions of stained pixels in their main plane, in the order of `start`."""
    # eigenvectors of the second moments without centering: the plane goes through white
    _, vectors = np.linalg.eigh(density.T @ density)
    plane = vectors[:, :0:-1]
    plane = plane * np.where(plane.sum(axis=0) < 0, -1.0, 1.0)
    first, second = (density @ plane).T
    angles = np.percentile(np.arctan2(second, first), (EXTREME_PERCENT, 100.0 - EXTREME_PERCENT))
    ends = np.stack([np.cos(angles), np.sin(angles)], axis=1) @ plane.T
    ends = np.maximum(ends, 0.0)
    ends /= np.linalg.norm(ends, axis=1, keepdims=True)
    straight = ends[0] @ start[0] + ends[1] @ start[1]
    crossed = ends[1] @ start[0] + ends[0] @ start[1]
    return np.asarray(ends if straight >= crossed else ends[::-1].copy())


def _angle_deg(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    return float(np.degrees(np.arccos(np.clip(one @ other, -1.0, 1.0))))
