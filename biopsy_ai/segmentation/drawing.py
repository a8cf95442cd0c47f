"""From the maps of one field to the masks of its fibers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from biopsy_ai.segmentation.merging import merge_pieces
from biopsy_ai.segmentation.seeds import core_mask, find_seeds, flood, grow, height_score
from biopsy_ai.segmentation.thresholds import InstanceThresholds
from biopsy_ai.tissue_classes import FIBER

COARSE = 2
"""Seeds are found, flooded and merged on maps averaged over squares of this side, pixels."""

VOTE = 8
"""Added to the class of a pixel that the network would call artefact for a little more."""
CLASS_BITS = VOTE - 1

PLANES = {
    "foreground": 1,
    "border": COARSE,
    "distance": COARSE,
    "nucleus": 1,
    "nucleus_distance": COARSE,
    "tissue": COARSE,
}
"""Maps of the network, and how many pixels of the full grid a side of their pixels takes."""

_CORNER_STEPS = 2
"""Growth on the full grid into what the coarse grid is too coarse for, pixels."""

EDGE_PX = 2.5
"""Standard deviation of the neighborhood that smooths an edge of two fibers, pixels. [default]"""

_ROOM_PX = 8
"""What is looked at around a fiber while it is drawn, pixels: as far as that neighborhood."""

NOTCH_PX = 7
"""Notches of an outline up to this width are filled, pixels (3.5 µm), [default]"""

CLEFT = 0.25
"""but not where the foreground stays below this: there the fiber is cleft. [default]"""


@dataclass(frozen=True)
class FiberMaps:
    """Maps of the network, quantized to 0..255.

    Attributes
    ----------
    foreground
        (H, W) uint8 on the full grid; H and W are even.
    border, distance
        (H / 2, W / 2) uint8, area averages.
    nucleus
        (H, W) uint8 foreground of nuclei; None where the network draws no nuclei.
    nucleus_distance
        (H / 2, W / 2) uint8, area averages; None where the network draws no nuclei.
    tissue
        (H / 2, W / 2) uint8 index of the tissue class, with `VOTE` added where the network thinks
        of an artefact; None where the network tells none.
    """

    foreground: NDArray[np.uint8]
    border: NDArray[np.uint8]
    distance: NDArray[np.uint8]
    nucleus: NDArray[np.uint8] | None = None
    nucleus_distance: NDArray[np.uint8] | None = None
    tissue: NDArray[np.uint8] | None = None

    def __post_init__(self) -> None:
        height, width = self.foreground.shape
        if height % COARSE or width % COARSE:
            raise ValueError(f"maps of {height} x {width} px: both sides must be even")
        for name, step in PLANES.items():
            plane = getattr(self, name)
            if plane is not None and plane.shape != (height // step, width // step):
                raise ValueError(
                    f"the {name} map has the shape {plane.shape}, "
                    f"{height // step} x {width // step} was expected"
                )
        if (self.nucleus is None) != (self.nucleus_distance is None):
            raise ValueError("nucleus and nucleus_distance come together or not at all")

    @property
    def planes(self) -> dict[str, NDArray[np.uint8]]:
        """The maps that are there, by name, in the order of `PLANES`."""
        there = ((name, getattr(self, name)) for name in PLANES)
        return {name: plane for name, plane in there if plane is not None}

    def cut(self, y0: int, x0: int, y1: int, x1: int) -> FiberMaps:
        """Cut out a rectangle, half-open, even numbers."""
        return FiberMaps(
            **{
                name: plane[y0 // step : y1 // step, x0 // step : x1 // step]
                for name, plane in self.planes.items()
                for step in (PLANES[name],)
            }
        )


@dataclass(frozen=True)
class FiberDrawing:
    """One fiber on the full grid.

    Attributes
    ----------
    label
        Its number among the coarse labels.
    y0, x0
        Top left corner of the mask in the field, pixels.
    mask
        (h, w) uint8, 0 and 255, without holes, 4-connected, tight.
    contour
        (k, 2) int32 (row, column) of the boundary pixels in the field.
    area_px
        Pixels of the mask.
    confidence
        Mean foreground probability inside, 0..1.
    """

    label: int
    y0: int
    x0: int
    mask: NDArray[np.uint8]
    contour: NDArray[np.int32]
    area_px: int
    confidence: float


def fiber_maps(
    foreground: ArrayLike,
    border: ArrayLike,
    distance: ArrayLike,
    nuclei: tuple[ArrayLike, ArrayLike] | None = None,
    tissue: NDArray[np.uint8] | None = None,
) -> FiberMaps:
    """Quantize the maps of one field and average those of border and distance over 2 x 2 pixels.

    Parameters
    ----------
    foreground, border, distance
        (H, W) arrays, float in 0..1 or uint8 in 0..255. An odd side is filled up by a copy of
        the last row or column.
    nuclei
        Foreground and distance of nuclei, in the same form.
    tissue
        (H / 2, W / 2) tissue classes, rounded up where a side is odd.
    """
    import cv2

    full = [_quantize(array) for array in (foreground, border, distance, *(nuclei or ()))]
    shape = full[0].shape
    if any(array.shape != shape or array.ndim != 2 for array in full):
        raise ValueError("the maps must be two-dimensional and of one shape")
    if any(side % COARSE for side in shape):
        pad = [(0, side % COARSE) for side in shape]
        full = [np.pad(array, pad, mode="edge") for array in full]
    half = (full[0].shape[1] // COARSE, full[0].shape[0] // COARSE)

    def halved(array: NDArray[np.uint8]) -> NDArray[np.uint8]:
        small = cv2.resize(array, half, interpolation=cv2.INTER_AREA)
        return small.astype(np.uint8, copy=False)

    return FiberMaps(
        full[0],
        halved(full[1]),
        halved(full[2]),
        nucleus=full[3] if nuclei else None,
        nucleus_distance=halved(full[4]) if nuclei else None,
        tissue=tissue,
    )


def _quantize(array: ArrayLike) -> NDArray[np.uint8]:
    array = np.asarray(array)
    if array.dtype == np.uint8:
        return array
    scaled: NDArray[np.uint8] = np.round(np.clip(array, 0, 1) * 255).astype(np.uint8)
    return scaled


def coarse_labels(
    maps: FiberMaps, thresholds: InstanceThresholds, mpp: float
) -> NDArray[np.uint16]:
    """Label the fibers of a field on the coarse grid.

    Parameters
    ----------
    maps
        Of the field.
    thresholds
        See `InstanceThresholds`.
    mpp
        Pixel size of the full grid, µm.

    Returns
    -------
    (H / 2, W / 2) uint16
        Labels without order; some may be missing.
    """
    import cv2

    height, width = maps.border.shape
    foreground = cv2.resize(maps.foreground, (width, height), interpolation=cv2.INTER_AREA)
    score = cv2.GaussianBlur(height_score(maps.border, maps.distance), (3, 3), 0)
    core = core_mask(foreground, maps.border, maps.distance, thresholds)
    seeds = find_seeds(
        core, score, seed_height=thresholds.seed_height, min_peak=thresholds.min_peak
    )
    inside = cv2.compare(foreground, 255 * thresholds.foreground, cv2.CMP_GT)
    labels = flood(seeds, score, core, inside)
    return merge_pieces(labels, maps.border, maps.distance, thresholds, (COARSE * mpp) ** 2)


def draw_fibers(
    labels: NDArray[np.uint16],
    wanted: NDArray[np.int64],
    boxes: NDArray[np.int64],
    maps: FiberMaps,
    thresholds: InstanceThresholds,
    mpp: float,
) -> Iterator[FiberDrawing]:
    """Draw fibers of the coarse grid on the full grid and leave out what is none.

    Parameters
    ----------
    labels
        (H / 2, W / 2) of `coarse_labels`.
    wanted
        (m,) labels to draw; the others only hold their ground.
    boxes
        (m, 4) y0, x0, y1, x1 of the wanted labels on the coarse grid.
    maps
        Of the same field.
    thresholds
        Of which ``foreground``, ``min_peak``, ``min_foreground``, ``min_area_um2``,
        ``max_nucleus`` and ``min_fiber_share`` are used.
    mpp
        Pixel size of the full grid, µm.
    """
    import cv2

    if len(wanted) == 0:
        return
    margin = _ROOM_PX
    top, left = np.maximum(boxes[:, :2].min(0) - margin, 0)
    bottom, right = boxes[:, 2:].max(0) + margin
    part = labels[top:bottom, left:right]
    origin = np.array((top, left)) * COARSE
    foreground = maps.foreground[top * COARSE : bottom * COARSE, left * COARSE : right * COARSE]
    inside = cv2.compare(foreground, 255 * thresholds.foreground, cv2.CMP_GT)
    full = cv2.resize(part, (inside.shape[1], inside.shape[0]), interpolation=cv2.INTER_NEAREST)
    full = cv2.copyTo(full, inside)
    grow(full, inside, _CORNER_STEPS)

    for label, box in zip(wanted.tolist(), boxes.tolist(), strict=True):
        distance = maps.distance[box[0] : box[2], box[1] : box[3]]
        shape = (labels[box[0] : box[2], box[1] : box[3]] == label).view(np.uint8)
        if cv2.minMaxLoc(distance, shape)[1] < 255 * thresholds.min_peak:
            continue
        if _fiber_share(maps, shape, box) < thresholds.min_fiber_share:
            continue
        y0, x0 = np.maximum(np.array(box[:2]) * COARSE - origin - margin, 0)
        y1, x1 = np.array(box[2:]) * COARSE - origin + margin
        drawing = _draw(full[y0:y1, x0:x1], foreground[y0:y1, x0:x1], label, origin + (y0, x0))
        if (
            drawing is not None
            and drawing.area_px * mpp**2 >= thresholds.min_area_um2
            and drawing.confidence >= thresholds.min_foreground
            and _nucleus_share(maps, drawing) <= thresholds.max_nucleus
        ):
            yield drawing


def _fiber_share(maps: FiberMaps, shape: NDArray[np.uint8], box: list[int]) -> float:
    """Share of a fiber on the coarse grid that the tissue classes call fiber."""
    import cv2

    if maps.tissue is None:
        return 1.0
    classes = maps.tissue[box[0] : box[2], box[1] : box[3]] & CLASS_BITS
    called = cv2.compare(classes, FIBER, cv2.CMP_EQ)
    return cv2.countNonZero(cv2.bitwise_and(called, shape * 255)) / cv2.countNonZero(shape)


def _nucleus_share(maps: FiberMaps, drawing: FiberDrawing) -> float:
    """Mean probability of nucleus in a fiber, 0 where the network draws none."""
    if maps.nucleus is None:
        return 0.0
    return _mean_inside(maps.nucleus, drawing.mask, drawing.y0, drawing.x0)


def _mean_inside(plane: NDArray[np.uint8], mask: NDArray[np.uint8], y0: int, x0: int) -> float:
    """Mean of a map, 0..1, in a mask, 0 and 255, whose top left corner lies at y0, x0."""
    import cv2

    height, width = mask.shape
    inside = cv2.bitwise_and(plane[y0 : y0 + height, x0 : x0 + width], mask)
    return cv2.sumElems(inside)[0] / (255 * cv2.countNonZero(mask))


def _smooth_shared_edges(labels: NDArray[np.uint16], label: int) -> NDArray[np.uint8]:
    """Mask of a label, 0 and 255, the edges that it shares with others drawn smooth.

    They were found on the coarse grid, in steps of two pixels. A pixel goes to the label that
    prevails around it; what is no fiber stays none. Every fiber is drawn from the same labels, so
    that it does not matter which others are drawn, and in which order.
    """
    import cv2

    mask = np.asarray(cv2.compare(labels, label, cv2.CMP_EQ), np.uint8)
    taken = cv2.compare(labels, 0, cv2.CMP_GT)
    others = cv2.subtract(taken, mask)
    around = cv2.dilate(mask, cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3)))
    if not cv2.countNonZero(cv2.bitwise_and(around, others)):
        return mask
    mine, theirs = (cv2.GaussianBlur(part, (0, 0), EDGE_PX) for part in (mask, others))
    won, lost = cv2.compare(mine, theirs, cv2.CMP_GT), cv2.compare(mine, theirs, cv2.CMP_LT)
    smooth = cv2.subtract(cv2.bitwise_or(mask, cv2.bitwise_and(won, others)), lost)
    return np.asarray(smooth, np.uint8)


def _fill_notches(
    mask: NDArray[np.uint8], labels: NDArray[np.uint16], foreground: NDArray[np.uint8]
) -> NDArray[np.uint8]:
    """Fill the narrow notches of a mask, 0 and 255, where there is no other label.

    Ice crystals and nuclei at the membrane bite them out of the outline. They belong to the fiber
    as the holes inside it do.
    """
    import cv2

    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (NOTCH_PX, NOTCH_PX))
    # Room on all sides, lest the end of the array hold the outline in place.
    room = NOTCH_PX // 2
    wide = cv2.copyMakeBorder(mask, room, room, room, room, cv2.BORDER_CONSTANT, value=0)
    closed = cv2.morphologyEx(wide, cv2.MORPH_CLOSE, disc)[room:-room, room:-room]
    free = cv2.compare(labels, 0, cv2.CMP_EQ)
    doubtful = cv2.compare(foreground, 255 * CLEFT, cv2.CMP_GT)
    notches = cv2.bitwise_and(cv2.bitwise_and(closed, free), doubtful)
    return np.asarray(cv2.bitwise_or(mask, notches), np.uint8)


def _draw(
    labels: NDArray[np.uint16], foreground: NDArray[np.uint8], label: int, origin: NDArray[np.int64]
) -> FiberDrawing | None:
    """Smooth a label, take its largest piece and fill its holes."""
    import cv2

    mask = _fill_notches(_smooth_shared_edges(labels, label), labels, foreground)
    contours, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    if not contours:
        return None
    contour = max(contours, key=cv2.contourArea) if len(contours) > 1 else contours[0]
    filled, x0, y0 = _fill(contour)
    if _hangs_by_a_corner(filled, contour - (x0, y0)):
        # Outlines are 8-connected, fibers 4-connected: cut at the corner, keep the larger part.
        _, parts, stats, _ = cv2.connectedComponentsWithStats(filled, connectivity=4)
        largest = 1 + int(stats[1:, cv2.CC_STAT_AREA].argmax())
        contours, _ = cv2.findContours(
            (parts == largest).view(np.uint8),
            cv2.RETR_EXTERNAL,
            cv2.CHAIN_APPROX_NONE,
            offset=(x0, y0),
        )
        contour = contours[0]
        filled, x0, y0 = _fill(contour)
    return FiberDrawing(
        label=label,
        y0=y0 + int(origin[0]),
        x0=x0 + int(origin[1]),
        mask=filled,
        contour=contour[:, 0, ::-1] + origin.astype(np.int32),
        area_px=cv2.countNonZero(filled),
        confidence=_mean_inside(foreground, filled, y0, x0),
    )


def _fill(contour: NDArray[np.int32]) -> tuple[NDArray[np.uint8], int, int]:
    """Fill a contour; returns the tight mask and its left and top."""
    import cv2

    x0, y0, width, height = cv2.boundingRect(contour)
    filled = np.zeros((height, width), np.uint8)
    cv2.drawContours(filled, [contour], -1, 255, cv2.FILLED, offset=(-x0, -y0))
    return filled, x0, y0


def _hangs_by_a_corner(filled: NDArray[np.uint8], contour: NDArray[np.int32]) -> bool:
    """Whether two pixels of the contour meet at a corner and nowhere else."""
    here = contour[:, 0]
    following = np.concatenate([here[1:], here[:1]])
    diagonal = np.flatnonzero((here != following).all(axis=1))
    (x, y), (next_x, next_y) = here[diagonal].T, following[diagonal].T
    return bool(np.any((filled[y, next_x] == 0) & (filled[next_y, x] == 0)))
