"""COCO annotations: outlines of fibers in many images, as polygons or run lengths, in one JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from biopsy_ai.errors import OutlineReadError
from biopsy_ai.formats.contours import fill_rings, ring_area
from biopsy_ai.formats.outline_files import MAX_BYTES

MAX_SIDE = 100_000
"""Images with a longer side, pixels, are refused."""

MAX_PX = 1 << 28
"""Images with more pixels are refused: run lengths are unpacked whole."""


@dataclass(frozen=True, eq=False)
class CocoImage:
    """What a COCO file says of one image.

    Attributes
    ----------
    file_name
        As it stands in the file; may hold folders.
    shape
        Rows and columns.
    annotations
        As they stand in the file, of this image alone.
    """

    file_name: str
    shape: tuple[int, int]
    annotations: tuple[Mapping[str, Any], ...]


@dataclass(frozen=True, eq=False)
class CocoLabels:
    """The fibers of one image.

    Attributes
    ----------
    labels
        (H, W) int32; where outlines overlap, the smaller is on top.
    unknown
        (H, W) bool, the crowds: regions in which fibers are not told apart; None without any.
    n_overlapping
        Fibers of which others cover more than a tenth.
    """

    labels: NDArray[np.int32]
    unknown: NDArray[np.bool_] | None
    n_overlapping: int


def is_coco(path: str | Path) -> bool:
    """Whether a JSON file holds COCO annotations; never raises."""
    try:
        content = _load(Path(path))
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(content, dict) and {"images", "annotations"} <= content.keys()


def read_coco(path: str | Path) -> list[CocoImage]:
    """Read which images a COCO file tells of, without drawing anything.

    Raises
    ------
    OutlineReadError
        The file cannot be read, or is no COCO file.
    """
    path = Path(path)
    try:
        content = _load(path)
        by_image: dict[Any, list[Mapping[str, Any]]] = {}
        for annotation in content["annotations"]:
            by_image.setdefault(annotation["image_id"], []).append(annotation)
        images = []
        for image in content["images"]:
            shape = int(image["height"]), int(image["width"])
            if not (0 < min(shape) <= max(shape) <= MAX_SIDE and shape[0] * shape[1] <= MAX_PX):
                raise ValueError(f"an image of {shape[1]} × {shape[0]} px")
            found = tuple(by_image.get(image["id"], ()))
            images.append(CocoImage(str(image["file_name"]), shape, found))
    except OSError as error:
        raise OutlineReadError(f"{path}: cannot be read ({error.strerror or error}).") from error
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise OutlineReadError(
            f"{path}: is no complete COCO file ({error}). Export it again."
        ) from error
    return images


def draw_coco(image: CocoImage, path: str | Path) -> CocoLabels:
    """Draw the fibers of one image, numbered from 1 in the order of the file.

    Parameters
    ----------
    image
        From `read_coco`.
    path
        The file, for messages.

    Raises
    ------
    OutlineReadError
        An annotation cannot be understood.
    """
    masks: list[tuple[int, int, NDArray[np.int64]]] = []
    unknown = np.zeros(image.shape, dtype=bool)
    number = 0
    for annotation in image.annotations:
        try:
            mask = _mask(annotation["segmentation"], image.shape)
        except (ValueError, TypeError, KeyError, IndexError) as error:
            raise OutlineReadError(
                f"{path}: annotation {annotation.get('id')} of {image.file_name} cannot be "
                f"understood ({error}). Export it again with polygons or run lengths."
            ) from error
        if annotation.get("iscrowd"):
            # Also single objects may stand as run lengths, but those are no crowds.
            unknown |= mask
            continue
        number += 1
        # Kept as places: a mask of the whole image for each fiber would fill the memory.
        masks.append((number, int(mask.sum()), np.flatnonzero(mask)))
    labels = np.zeros(image.shape[0] * image.shape[1], dtype=np.int32)
    for label, _, places in sorted(masks, key=lambda item: -item[1]):
        labels[places] = label
    left = np.bincount(labels, minlength=number + 1)
    n_overlapping = sum(area > 0 and left[label] < 0.9 * area for label, area, _ in masks)
    unknown &= labels.reshape(image.shape) == 0
    return CocoLabels(
        labels.reshape(image.shape), unknown if unknown.any() else None, int(n_overlapping)
    )


def _load(path: Path) -> Any:
    if path.stat().st_size > MAX_BYTES:
        raise ValueError(f"larger than {MAX_BYTES >> 30} GiB")
    return json.loads(path.read_text(encoding="utf-8-sig"))


def _mask(segmentation: Any, shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Pixels of one annotation."""
    if isinstance(segmentation, Mapping):
        if tuple(int(n) for n in segmentation["size"]) != shape:
            raise ValueError(f"run lengths for {segmentation['size']}, the image has {list(shape)}")
        counts = segmentation["counts"]
        runs = _unpacked(counts) if isinstance(counts, str | bytes) else [int(n) for n in counts]
        return _from_runs(runs, shape)
    rings = []
    for part in segmentation:
        points = np.asarray(part, dtype=np.float64).reshape(-1, 2)
        if not np.isfinite(points).all():
            raise ValueError("a coordinate that is not finite")
        if len(points) >= 3 and ring_area(points) > 0:
            rings.append(points[:, ::-1])
    mask = np.zeros(shape, dtype=bool)
    # Parts of a fiber are joined, whereas rings inside each other would be holes.
    for ring in rings:
        low = np.clip(np.floor(ring.min(axis=0)), 0, shape).astype(int)
        high = np.clip(np.ceil(ring.max(axis=0)), 0, shape).astype(int)
        if (high > low).all():
            box = slice(low[0], high[0]), slice(low[1], high[1])
            size = (int(high[0] - low[0]), int(high[1] - low[1]))
            mask[box] |= fill_rings([ring], size, origin=(int(low[0]), int(low[1])))
    return mask


def _from_runs(runs: Sequence[int], shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Pixels from lengths of runs outside and inside by turns, column by column."""
    lengths = np.asarray(runs, dtype=np.int64)
    if (lengths < 0).any() or lengths.sum() != shape[0] * shape[1]:
        raise ValueError("run lengths that do not fill the image")
    inside = np.arange(len(lengths)) % 2 == 1
    return np.repeat(inside, lengths).reshape(shape, order="F")


def _unpacked(text: str | bytes) -> list[int]:
    """Run lengths from COCO's text: groups of five bits, later ones as differences."""
    data = text.encode("ascii") if isinstance(text, str) else text
    runs: list[int] = []
    place = 0
    while place < len(data):
        value, shift, more = 0, 0, True
        while more:
            group = data[place] - 48
            if not 0 <= group < 64:
                raise ValueError("run lengths in an unknown code")
            value |= (group & 0x1F) << shift
            more = bool(group & 0x20)
            place += 1
            shift += 5
            if not more and group & 0x10:
                value |= -1 << shift
        runs.append(value + runs[-2] if len(runs) > 2 else value)
    return runs
