"""Outlines read from GeoJSON as QuPath, and tools that follow it, write it."""

from __future__ import annotations

import gzip
import io
import json
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from biopsy_ai.errors import OutlineReadError
from biopsy_ai.formats.contours import fill_rings, ring_area
from biopsy_ai.formats.outline_files import (
    MAX_BYTES,
    Outline,
    ReadOutlines,
    label_from_name,
    number_outlines,
)

REGION_FILLED = 0.3
"""Least share of a region that the annotations in it fill; nuclei fill less of a fiber.
[default]"""

REGION_FIBERS = 5
"""Annotations from which on they need not, if they are most of the file. [default]"""

NO_FIBERS = ("nucleus", "nuclei", "tissue", "region", "region*", "ignore*")
"""Classes of QuPath, in small letters, whose objects are never fibers."""

_MISUNDERSTOOD = (TypeError, ValueError, AttributeError, RecursionError)


def read_geojson(path: str | Path) -> ReadOutlines:
    """Read outlines from GeoJSON as QuPath, and tools that follow it, write it.

    A feature collection, a list of features, one feature or one geometry; plain, gzipped or
    zipped. Annotations, detections and cells (their outer boundary) are taken, with Polygon or
    MultiPolygon geometry. A fiber keeps the number in ``metadata.label`` or in its name
    ("fiber 12", "12"); others are numbered in the order of the file. An annotation around
    several detections or cells is a region and no fiber, and so is one around several other
    annotations that fill much of it, or that are most of the file; nuclei inside a fiber do not.
    Objects of the classes `NO_FIBERS` are passed over.

    Parameters
    ----------
    path
        The file.

    Returns
    -------
    ReadOutlines
        Outlines in (x, y) pixels of the original image.

    Raises
    ------
    OutlineReadError
        The file is missing, damaged or no GeoJSON.
    """
    content = _load(path)
    found: list[tuple[Mapping[str, Any], tuple[NDArray[np.float64], ...]]] = []
    n_skipped = 0
    try:
        for feature in _features(content):
            rings = _rings(feature.get("geometry"))
            if rings and _class_name(feature).lower() not in NO_FIBERS:
                found.append((feature, rings))
            else:
                n_skipped += 1
        regions = _regions(found)
        kept = [item for i, item in enumerate(found) if i not in regions]
        numbers = number_outlines([_proposed_label(feature) for feature, _ in kept])
    except _MISUNDERSTOOD as error:
        raise _misunderstood(path, error) from error
    outlines = tuple(
        Outline(number, rings) for number, (_, rings) in zip(numbers, kept, strict=True)
    )
    return ReadOutlines(outlines, n_skipped + len(regions))


def read_annotation(path: str | Path) -> NDArray[np.float64]:
    """Read the one annotation of a GeoJSON file, such as the outline of a region.

    Detections and cells beside it are passed over; a file without annotations may hold one shape
    of another kind. Gives (x, y) in pixels of the original image.

    Raises
    ------
    OutlineReadError
        The file cannot be read, or does not hold one shape without holes.
    """
    content = _load(path)
    try:
        shapes = [(_object_type(item), _rings(item.get("geometry"))) for item in _features(content)]
    except _MISUNDERSTOOD as error:
        raise _misunderstood(path, error) from error
    drawn = [(kind, rings) for kind, rings in shapes if rings]
    chosen = [rings for kind, rings in drawn if kind == "annotation"]
    chosen = chosen or [rings for _, rings in drawn]
    if not chosen:
        raise OutlineReadError(
            f"{path}: holds no shape with an area; at least three corners are needed."
        )
    if len(chosen) > 1:
        raise OutlineReadError(
            f"{path}: holds {len(chosen)} shapes, and one is needed. Select it in QuPath and "
            "choose File > Export objects as GeoJSON > Selected objects."
        )
    if len(chosen[0]) > 1:
        raise OutlineReadError(f"{path}: the shape has holes or several parts; draw one without.")
    return chosen[0][0]


def _misunderstood(path: str | Path, error: Exception) -> OutlineReadError:
    return OutlineReadError(
        f"{path}: has a feature that cannot be understood ({error}). "
        "Export it again from QuPath with File > Export objects as GeoJSON."
    )


def _load(path: str | Path) -> Any:
    try:
        return json.loads(_text(Path(path)))
    except OSError as error:
        raise OutlineReadError(f"{path}: cannot be read ({error.strerror or error}).") from error
    except (ValueError, RuntimeError, EOFError, zlib.error, zipfile.BadZipFile) as error:
        raise OutlineReadError(
            f"{path}: is not valid GeoJSON ({error}). Export it again from QuPath with "
            "File > Export objects as GeoJSON."
        ) from error


def _text(path: Path) -> str:
    with open(path, "rb") as file:
        magic = file.read(2)
    if magic == b"PK":
        with zipfile.ZipFile(path) as archive:
            names = [n for n in archive.namelist() if n.lower().endswith((".geojson", ".json"))]
            if len(names) != 1:
                raise ValueError(f"the archive holds {len(names)} GeoJSON files, not one")
            with archive.open(names[0]) as file:
                data = _limited(file)
    elif magic == b"\x1f\x8b":
        with gzip.open(path) as file:
            data = _limited(file)
    else:
        with open(path, "rb") as file:
            data = _limited(file)
    return data.decode("utf-8-sig")


