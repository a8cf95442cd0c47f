"""One-to-one matching of predicted to true fibers by how far they overlap."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt
from scipy.optimize import linear_sum_assignment
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

LabelImage: TypeAlias = npt.NDArray[np.integer[Any]]
Ignore: TypeAlias = npt.NDArray[np.bool_] | Collection[int]
Border: TypeAlias = Literal["keep", "ignore"]

_STRIP_PX = 1 << 24
_LABEL_LIMIT = 1 << 31


@dataclass(frozen=True)
class Overlaps:
    """What two label images share, and which of their fibers are not judged.

    Attributes
    ----------
    predicted_ids, truth_ids
        Labels present, ascending, shapes (p,) and (t,).
    predicted_area_px, truth_area_px
        Their areas in pixels.
    rows, columns
        Indices into `predicted_ids` and `truth_ids` of each overlapping pair, shape (k,).
    intersection_px, ious
        Shared pixels and intersection over union of each pair, shape (k,).
    ignored_predicted
        Fibers that count as wrong in no case: they touch an ignored border, or more than half of
        their area lies where nothing is judged. They may still match a true fiber.
    ignored_truth
        True fibers that are neither to be found nor missed.
    foreground_px
        Pixels, among those judged, that both, the prediction, and the truth call fiber.
    """

    predicted_ids: npt.NDArray[np.int64]
    truth_ids: npt.NDArray[np.int64]
    predicted_area_px: npt.NDArray[np.int64]
    truth_area_px: npt.NDArray[np.int64]
    rows: npt.NDArray[np.int64]
    columns: npt.NDArray[np.int64]
    intersection_px: npt.NDArray[np.int64]
    ious: npt.NDArray[np.float64]
    ignored_predicted: npt.NDArray[np.bool_]
    ignored_truth: npt.NDArray[np.bool_]
    foreground_px: tuple[int, int, int]


@dataclass(frozen=True)
class Matching:
    """Fibers of a prediction paired with those of the truth.

    Attributes
    ----------
    iou_threshold
        Least intersection over union of a pair.
    pairs
        Labels (predicted, true) of each pair, shape (m, 2), ascending in the true label.
    ious
        Intersection over union of each pair, shape (m,).
    unmatched_predicted
        Labels predicted without a true fiber: extra fibers.
    unmatched_truth
        Labels of true fibers that were not found: missed fibers.
    ignored_predicted, ignored_truth
        Labels that count neither as right nor as wrong.
    """

    iou_threshold: float
    pairs: npt.NDArray[np.int64]
    ious: npt.NDArray[np.float64]
    unmatched_predicted: npt.NDArray[np.int64]
    unmatched_truth: npt.NDArray[np.int64]
    ignored_predicted: npt.NDArray[np.int64]
    ignored_truth: npt.NDArray[np.int64]


def match_fibers(
    predicted: LabelImage,
    truth: LabelImage,
    *,
    iou_threshold: float = 0.5,
    ignore: Ignore | None = None,
    border: Border = "keep",
) -> Matching:
    """Pair predicted with true fibers, each at most once.

    Among all pairings of fibers that overlap by at least `iou_threshold`, the one with most pairs
    is taken, and of several such the one with the highest sum of IoU.

    Parameters
    ----------
    predicted, truth
        Label images of the same shape (H, W); 0 is background.
    iou_threshold
        Least intersection over union of a pair, above 0 and up to 1.
    ignore
        Where the truth is not known: a boolean region of shape (H, W), or the labels of true
        fibers that shall not count. True fibers mainly in there are not counted, and predicted
        fibers mainly in there (more than half of their area) are not counted as extra.
    border
        ``"ignore"`` leaves out fibers that touch the image border, on both sides.

    Returns
    -------
    Matching

    Raises
    ------
    ValueError
        If the images differ in shape or are no label images.
    """
    return match_overlaps(
        count_overlaps(predicted, truth, ignore=ignore, border=border), iou_threshold
    )


def count_overlaps(
    predicted: LabelImage,
    truth: LabelImage,
    *,
    ignore: Ignore | None = None,
    border: Border = "keep",
) -> Overlaps:
    """Count the pixels that each predicted shares with each true fiber.

    Parameters are those of `match_fibers`. The images are read in strips, so they may be arrays
    on disk.
    """
    if predicted.ndim != 2 or predicted.shape != truth.shape:
        raise ValueError(
            f"label images of the same two-dimensional shape are needed, got {predicted.shape} "
            f"and {truth.shape}"
        )
    if border not in ("keep", "ignore"):
        raise ValueError(f"border must be 'keep' or 'ignore', got {border!r}")
    region, ignored_labels = _split_ignore(ignore, truth.shape)
    keys, pixels = _count_keys(predicted, truth, region)
    labels_p, labels_t, outside = keys >> 32, (keys >> 1) & (_LABEL_LIMIT - 1), (keys & 1) == 1

    predicted_ids, area_p = _sum_by_label(labels_p, pixels)
    truth_ids, area_t = _sum_by_label(labels_t, pixels)
    edge_p = edge_t = np.empty(0, dtype=np.int64)
    if border == "ignore":
        edge_p, edge_t = border_labels(predicted), border_labels(truth)

    rows, columns = np.searchsorted(predicted_ids, labels_p), np.searchsorted(truth_ids, labels_t)
    in_p, in_t = labels_p > 0, labels_t > 0
    hidden_t = np.bincount(columns[in_t], pixels[in_t] * outside[in_t], len(truth_ids))
    ignored_truth = (
        np.isin(truth_ids, ignored_labels) | np.isin(truth_ids, edge_t) | (hidden_t > 0.5 * area_t)
    )
    outside[in_t] |= ignored_truth[columns[in_t]]
    hidden_p = np.bincount(rows[in_p], pixels[in_p] * outside[in_p], len(predicted_ids))
    ignored_predicted = np.isin(predicted_ids, edge_p) | (hidden_p > 0.5 * area_p)

    judged = ~outside
    judged[in_p & ~in_t] &= ~ignored_predicted[rows[in_p & ~in_t]]
    foreground = tuple(int(pixels[judged & part].sum()) for part in (in_p & in_t, in_p, in_t))

    # A pair can stand in the table twice, inside and outside the ignored region.
    both = in_p & in_t
    shared = coo_array(
        (pixels[both], (rows[both], columns[both])), shape=(len(predicted_ids), len(truth_ids))
    )
    shared.sum_duplicates()
    pair_rows, pair_columns = (index.astype(np.int64) for index in shared.coords)
    intersection = shared.data.astype(np.int64)
    union = area_p[pair_rows] + area_t[pair_columns] - intersection
    return Overlaps(
        predicted_ids=predicted_ids,
        truth_ids=truth_ids,
        predicted_area_px=area_p,
        truth_area_px=area_t,
        rows=pair_rows,
        columns=pair_columns,
        intersection_px=intersection,
        ious=intersection / union,
        ignored_predicted=ignored_predicted,
        ignored_truth=ignored_truth,
        foreground_px=(foreground[0], foreground[1], foreground[2]),
    )


def match_overlaps(overlaps: Overlaps, iou_threshold: float = 0.5) -> Matching:
    """Pair fibers by their counted overlaps; see `match_fibers`."""
    if not 0 < iou_threshold <= 1:
        raise ValueError(f"iou_threshold must be above 0 and at most 1, got {iou_threshold}")
    possible = (overlaps.ious >= iou_threshold) & ~overlaps.ignored_truth[overlaps.columns]
    rows, columns = overlaps.rows[possible], overlaps.columns[possible]
    ious = overlaps.ious[possible]
    kept = _assign(rows, columns, ious)
    kept = kept[np.argsort(columns[kept], kind="stable")]
    rows, columns = rows[kept], columns[kept]

    free_p = np.ones(len(overlaps.predicted_ids), dtype=bool)
    free_p[rows] = False
    free_t = ~overlaps.ignored_truth
    free_t[columns] = False
    return Matching(
        iou_threshold=iou_threshold,
        pairs=np.stack([overlaps.predicted_ids[rows], overlaps.truth_ids[columns]], axis=1),
        ious=ious[kept],
        unmatched_predicted=overlaps.predicted_ids[free_p & ~overlaps.ignored_predicted],
        unmatched_truth=overlaps.truth_ids[free_t],
        ignored_predicted=overlaps.predicted_ids[free_p & overlaps.ignored_predicted],
        ignored_truth=overlaps.truth_ids[overlaps.ignored_truth],
    )


def border_labels(labels: LabelImage) -> npt.NDArray[np.int64]:
    """Labels of the fibers that touch the border of a label image, ascending."""
    if 0 in labels.shape:
        return np.empty(0, dtype=np.int64)
    height, width = labels.shape
    edges = (
        labels[:1, :],
        labels[height - 1 :, :],
        labels[:, :1],
        labels[:, width - 1 :],
    )
    found = np.unique(np.concatenate([np.asarray(edge).ravel() for edge in edges]))
    return found[found > 0].astype(np.int64)


def _split_ignore(
    ignore: Ignore | None, shape: tuple[int, ...]
) -> tuple[npt.NDArray[np.bool_] | None, npt.NDArray[np.int64]]:
    nothing = np.empty(0, dtype=np.int64)
    if ignore is None:
        return None, nothing
    if isinstance(ignore, np.ndarray) and ignore.ndim == 2:
        if ignore.dtype != np.bool_:
            raise ValueError("an ignored region must be boolean, or a collection of labels")
        if ignore.shape != shape:
            raise ValueError(f"the ignored region has shape {ignore.shape}, the truth {shape}")
        return ignore, nothing
    return None, np.asarray(sorted(int(label) for label in ignore), dtype=np.int64)


def _count_keys(
    predicted: LabelImage, truth: LabelImage, region: npt.NDArray[np.bool_] | None
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Distinct (predicted label, true label, ignored) of all pixels, packed, and their counts."""
    height, width = truth.shape
    step = max(1, _STRIP_PX // max(1, width))
    keys: list[npt.NDArray[np.int64]] = [np.empty(0, dtype=np.int64)]
    counts: list[npt.NDArray[np.int64]] = [np.empty(0, dtype=np.int64)]
    for top in range(0, height, step):
        rows = slice(top, min(top + step, height))
        key = (_label_strip(predicted, rows) << 32) | (_label_strip(truth, rows) << 1)
        if region is not None:
            key |= np.asarray(region[rows])
        if key.size == 0:
            continue
        # Labels come in runs: counting runs instead of pixels is an order of magnitude faster.
        flat = key.ravel()
        starts = np.concatenate([[0], np.flatnonzero(flat[1:] != flat[:-1]) + 1])
        lengths = np.diff(np.concatenate([starts, [flat.size]]))
        found, number = _sum_by_key(flat[starts], lengths)
        keys.append(found)
        counts.append(number)
    return _sum_by_key(np.concatenate(keys), np.concatenate(counts))


def _label_strip(labels: LabelImage, rows: slice) -> npt.NDArray[np.int64]:
    strip = np.asarray(labels[rows])
    if not np.issubdtype(strip.dtype, np.integer):
        raise ValueError(f"label images hold integers, got {strip.dtype}")
    if strip.size and (strip.min() < 0 or strip.max() >= _LABEL_LIMIT):
        raise ValueError("labels must lie between 0 and 2 147 483 647")
    return strip.astype(np.int64)


def _sum_by_key(
    keys: npt.NDArray[np.int64], amounts: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    found, inverse = np.unique(keys, return_inverse=True)
    return found, np.bincount(inverse, amounts, len(found)).astype(np.int64)


def _sum_by_label(
    labels: npt.NDArray[np.int64], pixels: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    fiber = labels > 0
    return _sum_by_key(labels[fiber], pixels[fiber])


def _assign(
    rows: npt.NDArray[np.int64],
    columns: npt.NDArray[np.int64],
    ious: npt.NDArray[np.float64],
) -> npt.NDArray[np.int64]:
    """Choose pairs, given as indices into the arguments, so that no fiber is used twice."""
    if len(rows) == 0:
        return np.empty(0, dtype=np.int64)
    alone = (np.bincount(rows)[rows] == 1) & (np.bincount(columns)[columns] == 1)
    chosen = [np.flatnonzero(alone)]
    contested = np.flatnonzero(~alone)
    if len(contested):
        row_ids, row = np.unique(rows[contested], return_inverse=True)
        column_ids, column = np.unique(columns[contested], return_inverse=True)
        size = len(row_ids) + len(column_ids)
        graph = coo_array(
            (np.ones(len(contested)), (row, column + len(row_ids))), shape=(size, size)
        )
        group = connected_components(graph, directed=False)[1][row]
        for number in np.unique(group):
            chosen.append(_assign_group(contested[group == number], rows, columns, ious))
    return np.concatenate(chosen)


def _assign_group(
    members: npt.NDArray[np.int64],
    rows: npt.NDArray[np.int64],
    columns: npt.NDArray[np.int64],
    ious: npt.NDArray[np.float64],
) -> npt.NDArray[np.int64]:
    row_ids, row = np.unique(rows[members], return_inverse=True)
    column_ids, column = np.unique(columns[members], return_inverse=True)
    # One more pair outweighs any gain in IoU.
    gain = np.zeros((len(row_ids), len(column_ids)))
    gain[row, column] = 1 + ious[members] / (2 * min(gain.shape))
    position = np.full(gain.shape, -1, dtype=np.int64)
    position[row, column] = members
    found: npt.NDArray[np.int64] = position[linear_sum_assignment(gain, maximize=True)]
    return np.compress(found >= 0, found)
