"""Opening the slide of an analysis, and what there is to say about it beforehand."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from biopsy_ai.config import AnalysisConfig
from biopsy_ai.errors import ConfigError, SlideReadError
from biopsy_ai.progress import Progress

if TYPE_CHECKING:
    from biopsy_ai.saved import SavedAnalysis
    from biopsy_ai.slides import Slide
    from biopsy_ai.slides.stain_detection import SectionStain

MIN_SIDE_PX = 64
"""Images with a shorter side are refused: not one whole fiber fits in. [default]"""

SAME_MPP = 1e-3
"""Relative difference up to which two pixel sizes are the same number, rounded. [default]"""


def open_hashed(path: str | Path, config: AnalysisConfig, progress: Progress | None) -> Slide:
    """Open a slide and hash its file, which takes long where it is large: the stage ``"open"``.

    Raises
    ------
    SlideReadError, PixelSizeError, ChannelError
        If the slide cannot be used.
    """
    from biopsy_ai.slides import open_slide

    def tell(done: int) -> None:
        if progress is not None:
            progress("open", done, 2)

    tell(0)
    slide = open_slide(path, mpp=config.mpp, channels=config.channels)
    try:
        tell(1)
        slide.sha256()
        tell(2)
    except BaseException:
        slide.close()
        raise
    return slide


def reopen(saved: SavedAnalysis, slide: Slide | None, progress: Progress | None) -> Slide | None:
    """Open the slide of an analysis again, and make sure that it is the same: the stage ``"open"``.

    Parameters
    ----------
    saved
        The analysis; of outlines alone there is no slide to open.
    slide
        The slide where it is open already.
    progress
        As everywhere.

    Raises
    ------
    SlideReadError
        If it is missing, or another image stands in its place.
    """
    recorded = (saved.summary.get("provenance") or {}).get("image_sha256")
    if recorded is None:
        return slide
    if progress is not None:
        progress("open", 0, 1)
    opened = slide or saved.open_slide()
    try:
        if opened.sha256() != recorded:
            raise SlideReadError(
                f"{opened.path}: has changed since {saved.folder} was made from it, so it cannot "
                "be measured again. Put the slide of that time back, or analyze this one on its "
                "own."
            )
        if progress is not None:
            progress("open", 1, 1)
    except BaseException:
        if slide is None:
            opened.close()
        raise
    return opened


def check_agreement(slide: Slide, config: AnalysisConfig) -> None:
    """Refuse settings that an open slide no longer follows, lest the provenance state them.

    Raises
    ------
    ConfigError
        If pixel size or channels of the settings are not those that the slide was opened with.
    """
    from biopsy_ai.slides.pixel_size import format_mpp

    how = "to open_slide and leave them out of the settings, or give analyze the path of the slide."
    mpp = both_sides(config.mpp)
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


def check_size(slide: Slide) -> None:
    """Refuse an image that is too small.

    Raises
    ------
    SlideReadError
        If a side is shorter than `MIN_SIDE_PX`.
    """
    if min(slide.shape) < MIN_SIDE_PX:
        rows, columns = slide.shape
        raise SlideReadError(
            f"{slide.path}: the image is too small ({columns} x {rows} px); at least "
            f"{MIN_SIDE_PX} x {MIN_SIDE_PX} px are needed. Is it a thumbnail or a label?"
        )


def both_sides(mpp: float | tuple[float, float] | None) -> tuple[float, float] | None:
    """Give a pixel size of the settings as (y, x)."""
    return (mpp, mpp) if isinstance(mpp, int | float) else mpp


def illumination_warnings(slide: Slide, stain: str) -> list[str]:
    """Say that a gray image may be fluorescence or bright field, where that is not clear."""
    from biopsy_ai.slides.tissue import is_background_unclear

    if stain != "auto" or "border" in slide.channels or not is_background_unclear(slide):
        return []
    read_as = _illumination(slide, stain).replace("_", " ")
    return [
        f"The gray image was read as {read_as}, but its brightness leaves doubt, and thresholds "
        "and tissue depend on it. Settle it with --stain: if for fluorescence, else the name of "
        "the stain."
    ]


def describe_image(slide: Slide, config: AnalysisConfig, stain: SectionStain) -> dict[str, Any]:
    """Say what image was analyzed, and as which stain, ready for JSON."""
    return {
        "file": Path(slide.path).name,
        "shape": [int(side) for side in slide.shape],
        "mpp": [float(value) for value in slide.mpp],
        "mpp_source": slide.mpp_source,
        "channels": list(slide.channel_names),
        "named_channels": dict(slide.channels),
        "illumination": _illumination(slide, config.stain),
        "stain": stain.name,
        "stain_source": stain.source,
    }


def outlines_name(path: str | Path) -> str:
    """Name results after a file with outlines: its name without suffix."""
    name = Path(path).name
    for suffix in (".ome.tiff", ".ome.tif"):
        if name.lower().endswith(suffix):
            return name[: -len(suffix)]
    return Path(path).stem


def _illumination(slide: Slide, stain: str) -> str:
    from biopsy_ai.segmentation.picture import is_fluorescent

    return "fluorescence" if is_fluorescent(slide, stain) else "bright_field"


def _channels_text(channels: dict[str, int]) -> str:
    named = ",".join(f"{name}={number}" for name, number in channels.items())
    return f"with channels {named}" if named else "without named channels"
