"""What a section is made of: areas of fibers, connective tissue and fat."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from biopsy_ai.labels import LabelArray, scan_windows
from biopsy_ai.progress import Progress
from biopsy_ai.tissue_classes import (
    ARTEFACT,
    BACKGROUND,
    ENDOMYSIUM,
    FAT,
    FIBER,
    PERIMYSIUM,
    TISSUE_CLASSES,
    VESSEL,
)

COUNTED = (FIBER, ENDOMYSIUM, PERIMYSIUM, FAT, VESSEL)
"""Classes that are tissue. Glass, tears and holes are background; with folds they are nothing."""


def measure_tissue(
    tissue: LabelArray,
    fibers: LabelArray,
    mpp: tuple[float, float],
    *,
    table: pd.DataFrame | None = None,
    fascicles: LabelArray | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Measure the areas of the tissues of a section.

    Parameters
    ----------
    tissue : (H, W) array of int
        Class of every pixel, index into `biopsy_ai.tissue_classes.TISSUE_CLASSES`.
    fibers : (H, W) array of int
        Label image of the fibers on the same grid (`biopsy_ai.labels.view_on_grid` brings a map
        there). Both are read in windows, never held whole.
    mpp : (y, x) tuple of float
        Pixel size in µm.
    table : DataFrame, optional
        Columns ``label`` (ascending) and ``perimeter_um`` of the fibers, for the mean endomysial
        width.
    fascicles : (H, W) array of int, optional
        Label image of the fascicles on the same grid, to tell fat within from fat between them;
        left out where their borders are dissolved.
    progress : callable, optional
        Called as ``progress("composition", done, total)``, in windows.

    Returns
    -------
    dict
        JSON-ready; areas in µm², shares in percent of the tissue, None where they do not exist.

    Raises
    ------
    ValueError
        If the images differ in shape or the class map holds an unknown class.

    Notes
    -----
    Tissue is all that is neither glass (background, tears, holes) nor artefact, so the shares of
    fibers, endomysium, perimysium, fat, and vessels and nerves sum to 100 %. Connective tissue is
    measured twice: *by class*, endomysium and perimysium of the class map; and *by subtraction*,
    all tissue that is neither inside a fiber's outline nor fat, vessel or nerve (criteria §7:
    ``100 (A_T - A_fiber - A_fat) / A_T``). Their difference is what the class map and the outlines
    disagree on; cracks between shrunken fibers count as endomysium in both. The mean endomysial
    width is ``2 A_endomysium / sum of perimeters`` (criteria §7), each gap lying between two
    fibers; a fiber counts by the share of it that lies in tissue, and the parts of outlines that
    lie on the image border do not count.
    """
    for other in (tissue, fascicles):
        if other is not None and tuple(other.shape[:2]) != tuple(fibers.shape[:2]):
            raise ValueError(
                f"images of shapes {tuple(other.shape)} and {tuple(fibers.shape)}: classes, fibers "
                "and fascicles must lie on the same grid"
            )
    counts = np.zeros(len(TISSUE_CLASSES), dtype=np.int64)
    outlined = 0
    free_fat_or_vessel = 0
    fat_within = 0
    labels = np.empty(0) if table is None else table["label"].to_numpy(np.int64)
    seen = np.zeros((2, len(labels)), dtype=np.int64)
    windows = list(scan_windows(fibers.shape))
    for done, window in enumerate(windows):
        if progress:
            progress("composition", done, len(windows))
        classes = np.asarray(tissue[window])
        if int(classes.max(initial=0)) >= len(TISSUE_CLASSES):
            raise ValueError(f"class {classes.max()} is unknown: {', '.join(TISSUE_CLASSES)}")
        counts += [np.count_nonzero(classes == k) for k in range(len(TISSUE_CLASSES))]
        fiber = np.asarray(fibers[window])
        inner = fiber > 0
        uncounted = inner & ((classes == BACKGROUND) | (classes == ARTEFACT))
        outlined += int(np.count_nonzero(inner) - np.count_nonzero(uncounted))
        free = ~inner & ((classes == FAT) | (classes == VESSEL))
        free_fat_or_vessel += int(np.count_nonzero(free))
        if fascicles is not None:
            inside = np.asarray(fascicles[window]) > 0
            fat_within += int(np.count_nonzero(inside & (classes == FAT)))
        if len(labels):
            for row, where in enumerate((inner, uncounted)):
                present, number = _count_labels(fiber[where])
                at = np.searchsorted(labels, present)
                at[at == len(labels)] = 0
                known = labels[at] == present
                seen[row, at[known]] += number[known]
    if progress:
        progress("composition", len(windows), len(windows))
    pixel = mpp[0] * mpp[1]
    area = counts * pixel
    total = float(area[list(COUNTED)].sum())
    rest = total - (outlined + free_fat_or_vessel) * pixel
    connective = float(area[ENDOMYSIUM] + area[PERIMYSIUM])
    muscle = float(area[FIBER] + area[ENDOMYSIUM])
    composition: dict[str, Any] = {"area_um2": total}
    for k in COUNTED:
        composition[f"{TISSUE_CLASSES[k]}_um2"] = float(area[k])
        composition[f"{TISSUE_CLASSES[k]}_percent"] = _percent(float(area[k]), total)
    known_fat = fascicles is not None
    within = fat_within * pixel
    composition |= {
        "fat_within_fascicles_percent": _percent(within, total) if known_fat else None,
        "fat_between_fascicles_percent": _percent(float(area[FAT]) - within, total)
        if known_fat
        else None,
        "connective_percent": _percent(connective, total),
        "connective_by_subtraction_percent": _percent(rest, total),
        "connective_difference_points": _percent(rest - connective, total),
        "endomysium_of_muscle_percent": _percent(float(area[ENDOMYSIUM]), muscle),
        "mean_endomysial_width_um": None
        if table is None
        else _endomysial_width(float(area[ENDOMYSIUM]), table, seen, fibers, tissue, mpp),
        "not_counted": {
            "background_um2": float(area[BACKGROUND]),
            "artefact_um2": float(area[ARTEFACT]),
        },
    }
    return composition


