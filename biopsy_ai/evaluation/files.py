"""Compare files of predicted fibers with files of true ones."""

from __future__ import annotations

import logging
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from biopsy_ai.errors import OutlineReadError
from biopsy_ai.evaluation.grids import LabelField, match_grids
from biopsy_ai.evaluation.matching import Border
from biopsy_ai.evaluation.metrics import (
    THRESHOLDS,
    FiberEvaluation,
    evaluate_fibers,
    pool_evaluations,
)
from biopsy_ai.formats.label_image import LABELS_FILE, load_label_image, read_label_image
from biopsy_ai.progress import Progress
from biopsy_ai.slides.pixel_size import check_mpp, resolve_pixel_size

if TYPE_CHECKING:
    import pandas as pd

logger = logging.getLogger(__name__)

TRUTH_SUFFIX = "_truth"
"""Ending of the folder that holds the truth of a synthetic section."""

LABEL_SUFFIXES = ("_fibers", "_labels", "_cp_masks", "_masks", "_mask")
IGNORE_SUFFIXES = ("_ignore", "_mask")
"""Endings that tell a label file from the image of the same name, in order of preference."""

_RASTERS = (".tif", ".tiff", ".png")
_VECTORS = (".geojson", ".json", ".zip")


def evaluate_files(
    predicted: str | Path,
    truth: str | Path,
    *,
    mpp: float | tuple[float, float] | None = None,
    ignore: str | Path | None = None,
    thresholds: Sequence[float] = THRESHOLDS,
    border: Border = "keep",
    partial: bool = False,
    shapes: bool = True,
    progress: Progress | None = None,
) -> pd.DataFrame:
    """Compare predicted with true fibers, file by file.

    Each path is a label image (TIFF or PNG), an outline file (QuPath GeoJSON, ImageJ RoiSet), a
    result folder of one slide, a folder of such result folders, or a folder of label files. Files
    of two folders belong together when their names agree up to an ending such as ``_fibers``. A
    prediction drawn on another grid is brought to the grid of the truth, nearest neighbor.

    Parameters
    ----------
    predicted, truth
        Files or folders.
    mpp
        Pixel size of the truth in µm, one number or (y, x); overrides the one in its file, and a
        difference of more than 5 % is told. Default: the one in its file, or what follows from the
        pixel size of the prediction.
    ignore
        File or folder of masks: where they are not 0, the truth is not known. They are named as
        the images; a single file goes with a single image, whatever its name.
    thresholds, border, partial, shapes
        See `biopsy_ai.evaluation.evaluate_fibers`.
    progress
        Called as ``progress("evaluate", done, total)``.

    Returns
    -------
    pandas.DataFrame
        A row per image (`image`, then the metrics) and a last row ``pooled``, in which every
        fiber counts the same. ``attrs["without_truth"]`` and ``attrs["without_prediction"]``
        name what could not be compared, ``attrs["unused_masks"]`` the masks of no image,
        ``attrs["warnings"]`` has sentences for the user.

    Raises
    ------
    OutlineReadError
        If a file cannot be read, nothing belongs together, no mask belongs to an image, or
        files of one image show different fields.
    PixelSizeError
        If the pixel size is none of a microscope.
    """
    import pandas as pd

    size = None if mpp is None else check_mpp(mpp, str(truth))
    predictions, truths = find_label_files(predicted), find_label_files(truth)
    pairs = _pair(predictions, truths)
    if not pairs:
        raise OutlineReadError(
            f"{predicted}: no name agrees with one in {truth} "
            f"(found {_some(predictions)} and {_some(truths)}); name files of one image alike, or "
            "give two files"
        )
    masks, unused = _find_masks(ignore, pairs, {*predictions.values(), *truths.values()})
    rows: list[dict[str, Any]] = []
    evaluations: list[FiberEvaluation] = []
    warnings: list[str] = []
    for number, (name, predicted_path, truth_path) in enumerate(pairs):
        if progress is not None:
            progress("evaluate", number, len(pairs))
        evaluation = evaluate_pair(
            predicted_path,
            truth_path,
            mpp=size,
            ignore=masks.get(name),
            thresholds=thresholds,
            border=border,
            partial=partial,
            shapes=shapes,
            warnings=warnings,
        )
        evaluations.append(evaluation)
        rows.append({"image": name} | evaluation.as_row())
    if progress is not None:
        progress("evaluate", len(pairs), len(pairs))
    rows.append({"image": "pooled"} | pool_evaluations(evaluations).as_row())

    table = pd.DataFrame(rows)
    table.attrs["without_truth"] = sorted(set(predictions.values()) - {pair[1] for pair in pairs})
    table.attrs["without_prediction"] = sorted(set(truths.values()) - {pair[2] for pair in pairs})
    for missing in ("without_truth", "without_prediction"):
        for path in table.attrs[missing]:
            logger.warning("%s: not compared (%s)", path, missing.replace("_", " "))
    table.attrs["unused_masks"] = unused
    for path in unused:
        logger.warning("%s: mask not used (no image of this name is compared)", path)
    table.attrs["warnings"] = warnings
    for warning in warnings:
        logger.warning("%s", warning)
    return table


