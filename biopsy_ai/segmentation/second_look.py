"""A second look at small fibers: the picture around them enlarged, the maps of both averaged.

The network draws a fiber of a few pixels' width less surely than a wide one, and where it sees it
larger it makes other mistakes. Wide fibers gain nothing and are left as they are.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import groupby
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from biopsy_ai.segmentation.drawing import COARSE, FiberMaps, fiber_maps
from biopsy_ai.segmentation.seeds import core_mask
from biopsy_ai.segmentation.thresholds import InstanceThresholds
from biopsy_ai.segmentation.tiles import STRIDE_PX, Margins

ZOOM = 1.5
"""How much larger the picture is in the second look, or a little more. [default]"""

WEIGHT = 2 / 3
"""That the second look has in the mean of both. [default]"""

CORE = InstanceThresholds(foreground=0.5, border=0.5, core_distance=0.6)
"""What counts as the core of a fiber here, whatever the thresholds of its stain. [default]"""

CORE_UM2 = (8.0, 600.0)
"""Least and largest area of the core of a small fiber, µm²; a fiber is up to half as large again.
[default]"""

LEAST_PEAK = 0.2
"""Cores whose distance map stays below it are no fibers, [default]"""

LEAST_FOREGROUND = 0.6
"""nor are those whose mean foreground does. [default]"""

CUT_UM = 16.0
"""A core that the end of the maps cuts at this length or more is part of a wide fiber. [default]"""

AROUND_UM = 16.0
"""How far around the core of a small fiber the maps are averaged, as long as its tails are.
[default]"""

RIM_UM = 1.5
"""How far around the core of a wide fiber its own sarcoplasm is left alone. [default]"""

KEPT_UM2 = 120.0
"""Cores of this area or more stay at least as bright as at the first look where all cells are
stained: among inflammatory ones pieces of fibers would be lost. [default]"""

NEAR, KEPT = 1, 2
"""What the map of small fibers holds: what is close to one, and a core that is to be kept."""

CELL_PX = 128
"""Side of a cell that is looked at again, pixels,"""

PART_PX = 512
"""and of a part, which is looked at as a whole"""

WHOLE_FROM = 7
"""where it would take so many cells: with their context they take as long."""

CONTEXT_PX = 64
"""What the network sees around a cell or a part, pixels, where the picture goes on. [default]"""

AT_ONCE_PX = 1 << 20
"""Enlarged pixels that go through the network together."""


class Block(NamedTuple):
    """A square that is looked at again, pixels of the maps; cut off where these end."""

    y0: int
    x0: int
    side: int


class _View(NamedTuple):
    """A block, what is seen of the picture for it, and how much of that is around the block."""

    block: Block
    y0: int
    x0: int
    shape: tuple[int, int]
    context: Margins

    def cut(self, picture: NDArray[np.float32]) -> NDArray[np.float32]:
        """What is seen of a picture."""
        return picture[self.y0 : self.y0 + self.shape[0], self.x0 : self.x0 + self.shape[1]]


Draw = Callable[[NDArray[np.float32], Margins], NDArray[np.uint8]]
"""From pictures (N, h, w, 3) to their maps of fibers (N, 3, h, w) without context, 0 to 255."""


class SecondLook(NamedTuple):
    """How sections are looked at again.

    Attributes
    ----------
    kept_um2
        Cores of this area or more stay at least as bright as at the first look.
    """

    kept_um2: float


def second_look_for(threshold_set: str) -> SecondLook | None:
    """Choose the second look for sections that one of `THRESHOLD_SETS` is for.

    None in fluorescence: more small fibers are missed with it than without. In stains of an enzyme
    what fades was no fiber.
    """
    if threshold_set == "fluorescence_thresholds":
        return None
    return SecondLook(math.inf if threshold_set == "enzyme_thresholds" else KEPT_UM2)


def look_again(
    maps: FiberMaps,
    picture: NDArray[np.float32],
    context: Margins,
    mpp: float,
    draw: Draw,
    how: SecondLook,
) -> FiberMaps:
    """Average the maps around small fibers with those of the enlarged picture.

    Parameters
    ----------
    maps
        Of the picture without its context.
    picture
        (h, w, 3) normalized, sides multiples of `STRIDE_PX`.
    context
        Pixels around the maps on each side.
    mpp
        Pixel size, µm.
    draw
        The network.
    how
        The section is looked at again.

    Returns
    -------
    FiberMaps
        Nuclei and tissue classes are those of the first look.
    """
    import cv2

    near = near_small_fibers(maps, mpp, how)
    if not near.any():
        return maps
    foreground, border, distance = (
        plane.copy() for plane in (maps.foreground, maps.border, maps.distance)
    )
    for block, seen in _see(wanted_blocks(near), picture, context, draw):
        y, x = block.y0 // COARSE, block.x0 // COARSE
        rows, columns = slice(y, y + block.side // COARSE), slice(x, x + block.side // COARSE)
        inside = near[rows, columns]
        fine = foreground[block.y0 : block.y0 + block.side, block.x0 : block.x0 + block.side]
        full = cv2.resize(inside, fine.shape[::-1], interpolation=cv2.INTER_NEAREST)
        again = fiber_maps(*seen)
        for plane, other, where in (
            (fine, again.foreground, full),
            (border[rows, columns], again.border, inside),
            (distance[rows, columns], again.distance, inside),
        ):
            mean = cv2.addWeighted(plane, 1 - WEIGHT, other, WEIGHT, 0)
            if plane is fine:
                mean = np.where(where == KEPT, np.maximum(mean, plane), mean)
            plane[:] = np.where(where > 0, mean, plane)
        inside[:] = 0  # cells overlap, and what lies in two of them is averaged once
    return replace(maps, foreground=foreground, border=border, distance=distance)


def near_small_fibers(maps: FiberMaps, mpp: float, how: SecondLook) -> NDArray[np.uint8]:
    """Where there are small fibers, and what is close to them.

    Parameters
    ----------
    maps
        Of the first look.
    mpp
        Pixel size of the full grid, µm.
    how
        The section is looked at again.

    Returns
    -------
    (h, w) uint8
        0, `NEAR` or `KEPT`, on the coarse grid of the maps.
    """
    import cv2

    height, width = maps.border.shape
    foreground = cv2.resize(maps.foreground, (width, height), interpolation=cv2.INTER_AREA)
    core = core_mask(foreground, maps.border, maps.distance, CORE)
    n, parts, stats, _ = cv2.connectedComponentsWithStats(core, connectivity=4)
    pixel = COARSE * mpp
    area = stats[:, cv2.CC_STAT_AREA] * pixel**2
    ends = (parts[0], parts[-1], parts[:, 0], parts[:, -1])
    cut = pixel * np.sum([np.bincount(end, minlength=n) for end in ends], axis=0)
    small = (area >= CORE_UM2[0]) & (area < CORE_UM2[1]) & (cut < CUT_UM)
    small[0] = False
    at = np.flatnonzero(small[parts])
    part = parts.ravel()[at]
    peak = np.zeros(n, np.uint8)
    np.maximum.at(peak, part, maps.distance.ravel()[at])
    brightness = np.bincount(part, foreground.ravel()[at], minlength=n)
    mean = brightness / np.maximum(stats[:, cv2.CC_STAT_AREA], 1)
    small &= (peak >= 255 * LEAST_PEAK) & (mean >= 255 * LEAST_FOREGROUND)
    if not small.any():
        return np.zeros((height, width), np.uint8)
    wide = (area >= CORE_UM2[1]) | (cut >= CUT_UM)
    wide[0] = False
    to_small, to_wide = (
        cv2.distanceTransform((~chosen[parts]).view(np.uint8), cv2.DIST_L2, 3)
        for chosen in (small, wide)
    )
    # Wide fibers are left alone, not what is between them: tails of small ones lie there.
    inside = cv2.compare(foreground, 255 * CORE.foreground, cv2.CMP_GT) > 0
    theirs = inside & (to_wide <= RIM_UM / pixel)
    near = ((to_small <= AROUND_UM / pixel) & ~theirs).astype(np.uint8) * np.uint8(NEAR)
    near[(small & (area >= how.kept_um2))[parts]] = KEPT
    return near


def wanted_blocks(near: NDArray[np.uint8]) -> list[Block]:
    """Cover what is wanted with cells, and with parts where there would be many cells.

    Cells may overlap.

    Parameters
    ----------
    near
        (h, w) of `near_small_fibers`.
    """
    part = PART_PX // COARSE
    height, width = near.shape
    blocks = []
    for y in range(0, height, part):
        for x in range(0, width, part):
            corners = list(_cover(near[y : y + part, x : x + part] > 0, CELL_PX // COARSE))
            if len(corners) >= WHOLE_FROM:
                blocks.append(Block(COARSE * y, COARSE * x, PART_PX))
            else:
                blocks += [
                    Block(COARSE * (y + down), COARSE * (x + right), CELL_PX)
                    for down, right in corners
                ]
    return blocks


def _cover(wanted: NDArray[np.bool_], side: int) -> Iterator[tuple[int, int]]:
    """Cover what is wanted with squares, strip by strip; gives their top left corners."""
    height, width = wanted.shape
    left = wanted.copy()
    while left.any():
        y = min(int(left.any(1).argmax()), max(height - side, 0))
        strip = left[y : y + side]
        while strip.any():
            x = min(int(strip.any(0).argmax()), max(width - side, 0))
            yield y, x
            strip[:, x : x + side] = False


def _see(
    blocks: list[Block], picture: NDArray[np.float32], context: Margins, draw: Draw
) -> Iterator[tuple[Block, NDArray[np.uint8]]]:
    """Draw blocks on the enlarged picture; gives their maps (3, h, w) at the size of the first."""
    import cv2

    views = [_view(block, picture.shape[:2], context) for block in blocks]

    def look(view: _View) -> tuple[tuple[int, int], Margins]:
        return view.shape, view.context

    for (shape, around), group in groupby(sorted(views, key=look), look):
        alike = list(group)
        height, width = (-(-round(ZOOM * side) // STRIDE_PX) * STRIDE_PX for side in shape)
        zoom = height / shape[0], width / shape[1]
        enlarged = _scaled(around, zoom)
        count = max(AT_ONCE_PX // (height * width), 1)
        for first in range(0, len(alike), count):
            some = alike[first : first + count]
            pictures = [
                cv2.resize(view.cut(picture), (width, height), interpolation=cv2.INTER_CUBIC)
                for view in some
            ]
            maps = draw(np.stack(pictures), enlarged or Margins())
            for view, planes in zip(some, maps, strict=True):
                rows, columns = (round(n / z) for n, z in zip(planes.shape[1:], zoom, strict=True))
                small = np.stack(
                    [
                        cv2.resize(plane, (columns, rows), interpolation=cv2.INTER_AREA)
                        for plane in planes
                    ]
                )
                yield view.block, small if enlarged else _without(small, around)


def _view(block: Block, shape: tuple[int, ...], context: Margins) -> _View:
    """A block and what is around it; moved inward where the picture ends."""
    ends = context.top + context.bottom, context.left + context.right
    origin, seen, before, after = [], [], [], []
    for start, length, first, end in zip(
        (block.y0, block.x0), shape[:2], (context.top, context.left), ends, strict=True
    ):
        side = min(block.side + 2 * CONTEXT_PX, length)
        kept = min(block.side, length - end - start)
        at = min(max(start + first - CONTEXT_PX, 0), length - side)
        origin.append(at)
        seen.append(side)
        before.append(start + first - at)
        after.append(side - kept - before[-1])
    around = Margins(before[0], before[1], after[0], after[1])
    return _View(block, origin[0], origin[1], (seen[0], seen[1]), around)


def _scaled(margins: Margins, zoom: tuple[float, float]) -> Margins | None:
    """Margins of an enlarged picture; None where they are no whole pixels."""
    factors = (zoom[0], zoom[1], zoom[0], zoom[1])
    exact = [side * factor for side, factor in zip(margins, factors, strict=True)]
    if any(side % 1 for side in exact):
        return None
    return Margins(*(int(side) for side in exact))


def _without(planes: NDArray[np.uint8], margins: Margins) -> NDArray[np.uint8]:
    height, width = planes.shape[1:]
    return planes[:, margins.top : height - margins.bottom, margins.left : width - margins.right]
