"""Make one synthetic section with its complete truth."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from biopsy_ai.synthesis.artefacts import crush, ink
from biopsy_ai.synthesis.cells import (
    KINDS,
    Nuclei,
    draw_nuclei,
    freezing_holes,
    lesion_nuclei,
    place_nuclei,
)
from biopsy_ai.synthesis.fluorescence import stain_border, stain_myosin, stain_nuclei
from biopsy_ai.synthesis.geometry import Geometry
from biopsy_ai.synthesis.imaging import fold_factor, scan_bright_field, scan_fluorescence, tears
from biopsy_ai.synthesis.layout import build_geometry
from biopsy_ai.synthesis.lesions import add_lesions, fill_gaps
from biopsy_ai.synthesis.parameters import SectionParams, TissueParams
from biopsy_ai.synthesis.raster import Layers, rasterize
from biopsy_ai.synthesis.refraction import add_relief
from biopsy_ai.synthesis.render import stain_bright_field
from biopsy_ai.synthesis.texture import picture_density, smooth_noise, spread_picture
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
    """(H, W, 3) uint8 for bright field; for immunofluorescence uint16, (H, W) with one channel,
    (H, W, channels) with more, in the order of `SectionParams.channels`."""
    mpp: float
    """Pixel size, µm."""
    labels: NDArray[np.int32]
    """(H, W) fibers: sarcoplasm up to the inner edge of the membrane."""
    fibers: pd.DataFrame
    """One row per fiber: label, type, condition, atrophic, angular, fascicle, and unit where there
    are motor units (numbers from 1)."""
    nuclei_labels: NDArray[np.int32]
    """(H, W) nuclei."""
    nuclei: pd.DataFrame
    """One row per nucleus: label, kind, fiber (the one under most of its pixels, or 0)."""
    tissue: NDArray[np.uint8]
    """(H, W) index into `biopsy_ai.tissue_classes.TISSUE_CLASSES`.

    Folds, crushed places and ink are artefact; tears show glass and are background.
    """
    folds: NDArray[np.bool_]
    """(H, W) tissue that lies double, with fibers and nuclei labelled as seen through it."""
    holes: NDArray[np.bool_]
    """(H, W) clear holes of ice crystals; they lie in fibers and belong to them."""
    doubtful: NDArray[np.bool_]
    """(H, W) where fibers cannot be told: crushed places, and what ink cuts off a fiber."""
    torn: NDArray[np.bool_]
    """(H, W) tears, and what of a fiber they cut off; glass to see, hence background."""
    dust: NDArray[np.bool_]
    """(H, W) dust on the glass; the classes are those of the tissue under it."""
    real_fat: NDArray[np.bool_]
    """(H, W) painted with a picture of real fat, whose nuclei are not known."""
    geometry: Geometry
    params: SectionParams
    seed: int | None


def synthesize_section(
    params: SectionParams | None = None,
    seed: int | np.random.Generator = 0,
    *,
    geometry: Geometry | None = None,
    fat_picture: NDArray[np.uint8] | None = None,
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
    fat_picture
        (h, w, 3) picture of real fat in H&E at the pixel size of the section; the lobules of a
        section in that stain are painted with it.
    """
    params = params or SectionParams()
    rng = np.random.default_rng(seed)
    # Lesions and artefacts draw from a stream of their own: sections without them stay the same.
    (aside,) = rng.spawn(1)
    if geometry is None:
        geometry = build_geometry(params.tissue, params.size_um, rng)
    geometry = add_lesions(geometry, params.tissue, aside)
    mpp = params.mpp
    shape = (round(params.size_um[0] / mpp), round(params.size_um[1] / mpp))
    glass = _glass(shape, params.tissue.glass, mpp, rng)
    torn = tears(shape, params.imaging.tears, mpp, rng)
    geometry, layers = _clear(geometry, rasterize(geometry, mpp), glass, mpp)
    if params.tissue.fill_gaps:
        layers = fill_gaps(layers, _widest_gap_um(params.tissue), mpp)
    empty = glass | torn
    layers.labels[empty] = 0
    if torn.any():
        # what a tear cuts off a fiber falls out: else it would be a fiber to see without a label
        whole = largest_parts(layers.labels)
        empty |= whole != layers.labels
        layers.labels[:] = whole
    nuclei = place_nuclei(geometry, layers, params.tissue, mpp, rng)
    nuclei = lesion_nuclei(geometry, layers, nuclei, mpp, aside)
    nuclei_labels = draw_nuclei(nuclei, shape, mpp)
    fat = None
    if fat_picture is not None and params.stain == "he" and layers.lobule.any():
        fat = picture_density(spread_picture(aside, fat_picture, shape))
    picture = _picture(params, geometry, layers, nuclei, nuclei_labels, empty, fat, rng, aside)
    # only now, for the picture shows also what is too small for the truth
    seen = np.where(picture.ink, 0, layers.labels)
    labels, kept_fibers = renumbered(largest_parts(seen))
    nuclei_labels[empty | picture.ink] = 0
    nuclei_labels, kept_nuclei = renumbered(largest_parts(nuclei_labels))
    geometry = replace(geometry, fibers=[geometry.fibers[i - 1] for i in kept_fibers])
    return SyntheticSection(
        image=picture.image,
        mpp=mpp,
        labels=labels,
        fibers=fiber_table(geometry.fibers),
        nuclei_labels=nuclei_labels,
        nuclei=nucleus_table(nuclei, nuclei_labels, kept_nuclei, labels, kept_fibers),
        tissue=tissue_classes(labels, layers, picture.folds | picture.crushed, empty, picture.ink),
        folds=picture.folds,
        holes=picture.holes & (labels > 0),
        doubtful=picture.crushed | (picture.ink.any() & (seen > 0) & (labels == 0)),
        torn=empty & ~glass,
        dust=picture.dust,
        real_fat=(
            np.zeros(shape, dtype=bool) if fat is None else layers.lobule & (layers.labels == 0)
        ),
        geometry=geometry,
        params=params,
        seed=seed if isinstance(seed, int) else None,
    )


