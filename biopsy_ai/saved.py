"""The results of one section, read back from their folder."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PureWindowsPath
from typing import TYPE_CHECKING, Any

import numpy as np

from biopsy_ai.config import MPP_GIVEN, AnalysisConfig, make_config
from biopsy_ai.errors import BiopsyError, ConfigError, OutputError, SlideReadError
from biopsy_ai.formats.class_map import TISSUE_FILE, read_class_map
from biopsy_ai.formats.label_image import LABELS_FILE
from biopsy_ai.formats.read_tables import (
    read_contacts_csv,
    read_fibers_csv,
    read_nuclei_csv,
    read_signs_csv,
)
from biopsy_ai.formats.tiled_tiff import read_tiled_tiff
from biopsy_ai.labels import BoxFinder, LabelArray, WritableLabelArray
from biopsy_ai.opening import SAME_MPP, both_sides
from biopsy_ai.result_names import (
    CONTACTS_FILE,
    FASCICLES_FILE,
    FIBERS_FILE,
    NUCLEI_FILE,
    NUCLEUS_LABELS_FILE,
    SIGNS_FILE,
    SUMMARY_FILE,
)
from biopsy_ai.segmentation.nuclei import Nuclei
from biopsy_ai.segmentation.result import Segmentation
from biopsy_ai.segmentation.tissue_map import TissueMap
from biopsy_ai.tissue_classes import TISSUE_CLASSES

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from biopsy_ai.slides import Slide

WHAT_TO_DO = "Analyze the section again."

PARTS = (
    *("name", "fibers", "nuclei", "tissue", "fascicles", "condition", "cores", "types", "patterns"),
    *("quality", "adequacy", "outlines_mpp", "warnings", "provenance"),
)
"""What the summary of a section has; earlier versions of biopsy-ai measured less."""


@dataclass(frozen=True, eq=False)
class SavedAnalysis:
    """The results of one section as their folder holds them.

    Attributes
    ----------
    folder, name
        Where they stand, and the name of the section.
    fibers
        The fiber table, with the columns and types that `biopsy_ai.Analysis.fibers` has; measured
        values have six digits.
    contacts
        One row per pair of fibers that touch; None where no patterns were sought.
    segmentation
        Outlines, nuclei and tissue classes. The confidence of nuclei is not saved, and NaN.
    summary
        Content of summary.json.
    config
        The settings of the analysis.
    nuclei
        One row per nucleus; None where they could not be assessed.
    fascicles, fascicles_mpp
        Label image of the fascicles and its pixel size (y, x), µm; None where the section counts
        as one, or its tissue is not known.
    slide_path
        The slide: where it was, else a file of its name beside the folder or above it; None where
        it is in neither place, or only outlines were analyzed.
    signs
        What the condition of each fiber was told by; None without a slide, or where an earlier
        version of biopsy-ai did not write it.
    """

    folder: Path
    name: str
    fibers: pd.DataFrame
    contacts: pd.DataFrame | None
    segmentation: Segmentation
    summary: dict[str, Any]
    config: AnalysisConfig
    nuclei: pd.DataFrame | None
    fascicles: LabelArray | None
    fascicles_mpp: tuple[float, float] | None
    slide_path: Path | None
    signs: pd.DataFrame | None = None

    @property
    def labels(self) -> LabelArray:
        """Label image of the fibers."""
        return self.segmentation.labels

    def open_slide(self) -> Slide:
        """Open the slide with the pixel size and the channels that it was analyzed with.

        Raises
        ------
        SlideReadError
            If it is no longer there, or another image stands in its place.
        """
        from biopsy_ai.slides import open_slide

        image = self.summary.get("image")
        if not isinstance(image, dict):
            raise SlideReadError(
                f"{self.folder}: outlines alone were analyzed, so there is no slide to open."
            )
        if self.slide_path is None:
            made_by = self.summary.get("provenance") or {}
            raise SlideReadError(
                f"{made_by.get('image_file') or image.get('file')}: the slide of {self.folder} is "
                f"not there. Put the file {image.get('file')} beside that folder, or say where it "
                "is."
            )
        mpp = both_sides(self.config.mpp)
        if mpp is None and image.get("mpp_source") == MPP_GIVEN:
            mpp = image["mpp"][0], image["mpp"][1]
        channels = self.config.channels or image.get("named_channels") or None
        slide = open_slide(self.slide_path, mpp=mpp, channels=channels)
        same = all(
            math.isclose(a, b, rel_tol=SAME_MPP)
            for a, b in zip(slide.mpp, image.get("mpp") or (), strict=False)
        )
        if list(slide.shape) != image.get("shape") or not same:
            slide.close()
            raise SlideReadError(
                f"{self.slide_path}: is not the image that {self.folder} was made from; size or "
                "pixel size differ. Put the slide back, or analyze this image on its own."
            )
        return slide


def is_results(folder: str | Path) -> bool:
    """Tell whether a folder holds the results of a section."""
    try:
        return all(
            (Path(folder) / name).is_file() for name in (SUMMARY_FILE, FIBERS_FILE, LABELS_FILE)
        )
    except (OSError, ValueError):
        return False


def read_analysis(folder: str | Path, slide: str | Path | None = None) -> SavedAnalysis:
    """Read the results of one section back.

    Parameters
    ----------
    folder
        Folder of the section, as `biopsy_ai.Analysis.save` wrote it.
    slide
        Where the slide is now, if it was moved.

    Raises
    ------
    OutputError
        If results are missing, damaged, or do not fit each other; the message says which.

    Examples
    --------
    >>> import biopsy_ai
    >>> saved = biopsy_ai.read_analysis("results/section")  # doctest: +SKIP
    >>> saved.fibers["min_feret_um"].median()  # doctest: +SKIP
    """
    folder = Path(folder)
    summary = _read_summary(folder)
    named = {str(name) for name in summary.get("files") or ()}
    config = _config_of(folder, summary)
    fibers = read_fibers_csv(folder / FIBERS_FILE)
    contacts = read_contacts_csv(folder / CONTACTS_FILE) if CONTACTS_FILE in named else None
    nuclei = read_nuclei_csv(folder / NUCLEI_FILE, TISSUE_CLASSES) if NUCLEI_FILE in named else None
    drawn = (
        _read_nuclei(folder / NUCLEUS_LABELS_FILE, nuclei) if NUCLEUS_LABELS_FILE in named else None
    )
    tissue = _read_tissue(folder / TISSUE_FILE) if TISSUE_FILE in named else None
    segmentation = _read_segmentation(folder / LABELS_FILE, fibers, summary, drawn, tissue)
    fascicles, fascicles_mpp = None, None
    if FASCICLES_FILE in named:
        found = _read_labels(folder / FASCICLES_FILE)
        fascicles, fascicles_mpp = found.image, found.mpp
    return SavedAnalysis(
        folder=folder,
        name=str(summary.get("name") or folder.name),
        fibers=fibers,
        contacts=contacts,
        segmentation=segmentation,
        summary=summary,
        config=config,
        nuclei=nuclei,
        fascicles=fascicles,
        fascicles_mpp=fascicles_mpp,
        slide_path=_find_slide(folder, summary) if slide is None else Path(slide),
        signs=read_signs_csv(folder / SIGNS_FILE) if SIGNS_FILE in named else None,
    )


def _read_summary(folder: Path) -> dict[str, Any]:
    path = folder / SUMMARY_FILE
    try:
        summary = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise OutputError(
            f"{path}: is missing, so {folder} holds no results, or those of an analysis that was "
            f"interrupted. {WHAT_TO_DO}"
        ) from error
    except (OSError, ValueError) as error:
        raise OutputError(f"{path}: cannot be read again ({error}). {WHAT_TO_DO}") from error
    if not isinstance(summary, dict) or not isinstance(summary.get("files"), list):
        raise OutputError(f"{path}: is no summary of a section. {WHAT_TO_DO}")
    if missing := [part for part in PARTS if part not in summary]:
        version = (summary.get("provenance") or {}).get("biopsy_ai_version") or "another version"
        raise OutputError(
            f"{path}: was written by biopsy-ai {version}, which did not tell of "
            f"{', '.join(missing)}. {WHAT_TO_DO}"
        )
    return summary


def _config_of(folder: Path, summary: dict[str, Any]) -> AnalysisConfig:
    made_by = summary.get("provenance") or {}
    settings = made_by.get("configuration")
    if not isinstance(settings, dict):
        raise OutputError(f"{folder / SUMMARY_FILE}: holds no settings. {WHAT_TO_DO}")
    try:
        return make_config(**settings)
    except ConfigError as error:
        raise OutputError(
            f"{folder / SUMMARY_FILE}: has settings of another version of biopsy-ai "
            f"({made_by.get('biopsy_ai_version')}; {error}). {WHAT_TO_DO}"
        ) from error


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Turn what is wrong with a file into words that say what to do."""
    try:
        yield
    except BiopsyError as error:
        raise OutputError(f"{error} {WHAT_TO_DO}") from error


