"""Fascicles: what the perimysium parts, and how deep in its fascicle each fiber lies."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from biopsy_ai.labels import LabelArray, find_boxes, read_sampled
from biopsy_ai.measure.reference import DEFAULTS, Limits
from biopsy_ai.patterns.fascicle_borders import (
    Edges,
    Labels,
    Mask,
    distances,
    find_inside,
    find_walls,
    measure_borders,
    why_dissolved,
)

GRID_MPP = 2.0
"""Scale at which fascicles are sought, µm; the thinnest perimysium still shows. [default]"""
GRID_PX = 4_000_000
"""The grid is made coarser where it would hold more pixels. [default]"""
GAPS_FROM = 1 << 22
"""Label from which on fibers are numbered anew: tables by label would be larger than the grid.
[default]"""
LAYERS = ("touches perimysium", "next", "inner")
"""Names of the values of ``layer``, from 1."""


@dataclass(frozen=True, eq=False)
class Fascicles:
    """The fascicles of one section.

    Attributes
    ----------
    labels
        (h, w) int32 on a grid of its own that begins at the top left corner of the section, 0
        between the fascicles; all 0 where the whole section is taken as one.
    mpp
        Pixel size (y, x) of that grid, µm.
    table
        One row per fascicle: ``fascicle``, ``area_um2``, ``n_fibers``, ``closed_share`` (share of
        its border that perimysium forms, what the image or the glass cuts off left out) and
        ``complete`` (not cut off, and closed to at least 0.9).
    fibers
        One row per fiber: ``label``, ``fascicle`` (0 where it lies in none) and ``layer`` (from 1,
        see `LAYERS`; missing where unknown).
    whole_section
        Whether borders could not be found, so that all fibers count as one fascicle.
    reason
        Why, or an empty string.
    measures
        What the decision rests on: ``perimysium_share`` (of it and muscle), ``island_share`` (of
        the perimysium, what lies inside one fascicle), ``open_share`` (of the borders),
        ``width_ratio`` (endomysium over perimysium).
    """

    labels: Labels
    mpp: tuple[float, float]
    table: pd.DataFrame
    fibers: pd.DataFrame
    whole_section: bool
    reason: str
    measures: dict[str, float | None] = field(default_factory=dict)


def find_fascicles(
    tissue: LabelArray,
    fibers: LabelArray,
    mpp: tuple[float, float],
    *,
    ids: np.ndarray | None = None,
    limits: Limits = DEFAULTS,
) -> Fascicles:
    """Find the fascicles of a section, and the fascicle and the layer of each fiber.

    Parameters
    ----------
    tissue : (H, W) array of int
        Class of every pixel, index into `biopsy_ai.tissue_classes.TISSUE_CLASSES`.
    fibers : (H, W) array of int
        Label image of the fibers on the same grid; both are read in windows.
    mpp : (y, x) tuple of float
        Pixel size in µm.
    ids : (n,) array of int, optional
        Labels of the fibers, ascending; found in the image if not given.
    limits : Limits, optional

    Returns
    -------
    Fascicles

    Raises
    ------
    ValueError
        If the two images differ in shape.

    Notes
    -----
    On a grid of about 2 µm a fascicle is a connected part of fibers and endomysium behind walls of
    perimysium or glass, where necks narrower than 40 µm [default] are cut (watershed of the
    distance to the walls). Walls that end at fat, at a vessel or at an artefact go on under it to a
    wall near by; the rest of these belongs to a fascicle where it lies nearer to its fibers than to
    a wall. Each fiber belongs to the fascicle that most of it lies in. A
    fiber is in layer 1 where its territory, all places nearer to it than to other fibers, meets
    the border of its fascicle over a tenth of its own circumference (the contact rule of criteria
    §4.1, engineering proposal); in layer 2 where it does not and its territory meets one of layer
    1; else in layer 3. Glass, artefacts and the image border are no border of a fascicle.

    Where fibrosis has dissolved the borders the fascicles are given up for the whole section
    (criteria §7: fibrosis obliterates fascicle margins, Bell & Conen 1968): where there is next to
    no perimysium, where more than half of it lies in islands that part nothing, where more than a
    fifth of the borders are open, or where the endomysium is wider than the perimysium, so that
    nothing but its place tells the one from the other [engineering proposals].
    """
    if tuple(tissue.shape[:2]) != tuple(fibers.shape[:2]):
        raise ValueError(
            f"images of shapes {tuple(tissue.shape)} and {tuple(fibers.shape)}: classes and fibers "
            "must lie on the same grid"
        )
    height, width = (int(side) for side in fibers.shape[:2])
    scale = max(GRID_MPP / min(mpp), float(np.sqrt(height * width / GRID_PX)), 1.0)
    grid_mpp = mpp[0] * scale, mpp[1] * scale
    side = float(np.sqrt(grid_mpp[0] * grid_mpp[1]))
    classes = read_sampled(tissue, scale)
    labels = read_sampled(fibers, scale).astype(np.int32)
    if ids is None:
        ids = find_boxes(fibers)[0]
    labels, numbers = _without_gaps(labels, ids)

    wall, glass = find_walls(classes, side)
    inside = find_inside(classes, wall)
    regions, home = _with_fibers(_regions(inside, side, limits), labels, numbers)
    edges = Edges.between(regions, glass)
    measures = measure_borders(classes, labels, regions, edges, glass, side)
    reason = why_dissolved(measures, limits)
    if reason:
        return _whole_section(classes.shape, grid_mpp, ids, inside, side, reason, measures)
    layer = _layers(labels, regions, glass, numbers, home, limits)
    table = _table(regions, edges, home, side, limits)
    frame = pd.DataFrame({"label": ids, "fascicle": home, "layer": layer})
    return Fascicles(regions, grid_mpp, table, frame, False, "", measures)


def _without_gaps(labels: Labels, ids: np.ndarray) -> tuple[Labels, np.ndarray]:
    """Number fibers anew where their numbers are large: tables go up to the largest of them."""
    if max(labels.max(initial=0), ids.max(initial=0)) < GAPS_FROM:
        return labels, ids
    known = np.union1d(labels[labels > 0], ids)
    anew = np.where(labels > 0, np.searchsorted(known, labels) + 1, 0)
    return anew.astype(np.int32), np.searchsorted(known, ids) + 1


def _regions(inside: Mask, side: float, limits: Limits) -> Labels:
    """Connected parts of the inside, cut at narrow necks."""
    import cv2
    from scipy.ndimage import label as connected_parts
    from skimage.segmentation import watershed

    if inside.all():
        return np.ones(inside.shape, np.int32)
    # the border of the image is no wall: beyond it a fascicle goes on
    depth = distances(inside)
    seeds, n = connected_parts(depth * side > 0.5 * limits["fascicle_neck_um"])
    # what is narrow throughout has no seed, and is a fascicle of its own
    parts, n_parts = connected_parts(inside)
    seeded = np.zeros(n_parts + 1, bool)
    seeded[np.unique(parts[seeds > 0])] = True
    seeded[0] = True
    alone = ~seeded[parts]
    seeds[alone] = parts[alone] + n
    # what lies inside of seeds has its label already: flooding it takes most of the time
    core = cv2.erode((seeds > 0).view(np.uint8), np.ones((3, 3), np.uint8)) > 0
    cut = watershed(-depth, seeds, mask=inside & ~core).astype(np.int32)
    cut[core] = seeds[core]
    return np.asarray(cut)


def _with_fibers(
    regions: Labels, labels: Labels, ids: np.ndarray
) -> tuple[Labels, NDArray[np.int64]]:
    """Keep the regions that hold most of a fiber, from 1 without gaps; and that of each fiber."""
    home = _homes(labels, regions, ids)
    held = np.unique(home[home > 0])
    new = np.zeros(int(regions.max(initial=0)) + 1, np.int32)
    new[held] = np.arange(1, len(held) + 1)
    return new[regions], new[home].astype(np.int64)


def _whole_section(
    shape: tuple[int, ...],
    mpp: tuple[float, float],
    ids: np.ndarray,
    inside: Mask,
    side: float,
    reason: str,
    measures: dict[str, float | None],
) -> Fascicles:
    table = pd.DataFrame(
        {
            "fascicle": [1],
            "area_um2": [float(np.count_nonzero(inside)) * side**2],
            "n_fibers": [len(ids)],
            "closed_share": [np.nan],
            "complete": [False],
        }
    )
    frame = pd.DataFrame({"label": ids, "fascicle": np.ones(len(ids), np.int64)})
    frame["layer"] = pd.array([pd.NA] * len(ids), dtype="Int64")
    return Fascicles(np.zeros(shape, np.int32), mpp, table, frame, True, reason, measures)


def _homes(labels: Labels, regions: Labels, ids: np.ndarray) -> NDArray[np.int64]:
    """Fascicle under most pixels of each fiber, 0 where it lies in none."""
    at = (labels > 0) & (regions > 0)
    pairs = pd.DataFrame({"label": labels[at], "region": regions[at]})
    number = pairs.value_counts(sort=False).reset_index(name="n")
    number = number.sort_values(["label", "n", "region"], ascending=[True, False, True])
    best = number.drop_duplicates("label").set_index("label")["region"]
    return best.reindex(ids, fill_value=0).to_numpy(np.int64)


def _layers(
    labels: Labels,
    regions: Labels,
    glass: Mask,
    ids: np.ndarray,
    home: NDArray[np.int64],
    limits: Limits,
) -> pd.arrays.IntegerArray:
    """Layer of each fiber in its fascicle."""
    from scipy.ndimage import distance_transform_edt

    layer = pd.array(np.full(len(ids), 3), dtype="Int64")
    layer[home == 0] = pd.NA
    if not (labels > 0).any():
        return layer
    row = np.full(int(max(labels.max(), ids.max(initial=0))) + 1, -1)
    row[ids] = np.arange(len(ids))
    y, x = distance_transform_edt(labels <= 0, return_distances=False, return_indices=True)
    owner = row[labels[y, x]]
    # a territory ends where the fascicle of its fiber ends
    owner[(regions == 0) | (home[owner] != regions)] = -1

    border = np.zeros(len(ids), np.int64)
    pairs: set[int] = set()
    for axis in (0, 1):
        for one, other in ((slice(None, -1), slice(1, None)), (slice(1, None), slice(None, -1))):
            here = tuple(one if k == axis else slice(None) for k in (0, 1))
            there = tuple(other if k == axis else slice(None) for k in (0, 1))
            own, beside = owner[here], regions[there]
            outside = (own >= 0) & (beside != regions[here]) & ~glass[there]
            border += np.bincount(own[outside], minlength=len(ids))
            meets = (own >= 0) & (owner[there] >= 0) & (own != owner[there])
            meets &= beside == regions[here]
            pairs.update(np.unique(own[meets] * len(ids) + owner[there][meets]).tolist())
    rows = row[labels[labels > 0]]
    area = np.bincount(rows[rows >= 0], minlength=len(ids))
    touching = border >= np.maximum(limits["contact_share"] * 2 * np.sqrt(np.pi * area), 1)
    layer[touching & (home > 0)] = 1
    if pairs:
        fiber, neighbor = np.divmod(np.array(sorted(pairs)), len(ids))
        beside = np.zeros(len(ids), bool)
        beside[fiber[touching[neighbor]]] = True
        layer[beside & ~touching & (home > 0)] = 2
    return layer


def _table(
    regions: Labels, edges: Edges, home: NDArray[np.int64], side: float, limits: Limits
) -> pd.DataFrame:
    n = len(edges.closed) - 1
    closed, opened, cut = (kind[1:] for kind in (edges.closed, edges.open, edges.cut))
    share = closed / np.maximum(closed + opened, 1)
    return pd.DataFrame(
        {
            "fascicle": np.arange(1, n + 1),
            "area_um2": np.bincount(regions.ravel(), minlength=n + 1)[1:] * side**2,
            "n_fibers": np.bincount(home, minlength=n + 1)[1:],
            "closed_share": np.where(closed + opened > 0, share, np.nan),
            "complete": (cut == 0) & (share >= limits["fascicle_closed_share"]),
        }
    )