def evaluate_pair(
    predicted: Path,
    truth: Path,
    *,
    mpp: tuple[float, float] | None = None,
    ignore: Path | None = None,
    thresholds: Sequence[float] = THRESHOLDS,
    border: Border = "keep",
    partial: bool = False,
    shapes: bool = True,
    warnings: list[str] | None = None,
) -> FiberEvaluation:
    """Compare one predicted with one true label file; see `evaluate_files`.

    Sentences for the user are added to `warnings`.
    """
    if _is_vector(predicted) and _is_vector(truth):
        raise OutlineReadError(
            f"{predicted}: of two outline files at least one must be a label image, which tells "
            "the size of the field"
        )
    if _is_vector(truth):
        found = read_labels(predicted)
        true = _read_vector(truth, mpp, found)
    else:
        true = read_labels(truth, mpp, warnings)
        found = (
            _read_vector(predicted, true.mpp, true)
            if _is_vector(predicted)
            else read_labels(predicted)
        )
    found, true = match_grids(found, true)
    return evaluate_fibers(
        found.labels,
        true.labels,
        thresholds=thresholds,
        mpp=true.mpp,
        ignore=None if ignore is None else _read_mask(ignore, true),
        border=border,
        partial=partial,
        shapes=shapes,
    )


def find_label_files(path: str | Path, suffixes: Sequence[str] = LABEL_SUFFIXES) -> dict[str, Path]:
    """Label files at `path`, by the name of the image that they belong to.

    Raises
    ------
    OutlineReadError
        If there is nothing at `path`, or no label file in it.
    """
    path = Path(path)
    if path.is_file():
        return {_image_name(path, suffixes)[0]: path}
    if not path.is_dir():
        raise OutlineReadError(f"{path}: there is no such file or folder")
    if (path / LABELS_FILE).is_file():
        return {_folder_name(path): path / LABELS_FILE}
    folders = [child for child in sorted(path.iterdir()) if (child / LABELS_FILE).is_file()]
    found = {_folder_name(folder): folder / LABELS_FILE for folder in folders}
    if found:
        return found
    ranks: dict[str, tuple[int, int]] = {}
    for file in sorted(path.iterdir()):
        suffix = file.suffix.lower()
        if suffix not in _RASTERS + _VECTORS or not file.is_file() or file.name.startswith("."):
            continue
        name, rank = _image_name(file, suffixes)
        order = (rank, (_RASTERS + _VECTORS).index(suffix))
        if name not in ranks or order < ranks[name]:
            ranks[name], found[name] = order, file
    if not found:
        raise OutlineReadError(
            f"{path}: holds no label files ({', '.join(_RASTERS + _VECTORS)}) and no folders "
            f"with a {LABELS_FILE}"
        )
    return found


def read_labels(
    path: Path, mpp: tuple[float, float] | None = None, warnings: list[str] | None = None
) -> LabelField:
    """Read a label image, with its pixel size if it is given or stands in the file.

    The given one counts; a contradiction to that of the file is added to `warnings`.
    """
    if mpp is None:
        return LabelField(path, *read_label_image(path))
    file = load_label_image(path)
    mpp, _, contradictions = resolve_pixel_size(path, file.stated, mpp)
    if warnings is not None:
        warnings += contradictions
    return LabelField(path, file.labels, mpp)