def _limited(file: Any) -> bytes:
    buffer = io.BytesIO()
    while chunk := file.read(1 << 20):
        buffer.write(chunk)
        if buffer.tell() > MAX_BYTES:
            raise ValueError(f"more than {MAX_BYTES >> 30} GiB of text")
    return buffer.getvalue()


def _features(content: Any) -> Iterator[Mapping[str, Any]]:
    """Go through every feature, also those that stand below others in the object hierarchy."""
    if isinstance(content, list):
        for item in content:
            yield from _features(item)
        return
    if not isinstance(content, dict):
        raise ValueError("expected a GeoJSON object")
    kind = content.get("type")
    if kind == "FeatureCollection":
        yield from _features(content.get("features") or [])
    elif kind in ("Polygon", "MultiPolygon"):
        yield {"geometry": content}
    elif "geometry" in content:
        yield content
        yield from _features((content.get("properties") or {}).get("childObjects") or [])
    else:
        raise ValueError(f"expected features, found {kind!r}")


def _rings(geometry: Any) -> tuple[NDArray[np.float64], ...]:
    """Rings of a polygon with an area, without the repeated last point."""
    if not isinstance(geometry, dict):
        return ()
    coordinates = geometry.get("coordinates")
    if geometry.get("type") == "Polygon":
        polygons = [coordinates]
    elif geometry.get("type") == "MultiPolygon":
        polygons = list(coordinates or [])
    else:
        return ()
    rings = []
    for ring in (ring for polygon in polygons for ring in polygon or []):
        points = np.array(ring, dtype=np.float64)
        if points.size == 0:
            continue
        if points.ndim != 2 or points.shape[1] < 2:
            raise ValueError("a polygon is not a list of points")
        points = points[:, :2]
        if len(points) > 1 and (points[0] == points[-1]).all():
            points = points[:-1]
        if not np.isfinite(points).all():
            raise ValueError("a coordinate is not a finite number")
        if len(points) >= 3 and ring_area(points) > 0:
            rings.append(points)
    return tuple(rings)


def _object_type(feature: Mapping[str, Any]) -> str:
    properties = feature.get("properties") or {}
    kind = properties.get("objectType") or properties.get("object_type") or "annotation"
    return str(kind).removeprefix("PathObject").removeprefix("Path").removesuffix("Object").lower()


def _class_name(feature: Mapping[str, Any]) -> str:
    """Name of the class of an object, empty where it has none."""
    given = (feature.get("properties") or {}).get("classification")
    if isinstance(given, Mapping):
        given = given.get("name") or ": ".join(map(str, given.get("names") or []))
    return str(given or "").strip()


def _proposed_label(feature: Mapping[str, Any]) -> int | None:
    properties = feature.get("properties") or {}
    metadata = properties.get("metadata") or {}
    for value in (metadata.get("label"), properties.get("label"), properties.get("name")):
        label = label_from_name(value)
        if label is not None:
            return label
    return None


def _regions(
    found: list[tuple[Mapping[str, Any], tuple[NDArray[np.float64], ...]]],
) -> set[int]:
    """Find the annotations that are drawn around fibers and are none themselves."""
    from scipy.spatial import KDTree

    kinds = np.array([_object_type(feature) for feature, _ in found])
    annotations = np.flatnonzero(kinds == "annotation")
    if not len(annotations) or len(found) < 3:
        return set()
    corners = np.array([(rings[0].min(axis=0), rings[0].max(axis=0)) for _, rings in found])
    middles = corners.mean(axis=1)
    areas = np.array([ring_area(rings[0]) for _, rings in found])
    found_by_program = np.isin(kinds, ("detection", "cell", "tile"))
    tree = KDTree(middles)
    reach = (corners[:, 1] - corners[:, 0]).max(axis=1) / 2
    n_close = tree.query_ball_point(
        middles[annotations], reach[annotations], p=np.inf, return_length=True
    )
    regions = set()
    for i in annotations[n_close > 2]:
        close = tree.query_ball_point(middles[i], reach[i], p=np.inf)
        # nothing surrounds what is as large as itself
        smaller = [k for k in close if areas[k] < areas[i] / 2]
        around = [k for k in smaller if _holds(found[i][1], middles[k])]
        if len(around) < 2:
            continue
        much = areas[around].sum() >= REGION_FILLED * areas[i]
        most = len(around) >= max(REGION_FIBERS, (len(found) - 1) / 2)
        if np.count_nonzero(found_by_program[around]) >= 2 or much or most:
            regions.add(int(i))
    return regions


def _holds(rings: tuple[NDArray[np.float64], ...], point: NDArray[np.float64]) -> bool:
    # the point is the center of the only pixel of a mask
    x, y = point
    return bool(fill_rings(rings, (1, 1), origin=(x - 0.5, y - 0.5)).any())
