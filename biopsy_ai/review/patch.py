"""The pixels that a correction changes, before and after, in a form that a text file can hold."""

from __future__ import annotations

import base64
import binascii
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from biopsy_ai.labels import LabelArray, WritableLabelArray
from biopsy_ai.packed_labels import CHUNK_PX

Box = tuple[int, int, int, int]
"""y0, x0, y1, x1 in pixels of the label image, half-open."""

Pixels = NDArray[np.int32]

UNTOUCHED = -1
"""Stands in a patch where it leaves a pixel as it is."""

MAX_PX = 1 << 24
"""Patches of more pixels are refused: no fiber is 2 mm wide."""


@dataclass(frozen=True)
class Patch:
    """Pixels of a box before and after a correction; those of other fibers are left out.

    Attributes
    ----------
    box
        In the label image.
    before, after
        Labels of its pixels, -1 where they are left as they are, compressed.
    """

    box: Box
    before: bytes
    after: bytes

    @property
    def shape(self) -> tuple[int, int]:
        y0, x0, y1, x1 = self.box
        return y1 - y0, x1 - x0

    @cached_property
    def labels(self) -> frozenset[int]:
        """Labels that it draws or draws over."""
        return frozenset(np.unique(np.stack(self.pixels())).tolist()) - {0, UNTOUCHED}

    def reversed(self) -> Patch:
        """What takes this patch back."""
        return Patch(self.box, self.after, self.before)

    def pixels(self) -> tuple[Pixels, Pixels]:
        """Labels before and after.

        Raises
        ------
        ValueError
            If they are damaged.
        """
        before, after = (_unpack(part, self.shape) for part in (self.before, self.after))
        if not np.array_equal(before == UNTOUCHED, after == UNTOUCHED):
            raise ValueError("before and after are not of the same pixels")
        return before, after


def find_patch(before: Pixels, after: Pixels, origin: tuple[int, int]) -> Patch | None:
    """Keep what differs between two pictures of the same place; None where nothing does.

    Parameters
    ----------
    before, after : (h, w) arrays of int
        Labels.
    origin
        Where their first pixel lies in the label image, (y, x).
    """
    touched = before != after
    rows, columns = np.flatnonzero(touched.any(axis=1)), np.flatnonzero(touched.any(axis=0))
    if not len(rows):
        return None
    y0, y1, x0, x1 = int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1
    crop = (slice(y0, y1), slice(x0, x1))
    parts = [np.where(touched[crop], part[crop], UNTOUCHED) for part in (before, after)]
    top, left = origin
    return Patch((y0 + top, x0 + left, y1 + top, x1 + left), _pack(parts[0]), _pack(parts[1]))


