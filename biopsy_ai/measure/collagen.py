"""Collagen by its stain, compared with the connective tissue of the class map."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from biopsy_ai.labels import LabelArray, scan_windows
from biopsy_ai.measure.reference import DEFAULTS, Limits, stain_vector
from biopsy_ai.measure.tissue import COUNTED, ENDOMYSIUM, FIBER, PERIMYSIUM
from biopsy_ai.progress import Progress
from biopsy_ai.slides.stain_separation import (
    StainSeparation,
    fit_stain_separation,
    separate_stains,
)

COLLAGEN_DYES = {
    "trichrome": ("aniline_blue", "ponceau_fuchsin"),
    "sirius_red": ("sirius_red", "picric_acid"),
}
"""Stains that show collagen, with the dye of the collagen and the other one. ``trichrome`` is
Masson's; Gomori's stains fibers and collagen alike, which the comparison finds out."""

BIN = 0.01
_BINS = 300
STAINED = 0.1
"""Density from which a pixel is stained at all, by either dye; cracks are not. [default]"""


def fit_collagen_dyes(
    pixels: NDArray[np.floating | np.integer], stain: str, white: NDArray[np.floating]
) -> StainSeparation:
    """Estimate the colors of the two dyes of a collagen stain from pixels of the slide.

    Parameters
    ----------
    pixels : (n, 3) ndarray
        Red, green and blue intensities, spread over the tissue.
    stain : str
        One of `COLLAGEN_DYES`.
    white : (3,) ndarray
        Intensity of empty glass.

    Raises
    ------
    ValueError
        If the stain shows no collagen.
    """
    if stain not in COLLAGEN_DYES:
        raise ValueError(
            f"the stain {stain} shows no collagen; those that do are {', '.join(COLLAGEN_DYES)}"
        )
    names = COLLAGEN_DYES[stain]
    start = np.stack([stain_vector(name) for name in names])
    return fit_stain_separation(pixels, names, start, white)


def measure_collagen(
    image: LabelArray,
    tissue: LabelArray,
    mpp: tuple[float, float],
    separation: StainSeparation,
    limits: Limits = DEFAULTS,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Measure collagen by the amount of its dye, and compare it with the class map.

    Parameters
    ----------
    image : (H, W, 3) array
        Bright-field picture, read in windows.
    tissue : (H, W) array of int
        Class of every pixel on the same grid, index into
        `biopsy_ai.tissue_classes.TISSUE_CLASSES`.
    mpp : (y, x) tuple of float
        Pixel size in µm.
    separation : StainSeparation
        From `fit_collagen_dyes`: the dye of the collagen comes first.
    limits : Limits, optional
    progress : callable, optional
        Called as ``progress("collagen", done, total)``, in windows.

    Returns
    -------
    dict
        JSON-ready: ``assessable``, and ``why_not`` where it is not; ``collagen_um2`` and
        ``collagen_percent`` of the tissue; ``connective_percent`` of the class map and
        ``difference_points``; ``threshold`` of the dye's density; ``of_connective_percent`` and
        ``of_fibers_percent``, the shares of both classes above it; ``separation``, the share of
        pairs of a stained connective and a stained fiber pixel that the dye puts in order; and the
        colors used.

    Raises
    ------
    ValueError
        If the images differ in shape.

    Notes
    -----
    The dye is taken apart by stain separation (`biopsy_ai.slides.stain_separation`), and its
    density thresholded at the point that parts all pixels of tissue best (Otsu 1979, IEEE Trans
    SMC 9:62), read from a histogram with steps of 0.01. Where the dye is not denser in connective
    tissue than in fibers for at least 0.8 of the pairs of pixels [default] it shows no collagen
    here, and no area is given. Cracks and loose ground substance belong to the connective tissue
    of the class map and hold no dye, so collagen by stain is the smaller of the two.
    """
    if tuple(image.shape[:2]) != tuple(tissue.shape[:2]):
        raise ValueError(
            f"images of shapes {tuple(image.shape)} and {tuple(tissue.shape)}: picture and classes "
            "must lie on the same grid"
        )
    histogram = np.zeros((5, _BINS), dtype=np.int64)
    windows = list(scan_windows(tissue.shape))
    for done, window in enumerate(windows):
        if progress:
            progress("collagen", done, len(windows))
        classes = np.asarray(tissue[window])
        counted = np.isin(classes, COUNTED)
        if not counted.any():
            continue
        amounts = separate_stains(np.asarray(image[window])[counted], separation)
        bins = np.minimum((amounts[:, 0] / BIN).astype(np.int64), _BINS - 1)
        stained = amounts.sum(axis=1) >= STAINED
        kind = classes[counted]
        fiber = kind == FIBER
        connective = (kind == ENDOMYSIUM) | (kind == PERIMYSIUM)
        chosen = (fiber, connective, kind >= 0, fiber & stained, connective & stained)
        for k, pixels in enumerate(chosen):
            histogram[k] += np.bincount(bins[pixels], minlength=_BINS)
    if progress:
        progress("collagen", len(windows), len(windows))
    in_fibers, in_connective, total, stained_fibers, stained_connective = histogram
    result: dict[str, Any] = {
        "colors": {
            name: [float(x) for x in vector]
            for name, vector in zip(separation.names, separation.vectors, strict=True)
        },
        "notes": list(separation.notes),
        "limit": limits.reference("collagen_separation").as_dict(),
    }
    if not stained_fibers.any() or not stained_connective.any():
        return result | {
            "assessable": False,
            "why_not": "there are no stained fibers or no stained connective tissue",
        }
    ordered = _ordered_share(stained_connective, stained_fibers)
    result["separation"] = ordered
    if ordered < limits["collagen_separation"]:
        return result | {
            "assessable": False,
            "why_not": "the dye does not tell connective tissue from fibers in this section",
        }
    cut = _otsu(total)
    above = [100.0 * float(h[cut:].sum() / h.sum()) for h in (in_fibers, in_connective, total)]
    by_class = 100.0 * float(in_connective.sum() / total.sum())
    return result | {
        "assessable": True,
        "threshold": cut * BIN,
        "collagen_um2": float(total[cut:].sum()) * mpp[0] * mpp[1],
        "collagen_percent": above[2],
        "connective_percent": by_class,
        "difference_points": above[2] - by_class,
        "of_connective_percent": above[1],
        "of_fibers_percent": above[0],
    }


def _ordered_share(high: NDArray[np.int64], low: NDArray[np.int64]) -> float:
    """Share of pairs of which the one of `high` has the larger value, ties counted half."""
    below = np.cumsum(low) - low
    pairs = (high * (below + 0.5 * low)).sum()
    return float(pairs / (float(high.sum()) * float(low.sum())))


def _otsu(histogram: NDArray[np.int64]) -> int:
    """First bin of the upper class where the variance between the classes is largest."""
    weight = np.cumsum(histogram).astype(float)
    moment = np.cumsum(histogram * np.arange(len(histogram))).astype(float)
    rest = weight[-1] - weight
    with np.errstate(divide="ignore", invalid="ignore"):
        between = (moment[-1] * weight / weight[-1] - moment) ** 2 / (weight * rest)
    between = np.nan_to_num(between, nan=0.0, posinf=0.0)
    # where a gap lies between the classes, its middle
    best = np.flatnonzero(between >= between.max() * (1 - 1e-12))
    return int(best.mean()) + 1
