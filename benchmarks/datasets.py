"""The labeled real images of a data folder, as its ``manifest.csv`` describes them.

The folder is given with ``--data``; it is no part of the repository. Of the manifest these columns
are read, one row per image, paths relative to the folder:

- ``file``, ``labels``: the image, and its label image ``<name>_fibers.tif`` on the same grid
- ``mpp``: pixel size, µm
- ``stain``: beginning with ``IF`` for immunofluorescence, then with ``3 fiber border`` or the like
  for the number of the channel that shows the fiber border; all else is read as H&E
- ``use``: ``train`` or ``development``, or both with the numbers that the names end in, such as
  ``train 01 and 03, development 02 and 04``
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import tifffile
import yaml

from biopsy_ai.config import OUTLINE_MPP

DATA = None
"""Without ``--data`` there is no folder of images."""

LISTS = Path(__file__).resolve().parents[1] / "models" / "muscle"
"""Holds the lists of the images that the model was trained and tuned on."""

MISSING = Path(__file__).with_name("missing_fibers.yaml")
"""Points in fibers that published labels lack."""


@dataclass(frozen=True)
class Section:
    """One labeled image.

    Attributes
    ----------
    name
        Folder and file name without suffix.
    path, truth_path
        The image, and its label image on the same grid.
    mpp
        Pixel size, µm.
    stain
        As `AnalysisConfig.stain` takes it.
    border_channel
        Number of the channel that shows the fiber border; None for bright field.
    use
        ``train`` or ``development``.
    shrink_um
        How far the published labels reach beyond the inner edge of the membrane, µm.
    missing
        Points, row and column of the image, in fibers that the published labels lack.
    """

    name: str
    path: Path
    truth_path: Path
    mpp: float
    stain: str
    border_channel: int | None
    use: str
    shrink_um: float = 0.0
    missing: tuple[tuple[int, int], ...] = ()

    def image(self) -> npt.NDArray[Any]:
        """Read the pixels, shape (H, W, C)."""
        return read_pixels(self.path)

    def truth(self) -> npt.NDArray[np.int32]:
        """Read the true labels as published, shape (H, W)."""
        return tifffile.imread(self.truth_path).astype(np.int32)

    def converted_truth(self) -> npt.NDArray[np.int32]:
        """Draw the true labels back to the inner edge of the membrane, pixels of `OUTLINE_MPP`."""
        from biopsy_ai.evaluation.grids import to_grid
        from biopsy_ai.training.real import shrink_labels

        labels, step = self.truth(), OUTLINE_MPP / self.mpp
        shape = tuple(max(1, round(side / step)) for side in labels.shape)
        return shrink_labels(to_grid(labels, shape, (step, step)), self.shrink_um)

    def channels(self) -> dict[str, int]:
        """Return the named channels for `AnalysisConfig.channels`."""
        return {} if self.border_channel is None else {"border": self.border_channel}


def read_pixels(path: Path) -> npt.NDArray[Any]:
    """Read a small TIFF whole, shape (H, W, C)."""
    with tifffile.TiffFile(path) as file:
        series = file.series[0]
        pixels, axes = series.asarray(), series.axes
    if axes == "CYX":
        return np.moveaxis(pixels, 0, -1)
    if axes == "YXS":
        return pixels[..., :3]
    if axes == "YX":
        return pixels[..., None]
    raise ValueError(f"{path}: axes {axes} are not expected here")


def labeled_sections(data: Path) -> list[Section]:
    """List all images in `data` that have fiber labels, a pixel size and a use."""
    manifest = data / "manifest.csv"
    if not manifest.is_file():
        raise SystemExit(f"{manifest}: not found; give the data folder with --data")
    return list(_sections(data, pd.read_csv(manifest, dtype=str).fillna("")))


def _sections(data: Path, manifest: pd.DataFrame) -> Iterator[Section]:
    shrink_um = _shrink_um()
    missing = yaml.safe_load(MISSING.read_text(encoding="utf-8"))
    for row in manifest.to_dict("records"):
        path, truth = data / row["file"], data / row["labels"]
        try:
            mpp = float(row["mpp"])
        except ValueError:
            continue
        # Label maps without an image, and labels of something else than fibers, do not count.
        if path == truth or not truth.name.endswith("_fibers.tif") or not truth.is_file():
            continue
        use = _use(row["use"], path.stem)
        if use is None:
            continue
        border = re.search(r"(\d+) fiber border", row["stain"])
        yield Section(
            name=f"{path.parent.name}/{path.stem}",
            path=path,
            truth_path=truth,
            mpp=mpp,
            stain="if" if row["stain"].startswith("IF") else "he",
            border_channel=int(border.group(1)) if border else None,
            use=use,
            shrink_um=shrink_um.get(row["file"], 0.0),
            missing=tuple((y, x) for y, x in missing.get(f"{path.parent.name}/{path.stem}", [])),
        )


def _shrink_um() -> dict[str, float]:
    """What training takes off the labels of each image, µm, by its path in the data folder."""
    found: dict[str, float] = {}
    for name in ("training.yaml", "development.yaml"):
        for entry in yaml.safe_load((LISTS / name).read_text(encoding="utf-8")):
            found[entry["image"]] = float(entry.get("shrink_um", 0.0))
    return found


def _use(text: str, stem: str) -> str | None:
    """Use of one image where the text can say "train 01 and 03, development 02 and 04"."""
    for part in text.split(","):
        word, *numbers = part.replace(" and ", " ").split()
        if word in ("train", "development") and (
            not numbers or any(stem.endswith(number) for number in numbers)
        ):
            return word
    return None
