"""Outline the fibers of a slide: read, predict and draw at the same time."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Executor, Future, as_completed
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from biopsy_ai.config import AnalysisConfig
from biopsy_ai.labels import LabelArray
from biopsy_ai.processors import usable_cores, worker_threads
from biopsy_ai.progress import Progress
from biopsy_ai.segmentation.accelerator import turn_on
from biopsy_ai.segmentation.drawing import COARSE, PLANES, FiberMaps
from biopsy_ai.segmentation.fold_caller import FoldCaller
from biopsy_ai.segmentation.nuclei import (
    NucleusPixels,
    NucleusSheet,
    window_nuclei,
)
from biopsy_ai.segmentation.placement import FiberSheet
from biopsy_ai.segmentation.result import Segmentation
from biopsy_ai.segmentation.scratch import MapStore
from biopsy_ai.segmentation.second_look import second_look_for
from biopsy_ai.segmentation.streams import (
    Batch,
    Predicted,
    count_streams,
    predict_batches,
)
from biopsy_ai.segmentation.thresholds import InstanceThresholds, NucleusThresholds, threshold_set
from biopsy_ai.segmentation.tile_sharing import TileJob, batches_of, predict_shared
from biopsy_ai.segmentation.tiles import Tile, cut_tiles
from biopsy_ai.segmentation.tissue_edge import TissueEdge
from biopsy_ai.segmentation.tissue_map import TissueMap, TissueSheet, window_tissue
from biopsy_ai.segmentation.windows import (
    CORE_PX,
    SMALL_CORE_PX,
    Window,
    WindowFiber,
    cut_windows,
    window_fibers,
)

if TYPE_CHECKING:
    from biopsy_ai.segmentation.model import Model
    from biopsy_ai.slides import Slide, TissueMask

STAGE = "segment"

WORKERS_MAX = 8
"""Threads that draw windows; each needs about 150 MB. [default]"""


def segment_fibers(
    slide: Slide,
    config: AnalysisConfig,
    *,
    model: Model | None = None,
    tissue: TissueMask | None = None,
    stain: str | None = None,
    progress: Progress | None = None,
) -> Segmentation:
    """Outline the fibers of a slide with the network, and what else its model draws.

    Reading, the network, and drawing run side by side. Memory does not grow with the slide. The
    size of the tiles hardly changes the fibers where borders are clear (at least 99.5 % are the
    same within IoU 0.9): the network sees farther than the context that tiles overlap by. Where
    borders are unclear, as in necrosis, that decides about some fibers.

    Parameters
    ----------
    slide
        An open slide.
    config
        Of which ``segmentation``, ``model``, ``device`` and ``stain`` are used, the last to tell
        fluorescence from bright field and to choose among the thresholds of the model.
    model
        A loaded model, instead of ``config.model``.
    tissue
        Where the slide holds tissue, if that is known already.
    stain
        The stain that was recognised, where the settings leave it open: it chooses among the
        thresholds of the model.
    progress
        Called as ``progress("segment", done, total)`` after every tile of the network and every
        window of the instance step. An exception that it raises stops everything.

    Raises
    ------
    ChannelError
        When the slide is fluorescence of several channels and none is named border.
    NoTissueError
        When the slide is blank.
    ModelError, ConfigError
        When the model or the device cannot be used.
    OutputError
        When the disk has no room for intermediate results.
    """
    from biopsy_ai.segmentation.device import choose_device
    from biopsy_ai.segmentation.maps import MapNetwork
    from biopsy_ai.segmentation.model import load_model
    from biopsy_ai.segmentation.picture import PictureReader, is_fluorescent
    from biopsy_ai.slides import tissue_mask
    from biopsy_ai.slides.tissue import MARGIN_UM

    model = model or load_model(config.model)
    device = choose_device(config.device)
    if config.segmentation.precision == "float":
        device = replace(device, whole_numbers=False)
    mpp = model.working_mpp
    tissue = tissue_mask(slide, config.stain) if tissue is None else tissue
    reader = PictureReader.of_slide(slide, mpp, tissue, config.stain)
    shape = slide.grid_shape(mpp)
    settings = config.segmentation
    sought = tissue.mask if tissue.sought is None else tissue.sought
    tiles = cut_tiles(shape, sought, tissue.mpp, mpp, settings.tile_px, settings.overlap_px)
    fluorescent = is_fluorescent(slide, config.stain)
    chosen_set = threshold_set(stain or config.stain, fluorescent=fluorescent)
    tuned = model.thresholds_for(chosen_set)
    thresholds = chosen_thresholds(tuned, config)
    second_look = second_look_for(chosen_set) if settings.second_look else None
    network = MapNetwork(model, device, settings.views, second_look=second_look)
    drawer = _WindowDrawer(
        shape=shape,
        tiles=tiles,
        thresholds=thresholds,
        nucleus_thresholds=model.nucleus_thresholds if model.draws_nuclei else None,
        classes=model.draws_tissue,
        sought=sought,
        mpp=mpp,
        tissue_edge=TissueEdge.from_mask(tissue.mask, tissue.mpp, MARGIN_UM),
    )
    total = len(tiles) + drawer.n_windows

    def report() -> None:
        if progress is not None:
            progress(STAGE, drawer.n_tiles_done + drawer.n_placed, total)

    workers = min(usable_cores(), WORKERS_MAX)
    try:
        report()
        with (
            turn_on(device.name, report),
            _quick_turns(),
            worker_threads("read", min(workers, 4)) as readers,
            worker_threads("draw", workers) as drawers,
        ):
            batches = batches_of(tiles, device.batch_px)
            streams = count_streams(device, len(batches))

            def predict(some: Iterable[Batch]) -> Iterator[Predicted]:
                return predict_batches(some, reader, network, readers, device.batch_px, streams)

            if device.is_cpu:
                predicted = predict_shared(
                    batches, lambda: TileJob.of(reader, config, model, network), predict
                )
            else:
                predicted = predict(batches)
            for tile, maps in predicted:
                drawer.add(tile, maps, drawers)
                report()
            for _ in drawer.finish():
                report()
            classes = drawer.classes()
            if classes is not None and not fluorescent:
                folds = FoldCaller(*classes, slide, drawer.sheet.labels, mpp)
                for _ in drawers.map(folds.call, folds.windows):
                    report()
        return Segmentation(
            labels=drawer.sheet.labels,
            mpp=(mpp, mpp),
            ids=np.arange(1, len(drawer.sheet) + 1, dtype=np.int64),
            boxes=drawer.sheet.boxes,
            confidence=drawer.sheet.confidence,
            touches_tissue_edge=drawer.sheet.faces_glass,
            nuclei=drawer.nucleus_sheet.nuclei() if drawer.nucleus_sheet else None,
            tissue=None if classes is None else classes[0],
            provenance={
                "method": "network",
                "model": model.name,
                "model_version": str(model.spec.get("version", "")),
                "weights_sha256": model.weights_sha256,
                "threshold_set": chosen_set,
                "thresholds": thresholds.as_dict(),
                **(
                    {"nucleus_thresholds": model.nucleus_thresholds.as_dict()}
                    if model.draws_nuclei
                    else {}
                ),
                "illumination": "fluorescence" if fluorescent else "bright field",
                "working_mpp": mpp,
                "device": device.name,
                "precision": network.precision,
                "views": network.views,
                "second_look": network.second_look is not None,
                "tile_px": settings.tile_px,
                "overlap_px": settings.overlap_px,
                "intensity_range": [reader.low, reader.high],
                "border_channel": reader.channel,
                **({"warnings": [model.warning]} if model.warning else {}),
            },
        )
    finally:
        drawer.store.close()


def chosen_thresholds(tuned: InstanceThresholds, config: AnalysisConfig) -> InstanceThresholds:
    """Put the thresholds that the user has set in place of those of the model."""
    settings = config.segmentation
    if settings.foreground_threshold is not None:
        tuned = replace(tuned, foreground=settings.foreground_threshold)
    if settings.min_area_um2 is not None:
        tuned = replace(tuned, min_area_um2=settings.min_area_um2)
    return tuned


class _WindowDrawer:
    """Draws each window as soon as the maps that it sees are complete, places them in order."""

    def __init__(
        self,
        *,
        shape: tuple[int, int],
        tiles: Sequence[Tile],
        thresholds: InstanceThresholds,
        nucleus_thresholds: NucleusThresholds | None,
        classes: bool,
        sought: NDArray[np.bool_],
        mpp: float,
        tissue_edge: TissueEdge,
    ) -> None:
        self._shape = (shape[0] + shape[0] % 2, shape[1] + shape[1] % 2)
        self._thresholds = thresholds
        self._nucleus_thresholds = nucleus_thresholds
        self._mpp = mpp
        self._tissue_edge = tissue_edge
        self.sheet = FiberSheet(shape, thresholds.min_area_um2 / mpp**2)
        self.nucleus_sheet = NucleusSheet(shape, mpp) if nucleus_thresholds else None
        self.tissue_sheet = TissueSheet(self._shape, sought) if classes else None
        self.store = MapStore(
            self._shape,
            [
                name
                for name in PLANES
                if (nucleus_thresholds or not name.startswith("nucleus"))
                and (classes or name != "tissue")
            ],
        )
        # Windows that see no tile hold nothing.
        self._windows = []
        self._missing: list[int] = []
        small = max(self._shape) <= CORE_PX
        for window in cut_windows(self._shape, SMALL_CORE_PX if small else CORE_PX):
            n_tiles = sum(_meet(tile, window) for tile in tiles)
            if n_tiles:
                self._windows.append(window)
                self._missing.append(n_tiles)
        self._jobs: list[Future[None]] = []
        self._drawn: dict[int, _Drawn] = {}
        self._lock = threading.Lock()
        self.n_tiles_done = 0
        self.n_placed = 0

    @property
    def n_windows(self) -> int:
        return len(self._windows)

    def add(self, tile: Tile, maps: FiberMaps, drawers: Executor) -> None:
        """Store the maps of a tile and start the windows that waited for it.

        Raises what a window that was drawn meanwhile has raised.
        """
        self.store.write(tile.y0, tile.x0, maps)
        self.n_tiles_done += 1
        for i, window in enumerate(self._windows):
            if _meet(tile, window):
                self._missing[i] -= 1
                if self._missing[i] == 0:
                    self._jobs.append(drawers.submit(self._draw, i))
        for job in self._jobs:
            if job.done():
                job.result()

    def finish(self) -> Iterator[None]:
        """Wait for the windows, one by one."""
        for job in as_completed(self._jobs):
            yield job.result()

    def classes(self) -> tuple[TissueMap, LabelArray] | None:
        """The class map and, on its grid, where the network thinks of an artefact."""
        if self.tissue_sheet is None:
            return None
        coarse = COARSE * self._mpp
        return TissueMap(self.tissue_sheet.classes, (coarse, coarse)), self.tissue_sheet.votes

    def _draw(self, i: int) -> None:
        window = self._windows[i]
        maps = self.store.read(*window.outer)
        drawn = _Drawn(
            window,
            window_fibers(
                maps, window, self._shape, self._thresholds, self._mpp, self._tissue_edge
            ),
            window_nuclei(maps, window, self._nucleus_thresholds, self._mpp)
            if self._nucleus_thresholds
            else None,
            window_tissue(maps, window) if self.tissue_sheet else None,
        )
        del maps
        with self._lock:
            self._drawn[i] = drawn
            while self.n_placed in self._drawn:
                self._place(self._drawn.pop(self.n_placed))
                self.n_placed += 1

    def _place(self, drawn: _Drawn) -> None:
        self.sheet.place(drawn.fibers)
        if self.nucleus_sheet is not None and drawn.nuclei is not None:
            self.nucleus_sheet.place(drawn.nuclei)
        if self.tissue_sheet is not None and drawn.tissue is not None:
            self.tissue_sheet.place(drawn.window, drawn.tissue)


class _Drawn(NamedTuple):
    """What one window holds."""

    window: Window
    fibers: list[WindowFiber]
    nuclei: NucleusPixels | None
    tissue: NDArray[np.uint8] | None


def _meet(tile: Tile, window: Window) -> bool:
    y0, x0, y1, x1 = window.outer
    return tile.y0 < y1 and tile.y1 > y0 and tile.x0 < x1 and tile.x1 > x0


@contextmanager
def _quick_turns() -> Iterator[None]:
    """Let threads take turns more often than every 5 ms.

    The network comes back to Python between any two of its layers, and would wait that long for
    a thread that draws.
    """
    usual = sys.getswitchinterval()
    sys.setswitchinterval(min(usual, 5e-4))
    try:
        yield
    finally:
        sys.setswitchinterval(usual)
