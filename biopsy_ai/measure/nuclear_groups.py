"""Nuclei that lie together: clusters between the fibers, and clumps of touching nuclei."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from biopsy_ai.labels import LabelArray, find_boxes, read_windows
from biopsy_ai.measure.reference import DEFAULTS, Limits
from biopsy_ai.tissue_classes import PERIMYSIUM, VESSEL


def cluster_numbers(nuclei: pd.DataFrame, limits: Limits = DEFAULTS) -> NDArray[np.int64]:
    """Number the clusters of interstitial nuclei.

    Parameters
    ----------
    nuclei : DataFrame
        From `biopsy_ai.measure.nuclei.measure_nuclei`.
    limits : Limits, optional

    Returns
    -------
    (n,) ndarray of int64
        From 1 in order of their first nucleus; 0 for a nucleus that belongs to none.

    Notes
    -----
    A cluster is 10 or more interstitial nuclei (Wedderburn et al. 2007, Arthritis Rheum 57:1192,
    count so many CD3 or CD68 positive cells) of which each lies within 15 µm of another, center to
    center [default]. Nuclei in the walls of vessels and in nerves are left out. On H&E a cluster
    is no more than many nuclei: it is not proof of inflammation.
    """
    numbers = np.zeros(len(nuclei), dtype=np.int64)
    free = _interstitial(nuclei)
    if not free.any():
        return numbers
    from scipy.spatial import cKDTree

    centers = nuclei.loc[free, ["centroid_y_um", "centroid_x_um"]].to_numpy(float)
    pairs = cKDTree(centers).query_pairs(limits["cluster_distance_um"], output_type="ndarray")
    part = _connected(len(centers), pairs)
    large = np.bincount(part) >= limits["cluster_min_nuclei"]
    numbers[free] = _renumbered(np.where(large[part], part, -1))
    return numbers


def clump_numbers(
    nuclei: pd.DataFrame,
    nuclei_labels: LabelArray,
    mpp: tuple[float, float],
    fibers: pd.DataFrame | None = None,
    clusters: NDArray[np.int64] | None = None,
    limits: Limits = DEFAULTS,
    touching: NDArray[np.int64] | None = None,
) -> NDArray[np.int64]:
    """Number the nuclear clumps: knots of touching nuclei with next to no cytoplasm.

    Parameters
    ----------
    nuclei : DataFrame
        From `biopsy_ai.measure.nuclei.measure_nuclei`.
    nuclei_labels : (H, W) array of int
        Their label image; read in pieces.
    mpp : (y, x) tuple of float
        Its pixel size in µm.
    fibers : DataFrame, optional
        Columns ``label`` and ``area_um2``, to tell how much cytoplasm is left around nuclei that
        lie in a fiber. Without it the nuclei alone decide.
    clusters : (n,) array of int, optional
        From `cluster_numbers`: infiltrates, whose nuclei touch as well, are no clumps.
    limits : Limits, optional
    touching : (m, 2) array of int, optional
        From `touching_pairs`, where it is known; the label image is not needed then.

    Returns
    -------
    (n,) ndarray of int64
        From 1 in order of their first nucleus; 0 for a nucleus that belongs to none.

    Notes
    -----
    Four or more touching nuclei, less than 20 µm across, in what is left of a fiber: the area of
    every fiber that they lie in, without its nuclei, is below half of that of its nuclei
    (criteria §5, engineering proposal). Knots in the perimysium, in vessels and in clusters do not
    count: no fiber shrank there. They stand for late denervation, but also occur in
    myotonic dystrophy type 2 and in chronic myopathy.
    """
    if not len(nuclei):
        return np.zeros(0, dtype=np.int64)
    pairs = touching_pairs(nuclei_labels, mpp, limits) if touching is None else touching
    part = _connected(len(nuclei), np.searchsorted(nuclei["label"].to_numpy(), pairs))
    elsewhere = nuclei["tissue_class"].isin((PERIMYSIUM, VESSEL)).to_numpy(bool)
    if clusters is not None:
        elsewhere = elsewhere | (clusters > 0)
    radius = 0.5 * nuclei["axis_major_length_um"].to_numpy(float)
    frame = pd.DataFrame(
        {
            "part": part,
            "top": nuclei["centroid_y_um"] - radius,
            "bottom": nuclei["centroid_y_um"] + radius,
            "left": nuclei["centroid_x_um"] - radius,
            "right": nuclei["centroid_x_um"] + radius,
            "cytoplasm": _cytoplasm_shares(nuclei, fibers),
            "elsewhere": elsewhere,
        }
    )
    grouped = frame.groupby("part")
    high = (grouped["bottom"].max() - grouped["top"].min()).to_numpy(float)
    wide = (grouped["right"].max() - grouped["left"].min()).to_numpy(float)
    is_clump = (
        (grouped.size().to_numpy() >= limits["clump_min_nuclei"])
        & (np.maximum(high, wide) < limits["clump_diameter_um"])
        & (grouped["cytoplasm"].max().to_numpy() < limits["clump_cytoplasm_share"])
        & ~grouped["elsewhere"].any().to_numpy()
    )
    return _renumbered(np.where(is_clump[part], part, -1))


def touching_pairs(
    nuclei: LabelArray, mpp: tuple[float, float], limits: Limits = DEFAULTS
) -> NDArray[np.int64]:
    """Find nuclei that touch, or nearly.

    Parameters
    ----------
    nuclei : (H, W) array of int
        Label image; read in pieces.
    mpp : (y, x) tuple of float
        Its pixel size in µm.
    limits : Limits, optional

    Returns
    -------
    (m, 2) ndarray of int64
        Labels of each pair, the smaller first, in order.
    """
    import cv2

    ids, boxes = find_boxes(nuclei)
    # across a gap of so many pixels to the first pixel beyond it
    reach = [int(limits["touching_gap_um"] / side + 1e-6) + 1 for side in mpp]
    last = (*nuclei.shape[:2], *nuclei.shape[:2])
    grown = np.clip(boxes + np.array([-reach[0], -reach[1], *reach]), 0, last)
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach[1] + 1, 2 * reach[0] + 1))
    found: set[tuple[int, int]] = set()
    for piece, (top, left), members in read_windows(nuclei, grown):
        for row in members:
            y0, x0, y1, x1 = (int(edge) for edge in grown[row])
            crop = piece[y0 - top : y1 - top, x0 - left : x1 - left]
            mask = crop == ids[row]
            if not ((crop > 0) & ~mask).any():
                continue
            near = crop[cv2.dilate(mask.view(np.uint8), kernel) > 0]
            own = int(ids[row])
            for other in np.unique(near[(near > 0) & (near != own)]).tolist():
                found.add((min(own, other), max(own, other)))
    return np.array(sorted(found), dtype=np.int64).reshape(-1, 2)


def _interstitial(nuclei: pd.DataFrame) -> NDArray[np.bool_]:
    """Nuclei between the fibers, those of vessels and nerves left out."""
    free = nuclei["class"].to_numpy() == "interstitial"
    vascular = (nuclei["tissue_class"] == VESSEL).fillna(False).to_numpy(bool)
    return np.asarray(free & ~vascular)


def _cytoplasm_shares(nuclei: pd.DataFrame, fibers: pd.DataFrame | None) -> NDArray[np.float64]:
    """Area of a nucleus's fiber beside its nuclei, over that of these; 0 outside of fibers."""
    shares = np.zeros(len(nuclei))
    if fibers is None:
        return shares
    fiber = nuclei["fiber"].to_numpy()
    area = fibers.set_index("label")["area_um2"].reindex(fiber).to_numpy(float)
    held = nuclei.groupby("fiber")["area_um2"].sum().reindex(fiber).to_numpy(float)
    inside = (fiber > 0) & np.isfinite(area)
    shares[inside] = np.maximum(area[inside] - held[inside], 0.0) / held[inside]
    return shares


def _connected(n: int, pairs: NDArray[np.integer]) -> NDArray[np.int64]:
    """Number of the connected part of each of n things, from 0."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    links = coo_matrix((np.ones(len(pairs), bool), (pairs[:, 0], pairs[:, 1])), shape=(n, n))
    return np.asarray(connected_components(links, directed=False)[1], dtype=np.int64)


def _renumbered(part: NDArray[np.int64]) -> NDArray[np.int64]:
    """Numbers from 1 in order of appearance; -1 becomes 0."""
    numbers = np.zeros(len(part), dtype=np.int64)
    kept = part >= 0
    numbers[kept] = pd.factorize(part[kept])[0] + 1
    return numbers
