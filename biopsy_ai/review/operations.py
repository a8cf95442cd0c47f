"""Corrections of outlines: each takes a piece of the label image and gives it corrected.

A piece is cut out so that the fibers concerned lie whole in it, with some pixels around; lines and
outlines are given in its pixels, (row, column) from its top left corner, with the center of its
first pixel at 0.5. The piece given is left as it is.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from biopsy_ai.errors import ReviewError
from biopsy_ai.review.patch import Pixels

MERGE_GAP_UM = 10.0
"""Fibers farther apart than this, µm, are not merged. [default]"""

LINE_BEYOND_UM = 2.0
"""A splitting line that ends so near to the border, µm, is drawn on across it. [default]"""

MIN_FIBER_UM2 = 10.0
"""Less than this, µm², is no fiber and no part of one. [default]"""

MAX_SIDE_UM = 2000.0
"""An outline that is wider than this, µm, is a slip of the pen. [default]"""

_EIGHT = np.ones((3, 3), dtype=bool)


@dataclass(frozen=True, eq=False)
class Corrected:
    """A corrected piece of the label image.

    Attributes
    ----------
    pixels
        The piece.
    outlined
        Labels whose outline changed, new ones included.
    removed
        Labels that are gone.
    parents
        The fiber that each new one was a part of, 0 where there was none.
    """

    pixels: Pixels
    outlined: tuple[int, ...] = ()
    removed: tuple[int, ...] = ()
    parents: dict[int, int] = field(default_factory=dict)


def delete(piece: Pixels, labels: list[int]) -> Corrected:
    """Make background of fibers."""
    pixels = np.where(np.isin(piece, labels), 0, piece).astype(np.int32)
    return Corrected(pixels, removed=tuple(labels))


def merge(
    piece: Pixels, labels: list[int], mpp: tuple[float, float], max_gap_um: float = MERGE_GAP_UM
) -> Corrected:
    """Make one fiber of several, which gets the label of the largest.

    The gaps between them are filled as far as no other fiber lies there.

    Raises
    ------
    ReviewError
        If one of them is too far from the others, or another fiber lies between.
    """
    masks = {label: piece == label for label in labels}
    areas = {label: int(mask.sum()) for label, mask in masks.items()}
    order = sorted(labels, key=lambda label: (-areas[label], label))
    joined, rest = masks[order[0]].copy(), order[1:]
    # a fiber keeps one pixel from its neighbors, as those do that the network draws
    others = (piece > 0) & ~np.isin(piece, labels)
    free = (piece == 0) & ~_grown(others)
    while rest:
        gaps = {label: _gap_um(joined, masks[label], mpp) for label in rest}
        nearest = min(rest, key=lambda label: (gaps[label], label))
        if gaps[nearest] > max_gap_um:
            raise ReviewError(
                f"fiber {nearest} lies {gaps[nearest]:.0f} µm from the others; fibers up to "
                f"{max_gap_um:.0f} µm apart can be merged. Leave it out, or draw the fiber anew."
            )
        filled = _filling(joined, masks[nearest], gaps[nearest], mpp) & free
        joined |= masks[nearest] | filled
        if _n_main_parts(joined, (order[0], nearest), masks) > 1:
            raise ReviewError(
                f"another fiber lies between fiber {nearest} and the others. Merge that one with "
                "them, or delete it first."
            )
        rest.remove(nearest)
    pixels = np.where(joined, order[0], piece).astype(np.int32)
    return Corrected(pixels, outlined=(order[0],), removed=tuple(sorted(order[1:])))


def split(
    piece: Pixels,
    label: int,
    line: NDArray[np.float64],
    mpp: tuple[float, float],
    next_label: int,
) -> Corrected:
    """Part a fiber along a line, which becomes background.

    The largest part keeps the label; the others get new ones, by size.

    Parameters
    ----------
    piece
        With the whole fiber.
    label
        The fiber.
    line : (n, 2) array of float
        Its vertices.
    mpp
        Pixel size (y, x), µm.
    next_label
        First new label.

    Raises
    ------
    ReviewError
        If the line does not cross the fiber.
    """
    from scipy import ndimage

    mask = piece == label
    cut = _line(line, piece.shape, mpp)
    whole, _ = ndimage.label(mask, _EIGHT)
    crossed = np.isin(whole, np.unique(whole[mask & cut])) & mask
    left, n = ndimage.label(crossed & ~cut, _EIGHT)
    areas = np.bincount(left.ravel(), minlength=n + 1)[1:] * mpp[0] * mpp[1]
    order = np.argsort(-areas, kind="stable")
    kept = [int(part) + 1 for part in order if areas[part] >= MIN_FIBER_UM2]
    if len(kept) < 2:
        raise ReviewError(
            f"the line does not part fiber {label}. Draw it from one side of the fiber to the "
            "other, beginning and ending outside."
            if n < 2
            else f"the line cuts off less than {MIN_FIBER_UM2:.0f} µm² of fiber {label}. Draw it "
            "where the two fibers meet."
        )
    pixels = np.where(crossed, 0, piece).astype(np.int32)
    new = {part: next_label + number for number, part in enumerate(kept[1:])}
    for part, name in {kept[0]: label, **new}.items():
        pixels[left == part] = name
    return Corrected(
        pixels, outlined=(label, *new.values()), parents=dict.fromkeys(new.values(), label)
    )


def redraw(
    piece: Pixels, label: int, outline: NDArray[np.float64], mpp: tuple[float, float]
) -> Corrected:
    """Replace the outline of a fiber; pixels of other fibers are not taken.

    Raises
    ------
    ReviewError
        If the new outline has no pixel in common with the old one, or holds next to nothing.
    """
    old = piece == label
    mask = _inside(np.where(old, 0, piece), outline, mpp)
    if not (mask & old).any():
        raise ReviewError(
            f"the new outline lies beside fiber {label}. Draw it around that fiber, or draw a new "
            "fiber instead."
        )
    pixels = np.where(old, 0, piece)
    pixels[mask] = label
    return Corrected(pixels.astype(np.int32), outlined=(label,))


def draw(
    piece: Pixels, outline: NDArray[np.float64], mpp: tuple[float, float], next_label: int
) -> Corrected:
    """Add a fiber; pixels of other fibers are not taken.

    Raises
    ------
    ReviewError
        If the outline holds next to nothing but other fibers.
    """
    pixels = piece.copy()
    pixels[_inside(piece, outline, mpp)] = next_label
    return Corrected(pixels, outlined=(next_label,), parents={next_label: 0})


def _inside(
    piece: Pixels, outline: NDArray[np.float64], mpp: tuple[float, float]
) -> NDArray[np.bool_]:
    """The largest part inside of an outline that keeps one pixel from all fibers of a piece."""
    from scipy import ndimage

    from biopsy_ai.formats.contours import fill_rings

    # a stroke that crosses itself leaves holes by the rule of odd crossings
    drawn = ndimage.binary_fill_holes(fill_rings([outline], (piece.shape[0], piece.shape[1])))
    parts, n = ndimage.label(drawn & ~_grown(piece > 0), _EIGHT)
    areas = np.bincount(parts.ravel(), minlength=n + 1)[1:]
    if not n or areas.max() * mpp[0] * mpp[1] < MIN_FIBER_UM2:
        raise ReviewError(
            f"the outline holds less than {MIN_FIBER_UM2:.0f} µm² that belong to no other fiber. "
            "Draw it around a whole fiber, or change the fiber that is there."
        )
    return np.asarray(parts == 1 + int(areas.argmax()))


def _line(
    line: NDArray[np.float64], shape: tuple[int, ...], mpp: tuple[float, float]
) -> NDArray[np.bool_]:
    """Pixels under a line, each sharing a side with the next; its ends drawn on a little."""
    import cv2

    points = line.astype(float).copy()
    for end, inner in ((0, 1), (-1, -2)):
        step = (points[end] - points[inner]) * mpp
        length = float(np.hypot(*step))
        if length > 0:
            points[end] += step / length * LINE_BEYOND_UM / np.array(mpp)
    # what OpenCV can count to
    places = np.floor(np.clip(points, -1e8, 1e8)).astype(np.int32)
    drawn = np.zeros(shape, np.uint8)
    cv2.polylines(drawn, [places[:, None, ::-1]], False, 1, 1, cv2.LINE_4)
    return drawn.astype(bool)


def _border_um(mask: NDArray[np.bool_], mpp: tuple[float, float]) -> NDArray[np.float64]:
    """Centers of the border pixels of a mask, µm."""
    from scipy import ndimage

    inner = ndimage.binary_erosion(mask, border_value=1)
    return np.argwhere(mask & ~inner) * np.asarray(mpp)


def _gap_um(one: NDArray[np.bool_], other: NDArray[np.bool_], mpp: tuple[float, float]) -> float:
    """Width of what lies between two masks where they are nearest, µm."""
    from scipy.spatial import cKDTree

    borders = _border_um(one, mpp), _border_um(other, mpp)
    nearest = cKDTree(borders[0]).query(borders[1])[1]
    # from side to side of the pixels, not from center to center
    apart = np.maximum(np.abs(borders[0][nearest] - borders[1]) - mpp, 0.0)
    return float(np.hypot(*apart.T).min())


def _filling(
    one: NDArray[np.bool_], other: NDArray[np.bool_], gap_um: float, mpp: tuple[float, float]
) -> NDArray[np.bool_]:
    """What lies between two masks: what a closing fills near to both of them.

    A disc that is to bridge the gap between two round fibers is wider than the gap, the more the
    smaller they are.
    """
    import cv2

    smaller = min(int(one.sum()), int(other.sum())) * mpp[0] * mpp[1]
    radius_um = 0.5 * gap_um * (1.0 + 0.25 * gap_um / np.sqrt(smaller / np.pi))
    reach = [int(np.ceil(radius_um / side)) + 2 for side in mpp]
    pad = 2 * max(reach) + 1

    def padded(mask: NDArray[np.bool_]) -> NDArray[np.uint8]:
        return np.pad(mask, pad).view(np.uint8)

    closed = cv2.morphologyEx(padded(one | other), cv2.MORPH_CLOSE, _disc(reach))
    # a place in the gap may be as far from one of them as the gap is wide
    wide = _disc([2 * side for side in reach])
    near = cv2.dilate(padded(one), wide) & cv2.dilate(padded(other), wide)
    filled = (closed & near)[pad:-pad, pad:-pad] > 0
    return np.asarray(filled & ~one & ~other)


def _disc(reach: list[int]) -> NDArray[np.uint8]:
    """A disc that does not come to a point, with which it would enter gaps of one pixel."""
    y, x = np.ogrid[-reach[0] : reach[0] + 1, -reach[1] : reach[1] + 1]
    return (((y / (reach[0] + 0.5)) ** 2 + (x / (reach[1] + 0.5)) ** 2) <= 1).astype(np.uint8)


def _n_main_parts(
    joined: NDArray[np.bool_], labels: tuple[int, int], masks: dict[int, NDArray[np.bool_]]
) -> int:
    """In how many parts of a mask the largest parts of some fibers lie."""
    from scipy import ndimage

    parts, _ = ndimage.label(joined, _EIGHT)
    main = {int(np.bincount(parts[masks[label]]).argmax()) for label in labels}
    return len(main)


def _grown(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """A mask with the pixels that share a side with it."""
    import cv2

    cross = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))
    return cv2.dilate(mask.view(np.uint8), cross) > 0
