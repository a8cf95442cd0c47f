"""Fibers of two sections matched one to one by their overlap, and how well they fit."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from biopsy_ai.evaluation.matching import count_overlaps, match_overlaps
from biopsy_ai.measure.reference import DEFAULTS, Limits
from biopsy_ai.serial.fiber_map import FiberMap
from biopsy_ai.serial.refinement import LocalMap

NODE_UM = 20.0
"""The map is computed at points so far apart, and straight between them. [default]"""

BAND_PX = 512
"""Rows that are laid on each other at a time."""

TISSUE_MPP = 4.0
"""Pixel size at which tissue is told from what lies beside it, µm."""

AROUND = 8
"""So many fibers around each say how well the sections fit there. [default]"""

Mask = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Matches:
    """Fibers of two sections that are the same fiber.

    Attributes
    ----------
    labels : (m, 2) ndarray of int64
        Label in the fixed and in the moving section, ascending in the fixed one. Each label
        stands at most once in each column.
    ious : (m,) ndarray
        Intersection over union on the fixed section.
    distance_um : (m,) ndarray
        From the center of the one to that of the other, laid on each other by the fibers around;
        NaN where the border of an image cuts one of them.
    n_common : tuple of int
        Fibers of the fixed and of the moving section that lie in the tissue of both.
    common_share
        Area of the tissue that both show, as a share of the smaller tissue.
    local_fit : (m,) ndarray
        Mean overlap of the fibers around each that both should show, unmatched ones counted as 0.
    """

    labels: NDArray[np.int64]
    ious: NDArray[np.float64]
    distance_um: NDArray[np.float64]
    n_common: tuple[int, int]
    common_share: float
    local_fit: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.labels)

    def among(self, keep: Mask) -> Matches:
        """Some of the matches, as if the others had not been found."""
        return replace(
            self,
            labels=self.labels[keep],
            ious=self.ious[keep],
            distance_um=self.distance_um[keep],
            local_fit=self.local_fit[keep],
        )

    @property
    def matched_share(self) -> float:
        """Fibers matched as a share of those in the tissue of both sections (Dice)."""
        return min(2 * len(self) / max(sum(self.n_common), 1), 1.0)

    def quality(self) -> dict[str, Any]:
        """How well the sections fit, ready for JSON; None where nothing matched."""
        away = self.distance_um[np.isfinite(self.distance_um)]
        return {
            "n_matched": len(self),
            "n_common_fixed": self.n_common[0],
            "n_common_moving": self.n_common[1],
            "matched_share": round(self.matched_share, 4),
            "median_iou": round(float(np.median(self.ious)), 4) if len(self) else None,
            "residual_um": round(float(np.median(away)), 3) if len(away) else None,
            "residual_p95_um": round(float(np.percentile(away, 95)), 3) if len(away) else None,
            "common_share": round(self.common_share, 4),
        }


def match_sections(
    fixed: FiberMap, moving: FiberMap, to_moving: LocalMap, *, limits: Limits = DEFAULTS
) -> Matches:
    """Match fibers by how far they overlap once the moving section is laid on the fixed one.

    Among all pairs that overlap enough the matching with most pairs is taken, and of several such
    the one of highest overlap. What lies outside the field of either section counts for neither;
    a fiber of which less than half is left matches none.

    Parameters
    ----------
    fixed, moving
        The two sections.
    to_moving
        Where each place of the fixed section lies in the moving one.
    limits
        ``serial_match_iou``.

    Returns
    -------
    Matches
    """
    laid, field, tissue = lay_on(fixed, moving, to_moving)
    own = np.where(field, fixed.labels, 0)
    found = match_overlaps(count_overlaps(laid, own), limits["serial_match_iou"])
    seen_fixed = _counts(own, fixed.ids) * fixed.mpp**2 / fixed.area_um2
    # the tissue of the moving section may be stretched: its areas are those on the fixed one
    stretch = float(np.median(np.abs(np.linalg.det(to_moving.follow(fixed.centers_um)[1]))))
    seen_moving = _counts(laid, moving.ids) * fixed.mpp**2 * stretch / moving.area_um2
    rows = np.searchsorted(fixed.ids, found.pairs[:, 1])
    columns = np.searchsorted(moving.ids, found.pairs[:, 0])
    whole = (seen_fixed[rows] > 0.5) & (seen_moving[columns] > 0.5)
    rows, columns = rows[whole], columns[whole]

    own_tissue = tissue_of(fixed)
    common = own_tissue & tissue
    should = _inside(own, common, fixed, 1.0) > 0.5
    n_common = (
        int(np.count_nonzero(should)),
        int(np.count_nonzero(_inside(laid, common, moving, stretch, fixed.mpp) > 0.5)),
    )
    area = np.count_nonzero(own_tissue) * fixed.mpp**2
    moved = np.count_nonzero(tissue_of(moving)) * moving.mpp**2 / stretch
    here, there = fixed.centers_um[rows], moving.centers_um[columns]
    distance = np.hypot(*(to_moving.follow(here, beside_own=True)[0] - there).T)
    distance[fixed.is_cut[rows] | moving.is_cut[columns]] = np.nan
    return Matches(
        labels=np.stack([fixed.ids[rows], moving.ids[columns]], axis=1),
        ious=found.ious[whole],
        distance_um=distance,
        n_common=n_common,
        common_share=min(
            float(np.count_nonzero(common) * fixed.mpp**2 / max(min(area, moved), 1e-9)), 1.0
        ),
        local_fit=_local_fit(fixed, should, rows, found.ious[whole]),
    )


def _local_fit(
    fixed: FiberMap, should: Mask, rows: NDArray[np.int64], ious: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Mean overlap of the `AROUND` nearest fibers that both sections should show."""
    from scipy.spatial import cKDTree

    overlap = np.zeros(len(fixed))
    overlap[rows] = ious
    known = np.flatnonzero(should | (overlap > 0))
    if not len(rows):
        return np.empty(0)
    _, near = cKDTree(fixed.centers_um[known]).query(
        fixed.centers_um[rows], k=min(AROUND, len(known))
    )
    return np.asarray(overlap[known][near].reshape(len(rows), -1).mean(1))


