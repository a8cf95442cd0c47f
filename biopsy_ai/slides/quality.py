"""What a slide can be trusted with: focus, stain, saturation, folds and tears, tile by tile."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from biopsy_ai.labels import LabelArray
from biopsy_ai.progress import Progress
from biopsy_ai.slides.artefacts import (
    CLEAR_DENSITY,
    edge_width,
    find_folds,
    find_tears,
    fold_limits,
)
from biopsy_ai.slides.stain_colors import MAX_DENSITY, optical_densities, white_of
from biopsy_ai.slides.tissue import MARGIN_UM, THUMBNAIL_MPP, TissueMask, has_dark_background
from biopsy_ai.tissue_classes import ARTEFACT, BACKGROUND
from biopsy_ai.yaml_text import load_yaml

if TYPE_CHECKING:
    from biopsy_ai.slides.slide import Slide

TILE_UM = 100.0
"""Side of a tile, µm; a little more or less, so that all are alike. Larger ones see the sharp part
of a half-blurred tile only, smaller ones hold too few edges. [default]"""
QUALITY_MPP = 1.0
"""Scale at which tiles are read, µm; slides that are coarser are read as they are. [default]"""
BLOCK_TILES = 10
"""So many tiles are read together, along each axis."""
HALO_UM = 125.0
"""Context read around a block where folds and tears are sought in the picture, so that those at its
edge are seen whole. [default]"""
MIN_TISSUE = 0.02
"""A tile with a smaller share of tissue is left out. [default]"""
MIN_STAINED = 0.05
"""Share of a tile that must be stained to speak of its focus. [default]"""
MIN_STRENGTH = 0.25
"""The same to speak of its stain: the thin rims of fat cells are pale anywhere. [default]"""
COVERED_SHARE = 0.5
"""Of a tile with a larger share of artefacts the focus is that of the artefact. [default]"""

TILE_COLUMNS = (
    "y_um",
    "x_um",
    "height_um",
    "width_um",
    "tissue_share",
    "edge_width_um",
    "stain_strength",
    "saturated_share",
    "artefact_share",
    "tear_share",
    "artefact_from",
    "excluded",
)
"""Columns of the table of tiles, in order; see `measure_quality`."""

BLURRED, PALE, SATURATED, FOLDED, TORN = (
    "out of focus",
    "hardly stained",
    "saturated",
    "folded",
    "torn",
)
"""Reasons to leave a tile out, by rank: the first that holds is the reason."""
BY_CLASS, BY_DENSITY = "class map", "density"
"""Where artefacts are known from: the class map of a network, or how dense and clear pixels are."""

_DEPTHS = (8, 10, 12, 14, 16)
_FULL = tuple(f"full_{bits}" for bits in _DEPTHS)
_CLIPPED = 0.99


@functools.lru_cache(maxsize=1)
def quality_limits() -> dict[str, dict[str, Any]]:
    """Limits of ``quality.yaml``: value, source and mark of each."""
    text = files("biopsy_ai.slides").joinpath("quality.yaml").read_text(encoding="utf-8")
    return dict(load_yaml(text))


@dataclass(frozen=True, eq=False)
class _Scale:
    """What a whole slide is measured by, read off its thumbnail."""

    channels: list[int]
    white: NDArray[np.float32] | None
    """Color of glass; None in fluorescence."""
    folds: NDArray[np.float32]
    """Densities above which tissue lies double; infinite in fluorescence."""
    dark: float = 0.0
    """Intensity of the ground (fluorescence)."""
    bright: float = 1.0
    """Intensity of the brightest parts (fluorescence)."""


@dataclass(frozen=True, eq=False)
class _Block:
    """Some tiles with what lies around them, all (rows, columns) on the grid of the tiles."""

    plane: NDArray[np.float32]
    tissue: NDArray[np.bool_]
    stained: NDArray[np.bool_]
    signal: NDArray[np.float32]
    black: NDArray[np.bool_]
    artefact: NDArray[np.bool_] | None
    tears: NDArray[np.bool_] | None


def measure_quality(
    slide: Slide,
    tissue: TissueMask,
    *,
    classes: LabelArray | None = None,
    classes_mpp: tuple[float, float] = (1.0, 1.0),
    progress: Progress | None = None,
) -> pd.DataFrame:
    """Measure the quality of a slide on tiles of about 100 µm.

    Parameters
    ----------
    slide
        The slide; read by blocks of 1 mm at 1 µm/px, so that memory does not grow with it.
    tissue
        Where it holds tissue.
    classes, classes_mpp
        Class map of a network, index into `biopsy_ai.tissue_classes.TISSUE_CLASSES`, which begins
        where the slide begins, and its pixel size (y, x) in µm. Artefacts are read off it where
        there is one, and off the densities of the picture where not.
    progress
        Called as ``progress("quality", done, total)``, in blocks.

    Returns
    -------
    DataFrame
        One row per tile that holds tissue, columns `TILE_COLUMNS`:

        - ``y_um``, ``x_um``, ``height_um``, ``width_um``: place, µm from the top left corner;
        - ``tissue_share``: tissue, with its holes, over the area of the tile;
        - ``edge_width_um``: focus, see `biopsy_ai.slides.artefacts.edge_width`;
        - ``stain_strength``: bright field: median optical density (base 10, mean of the channels)
          of what is stained; fluorescence: 95th percentile of the signal above the ground, as a
          share of the slide's range;
        - ``saturated_share``: share of the tissue at the end of the camera's range: black in
          bright field, full in fluorescence;
        - ``artefact_share``, ``tear_share``: share of the tissue; with a class map that is of
          class artefact and glass, else see `biopsy_ai.slides.artefacts.find_folds` and
          `find_tears`, NaN in fluorescence;
        - ``artefact_from``: ``class map``, ``density`` or empty;
        - ``excluded``: why the tile is not to be trusted; empty where it is.

        NaN where a tile has too little to measure. Limits are those of `quality_limits`. Folds
        and tears exclude a whole tile only where there is no class map: with one, fibers are
        judged one by one (`biopsy_ai.measure.condition`), and the others of the tile stay.

    Raises
    ------
    SlideReadError
        If the file is damaged.
    Cancelled
        If ``progress`` raises it.
    """
    mpp = max(QUALITY_MPP, *slide.mpp)
    inside = _without_margin(tissue)
    scale = _measure_scale(slide, tissue)
    height, width = slide.grid_shape(mpp)
    cuts = [_cuts(length, TILE_UM / mpp) for length in (height, width)]
    corners = [
        (cuts[0][i : i + BLOCK_TILES + 1], cuts[1][j : j + BLOCK_TILES + 1])
        for i in range(0, len(cuts[0]) - 1, BLOCK_TILES)
        for j in range(0, len(cuts[1]) - 1, BLOCK_TILES)
    ]
    by_picture = classes is None and scale.white is not None
    halo = math.ceil(HALO_UM / mpp) if by_picture else 0
    rows: list[dict[str, float]] = []
    for done, (ys, xs) in enumerate(corners):
        if progress is not None:
            progress("quality", done, len(corners))
        # The halo ends at the slide: what is made up beyond it would look like a fold or a tear.
        y0, x0 = max(ys[0] - halo, 0), max(xs[0] - halo, 0)
        y1, x1 = min(ys[-1] + halo, height), min(xs[-1] + halo, width)
        mask = _sample(inside, (y0, x0, y1, x1), (mpp / tissue.mpp, mpp / tissue.mpp))
        if not mask[ys[0] - y0 : ys[-1] - y0, xs[0] - x0 : xs[-1] - x0].any():
            continue
        image = slide.read(y0, x0, y1 - y0, x1 - x0, mpp, channels=scale.channels)
        known = None
        if classes is not None:
            ratio = (mpp / classes_mpp[0], mpp / classes_mpp[1])
            known = _sample(classes, (y0, x0, y1, x1), ratio)
        block = _prepare(image, mask, scale, mpp, known)
        for (top, bottom), (left, right) in itertools.product(
            itertools.pairwise(ys), itertools.pairwise(xs)
        ):
            here = np.s_[top - y0 : bottom - y0, left - x0 : right - x0]
            held = block.tissue[here]
            if np.count_nonzero(held) >= MIN_TISSUE * held.size:
                place = (top * mpp, left * mpp, (bottom - top) * mpp, (right - left) * mpp)
                rows.append(_measure_tile(block, here, place, scale, slide.dtype, mpp))
    if progress is not None:
        progress("quality", len(corners), len(corners))
    tiles = pd.DataFrame(rows, columns=[*TILE_COLUMNS[:-2], *_FULL, "peak"]).astype(float)
    if scale.white is None:
        tiles["saturated_share"] = _full_share(tiles, slide.dtype)
    tiles["artefact_from"] = BY_CLASS if classes is not None else BY_DENSITY if by_picture else ""
    tiles["excluded"] = _reasons(tiles)
    return tiles[list(TILE_COLUMNS)]


def _cuts(length: int, tile: float) -> list[int]:
    """Where to cut a side so that all tiles are about equally long."""
    n = max(round(length / tile), 1)
    return [round(i * length / n) for i in range(n + 1)]


def _without_margin(tissue: TissueMask) -> NDArray[np.bool_]:
    """The tissue itself: `TissueMask` reaches further, so that no fiber is missed."""
    import cv2

    if tissue.mask.all():
        return tissue.mask
    wide = np.pad(tissue.mask.astype(np.uint8), 1, mode="edge")  # it goes on beyond the picture
    away = cv2.distanceTransform(wide, cv2.DIST_L2, 5)[1:-1, 1:-1]
    return np.asarray(away * tissue.mpp > MARGIN_UM)


def _measure_scale(slide: Slide, tissue: TissueMask) -> _Scale:
    image, _ = slide.thumbnail(THUMBNAIL_MPP)
    border = slide.channels.get("border")
    channels = list(range(slide.n_channels)) if border is None else [border]
    if border is not None or slide.n_channels not in (1, 3) or has_dark_background(slide):
        dark, bright = np.percentile(image[..., channels].mean(axis=-1), (0.5, 99.5))
        none = np.full(len(channels), np.inf, np.float32)
        return _Scale(channels, None, none, float(dark), max(float(bright), float(dark) + 1e-6))
    white = white_of(slide)
    mask = tissue.mask if tissue.mask.shape == image.shape[:2] else np.s_[:, :]
    densities = optical_densities(image[mask], white).reshape(-1, len(channels))
    ink = densities.mean(axis=-1) > MAX_DENSITY / 3
    stained = densities[(densities.max(axis=-1) > CLEAR_DENSITY) & ~ink]
    factor = float(quality_limits()["fold_density_above"]["value"])
    return _Scale(channels, white, fold_limits(stained, factor))


def _sample(
    image: LabelArray, box: tuple[int, int, int, int], ratio: tuple[float, float]
) -> NDArray[Any]:
    """The part of an image under a box of pixels that are ``ratio`` (y, x) of its own wide."""
    rows, columns = (
        np.minimum(((np.arange(start, end) + 0.5) * scale).astype(int), size - 1)
        for start, end, size, scale in zip(box[:2], box[2:], image.shape, ratio, strict=True)
    )
    piece = np.asarray(image[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1])
    return piece[np.ix_(rows - rows[0], columns - columns[0])]


def _prepare(
    image: NDArray[np.float32],
    tissue: NDArray[np.bool_],
    scale: _Scale,
    mpp: float,
    classes: NDArray[np.integer] | None,
) -> _Block:
    import cv2

    channels = cv2.split(image)
    plane = _combined(np.add, channels) / np.float32(len(channels))
    artefact = tears = None
    if classes is not None:
        artefact, tears = tissue & (classes == ARTEFACT), tissue & (classes == BACKGROUND)
    if scale.white is None:
        signal = (plane - np.float32(scale.dark)) / np.float32(scale.bright - scale.dark)
        return _Block(plane, tissue, tissue, signal, np.zeros_like(tissue), artefact, tears)
    # channel by channel, which is far faster than along the last, short axis
    densities = [
        optical_densities(channel, white)
        for channel, white in zip(channels, scale.white, strict=True)
    ]
    light = [channel / white for channel, white in zip(channels, scale.white, strict=True)]
    if classes is None:
        together = np.dstack(densities)
        artefact = find_folds(together, scale.folds, mpp) & tissue
        tears = find_tears(together, tissue, mpp)
    return _Block(
        plane,
        tissue,
        tissue & (_combined(np.maximum, densities) > CLEAR_DENSITY),
        _combined(np.add, densities) / np.float32(len(channels)),
        tissue & (_combined(np.minimum, light) <= 1 - _CLIPPED),
        artefact,
        tears,
    )


def _combined(combine: np.ufunc, channels: Sequence[NDArray[Any]]) -> NDArray[np.float32]:
    return np.asarray(functools.reduce(combine, channels))


def _measure_tile(
    block: _Block,
    here: tuple[slice, slice],
    place: tuple[float, float, float, float],
    scale: _Scale,
    dtype: np.dtype[Any],
    mpp: float,
) -> dict[str, float]:
    import cv2

    tissue, stained, plane = block.tissue[here], block.stained[here], block.plane[here]
    row = dict(zip(TILE_COLUMNS, place, strict=False))
    n_tissue = np.count_nonzero(tissue)
    stained_share = np.count_nonzero(stained) / stained.size
    row["tissue_share"] = n_tissue / tissue.size
    row["saturated_share"] = np.count_nonzero(block.black[here]) / n_tissue
    if stained_share >= MIN_STAINED:
        beside = cv2.dilate(stained.astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
        row["edge_width_um"] = edge_width(plane, mpp, beside)
    if stained_share >= MIN_STRENGTH:
        values = block.signal[here][stained]
        strength = np.percentile(values, 95) if scale.white is None else np.median(values)
        row["stain_strength"] = float(strength)
    if block.artefact is not None and block.tears is not None:
        row["artefact_share"] = np.count_nonzero(block.artefact[here]) / n_tissue
        row["tear_share"] = np.count_nonzero(block.tears[here]) / n_tissue
    if scale.white is None and dtype.kind in "iu":
        row["peak"] = float(plane[tissue].max())
        for name, bits in zip(_FULL, _DEPTHS, strict=True):
            row[name] = float((plane[tissue] >= _CLIPPED * (2.0**bits - 1)).mean())
    return row


def _full_share(tiles: pd.DataFrame, dtype: np.dtype[Any]) -> pd.Series:
    """Share of full pixels. How many bits the camera has, only the brightest tile tells."""
    peak = tiles["peak"].max()
    if dtype.kind not in "iu" or not np.isfinite(peak):
        return pd.Series(np.nan, index=tiles.index)
    bits = next(bits for bits in _DEPTHS if peak <= 2.0**bits - 1 or bits == _DEPTHS[-1])
    return tiles[f"full_{bits}"]


def _reasons(tiles: pd.DataFrame) -> NDArray[np.str_]:
    limits = {name: float(entry["value"]) for name, entry in quality_limits().items()}
    # A group of pale fibers is no fault of the stain: only wide pale areas are.
    strength = _among_neighbors(tiles, "stain_strength", 3)
    typical = tiles["stain_strength"].median()
    by_tile = tiles["artefact_from"] == BY_DENSITY
    rules = {
        BLURRED: focus_around(tiles) > limits["edge_width_above_um"],
        PALE: strength < limits["stain_strength_below"] * typical,
        SATURATED: tiles["saturated_share"] > limits["saturated_share_above"],
        FOLDED: by_tile & (tiles["artefact_share"] > limits["fold_share_above"]),
        TORN: by_tile & (tiles["tear_share"] > limits["tear_share_above"]),
    }
    return np.select([np.asarray(rule) for rule in rules.values()], list(rules), default="")


def focus_around(tiles: pd.DataFrame) -> NDArray[np.float64]:
    """Mean edge width of each tile and those around it, µm.

    Ink is flat, and the width of its noise says nothing of tiles around: what is mostly artefact
    counts for such tiles only.
    """
    covered = (tiles["artefact_from"] == BY_CLASS) & (tiles["artefact_share"] > COVERED_SHARE)
    free = tiles.assign(edge_width_um=tiles["edge_width_um"].where(~covered))
    widths = [_among_neighbors(part, "edge_width_um", 1) for part in (tiles, free)]
    return np.where(covered, *widths)


def _among_neighbors(tiles: pd.DataFrame, column: str, reach: int) -> NDArray[np.float64]:
    """Average of a column over the tiles around each one, up to `reach` away; near ones count more.

    A tile alone is uncertain. Rows and columns without any tile are passed over.
    """
    rows, columns = (
        np.unique(tiles[name].to_numpy(), return_inverse=True)[1] + 1 for name in ("y_um", "x_um")
    )
    if not len(tiles):
        return np.zeros(0)
    rows, columns = rows + reach - 1, columns + reach - 1
    values = tiles[column].to_numpy()
    known = np.isfinite(values)  # what has no value of its own takes those around
    sums = np.zeros((2, rows.max() + reach + 1, columns.max() + reach + 1))
    sums[:, rows, columns] = np.where(known, values, 0.0), known
    for axis in (1, 2) * reach:
        sums = sums + np.roll(sums, 1, axis) + np.roll(sums, -1, axis)
    total, count = sums[:, rows, columns]
    return np.divide(total, count, out=np.full(len(tiles), np.nan), where=count > 0)
