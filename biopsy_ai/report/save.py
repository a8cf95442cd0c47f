"""All results of one section in one folder."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from biopsy_ai.errors import Cancelled
from biopsy_ai.formats.contours import Polygon, fiber_polygons, to_image_xy
from biopsy_ai.formats.files import output_folder, remove_result
from biopsy_ai.formats.imagej import NOT_WRITTEN, write_roiset
from biopsy_ai.formats.label_image import LABELS_FILE, write_label_image
from biopsy_ai.formats.qupath import write_geojson
from biopsy_ai.formats.tables import write_fibers_csv, write_json
from biopsy_ai.labels import LabelArray
from biopsy_ai.report.overlay import write_overlay

if TYPE_CHECKING:
    from biopsy_ai.pipeline import Analysis
    from biopsy_ai.progress import Progress

FIBERS_FILE = "fibers.csv"
GEOJSON_FILE = "fibers.geojson"
ROISET_FILE = "RoiSet.zip"
OVERLAY_FILE = "overlay.png"
SUMMARY_FILE = "summary.json"
"""Written last: where it stands, the run that wrote the results beside it was not interrupted."""

RESULT_FILES = (
    FIBERS_FILE,
    LABELS_FILE,
    GEOJSON_FILE,
    ROISET_FILE,
    OVERLAY_FILE,
    SUMMARY_FILE,
)
"""All results of one section."""

N_STEPS = 7


def is_complete(folder: str | Path, summary: dict[str, Any]) -> bool:
    """Tell whether all results stand in a folder.

    Parameters
    ----------
    folder
        Folder of one section.
    summary
        Content of its summary.json. Where its warnings say that RoiSet.zip was not written, that
        file may be missing.
    """
    missing = {name for name in RESULT_FILES if not (Path(folder) / name).is_file()}
    warnings = summary.get("warnings") or []
    if any(str(warning).startswith(f"{ROISET_FILE} {NOT_WRITTEN}") for warning in warnings):
        missing.discard(ROISET_FILE)
    return not missing


def save_analysis(
    analysis: Analysis,
    folder: str | Path,
    *,
    progress: Progress | None = None,
) -> Path:
    """Write tables, outlines, overlay and summary of one section.

    fibers.csv, fibers.tif, fibers.geojson, RoiSet.zip, overlay.png and, last, summary.json. The
    summary of an earlier run is removed first, so an interrupted run leaves none. What could not
    be written is added to the warnings in ``analysis.summary``, which is the summary written.

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
    polygons: dict[int, Polygon] = {}

    def image_outlines() -> Iterator[tuple[int, NDArray[np.float64]]]:
        image_mpp = segmentation.mpp if slide is None else slide.mpp
        for label, polygon in polygons.items():
            yield label, to_image_xy(polygon, segmentation.mpp, image_mpp)

    def roiset() -> None:
        warning = write_roiset(folder / ROISET_FILE, image_outlines())
        if warning is not None and warning not in analysis.summary.get("warnings", []):
            analysis.summary.setdefault("warnings", []).append(warning)

    # Compressing and drawing leave the interpreter free for the text files. The summary comes last.
    labels = _UntilStopped(segmentation.labels)
    with ThreadPoolExecutor(2, "biopsy-ai-save") as background, labels:
        waiting = [
            background.submit(write_label_image, folder / LABELS_FILE, labels, segmentation.mpp)
        ]
        done = 0

        def step(action: Callable[[], object]) -> None:
            nonlocal done
            if progress is not None:
                progress("report", done, N_STEPS)
            action()
            done += 1

        step(lambda: write_fibers_csv(folder / FIBERS_FILE, fibers))
        step(
            lambda: polygons.update(
                sorted(
                    fiber_polygons(segmentation.labels, segmentation.ids, segmentation.boxes),
                    key=itemgetter(0),
                )
            )
        )
        waiting.append(
            background.submit(
                write_overlay,
                folder / OVERLAY_FILE,
                slide,
                segmentation,
                polygons=polygons,
                excluded=fibers.loc[fibers["excluded"], "label"].tolist(),
                title=analysis.name,
            )
        )
        step(
            lambda: write_geojson(
                folder / GEOJSON_FILE,
                image_outlines(),
                image_id=_image_id(analysis),
                fibers=fibers,
            )
        )
        step(roiset)
        for writing in waiting:
            step(writing.result)
    step(lambda: write_json(folder / SUMMARY_FILE, analysis.summary))
    if progress is not None:
        progress("report", N_STEPS, N_STEPS)
    return folder


class _UntilStopped:
    """A label image that ends the thread that reads it when the rest has failed or was stopped."""

    def __init__(self, labels: LabelArray) -> None:
        self.labels = labels
        self.shape = labels.shape
        self.stopped = threading.Event()

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:
            self.stopped.set()

    def __getitem__(self, key: Any, /) -> Any:
        if self.stopped.is_set():
            raise Cancelled("saving was stopped")
        return self.labels[key]


def _image_id(analysis: Analysis) -> str:
    """Tell the image from others: by its hash, or that of the outlines, else by its name."""
    provenance = analysis.summary.get("provenance") or {}
    for key in ("image_sha256", "outlines_sha256"):
        if provenance.get(key):
            return str(provenance[key])
    return analysis.name
