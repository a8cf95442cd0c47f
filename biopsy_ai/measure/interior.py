"""What is seen inside each fiber and along its outline: stain, clear holes, clefts, artefacts."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from biopsy_ai.labels import LabelArray, coarse_shape, find_boxes, read_windows
from biopsy_ai.measure.cores import ZONES
from biopsy_ai.measure.depth import fill_holes
from biopsy_ai.measure.interior_stain import N_VALUES, measure_stain, sample_steps
from biopsy_ai.measure.reference import DEFAULTS, Limits
from biopsy_ai.measure.tissue import ARTEFACT, BACKGROUND
from biopsy_ai.progress import Progress
from biopsy_ai.slides.stain_separation import StainSeparation

BESIDE_UM = 4.0
"""What lies within this distance of a fiber lies beside it: where ink or a tear cuts a fiber, its
outline ends up to 3 µm short of them. [default]"""
COLUMNS = (
    "label",
    "density",
    "hematoxylin",
    "eosin",
    "unevenness",
    "clear_share",
    "holes_per_1000_um2",
    "dust_share",
    "cleft_share",
    "artefact_share",
    "artefact_beside",
    "glass_share",
)
"""Columns of the table of fiber interiors, in order."""


def measure_interior(
    fibers: LabelArray,
    mpp: tuple[float, float],
    *,
    ids: np.ndarray | None = None,
    boxes: np.ndarray | None = None,
    image: LabelArray | None = None,
    image_step: int = 1,
    white: NDArray[np.float32] | None = None,
    separation: StainSeparation | None = None,
    nuclei: LabelArray | None = None,
    tissue: LabelArray | None = None,
    zones: bool = False,
    limits: Limits = DEFAULTS,
    progress: Progress | None = None,
) -> pd.DataFrame:
    """Measure what is seen inside each fiber and along its outline.

    Parameters
    ----------
    fibers : (H, W) array of int
        Label image; it and the other images are read in pieces, on the same grid.
    mpp : (y, x) tuple of float
        Pixel size in µm.
    ids, boxes : (n,) and (n, 4) arrays of int, optional
        Labels to measure and the box of each; found in the image if not given.
    image : (H, W, 3) array, optional
        Bright-field picture.
    image_step : int, optional
        Pixels of the grid per pixel of the picture, along each axis: it shows the first of them.
    white : (3,) array, optional
        Intensity of empty glass; needed with a picture.
    separation : StainSeparation, optional
        Dyes of the picture, where hematoxylin and eosin can be told apart.
    nuclei : (H, W) array of int, optional
        Label image of the nuclei, which are left out of the stain.
    tissue : (H, W) array of int, optional
        Class of every pixel, index into `biopsy_ai.tissue_classes.TISSUE_CLASSES`.
    zones : bool, optional
        Whether to measure how pale the middle of each fiber is, for stains of mitochondria.
    limits : Limits, optional
    progress : callable, optional
        Called as ``progress("interior", done, total)``.

    Returns
    -------
    DataFrame
        One row per fiber in the order of ``ids``, columns `COLUMNS`, NaN where unknown:
        ``density``, ``hematoxylin`` and ``eosin`` are medians of optical density (base 10, the
        first summed over red, green and blue; the others of dyes of that name) inside of the rim
        and outside of nuclei; ``unevenness`` is the interquartile range of the density over its
        median; ``clear_share`` the share of the inside in clear holes, 3 µm² and more that are
        less than 0.55 times as dense as the upper quartile of the fiber and stand out of its
        texture, ``holes_per_1000_um2`` how many there are on 1000 µm² of it; ``dust_share`` the
        share of the fiber under spots that are dense and gray, as no dye is, and no nuclei;
        ``cleft_share`` the length of the longest cleft that opens at the border, over the
        equivalent diameter;
        ``artefact_share`` the share of the fiber in artefacts; ``artefact_beside`` and
        ``glass_share`` the shares of what lies beside it that are artefact and glass. With
        ``zones``, also the columns `biopsy_ai.measure.cores.ZONES`.

    Raises
    ------
    ValueError
        If the images differ in shape, or a picture comes without its white or is too coarse.
    """
    for other, step in ((image, image_step), (nuclei, 1), (tissue, 1)):
        if other is not None and coarse_shape(fibers.shape, step) != tuple(other.shape[:2]):
            raise ValueError(
                f"images of shapes {tuple(fibers.shape)} and {tuple(other.shape)}: fibers, nuclei, "
                "classes and picture must lie on the same grid"
            )
    if image is not None and white is None:
        raise ValueError("densities are relative to empty glass: give white with a picture")
    if image is not None and any(step % image_step for step in sample_steps(mpp)):
        raise ValueError(f"a picture {image_step} times as coarse as the grid shows too little")
    if ids is None or boxes is None:
        ids, boxes = find_boxes(fibers)
    told_apart = separation is not None and {"hematoxylin", "eosin"} <= set(separation.names)
    dyes = separation if told_apart else None
    last = (*fibers.shape[:2], *fibers.shape[:2])
    reach = [max(int(np.ceil(BESIDE_UM / side)), 1) for side in mpp]
    grown = np.clip(boxes + np.array([-reach[0], -reach[1], *reach]), 0, last)
    columns = [*COLUMNS[1:], *(ZONES if zones else ())]
    of_stain = [*range(N_VALUES), *range(len(COLUMNS) - 1, len(columns))]
    beside = slice(N_VALUES + 1, len(COLUMNS) - 1)
    measured = np.full((len(ids), len(columns)), np.nan)
    done = 0
    if progress:
        progress("interior", 0, len(ids))
    for piece, (top, left), members in read_windows(fibers, grown):
        window = (slice(top, top + piece.shape[0]), slice(left, left + piece.shape[1]))
        over, classes = (
            None if array is None else np.asarray(array[window]) for array in (nuclei, tissue)
        )
        odd = None if classes is None else (classes == ARTEFACT) | (classes == BACKGROUND)
        filled = piece
        for row in members:
            y0, x0, y1, x1 = (int(edge) for edge in grown[row])
            crop = (slice(y0 - top, y1 - top), slice(x0 - left, x1 - left))
            own, free = piece[crop] == ids[row], piece[crop] == 0
            mask = fill_holes(own, free)
            if mask is not own:
                filled = piece.copy() if filled is piece else filled
                filled[crop][mask] = ids[row]
            measured[row, N_VALUES] = _cleft_share(mask, free, mpp, limits)
            if classes is not None and odd is not None:
                # most fibers have neither in their box
                plain = not odd[crop].any() and not mask.all()
                measured[row, beside] = 0.0 if plain else _surroundings(mask, classes[crop], reach)
            done += 1
            if progress and done % 256 == 0:
                progress("interior", done, len(ids))
        if image is not None and white is not None:
            colors = sampled_pixels(image, image_step, window, mpp)
            measured[np.ix_(members, of_stain)] = measure_stain(
                colors, filled, (top, left), ids[members], over, white, dyes, mpp, limits, zones
            )
    table = pd.DataFrame(measured, columns=columns)
    table.insert(0, "label", ids)
    if progress:
        progress("interior", len(ids), len(ids))
    return table


def sampled_pixels(
    image: LabelArray, image_step: int, window: tuple[slice, slice], mpp: tuple[float, float]
) -> NDArray[np.floating | np.integer]:
    """The pixels of a picture that are looked at in a window of the grid."""
    steps = sample_steps(mpp)
    first = [-(-part.start // step) * step for part, step in zip(window, steps, strict=True)]
    y, x = (
        slice(start // image_step, -(-max(part.stop, start) // image_step))
        for start, part in zip(first, window, strict=True)
    )
    return np.asarray(image[y, x])[:: steps[0] // image_step, :: steps[1] // image_step]


def _cleft_share(
    mask: NDArray[np.bool_], free: NDArray[np.bool_], mpp: tuple[float, float], limits: Limits
) -> float:
    """Length of the longest narrow cleft that opens at the border, in equivalent diameters.

    A cleft is what a closing by half its widest width fills, where no other fiber lies.
    """
    import cv2

    radius = [max(int(round(0.5 * limits["cleft_width_um"] / side)), 1) for side in mpp]
    pad = max(radius) + 1
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius[1] + 1, 2 * radius[0] + 1))
    padded = cv2.copyMakeBorder(
        mask.view(np.uint8), pad, pad, pad, pad, cv2.BORDER_CONSTANT, value=0
    )
    closed = cv2.morphologyEx(padded, cv2.MORPH_CLOSE, kernel)[pad:-pad, pad:-pad]
    cleft = ((closed > 0) & ~mask & free).view(np.uint8)
    if not cleft.any():
        return 0.0
    diameter = 2.0 * np.sqrt(np.count_nonzero(mask) * mpp[0] * mpp[1] / np.pi)
    contours, _ = cv2.findContours(cleft, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    longest = 0.0
    for contour in contours:
        points = contour[:, 0].astype(float) * mpp[::-1]
        longest = max(longest, float(np.hypot(*np.ptp(points, axis=0))))
    return longest / float(diameter)


def _surroundings(
    mask: NDArray[np.bool_], classes: NDArray[np.integer], reach: list[int]
) -> tuple[float, float, float]:
    """Share of the fiber in artefacts, and of what lies beside it that is artefact and glass."""
    import cv2

    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach[1] + 1, 2 * reach[0] + 1))
    beside = (cv2.dilate(mask.view(np.uint8), kernel) > 0) & ~mask
    artefact = float(np.mean(classes[mask] == ARTEFACT))
    if not beside.any():
        return artefact, np.nan, np.nan
    around = classes[beside]
    return artefact, float(np.mean(around == ARTEFACT)), float(np.mean(around == BACKGROUND))
