"""Real labelled images for training: read on the working grid, with doubtful places masked."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

from biopsy_ai.checksum import file_sha256
from biopsy_ai.config import MPP_MAX, MPP_MIN, OUTLINE_MPP
from biopsy_ai.errors import ConfigError
from biopsy_ai.synthesis.raster import parted
from biopsy_ai.tissue_classes import FIBER, TISSUE_CLASSES
from biopsy_ai.training.targets import (
    NOT_CLASS,
    UNKNOWN_CLASS,
    Truth,
    make_nucleus_targets,
    make_targets,
)
from biopsy_ai.yaml_text import load_yaml

_NOT = "not "
"""Before a tissue class in a training list: no pixel belongs to it."""

_FILES = ("labels", "nuclei", "known")
_TEXTS = ("tissue", "patient", "slide")


@dataclass(frozen=True, eq=False)
class TrainingImage:
    """A real picture ready for cropping."""

    name: str
    image: NDArray[np.float32]
    """(H, W, 3), normalised as in prediction."""
    truth: Truth
    """Weight 0, or no class, where the truth is doubtful or not known."""
    labels: NDArray[np.int32]
    """(H, W) fibers; none in pictures without muscle."""
    nuclei: NDArray[np.int32] | None
    """(H, W) nuclei; None where they are not known."""
    license: str
    origin: Mapping[str, Any]
    """Names and hashes of its files, and how they were read."""

    @property
    def has_fibers(self) -> bool:
        """Whether fibers are labelled."""
        return bool(self.truth.fibers[..., 0].any())

    @property
    def knows_fibers(self) -> bool:
        """Whether it is known where fibers are, or that there are none."""
        return bool(self.truth.fibers[..., 3].any())


def read_training_list(path: str | Path) -> list[dict[str, Any]]:
    """Read the YAML list of real images that a model is trained on.

    Each entry has ``image``, ``mpp`` and ``license``. It may have

    - ``labels``, the label image of the fibers;
    - ``nuclei``, the label image of the nuclei, or their mask. A picture with nuclei and no
      labels teaches nuclei alone; one with neither shows no muscle;
    - ``tissue``, for pictures without labels: what all of it is, such as ``fat``, or what no part
      of it is, such as ``not fat``;
    - ``channel``, the border channel of immunofluorescence;
    - ``shrink_um``, how far the labels reach beyond the inner edge of the membrane (found by
      looking at the intensity across the outlines), so that they are drawn back to our convention;
    - ``known``, a mask, not 0 where the labels are complete. What lies elsewhere is not learned;
    - ``patient`` and ``slide``, what the picture comes from: a model that is retrained is judged
      on other patients, or else on other slides, than it learned from.

    Paths are relative to the file.

    Raises
    ------
    ConfigError
        If the file cannot be read, or an entry is incomplete or has a value of the wrong kind.
    """
    path = Path(path)
    try:
        entries = load_yaml(path.read_text(encoding="utf-8"))
    # ValueError: not UTF-8, or a date that does not exist.
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise ConfigError(f"{path}: the list of training images cannot be read ({error})") from None
    if not isinstance(entries, list):
        raise ConfigError(f"{path}: expected a list of images, each with image, mpp and license")
    return [
        _read_entry(entry, path.parent, f"{path}: entry {number}")
        for number, entry in enumerate(entries, start=1)
    ]


def _read_entry(entry: object, folder: Path, where: str) -> dict[str, Any]:
    """Check and convert an entry, whose paths are relative to `folder`."""
    needed = {"image", "mpp", "license"}
    known = needed | {*_FILES, *_TEXTS, "channel", "shrink_um"}
    if isinstance(entry, dict):
        # A key without a value says nothing.
        entry = {key: value for key, value in entry.items() if value not in (None, "")}
    if not isinstance(entry, dict) or not needed <= set(entry) <= known:
        raise ConfigError(
            f"{where} needs image, mpp and license, and may have labels, nuclei, known, tissue, "
            "channel, shrink_um, patient, slide"
        )
    read = dict(entry)
    for key in ("image", "license", *_FILES, *_TEXTS):
        if key in entry and not isinstance(entry[key], str):
            raise ConfigError(f"{where}: {key}: {entry[key]!r} is no text")
    if reason := _contradiction(read):
        raise ConfigError(f"{where} {reason}")
    for key in ("image", *_FILES):
        if key in entry:
            read[key] = folder / entry[key]
    read["mpp"] = _number(entry["mpp"])
    if not MPP_MIN <= read["mpp"] <= MPP_MAX:
        raise ConfigError(
            f"{where}: mpp: {entry['mpp']!r} is no pixel size in µm between {MPP_MIN} and {MPP_MAX}"
        )
    if "shrink_um" in entry:
        read["shrink_um"] = _number(entry["shrink_um"])
        if not 0 <= read["shrink_um"] < math.inf:
            raise ConfigError(
                f"{where}: shrink_um: {entry['shrink_um']!r} is no distance in µm, 0 or more"
            )
    if "channel" in entry:
        channel = _number(entry["channel"])
        if not (channel >= 0 and channel.is_integer()):
            raise ConfigError(
                f"{where}: channel: {entry['channel']!r} is no number of a channel, 0 or more"
            )
        read["channel"] = int(channel)
    return read


def _number(value: object) -> float:
    """Value as a number; NaN, which lies in no range, for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return math.nan
    try:
        # YAML takes 5e-1 for text.
        return float(value)
    except (ValueError, OverflowError):
        return math.nan


