"""Nuclei window by window: each belongs to the one window that holds its centroid.

The same rule as for fibers, but done for all nuclei of a window at once: a section holds several
times as many nuclei as fibers, and each is small.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from biopsy_ai.config import OUTLINE_MPP
from biopsy_ai.labels import LabelArray, allocate_labels
from biopsy_ai.packed_labels import CHUNK_PX
from biopsy_ai.segmentation.drawing import FiberMaps
from biopsy_ai.segmentation.gathering import gather_parts
from biopsy_ai.segmentation.seeds import find_seeds, grow
from biopsy_ai.segmentation.thresholds import NucleusThresholds
from biopsy_ai.segmentation.windows import Window

HALO_PX = 64
"""How far beyond its core a window looks for nuclei, pixels (32 µm, more than the longest)."""

GROWTH_PX = 14
"""How far a nucleus reaches beyond its seed, pixels (7 µm). [default]"""

DEPTH_PX = 8.0
"""Depth below the outline of a clump counts up to this, pixels (4 µm, half a nucleus). [default]"""

NUCLEUS_LEVELS = tuple(round(10.2 * step) for step in range(1, 21))
"""Level sets of the score of nuclei, 0.04 to 0.8. [default]"""

SMOOTH_PX = 1.0
"""Blur of the score: ripples of the outline reach into its depth. [default]"""

DOUBLE_SHARE = 0.5
"""A nucleus of which more than this share is taken already is the double of another."""


@dataclass(frozen=True, eq=False)
class Nuclei:
    """Nuclei of one section; row i of the arrays is label i + 1.

    Attributes
    ----------
    labels
        (H, W) int32, 0 background, nuclei 1..n. A numpy array, or `PackedLabels` when large, so
        read it by parts.
    area_px
        (n,) int64 pixels.
    centroid_px
        (n, 2) float64 row, column of the center of mass; pixel (0, 0) has its center at 0.5.
    boxes
        (n, 4) int64 half-open y0, x0, y1, x1.
    confidence
        (n,) float32 mean foreground probability inside.
    mpp
        Pixel size (y, x) of the label image, µm. Its first pixel begins where that of the fibers
        begins, whose grid may be another.
    """

    labels: LabelArray
    area_px: NDArray[np.int64]
    centroid_px: NDArray[np.float64]
    boxes: NDArray[np.int64]
    confidence: NDArray[np.float32]
    mpp: tuple[float, float] = (OUTLINE_MPP, OUTLINE_MPP)

    def __post_init__(self) -> None:
        n = len(self.area_px)
        shapes = {"centroid_px": (n, 2), "boxes": (n, 4), "confidence": (n,)}
        for name, expected in shapes.items():
            shape = np.shape(getattr(self, name))
            if shape != expected:
                raise ValueError(f"{name} has the shape {shape}, for {n} nuclei {expected} is due")

    def __len__(self) -> int:
        return len(self.area_px)


@dataclass(frozen=True, eq=False)
class NucleusPixels:
    """The pixels of some nuclei; arrays of length k.

    Attributes
    ----------
    number
        int32, of the nucleus that a pixel belongs to: 1..n without gaps and ascending, but where
        they were only just found (`owned_nuclei` puts them in order).
    row, column
        int32, pixels of the slide.
    foreground
        uint8 map, 255 for 1.
    """

    number: NDArray[np.int32]
    row: NDArray[np.int32]
    column: NDArray[np.int32]
    foreground: NDArray[np.uint8]

    @classmethod
    def found(
        cls,
        number: NDArray[np.integer],
        pixels: NDArray[np.int64],
        foreground: NDArray[np.uint8],
        origin: tuple[int, int],
    ) -> NucleusPixels:
        """Nuclei that were found in a part of the slide.

        Parameters
        ----------
        number
            (k,) of the nucleus that a pixel belongs to.
        pixels
            (k,) flat index of the pixel in the part.
        foreground
            (h, w) uint8 map of the part, 255 for 1.
        origin
            Row and column of its first pixel on the slide.
        """
        row, column = (where.astype(np.int32) for where in np.divmod(pixels, foreground.shape[1]))
        inside = foreground.ravel()[pixels]
        return cls(number.astype(np.int32), row + origin[0], column + origin[1], inside)

    def of(self, chosen: NDArray[np.bool_], number: NDArray[np.int32]) -> NucleusPixels:
        """Return the chosen pixels under new numbers, and in the order of these.

        Parameters
        ----------
        chosen
            (k,) bool.
        number
            (n + 1,) int32, the new number of each nucleus.
        """
        renumbered = number[self.number[chosen]]
        where = np.flatnonzero(chosen)
        order = np.argsort(renumbered, kind="stable")
        where = where[order]
        return NucleusPixels(
            renumbered[order], self.row[where], self.column[where], self.foreground[where]
        )

    def area(self) -> NDArray[np.int64]:
        """(n,) pixels."""
        return np.bincount(self.number)[1:]

    def mean(self, values: NDArray) -> NDArray[np.float64]:
        """(n,) mean of values of the pixels."""
        means: NDArray[np.float64] = np.bincount(self.number, weights=values)[1:] / self.area()
        return means

    def centroid(self) -> NDArray[np.float64]:
        """(n, 2) row, column."""
        return np.stack([self.mean(self.row), self.mean(self.column)], axis=1) + 0.5

    def boxes(self) -> NDArray[np.int64]:
        """(n, 4) half-open y0, x0, y1, x1."""
        first = np.flatnonzero(np.diff(self.number, prepend=0))
        low = [np.minimum.reduceat(a, first) for a in (self.row, self.column)]
        high = [np.maximum.reduceat(a, first) + 1 for a in (self.row, self.column)]
        return np.stack([*low, *high], axis=1).astype(np.int64)


def window_nuclei(
    maps: FiberMaps, window: Window, thresholds: NucleusThresholds, mpp: float
) -> NucleusPixels:
    """Find the nuclei whose centroid lies in the core of a window.

    Seeds are peaks of `nucleus_score`; each grows a few pixels over the foreground. What a
    nucleus becomes depends on nothing but the piece of foreground that it lies in, so that two
    windows which see all of that see the same.

    Parameters
    ----------
    maps
        Of ``window.outer``, with nuclei.
    window
        Where the maps lie.
    thresholds
        See `NucleusThresholds`.
    mpp
        Pixel size of the working grid, µm.

    Returns
    -------
    NucleusPixels
        Numbered by centroid, row by row.
    """
    top, left, bottom, right = window.outer
    y0, x0 = max(top, window.core[0] - HALO_PX), max(left, window.core[1] - HALO_PX)
    y1, x1 = min(bottom, window.core[2] + HALO_PX), min(right, window.core[3] + HALO_PX)
    seen = maps.cut(y0 - top, x0 - left, y1 - top, x1 - left)
    assert seen.nucleus is not None
    assert seen.nucleus_distance is not None
    number, pixels = _numbered(seen.nucleus, seen.nucleus_distance, thresholds)
    found = NucleusPixels.found(number, pixels, seen.nucleus, (y0, x0))
    return owned_nuclei(found, window, thresholds, mpp)


def owned_nuclei(
    found: NucleusPixels, window: Window, thresholds: NucleusThresholds, mpp: float
) -> NucleusPixels:
    """Keep the nuclei whose centroid lies in the core of a window and that are large enough.

    Parameters
    ----------
    found
        Nuclei that the window sees, from `NucleusPixels.found`.
    window, thresholds, mpp
        As of `window_nuclei`; of the thresholds the least area and foreground count.

    Returns
    -------
    NucleusPixels
        Numbered by centroid, row by row.
    """
    if not found.number.size:
        return found
    number = np.arange(int(found.number.max()) + 1, dtype=np.int32)
    found = found.of(np.ones(found.number.size, bool), number)
    center = found.centroid()
    wanted = (
        (found.area() * mpp**2 >= thresholds.min_area_um2)
        & (found.mean(found.foreground) >= 255 * thresholds.min_foreground)
        & (center >= window.core[:2]).all(1)
        & (center < window.core[2:]).all(1)
    )
    order = np.lexsort((center[:, 1], center[:, 0]))
    order = order[wanted[order]]
    number[:] = 0
    number[order + 1] = np.arange(1, len(order) + 1)
    return found.of(number[found.number] > 0, number)


def label_nuclei(
    maps: FiberMaps,
    shape: tuple[int, int],
    thresholds: NucleusThresholds | None = None,
    *,
    mpp: float = OUTLINE_MPP,
) -> Nuclei:
    """Turn the maps of one field that fits in memory into nuclei.

    Parameters
    ----------
    maps
        Of the field, with nuclei.
    shape
        (H, W) of the labels; one row or column of the maps may be padding.
    thresholds
        Defaults where None.
    mpp
        Pixel size, µm.
    """
    height, width = maps.foreground.shape
    everything = (0, 0, height, width)
    sheet = NucleusSheet(shape, mpp)
    window = Window(everything, everything)
    sheet.place(window_nuclei(maps, window, thresholds or NucleusThresholds(), mpp))
    return sheet.nuclei()


def nucleus_score(inside: NDArray[np.uint8], distance: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Landscape whose peaks are nuclei: the mean of the distance map and of the drawn depth.

    The network is unsure of the distance map in clumps, where it is flat and rippled; the waist
    between two nuclei shows in the outline of the clump. The two err in different places.

    Parameters
    ----------
    inside
        (H, W) mask of nuclei, 0 and 255.
    distance
        (H / 2, W / 2) distance map of nuclei, 255 for 1.

    Returns
    -------
    (H, W) uint8
        255 where the distance map is 1 and the outline `DEPTH_PX` or more away.
    """
    import cv2

    drawn = cv2.distanceTransform(inside, cv2.DIST_L2, 5)
    depth = cv2.convertScaleAbs(drawn, alpha=255 / DEPTH_PX)
    full = cv2.resize(distance, inside.shape[::-1], interpolation=cv2.INTER_LINEAR)
    score = cv2.addWeighted(full, 0.5, depth, 0.5, 0)
    return np.asarray(cv2.GaussianBlur(score, (0, 0), SMOOTH_PX), np.uint8)


