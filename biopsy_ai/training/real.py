"""Real labelled images for training: read on the working grid, with doubtful places masked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

from biopsy_ai.checksum import file_sha256
from biopsy_ai.config import OUTLINE_MPP
from biopsy_ai.errors import ConfigError
from biopsy_ai.synthesis.raster import parted
from biopsy_ai.training.targets import make_targets


@dataclass(frozen=True)
class TrainingImage:
    """A real picture ready for cropping."""

    name: str
    image: NDArray[np.float32]
    """(H, W, 3), normalised as in prediction."""
    targets: NDArray[np.uint8]
    """(H, W, 4), see `make_targets`; weight 0 where the truth is doubtful."""
    labels: NDArray[np.int32]
    """(H, W) fibers; none in pictures without muscle."""
    license: str
    origin: Mapping[str, Any]
    """Names and hashes of its files, and how they were read."""


def read_training_list(path: str | Path) -> list[dict[str, Any]]:
    """Read the YAML list of real images that a model is trained on.

    Each entry has ``image``, ``mpp`` and ``license``; ``labels`` names the label image (left out
    for pictures without muscle), ``channel`` the border channel of immunofluorescence,
    ``shrink_um`` how far the labels reach beyond the inner edge of the membrane (found by looking
    at the intensity across the outlines), so that they are drawn back to our convention.
    Paths are relative to the file.

    Raises
    ------
    ConfigError
        If the file cannot be read or an entry is incomplete.
    """
    path = Path(path)
    try:
        entries = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as error:
        raise ConfigError(f"{path}: the list of training images cannot be read ({error})") from None
    if not isinstance(entries, list):
        raise ConfigError(f"{path}: expected a list of images, each with image, mpp and license")
    known = {"image", "labels", "mpp", "channel", "shrink_um", "license"}
    for number, entry in enumerate(entries, start=1):
        if not isinstance(entry, dict) or not {"image", "mpp", "license"} <= set(entry) <= known:
            raise ConfigError(
                f"{path}: entry {number} needs image, mpp and license, and may have labels, "
                "channel, shrink_um"
            )
    return [{**e, "image": path.parent / e["image"]} | _labels(path, e) for e in entries]


def _labels(path: Path, entry: dict[str, Any]) -> dict[str, Any]:
    return {"labels": path.parent / entry["labels"]} if entry.get("labels") else {}


def load_training_image(entry: dict[str, Any]) -> TrainingImage:
    """Read one entry of `read_training_list` on the 0.5 µm grid."""
    from biopsy_ai.formats.label_image import read_label_image
    from biopsy_ai.segmentation.picture import PictureReader
    from biopsy_ai.slides import open_slide

    channels = {"border": int(entry["channel"])} if "channel" in entry else None
    with open_slide(entry["image"], mpp=float(entry["mpp"]), channels=channels) as slide:
        shape = slide.grid_shape(OUTLINE_MPP)
        image = PictureReader.of_slide(slide, OUTLINE_MPP).read(0, 0, *shape)
        if "labels" not in entry:
            labels = np.zeros(shape, dtype=np.int32)
            targets = make_targets(labels, OUTLINE_MPP)
            return TrainingImage(
                slide.name, image, targets, labels, entry["license"], _origin(entry, slide.sha256())
            )
        source = read_label_image(entry["labels"])[0]
        origin = _origin(entry, slide.sha256())
    rows = ((np.arange(shape[0]) + 0.5) * source.shape[0] / shape[0]).astype(int)
    cols = ((np.arange(shape[1]) + 0.5) * source.shape[1] / shape[1]).astype(int)
    labels = shrink_labels(source[rows[:, None], cols], float(entry.get("shrink_um", 0)))
    targets = make_targets(labels, OUTLINE_MPP)
    if channels is None:
        targets[_unlabelled_fibers(image, labels)] *= np.array([1, 1, 1, 0], dtype=np.uint8)
    labels = labels.astype(np.int32)
    return TrainingImage(slide.name, image, targets, labels, entry["license"], origin)


def _origin(entry: dict[str, Any], image_sha256: str) -> dict[str, Any]:
    labels = entry.get("labels")
    return {
        "image": Path(entry["image"]).name,
        "image_sha256": image_sha256,
        "labels_sha256": file_sha256(labels) if labels else None,
        "mpp": float(entry["mpp"]),
        "channel": int(entry["channel"]) if "channel" in entry else None,
        "shrink_um": float(entry.get("shrink_um", 0)),
    }


def shrink_labels(labels: NDArray, shrink_um: float) -> NDArray:
    """Draw every label on the 0.5 µm grid back by a distance in µm."""
    import cv2

    if shrink_um <= 0:
        return labels
    depth = cv2.distanceTransform(parted(labels), cv2.DIST_L2, 5) * OUTLINE_MPP
    return np.where(depth > shrink_um, labels, 0)


def _unlabelled_fibers(image: NDArray[np.float32], labels: NDArray) -> NDArray[np.bool_]:
    """Places without a label that are as dense as the labelled fibers: likely missed fibers.

    Published label sets lack some fibers; teaching the network that those are background
    would cost recall, so that they count neither way.
    """
    import cv2

    density = 1 - image.min(axis=2)
    inside = labels > 0
    if not inside.any():
        return np.zeros(labels.shape, dtype=bool)
    dense = (density > np.quantile(density[inside], 0.05)) & ~inside
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (13, 13))
    cores = cv2.morphologyEx(dense.astype(np.uint8), cv2.MORPH_OPEN, disc)
    wide = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (11, 11))
    return (cv2.dilate(cores, wide) > 0) & ~inside
