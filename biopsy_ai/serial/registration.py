"""Lay two sections of one block on each other by their fibers, or say that they do not fit."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from biopsy_ai.errors import RegistrationError
from biopsy_ai.measure.reference import DEFAULTS, Limits
from biopsy_ai.serial.coarse import Position, Seeds, poses_by_neighborhood, poses_by_shape
from biopsy_ai.serial.fiber_map import FiberMap, Points
from biopsy_ai.serial.matching import Matches, match_sections
from biopsy_ai.serial.neighborhoods import compare_neighborhoods
from biopsy_ai.serial.refinement import LocalMap, grow_matches

WHAT_TO_CHECK = (
    "Check that both show the same block and that their pixel sizes are right; sections that are "
    "not of one block get different names in the column block."
)


@dataclass(frozen=True, eq=False)
class Registration:
    """How one section lies on another.

    Attributes
    ----------
    fixed, moving
        Names of the two sections.
    to_moving
        Where each place of the fixed section lies in the moving one, µm.
    matches
        The fibers that both show.
    mirrored
        Whether one of the sections lies upside down.
    angle_deg
        Rotation of the moving section, after mirroring its columns where `mirrored`, -180 to 180.
    stretch : (low, high) tuple of float
        Length in the moving over that in the fixed section: the 5th percentile in the direction
        in which it is least, and the 95th in that in which it is greatest.
    found_by
        ``"fibers"`` or ``"tissue shape"``.
    """

    fixed: str
    moving: str
    to_moving: LocalMap
    matches: Matches
    mirrored: bool
    angle_deg: float
    stretch: tuple[float, float]
    found_by: str

    def describe(self) -> dict[str, Any]:
        """Position and quality, ready for JSON."""
        return {
            "angle_deg": round(self.angle_deg, 2),
            "mirrored": self.mirrored,
            "stretch_low": round(self.stretch[0], 4),
            "stretch_high": round(self.stretch[1], 4),
            "found_by": self.found_by,
            **self.matches.quality(),
        }


def register_sections(
    fixed: FiberMap,
    moving: FiberMap,
    *,
    seed: int | np.random.Generator = 0,
    limits: Limits = DEFAULTS,
) -> Registration:
    """Lay a section on another of the same block.

    Neither stain nor brightness takes part, but the outlines of the fibers: first fibers that lie
    among like neighbors, or else the shape of the tissue, give rotation (any), side and shift;
    from there matches spread fiber by fiber, so that the map follows how the tissue is stretched;
    last, fibers are matched by their overlap.

    Parameters
    ----------
    fixed, moving
        The two sections.
    seed
        Draws the fibers that are looked for in large sections.
    limits
        ``serial_*``.

    Returns
    -------
    Registration

    Raises
    ------
    RegistrationError
        The sections do not fit on each other; the message names them and says how far they did.
    """
    least = int(limits["serial_min_fibers"])
    for section in (fixed, moving):
        if len(section) < least:
            raise RegistrationError(
                f"{fixed.name} and {moving.name}: {section.name} has {len(section)} fibers, and "
                f"sections can be laid on each other from {least} on."
            )
    best: Registration | None = None
    for position, found_by in _positions(fixed, moving, np.random.default_rng(seed)):
        found = _refine(fixed, moving, position, found_by, limits)
        if found is None:
            continue
        if best is None or found.matches.matched_share > best.matches.matched_share:
            best = found
        if why_not(best.matches, limits) is None:
            _refuse_doubt(fixed, moving, best, limits)
            return best
    if best is None:
        raise RegistrationError(
            f"{fixed.name} and {moving.name} do not fit on each other: no position was found in "
            f"which their fibers agree. {WHAT_TO_CHECK}"
        )
    raise RegistrationError(
        f"{fixed.name} and {moving.name} do not fit on each other: in the best position "
        f"{why_not(best.matches, limits)}. {WHAT_TO_CHECK}"
    )


def why_not(matches: Matches, limits: Limits = DEFAULTS) -> str | None:
    """Say why sections do not fit on each other well enough; None where they do."""
    quality = matches.quality()
    least = int(limits["serial_min_fibers"])
    if len(matches) < least:
        return f"{len(matches)} fibers match, fewer than {least}"
    if matches.matched_share < limits["serial_matched_share"]:
        return (
            f"{matches.matched_share:.0%} of the fibers that both should show match, less than "
            f"{limits['serial_matched_share']:.0%}"
        )
    if quality["median_iou"] < limits["serial_median_iou"]:
        return (
            f"matched fibers overlap by {quality['median_iou']:.2f} (median intersection over "
            f"union), less than {limits['serial_median_iou']:g}"
        )
    if matches.common_share < limits["serial_common_share"]:
        return (
            f"they share {matches.common_share:.0%} of the smaller tissue, less than "
            f"{limits['serial_common_share']:.0%}"
        )
    return None


def _refuse_doubt(fixed: FiberMap, moving: FiberMap, found: Registration, limits: Limits) -> None:
    """Refuse a position where the sections fit nearly as well one fiber farther.

    Fibers of one size lie like honeycombs, and any two honeycombs fit.
    """
    fit = _fit(found.matches)
    pairs = set(zip(found.to_moving.source[:, 0], found.to_moving.target[:, 0], strict=True))
    for shift in _steps(moving.centers_um, found.to_moving.target):
        rows, columns = grow_matches(fixed, moving, found.to_moving.beside(shift))
        again = sum(
            pair in pairs
            for pair in zip(fixed.centers_um[rows, 0], moving.centers_um[columns, 0], strict=True)
        )
        # most positions beside the right one are given up here, or lead back to it
        if len(rows) < 0.7 * len(found.to_moving.source) or again > 0.5 * len(rows):
            continue
        beside = LocalMap(fixed.centers_um[rows], moving.centers_um[columns])
        if _fit(match_sections(fixed, moving, beside, limits=limits)) > 0.9 * fit:
            raise RegistrationError(
                f"{fixed.name} and {moving.name} fit on each other nearly as well one fiber "
                "farther, for their fibers are too much alike: which belong together cannot be "
                f"told. {WHAT_TO_CHECK}"
            )


def _steps(centers: Points, matched: Points) -> Points:
    """From a fiber in the middle of the matched ones to its (6, 2) nearest neighbors, µm."""
    from scipy.spatial import cKDTree

    tree = cKDTree(centers)
    _, middle = tree.query(matched.mean(0))
    _, near = tree.query(centers[middle], k=min(7, len(centers)))
    return np.asarray(centers[near[1:]] - centers[middle])


def _fit(matches: Matches) -> float:
    """Overlap of the fibers that both should show, those unmatched counted as 0."""
    return matches.matched_share * float(np.mean(matches.ious)) if len(matches) else 0.0


def _positions(
    fixed: FiberMap, moving: FiberMap, rng: np.random.Generator
) -> Iterator[tuple[Seeds | Position, str]]:
    """Positions worth a try, the likeliest first; those by shape only if they are asked for."""
    candidates = compare_neighborhoods(fixed, moving, rng)
    for seeds in poses_by_neighborhood(fixed, moving, candidates):
        yield seeds, "fibers"
    for pose in poses_by_shape(fixed, moving):
        yield pose, "tissue shape"


def _refine(
    fixed: FiberMap, moving: FiberMap, position: Seeds | Position, found_by: str, limits: Limits
) -> Registration | None:
    rows, columns = grow_matches(fixed, moving, position)
    if len(rows) < 6:
        return None
    to_moving = LocalMap(fixed.centers_um[rows], moving.centers_um[columns])
    matches = match_sections(fixed, moving, to_moving, limits=limits)
    # where the map went astray fibers match their neighbors, and overlap badly all around
    trusted = matches.local_fit >= limits["serial_local_iou"]
    if not trusted.all():
        kept = matches.among(trusted).labels
        again = Seeds(
            np.searchsorted(fixed.ids, kept[:, 0]), np.searchsorted(moving.ids, kept[:, 1])
        )
        rows, columns = grow_matches(fixed, moving, again)
        if len(rows) < 6:
            return None
        to_moving = LocalMap(fixed.centers_um[rows], moving.centers_um[columns])
        matches = match_sections(fixed, moving, to_moving, limits=limits)
        matches = matches.among(matches.local_fit >= limits["serial_local_iou"])
    _, linear = to_moving.follow(fixed.centers_um[rows])
    middle = linear.mean(0)
    mirrored = bool(np.linalg.det(middle) < 0)
    turn = np.arctan2(middle[1, 0], middle[0, 0])
    sides = np.linalg.svd(linear, compute_uv=False)
    return Registration(
        fixed=fixed.name,
        moving=moving.name,
        to_moving=to_moving,
        matches=matches,
        mirrored=mirrored,
        angle_deg=float(np.rad2deg(turn)),
        stretch=(float(np.percentile(sides[:, 1], 5)), float(np.percentile(sides[:, 0], 95))),
        found_by=found_by,
    )
