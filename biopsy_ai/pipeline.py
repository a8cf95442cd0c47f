"""The analysis of one section, from the slide to the summary. Only this module knows the order."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from biopsy_ai import RESEARCH_USE_ONLY
from biopsy_ai.config import MPP_COARSE, AnalysisConfig
from biopsy_ai.errors import ConfigError, NoTissueError, SlideReadError
from biopsy_ai.formats.tables import printable
from biopsy_ai.progress import Progress
from biopsy_ai.provenance import Stopwatch, describe

if TYPE_CHECKING:
    import pandas as pd

    from biopsy_ai.segmentation import Model, Segmentation
    from biopsy_ai.slides import Slide, TissueMask

MIN_SIDE_PX = 64
"""Images with a shorter side are refused: not one whole fiber fits in. [default]"""

SAME_MPP = 1e-3
"""Relative difference up to which two pixel sizes are the same number, rounded. [default]"""

WHAT_TO_CHECK = (
    "Check that the image shows muscle cut across, that the pixel size is right (--mpp), and for "
    "fluorescence that --channels border=N names the channel with the fiber border."
)


@dataclass(frozen=True, eq=False)
class Analysis:
    """What the analysis of one section found. Close it, or use it in a ``with`` statement.

    Attributes
    ----------
    name
        Name of the slide, or of the file with the outlines where there is no slide.
    fibers
        One row per fiber; units stand in the column names.
    segmentation
        The outlines.
    summary
        Statistics, exclusions, warnings and provenance, ready for JSON.
    config
        The settings.
    slide
        The slide, open until `close`; ``None`` where only outlines were measured.
    """

    name: str
    fibers: pd.DataFrame
    segmentation: Segmentation
    summary: dict[str, Any]
    config: AnalysisConfig
    slide: Slide | None = None
    _opened_here: bool = field(default=False, repr=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the slide that `analyze` opened; one that was given open stays open."""
        if self._opened_here and self.slide is not None:
            self.slide.close()

    @property
    def labels(self) -> Any:
        """Label image (rows, columns) int32: 0 is background, n is the fiber with label n."""
        return self.segmentation.labels

    def save(self, folder: str | Path, *, progress: Progress | None = None) -> Path:
        """Write tables, outlines, overlay and summary to `folder`, which is made if missing.

        The slide, if there is one, must still be open.

        Raises
        ------
        OutputError
            If the folder cannot be written.
        """
        from biopsy_ai.report import save_analysis

        return save_analysis(self, folder, progress=progress)


def analyze(
    slide: Slide | str | Path | None,
    config: AnalysisConfig | None = None,
    *,
    fibers: str | Path | None = None,
    model: Model | None = None,
    progress: Progress | None = None,
) -> Analysis:
    """Outline and measure the fibers of one section.

    Parameters
    ----------
    slide
        An open slide or the path of one. ``None`` measures the outlines in `fibers` alone.
    config
        Settings; the defaults of `AnalysisConfig` if ``None``.
    fibers
        File with outlines to measure instead of segmenting: label TIFF or PNG, QuPath GeoJSON,
        ImageJ RoiSet.zip.
    model
        A loaded model, to spare loading ``config.model`` again for each of many slides.
    progress
        Called as ``progress(stage, done, total)`` for the stages ``"open"``, ``"tissue"``,
        ``"segment"`` and ``"measure"``. It may raise `Cancelled` to stop.

    Raises
    ------
    SlideReadError, PixelSizeError, ChannelError
        If the slide cannot be used.
    NoTissueError
        If the image holds no muscle or no fiber was found.
    OutlineReadError, ModelError, ConfigError
        If the outlines, the model or the settings cannot be used; an open slide keeps the pixel
        size and the channels it was opened with, and the settings must not say otherwise.

    Examples
    --------
    >>> import biopsy_ai
    >>> with biopsy_ai.analyze("section.tif") as analysis:  # doctest: +SKIP
    ...     analysis.save("results/section")
    >>> analysis.fibers["min_feret_um"].median()  # doctest: +SKIP
    """
    config = config or AnalysisConfig()
    watch = Stopwatch()
    if slide is None or not isinstance(slide, str | Path):
        if slide is not None:
            _check_agreement(slide, config)
        return _analyze(slide, config, fibers, model, progress, watch, opened_here=False)
    with watch.stage("open"):
        opened = open_hashed(slide, config, progress)
    try:
        return _analyze(opened, config, fibers, model, progress, watch, opened_here=True)
    except BaseException:
        opened.close()
        raise


