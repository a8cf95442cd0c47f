"""Saving the fibers of a labels layer through File > Save."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_plugin.layers import METADATA_KEY

if TYPE_CHECKING:
    import pandas as pd

    from napari_plugin.section import OpenSection

GEOJSON, ROISET = ".geojson", ".zip"


def write_fibers(path: str, data: Any, attributes: dict[str, Any]) -> list[str]:
    """Write a labels layer as label TIFF, QuPath GeoJSON or ImageJ RoiSet, by the suffix.

    Parameters
    ----------
    path
        File to write or replace.
    data
        Label image, or its levels.
    attributes
        Of the layer. Outlines for QuPath and ImageJ are in pixels of the slide where the layer
        knows that, else in its own.

    Returns
    -------
    list of str
        The file, or nothing where ImageJ cannot hold the outlines.

    Raises
    ------
    OutputError
        The file cannot be written.
    """
    from biopsy_ai.errors import OutputError
    from biopsy_ai.formats.label_image import write_label_image
    from biopsy_ai.labels import find_boxes

    labels = data[0] if attributes.get("multiscale") else data
    if len(labels.shape) != 2:
        raise OutputError(f"{path}: only flat labels can be saved, in rows and columns.")
    mpp = _mpp_of(attributes)
    suffix = Path(path).suffix.lower()
    if suffix not in (GEOJSON, ROISET):
        if mpp is None:
            raise OutputError(
                f"{path}: the layer says nothing of its pixel size. Set its scale in µm first."
            )
        write_label_image(path, labels, mpp)
        return [path]
    section = _section_of(attributes)
    slide_mpp = mpp if section is None else _slide_mpp(section)
    outlines = _outlines(labels, *find_boxes(labels), mpp or (1.0, 1.0), slide_mpp or (1.0, 1.0))
    if suffix == ROISET:
        return _write_roiset(path, outlines)
    from biopsy_ai.formats.qupath import write_geojson

    table: pd.DataFrame | None = None if section is None else section.review.table
    image_id = _image_id(section) or str(attributes.get("name") or path)
    write_geojson(path, outlines, image_id=image_id, fibers=table)
    return [path]


def _write_roiset(path: str, outlines: Any) -> list[str]:
    from napari.utils.notifications import show_warning

    from biopsy_ai.formats.imagej import write_roiset

    problem = write_roiset(path, outlines)
    if problem is None:
        return [path]
    show_warning(problem)
    return []


def _outlines(
    labels: Any,
    ids: Any,
    boxes: Any,
    mpp: tuple[float, float],
    slide_mpp: tuple[float, float],
) -> list[tuple[int, Any]]:
    from biopsy_ai.formats.contours import fiber_polygons, to_image_xy

    polygons = sorted(fiber_polygons(labels, ids, boxes), key=lambda each: each[0])
    return [(label, to_image_xy(polygon, mpp, slide_mpp)) for label, polygon in polygons]


def _mpp_of(attributes: dict[str, Any]) -> tuple[float, float] | None:
    """Pixel size of a layer, where its units say that it is a length."""
    noted = (attributes.get("metadata") or {}).get(METADATA_KEY) or {}
    if noted.get("mpp"):
        return float(noted["mpp"][0]), float(noted["mpp"][1])
    scale = np.asarray(attributes.get("scale", ()), float)[-2:]
    units = [str(unit) for unit in (attributes.get("units") or ())[-2:]]
    if len(scale) == 2 and units and all(unit in ("micrometer", "um", "µm") for unit in units):
        return float(scale[0]), float(scale[1])
    return None


def _section_of(attributes: dict[str, Any]) -> OpenSection | None:
    """The open section that a layer of fibers belongs to."""
    noted = (attributes.get("metadata") or {}).get(METADATA_KEY) or {}
    if noted.get("shows") != "fibers" or not noted.get("folder"):
        return None
    from napari import current_viewer

    from napari_plugin.section import sections_of

    viewer = current_viewer()
    return None if viewer is None else sections_of(viewer).of_folder(noted["folder"])


def _slide_mpp(section: OpenSection) -> tuple[float, float]:
    image = section.review.summary.get("image") or {}
    mpp = image.get("mpp") or section.review.mpp
    return float(mpp[0]), float(mpp[1])


def _image_id(section: OpenSection | None) -> str:
    if section is None:
        return ""
    made_by = section.review.summary.get("provenance") or {}
    return str(made_by.get("image_sha256") or section.review.saved.name)
