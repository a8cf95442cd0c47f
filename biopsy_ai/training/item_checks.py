"""What is wrong with a picture and its labels, in words."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from biopsy_ai.config import OUTLINE_MPP
from biopsy_ai.training.label_fit import label_fit, turned_fit

LEAST_FIBERS = 20
"""Fewer labelled fibers, in all pictures together, are not enough to learn from. [default]"""

JUDGED_FIBERS = 10
"""From so many fibers on it is looked whether labels lie where the picture shows borders."""

WIDTH_UM = (8.0, 150.0)
"""Fibers whose median width lies outside hint at a wrong pixel size, µm."""

SCATTERED = 0.1
"""Share of labels in separate pieces, or of outlines that overlap, above which labels are no
fibers one by one. [default]"""

_PIECE_SHARE = 0.1
"""A piece counts from this share of its label's area on."""


def label_problems(
    picture: NDArray[np.float32], fibers: NDArray[np.int32], known: NDArray[np.bool_]
) -> list[str]:
    """Say what looks wrong with labels on the working grid; empty if nothing does.

    Parameters
    ----------
    picture : (H, W, 3)
        Normalized.
    fibers : (H, W)
        Labels.
    known : (H, W)
        Where they count.
    """
    fibers = np.where(known, fibers, 0)
    n_px = np.bincount(fibers.ravel())[1:]
    areas = n_px[n_px > 0] * OUTLINE_MPP**2
    if areas.size == 0:
        return ["no fiber is labelled where labels are known."]
    found = []
    width = float(np.median(2 * np.sqrt(areas / np.pi)))
    if not WIDTH_UM[0] <= width <= WIDTH_UM[1]:
        found.append(
            f"the pixel size must be wrong: the labelled fibers are {width:.3g} µm wide (median), "
            f"muscle fibers {WIDTH_UM[0]:g} to {WIDTH_UM[1]:g} µm. Give the right one with --mpp."
        )
    n_scattered = _scattered(fibers)
    if n_scattered > max(SCATTERED * areas.size, 1):
        found.append(
            f"{n_scattered} of {areas.size} labels lie in separate pieces. Each fiber needs a "
            "number of its own."
        )
    if areas.size >= JUDGED_FIBERS:
        found += _misplaced(picture, fibers)
    return found


def overlap_problem(n_overlapping: int, n_fibers: int) -> str:
    """Say that outlines overlap; empty if few do."""
    if n_overlapping <= max(SCATTERED * n_fibers, 1):
        return ""
    return (
        f"{n_overlapping} of {n_fibers} outlines overlap others. Outlines of fibers must lie "
        "beside each other."
    )


def _scattered(fibers: NDArray[np.int32]) -> int:
    """Labels of which a second piece is no mere crumb."""
    from skimage.measure import label

    # Pieces of one number each, also where fibers touch.
    pieces = label(fibers, background=0, connectivity=2)
    inside = fibers > 0
    keys, counts = np.unique(
        fibers[inside].astype(np.int64) << 32 | pieces[inside], return_counts=True
    )
    owners = keys >> 32
    large = counts > _PIECE_SHARE * np.bincount(owners, counts)[owners]
    return int((np.bincount(owners[large]) > 1).sum())


def _misplaced(picture: NDArray[np.float32], fibers: NDArray[np.int32]) -> list[str]:
    fit = label_fit(picture, fibers)
    if fit.is_shifted:
        down, right = fit.shift_um
        way = " and ".join(
            f"{abs(distance):.0f} µm {word}"
            for distance, word in (
                (down, "down" if down > 0 else "up"),
                (right, "to the right" if right > 0 else "to the left"),
            )
            if abs(distance) >= 1
        )
        return [
            f"the labels look shifted: they fit the picture better {way}. Were they drawn on a "
            "cropped or registered copy?"
        ]
    if fit.is_unrelated:
        turned = turned_fit(picture, fibers)
        if turned:
            return [f"the labels fit the picture only when they are {turned}."]
        return [
            "the labels do not follow any borders in the picture. Do they belong to another one?"
        ]
    return []