def draw_patches(labels: WritableLabelArray, patches: Sequence[Patch]) -> None:
    """Draw patches into a label image, one after the other.

    Each square of `CHUNK_PX` is read and written once, however many patches lie in it.

    Raises
    ------
    ValueError
        If a patch is damaged, or the label image is not as it was before; nothing is drawn then.
    """
    height, width = labels.shape
    pieces: dict[tuple[int, int], list[int]] = {}
    for number, patch in enumerate(patches):
        y0, x0, y1, x1 = patch.box
        if y1 > height or x1 > width:
            raise ValueError("it lies outside of the label image")
        for y in range(y0 // CHUNK_PX, (y1 - 1) // CHUNK_PX + 1):
            for x in range(x0 // CHUNK_PX, (x1 - 1) // CHUNK_PX + 1):
                pieces.setdefault((y, x), []).append(number)
    last = {number: square for square in sorted(pieces) for number in pieces[square]}
    unpacked: dict[int, tuple[Pixels, Pixels]] = {}
    undo: list[tuple[tuple[slice, slice], Pixels, NDArray[np.bool_]]] = []
    try:
        for square in sorted(pieces):
            boxes = [_within(patches[number].box, square) for number in pieces[square]]
            around = union_of(boxes)
            assert around is not None
            top, left, bottom, right = around
            window = slice(top, bottom), slice(left, right)
            before = np.array(labels[window], dtype=np.int32)
            region = before.copy()
            for number, (y0, x0, y1, x1) in zip(pieces[square], boxes, strict=True):
                if number not in unpacked:
                    unpacked[number] = patches[number].pixels()
                y, x = patches[number].box[:2]
                part = slice(y0 - y, y1 - y), slice(x0 - x, x1 - x)
                old, new = (pixels[part] for pixels in unpacked[number])
                crop = region[y0 - top : y1 - top, x0 - left : x1 - left]
                touched = old != UNTOUCHED
                if (crop[touched] != old[touched]).any():
                    raise ValueError("the label image is not as it was before")
                crop[touched] = new[touched]
                if last[number] == square:
                    del unpacked[number]
            labels[window] = region
            changed = region != before
            undo.append((window, before[changed], changed))
    except BaseException:
        for window, pixels, changed in undo:
            region = np.array(labels[window], dtype=np.int32)
            region[changed] = pixels
            labels[window] = region
        raise


def _within(box: Box, square: tuple[int, int]) -> Box:
    """The part of a box that lies in a square of `CHUNK_PX`."""
    top, left = (number * CHUNK_PX for number in square)
    y0, x0, y1, x1 = box
    return max(y0, top), max(x0, left), min(y1, top + CHUNK_PX), min(x1, left + CHUNK_PX)


def union_of(boxes: list[Box]) -> Box | None:
    """The box around several; None around none."""
    if not boxes:
        return None
    y0, x0, y1, x1 = zip(*boxes, strict=True)
    return min(y0), min(x0), max(y1), max(x1)


def read_box(labels: LabelArray, box: Box) -> Pixels:
    """A copy of the pixels of a box."""
    y0, x0, y1, x1 = box
    return np.array(labels[y0:y1, x0:x1], dtype=np.int32)


def patch_to_json(patch: Patch) -> dict[str, Any]:
    """Give a patch in a form that JSON can hold."""
    return {
        "box": list(patch.box),
        "before": base64.b64encode(patch.before).decode("ascii"),
        "after": base64.b64encode(patch.after).decode("ascii"),
    }


def patch_from_json(value: Any) -> Patch:
    """Read what `patch_to_json` wrote.

    Raises
    ------
    ValueError
        If it is something else.
    """
    if not isinstance(value, dict):
        raise ValueError("a patch is a mapping")
    box = value.get("box")
    if not isinstance(box, list) or len(box) != 4 or not all(type(edge) is int for edge in box):
        raise ValueError("the box of a patch has four whole numbers")
    y0, x0, y1, x1 = box
    if not (0 <= y0 < y1 and 0 <= x0 < x1 and (y1 - y0) * (x1 - x0) <= MAX_PX):
        raise ValueError("the box of a patch is empty or too large")
    parts = []
    for name in ("before", "after"):
        text = value.get(name)
        if not isinstance(text, str):
            raise ValueError("the pixels of a patch are text")
        try:
            parts.append(base64.b64decode(text, validate=True))
        except binascii.Error as error:
            raise ValueError(f"the pixels of a patch are damaged ({error})") from error
    return Patch((y0, x0, y1, x1), parts[0], parts[1])


def _pack(pixels: Pixels) -> bytes:
    return zlib.compress(np.ascontiguousarray(pixels, "<i4").tobytes(), level=3)


def _unpack(packed: bytes, shape: tuple[int, int]) -> Pixels:
    n_bytes = 4 * shape[0] * shape[1]
    # one byte more than is due tells a packing that holds too much, without unpacking all of it
    unpacking = zlib.decompressobj()
    try:
        raw = unpacking.decompress(packed, n_bytes + 1)
    except zlib.error as error:
        raise ValueError(f"the pixels of a patch are damaged ({error})") from error
    if len(raw) != n_bytes or not unpacking.eof:
        raise ValueError("the pixels of a patch do not fill its box")
    pixels = np.frombuffer(raw, "<i4").astype(np.int32).reshape(shape)
    if pixels.min() < UNTOUCHED:
        raise ValueError("a patch holds numbers that are no labels")
    return pixels
