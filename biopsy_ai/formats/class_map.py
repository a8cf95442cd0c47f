"""Class maps, such as the tissue class of every pixel: one number per class, with the names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from biopsy_ai.errors import OutlineReadError
from biopsy_ai.formats.tiled_tiff import (
    OME,
    ome_metadata,
    opened_tiff,
    read_plane,
    stated_mpp,
    write_tiled_tiff,
)
from biopsy_ai.labels import LabelArray, WritableLabelArray

if TYPE_CHECKING:
    import tifffile

TISSUE_FILE = "tissue.tif"
"""Name of the class map among the results of one section."""

_NAMESPACE = "biopsy-ai/classes"


@dataclass(frozen=True, eq=False)
class ClassMap:
    """A class map as a file holds it.

    Attributes
    ----------
    classes
        (H, W) uint8, a numpy array or, if large, `PackedLabels`.
    names
        Name of each class, from 0.
    mpp
        Pixel size (y, x) in µm.
    """

    classes: WritableLabelArray
    names: tuple[str, ...]
    mpp: tuple[float, float]


def write_class_map(
    path: str | Path, classes: LabelArray, names: Sequence[str], mpp: tuple[float, float]
) -> None:
    """Write a class map as tiled OME-TIFF of 8 bit, with the names as annotation of the image.

    Parameters
    ----------
    path
        File to write or replace.
    classes : (H, W) array of int
        Index into `names`; read by parts.
    names
        Name of each class, from 0, at most 256.
    mpp
        Pixel size (y, x) in µm.

    Raises
    ------
    OutputError
        The file cannot be written.
    """
    numbered = {str(number): name for number, name in enumerate(names)}
    notes = {
        "MapAnnotation": {"Namespace": _NAMESPACE, **numbered},
        "Description": "; ".join(f"{number} {name}" for number, name in numbered.items()),
    }
    write_tiled_tiff(path, classes, mpp, dtype=np.uint8, name="tissue class", notes=notes)


def read_class_map(path: str | Path) -> ClassMap:
    """Read a class map that `write_class_map` wrote.

    Parameters
    ----------
    path
        The file.

    Returns
    -------
    ClassMap

    Raises
    ------
    OutlineReadError
        The file is missing, damaged, or names no classes.
    """
    path = Path(path)
    with opened_tiff(path) as file:
        found = _named(file)
        if found is None:
            raise OutlineReadError(
                f"{path}: names no tissue classes. Give a {TISSUE_FILE} of biopsy-ai."
            )
        return ClassMap(read_plane(path, file, np.uint8), *found)


def _named(file: tifffile.TiffFile) -> tuple[tuple[str, ...], tuple[float, float]] | None:
    """Names and pixel size, None where the metadata lack either."""
    root = ome_metadata(file)
    if root is None:
        return None
    mpp = stated_mpp(root)
    for note in root.iter(f"{OME}MapAnnotation"):
        if note.get("Namespace") != _NAMESPACE or mpp is None:
            continue
        numbered = {int(pair.get("K", "")): pair.text or "" for pair in note.iter(f"{OME}M")}
        if sorted(numbered) == list(range(len(numbered))):
            return tuple(numbered[i] for i in range(len(numbered))), mpp
    return None