def _numbered(
    foreground: NDArray[np.uint8], distance: NDArray[np.uint8], thresholds: NucleusThresholds
) -> tuple[NDArray[np.uint16], NDArray[np.int64]]:
    """Seeds, grown over the foreground around them: number and flat index of each pixel."""
    import cv2

    inside = cv2.compare(foreground, 255 * thresholds.foreground, cv2.CMP_GT)
    # Hardly a hundredth of a section is nuclei, and levels are many.
    gathered = gather_parts(inside)
    if not gathered.pixels.size:
        return np.zeros(0, np.uint16), gathered.pixels
    core = gathered.bring(inside)
    labels = find_seeds(
        core,
        gathered.bring(nucleus_score(inside, distance)),
        seed_height=thresholds.seed_height,
        min_peak=thresholds.min_peak,
        levels=NUCLEUS_LEVELS,
        thin=True,
    )
    grow(labels, core, GROWTH_PX)
    number = labels.ravel()[gathered.places]
    drawn = number > 0
    return number[drawn], gathered.pixels[drawn]


class NucleusSheet:
    """A label image that nuclei are placed on, window after window.

    Parameters
    ----------
    shape
        (H, W) of the label image.
    mpp
        Its pixel size, µm.
    """

    def __init__(self, shape: tuple[int, int], mpp: float = OUTLINE_MPP) -> None:
        self.labels = allocate_labels(shape)
        self._mpp = mpp
        self._count = 0
        self._areas: list[NDArray[np.int64]] = []
        self._centroids: list[NDArray[np.float64]] = []
        self._boxes: list[NDArray[np.int64]] = []
        self._confidence: list[NDArray[np.float64]] = []

    def nuclei(self) -> Nuclei:
        """Return what was placed."""
        return Nuclei(
            labels=self.labels,
            area_px=np.concatenate([np.zeros(0, np.int64), *self._areas]),
            centroid_px=np.concatenate([np.zeros((0, 2)), *self._centroids]),
            boxes=np.concatenate([np.zeros((0, 4), np.int64), *self._boxes]),
            confidence=np.concatenate([np.zeros(0), *self._confidence]).astype(np.float32),
            mpp=(self._mpp, self._mpp),
        )

    def place(self, found: NucleusPixels) -> None:
        """Place the nuclei of the next window; one that is there already is left out."""
        height, width = self.labels.shape
        if not found.number.size:
            return
        # Written back by whole chunks, which spares the store reading them again.
        y0, x0 = (int(a.min()) // CHUNK_PX * CHUNK_PX for a in (found.row, found.column))
        y1, x1 = (-(-int(a.max() + 1) // CHUNK_PX) * CHUNK_PX for a in (found.row, found.column))
        y1, x1 = min(y1, height), min(x1, width)
        sheet = np.asarray(self.labels[y0:y1, x0:x1])
        free = (found.row < height) & (found.column < width)
        free[free] = sheet[found.row[free] - y0, found.column[free] - x0] == 0
        whole = found.area()
        left = np.bincount(found.number[free], minlength=len(whole) + 1)[1:]
        stays = np.concatenate([[False], left > (1 - DOUBLE_SHARE) * whole])
        number = np.where(stays, np.cumsum(stays), 0).astype(np.int32)
        placed = found.of(free & stays[found.number], number)
        if not placed.number.size:
            return
        sheet[placed.row - y0, placed.column - x0] = placed.number + self._count
        if not isinstance(self.labels, np.ndarray):
            self.labels[y0:y1, x0:x1] = sheet
        self._areas.append(placed.area())
        self._centroids.append(placed.centroid())
        self._boxes.append(placed.boxes())
        self._confidence.append(placed.mean(placed.foreground) / 255)
        self._count += len(self._areas[-1])