def open_hashed(path: str | Path, config: AnalysisConfig, progress: Progress | None) -> Slide:
    """Open a slide and hash its file, which takes long where it is large: the stage ``"open"``.

    Raises
    ------
    SlideReadError, PixelSizeError, ChannelError
        If the slide cannot be used.
    """
    from biopsy_ai.slides import open_slide

    _tell(progress, "open", 0, 2)
    slide = open_slide(path, mpp=config.mpp, channels=config.channels)
    try:
        _tell(progress, "open", 1, 2)
        slide.sha256()
        _tell(progress, "open", 2, 2)
    except BaseException:
        slide.close()
        raise
    return slide


def _tell(progress: Progress | None, stage: str, done: int, total: int) -> None:
    if progress is not None:
        progress(stage, done, total)


def _analyze(
    slide: Slide | None,
    config: AnalysisConfig,
    fibers: str | Path | None,
    model: Model | None,
    progress: Progress | None,
    watch: Stopwatch,
    *,
    opened_here: bool,
) -> Analysis:
    from biopsy_ai.measure import measure_fibers, summarize_fibers
    from biopsy_ai.segmentation import load_model, read_outlines, segment_fibers

    if slide is None and fibers is None:
        raise ConfigError("nothing to analyze: give a slide, a file with fiber outlines, or both")
    if slide is not None:
        _check_size(slide)
    warnings = [] if slide is None else list(slide.warnings)

    with watch.stage("tissue"):
        tissue = _find_tissue(
            slide, config.stain, needed=fibers is None, warnings=warnings, progress=progress
        )

    with watch.stage("segment"):
        if fibers is None:
            assert slide is not None
            model = model or load_model(config.model)
            segmentation = segment_fibers(
                slide, config, model=model, tissue=tissue, progress=progress
            )
        else:
            model = None
            segmentation = read_outlines(
                fibers,
                mpp=_pair(config.mpp) if slide is None else slide.mpp,
                shape=None if slide is None else slide.shape,
            )
            if tissue is not None:
                segmentation = _with_tissue_edge(segmentation, tissue)
    warnings += _texts(segmentation.provenance.get("warnings"))
    if len(segmentation.ids) == 0:
        raise NoTissueError(f"{slide.path if slide else fibers}: no fibers found. {WHAT_TO_CHECK}")

    tissue_area_um2 = None if tissue is None else tissue.area_um2
    with watch.stage("measure"):
        table = measure_fibers(
            segmentation.labels,
            segmentation.mpp,
            ids=segmentation.ids,
            boxes=segmentation.boxes,
            confidence=segmentation.confidence,
            touches_tissue_edge=None if tissue is None else segmentation.touches_tissue_edge,
            image_mpp=None if slide is None else slide.mpp,
            config=config.measurement,
            progress=progress,
        )
        known = segmentation.provenance.get("field_known", True)
        statistics = summarize_fibers(
            table,
            field_area_um2=_area_um2(segmentation.labels.shape, segmentation.mpp)
            if known
            else None,
            tissue_area_um2=tissue_area_um2,
            sex=config.sex,
            config=config.measurement,
        )

    mpp = segmentation.mpp if slide is None else slide.mpp
    if max(mpp) > MPP_COARSE:
        warnings.append(
            f"The image is coarser than {MPP_COARSE} µm per pixel ({max(mpp):.3g}): sizes are "
            "reported, shapes are not."
        )
    name = printable(slide.name if slide is not None else outlines_name(str(fibers)))
    provenance = describe(
        config, segmentation, slide, outlines=fibers, model=model, seconds=watch.seconds
    )
    summary = {
        "name": name,
        "research_use_only": RESEARCH_USE_ONLY,
        "fibers": statistics,
        "image": _describe_image(slide, config),
        "outlines_mpp": [float(value) for value in segmentation.mpp],
        # None where the fibers were segmented: those outlines are drawn with pixels of our own.
        "outlines_mpp_source": segmentation.provenance.get("mpp_source"),
        "tissue_area_um2": tissue_area_um2,
        "warnings": warnings,
        "provenance": provenance,
    }
    return Analysis(name, table, segmentation, summary, config, slide, opened_here)