def _contradiction(entry: Mapping[str, Any]) -> str:
    """What in an entry cannot be or does not go together; empty if nothing."""
    if "tissue" in entry:
        if entry["tissue"].removeprefix(_NOT) not in TISSUE_CLASSES:
            return (
                f"has the tissue {entry['tissue']!r}; give one of {', '.join(TISSUE_CLASSES)}, or "
                '"not " before it'
            )
        if "labels" in entry:
            return "has tissue and labels; tissue is for pictures without labelled fibers"
    if "nuclei" in entry and "channel" in entry:
        return "has nuclei and channel; nuclei are learned from bright field only"
    return ""


def load_training_image(entry: dict[str, Any]) -> TrainingImage:
    """Read one entry of `read_training_list` on the 0.5 µm grid."""
    from biopsy_ai.formats.label_image import read_label_image
    from biopsy_ai.segmentation.picture import PictureReader
    from biopsy_ai.slides import open_slide

    channels = {"border": entry["channel"]} if "channel" in entry else None
    with open_slide(entry["image"], mpp=entry["mpp"], channels=channels) as slide:
        shape = slide.grid_shape(OUTLINE_MPP)
        image = PictureReader.of_slide(slide, OUTLINE_MPP).read(0, 0, *shape)
        origin = _origin(entry, slide.sha256())

    def on_grid(path: Path) -> NDArray:
        source = read_label_image(path)[0]
        rows = ((np.arange(shape[0]) + 0.5) * source.shape[0] / shape[0]).astype(int)
        cols = ((np.arange(shape[1]) + 0.5) * source.shape[1] / shape[1]).astype(int)
        grid: NDArray = np.asarray(source)[rows[:, None], cols]
        return grid

    labels = np.zeros(shape, dtype=np.int32)
    nuclei = single_nuclei(on_grid(entry["nuclei"])) if "nuclei" in entry else None
    if "labels" in entry:
        labels = shrink_labels(on_grid(entry["labels"]), entry.get("shrink_um", 0.0))
    fibers = make_targets(labels, OUTLINE_MPP)
    if "labels" in entry and channels is None:
        fibers[_unlabelled_fibers(image, labels), 3] = 0
    elif nuclei is not None and "labels" not in entry:
        fibers[..., 3] = 0
    if "known" in entry:
        fibers[on_grid(entry["known"]) == 0, 3] = 0
    truth = Truth(
        fibers,
        make_nucleus_targets(
            np.zeros(shape, np.int32) if nuclei is None else nuclei,
            OUTLINE_MPP,
            known=np.full(shape, nuclei is not None),
        ),
        _tissue(entry, fibers),
    )
    return TrainingImage(
        slide.name, image, truth, labels.astype(np.int32), nuclei, entry["license"], origin
    )


def single_nuclei(labels: NDArray) -> NDArray[np.int32]:
    """Nuclei of a label image; the pieces of a mask, whose nuclei all carry one number."""
    import cv2

    if len(np.unique(labels[labels > 0])) == 1:
        mask = (labels > 0).astype(np.uint8)
        labels = cv2.connectedComponents(mask, connectivity=4, ltype=cv2.CV_32S)[1]
    return labels.astype(np.int32)


def _tissue(entry: Mapping[str, Any], fibers: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Tissue class of every pixel, as far as an entry tells."""
    if "tissue" in entry:
        text = str(entry["tissue"])
        value = TISSUE_CLASSES.index(text.removeprefix(_NOT))
        value += NOT_CLASS if text.startswith(_NOT) else 0
        return np.full(fibers.shape[:2], value, np.uint8)
    tissue = np.where(fibers[..., 0] > 0, FIBER, NOT_CLASS + FIBER)
    return np.where(fibers[..., 3] > 0, tissue, UNKNOWN_CLASS).astype(np.uint8)


def _origin(entry: dict[str, Any], image_sha256: str) -> dict[str, Any]:
    labels, nuclei = entry.get("labels"), entry.get("nuclei")
    return {
        "image": Path(entry["image"]).name,
        "image_sha256": image_sha256,
        "labels_sha256": file_sha256(labels) if labels else None,
        "nuclei_sha256": file_sha256(nuclei) if nuclei else None,
        **({"known_sha256": file_sha256(entry["known"])} if "known" in entry else {}),
        "tissue": entry.get("tissue"),
        "mpp": entry["mpp"],
        "channel": entry.get("channel"),
        "shrink_um": entry.get("shrink_um", 0.0),
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
