"""The nucleus table: one row per nucleus, with the fiber that it lies in and how deep."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from biopsy_ai.config import MPP_COARSE
from biopsy_ai.labels import LabelArray, find_boxes, read_windows
from biopsy_ai.measure.depth import border_depth, fill_holes
from biopsy_ai.measure.nucleus_shape import measure_shapes
from biopsy_ai.measure.outline import trace_outline
from biopsy_ai.measure.perimeter import crofton_perimeter
from biopsy_ai.measure.reference import DEFAULTS, Limits
from biopsy_ai.progress import Progress
from biopsy_ai.slides.stain_separation import StainSeparation, separate_stains
from biopsy_ai.tissue_classes import TISSUE_CLASSES

CLASSES = ("subsarcolemmal", "internal", "central", "interstitial")
"""Where a nucleus may lie."""

NUCLEAR_STAINS = ("he", "trichrome")
"""Stains that show nuclei; in immunofluorescence a channel named ``nuclei`` does."""

COLUMNS = (
    "label",
    "centroid_y_um",
    "centroid_x_um",
    "area_um2",
    "axis_major_length_um",
    "axis_minor_length_um",
    "circularity",
    "hematoxylin",
    "tissue_class",
    "fiber",
    "depth_um",
    "relative_depth",
    "class",
)
"""Columns of the nucleus table, in order."""

_BAND_PX = 512


def why_no_nuclei(stain: str, channels: dict[str, int], mpp: tuple[float, float]) -> str:
    """Say why nuclei cannot be assessed, or give an empty string.

    Parameters
    ----------
    stain : str
        As given, one of `biopsy_ai.config.STAINS`, or as recognised; ``unknown`` where neither.
    channels : dict
        Channel number by name.
    mpp : (y, x) tuple of float
        Pixel size of the image in µm.
    """
    if max(mpp) > MPP_COARSE:
        return f"the image is coarser than {MPP_COARSE} µm per pixel"
    if stain == "if" and "nuclei" not in channels:
        return "no channel is named as the one that shows nuclei (--channels nuclei=N)"
    if stain in ("auto", "unknown"):
        return "the stain is not known, and not all show nuclei (--stain names it)"
    if stain not in ("if", *NUCLEAR_STAINS):
        return f"the stain {stain} shows no nuclei"
    return ""


def measure_nuclei(
    nuclei: LabelArray,
    fibers: LabelArray,
    mpp: tuple[float, float],
    *,
    fiber_ids: np.ndarray | None = None,
    fiber_boxes: np.ndarray | None = None,
    image: LabelArray | None = None,
    separation: StainSeparation | None = None,
    tissue: LabelArray | None = None,
    limits: Limits = DEFAULTS,
    progress: Progress | None = None,
) -> pd.DataFrame:
    """Measure every nucleus and find the fiber that it lies in.

    Parameters
    ----------
    nuclei, fibers : (H, W) arrays of int
        Label images on the same grid, 0 background. Read in pieces, never held whole.
    mpp : (y, x) tuple of float
        Their pixel size in µm.
    fiber_ids, fiber_boxes : (n,) and (n, 4) arrays of int, optional
        Labels of the fibers and the box of each; found in the image if not given.
    image : (H, W, 3) array, optional
        Picture on the same grid, sliced like the label images.
    separation : StainSeparation, optional
        Dyes of the picture, with one named ``hematoxylin``. Without it, or without a picture, the
        amount of hematoxylin is NaN.
    tissue : (H, W) array of int, optional
        Class of every pixel, index into `biopsy_ai.tissue_classes.TISSUE_CLASSES`.
    limits : Limits, optional
    progress : callable, optional
        Called as ``progress("nuclei", done, total)``.

    Returns
    -------
    DataFrame
        One row per nucleus, ascending by label, columns `COLUMNS`. ``hematoxylin`` is the mean
        optical density (base 10), ``tissue_class`` the class under most of its pixels (missing
        without a class map), ``fiber`` the label of the fiber under most of its pixels or 0,
        ``depth_um`` the distance of its centroid from that fiber's border, ``relative_depth`` the
        same over the fiber's equivalent radius, at most 1; both NaN outside of fibers.

    Raises
    ------
    ValueError
        If the images differ in shape, or if there is a picture and its dyes lack hematoxylin.

    Notes
    -----
    Holes in a fiber that belong to no other fiber are taken as filled. A nucleus in a fiber is
    *internal* where its centroid lies deeper than 3 µm and deeper than its own equivalent radius
    and 1 µm, else *subsarcolemmal* (criteria §6, engineering proposal); it is *central* where it
    is internal and at least half as deep as the deepest place of the fiber. Relative depth is that
    of the nuclear centralization index of Zhong et al. 2026 (`nuclear_centralization`).
    """
    for other in (fibers, tissue, image):
        if other is not None and tuple(other.shape[:2]) != tuple(nuclei.shape[:2]):
            raise ValueError(
                f"images of shapes {tuple(nuclei.shape)} and {tuple(other.shape)}: nuclei, fibers, "
                "classes and picture must lie on the same grid"
            )
    if image is not None and separation is not None and "hematoxylin" not in separation.names:
        raise ValueError(f"none of the dyes {', '.join(separation.names)} is named hematoxylin")
    ids, boxes = find_boxes(nuclei)
    if fiber_ids is None or fiber_boxes is None:
        fiber_ids, fiber_boxes = find_boxes(fibers)
    total = len(ids) + len(fiber_ids)
    if progress:
        progress("nuclei", 0, total)
    table = _measure_each(nuclei, ids, boxes, mpp, image, separation, tissue, progress, total)
    places = _places(nuclei, fibers, fiber_ids, fiber_boxes, table, mpp, progress, total)
    _assign(table, places)
    table["class"] = _classes(table, limits)
    if progress:
        progress("nuclei", total, total)
    return table[list(COLUMNS)]


def _measure_each(
    nuclei: LabelArray,
    ids: np.ndarray,
    boxes: np.ndarray,
    mpp: tuple[float, float],
    image: LabelArray | None,
    separation: StainSeparation | None,
    tissue: LabelArray | None,
    progress: Progress | None,
    total: int,
) -> pd.DataFrame:
    """Position, size, shape, stain and tissue class of each nucleus, and its pixels."""
    measured = np.full((len(ids), 8), np.nan)
    classes = np.full(len(ids), -1)
    done = 0
    for piece, (top, left), members in read_windows(nuclei, boxes):
        window = (slice(top, top + piece.shape[0]), slice(left, left + piece.shape[1]))
        at = np.flatnonzero(piece > 0)
        row = np.searchsorted(ids, piece.ravel()[at])
        shape = measure_shapes(piece, at, row, len(ids), (top, left), mpp)
        measured[members, :6] = shape.values[members]
        measured[members, 7] = shape.pixels[members]
        for odd in members[~shape.plain[members]]:
            y0, x0, y1, x1 = (int(edge) for edge in boxes[odd])
            outline = trace_outline(
                (piece[y0 - top : y1 - top, x0 - left : x1 - left] == ids[odd]).view(np.uint8)
            )
            outer, around = outline.area_px * mpp[0] * mpp[1], crofton_perimeter(outline.sides, mpp)
            measured[odd, 5] = min(4.0 * np.pi * outer / around**2, 1.0) if around > 0 else np.nan
        if image is not None and separation is not None:
            stain = _hematoxylin(image, window, at, separation)
            mean = np.bincount(row, stain, len(ids)) / np.maximum(shape.pixels, 1)
            measured[members, 6] = mean[members]
        if tissue is not None:
            n = len(TISSUE_CLASSES)
            under = np.asarray(tissue[window]).ravel()[at]
            number = np.bincount(row * n + under, minlength=n * len(ids)).reshape(-1, n)
            classes[members] = number[members].argmax(axis=1)
        done += len(members)
        if progress:
            progress("nuclei", done, total)
    table = pd.DataFrame(measured, columns=[*COLUMNS[1:8], "area_px"])
    table.insert(0, "label", ids)
    table["tissue_class"] = pd.array(np.where(classes < 0, 0, classes), dtype="Int64")
    table.loc[classes < 0, "tissue_class"] = pd.NA
    return table


def _hematoxylin(
    image: LabelArray,
    window: tuple[slice, slice],
    at: NDArray[np.intp],
    separation: StainSeparation,
) -> NDArray[np.float32]:
    """Amount of hematoxylin at some pixels of a window, ascending."""
    rows, columns = window
    width = columns.stop - columns.start
    colors = np.empty((len(at), 3), np.float32)
    # in bands, as most pixels are not needed
    for top in range(rows.start, rows.stop, _BAND_PX):
        bottom = min(top + _BAND_PX, rows.stop)
        start = (top - rows.start) * width
        here = slice(*np.searchsorted(at, (start, start + (bottom - top) * width)))
        if here.stop > here.start:
            colors[here] = np.asarray(image[top:bottom, columns]).reshape(-1, 3)[at[here] - start]
    return separate_stains(colors, separation)[:, separation.names.index("hematoxylin")]


def _places(
    nuclei: LabelArray,
    fibers: LabelArray,
    fiber_ids: np.ndarray,
    fiber_boxes: np.ndarray,
    table: pd.DataFrame,
    mpp: tuple[float, float],
    progress: Progress | None,
    total: int,
) -> pd.DataFrame:
    """Find which nuclei lie in which fibers: one row per pair that shares pixels."""
    labels = table["label"].to_numpy()
    center = table[["centroid_y_um", "centroid_x_um"]].to_numpy() / mpp
    found: list[tuple[int, int, int, float, float, float]] = []
    done = len(labels)
    for piece, (top, left), members in read_windows(fibers, fiber_boxes):
        rows, columns = piece.shape
        over = np.asarray(nuclei[top : top + rows, left : left + columns])
        seen = over > 0
        for row in members:
            y0, x0, y1, x1 = (int(edge) for edge in fiber_boxes[row])
            crop = (slice(y0 - top, y1 - top), slice(x0 - left, x1 - left))
            found += _nuclei_of_one(
                int(fiber_ids[row]),
                piece[crop],
                over[crop],
                seen[crop],
                (y0, x0),
                labels,
                center,
                mpp,
            )
            done += 1
            if progress and done % 256 == 0:
                progress("nuclei", done, total)
    names = ["nucleus", "fiber", "pixels", "depth", "deepest", "radius"]
    return pd.DataFrame(found, columns=names)


def _nuclei_of_one(
    fiber: int,
    piece: NDArray[np.integer],
    over: NDArray[np.integer],
    seen: NDArray[np.bool_],
    origin: tuple[int, int],
    labels: np.ndarray,
    center: np.ndarray,
    mpp: tuple[float, float],
) -> Iterator[tuple[int, int, int, float, float, float]]:
    """Rows of `_places` for one fiber; all images are cut to its box, ``seen`` where nuclei are."""
    if not seen.any():
        return
    mask = fill_holes(piece == fiber, piece == 0)
    inside, pixels = np.unique(over[mask & seen], return_counts=True)
    if not len(inside):
        return
    depth = border_depth(mask, mpp)
    deepest = float(depth.max())
    radius = float(np.sqrt(np.count_nonzero(mask) * mpp[0] * mpp[1] / np.pi))
    at = np.searchsorted(labels, inside)
    for nucleus, count in np.stack([at, pixels], axis=1).tolist():
        place = np.floor(center[nucleus] - np.array(origin)).astype(int)
        y, x = int(place[0]), int(place[1])
        within = 0 <= y < mask.shape[0] and 0 <= x < mask.shape[1]
        at_center = float(depth[y, x]) if within else 0.0
        yield nucleus, fiber, count, at_center, deepest, radius


def _assign(table: pd.DataFrame, places: pd.DataFrame) -> None:
    """Give each nucleus the fiber under most of its pixels, if that is more than lie outside."""
    in_fibers = np.bincount(
        places["nucleus"].to_numpy(np.intp), places["pixels"].to_numpy(float), len(table)
    )
    outside = table.pop("area_px").to_numpy() - in_fibers
    ordered = places.sort_values(["nucleus", "pixels", "fiber"], ascending=[True, False, True])
    best = ordered.drop_duplicates("nucleus")
    nucleus = best["nucleus"].to_numpy(np.intp)
    best = best[best["pixels"].to_numpy() > outside[nucleus]]
    nucleus = best["nucleus"].to_numpy(np.intp)
    table["fiber"] = 0
    table.loc[nucleus, "fiber"] = best["fiber"].to_numpy(np.int64)
    for name in ("depth_um", "relative_depth", "share_of_deepest"):
        table[name] = np.nan
    depth = best["depth"].to_numpy()
    table.loc[nucleus, "depth_um"] = depth
    table.loc[nucleus, "relative_depth"] = np.minimum(depth / best["radius"].to_numpy(), 1.0)
    table.loc[nucleus, "share_of_deepest"] = depth / best["deepest"].to_numpy()


def _classes(table: pd.DataFrame, limits: Limits) -> NDArray[np.object_]:
    radius = np.sqrt(table["area_um2"].to_numpy() / np.pi)
    least = np.maximum(limits["internal_depth_um"], radius + limits["internal_depth_margin_um"])
    internal = table["depth_um"].to_numpy() > least
    central = internal & (table["share_of_deepest"].to_numpy() >= limits["central_depth_share"])
    kind = np.select(
        [table["fiber"].to_numpy() == 0, central, internal],
        ["interstitial", "central", "internal"],
        "subsarcolemmal",
    )
    return np.asarray(kind, dtype=object)


def place_again(
    table: pd.DataFrame,
    among: NDArray[np.bool_],
    nuclei: LabelArray,
    fibers: LabelArray,
    mpp: tuple[float, float],
    *,
    fiber_ids: np.ndarray,
    fiber_boxes: np.ndarray,
    limits: Limits = DEFAULTS,
) -> pd.DataFrame:
    """Find the fiber of some nuclei again, whose fibers have changed.

    Parameters
    ----------
    table : DataFrame
        From `measure_nuclei`.
    among : (n,) array of bool
        The nuclei to place; all others stay in their fibers.
    nuclei, fibers, mpp, limits
        As for `measure_nuclei`.
    fiber_ids, fiber_boxes : (m,) and (m, 4) arrays of int
        All fibers that these nuclei may lie in, ascending, and a box around each.

    Returns
    -------
    DataFrame
        The table with other ``fiber``, ``depth_um``, ``relative_depth`` and ``class`` where a
        nucleus lies in another fiber, in a fiber with another outline, or in none.
    """
    places = _places(nuclei, fibers, fiber_ids, fiber_boxes, table, mpp, None, 1)
    rows = np.flatnonzero(among)
    places = places[among[places["nucleus"].to_numpy(np.intp)]]
    places = places.assign(nucleus=np.searchsorted(rows, places["nucleus"].to_numpy(np.intp)))
    some = table.iloc[rows].reset_index(drop=True)
    some["area_px"] = np.rint(some["area_um2"].to_numpy(float) / (mpp[0] * mpp[1]))
    _assign(some, places)
    some["class"] = _classes(some, limits)
    found = table.copy()
    for name in ("fiber", "depth_um", "relative_depth", "class"):
        values = found[name].to_numpy(copy=True)
        values[rows] = some[name].to_numpy()
        found[name] = values
    return found


def count_nuclei(nuclei: pd.DataFrame | None, fiber_labels: np.ndarray) -> pd.DataFrame:
    """Count the nuclei of each fiber.

    Parameters
    ----------
    nuclei : DataFrame or None
        From `measure_nuclei`; None where nuclei cannot be assessed.
    fiber_labels : (n,) array of int
        Labels of the fibers, each once.

    Returns
    -------
    DataFrame
        One row per fiber in that order: ``label``, ``n_nuclei`` (all of them),
        ``n_internal_nuclei`` (internal and central), ``is_centrally_nucleated`` (at least one
        central nucleus). All but the label are missing where nuclei cannot be assessed: no count
        of 0 stands for what was not seen.
    """
    labels = np.asarray(fiber_labels, dtype=np.int64)
    counts = pd.DataFrame({"label": labels})
    if nuclei is None:
        missing = [pd.NA] * len(labels)
        counts["n_nuclei"] = pd.array(missing, dtype="Int64")
        counts["n_internal_nuclei"] = pd.array(missing, dtype="Int64")
        counts["is_centrally_nucleated"] = pd.array(missing, dtype="boolean")
        return counts
    kind = nuclei["class"].to_numpy()

    def counted(where: NDArray[np.bool_]) -> pd.Series:
        number = nuclei.loc[where, "fiber"].value_counts()
        return number.reindex(labels, fill_value=0).reset_index(drop=True)

    counts["n_nuclei"] = counted(kind != "interstitial").astype("Int64")
    counts["n_internal_nuclei"] = counted(np.isin(kind, ("internal", "central"))).astype("Int64")
    counts["is_centrally_nucleated"] = (counted(kind == "central") > 0).astype("boolean")
    return counts
