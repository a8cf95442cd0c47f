"""Pictures of every disagreement, for a person to judge who is right."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from skimage.segmentation import find_boundaries

from biopsy_ai.evaluation import Matching

TRUE, PREDICTED = (255, 235, 0), (0, 200, 255)
MISSED, EXTRA, POOR = (255, 40, 40), (40, 90, 255), (255, 140, 0)
"""Colors: outlines of the truth and of the prediction; missed, extra, and badly fitting fibers."""

POOR_IOU = 0.75
CROP_PX = 320
COLUMNS = 3

Rgb = npt.NDArray[np.uint8]
Labels = npt.NDArray[np.integer[Any]]


def to_rgb(image: npt.NDArray[Any], border_channel: int | None = None) -> Rgb:
    """Make an image of any kind visible; of fluorescence, the border channel."""
    if border_channel is None and image.shape[-1] == 3 and image.dtype == np.uint8:
        return np.ascontiguousarray(image)
    gray = image[..., border_channel or 0].astype(np.float32)
    low, high = np.percentile(gray, [0.5, 99.7])
    gray = 255 * np.clip((gray - low) / max(float(high - low), 1e-6), 0, 1) ** 0.7
    return np.repeat(gray[..., None], 3, axis=-1).astype(np.uint8)


def draw_disagreements(
    image: Rgb, predicted: Labels, truth: Labels, matching: Matching
) -> tuple[Rgb, list[tuple[str, tuple[int, int]]]]:
    """Draw both outlines over the image and tint what does not agree.

    Returns
    -------
    picture
        Shape (H, W, 3). Yellow: true outlines; cyan: predicted ones; red areas: missed fibers;
        blue: extra ones; orange: pairs of an IoU below `POOR_IOU`.
    places
        What and where (row, column) each disagreement is, worst kind first.
    """
    picture = image.copy()
    poor = matching.pairs[matching.ious < POOR_IOU]
    places: list[tuple[str, tuple[int, int]]] = []
    for kind, labels, wanted, color in (
        ("missed", truth, matching.unmatched_truth, MISSED),
        ("extra", predicted, matching.unmatched_predicted, EXTRA),
        ("poor", truth, poor[:, 1], POOR),
    ):
        inside = np.isin(labels, wanted)
        picture[inside] = (0.65 * picture[inside] + 0.35 * np.array(color)).astype(np.uint8)
        for label in wanted:
            rows, columns = np.nonzero(labels == label)
            middle = (int(rows.mean()), int(columns.mean()))
            places.append((f"{kind} {label}", middle))
    picture[find_boundaries(truth, mode="inner")] = TRUE
    picture[find_boundaries(predicted, mode="inner")] = PREDICTED
    return picture, places


def write_disagreements(
    folder: Path,
    name: str,
    image: Rgb,
    predicted: Labels,
    truth: Labels,
    matching: Matching,
) -> list[Path]:
    """Write the image beside its outlines, and a sheet with a close-up of each disagreement."""
    zoom = max(1, round(1000 / max(truth.shape)))
    image = image.repeat(zoom, 0).repeat(zoom, 1)
    predicted, truth = (part.repeat(zoom, 0).repeat(zoom, 1) for part in (predicted, truth))
    picture, places = draw_disagreements(image, predicted, truth, matching)
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{name}_overview.png"]
    _write(paths[0], np.hstack([image, picture]))
    if places:
        paths.append(folder / f"{name}_disagreements.png")
        _write(paths[1], _sheet(image, picture, places))
    return paths


def _sheet(image: Rgb, picture: Rgb, places: list[tuple[str, tuple[int, int]]]) -> Rgb:
    import cv2

    cells = []
    for text, (y, x) in places:
        pair = np.hstack([_crop(image, y, x), _crop(picture, y, x)])
        pair = np.ascontiguousarray(np.pad(pair, ((24, 4), (4, 4), (0, 0))))
        cv2.putText(pair, text, (6, 17), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (255, 255, 255), 1)
        cells.append(pair)
    cells += [np.zeros_like(cells[0])] * (-len(cells) % COLUMNS)
    rows = [np.hstack(cells[i : i + COLUMNS]) for i in range(0, len(cells), COLUMNS)]
    return np.vstack(rows)


def _crop(image: Rgb, y: int, x: int) -> Rgb:
    top, left = (
        int(np.clip(middle - CROP_PX // 2, 0, max(0, side - CROP_PX)))
        for middle, side in ((y, image.shape[0]), (x, image.shape[1]))
    )
    crop = image[top : top + CROP_PX, left : left + CROP_PX]
    missing = [(0, CROP_PX - side) for side in crop.shape[:2]]
    return np.pad(crop, (*missing, (0, 0)))


def _write(path: Path, image: Rgb) -> None:
    import cv2

    cv2.imencode(".png", image[..., ::-1])[1].tofile(path)
