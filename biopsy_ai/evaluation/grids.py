"""Bring label images of one field, drawn with different pixels, to the same grid."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from biopsy_ai.errors import OutlineReadError
from biopsy_ai.evaluation.matching import LabelImage

FIELD_TOLERANCE = 0.02
"""Relative difference up to which two label images are taken to show the same field. [default]"""


@dataclass(frozen=True)
class LabelField:
    """A label image as read from a file, with the field that it covers.

    Attributes
    ----------
    path
        The file, for messages.
    labels
        Shape (H, W), a numpy array or one on disk; 0 is background.
    mpp
        Pixel size in µm (y, x), or None where it is not known.
    """

    path: Path
    labels: LabelImage
    mpp: tuple[float, float] | None


def match_grids(predicted: LabelField, truth: LabelField) -> tuple[LabelField, LabelField]:
    """Draw the prediction with the pixels of the truth, and complete the pixel sizes.

    Both must show the same field: where both pixel sizes are known, height and width in µm, and
    otherwise the ratio of height to width may differ by `FIELD_TOLERANCE` or a pixel.

    Returns
    -------
    predicted, truth
        Both of the shape and pixel size of the truth. The pixel size of a truth without one
        follows from that of the prediction.

    Raises
    ------
    OutlineReadError
        If the fields differ.
    """
    for file in (predicted, truth):
        if file.labels.ndim != 2 or 0 in file.labels.shape:
            raise OutlineReadError(f"{file.path}: expected a label image of two dimensions")
    _check_field(predicted, truth)
    shape, source = truth.labels.shape, predicted.labels.shape
    mpp = truth.mpp
    if mpp is None and predicted.mpp is not None:
        mpp = (
            predicted.mpp[0] * source[0] / shape[0],
            predicted.mpp[1] * source[1] / shape[1],
        )
    scale = (source[0] / shape[0], source[1] / shape[1])
    if truth.mpp is not None and predicted.mpp is not None:
        by_size = tuple(new / old for new, old in zip(truth.mpp, predicted.mpp, strict=True))
        if all(round(n * s) == m for n, s, m in zip(shape, by_size, source, strict=True)):
            # The shape is what rounding to whole pixels leaves; the pixel size is exact.
            scale = (by_size[0], by_size[1])
    labels = to_grid(predicted.labels, shape, scale)
    return replace(predicted, labels=labels, mpp=mpp), replace(truth, mpp=mpp)


def to_grid(
    image: npt.NDArray[Any],
    shape: tuple[int, ...],
    scale: tuple[float, float] | None = None,
) -> npt.NDArray[Any]:
    """Resample an image to another shape over the same field, nearest neighbor.

    Parameters
    ----------
    image
        Shape (h, w).
    shape
        New shape (H, W).
    scale
        Old pixels per new pixel (y, x); default is the ratio of the shapes. The top-left corners
        coincide.
    """
    if image.shape == tuple(shape) and (scale is None or scale == (1.0, 1.0)):
        return image
    indices = []
    for axis in (0, 1):
        step = scale[axis] if scale is not None else image.shape[axis] / shape[axis]
        centers = np.floor((np.arange(shape[axis]) + 0.5) * step).astype(np.int64)
        indices.append(np.minimum(centers, image.shape[axis] - 1))
    return np.take(np.take(np.asarray(image), indices[0], axis=0), indices[1], axis=1)


def _check_field(predicted: LabelField, truth: LabelField) -> None:
    (h, w), (height, width) = predicted.labels.shape, truth.labels.shape
    # Rounding to whole pixels moves a side by up to a pixel, which counts in small images.
    slack_y = max(FIELD_TOLERANCE, 1 / h, 1 / height)
    slack_x = max(FIELD_TOLERANCE, 1 / w, 1 / width)
    if predicted.mpp is not None and truth.mpp is not None:
        ratio_y = h * predicted.mpp[0] / (height * truth.mpp[0])
        ratio_x = w * predicted.mpp[1] / (width * truth.mpp[1])
        if abs(ratio_y - 1) > slack_y or abs(ratio_x - 1) > slack_x:
            raise OutlineReadError(
                f"{predicted.path}: covers {_field(predicted)}, but {truth.path} covers "
                f"{_field(truth)}; give label images of the same field, and the pixel size of the "
                "truth with --mpp if the one in its file is wrong"
            )
        return
    if abs((h / w) / (height / width) - 1) > max(slack_y, slack_x):
        raise OutlineReadError(
            f"{predicted.path}: {h} × {w} pixels, but {truth.path}: {height} × {width}; their "
            "sides are not in the same proportion, so they do not show the same field"
        )


def _field(file: LabelField) -> str:
    assert file.mpp is not None
    height, width = (
        length * size for length, size in zip(file.labels.shape, file.mpp, strict=True)
    )
    return f"{height:.0f} × {width:.0f} µm"
