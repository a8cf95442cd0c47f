"""Put the fibers of all windows on one label image: none doubled, cut or lost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from biopsy_ai.labels import allocate_labels
from biopsy_ai.packed_labels import CHUNK_PX
from biopsy_ai.segmentation.windows import WindowFiber

CONTINUED_SHARE = 0.1
"""A fiber that reaches the end of a window goes on in the next one where the two overlap by at
least this share of the smaller."""

DOUBLE_SHARE = 0.5
"""A fiber of which more than this share is taken already is the double of another, or an
island inside it."""


class FiberSheet:
    """A label image that fibers are placed on, window after window.

    Fibers are numbered in the order of the windows, and by centroid within a window. The windows
    do not depend on the tiles of the network, so neither do the numbers.

    Parameters
    ----------
    shape
        (H, W) of the label image.
    min_area_px
        What a fiber keeps beside those that were there before is dropped where it is smaller.
    """

    def __init__(self, shape: tuple[int, int], min_area_px: float = 0.0) -> None:
        self.labels = allocate_labels(shape)
        self._min_area_px = min_area_px
        self._boxes: list[tuple[int, int, int, int]] = []
        self._areas: list[int] = []
        self._confidence: list[float] = []
        self._faces_glass: list[bool] = []
        self._open: set[int] = set()

    def __len__(self) -> int:
        return len(self._boxes)

    @property
    def boxes(self) -> NDArray[np.int64]:
        """(n, 4) y0, x0, y1, x1, half-open."""
        return np.array(self._boxes, np.int64).reshape(-1, 4)

    @property
    def confidence(self) -> NDArray[np.float32]:
        """(n,) mean foreground probability."""
        return np.array(self._confidence, np.float32)

    @property
    def faces_glass(self) -> NDArray[np.bool_]:
        """(n,) whether the fiber lies at the tissue edge."""
        return np.array(self._faces_glass, bool)

    def place(self, fibers: Sequence[WindowFiber]) -> None:
        """Place the fibers of the next window.

        Larger fibers come first, so that an island inside one is recognized as a part of it. A
        fiber that is there already from another window is left out. One that was cut off by
        the end of a window and goes on in this one is completed.
        """
        if not fibers:
            return
        height, width = self.labels.shape
        y0 = min(fiber.y0 for fiber in fibers)
        x0 = min(fiber.x0 for fiber in fibers)
        y1 = min(max(fiber.y0 + fiber.mask.shape[0] for fiber in fibers), height)
        x1 = min(max(fiber.x0 + fiber.mask.shape[1] for fiber in fibers), width)
        # Written back by whole chunks, which spares the store reading them again.
        y0, x0 = y0 // CHUNK_PX * CHUNK_PX, x0 // CHUNK_PX * CHUNK_PX
        y1 = min(-(-y1 // CHUNK_PX) * CHUNK_PX, height)
        x1 = min(-(-x1 // CHUNK_PX) * CHUNK_PX, width)
        sheet = np.asarray(self.labels[y0:y1, x0:x1])

        by_size = sorted(range(len(fibers)), key=lambda i: (-fibers[i].area_px, i))
        # Numbers of this window, provisional until it is known which fibers stay.
        first = len(self) + 1
        staying: dict[int, WindowFiber] = {}
        for i in by_size:
            placed = self._draw(sheet, (y0, x0), fibers[i], first + i)
            if placed is not None:
                staying[first + i] = placed
        number = {old: first + k for k, old in enumerate(sorted(staying))}
        for old, new in number.items():
            # numbers only fall, and rise in this order: the new one is free by now
            if old != new:
                _renumber(sheet, (y0, x0), staying[old], old, new)
        if not isinstance(self.labels, np.ndarray):
            self.labels[y0:y1, x0:x1] = sheet
        for old in sorted(staying):
            self._record(staying[old], number[old])

    def _draw(
        self,
        sheet: NDArray[np.int32],
        origin: tuple[int, int],
        fiber: WindowFiber,
        label: int,
    ) -> WindowFiber | None:
        """Draw one fiber; None if it is no fiber of its own."""
        height = min(fiber.mask.shape[0], self.labels.shape[0] - fiber.y0)
        width = min(fiber.mask.shape[1], self.labels.shape[1] - fiber.x0)
        y, x = fiber.y0 - origin[0], fiber.x0 - origin[1]
        part = sheet[y : y + height, x : x + width]
        inside = fiber.mask[:height, :width] > 0
        taken = np.logical_and(part, inside)
        if not taken.any():
            np.copyto(part, label, where=inside)
            if inside.shape == fiber.mask.shape:
                return fiber
            return _trimmed(fiber, inside)
        owners = part[taken]
        owner, overlap = _most_frequent(owners)
        if self._is_continued(owner, overlap, fiber):
            free = inside & (part == 0)
            part[free] = owner
            self._extend(owner, fiber, int(free.sum()))
            return None
        if owners.size > DOUBLE_SHARE * np.count_nonzero(inside):
            return None
        rest = _largest_piece(inside & (part == 0))
        if np.count_nonzero(rest) < self._min_area_px:
            return None
        part[rest] = label
        return _trimmed(fiber, rest)

    def _is_continued(self, owner: int, overlap: int, fiber: WindowFiber) -> bool:
        if owner > len(self) or not (fiber.truncated or owner in self._open):
            return False
        return overlap >= CONTINUED_SHARE * min(fiber.area_px, self._areas[owner - 1])

    def _extend(self, label: int, fiber: WindowFiber, new_px: int) -> None:
        i = label - 1
        height, width = fiber.mask.shape
        y0, x0, y1, x1 = self._boxes[i]
        limit = self.labels.shape
        self._boxes[i] = (
            min(y0, fiber.y0),
            min(x0, fiber.x0),
            min(max(y1, fiber.y0 + height), limit[0]),
            min(max(x1, fiber.x0 + width), limit[1]),
        )
        total = self._areas[i] + new_px
        self._confidence[i] += (fiber.confidence - self._confidence[i]) * new_px / total
        self._areas[i] = total
        self._faces_glass[i] |= fiber.faces_glass
        if fiber.truncated:
            self._open.add(label)

    def _record(self, fiber: WindowFiber, label: int) -> None:
        height, width = fiber.mask.shape
        self._boxes.append((fiber.y0, fiber.x0, fiber.y0 + height, fiber.x0 + width))
        self._areas.append(fiber.area_px)
        self._confidence.append(fiber.confidence)
        self._faces_glass.append(fiber.faces_glass)
        if fiber.truncated:
            self._open.add(label)


def _most_frequent(owners: NDArray[np.int32]) -> tuple[int, int]:
    values, counts = np.unique(owners, return_counts=True)
    most = int(counts.argmax())
    return int(values[most]), int(counts[most])


def _largest_piece(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    import cv2

    _, pieces, stats, _ = cv2.connectedComponentsWithStats(mask.view(np.uint8), connectivity=4)
    largest: NDArray[np.bool_] = pieces == 1 + int(stats[1:, cv2.CC_STAT_AREA].argmax())
    return largest


def _trimmed(fiber: WindowFiber, mask: NDArray[np.bool_]) -> WindowFiber:
    """Return the fiber with a smaller mask of the same origin, cut to a tight box."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    tight = mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    return replace(
        fiber,
        y0=fiber.y0 + int(rows[0]),
        x0=fiber.x0 + int(columns[0]),
        mask=np.where(tight, np.uint8(255), np.uint8(0)),
        area_px=int(tight.sum()),
    )


def _renumber(
    sheet: NDArray[np.int32], origin: tuple[int, int], fiber: WindowFiber, old: int, new: int
) -> None:
    height, width = fiber.mask.shape
    y, x = fiber.y0 - origin[0], fiber.x0 - origin[1]
    part = sheet[y : y + height, x : x + width]
    part[part == old] = new