def _check_agreement(slide: Slide, config: AnalysisConfig) -> None:
    """Refuse settings that an open slide no longer follows, lest the provenance state them."""
    from biopsy_ai.slides.pixel_size import format_mpp

    how = "to open_slide and leave them out of the settings, or give analyze the path of the slide."
    mpp = _pair(config.mpp)
    if mpp is not None and not all(
        math.isclose(a, b, rel_tol=SAME_MPP) for a, b in zip(mpp, slide.mpp, strict=True)
    ):
        raise ConfigError(
            f"{slide.path}: the slide was opened with pixels of {format_mpp(slide.mpp)} µm "
            f"({slide.mpp_source}), the settings say {format_mpp(mpp)} µm. Give mpp {how}"
        )
    if config.channels and config.channels != slide.channels:
        raise ConfigError(
            f"{slide.path}: the slide was opened {_channels_text(slide.channels)}, the settings "
            f"come {_channels_text(config.channels)}. Give channels {how}"
        )


def _check_size(slide: Slide) -> None:
    if min(slide.shape) < MIN_SIDE_PX:
        rows, columns = slide.shape
        raise SlideReadError(
            f"{slide.path}: the image is too small ({columns} x {rows} px); at least "
            f"{MIN_SIDE_PX} x {MIN_SIDE_PX} px are needed. Is it a thumbnail or a label?"
        )


def _find_tissue(
    slide: Slide | None,
    stain: str,
    *,
    needed: bool,
    warnings: list[str],
    progress: Progress | None,
) -> TissueMask | None:
    if slide is None:
        return None
    from biopsy_ai.slides import tissue_mask

    _tell(progress, "tissue", 0, 1)
    tissue = None
    try:
        tissue = tissue_mask(slide, stain)
    except NoTissueError as error:
        if needed:
            raise
        warnings.append(f"No tissue was found, so densities per tissue area are missing ({error})")
    else:
        warnings.extend(_illumination_warnings(slide, stain))
    _tell(progress, "tissue", 1, 1)
    return tissue


def _illumination_warnings(slide: Slide, stain: str) -> list[str]:
    from biopsy_ai.slides.tissue import is_background_unclear

    if stain != "auto" or "border" in slide.channels or not is_background_unclear(slide):
        return []
    read_as = _illumination(slide, stain).replace("_", " ")
    return [
        f"The gray image was read as {read_as}, but its brightness leaves doubt, and thresholds "
        "and tissue depend on it. Settle it with --stain: if for fluorescence, else the name of "
        "the stain."
    ]


def _illumination(slide: Slide, stain: str) -> str:
    from biopsy_ai.segmentation.picture import is_fluorescent

    return "fluorescence" if is_fluorescent(slide, stain) else "bright_field"


def _with_tissue_edge(segmentation: Segmentation, tissue: TissueMask) -> Segmentation:
    from biopsy_ai.segmentation.tissue_edge import TissueEdge
    from biopsy_ai.slides.tissue import MARGIN_UM

    edge = TissueEdge.from_mask(tissue.mask, tissue.mpp, MARGIN_UM)
    facing = edge.find_facing(
        segmentation.labels, segmentation.mpp, segmentation.ids, segmentation.boxes
    )
    return replace(segmentation, touches_tissue_edge=facing)


def _pair(mpp: float | tuple[float, float] | None) -> tuple[float, float] | None:
    return (mpp, mpp) if isinstance(mpp, int | float) else mpp


def _channels_text(channels: dict[str, int]) -> str:
    named = ",".join(f"{name}={number}" for name, number in channels.items())
    return f"with channels {named}" if named else "without named channels"


def _texts(value: object) -> list[str]:
    return [str(item) for item in value] if isinstance(value, list | tuple) else []


def _area_um2(shape: tuple[int, ...], mpp: tuple[float, float]) -> float:
    return float(shape[0]) * float(shape[1]) * mpp[0] * mpp[1]


def _describe_image(slide: Slide | None, config: AnalysisConfig) -> dict[str, Any] | None:
    if slide is None:
        return None
    return {
        "file": Path(slide.path).name,
        "shape": [int(side) for side in slide.shape],
        "mpp": [float(value) for value in slide.mpp],
        "mpp_source": slide.mpp_source,
        "channels": list(slide.channel_names),
        "named_channels": dict(slide.channels),
        "illumination": _illumination(slide, config.stain),
        "stain": "not determined" if config.stain == "auto" else config.stain,
    }


def outlines_name(path: str | Path) -> str:
    """Name results after a file with outlines: its name without suffix."""
    name = Path(path).name
    for suffix in (".ome.tiff", ".ome.tif"):
        if name.lower().endswith(suffix):
            return name[: -len(suffix)]
    return Path(path).stem
