"""Regions that a user draws in a shapes layer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from biopsy_ai.errors import ConfigError

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Shapes

    from napari_plugin.slides_shown import ShownSlide

LAYER = "region"

AREAS = ("polygon", "rectangle", "ellipse")
"""Kinds of shapes that enclose something."""

ELLIPSE_CORNERS = 72


def shapes_layers(viewer: ViewerModel) -> list[Shapes]:
    """All layers of shapes in which a region may be drawn."""
    from napari.layers import Shapes

    return [layer for layer in viewer.layers if isinstance(layer, Shapes)]


def start_drawing(viewer: ViewerModel, slide: ShownSlide | None = None) -> Shapes:
    """Make the layer for regions unless it is there, and let the mouse draw a polygon in it.

    Parameters
    ----------
    viewer
        To which the layer is added.
    slide
        On which the region is drawn: the layer has its units.
    """
    layer = next((each for each in shapes_layers(viewer) if each.name == LAYER), None)
    if layer is None:
        units = None if slide is None else slide.layers[0].units
        layer = viewer.add_shapes(
            name=LAYER,
            ndim=2,
            units=units,
            axis_labels=("y", "x"),
            edge_color="yellow",
            edge_width=_edge_width(slide),
            face_color="#ffff0022",
        )
    viewer.layers.selection.active = layer
    layer.mode = "add_polygon"
    return layer


def drawn_region(layer: Shapes) -> NDArray[np.float64]:
    """Corners (y, x) of the region that is drawn in a layer, where the viewer shows them.

    The shape that is selected counts, else the only one.

    Raises
    ------
    ConfigError
        If there is none, several, or one that encloses nothing.
    """
    chosen = sorted(layer.selected_data) if len(layer.selected_data) == 1 else range(layer.nshapes)
    numbers = list(chosen)
    if not numbers:
        raise ConfigError(f'Nothing is drawn in the layer "{layer.name}" yet.')
    if len(numbers) > 1:
        raise ConfigError(
            f'The layer "{layer.name}" holds {len(numbers)} shapes. Select the one to analyze.'
        )
    kind = str(layer.shape_type[numbers[0]])
    if kind not in AREAS:
        raise ConfigError(
            f'The shape in the layer "{layer.name}" is a {kind}, which encloses nothing. Draw a '
            "polygon, rectangle or ellipse."
        )
    corners = np.asarray(layer.data[numbers[0]], float)[:, -2:]
    if kind == "ellipse":
        corners = _ellipse(corners)
    return np.array([layer.data_to_world(corner)[-2:] for corner in corners])


def write_region(path: Path, corners: NDArray[np.float64], slide: ShownSlide) -> None:
    """Write a region as GeoJSON in pixels of a slide, as ``biopsy-ai analyze --region`` reads it.

    Raises
    ------
    ConfigError
        If the region encloses nothing, or crosses itself.
    """
    from biopsy_ai.region import check_region

    pixels = [slide.to_pixels(corner) for corner in corners]
    try:
        check_region(pixels)
    except ValueError as error:
        raise ConfigError(str(error)) from error
    ring = [[x, y] for y, x in (*pixels, pixels[0])]
    feature: dict[str, Any] = {
        "type": "Feature",
        "geometry": {"type": "Polygon", "coordinates": [ring]},
        "properties": {"objectType": "annotation", "name": LAYER},
    }
    path.write_text(json.dumps(feature, allow_nan=False), encoding="utf-8")


def rescale(layer: Shapes, factor: tuple[float, float]) -> None:
    """Let a layer follow the slide that it was drawn on, which is now shown in µm, and larger."""
    layer.scale = layer.scale * np.asarray(factor)
    layer.translate = layer.translate * np.asarray(factor)
    layer.units = ("um", "um")


def _edge_width(slide: ShownSlide | None) -> float:
    """Width of the line around a region, that it shows over a whole slide and over a crop."""
    if slide is None:
        return 4.0
    layer = slide.layers[0]
    return max(float(max(layer.extent.world[1] - layer.extent.world[0])) / 250, 1.0)


def _ellipse(corners: NDArray[np.float64]) -> NDArray[np.float64]:
    """The ellipse in a box, which may be turned, as polygon."""
    center = corners.mean(axis=0)
    one, other = (corners[1] - corners[0]) / 2, (corners[3] - corners[0]) / 2
    angle = np.linspace(0, 2 * np.pi, ELLIPSE_CORNERS, endpoint=False)[:, None]
    return np.asarray(center + np.cos(angle) * one + np.sin(angle) * other)