def _percent(part: float, whole: float) -> float | None:
    return 100.0 * part / whole if whole > 0 else None


def _count_labels(
    pixels: NDArray[np.integer],
) -> tuple[NDArray[np.integer], NDArray[np.integer]]:
    """Labels among pixels, ascending, and how often each comes."""
    if not len(pixels):
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    low = int(pixels.min())
    if int(pixels.max()) - low > 10 * len(pixels):
        return np.unique(pixels, return_counts=True)
    number = np.bincount(pixels - low)
    present = np.flatnonzero(number)
    return present + low, number[present]


def _endomysial_width(
    endomysium_um2: float,
    table: pd.DataFrame,
    seen: NDArray[np.int64],
    fibers: LabelArray,
    tissue: LabelArray,
    mpp: tuple[float, float],
) -> float | None:
    """Twice the area of the endomysium over the length of the outlines beside it, µm."""
    share = (seen[0] - seen[1]) / np.maximum(seen[0], 1)
    around = float(np.nansum(share * table["perimeter_um"].to_numpy(float)))
    around -= _on_image_border(fibers, tissue, mpp)
    return 2.0 * endomysium_um2 / around if around > 0 else None


def _on_image_border(fibers: LabelArray, tissue: LabelArray, mpp: tuple[float, float]) -> float:
    """Length of the outlines of fibers that lies on the border of the image, µm."""
    height, width = (int(side) for side in fibers.shape[:2])
    length = 0.0
    for rows, columns in scan_windows((height, width)):
        for side, along in (
            ((slice(0, 1), columns), mpp[1]),
            ((slice(height - 1, height), columns), mpp[1]),
            ((rows, slice(0, 1)), mpp[0]),
            ((rows, slice(width - 1, width)), mpp[0]),
        ):
            vertical = along == mpp[0] and side[0] is rows
            # each stretch of the border once: with the first windows of its row or column
            if (columns.start if vertical else rows.start) > 0:
                continue
            cut = (np.asarray(fibers[side]) > 0) & np.isin(np.asarray(tissue[side]), COUNTED)
            length += along * float(np.count_nonzero(cut))
    return length
