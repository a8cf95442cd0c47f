"""Small pictures with labels, in every form in which people bring them for training."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
import yaml
from numpy.typing import NDArray

from biopsy_ai.formats.contours import fiber_polygons, to_image_xy
from biopsy_ai.formats.imagej import write_roiset
from biopsy_ai.labels import find_boxes
from biopsy_ai.synthesis import SectionParams, SyntheticSection, TissueParams, synthesize_section

MPP = 0.5


@cache
def drawn_section(seed: int = 1, size_um: float = 150.0) -> SyntheticSection:
    """A section of some twenty fibers or more."""
    params = SectionParams(TissueParams(diameter_um=(26.0, 26.0)), size_um=(size_um, size_um))
    return synthesize_section(params, seed)


def shifted(labels: NDArray[Any], rows: int, columns: int) -> NDArray[Any]:
    """Labels moved down and to the right; what leaves the picture is gone."""
    moved = np.zeros_like(labels)
    moved[rows:, columns:] = labels[: labels.shape[0] - rows, : labels.shape[1] - columns]
    return moved


def write_picture(path: Path, image: NDArray[Any], mpp: float | None = MPP) -> Path:
    """Write a picture with or without its pixel size."""
    given: dict[str, Any] = {}
    if mpp is not None:
        given = {"resolution": (1e4 / mpp, 1e4 / mpp), "resolutionunit": "CENTIMETER"}
    path.parent.mkdir(parents=True, exist_ok=True)
    tifffile.imwrite(path, image, photometric="rgb", **given)
    return path


def write_pair(
    folder: Path, name: str, seed: int = 1, *, labels: NDArray[Any] | None = None, **options: Any
) -> Path:
    """Write a picture and its label image ``NAME_fibers.tif``."""
    section = drawn_section(seed)
    path = write_picture(folder / f"{name}.tif", section.image, **options)
    drawn = section.labels if labels is None else labels
    tifffile.imwrite(folder / f"{name}_fibers.tif", drawn.astype(np.uint16))
    return path


def rings_of(labels: NDArray[Any]) -> dict[int, NDArray[np.float64]]:
    """Polygon (x, y) of each fiber."""
    ids, boxes = find_boxes(labels)
    return {
        label: to_image_xy(ring, (1, 1), (1, 1))
        for label, ring in fiber_polygons(labels, ids, boxes)
    }


def write_geojson(path: Path, labels: NDArray[Any]) -> None:
    """Write outlines as QuPath does."""
    features = [
        {
            "type": "Feature",
            "geometry": {
                "type": "Polygon",
                "coordinates": [[*ring.tolist(), ring[0].tolist()]],
            },
            "properties": {"objectType": "detection", "name": f"fiber {label}"},
        }
        for label, ring in rings_of(labels).items()
    ]
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))


def write_rois(path: Path, labels: NDArray[Any]) -> None:
    """Write outlines as ImageJ does."""
    write_roiset(path, rings_of(labels).items())


def write_coco(path: Path, pictures: dict[str, NDArray[Any]]) -> None:
    """Write the outlines of several pictures as COCO does."""
    images, annotations = [], []
    for number, (name, labels) in enumerate(pictures.items(), start=1):
        height, width = labels.shape
        images.append({"id": number, "file_name": name, "height": height, "width": width})
        annotations += [
            {
                "id": len(annotations) + k,
                "image_id": number,
                "iscrowd": 0,
                "segmentation": [ring.ravel().tolist()],
            }
            for k, ring in enumerate(rings_of(labels).values(), start=1)
        ]
    path.write_text(json.dumps({"images": images, "annotations": annotations}))


def write_seg(path: Path, labels: NDArray[Any]) -> None:
    """Write masks as Cellpose does."""
    np.save(path, {"masks": labels.astype(np.uint16), "filename": "a"}, allow_pickle=True)  # type: ignore[arg-type]


def write_reviewed(
    folder: Path, seed: int = 1, *, known: NDArray[Any] | None = None, **item: Any
) -> Path:
    """Write a picture as it is exported from a review."""
    section = drawn_section(seed)
    write_picture(folder / "image.tif", section.image)
    tifffile.imwrite(folder / "fibers.tif", section.labels.astype(np.int32))
    where = np.full(section.labels.shape, 255, np.uint8) if known is None else known
    tifffile.imwrite(folder / "known.tif", where)
    content = {
        "image": "image.tif",
        "labels": "fibers.tif",
        "known": "known.tif",
        "mpp": MPP,
        "stain": "he",
        "slide": f"{folder.name}.svs",
        "image_sha256": f"{seed:064x}",
        "license": "not stated",
        "reviewers": ["Ada"],
        "n_edits": 3,
        "biopsy_ai_version": "0.6.0",
    }
    (folder / "item.yaml").write_text(yaml.safe_dump(content | item))
    return folder
