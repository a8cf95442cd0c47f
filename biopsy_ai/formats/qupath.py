"""QuPath's GeoJSON: fibers as detection objects, written for QuPath 0.4 to 0.8.

The keys are those of QuPath's own reader (qupath-core, ``QuPathTypeAdapters`` and
``ROITypeAdapters``): a color beside every class name, UUIDs as ids, NaN as text, metadata as
text, coordinates (x, y) in pixels of the full-resolution image with 2 decimals.
"""

from __future__ import annotations

import math
import uuid
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from biopsy_ai.formats.files import replacing
from biopsy_ai.formats.tables import round_significant

if TYPE_CHECKING:
    import pandas as pd

FIBER_CLASS = ("Fiber", (0, 158, 115))
EXCLUDED_CLASS = ("Excluded fiber", (230, 159, 0))
"""Class names and colors in QuPath; the colors are those of the overlay."""

TYPE_COLORS: dict[str, tuple[int, int, int]] = {
    "I": (0, 114, 178),
    "II": (230, 159, 0),
    "IIA": (213, 94, 0),
    "IIX": (240, 228, 66),
    "I/IIA": (204, 121, 167),
    "IIA/IIX": (0, 158, 115),
    "I/IIX": (86, 180, 233),
    "undetermined": (153, 153, 153),
}
"""By fiber type, in the order of legends. Types that stand beside each other in one section are
told apart by any color vision; the hybrids, which are rarer, are hatched besides."""

_NAMESPACE = uuid.uuid5(uuid.NAMESPACE_DNS, "biopsy-ai")
_UNITS = {"um2": "µm^2", "um": "µm", "deg": "°", "px": "px"}


def write_geojson(
    path: str | Path,
    outlines: Iterable[tuple[int, NDArray[np.float64]]],
    *,
    image_id: str,
    fibers: pd.DataFrame | None = None,
) -> None:
    """Write fibers as QuPath detections, one after the other.

    Parameters
    ----------
    path
        File to write or replace; its name should end in ``.geojson``.
    outlines
        Label and polygon of each fiber, (N, 2) as (x, y) in pixels of the original image.
    image_id
        What tells the image from others, such as its SHA-256. The same fiber of the same image
        gets the same UUID in every run.
    fibers
        Table of fibers. Its numbers and truth values become measurements ("Area µm^2"), missing
        ones too, so that all fibers have the same; its text becomes metadata. ``excluded``, empty
        or the reason, decides the class. A fiber with a ``type`` has the class "Fiber: IIA", which
        QuPath takes for a subclass of "Fiber".

    Raises
    ------
    OutputError
        The file cannot be written.
    """
    import orjson

    rows = _rows_by_label(fibers)
    with replacing(path) as temporary, open(temporary, "wb") as file:
        file.write(b'{"type":"FeatureCollection","features":[')
        separator = b"\n"
        for label, polygon in outlines:
            feature = _feature(label, polygon, image_id, rows.get(label, {}))
            file.write(separator)
            file.write(orjson.dumps(feature, option=orjson.OPT_SERIALIZE_NUMPY))
            separator = b",\n"
        file.write(b"\n]}\n")


@cache
def measurement_name(column: str) -> str:
    """Turn a column of the fiber table into a QuPath measurement, ``area_um2`` to "Area µm^2"."""
    words = column.split("_")
    unit = _UNITS.get(words[-1]) if len(words) > 1 else None
    title = " ".join(word.capitalize() for word in (words[:-1] if unit else words))
    return f"{title} {unit}" if unit else title


def _feature(
    label: int, polygon: NDArray[np.float64], image_id: str, row: Mapping[str, Any]
) -> dict[str, Any]:
    closed = np.concatenate([polygon, polygon[:1]])
    ring = np.ascontiguousarray(np.round(closed, 2), dtype=np.float64)
    if not np.isfinite(ring).all():
        raise ValueError(f"fiber {label}: corners that are no numbers")
    name, color = _class_of(row)
    measurements: dict[str, float | str] = {}
    metadata = {"label": str(label)}
    for column, value in row.items():
        if isinstance(value, bool):
            measurements[measurement_name(column)] = int(value)
        elif isinstance(value, (int, float)):
            measurements[measurement_name(column)] = _number(value)
        elif isinstance(value, str) and value:
            metadata[column] = value
    return {
        "type": "Feature",
        "id": str(uuid.uuid5(_NAMESPACE, f"{image_id}/{label}")),
        "geometry": {"type": "Polygon", "coordinates": [ring]},
        "properties": {
            "objectType": "detection",
            "name": f"fiber {label}",
            "classification": {"name": name, "color": list(color)},
            "measurements": measurements,
            "metadata": metadata,
        },
    }


def _class_of(row: Mapping[str, Any]) -> tuple[str, tuple[int, int, int]]:
    if row.get("excluded"):
        return EXCLUDED_CLASS
    name, color = FIBER_CLASS
    kind = row.get("type")
    return (f"{name}: {kind}", TYPE_COLORS.get(kind, color)) if kind else FIBER_CLASS


def _number(value: float) -> float | str:
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    return value if isinstance(value, int) else round_significant(value)


def _rows_by_label(fibers: pd.DataFrame | None) -> dict[int, dict[str, Any]]:
    if fibers is None:
        return {}
    names = [str(name) for name in fibers.columns if name != "label"]
    columns = [_plain(fibers[name]) for name in names]
    labels = fibers["label"].tolist()
    rows = zip(*columns, strict=True) if columns else ((),) * len(labels)
    return {
        int(label): dict(zip(names, row, strict=True))
        for label, row in zip(labels, rows, strict=True)
    }


def _plain(column: pd.Series) -> list[Any]:
    """Values of a column: NaN for what is missing among numbers, empty for missing text."""
    values, missing = column.tolist(), column.isna().tolist()
    if not any(missing):
        return values
    absent = "" if column.dtype.kind in "OUT" else math.nan
    return [absent if gone else value for value, gone in zip(values, missing, strict=True)]
