"""What the tiles of a slide say about all of it, and about single places."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from biopsy_ai.slides.quality import BY_CLASS, TILE_COLUMNS, TILE_UM, quality_limits

ARTEFACT_AREA = "folded, crushed or covered"
"""Reason to leave out parts of a tile whose other fibers stay."""


def summarize_quality(tiles: pd.DataFrame) -> dict[str, Any]:
    """Say how much of the tissue is not to be trusted, and why.

    Parameters
    ----------
    tiles
        From `measure_quality`.

    Returns
    -------
    dict
        JSON-ready: ``n_tiles``; ``excluded_percent`` of the tissue and ``excluded`` by reason, in
        percent; ``too_much_excluded``, above 40 % [E]; medians over the tiles; ``limits`` with
        source and mark. Numbers are None where nothing was measured.
    """
    limits = quality_limits()
    area = tiles["tissue_share"] * tiles["height_um"] * tiles["width_um"]
    total = float(area.sum())
    by_reason = area[tiles["excluded"] != ""].groupby(tiles["excluded"]).sum()
    excluded = {str(reason): 100 * float(part) / total for reason, part in by_reason.items()}
    singly = (tiles["excluded"] == "") & (tiles["artefact_from"] == BY_CLASS)
    covered = float((area * tiles["artefact_share"])[singly].sum())
    if covered > 0:
        excluded[ARTEFACT_AREA] = 100 * covered / total
    percent = sum(excluded.values()) if total > 0 else None
    limit = 100 * float(limits["excluded_share_above"]["value"])
    medians = {
        name: (None if tiles[name].isna().all() else float(tiles[name].median()))
        for name in TILE_COLUMNS[5:-2]
    }
    return {
        "n_tiles": len(tiles),
        "tile_um": TILE_UM,
        "excluded_percent": percent,
        "excluded": excluded,
        "too_much_excluded": None if percent is None else percent > limit,
        "median": medians,
        "limits": limits,
    }


def exclusions_at(
    tiles: pd.DataFrame, y_um: NDArray[np.float64], x_um: NDArray[np.float64]
) -> NDArray[np.str_]:
    """Why the places of a slide are not to be trusted.

    Parameters
    ----------
    tiles
        From `measure_quality`.
    y_um, x_um
        (n,) places, such as centroids of fibers, µm from the top left corner.

    Returns
    -------
    (n,) array of str
        The reason that excludes the tile; empty where none does or where there is no tile.
    """
    reasons = np.full(len(y_um), "", dtype=object)
    bad = tiles[tiles["excluded"] != ""]
    boxes = bad[list(TILE_COLUMNS[:4])].to_numpy(dtype=float)
    for (y, x, height, width), reason in zip(boxes, bad["excluded"], strict=True):
        inside = (y_um >= y) & (y_um < y + height) & (x_um >= x) & (x_um < x + width)
        reasons[inside] = reason
    return reasons.astype(str)
