"""The analysis of one section, from the slide to the summary. Only this module knows the order."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from biopsy_ai import RESEARCH_USE_ONLY
from biopsy_ai.config import MPP_COARSE, AnalysisConfig
from biopsy_ai.errors import ConfigError, NoTissueError, SlideReadError
from biopsy_ai.provenance import Stopwatch, describe

if TYPE_CHECKING:
    import pandas as pd

    from biopsy_ai.segmentation import Model, Segmentation
    from biopsy_ai.slides import Slide, TissueMask

Progress = Callable[[str, int, int], None]

MIN_SIDE_PX = 64
"""Images with a shorter side are refused: not one whole fiber fits in. [default]"""

WHAT_TO_CHECK = (
    "Check that the image shows muscle cut across, that the pixel size is right (--mpp), and for "
    "fluorescence that --channels border=N names the channel with the fiber border."
)


@dataclass(frozen=True, eq=False)
class Analysis:
    """What the analysis of one section found.

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
        The slide, still open; ``None`` where only outlines were measured.
    """

    name: str
    fibers: pd.DataFrame
    segmentation: Segmentation
    summary: dict[str, Any]
    config: AnalysisConfig
    slide: Slide | None = None

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
        Called as ``progress(stage, done, total)``. It may raise `Cancelled` to stop.

    Raises
    ------
    SlideReadError, PixelSizeError, ChannelError
        If the slide cannot be used.
    NoTissueError
        If the image holds no muscle or no fiber was found.
    OutlineReadError, ModelError, ConfigError
        If the outlines, the model or the settings cannot be used.

    Examples
    --------
    >>> import biopsy_ai
    >>> analysis = biopsy_ai.analyze("section.tif")  # doctest: +SKIP
    >>> analysis.fibers["min_feret_um"].median()  # doctest: +SKIP
    >>> analysis.save("results/section")  # doctest: +SKIP
    """
    config = config or AnalysisConfig()
    if slide is None or not isinstance(slide, str | Path):
        return _analyze(slide, config, fibers, model, progress, Stopwatch())

    from biopsy_ai.slides import open_slide

    watch = Stopwatch()
    with watch.stage("open"):
        opened = open_slide(slide, mpp=config.mpp, channels=config.channels)
    try:
        return _analyze(opened, config, fibers, model, progress, watch)
    except BaseException:
        opened.close()
        raise


def _analyze(
    slide: Slide | None,
    config: AnalysisConfig,
    fibers: str | Path | None,
    model: Model | None,
    progress: Progress | None,
    watch: Stopwatch,
) -> Analysis:
    from biopsy_ai.measure import measure_fibers, summarize_fibers
    from biopsy_ai.segmentation import load_model, read_outlines, segment_fibers

    if slide is None and fibers is None:
        raise ConfigError("nothing to analyze: give a slide, a file with fiber outlines, or both")
    if slide is not None:
        _check_size(slide)
    warnings = [] if slide is None else list(slide.warnings)

    with watch.stage("tissue"):
        tissue = _find_tissue(slide, needed=fibers is None, warnings=warnings)

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
            touches_tissue_edge=segmentation.touches_tissue_edge,
            image_mpp=None if slide is None else slide.mpp,
            config=config.measurement,
            progress=progress,
        )
        statistics = summarize_fibers(
            table,
            field_area_um2=_area_um2(segmentation.labels.shape, segmentation.mpp),
            tissue_area_um2=tissue_area_um2,
            sex=config.sex,
        )

    mpp = segmentation.mpp if slide is None else slide.mpp
    if max(mpp) > MPP_COARSE:
        warnings.append(
            f"The image is coarser than {MPP_COARSE} µm per pixel ({max(mpp):.3g}): sizes are "
            "reported, shapes are not."
        )
    name = slide.name if slide is not None else outlines_name(str(fibers))
    provenance = describe(
        config, segmentation, slide, outlines=fibers, model=model, seconds=watch.seconds
    )
    summary = {
        "name": name,
        "research_use_only": RESEARCH_USE_ONLY,
        "fibers": statistics,
        "image": _describe_image(slide, config),
        "outlines_mpp": [float(value) for value in segmentation.mpp],
        "tissue_area_um2": tissue_area_um2,
        "warnings": warnings,
        "provenance": provenance,
    }
    return Analysis(name, table, segmentation, summary, config, slide)


def _check_size(slide: Slide) -> None:
    if min(slide.shape) < MIN_SIDE_PX:
        rows, columns = slide.shape
        raise SlideReadError(
            f"{slide.path}: the image is too small ({columns} x {rows} px); at least "
            f"{MIN_SIDE_PX} x {MIN_SIDE_PX} px are needed. Is it a thumbnail or a label?"
        )


def _find_tissue(slide: Slide | None, *, needed: bool, warnings: list[str]) -> TissueMask | None:
    if slide is None:
        return None
    from biopsy_ai.slides import tissue_mask

    try:
        return tissue_mask(slide)
    except NoTissueError as error:
        if needed:
            raise
        warnings.append(f"No tissue was found, so densities per tissue area are missing ({error})")
        return None


def _pair(mpp: float | tuple[float, float] | None) -> tuple[float, float] | None:
    return (mpp, mpp) if isinstance(mpp, int | float) else mpp


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
        "stain": "not determined" if config.stain == "auto" else config.stain,
    }


def outlines_name(path: str | Path) -> str:
    """Name results after a file with outlines: its name without suffix."""
    name = Path(path).name
    for suffix in (".ome.tiff", ".ome.tif"):
        if name.lower().endswith(suffix):
            return name[: -len(suffix)]
    return Path(path).stem
