"""Make one synthetic section with its complete truth."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from biopsy_ai.synthesis.cells import draw_nuclei, freezing_holes, place_nuclei
from biopsy_ai.synthesis.geometry import Geometry
from biopsy_ai.synthesis.imaging import fold_factor, scan_bright_field, scan_fluorescence, tears
from biopsy_ai.synthesis.layout import build_geometry
from biopsy_ai.synthesis.parameters import SectionParams
from biopsy_ai.synthesis.raster import Layers, rasterize
from biopsy_ai.synthesis.render import stain_bright_field, stain_fluorescence
from biopsy_ai.synthesis.texture import smooth_noise
from biopsy_ai.synthesis.truth import (
    fiber_table,
    largest_parts,
    nucleus_table,
    renumbered,
    tissue_classes,
)


@dataclass(frozen=True)
class SyntheticSection:
    """A picture and everything that is known about it.

    Fibers and nuclei are numbered from 1 without gaps; each is one 4-connected part of its label
    image, one row of its table and, if a fiber, one shape of `geometry.fibers`, in this order.
    """

    image: NDArray
    """(H, W, 3) uint8 for bright field, (H, W) uint16 border channel for immunofluorescence."""
    mpp: float
    """Pixel size, µm."""
    labels: NDArray[np.int32]
    """(H, W) fibers: sarcoplasm up to the inner edge of the membrane."""
    fibers: pd.DataFrame
    """One row per fiber: label, type, condition, atrophic, angular, fascicle."""
    nuclei_labels: NDArray[np.int32]
    """(H, W) nuclei."""
    nuclei: pd.DataFrame
    """One row per nucleus: label, kind, fiber (the one under most of its pixels, or 0)."""
    tissue: NDArray[np.uint8]
    """(H, W) index into `biopsy_ai.synthesis.raster.TISSUE_CLASSES`.

    Folds are artefact; tears show glass and are background.
    """
    folds: NDArray[np.bool_]
    """(H, W) tissue that lies double, with fibers and nuclei labelled as seen through it."""
    holes: NDArray[np.bool_]
    """(H, W) clear holes of ice crystals; they lie in fibers and belong to them."""
    geometry: Geometry
    params: SectionParams
    seed: int | None


def synthesize_section(
    params: SectionParams | None = None,
    seed: int | np.random.Generator = 0,
    *,
    geometry: Geometry | None = None,
) -> SyntheticSection:
    """Make a section from a seed and a parameter object.

    Parameters
    ----------
    params
        Tissue, imaging, stain, field size and pixel size; defaults to normal muscle in H&E.
    seed
        The same seed and parameters give the same section.
    geometry
        A ready layout, such as real outlines; drawn from `params.tissue` when left out.
    """
    params = params or SectionParams()
    rng = np.random.default_rng(seed)
    if geometry is None:
        geometry = build_geometry(params.tissue, params.size_um, rng)
    mpp = params.mpp
    shape = (round(params.size_um[0] / mpp), round(params.size_um[1] / mpp))
    glass = _glass(shape, params.tissue.glass, mpp, rng)
    torn = tears(shape, params.imaging.tears, mpp, rng)
    geometry, layers = _clear(geometry, rasterize(geometry, mpp), glass, mpp)
    empty = glass | torn
    layers.labels[empty] = 0
    if torn.any():
        # what a tear cuts off a fiber falls out: else it would be a fiber to see without a label
        whole = largest_parts(layers.labels)
        empty |= whole != layers.labels
        layers.labels[:] = whole
    nuclei = place_nuclei(geometry, layers, params.tissue, mpp, rng)
    nuclei_labels = draw_nuclei(nuclei, shape, mpp)
    image, folds, holes = _picture(params, geometry, layers, nuclei_labels, empty, rng)
    # only now, for the picture shows also what is too small for the truth
    labels, kept_fibers = renumbered(largest_parts(layers.labels))
    nuclei_labels[empty] = 0
    nuclei_labels, kept_nuclei = renumbered(largest_parts(nuclei_labels))
    geometry = replace(geometry, fibers=[geometry.fibers[i - 1] for i in kept_fibers])
    return SyntheticSection(
        image=image,
        mpp=mpp,
        labels=labels,
        fibers=fiber_table(geometry.fibers),
        nuclei_labels=nuclei_labels,
        nuclei=nucleus_table(nuclei, nuclei_labels, kept_nuclei, labels, kept_fibers),
        tissue=tissue_classes(labels, layers, folds, empty),
        folds=folds,
        holes=holes & (labels > 0),
        geometry=geometry,
        params=params,
        seed=seed if isinstance(seed, int) else None,
    )


def _picture(
    params: SectionParams,
    geometry: Geometry,
    layers: Layers,
    nuclei_labels: NDArray[np.int32],
    empty: NDArray[np.bool_],
    rng: np.random.Generator,
) -> tuple[NDArray, NDArray[np.bool_], NDArray[np.bool_]]:
    """Stain, fold and scan a section; gives the picture, where it is folded and where holes are."""
    imaging, mpp = params.imaging, params.mpp
    folds = np.zeros_like(empty)
    holes = freezing_holes(layers, imaging, mpp, rng)
    if params.stain == "if":
        intensity = stain_fluorescence(
            geometry, layers, holes, empty, imaging=imaging, mpp=mpp, rng=rng
        )
        return scan_fluorescence(intensity, imaging, mpp, rng), folds, holes
    od = stain_bright_field(
        geometry,
        layers,
        nuclei_labels,
        holes,
        empty,
        stain=params.stain,
        tissue=params.tissue,
        imaging=imaging,
        mpp=mpp,
        rng=rng,
    )
    if imaging.folds:
        factor = fold_factor(empty.shape, imaging.folds, mpp, rng)
        od *= factor[..., None]
        folds = (factor > 1) & ~empty
    return scan_bright_field(od, imaging, mpp, rng), folds, holes


def _glass(
    shape: tuple[int, int], share: float, mpp: float, rng: np.random.Generator
) -> NDArray[np.bool_]:
    if share <= 0:
        return np.zeros(shape, dtype=bool)
    field = smooth_noise(rng, shape, max(shape) / 1.5) + 0.03 * smooth_noise(rng, shape, 20 / mpp)
    return field < np.quantile(field[::8, ::8], share)


def _clear(
    geometry: Geometry, layers: Layers, glass: NDArray[np.bool_], mpp: float
) -> tuple[Geometry, Layers]:
    """Drop fibers that lie on empty glass or under a vessel or nerve, and draw again."""
    labels = layers.labels
    blocked = glass.copy()
    outlines = [o for o, _ in geometry.vessels] + geometry.nerves
    if outlines:
        import cv2

        mask = np.zeros(labels.shape, dtype=np.uint8)
        for outline in outlines:
            cv2.fillPoly(mask, [np.round(outline[:, ::-1] / mpp).astype(np.int32)], 1)
        blocked |= mask > 0
    if not blocked.any():
        return geometry, layers
    n = len(geometry.fibers)
    area = np.bincount(labels.ravel(), minlength=n + 1)[1:]
    lost = np.bincount(labels[blocked], minlength=n + 1)[1:]
    keep = lost <= 0.03 * np.maximum(area, 1)
    geometry = replace(
        geometry,
        fibers=[f for f, kept in zip(geometry.fibers, keep, strict=True) if kept],
        fat=[f for f in geometry.fat if not _centre_blocked(f, blocked, mpp)],
    )
    return geometry, rasterize(geometry, mpp)


def _centre_blocked(outline: NDArray, blocked: NDArray[np.bool_], mpp: float) -> bool:
    y, x = (outline.mean(0) / mpp).astype(int)
    inside = 0 <= y < blocked.shape[0] and 0 <= x < blocked.shape[1]
    return bool(inside and blocked[y, x])