@dataclass(frozen=True, eq=False)
class _Labels:
    """A label image, its pixel size, the labels in it and the box of each."""

    image: WritableLabelArray
    mpp: tuple[float, float]
    ids: NDArray[np.int64]
    boxes: NDArray[np.int64]


def _read_labels(path: Path) -> _Labels:
    finder = BoxFinder()
    with _reading(path):
        image, mpp = read_tiled_tiff(path, np.int32, finder.look)
    return _Labels(image, mpp, *finder.found())


def _read_segmentation(
    path: Path,
    fibers: pd.DataFrame,
    summary: dict[str, Any],
    nuclei: Nuclei | None,
    tissue: TissueMap | None,
) -> Segmentation:
    found = _read_labels(path)
    if not np.array_equal(found.ids, fibers["label"]):
        raise OutputError(
            f"{path}: holds {len(found.ids)} fibers, {FIBERS_FILE} beside it {len(fibers)}, or "
            f"others: they are not of the same analysis. {WHAT_TO_DO}"
        )
    edge = fibers["touches_tissue_edge"].astype("boolean").fillna(False).to_numpy(bool)
    mpp = summary["outlines_mpp"]
    return Segmentation(
        labels=found.image,
        mpp=(float(mpp[0]), float(mpp[1])),
        ids=found.ids,
        boxes=found.boxes,
        confidence=fibers["confidence"].to_numpy(np.float32),
        touches_tissue_edge=edge,
        provenance=dict((summary.get("provenance") or {}).get("segmentation") or {}),
        nuclei=nuclei,
        tissue=tissue,
    )


