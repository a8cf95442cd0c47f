"""All results of one section in one folder."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from biopsy_ai.report.contours import Polygon, fiber_polygons, to_image_xy
from biopsy_ai.report.files import output_folder, remove_result
from biopsy_ai.report.imagej import write_roiset
from biopsy_ai.report.label_image import write_label_image
from biopsy_ai.report.overlay import write_overlay
from biopsy_ai.report.qupath import write_geojson
from biopsy_ai.report.tables import write_fibers_csv, write_json

if TYPE_CHECKING:
    from biopsy_ai.pipeline import Analysis

SUMMARY_FILE = "summary.json"
"""Written last: where it stands, the results beside it are complete."""


def save_analysis(
    analysis: Analysis,
    folder: str | Path,
    *,
    progress: Callable[[str, int, int], None] | None = None,
) -> Path:
    """Write tables, outlines, overlay and summary of one section.

    fibers.csv, fibers.tif, fibers.geojson, RoiSet.zip, overlay.png and, last, summary.json. The
    summary of an earlier run is removed first, so an interrupted run leaves none.

    Parameters
    ----------
    analysis
        What `biopsy_ai.analyze` returned; its slide, if it has one, must still be open.
    folder
        Folder for this section, made if missing. Results of an earlier run are replaced.
    progress
        Called as ``progress("report", done, total)``.

    Returns
    -------
    Path
        The folder.

    Raises
    ------
    OutputError
        Something cannot be written.
    """
    folder = output_folder(folder)
    remove_result(folder / SUMMARY_FILE)
    segmentation, slide, fibers = analysis.segmentation, analysis.slide, analysis.fibers
    warnings: list[str] = []
    polygons: dict[int, Polygon] = {}

    def image_outlines() -> Iterator[tuple[int, NDArray[np.float64]]]:
        image_mpp = segmentation.mpp if slide is None else slide.mpp
        for label, polygon in polygons.items():
            yield label, to_image_xy(polygon, segmentation.mpp, image_mpp)

    def roiset() -> None:
        warning = write_roiset(folder / "RoiSet.zip", image_outlines())
        if warning is not None:
            warnings.append(warning)

    steps: list[Callable[[], object]] = [
        lambda: write_fibers_csv(folder / "fibers.csv", fibers),
        lambda: write_label_image(folder / "fibers.tif", segmentation.labels, segmentation.mpp),
        lambda: polygons.update(sorted(fiber_polygons(segmentation), key=itemgetter(0))),
        lambda: write_geojson(
            folder / "fibers.geojson",
            image_outlines(),
            image_id=_image_id(analysis),
            fibers=fibers,
        ),
        roiset,
        lambda: write_overlay(
            folder / "overlay.png",
            slide,
            segmentation,
            polygons=polygons,
            excluded=fibers.loc[fibers["excluded"], "label"].tolist(),
            title=analysis.name,
        ),
        lambda: write_json(folder / SUMMARY_FILE, _summary(analysis, warnings)),
    ]
    for done, step in enumerate(steps):
        if progress is not None:
            progress("report", done, len(steps))
        step()
    if progress is not None:
        progress("report", len(steps), len(steps))
    return folder


def _image_id(analysis: Analysis) -> str:
    """Tell the image from others: by its hash, or that of the outlines, else by its name."""
    provenance = analysis.summary.get("provenance") or {}
    for key in ("image_sha256", "outlines_sha256"):
        if provenance.get(key):
            return str(provenance[key])
    return analysis.name


def _summary(analysis: Analysis, warnings: list[str]) -> dict[str, Any]:
    if not warnings:
        return analysis.summary
    return {**analysis.summary, "warnings": [*analysis.summary.get("warnings", []), *warnings]}
