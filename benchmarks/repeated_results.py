"""The results of a small section, repeated to those of a large one, for measuring the viewer.

The section is mirrored over the plane as `pyramids.mirrored` does with its picture, so that slide,
outlines and tables agree.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from pyramids import write_pyramid

from biopsy_ai.formats.class_map import TISSUE_FILE, write_class_map
from biopsy_ai.formats.label_image import write_label_image
from biopsy_ai.formats.tables import write_csv, write_fibers_csv, write_json
from biopsy_ai.labels import LabelArray
from biopsy_ai.saved import read_analysis
from biopsy_ai.slides import open_slide
from biopsy_ai.tissue_classes import TISSUE_CLASSES

Labels = npt.NDArray[np.integer[Any]]

DTYPE = np.dtype(np.int32)


@dataclass(frozen=True)
class RepeatedLabels:
    """A label image mirrored over a plane, every copy with labels of its own."""

    block: Labels
    repeats: int
    stride: int = 0
    """What the labels of one copy lie above those of the one before."""

    @property
    def shape(self) -> tuple[int, int]:
        height, width = self.block.shape
        return height * self.repeats, width * self.repeats

    @property
    def dtype(self) -> np.dtype[Any]:
        return DTYPE

    def __getitem__(self, key: tuple[slice, slice]) -> Labels:
        rows, columns = (
            np.arange(*part.indices(side)) for part, side in zip(key, self.shape, strict=True)
        )
        (at_y, copy_y), (at_x, copy_x) = (
            _folded(at, side) for at, side in zip((rows, columns), self.block.shape, strict=True)
        )
        labels = self.block[np.ix_(at_y, at_x)].astype(np.int64)
        copy = copy_y[:, None] * self.repeats + copy_x[None, :]
        return np.where(labels > 0, labels + copy * self.stride, 0).astype(DTYPE)


def repeat_results(folder: str | Path, out: Path, n_fibers: int, side_px: int) -> Path:
    """Repeat the results in a folder until they are so large, with slide and tables.

    Parameters
    ----------
    folder
        Results of a small section whose slide is still there.
    out
        Folder to make; the slide is written beside it.
    n_fibers
        At least so many fibers.
    side_px
        At least so many label pixels along either side.

    Returns
    -------
    Path
        Of the slide.
    """
    saved = read_analysis(folder)
    segmentation = saved.segmentation
    enough = np.sqrt(n_fibers / len(saved.fibers)), side_px / min(segmentation.labels.shape)
    repeats = int(np.ceil(max(enough)))
    fibers = _repeated(segmentation.labels, repeats)
    out.mkdir(parents=True, exist_ok=True)
    slide_path = out.parent / f"{out.name}.tif"
    with saved.open_slide() as slide:
        write_pyramid(slide_path, slide.read_region(0, 0, 0, *slide.shape), fibers.shape)
    write_label_image(out / "fibers.tif", fibers, segmentation.mpp)
    write_fibers_csv(out / "fibers.csv", _table(saved.fibers, fibers, segmentation.mpp))
    if saved.contacts is not None:
        numbers = range(repeats**2)
        copies = [_shifted(saved.contacts, fibers, n, ("label", "neighbor")) for n in numbers]
        write_csv(out / "contacts.csv", pd.concat(copies, ignore_index=True))
    files = ["fibers.csv", "fibers.tif", "contacts.csv"]
    if segmentation.nuclei is not None and saved.nuclei is not None:
        nuclei = _repeated(segmentation.nuclei.labels, repeats)
        write_label_image(out / "nuclei.tif", nuclei, segmentation.nuclei.mpp, "nucleus labels")
        table = _table(saved.nuclei, nuclei, segmentation.nuclei.mpp, fibers)
        names = dict(enumerate(TISSUE_CLASSES))
        write_csv(out / "nuclei.csv", table.assign(tissue_class=table["tissue_class"].map(names)))
        files += ["nuclei.csv", "nuclei.tif"]
    if segmentation.tissue is not None:
        classes = RepeatedLabels(np.asarray(segmentation.tissue.classes), repeats)
        write_class_map(out / TISSUE_FILE, classes, TISSUE_CLASSES, segmentation.tissue.mpp)
        files.append(TISSUE_FILE)
    summary = json.loads((Path(folder) / "summary.json").read_text(encoding="utf-8"))
    with open_slide(slide_path) as slide:
        summary["provenance"] |= {
            "image_file": str(slide_path.resolve()),
            "image_sha256": slide.sha256(),
        }
        summary["image"]["shape"] = list(slide.shape)
    write_json(out / "summary.json", {**summary, "files": files})
    return slide_path


def _repeated(labels: LabelArray, repeats: int) -> RepeatedLabels:
    block = np.asarray(labels)
    return RepeatedLabels(block, repeats, int(block.max()))


def _table(
    table: pd.DataFrame,
    labels: RepeatedLabels,
    mpp: tuple[float, float],
    fibers: RepeatedLabels | None = None,
) -> pd.DataFrame:
    """The table of fibers or nuclei of all copies; `fibers` are those that nuclei lie in."""
    copies = []
    for number, place in enumerate(np.ndindex(labels.repeats, labels.repeats)):
        copy = _shifted(table, labels, number, ("label",))
        if fibers is not None:
            inside = copy["fiber"] > 0
            copy["fiber"] = copy["fiber"].where(~inside, copy["fiber"] + number * fibers.stride)
        for axis, name in enumerate(("centroid_y_um", "centroid_x_um")):
            side = labels.block.shape[axis] * mpp[axis]
            at = copy[name] if place[axis] % 2 == 0 else side - copy[name]
            copy[name] = at + place[axis] * side
        copies.append(copy)
    return pd.concat(copies, ignore_index=True)


def _shifted(
    table: pd.DataFrame, labels: RepeatedLabels, number: int, columns: tuple[str, ...]
) -> pd.DataFrame:
    return table.assign(**{name: table[name] + number * labels.stride for name in columns})


def _folded(at: Labels, side: int) -> tuple[Labels, Labels]:
    """Where a row or column of the plane lies in the block, and in which copy."""
    copy, inside = np.divmod(at, side)
    return np.where(copy % 2 == 0, inside, side - 1 - inside), copy