def _read_nuclei(path: Path, table: pd.DataFrame | None) -> Nuclei:
    found = _read_labels(path)
    if table is None or not np.array_equal(found.ids, table["label"]):
        raise OutputError(
            f"{path}: does not hold the nuclei of {NUCLEI_FILE} beside it: they are not of the "
            f"same analysis. {WHAT_TO_DO}"
        )
    n = int(found.ids.max(initial=0))
    boxes, area, centers = np.zeros((n, 4), np.int64), np.zeros(n, np.int64), np.zeros((n, 2))
    rows = found.ids - 1
    boxes[rows] = found.boxes
    side_y, side_x = found.mpp
    area[rows] = np.rint(table["area_um2"].to_numpy(float) / (side_y * side_x))
    centers[rows, 0] = table["centroid_y_um"].to_numpy(float) / side_y
    centers[rows, 1] = table["centroid_x_um"].to_numpy(float) / side_x
    unknown = np.full(n, np.nan, np.float32)
    return Nuclei(found.image, area, centers, boxes, unknown, found.mpp)


def _read_tissue(path: Path) -> TissueMap:
    with _reading(path):
        found = read_class_map(path)
    if found.names != TISSUE_CLASSES:
        raise OutputError(
            f"{path}: has the classes {', '.join(found.names)}, which are those of another version "
            f"of biopsy-ai. {WHAT_TO_DO}"
        )
    return TissueMap(found.classes, found.mpp)


def _find_slide(folder: Path, summary: dict[str, Any]) -> Path | None:
    """The slide where it was, else of its name in the folder, beside it or above it."""
    recorded = (summary.get("provenance") or {}).get("image_file")
    if not recorded:
        return None
    # the path may be of another system
    name = PureWindowsPath(str(recorded)).name
    home = folder.resolve()
    for path in (Path(recorded), home / name, home.parent / name, home.parent.parent / name):
        try:
            if path.exists():
                return path
        except OSError:
            continue
    return None