def _widest_gap_um(tissue: TissueParams) -> float:
    """Half the width up to which a gap between fibers is endomysium."""
    fibrosis = tissue.fibrosis_um if tissue.fibrosis > 0 else 0.0
    return 4.0 + (tissue.endomysium_um + fibrosis) / 2 + min(tissue.crack_um, 4.0)


class _Picture(NamedTuple):
    """A picture, and where in it what was done to the section."""

    image: NDArray
    folds: NDArray[np.bool_]
    holes: NDArray[np.bool_]
    crushed: NDArray[np.bool_]
    ink: NDArray[np.bool_]
    dust: NDArray[np.bool_]


def _picture(
    params: SectionParams,
    geometry: Geometry,
    layers: Layers,
    nuclei: Nuclei,
    nuclei_labels: NDArray[np.int32],
    empty: NDArray[np.bool_],
    fat: NDArray[np.float32] | None,
    rng: np.random.Generator,
    aside: np.random.Generator,
) -> _Picture:
    """Stain, fold, crush, mark and scan a section."""
    imaging, mpp = params.imaging, params.mpp
    folds, crushed, marked, dust = (np.zeros_like(empty) for _ in range(4))
    holes = freezing_holes(layers, imaging, mpp, rng)
    pyknotic = np.concatenate([[False], nuclei.kind == KINDS.index("clumped")])
    if params.stain == "if":
        planes: dict[str, NDArray] = {}
        if "border" in params.channels:
            border = stain_border(geometry, layers, holes, empty, imaging=imaging, mpp=mpp, rng=rng)
            planes["border"] = scan_fluorescence(border, imaging, mpp, rng)
        if params.channels != ("border",):
            # from the other stream: the border is the same with and without them
            types = stain_myosin(
                geometry, layers, holes, empty, imaging=imaging, mpp=mpp, rng=aside
            )
            dyed = stain_nuclei(nuclei_labels, layers, empty, mpp=mpp, rng=aside, pyknotic=pyknotic)
            for name, plane in {**types, "nuclei": dyed}.items():
                planes[name] = scan_fluorescence(plane, imaging, mpp, aside)
        shown = [planes[name] for name in params.channels]
        image: NDArray = shown[0] if len(shown) == 1 else np.stack(shown, axis=-1)
        return _Picture(image, folds, holes, crushed, marked, dust)
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
        pyknotic=pyknotic,
        adipose=fat,
    )
    if imaging.relief:
        add_relief(od, layers, empty, imaging.relief, mpp, aside)
    if imaging.folds:
        factor = fold_factor(empty.shape, imaging.folds, mpp, rng)
        od *= factor[..., None]
        folds = (factor > 1) & ~empty
    if imaging.crush:
        od, crushed = crush(od, imaging.crush, mpp, aside)
        crushed &= ~empty
    if imaging.ink:
        marked, density = ink((empty.shape[0], empty.shape[1]), imaging.ink, mpp, aside)
        od[marked] = density
    image, dust = scan_bright_field(od, imaging, mpp, rng)
    return _Picture(image, folds, holes, crushed, marked, dust)


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
    outlines += [spindle.capsule for spindle in geometry.spindles]
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