def _read_mask(path: Path, truth: LabelField) -> NDArray[np.bool_]:
    """Read where the truth is not known, on the grid of the truth."""
    mask = read_labels(path)
    region = np.asarray(mask.labels) != 0
    # A mask on the grid of the truth fits it, whatever pixel size it states.
    mpp = None if region.shape == truth.labels.shape else mask.mpp
    fitted, _ = match_grids(LabelField(path, region, mpp), truth)
    return np.asarray(fitted.labels, dtype=bool)


def _read_vector(path: Path, mpp: tuple[float, float] | None, other: LabelField) -> LabelField:
    """Draw outlines, which are in pixels of the image, over the field of the other file."""
    from biopsy_ai.segmentation import read_outlines

    height, width = other.labels.shape
    if other.mpp is None:
        # Without any scale, both can only be in pixels of the same image.
        labels: Any = read_outlines(path, mpp=(1.0, 1.0), shape=(height, width)).labels
        return LabelField(path, labels, mpp)
    if mpp is None:
        raise OutlineReadError(
            f"{path}: outlines are in pixels of the image; give its pixel size, such as --mpp 0.5"
        )
    rows = max(1, round(height * other.mpp[0] / mpp[0]))
    columns = max(1, round(width * other.mpp[1] / mpp[1]))
    labels = read_outlines(path, mpp=mpp, shape=(rows, columns)).labels
    return LabelField(path, labels, mpp)


def _is_vector(path: Path) -> bool:
    return path.suffix.lower() in _VECTORS


def _folder_name(folder: Path) -> str:
    return folder.resolve().name.removesuffix(TRUTH_SUFFIX)


def _image_name(path: Path, suffixes: Sequence[str]) -> tuple[str, int]:
    """Name of the image that a label file belongs to, and how surely (0 is best)."""
    if path.name == LABELS_FILE:
        return _folder_name(path.parent), 0
    stem = path.stem.removesuffix(".ome")
    for rank, suffix in enumerate(suffixes):
        if stem.endswith(suffix) and stem != suffix:
            return stem.removesuffix(suffix), rank
    return stem, len(suffixes)


def _pair(predictions: dict[str, Path], truths: dict[str, Path]) -> list[tuple[str, Path, Path]]:
    if len(predictions) == len(truths) == 1:
        name, file = next(iter(predictions.items()))
        return [(name, file, next(iter(truths.values())))]
    return [(name, file, truths[name]) for name, file in predictions.items() if name in truths]


def _find_masks(
    ignore: str | Path | None, pairs: Sequence[tuple[str, Path, Path]], labels: Collection[Path]
) -> tuple[dict[str, Path], list[Path]]:
    """Masks by the name of their pair, and those that belong to none."""
    if ignore is None:
        return {}, []
    # Masks often stand beside the labels, which as masks would hide every fiber.
    known = {path.resolve() for path in labels}
    found = {
        name: path
        for name, path in find_label_files(ignore, IGNORE_SUFFIXES).items()
        if path.resolve() not in known
    }
    whatever_its_name = len(pairs) == 1 and Path(ignore).is_file()
    used: dict[str, Path] = {}
    for name, _, truth in pairs:
        names = list(found) if whatever_its_name else [name, _image_name(truth, LABEL_SUFFIXES)[0]]
        fitting = [found[image] for image in names if image in found]
        if fitting:
            used[name] = fitting[0]
    if not used:
        images = {name: truth for name, _, truth in pairs}
        raise OutlineReadError(
            f"{ignore}: no mask belongs to an image that is compared (masks found: "
            f"{_some(found) or 'none'}; images: {_some(images)}); name masks as the images, "
            f"such as {pairs[0][0]}{IGNORE_SUFFIXES[0]}.tif"
        )
    return used, sorted(set(found.values()) - set(used.values()))


def _some(files: dict[str, Path]) -> str:
    names = ", ".join(list(files)[:3])
    return f"{names}, …" if len(files) > 3 else names
