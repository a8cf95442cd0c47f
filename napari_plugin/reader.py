"""Opening slides and results by dropping them on the viewer."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from napari_plugin.layers import LayerData, image_layers, in_um, labels_layer

if TYPE_CHECKING:
    from biopsy_ai.slides import Slide

Reader = Callable[[str], list[LayerData]]

NOTHING_MORE: list[LayerData] = [(None,)]  # type: ignore[list-item]
"""What a reader of napari returns that has added its layers itself."""

_IMAGES = {"png", "jpeg", "tiff", "dicom", "czi"}
_ZARR_FILES = ("zarr.json", ".zattrs")
_ZARR_WORDS = (b'"multiscales"', b'"bioformats2raw.layout"')
_ZARR_BYTES = 1 << 20


def get_reader(path: str | list[str]) -> Reader | None:
    """Choose what opens a path: a slide, or a folder with the results of a section.

    Returns
    -------
    callable or None
        None for several paths at once, and for what is neither. Whether the file can be read is
        only seen when it is.
    """
    try:
        paths = [path] if isinstance(path, str) else list(path)
        return _reader_of(Path(paths[0])) if len(paths) == 1 else None
    except Exception:  # whatever is wrong with a path, another reader may know it
        return None


def _reader_of(path: Path) -> Reader | None:
    from biopsy_ai.saved import is_results
    from biopsy_ai.slides.formats import WHOLE_SLIDE_SUFFIXES, is_zarr, sniff

    if path.is_dir():
        if is_results(path):
            return read_results
        return read_slide if is_zarr(path) and _holds_image(path) else None
    if path.suffix.lower() in WHOLE_SLIDE_SUFFIXES:
        return read_slide if path.is_file() else None
    return read_slide if sniff(path) in _IMAGES and not _holds_labels(path) else None


def _holds_image(folder: Path) -> bool:
    """Whether a Zarr folder says that it holds an image."""
    for name in _ZARR_FILES:
        file = folder / name
        if file.is_file():
            with file.open("rb") as stream:
                text = stream.read(_ZARR_BYTES)
            if any(word in text for word in _ZARR_WORDS):
                return True
    return False


def _holds_labels(path: Path) -> bool:
    """Whether a file is one of the label images among results."""
    from biopsy_ai.formats.class_map import TISSUE_FILE
    from biopsy_ai.formats.label_image import LABELS_FILE
    from biopsy_ai.saved import FASCICLES_FILE, NUCLEUS_LABELS_FILE, is_results

    labels = (LABELS_FILE, NUCLEUS_LABELS_FILE, TISSUE_FILE, FASCICLES_FILE)
    return path.name in labels and is_results(path.parent)


def read_slide(path: str) -> list[LayerData]:
    """Open a slide as pyramid in µm, or in pixels where it states no pixel size.

    Raises
    ------
    SlideReadError
        If it cannot be read.
    """
    slide, why_no_mpp = open_for_display(Path(path))
    layers = image_layers(slide, why_no_mpp=why_no_mpp)
    show_scale_bar()
    _tell(slide, why_no_mpp)
    return layers


def open_for_display(path: Path) -> tuple[Slide, str]:
    """Open a slide, whether its pixel size is known or not.

    Returns
    -------
    slide
        With pixels of 1 µm where their size is not known.
    why_no_mpp : str
        What is wrong with its pixel size; empty where nothing is.
    """
    from biopsy_ai.errors import PixelSizeError
    from biopsy_ai.slides import open_slide

    try:
        return open_slide(path), ""
    except PixelSizeError as error:
        return open_slide(path, mpp=1.0), str(error)


def read_results(path: str) -> list[LayerData]:
    """Open the results of a section, under review where there is a viewer.

    Raises
    ------
    BiopsyError
        If results are missing or damaged, or their review is open elsewhere.
    """
    from napari import current_viewer

    viewer = current_viewer()
    if viewer is not None:
        from napari_plugin.section import open_results

        open_results(viewer, path)
        return NOTHING_MORE
    from biopsy_ai.saved import read_analysis
    from napari_plugin.levels import LabelPyramid

    saved = read_analysis(path)
    mpp = saved.segmentation.mpp
    layer = labels_layer(LabelPyramid(saved.labels).levels, mpp, f"{saved.name} fibers")
    shown = {"name": layer.name, "metadata": layer.metadata, "opacity": 0.5, **in_um(mpp)}
    return [(layer.data, {**shown, "multiscale": layer.multiscale}, "labels")]


def show_scale_bar() -> None:
    """Show the scale bar of the viewer that is in use, if there is one."""
    from napari import current_viewer

    viewer = current_viewer()
    if viewer is not None:
        viewer.canvas.overlays.scale_bar.visible = True


def _tell(slide: Slide, why_no_mpp: str) -> None:
    from napari.utils.notifications import show_warning

    if why_no_mpp:
        show_warning(
            f"No pixel size: {slide.path.name} states none that can be used, and is shown in "
            "pixels instead of µm. Give the pixel size when you analyze it."
        )
    for sentence in slide.warnings:
        if not why_no_mpp or "given pixel size" not in sentence:
            show_warning(sentence)
