"""Regions that a user draws."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from drawn_sections import DrawnSection

pytest.importorskip("napari", reason="napari is not installed: pip install biopsy-ai[gui]")

from biopsy_ai.errors import ConfigError
from biopsy_ai.region import area_um2, read_region
from napari_plugin.drawn_regions import (
    LAYER,
    drawn_region,
    rescale,
    shapes_layers,
    start_drawing,
    write_region,
)
from napari_plugin.slides_shown import ShownSlide, slides_shown

SQUARE = np.array([(10.0, 10.0), (10.0, 40.0), (40.0, 40.0), (40.0, 10.0)])


@pytest.fixture
def viewer(section: DrawnSection) -> Any:
    from napari.components import ViewerModel
    from napari.layers import Layer

    from napari_plugin.layers import image_layers
    from napari_plugin.reader import open_for_display

    viewer = ViewerModel()
    for parts in image_layers(open_for_display(section.image)[0]):
        viewer.add_layer(Layer.create(*parts))
    return viewer


@pytest.fixture
def slide(viewer: Any) -> ShownSlide:
    return slides_shown(viewer)[0]


def test_the_mouse_draws_a_polygon(viewer: Any, slide: ShownSlide) -> None:
    layer = start_drawing(viewer, slide)
    assert (layer.name, str(layer.mode)) == (LAYER, "add_polygon")
    assert viewer.layers.selection.active is layer
    assert [str(unit) for unit in layer.units] == ["micrometer", "micrometer"]
    assert start_drawing(viewer, slide) is layer
    assert shapes_layers(viewer) == [layer]


def test_what_is_drawn_is_what_is_analyzed(viewer: Any, slide: ShownSlide, tmp_path: Path) -> None:
    layer = start_drawing(viewer, slide)
    layer.add_polygons([SQUARE])
    write_region(tmp_path / "region.geojson", drawn_region(layer), slide)
    assert slide.mpp is not None
    region = read_region(tmp_path / "region.geojson", slide.mpp)
    np.testing.assert_allclose(region, SQUARE)


def test_ellipse(viewer: Any, slide: ShownSlide, tmp_path: Path) -> None:
    layer = start_drawing(viewer, slide)
    layer.add_ellipses([SQUARE])
    region = tuple((float(y), float(x)) for y, x in drawn_region(layer))
    assert area_um2(region, (100, 100), (1.0, 1.0)) == pytest.approx(np.pi * 15**2, rel=0.01)


def test_a_layer_that_was_moved(viewer: Any) -> None:
    layer = start_drawing(viewer)
    layer.add_rectangles([SQUARE])
    layer.translate = (5.0, 0.0)
    np.testing.assert_allclose(drawn_region(layer), SQUARE + (5, 0))


def test_of_several_the_selected_one_counts(viewer: Any) -> None:
    layer = start_drawing(viewer)
    layer.add_polygons([SQUARE, SQUARE + 10])
    layer.selected_data = {1}
    np.testing.assert_allclose(drawn_region(layer), SQUARE + 10)
    layer.selected_data = set()
    with pytest.raises(ConfigError, match="holds 2 shapes. Select the one"):
        drawn_region(layer)


def test_what_encloses_nothing(viewer: Any, slide: ShownSlide, tmp_path: Path) -> None:
    layer = start_drawing(viewer)
    with pytest.raises(ConfigError, match="Nothing is drawn"):
        drawn_region(layer)
    layer.add_lines([SQUARE[:2]])
    with pytest.raises(ConfigError, match="is a line, which encloses nothing"):
        drawn_region(layer)
    with pytest.raises(ConfigError, match="crosses itself"):
        write_region(tmp_path / "a.geojson", SQUARE[[0, 2, 1, 3]], slide)
    assert not (tmp_path / "a.geojson").exists()


def test_it_follows_a_slide_that_grows(viewer: Any) -> None:
    layer = start_drawing(viewer)
    layer.add_polygons([SQUARE])
    rescale(layer, (0.5, 0.25))
    np.testing.assert_allclose(drawn_region(layer), SQUARE * (0.5, 0.25))