def lay_on(
    fixed: FiberMap, moving: FiberMap, to_moving: LocalMap
) -> tuple[NDArray[np.int32], Mask, Mask]:
    """Draw the moving section on the grid of the fixed one.

    Returns
    -------
    labels : (H, W) ndarray of int32
        Labels of the moving section.
    field : (H, W) ndarray of bool
        Where the moving section has pixels.
    tissue : (H, W) ndarray of bool
        Where it has tissue.
    """
    shape = fixed.labels.shape
    laid = np.zeros(shape, np.int32)
    field, tissue = np.zeros(shape, bool), np.zeros(shape, bool)
    moving_tissue = tissue_of(moving)
    height, width = moving.labels.shape
    for rows, at in places_in_moving(shape, fixed.mpp, to_moving):
        y, x = (np.floor(part / moving.mpp).astype(np.intp) for part in at)
        inside = (y >= 0) & (y < height) & (x >= 0) & (x < width)
        field[rows] = inside
        laid[rows][inside] = moving.labels[y[inside], x[inside]]
        tissue[rows][inside] = moving_tissue[y[inside], x[inside]]
    return laid, field, tissue


def places_in_moving(
    shape: tuple[int, ...], mpp: float, to_moving: LocalMap
) -> Iterator[tuple[slice, NDArray[np.float32]]]:
    """Where the pixels of a grid on the fixed section lie in the moving one.

    Yields
    ------
    rows
        A band of the grid.
    places : (2, h, W) ndarray of float32
        Row and column in the moving section, µm.
    """
    import cv2

    height, width = int(shape[0]), int(shape[1])
    step = max(1, round(NODE_UM / mpp))
    y, x = ((np.arange(-(-n // step)) + 0.5) * step * mpp for n in (height, width))
    nodes = np.stack(np.meshgrid(y, x, indexing="ij"), axis=-1).reshape(-1, 2)
    base = np.linalg.lstsq(
        np.hstack([nodes, np.ones((len(nodes), 1))]), mapped := to_moving(nodes), rcond=None
    )[0]
    # an affine map goes on straight beyond the outer nodes, and little is left to go wrong
    rest = (mapped - nodes @ base[:2] - base[2]).reshape(len(y), len(x), 2).astype(np.float32)
    band = max(1, BAND_PX // step)
    columns = (np.arange(width) + 0.5) * mpp
    for start in range(0, len(y), band):
        low, high = max(start - 1, 0), min(start + band + 1, len(y))
        part = cv2.resize(
            rest[low:high], (len(x) * step, (high - low) * step), interpolation=cv2.INTER_LINEAR
        )
        top, bottom = start * step, min((start + band) * step, height)
        part = part[top - low * step : bottom - low * step, :width]
        rows = (np.arange(top, bottom) + 0.5) * mpp
        places = [
            part[..., i] + (rows[:, None] * base[0, i] + columns * base[1, i] + base[2, i])
            for i in (0, 1)
        ]
        yield slice(top, bottom), np.asarray(places, np.float32)


def tissue_of(section: FiberMap) -> Mask:
    """Where fibers stand close enough to count as one tissue, with what lies between them."""
    import cv2

    height, width = section.labels.shape
    scale = max(TISSUE_MPP / section.mpp, 1.0)
    small = (max(1, round(width / scale)), max(1, round(height / scale)))
    inside = cv2.resize((section.labels > 0).astype(np.uint8) * 255, small, None, 0, 0, 3)
    reach = max(1, round(0.75 * section.diameter_um / (section.mpp * scale)))
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1, 2 * reach + 1))
    padded = cv2.copyMakeBorder(
        (inside > 64).astype(np.uint8), *[2 * reach] * 4, cv2.BORDER_REFLECT
    )
    closed = cv2.morphologyEx(padded, cv2.MORPH_CLOSE, kernel)
    closed = closed[2 * reach : -2 * reach, 2 * reach : -2 * reach]
    return np.asarray(cv2.resize(closed, (width, height), interpolation=0) > 0)


def _counts(labels: NDArray[np.int32], ids: NDArray[np.int64]) -> NDArray[np.int64]:
    """Pixels of each label."""
    flat = labels.ravel()
    found = np.searchsorted(ids, flat[flat > 0])
    return np.bincount(found, minlength=len(ids))


def _inside(
    labels: NDArray[np.int32],
    where: Mask,
    section: FiberMap,
    stretch: float,
    mpp: float | None = None,
) -> NDArray[np.float64]:
    """Share of the area of each fiber that lies in a part of the grid."""
    pixel = (mpp or section.mpp) ** 2
    return _counts(np.where(where, labels, 0), section.ids) * pixel * stretch / section.area_um2
