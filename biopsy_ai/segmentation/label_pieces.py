"""Labels that are not one figure without holes."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

LEAST_SHARE = 0.05
"""Least share of a label that lies apart from its largest piece, or of the holes in it, to be
worth telling. [default]"""

MAX_BOX_PX = 1 << 26
"""Labels that reach farther are not looked at: it would take too much memory."""


def tell_of_pieces(labels: Any, ids: NDArray[np.int64], boxes: NDArray[np.int64]) -> list[str]:
    """Tell of labels in several pieces and with holes, whose measures are not of one figure.

    Parameters
    ----------
    labels : (H, W) array of int
    ids : (n,) ndarray of int
    boxes : (n, 4) ndarray of int
        y0, x0, y1, x1, half-open, around each label.

    Returns
    -------
    list of str
        A sentence for each of the two, where there are such labels.
    """
    n_pieces = n_holes = 0
    for label, (y0, x0, y1, x1) in zip(ids.tolist(), boxes.tolist(), strict=True):
        if (y1 - y0) * (x1 - x0) > MAX_BOX_PX:
            continue
        mask = np.asarray(labels[y0:y1, x0:x1]) == label
        least = LEAST_SHARE * np.count_nonzero(mask)
        pieces = _parts(mask, 8)
        n_pieces += bool(pieces.sum() - pieces.max() >= least)
        # the part that begins in the corner of the frame is what lies outside
        n_holes += bool(_parts(np.pad(~mask, 1, constant_values=True), 4)[1:].sum() >= least)
    told = []
    if n_pieces:
        told.append(
            f"{n_pieces} of {len(ids)} labels lie in several pieces: their area is that of all, "
            "their diameters, shape and outline are those of the largest. Where the labels are "
            "classes instead of single fibers, number the fibers first."
        )
    if n_holes:
        told.append(
            f"{n_holes} of {len(ids)} labels have holes, which do not count in their area; "
            "fibers.geojson and RoiSet.zip show them filled."
        )
    return told


def _parts(mask: NDArray[np.bool_], connectivity: int) -> NDArray[np.int32]:
    """Pixels of each connected part, in the order in which rows meet them."""
    import cv2

    image = mask.view(np.uint8)
    stats = cv2.connectedComponentsWithStats(image, connectivity=connectivity)[2]
    return np.asarray(stats[1:, cv2.CC_STAT_AREA])
